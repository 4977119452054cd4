"""Whether a commit comes from the newest writer: the lock may be lost while its holder sleeps, the fence may not.

Every writer that takes the lake raises the epoch in the catalog's table `daybook_writer` and leaves its token there;
every commit carries its writer's token as extra info. A trigger in the catalog compares the two inside the transaction
in which DuckLake commits, so an overtaken writer is refused by the catalog itself, whenever it wakes up. Invariant: a
token is given out once, also after a backup brought an older epoch back. Partner: `warehouse/lease.py`.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import duckdb
import psycopg

from warehouse import errors, instances, sql
from warehouse.lease import Holder, Session
from warehouse.storage import LakeLocation

CATALOG = f"__ducklake_metadata_{instances.ATTACHED}"
REFUSAL = "daybook fence"
_TOKEN = """'{{"writer_epoch": ' || (epoch + 1) || ', "lease": "' || {} || '"}}'"""
# SQLite locks its files by process, and DuckDB carries a SQLite of its own: Python's, in this process, would free
# DuckDB's locks when it closes the file. The trigger, which DuckDB cannot make, is therefore made by another process.
SCRIPT = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); c.executescript(sys.stdin.read()); c.close()"
)


def take_over(
    location: LakeLocation, connection: duckdb.DuckDBPyConnection, holder: Holder, session: Session | None
) -> str:
    """The token that this writer's commits carry; every older token is void from here on.

    Args:
        location: which lake.
        connection: has it attached for writing.
        holder: who takes it.
        session: PostgreSQL's session that holds the lock, None for SQLite.

    Raises:
        LakeBusy: another writer is in the middle of a commit, and stays there.
        LakeError: the catalog cannot be written.
    """
    try:
        if session is None:
            return _raise_in_sqlite(location, connection, holder)
        return _raise_in_postgres(session, holder)
    except (duckdb.Error, psycopg.Error) as exc:
        if isinstance(exc, psycopg.errors.LockNotAvailable) or "locked" in str(exc):
            raise errors.LakeBusy(
                f"the catalog of {location.name} is locked by a writer that lost its lease in the middle of a commit. "
                "End that process, then run again."
            ) from exc
        raise errors.LakeError(
            f"the lake at {location.name} cannot be taken for writing: {location.told(exc)} Nothing was written. "
            "Mend what is named, then run again."
        ) from exc


def is_refusal(exc: BaseException) -> bool:
    """Whether the catalog refused a commit because its token is void."""
    return REFUSAL in str(exc)


def _raise_in_sqlite(location: LakeLocation, connection: duckdb.DuckDBPyConnection, holder: Holder) -> str:
    # A table without its trigger would fence nothing: both are looked for, and one query costs less than a millisecond.
    n_parts = _scalar(
        connection,
        f"select n from sqlite_query('{CATALOG}', 'select count(*) as n from sqlite_master"
        " where name in (''daybook_writer'', ''daybook_fence'')')",
    )
    # DuckDB hands SQLite's answers on as text.
    if str(n_parts) != "2" and location.catalog_file is not None:
        _build_in_sqlite(location.catalog_file)
    connection.begin()
    try:
        connection.execute(
            f"update {CATALOG}.daybook_writer set epoch = epoch + 1, token = {_TOKEN.format('$lease')},"
            " holder = $holder, pid = $pid, host = $host",
            {"lease": uuid.uuid4().hex, "holder": holder.holder, "pid": holder.pid, "host": holder.host},
        )
        token = str(_scalar(connection, f"select token from {CATALOG}.daybook_writer"))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return token


def _build_in_sqlite(catalog: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, str(catalog)],
        input=sql.load("fence/sqlite"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise errors.LakeError(f"the catalog {catalog} cannot be prepared for writing: {last}. Check disk and rights.")


def _raise_in_postgres(session: Session, holder: Holder) -> str:
    raise_epoch = (
        f"update daybook_writer set epoch = epoch + 1, token = {_TOKEN.format('%s::text')},"
        " holder = %s, pid = %s, host = %s, session_pid = pg_backend_pid()"
        " returning token, (select count(*) from pg_trigger where tgname = 'daybook_fence'"
        " and tgrelid = to_regclass('ducklake_snapshot_changes'))"
    )
    facts = [uuid.uuid4().hex, holder.holder, holder.pid, holder.host]
    try:
        row = session.execute(raise_epoch, facts).fetchone()
    except psycopg.errors.UndefinedTable:
        session.execute(sql.load("fence/postgres_writer"))
        row = session.execute(raise_epoch, facts).fetchone()
    if row is None:
        raise errors.LakeError("the catalog's table daybook_writer is empty. Drop it; the next writer makes it again.")
    if not row[1]:
        session.execute(sql.load("fence/postgres_trigger"))
    return str(row[0])


def _scalar(connection: duckdb.DuckDBPyConnection, statement: str) -> object:
    row = connection.execute(statement).fetchone()
    return row[0] if row else None
