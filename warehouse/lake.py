"""Where everything known is kept, and how it is opened, read and committed to.

The lake is DuckLake: Parquet files, and a catalog (SQLite by default) that says which files make up each snapshot.
Invariants kept here: one writer at a time; a commit is whole or absent; a reader sees one snapshot and never waits.
Partner: `warehouse/tables/`, which declares what is in it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import duckdb
import pyarrow as pa
import tenacity

from warehouse import errors, fence, furnishing, instances, lease, statements, storage
from warehouse.storage import LakeLocation as LakeLocation

log = logging.getLogger(__name__)

T = TypeVar("T")

VIEW_SCHEMA = furnishing.VIEW_SCHEMA

# FRED's increments (a few rows) are kept inside the catalog; a market day of 5,400 rows would cost 25 times as much
# there as in a Parquet file (measured 2026-11-20).
INLINING_ROW_LIMIT = 20
CATALOG_BUSY_TIMEOUT_MS = 10_000
COMMIT_ATTEMPTS = 6
STREAM_BATCH_ROWS = 100_000


class Lake:
    """An open lake: read with `read`, write with `commit`.

    Use `open_reader` or `open_writer`; both are context managers.

    Args:
        connection: DuckDB connection with the lake attached as its default database.
        location: where it lies.
        snapshot: snapshot the reads are pinned to, None for the newest.
        token: what this writer's commits carry; empty for a reader.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, location: LakeLocation, snapshot: int | None, token: str = ""
    ) -> None:
        self._connection = connection
        self.location = location
        self._pinned_snapshot = snapshot
        self._token = token

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection below, for what hands rows to another database or follows a running statement.

        Where rows are wanted, use `read`; where the lake changes, `commit`.
        """
        return self._connection

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
            NotInLake: the query names what is not there.
            LakeError: the query cannot be run; the message carries DuckDB's own words.
        """
        try:
            return _patiently(lambda: self._connection.execute(statement, params or None).to_arrow_table())
        except duckdb.Error as exc:
            raise self._refused(exc, statement) from _cause(self.location, exc)

    def _refused(self, exc: duckdb.Error, statement: str) -> errors.LakeError:
        told = f"query failed: {self.location.told(exc)} Query: {_shortened(statement)}"
        is_unknown = isinstance(exc, (duckdb.CatalogException, duckdb.BinderException))
        kind = errors.NotInLake if is_unknown else errors.LakeError
        return kind(self.location.scrubbed(told))

    def stream(self, statement: str, **params: Any) -> Iterator[pa.RecordBatch]:
        """The rows a query returns, a batch at a time, so that a result larger than memory can be read.

        The lake can do nothing else until the last batch is read.

        Args:
            statement: as for `read`.
            params: as for `read`.

        Raises:
            LakeError: as `read`.
        """
        try:
            yield from self._connection.execute(statement, params or None).to_arrow_reader(STREAM_BATCH_ROWS)
        except duckdb.Error as exc:
            raise self._refused(exc, statement) from _cause(self.location, exc)

    def read_value(self, statement: str, **params: Any) -> Any:
        """The single value a query returns, None when it returns no row.

        Raises:
            LakeError: as `read`.
        """
        rows = self.read(statement, **params)
        return rows.column(0)[0].as_py() if rows.num_rows else None

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """A time in which a question has to be answered; one that is not is stopped, and fails as a query fails."""
        timer = threading.Timer(seconds, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def commit(self, work: Callable[[duckdb.DuckDBPyConnection], T], *, message: str) -> T:
        """The result of `work`, all of whose writes became one snapshot.

        A commit that meets a locked catalog is repeated whole, with back-off: DuckLake 1.5 does not repeat it
        itself (ducklake#1309). `work` must therefore give the same writes when called again.

        Args:
            work: writes through the connection it is given; it must neither begin nor commit.
            message: kept with the snapshot.

        Raises:
            LakeBusy: the catalog stayed locked, or another writer has taken the lake over meanwhile.
            LakeError: DuckDB refused a statement, or the disk is full; nothing was written.
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
            raise self._uncommitted(exc, message) from _cause(self.location, exc)

    def _uncommitted(self, exc: duckdb.Error, message: str) -> errors.LakeError:
        name = self.location.name
        if fence.is_refusal(exc):
            return errors.LakeBusy(
                f"commit {message!r} was refused, nothing was written: another writer has taken over the lake at "
                f"{name} while this one was paused or had lost its lock. Run again."
            )
        if _is_locked(exc):
            return errors.LakeBusy(
                f"the catalog of {name} stayed locked over {COMMIT_ATTEMPTS} tries. Nothing was written. Look for "
                "another program that writes to it, then run again."
            )
        return errors.LakeError(f"commit {message!r} failed, nothing was written: {self.location.told(exc)}")

    def _commit_once(self, work: Callable[[duckdb.DuckDBPyConnection], T], message: str) -> T:
        connection = self._connection
        connection.begin()
        try:
            result = work(connection)
            connection.execute(
                "call lake.set_commit_message('daybook', $message, extra_info => $token)",
                {"message": message, "token": self._token},
            )
            connection.commit()
        except BaseException:
            with contextlib.suppress(duckdb.TransactionException):
                connection.rollback()
            raise
        return result


@contextlib.contextmanager
def open_reader(location: LakeLocation, *, snapshot: int | None = None) -> Iterator[Lake]:
    """A lake open for reading; it never waits for the writer and cannot write, nor touch the lake's files.

    Args:
        location: where the lake lies.
        snapshot: read as of this snapshot; None for the newest at each query.

    Raises:
        ConfigError: there is no lake, or no such snapshot.
        LakeTooNew: written by a newer Daybook.
    """
    # A server is asked only when it refuses: most readers find their lake.
    if location.catalog_file is not None and not location.exists:
        raise _no_lake(location)
    options = ["READ_ONLY"]
    if snapshot is not None:
        options.append(f"SNAPSHOT_VERSION {int(snapshot)}")
    with _attached(location, options) as connection:
        furnishing.refuse_newer(connection, location)
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
    options = [f"DATA_INLINING_ROW_LIMIT {INLINING_ROW_LIMIT}"]
    here = lease.Holder.here(holder)
    with (
        lease.locked(location, here, wait_s) as session,
        _attached(location, options) as connection,
        Lake(connection, location, None, fence.take_over(location, connection, here, session)) as lake,
    ):
        furnishing.furnish(lake)
        yield lake


def writer_lock(location: LakeLocation, holder: str, wait_s: float) -> contextlib.AbstractContextManager[object]:
    """The lock that a writer holds, for work on the lake's files themselves, such as a backup.

    Raises:
        LakeBusy: another writer kept the lake for longer than `wait_s`.
    """
    return lease.locked(location, lease.Holder.here(holder), wait_s)


def data_options(location: LakeLocation, *, is_reader: bool) -> list[str]:
    """What ATTACH is told of the data's address: nothing where the catalog knows better.

    The catalog keeps the address of the day it was made. A lake that lies whole in one folder is read where that folder
    is now, so that it can be moved, and read from outside the container that writes it.
    """
    if location.goes_with_its_folder:
        return [f"DATA_PATH {_quoted(location.data_address)}", "OVERRIDE_DATA_PATH true"]
    return [] if is_reader else [f"DATA_PATH {_quoted(location.data_address)}"]


@contextlib.contextmanager
def _attached(location: LakeLocation, options: list[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that has the lake attached and in use."""
    is_reader = "READ_ONLY" in options
    options = [*options, *data_options(location, is_reader=is_reader)]
    file = location.catalog_file
    if file is None:
        options = [*options, f"META_SECRET '{storage.CATALOG_SECRET}'"]
    else:
        # The file remembers its mode. A reader that asked for it too would ask at every query and meet the writer's
        # lock: half as many reads beside a writer committing in a loop (measured 2026-11-21).
        options = [
            *options,
            f"META_BUSY_TIMEOUT {0 if is_reader else CATALOG_BUSY_TIMEOUT_MS}",
            *(() if is_reader else ("META_JOURNAL_MODE 'WAL'",)),
        ]
    needs = instances.Needs(
        location.extensions,
        location.memory_limit,
        location.path / "tmp",
        location.secret_statements,
        location.threads,
    )
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(instances.connection(needs))
        for statement in statements.shield() if is_reader else ():
            connection.execute(statement)
        try:
            if file is not None and file.exists():
                stack.enter_context(_anchored(connection, file))
            _patiently(
                connection.execute,
                f"attach {_quoted('ducklake:' + location.catalog_address)} as {instances.ATTACHED}"
                f" ({', '.join(options)})",
            )
        except duckdb.Error as exc:
            raise _unopened(location, exc) from _cause(location, exc)
        connection.execute(f"use {instances.ATTACHED}")
        yield connection


@contextlib.contextmanager
def _anchored(connection: duckdb.DuckDBPyConnection, catalog: Path) -> Iterator[None]:
    """SQLite's write-ahead log kept open, without a lock that anybody waits for.

    DuckDB opens and closes the catalog for every transaction. Whoever closes it last removes the log, whoever opens it
    first builds the log's index anew, both under an exclusive lock; who meets that lock sleeps for a whole second, as
    DuckDB's SQLite was built without `usleep`. A handle that stays open makes nobody the first or the last.
    """
    with connection.cursor() as anchor:
        anchor.execute(instances.NO_PROGRESS_BAR)
        _patiently(
            anchor.execute,
            f"attach {_quoted(str(catalog))} as {instances.ANCHOR}"
            " (type sqlite, hidden, read_only, journal_mode 'WAL', busy_timeout 0)",
        )
        # Opens the file and asks for its mode, but reads nothing: a read would keep the log from starting over.
        _patiently(_hold_open, anchor)
        yield


def _hold_open(anchor: duckdb.DuckDBPyConnection) -> None:
    """A transaction that met a lock is spent, and tried again as a new one."""
    anchor.begin()
    try:
        anchor.execute(f"use {instances.ANCHOR}")
    except duckdb.Error:
        anchor.rollback()
        raise


def _unopened(location: LakeLocation, exc: duckdb.Error) -> errors.DaybookError:
    if _is_locked(exc):
        return errors.LakeBusy(f"the catalog of {location.name} stayed locked. Run again.")
    if location.catalog_file is None and not location.exists:
        return _no_lake(location)
    return errors.ConfigError(
        f"the lake at {location.name} cannot be opened: {location.told(exc)} "
        "Check the path and the snapshot, and run `daybook doctor`."
    )


def _no_lake(location: LakeLocation) -> errors.ConfigError:
    return errors.ConfigError(
        f"there is no lake at {location.name}. Make one with `daybook backfill`, try `daybook demo`, or name the home "
        "of another with --home."
    )


def _is_locked(exc: BaseException) -> bool:
    return isinstance(exc, duckdb.Error) and "locked" in str(exc).lower()


def _patiently(ask: Callable[..., T], *arguments: object) -> T:
    """What a question answers, asked again while the catalog is locked."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_locked),
        stop=tenacity.stop_after_delay(CATALOG_BUSY_TIMEOUT_MS / 1000),
        wait=tenacity.wait_random(0.002, 0.02),
        reraise=True,
    )
    return retrying(ask, *arguments)


def _cause(location: LakeLocation, exc: BaseException) -> BaseException | None:
    """The error as a cause to be shown in a traceback, unless it holds a secret."""
    return exc if location.scrubbed(str(exc)) == str(exc) else None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _shortened(statement: str) -> str:
    flat = " ".join(statement.split())
    return flat if len(flat) <= 200 else flat[:200] + " ..."
