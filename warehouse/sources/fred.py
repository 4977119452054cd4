"""FRED's series: whole, under the right name, or not at all.

pandas-datareader never checks what it was sent: a page of HTML becomes an empty frame, another series is taken under
the name asked for, and a body cut inside a number becomes a wrong number. So the bytes are judged here before the
library parses them. Partner: `http.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import requests
from pandas_datareader.fred import FredReader

from warehouse import errors
from warehouse.sources import http, limits

Days = npt.NDArray[np.datetime64]

SERIES_ID = re.compile(r"[A-Z0-9]{1,40}")
# Headers FRED has used: observation_date since December 2024, DATE before.
DATE_NAMES = ("observation_date", "DATE")
MISSING = ("", ".")
VALUE = re.compile(rb"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
LINE = re.compile(rb"(\d{4}-\d{2}-\d{2}),(.*)")
FIRST_DAY, LAST_DAY = "1700-01-01", "2200-01-01"


@dataclass
class _Response:
    """As much of a response as pandas-datareader looks at."""

    content: bytes


class _Reader(FredReader):  # type: ignore[misc]
    """pandas-datareader's reader over bytes that were fetched and judged before."""

    def __init__(self, series_id: str, body: bytes) -> None:
        super().__init__(series_id, start=FIRST_DAY, end=LAST_DAY, retry_count=0)
        self._body = body

    def _get_response(self, url: str, params: object = None, headers: object = None) -> _Response:
        return _Response(self._body)


class FredSource:
    """FRED's `fredgraph.csv`.

    Args:
        base_url: scheme and host.
        now: the instant, UTC.
        keep: is handed every answer.
        policy: how patient to be; FRED refuses more than two requests a second.
        shared_limits: where calls are counted; the client of FRED's API names the same, as FRED counts both's requests.
    """

    def __init__(
        self,
        *,
        base_url: str = "https://fred.stlouisfed.org",
        now: Callable[[], datetime],
        keep: http.Keep,
        policy: http.Policy | None = None,
        shared_limits: limits.Shared | None = None,
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/graph/fredgraph.csv"
        self._transport = http.Transport(
            "fred", policy=policy or http.Policy(), now=now, keep=keep, shared_limits=shared_limits
        )

    def fetch_observations(self, series_id: str, *, known_dates: Days | None = None) -> pa.Table:
        """The whole history of a series as published now.

        Args:
            series_id: FRED's identifier, such as `UNRATE`.
            known_dates: periods that are known, datetime64[D]; an answer with fewer since its own first period is
                taken for cut. What lies before that is no matter: a window may roll, or files reach further back.

        Returns:
            series_id, observation_date (first day of the period), value (NULL when published as missing); ascending.

        Raises:
            Retryable: asking again may help.
            Fatal: FRED does not know the series, or sent something else.
        """
        if not SERIES_ID.fullmatch(series_id) or series_id in DATE_NAMES:
            raise errors.UnexpectedReply(
                f"{series_id!r} is not a FRED series: only capital letters and digits. Mend fred_series.csv."
            )
        request = requests.Request("GET", self._url, params={"id": series_id})

        def read(reply: http.Reply) -> pa.Table:
            return parse_observations(reply, series_id, known_dates)

        return self._transport.call(request, {"endpoint": "fredgraph.csv", "id": series_id}, read)


def parse_observations(reply: http.Reply, series_id: str, known_dates: Days | None = None) -> pa.Table:
    """The observations in an answer of `fredgraph.csv`.

    Raises:
        IncompleteReply: cut, without periods that were known before, or with periods and not one value.
        VendorUnavailable: a page of HTML or JSON instead of data.
        UnexpectedReply: another series, or lines that are no observations.
    """
    body = reply.body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    head, _, rest = body.partition(b"\n")
    if body.lstrip()[:1] in (b"<", b"{") or not body.strip():
        raise errors.VendorUnavailable(
            f"{reply.described}: the answer is no data ({_start_of(body)}). Nothing was stored; run again later."
        )
    names = head.decode("ascii", "replace").split(",")
    if len(names) != 2 or names[0] not in DATE_NAMES:
        raise errors.UnexpectedReply(
            f"{reply.described}: the header is {_start_of(head)}, expected observation_date,{series_id}. "
            f"Nothing was stored; the answer is in the archive as {reply.reply_id}."
        )
    if names[1] != series_id:
        raise errors.UnexpectedReply(
            f"{reply.described}: the header names {names[1]!r}, not {series_id}. Nothing was stored; the answer is in "
            f"the archive as {reply.reply_id}. Report it if it repeats."
        )
    if not rest.endswith(b"\n"):
        raise errors.IncompleteReply(f"{reply.described}: the last line is cut. Nothing was stored; run again later.")
    n_lines = _refuse_bad_lines(reply, rest)
    first = np.datetime64(rest[:10].decode()) if n_lines else np.datetime64("0001-01-01")
    n_known = 0 if known_dates is None else int((known_dates >= first).sum())
    if n_lines < n_known:
        raise errors.IncompleteReply(
            f"{reply.described}: {n_lines} rows since {first}, where {n_known} are known. Nothing was stored; run "
            "again later."
        )
    frame = _Reader(series_id, _with_plain_missing(head, rest)).read()
    table = _table(frame, series_id)
    if n_lines and table["value"].null_count == n_lines:
        raise errors.IncompleteReply(
            f"{reply.described}: none of {n_lines} rows has a value. Nothing was stored; run again later."
        )
    return table


def _refuse_bad_lines(reply: http.Reply, rest: bytes) -> int:
    previous = ""
    lines = rest[:-1].split(b"\n")
    for number, line in enumerate(lines, start=2):
        found = LINE.fullmatch(line)
        value = found.group(2) if found else b""
        is_value = found and (value.decode("ascii", "replace") in MISSING or _is_number(value))
        day = found.group(1).decode() if found else ""
        if not is_value or not _is_day(day) or day <= previous:
            raise errors.UnexpectedReply(
                f"{reply.described}: line {number} is {_start_of(line)}, expected a later date and a number. "
                f"Nothing was stored; the answer is in the archive as {reply.reply_id}."
            )
        previous = day
    return len(lines)


def _is_number(value: bytes) -> bool:
    """Whether it is written as a number and a DOUBLE holds it."""
    return VALUE.fullmatch(value) is not None and math.isfinite(float(value))


def _is_day(text: str) -> bool:
    try:
        return FIRST_DAY <= date.fromisoformat(text).isoformat() < LAST_DAY
    except ValueError:
        return False


def _with_plain_missing(head: bytes, rest: bytes) -> bytes:
    """A column without one number would be read as text: pandas-datareader knows `.` only."""
    return head + b"\n" + rest.replace(b",\n", b",.\n")


def _table(frame: pd.DataFrame, series_id: str) -> pa.Table:
    value = frame[series_id].to_numpy(dtype=np.float64, na_value=np.nan)
    days = frame.index.to_numpy().astype("datetime64[D]")
    return pa.table(
        {
            "series_id": pa.array([series_id] * len(value), pa.string()),
            "observation_date": pa.array(days, pa.date32()),
            "value": pa.array(value, pa.float64(), mask=~np.isfinite(value)),
        }
    )


def _start_of(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", "replace"))
