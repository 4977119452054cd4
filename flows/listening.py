"""What `daybook serve` listens at, where its parts find each other, and what they ask of whoever comes: the settings.

Secrets have the form `user:password`. What is not asked for a password does not leave this machine, unless told to.
Partners: `flows/settings.py`, of which these are a part; `flows/serving.py`, which keeps to them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic_settings
from pydantic import AfterValidator, Field, SecretStr

from flows import addresses
from warehouse import errors

LOOPBACK = "127.0.0.1"
Secret = Annotated[SecretStr | None, AfterValidator(addresses.present)]
Credentials = Annotated[SecretStr | None, AfterValidator(addresses.present), AfterValidator(addresses.credentials)]


class Listening(pydantic_settings.BaseSettings):
    """Addresses, ports, and who may enter."""

    serve_host: Literal["127.0.0.1", "0.0.0.0"] = Field(
        "127.0.0.1",
        description="Address that `daybook serve` listens at; 0.0.0.0, as within a container, needs"
        " DAYBOOK__PREFECT_AUTH and DAYBOOK__REPORTS_AUTH.",
    )
    serve_open: bool = Field(
        False, description="Let the servers listen beyond loopback without asking anybody for a password."
    )
    prefect_port: int = Field(4200, ge=1, le=65535, description="Port of the Prefect server `daybook serve` starts.")
    prefect_api_url: Annotated[str, AfterValidator(addresses.prefect_api)] = Field(
        "",
        description="API of a Prefect server kept elsewhere, such as http://prefect:4200/api; empty for one that"
        " `daybook serve` starts.",
    )
    prefect_auth: Credentials = Field(
        None,
        description="`user:password` that Prefect's server asks for; server, worker and `daybook doctor` need it.",
    )
    prefect_database_password: Secret = Field(
        None,
        description="Password of the Prefect server's own database, where PREFECT_SERVER_DATABASE_HOST and its like put"
        " it on PostgreSQL.",
    )
    reports_port: int = Field(4201, ge=1, le=65535, description="Port on which `daybook serve` shows the reports.")
    reports_auth: Credentials = Field(
        None, description="`user:password` that the report server asks for; /healthz asks nobody."
    )
    worker_port: int = Field(
        4202, ge=1, le=65535, description="Port on loopback on which `daybook serve --only worker` says that it lives."
    )

    @property
    def prefect_api(self) -> str:
        """Address of the API of the Prefect server: the one kept elsewhere, or that of `daybook serve`."""
        return self.prefect_api_url or f"http://{LOOPBACK}:{self.prefect_port}/api"

    @property
    def prefect_secrets(self) -> dict[str, str]:
        """Variables that only the process of Prefect's server may see."""
        return _given(
            PREFECT_SERVER_DATABASE_PASSWORD=self.prefect_database_password,
            PREFECT_SERVER_API_AUTH_STRING=self.prefect_auth,
        )

    @property
    def prefect_access(self) -> dict[str, str]:
        """Variables under which Prefect's client finds its server, and is let in."""
        return {"PREFECT_API_URL": self.prefect_api} | _given(PREFECT_API_AUTH_STRING=self.prefect_auth)

    def refuse_open(self, what: str, variable: str) -> None:
        """Nothing when a server stays on loopback, or asks for a password, or was told not to.

        Args:
            what: the server, as a sentence begins with it.
            variable: of its user and password.

        Raises:
            ConfigError: anybody who reaches this machine could enter.
        """
        secret = {"DAYBOOK__PREFECT_AUTH": self.prefect_auth, "DAYBOOK__REPORTS_AUTH": self.reports_auth}[variable]
        if self.serve_host == LOOPBACK or secret is not None or self.serve_open:
            return
        raise errors.ConfigError(
            f"{what} would listen at {self.serve_host} and ask nobody for a password. Set {variable} to user:password,"
            f" or DAYBOOK__SERVE_HOST to {LOOPBACK}, or DAYBOOK__SERVE_OPEN=true where that is meant."
        )


def _given(**secrets: SecretStr | None) -> dict[str, str]:
    """The variables that have a value."""
    return {name: secret.get_secret_value() for name, secret in secrets.items() if secret is not None}
