"""Where several machines count their calls to a vendor: in the PostgreSQL that holds the lake's catalog.

Invariants: one process at a time looks and writes, over all machines, for each account; time is the server's; who dies
or vanishes while it is its turn is put out by the server, and what it had not finished never happened. No token is
stored, only the digest that names the account. Partner: `warehouse/sources/limits.py`, for whose `Limits` this is a
store; it knows nothing of the lake.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg

from warehouse import errors, lease, sql, storage
from warehouse.storage import LakeLocation

# A turn takes some milliseconds. Who waits for one gives up after the first, who sleeps in one loses it after the
# second: a machine that was paused must not keep all others from their vendors.
WAIT_MS, TURN_MS = 30_000, 10_000
# A server's clock is mended by steps of less; calls that lie further ahead are from before it was set anew.
CLOCK_STEP_S = 60.0
# The advisory lock of whoever makes the tables, beside the writer's.
MAKING_KEY = lease.ADVISORY_KEY + 1
SESSION_SETTINGS = {
    **lease.SESSION_SETTINGS,
    "lock_timeout": f"{WAIT_MS}ms",
    "idle_in_transaction_session_timeout": f"{TURN_MS}ms",
    "search_path": "daybook_limits",
}

Ask = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


class Budget:
    """A store for `limits.Limits` that all machines share which share the lake's catalog.

    Args:
        location: a lake whose catalog is on PostgreSQL.
        account: vendor and digest of the account; others are counted for themselves.
    """

    def __init__(self, location: LakeLocation, account: str) -> None:
        self.prefix = f"{account}/"
        self._location = location
        self._account = account
        self._lock = threading.Lock()
        self._open: psycopg.Connection[Any] | None = None

    @contextlib.contextmanager
    def turn(self) -> Iterator[tuple[Ask, float]]:
        """What runs a statement, and the server's time in seconds at which the turn came; see `limits.Store`.

        Raises:
            ConfigError: the server cannot be reached, or refuses.
        """
        with self._lock, self._told_plainly():
            session = self._session()
            with session.transaction():
                now = self._take(session)
                yield (lambda statement, values: _run(session, statement, values)), now

    def _take(self, session: psycopg.Connection[Any]) -> float:
        """The time, once nobody else has the account's row: it never goes back by a little."""
        session.execute("insert into account values (%s, 0) on conflict do nothing", [self._account])
        session.execute("select from account where account = %s for update", [self._account])
        row = session.execute(
            "update account set latest = case when latest > clock.now + %s then clock.now"
            " else greatest(latest, clock.now) end"
            " from (select extract(epoch from clock_timestamp())::double precision as now) as clock"
            " where account = %s returning latest",
            [CLOCK_STEP_S, self._account],
        ).fetchone()
        assert row is not None, "the row was locked a moment ago"
        return float(row[0])

    def _session(self) -> psycopg.Connection[Any]:
        """The session kept from the turn before, or a new one where there is none that lives."""
        if self._open is not None:
            with contextlib.suppress(psycopg.OperationalError):
                self._open.execute("select 1")
                return self._open
            self._open.close()
        session = storage.connected(self._location, application_name="daybook rate budget")
        # An open connection that is forgotten warns; this one has no other end than its owner's.
        weakref.finalize(self, session.close)
        try:
            _prepare(session)
        except BaseException:
            session.close()
            raise
        self._open = session
        return session

    @contextlib.contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as exc:
            raise errors.ConfigError(
                f"calls to vendors cannot be counted in {self._location.name}: {self._location.told(exc)} Look at the "
                "server, and whether this role may write there; then run again."
            ) from exc


def _prepare(session: psycopg.Connection[Any]) -> None:
    settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in SESSION_SETTINGS.items())
    session.execute(f"select {settings}")
    found = session.execute("select to_regclass('daybook_limits.paused') is not null").fetchone()
    if found and found[0]:
        return
    # Two that make a table at the same moment would meet in the server's own catalog.
    session.execute("select pg_advisory_lock(%s)", [MAKING_KEY])
    session.execute(sql.load("rate_budget"))
    session.execute("select pg_advisory_unlock(%s)", [MAKING_KEY])


def _run(session: psycopg.Connection[Any], statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    cursor = session.execute(statement.replace("?", "%s"), list(values))
    return cursor.fetchall() if cursor.description else []
