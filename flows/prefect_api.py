"""Prefect's server, asked without its client, whose import takes longer than the question.

With `DAYBOOK__PREFECT_AUTH` it lets in whoever has that; a question that changes something needs a token against posts
of other sites as well (CSRF), which any caller can ask for and a page of another site cannot read. Partners:
`flows/serving.py`, which starts it; `flows/probes.py`, which looks whether it is well.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import tenacity

from flows import settings

ANSWER_S = 10.0
BUSY_ATTEMPTS = 5
HEALTH_S = 5.0
# What urllib raises where nobody answers, or too late, or not in HTTP's way.
UNREACHABLE = (urllib.error.URLError, TimeoutError, ConnectionError)


def is_up(address: str) -> bool:
    """Whether something answers at an address that asks nobody who they are."""
    try:
        with urllib.request.urlopen(address, timeout=HEALTH_S) as reply:
            return bool(reply.status == HTTPStatus.OK)
    except UNREACHABLE:
        return False


def ask(api_url: str, path: str, body: Mapping[str, Any] | None = None, *, auth: str = "") -> Any:
    """What the API answers.

    Args:
        api_url: its address, up to `/api`.
        path: what is asked, such as `/deployments/filter`.
        body: what is sent; None to read only.
        auth: `user:password`, empty for a server that asks for none.

    Raises:
        URLError: it does not answer; HTTPError, which is one, where it refuses.
    """
    headers = {"Content-Type": "application/json"}
    if auth:
        headers["Authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers |= _token(api_url, headers)
    return _answer(urllib.request.Request(f"{api_url}{path}", data=data, headers=headers))


def _is_busy(exc: BaseException) -> bool:
    """Prefect's server refuses so while another request has locked its SQLite file."""
    return isinstance(exc, urllib.error.HTTPError) and exc.code == HTTPStatus.SERVICE_UNAVAILABLE


@tenacity.retry(
    retry=tenacity.retry_if_exception(_is_busy),
    stop=tenacity.stop_after_attempt(BUSY_ATTEMPTS),
    wait=tenacity.wait_fixed(1.0),
    reraise=True,
)
def ask_patiently(options: settings.Settings, path: str, body: Mapping[str, Any]) -> Any:
    """What the server of these settings answers, asked again where it is busy for a moment.

    Raises:
        URLError: it does not answer; HTTPError, which is one, where it refuses or stays busy.
    """
    return ask(options.prefect_api, path, body, auth=auth_of(options))


def _token(api_url: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers by which the server knows that no other site made this request; none where it does not ask."""
    client = str(uuid.uuid4())
    try:
        given = _answer(urllib.request.Request(f"{api_url}/csrf-token?client={client}", headers=headers))
    except urllib.error.HTTPError as refused:
        if refused.code not in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND):
            raise
        return {}
    return {"Prefect-Csrf-Token": given["token"], "Prefect-Csrf-Client": client}


def _answer(request: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as refused:
        refused.close()
        raise


def auth_of(options: settings.Settings) -> str:
    """User and password for the server of these settings, empty for none."""
    return options.prefect_auth.get_secret_value() if options.prefect_auth else ""


def why_refused(options: settings.Settings) -> str:
    """Why the server would not take this installation's questions, and what to do; empty where it does.

    Raises:
        URLError: it does not answer.
    """
    try:
        version_of_server(options)
    except urllib.error.HTTPError as refused:
        if refused.code != HTTPStatus.UNAUTHORIZED:
            raise
        asked = "refuses the user and password of" if options.prefect_auth else "asks for a user and a password:"
        return f"Prefect's server at {options.prefect_api} {asked} DAYBOOK__PREFECT_AUTH. Set it as the server has it."
    return ""


def version_of_server(options: settings.Settings) -> str:
    """The version of Prefect that the server is.

    Raises:
        URLError: it does not answer, or refuses.
    """
    return str(ask(options.prefect_api, "/admin/version", auth=auth_of(options)))


def asks_nobody(options: settings.Settings) -> bool:
    """Whether the server lets in whoever comes.

    Raises:
        URLError: it does not answer.
    """
    try:
        ask(options.prefect_api, "/admin/version")
    except urllib.error.HTTPError as refused:
        if refused.code != HTTPStatus.UNAUTHORIZED:
            raise
        return False
    return True
