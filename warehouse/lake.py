"""Where everything known is kept, and how it is opened, read and committed to.

The lake is DuckLake: Parquet files, and a catalog (SQLite by default) that says which files make up each snapshot.
Invariants kept here: one writer at a time; a commit is whole or absent; a reader sees one snapshot and never waits.
Partner: `warehouse/tables/`, which declares what is in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import duckdb
import filelock
import pyarrow as pa
import tenacity

from warehouse import errors, instances, macros, sql, tables

log = logging.getLogger(__name__)

T = TypeVar("T")

VIEW_SCHEMA = "analyst"

# FRED's increments (a few rows) are kept inside the catalog; a market day of 5,400 rows would cost 25 times as much
# there as in a Parquet file (measured 2026-11-20).
INLINING_ROW_LIMIT = 20
CATALOG_BUSY_TIMEOUT_MS = 10_000
COMMIT_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class LakeLocation:
    """Where a lake lies.

    Args:
        path: folder of the lake; holds the writer's lock, and catalog and data unless these are given.
        catalog: DuckLake catalog address, such as `sqlite:/srv/lake/catalog.sqlite` or `postgres:dbname=lake`;
            empty for an SQLite file inside `path`.
        data_path: folder or `s3://` address of the Parquet files; empty for `data` inside `path`.
        memory_limit: DuckDB's memory limit, such as `2GB`.
    """

    path: Path
    catalog: str = ""
    data_path: str = ""
    memory_limit: str = "4GB"

    @property
    def catalog_address(self) -> str:
        """The catalog's address with the default filled in."""
        return self.catalog or f"sqlite:{self.path / 'catalog.sqlite'}"

    @property
    def data_address(self) -> str:
        """The data's address with the default filled in."""
        return self.data_path or f"{self.path / 'data'}{os.sep}"

    @property
    def exists(self) -> bool:
        """Whether a lake is there; a catalog on a server is taken to be."""
        return bool(self.catalog) or (self.path / "catalog.sqlite").exists()


class Lake:
    """An open lake: read with `read`, write with `commit`.

    Use `open_reader` or `open_writer`; both are context managers.

    Args:
        connection: DuckDB connection with the lake attached as its default database.
        location: where it lies.
        snapshot: snapshot the reads are pinned to, None for the newest.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, location: LakeLocation, snapshot: int | None) -> None:
        self._connection = connection
        self.location = location
        self._pinned_snapshot = snapshot

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    @property
    def snapshot(self) -> int:
        """The snapshot that reads see."""
        if self._pinned_snapshot is not None:
            return self._pinned_snapshot
        row = self._connection.execute("select id from ducklake_current_snapshot('lake')").fetchone()
        return int(row[0]) if row else 0

    def read(self, statement: str, **params: Any) -> pa.Table:
        """The rows a query returns.

        Args:
            statement: one SELECT; values are bound by name, as `$as_of`.
            params: the values.

        Returns:
            An Arrow table, in the query's order.

        Raises:
            LakeError: the query cannot be run; the message carries DuckDB's own words.
        """
        try:
            return self._connection.execute(statement, params or None).to_arrow_table()
        except duckdb.Error as exc:
            raise errors.LakeError(f"query failed: {_first_line(exc)} Query: {_shortened(statement)}") from exc

    def read_value(self, statement: str, **params: Any) -> Any:
        """The single value a query returns, None when it returns no row.

        Raises:
            LakeError: as `read`.
        """
        rows = self.read(statement, **params)
        return rows.column(0)[0].as_py() if rows.num_rows else None

    def commit(self, work: Callable[[duckdb.DuckDBPyConnection], T], *, message: str) -> T:
        """The result of `work`, all of whose writes became one snapshot.

        A commit that meets a locked catalog is repeated whole, with back-off: DuckLake 1.5 does not repeat it
        itself (ducklake#1309). `work` must therefore give the same writes when called again.

        Args:
            work: writes through the connection it is given; it must neither begin nor commit.
            message: kept with the snapshot.

        Raises:
            LakeBusy: the catalog stayed locked.
            LakeError: DuckDB refused a statement; nothing was written.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_locked),
            stop=tenacity.stop_after_attempt(COMMIT_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        )
        try:
            return retrying(self._commit_once, work, message)
        except duckdb.Error as exc:
            if _is_locked(exc):
                raise errors.LakeBusy(
                    f"the catalog of {self.location.path} stayed locked over {COMMIT_ATTEMPTS} tries. Nothing was "
                    "written. Look for another program that writes to it, then run again."
                ) from exc
            raise errors.LakeError(f"commit {message!r} failed, nothing was written: {_first_line(exc)}") from exc

    def _commit_once(self, work: Callable[[duckdb.DuckDBPyConnection], T], message: str) -> T:
        connection = self._connection
        connection.begin()
        try:
            result = work(connection)
            connection.execute("call lake.set_commit_message('daybook', $message)", {"message": message})
            connection.commit()
        except BaseException:
            with contextlib.suppress(duckdb.TransactionException):
                connection.rollback()
            raise
        return result


