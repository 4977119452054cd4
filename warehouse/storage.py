"""Where a lake lies: its folder, its catalog, its Parquet files, and what it takes to reach them.

Invariant: no secret is part of an address, of a `repr` or of a message; secrets reach DuckDB as its own secrets and
PostgreSQL as an argument. Partner: `warehouse/lake.py`, which opens what is described here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from warehouse import errors

SQLITE, POSTGRES = "sqlite", "postgres"
CATALOG_SECRET, DATA_SECRET = "daybook_catalog", "daybook_data"
STARS = "********"
CONNECT_TIMEOUT_S = 10
MOST_TOLD = 500

# `password=` of a connection string, or the part between colon and @ of a PostgreSQL URI.
_PASSWORD = re.compile(r"\bpassword\s*=|://[^/@\s]*:[^/@\s]*@", re.IGNORECASE)


def refuse_password(address: str) -> str:
    """A catalog's address, which holds no password.

    Raises:
        ConfigError: it holds one; the message does not repeat it.
    """
    if _PASSWORD.search(address):
        raise errors.ConfigError(
            "the address of the lake's catalog holds a password, which would be shown in messages. Leave it out there, "
            "and set DAYBOOK__LAKE_CATALOG_PASSWORD or keep it in PostgreSQL's own ~/.pgpass."
        )
    return address


@dataclass(frozen=True, slots=True)
class S3Access:
    """How S3-compatible storage is reached; empty values leave DuckDB's default.

    Args:
        endpoint: host and port, such as `minio.example:9000`; empty for Amazon's.
        region: such as `eu-central-1`.
        url_style: `vhost` (bucket in the host name) or `path`; own servers mostly want `path`.
        key_id: access key.
        secret: its secret.
        use_ssl: False for plain HTTP.
    """

    endpoint: str = ""
    region: str = ""
    url_style: str = ""
    key_id: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    use_ssl: bool = True

    @property
    def statement(self) -> str:
        """What makes the secret in DuckDB; for DuckDB alone, as it holds the secret itself."""
        parts = {
            "endpoint": self.endpoint,
            "region": self.region,
            "url_style": self.url_style,
            "key_id": self.key_id,
            "secret": self.secret,
        }
        return _secret(DATA_SECRET, "s3", parts, f"use_ssl {str(self.use_ssl).lower()}")


@dataclass(frozen=True, slots=True)
class LakeLocation:
    """Where a lake lies.

    Args:
        path: folder of the lake; holds the writer's lock, and catalog and data unless these are given.
        catalog: DuckLake catalog address, such as `sqlite:/srv/lake/catalog.sqlite` or `postgres:dbname=lake`;
            empty for an SQLite file inside `path`.
        data_path: folder or `s3://` address of the Parquet files; empty for `data` inside `path`.
        memory_limit: DuckDB's memory limit, such as `2GB`.
        threads: threads DuckDB may use; None for one a core.
        catalog_password: PostgreSQL's password, empty where none is asked or libpq finds it itself.
        s3: how `s3://` addresses are reached.
    """

    path: Path
    catalog: str = ""
    data_path: str = ""
    memory_limit: str = "4GB"
    threads: int | None = None
    catalog_password: str = field(default="", repr=False)
    s3: S3Access = S3Access()

    def __post_init__(self) -> None:
        refuse_password(self.catalog)
        if self.catalog and self.catalog.split(":", 1)[0] not in (SQLITE, POSTGRES):
            raise errors.ConfigError(
                f"the lake's catalog {self.catalog!r} is of no known kind. Write `sqlite:` and a file, or `postgres:` "
                "and a connection such as `postgres:dbname=lake host=db.example user=daybook`."
            )

    @property
    def catalog_address(self) -> str:
        """The catalog's address with the default filled in."""
        return self.catalog or f"{SQLITE}:{self.path / 'catalog.sqlite'}"

    @property
    def catalog_kind(self) -> str:
        """`sqlite` or `postgres`."""
        return self.catalog_address.split(":", 1)[0]

    @property
    def catalog_file(self) -> Path | None:
        """The SQLite catalog's file, None for a server."""
        return Path(self.catalog_address.split(":", 1)[1]) if self.catalog_kind == SQLITE else None

    @property
    def data_address(self) -> str:
        """The data's address with the default filled in, ending in a separator."""
        if not self.data_path:
            return f"{self.path / 'data'}{os.sep}"
        return self.data_path if self.data_path.endswith(("/", os.sep)) else f"{self.data_path}/"

    @property
    def goes_with_its_folder(self) -> bool:
        """Whether catalog and data both lie in the lake's folder, so that it may be moved, or mounted elsewhere."""
        return not self.catalog and not self.data_path

    @property
    def is_on_s3(self) -> bool:
        """Whether the Parquet files are in S3-compatible storage."""
        return self.data_address.startswith("s3:")

    @property
    def name(self) -> str:
        """The lake as messages call it: its folder, or the server's catalog."""
        return self.catalog if self.catalog_kind == POSTGRES else str(self.path)

    @property
    def exists(self) -> bool:
        """Whether a lake is there: the catalog's file, or DuckLake's tables in the server's database.

        Raises:
            ConfigError: the server cannot be reached.
        """
        if self.catalog_file is not None:
            return self.catalog_file.exists()
        with connected(self) as connection:
            row = connection.execute("select to_regclass('ducklake_snapshot') is not null").fetchone()
        return bool(row and row[0])

    @property
    def extensions(self) -> tuple[str, ...]:
        """DuckDB's extensions that are needed."""
        scanner = "sqlite_scanner" if self.catalog_kind == SQLITE else "postgres_scanner"
        return ("ducklake", scanner, *(("httpfs",) if self.is_on_s3 else ()))

    @property
    def secret_statements(self) -> tuple[str, ...]:
        """What makes DuckDB's secrets; never to be shown."""
        statements = []
        if self.catalog_kind == POSTGRES:
            statements.append(_secret(CATALOG_SECRET, "postgres", {"password": self.catalog_password}))
        if self.is_on_s3:
            statements.append(self.s3.statement)
        return tuple(statements)

    def scrubbed(self, text: str) -> str:
        """The text with every secret of this location as stars."""
        for secret in (self.catalog_password, self.s3.secret, self.s3.key_id):
            if secret:
                text = text.replace(secret, STARS)
        return text

    def told(self, exc: BaseException) -> str:
        """An error's first paragraph, without secrets, and what to do where its cause is outside."""
        # The statement follows after an empty line; DuckLake gives the cause of a failed commit before it.
        first = " ".join((str(exc).strip() or type(exc).__name__).split("\n\n")[0].split())
        first = first if len(first) <= MOST_TOLD else first[:MOST_TOLD] + " ..."
        stop = "" if first.endswith((".", "!", "?")) else "."
        return self.scrubbed(first) + stop + self._advice(first)

    def _advice(self, words: str) -> str:
        # The system's, SQLite's own, and what SQLite says when its shared memory finds no room.
        if any(full in words for full in ("No space left on device", "disk is full", "disk I/O error")):
            return " Look whether the disk is full; free some space, then run again."
        if self.is_on_s3 and ("HTTP" in words or "s3://" in words):
            return " Check DAYBOOK__LAKE_S3_* and DAYBOOK__LAKE_DATA_PATH, then run again."
        return ""


