"""What a setting must be to be an address or a secret: each check gives the value back, or says what is wrong."""

from __future__ import annotations

import urllib.parse

from pydantic import SecretStr


def prefect_api(value: str) -> str:
    """The address of the API of a Prefect server kept elsewhere; empty for none.

    Raises:
        ValueError: it is none, in words that do not repeat it, as it may hold a password.
    """
    if not value:
        return value
    try:
        parts = urllib.parse.urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or any(one in value for one in "?#@") or any(one.isspace() for one in value):
        raise ValueError("not an address such as http://prefect:4200/api: scheme, host, port and path, nothing else")
    if not value.endswith("/api"):
        raise ValueError("must end in /api, as in http://prefect:4200/api")
    return value


def present(secret: SecretStr | None) -> SecretStr | None:
    """The secret; None for an empty one, which is how a file that waits for its secret looks."""
    return secret if secret is not None and secret.get_secret_value().strip() else None