@contextlib.contextmanager
def open_reader(location: LakeLocation, *, snapshot: int | None = None) -> Iterator[Lake]:
    """A lake open for reading; it never waits for the writer and cannot write.

    Args:
        location: where the lake lies.
        snapshot: read as of this snapshot; None for the newest at each query.

    Raises:
        ConfigError: there is no lake, or no such snapshot.
        LakeTooNew: written by a newer Daybook.
    """
    if not location.exists:
        raise errors.ConfigError(
            f"there is no lake at {location.path}. Make one with `daybook backfill` or try `daybook demo`."
        )
    options = ["READ_ONLY"]
    if snapshot is not None:
        options.append(f"SNAPSHOT_VERSION {int(snapshot)}")
    with _attached(location, options) as connection:
        _refuse_newer(connection, location)
        with Lake(connection, location, snapshot) as lake:
            yield lake


@contextlib.contextmanager
def open_writer(location: LakeLocation, *, holder: str, wait_s: float = 60.0) -> Iterator[Lake]:
    """The lake open for writing, with every declared table and view in place.

    Args:
        location: where the lake lies; made when missing.
        holder: who writes, shown to whoever has to wait, such as `daily/2026-11-20`.
        wait_s: seconds to wait for another writer.

    Raises:
        LakeBusy: another writer kept the lake for longer than `wait_s`.
        LakeTooNew: written by a newer Daybook.
    """
    options = [f"DATA_PATH '{location.data_address}'", f"DATA_INLINING_ROW_LIMIT {INLINING_ROW_LIMIT}"]
    with (
        _writer_lock(location, holder, wait_s),
        _attached(location, options) as connection,
        Lake(connection, location, None) as lake,
    ):
        _furnish(lake)
        yield lake


