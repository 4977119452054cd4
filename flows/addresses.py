"""What a setting must be to be an address or a secret: each check gives the value back, or says what is wrong."""

from __future__ import annotations

import urllib.parse

from pydantic import SecretStr

# Nobody counts how often a wrong one is tried.
LEAST_PASSWORD = 12


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


def credentials(secret: SecretStr | None) -> SecretStr | None:
    """The secret, `user:password` as HTTP's Basic authentication carries it (RFC 7617); None for none.

    Raises:
        ValueError: it is not of that form, in words that do not repeat it.
    """
    if secret is None:
        return None
    text = secret.get_secret_value()
    user, _, password = text.partition(":")
    if not user or not password or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be user:password, in ASCII and without spaces")
    if len(password) < LEAST_PASSWORD:
        raise ValueError(
            f"the password must have at least {LEAST_PASSWORD} characters; `openssl rand -hex 24` makes one"
        )
    return secret
