"""DuckDB instances with their extensions loaded, kept for the next use.

Loading the lake's two extensions costs 100 ms, because DuckDB checks their signatures; attaching a lake costs 5 ms
(measured 2026-11-21). A run opens the lake twenty times, so an instance is lent, cleaned and lent again. Invariants: an
instance serves one user at a time; every user gets a connection of its own, so temporary tables never outlive their
user; an instance that could not be cleaned is closed. Partner: `warehouse/lake.py`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from warehouse import errors, extensions

ATTACHED = "lake"
ANCHOR = "anchor"

# In a Python without a script DuckDB takes the user to be at a prompt, and draws on standard output; every connection
# has to be told.
NO_PROGRESS_BAR = "set enable_progress_bar = false"


@dataclass(frozen=True)
class Needs:
    """What an instance must be like; those alike serve each other's users.

    Args:
        extensions: DuckDB extensions to have loaded.
        memory_limit: as DuckDB writes it, such as `4GB`.
        threads: most threads; None for one a core.
        temp_directory: where DuckDB spills; an instance that has not spilled yet can be told another place.
        secrets: statements that make DuckDB's secrets, as they are part of an instance.
    """

    extensions: tuple[str, ...]
    memory_limit: str
    temp_directory: Path = field(compare=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    threads: int | None = None


# A writer and a few readers at once; what is kept beyond that would only hold memory.
MOST_IDLE = 4

_idle: list[tuple[Needs, duckdb.DuckDBPyConnection]] = []
_lock = threading.Lock()


@contextlib.contextmanager
def connection(needs: Needs) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own to an instance of its own; what it attaches as `lake` or `anchor` is detached afterwards.

    Raises:
        ConfigError: an extension cannot be had.
    """
    instance = _taken(needs) or _start(needs)
    try:
        with instance.cursor() as lent:
            lent.execute("set TimeZone = 'UTC'")
            lent.execute(NO_PROGRESS_BAR)
            yield lent
    except BaseException:
        instance.close()
        raise
    if _is_clean(instance):
        _keep(needs, instance)
    else:
        instance.close()


def _taken(needs: Needs) -> duckdb.DuckDBPyConnection | None:
    """A kept instance that spills where it is told; None when there is none, or it has spilled elsewhere before."""
    instance = _take(needs)
    if instance is None:
        return None
    try:
        instance.execute("set temp_directory = $path", {"path": str(needs.temp_directory)})
    except duckdb.Error:
        instance.close()
        return None
    return instance


def _take(needs: Needs) -> duckdb.DuckDBPyConnection | None:
    with _lock:
        at = next((at for at, (kept, _) in enumerate(_idle) if kept == needs), None)
        return None if at is None else _idle.pop(at)[1]


def _keep(needs: Needs, instance: duckdb.DuckDBPyConnection) -> None:
    with _lock:
        _idle.append((needs, instance))
        surplus = [_idle.pop(0)[1] for _ in range(len(_idle) - MOST_IDLE)]
    for old in surplus:
        old.close()


def _start(needs: Needs) -> duckdb.DuckDBPyConnection:
    instance = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": needs.memory_limit,
            "temp_directory": str(needs.temp_directory),
            **({"threads": str(needs.threads)} if needs.threads else {}),
        }
    )
    instance.execute(NO_PROGRESS_BAR)
    for name in needs.extensions:
        extensions.load_extension(instance, name)
    for statement in needs.secrets:
        _make_secret(instance, statement)
    return instance


def _make_secret(instance: duckdb.DuckDBPyConnection, statement: str) -> None:
    """DuckDB's refusal may quote the statement, so neither its words nor its traceback are passed on."""
    try:
        instance.execute(statement)
    except duckdb.Error as exc:
        name = statement.split(" (", 1)[0].rsplit(" ", 1)[1]
        raise errors.ConfigError(
            f"DuckDB refused the secret {name} ({type(exc).__name__}). Check the lake's S3 settings and its password."
        ) from None


def _is_clean(instance: duckdb.DuckDBPyConnection) -> bool:
    """Whether nothing is attached any more."""
    try:
        instance.execute(f"detach database if exists {ATTACHED}")
        instance.execute(f"detach database if exists {ANCHOR}")
    except duckdb.Error:
        return False
    return True