@contextlib.contextmanager
def _writer_lock(location: LakeLocation, holder: str, wait_s: float) -> Iterator[None]:
    """Two processes writing one SQLite catalog can corrupt it. The kernel frees the lock when its process dies."""
    try:
        location.path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise errors.ConfigError(f"cannot make the lake's folder {location.path}: {exc.strerror}.") from exc
    note = location.path / "writer.json"
    lock = filelock.FileLock(location.path / "writer.lock")
    try:
        lock.acquire(timeout=wait_s)
    except filelock.Timeout as exc:
        raise errors.LakeBusy(
            f"the lake at {location.path} is being written by {_read_holder(note)}; waited {wait_s:g} s. "
            "Run again when it has ended."
        ) from exc
    try:
        note.write_text(json.dumps({"holder": holder, "pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _read_holder(note: Path) -> str:
    try:
        facts = json.loads(note.read_text())
    except (OSError, ValueError):
        return "another process"
    return f"{facts['holder']} (process {facts['pid']} on {facts['host']})"


@contextlib.contextmanager
def _attached(location: LakeLocation, options: list[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that has the lake attached and in use."""
    address = location.catalog_address
    kind = address.split(":", 1)[0]
    names = ["ducklake", "sqlite_scanner" if kind == "sqlite" else "postgres_scanner"]
    if location.data_address.startswith("s3:"):
        names.append("httpfs")
    if kind == "sqlite":
        options = [*options, f"META_BUSY_TIMEOUT {CATALOG_BUSY_TIMEOUT_MS}"]
        if "READ_ONLY" not in options:
            # The file remembers its mode. A reader that asked for it too would ask at every query and meet the
            # writer's lock: half as many reads beside a writer committing in a loop (measured 2026-11-21).
            options.append("META_JOURNAL_MODE 'WAL'")
    needs = instances.Needs(tuple(names), location.memory_limit, location.path / "tmp")
    with instances.connection(needs) as connection:
        try:
            connection.execute(f"attach 'ducklake:{address}' as {instances.ATTACHED} ({', '.join(options)})")
        except duckdb.Error as exc:
            raise errors.ConfigError(
                f"the lake at {location.path} cannot be opened: {_first_line(exc)} "
                "Check the path and the snapshot, and run `daybook doctor`."
            ) from exc
        connection.execute(f"use {instances.ATTACHED}")
        yield connection


def _refuse_newer(connection: duckdb.DuckDBPyConnection, location: LakeLocation) -> None:
    row = None
    with contextlib.suppress(duckdb.CatalogException):
        row = connection.execute("select value from ops.property where name = 'schema_version'").fetchone()
    if row and int(row[0]) > tables.SCHEMA_VERSION:
        raise errors.LakeTooNew(
            f"the lake at {location.path} has schema version {row[0]}, this Daybook knows {tables.SCHEMA_VERSION}. "
            "Nothing was changed. Install the newer Daybook, or point it at another lake."
        )


def _furnish(lake: Lake) -> None:
    """Make missing tables, and make the views again when their text has changed."""
    connection = lake._connection
    _refuse_newer(connection, lake.location)
    wanted = {"schema_version": str(tables.SCHEMA_VERSION), "views_digest": _views_digest()}
    found: dict[str, str] = {}
    with contextlib.suppress(duckdb.CatalogException):
        found = dict(connection.execute("select name, value from ops.property").fetchall())
    if found == wanted:
        return

    def work(transaction: duckdb.DuckDBPyConnection) -> None:
        for schema in dict.fromkeys([*(table.schema for table in tables.TABLES), VIEW_SCHEMA]):
            transaction.execute(f"create schema if not exists {schema}")
        existing = {
            f"{schema}.{name}"
            for schema, name in transaction.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = 'lake'"
            ).fetchall()
        }
        for table in tables.TABLES:
            if table.full_name not in existing:
                transaction.execute(table.ddl())
                for comment in table.comments():
                    transaction.execute(comment)
        for name in sql.names("views"):
            text = sql.load(f"views/{name}")
            transaction.execute(text)
            transaction.execute(f"comment on view {VIEW_SCHEMA}.{name} is '{_header(text)}'")
        macros.install(transaction)
        transaction.execute("delete from ops.property")
        transaction.executemany("insert into ops.property values (?, ?)", list(wanted.items()))

    lake.commit(work, message=f"schema version {tables.SCHEMA_VERSION}")
    log.info("furnished lake path=%s schema_version=%s", lake.location.path, tables.SCHEMA_VERSION)


def _views_digest() -> str:
    text = "\n".join([*(sql.load(f"views/{name}") for name in sql.names("views")), *macros.texts()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _header(statement: str) -> str:
    """The leading comment of a statement on one line: what the analyst sees in the catalog."""
    lines = statement.splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("--"), lines)
    return " ".join(line.removeprefix("--").strip() for line in comment).replace("'", "''")


def _is_locked(exc: BaseException) -> bool:
    return isinstance(exc, duckdb.Error) and "locked" in str(exc).lower()


def _first_line(exc: BaseException) -> str:
    return str(exc).strip().splitlines()[0]


def _shortened(statement: str) -> str:
    flat = " ".join(statement.split())
    return flat if len(flat) <= 200 else flat[:200] + " ..."