def connected(location: LakeLocation, **options: str) -> psycopg.Connection[tuple[object, ...]]:
    """A session of its own with the PostgreSQL that holds the catalog, every statement its own transaction.

    Args:
        location: a lake whose catalog is on PostgreSQL.
        options: further connection parameters.

    Raises:
        ConfigError: the server cannot be reached, or refuses.
    """
    conninfo = location.catalog_address.split(":", 1)[1]
    if location.catalog_password:
        options["password"] = location.catalog_password
    try:
        return psycopg.connect(conninfo, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, **options)  # type: ignore[arg-type]
    except psycopg.Error as exc:
        # Without the cause: its traceback would show the parameters.
        raise errors.ConfigError(
            f"the lake's catalog {location.name} cannot be reached: {location.told(exc)} "
            "Check that the server runs, DAYBOOK__LAKE_CATALOG and DAYBOOK__LAKE_CATALOG_PASSWORD."
        ) from None


def _secret(name: str, kind: str, parts: dict[str, str], *more: str) -> str:
    """A CREATE SECRET statement, which takes no bound values."""
    given = [f"{key} '{value.replace(chr(39), chr(39) * 2)}'" for key, value in parts.items() if value]
    return f"create or replace temporary secret {name} ({', '.join([f'type {kind}', *given, *more])})"
