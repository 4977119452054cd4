"""How many calls a vendor allows, for the whole account and for single endpoints, over all that share a file.

The calls made, the limits learned and the pauses asked for are rows of a small SQLite file: every thread, process and
run of a home that opens it counts the calls of all others too, and remembers what the vendor said to them. Invariants:
in no window do more calls start than are allowed; a limit that the vendor tells counts for a day; a limit of an hour or
a day costs no hour or day, because a wait beyond patience is an error. Partner: `http.py`, which waits here before each
call.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from warehouse import errors

# What the vendor told is believed for a day: an account that was raised costs one refused call a day to find out about.
BELIEVED_S = 86_400.0
# Seconds for which another process may hold the file; each holds it for less than a millisecond.
LOCK_S = 30.0
# The whole account, beside the endpoints' own names.
ACCOUNT = ""
_TABLES = """
create table if not exists started (scope text not null, at real not null);
create index if not exists started_by_scope on started (scope, at);
create table if not exists told (scope text primary key, calls integer not null, per_s real not null, at real not null);
create table if not exists paused (scope text primary key, since real not null, until real not null);
"""


class Limits:
    """The vendor's limits: one over the whole account, and those of single endpoints, told or learned.

    Time is the machine's monotonic clock, which all its processes share and which nobody sets. It begins anew with the
    machine, so what seems to lie in the future is from before, and is forgotten.

    Args:
        calls: calls allowed over all endpoints in any `per_s` seconds.
        per_s: see `calls`.
        endpoint_limits: calls allowed, and in how many seconds, for endpoints with a limit of their own.
        shared_file: kept here, and shared with everybody who names the same file; None for this object alone.
    """

    def __init__(
        self,
        calls: int,
        per_s: float,
        endpoint_limits: Mapping[str, tuple[int, float]],
        shared_file: Path | None = None,
    ) -> None:
        self._given = {**endpoint_limits, ACCOUNT: (calls, per_s)}
        self._file = shared_file
        self._lock = threading.Lock()

    def wait(self, endpoint: str, longest_s: float = math.inf) -> None:
        """Return when one more call to the endpoint is allowed; it counts as started then.

        Args:
            endpoint: what will be called.
            longest_s: patience for one wait.

        Raises:
            RateLimited: the next call is further away.
            ConfigError: the file cannot be used.
        """
        while True:
            with self._turn() as now:
                allowed = self._allowed(endpoint, now)
                pause, calls, per_s = max(
                    (self._seconds_to_wait(scope, *of_scope, now), *of_scope) for scope, of_scope in allowed.items()
                )
                if pause <= 0:
                    self._db.executemany("insert into started values (?, ?)", [(scope, now) for scope in allowed])
                    return
            if pause > longest_s:
                raise errors.RateLimited(
                    f"{calls} calls in {per_s:g} s are allowed and were made; the next is {pause:.0f} s "
                    "away. Run again later, or raise the limit in the settings if the account allows more.",
                    pause,
                )
            time.sleep(max(pause, 0.001))

    def learn(self, endpoint: str, calls: int, per_s: float) -> bool:
        """Whether the endpoint's limit, as the vendor told it, was news; it counts from now on, for a day.

        Raises:
            ConfigError: the file cannot be used.
        """
        with self._turn() as now:
            is_news = self._allowed(endpoint, now).get(endpoint) != (calls, per_s)
            self._db.execute("insert or replace into told values (?, ?, ?, ?)", (endpoint, calls, per_s, now))
        return is_news

    def pause(self, endpoint: str, seconds: float) -> None:
        """Let nobody call the endpoint for some seconds; nobody at all where it has no limit of its own.

        Raises:
            ConfigError: the file cannot be used.
        """
        with self._turn() as now:
            scope = endpoint if endpoint in self._allowed(endpoint, now) else ACCOUNT
            self._db.execute(
                "insert into paused values (?, ?, ?) on conflict (scope) do update"
                " set since = excluded.since, until = max(until, excluded.until)",
                (scope, now, now + seconds),
            )

    def _allowed(self, endpoint: str, now: float) -> dict[str, tuple[int, float]]:
        """What limits a call to the endpoint: the account's limit, and its own if there is one."""
        told = self._db.execute(
            "select calls, per_s from told where scope = ? and at between ? and ?", (endpoint, now - BELIEVED_S, now)
        ).fetchone()
        own = tuple(told) if told else self._given.get(endpoint)
        return {ACCOUNT: self._given[ACCOUNT]} | ({endpoint: own} if own else {})

    def _seconds_to_wait(self, scope: str, calls: int, per_s: float, now: float) -> float:
        """How far away the next call is, by the pauses asked for and by the calls that started."""
        self._db.execute("delete from started where scope = ? and (at <= ? or at > ?)", (scope, now - per_s, now))
        self._db.execute("delete from paused where scope = ? and (until <= ? or since > ?)", (scope, now, now))
        paused = self._db.execute("select until from paused where scope = ?", (scope,)).fetchone()
        # With this many started since, one more would be one too many.
        last = self._db.execute(
            "select at from started where scope = ? order by at desc limit 1 offset ?", (scope, calls - 1)
        ).fetchone()
        return max(paused[0] - now if paused else 0.0, last[0] + per_s - now if last else 0.0)

    @functools.cached_property
    def _db(self) -> sqlite3.Connection:
        """Opened at the first call: who only reads the lake needs no file. Threads take turns by the lock."""
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._file or ":memory:", timeout=LOCK_S, isolation_level=None, check_same_thread=False)
        # What a crash of the machine would lose is forgotten with its clock anyway.
        db.execute("pragma synchronous = off")
        db.executescript(_TABLES)
        return db

    @contextlib.contextmanager
    def _turn(self) -> Iterator[float]:
        """The only one to read and write, over all threads and processes; yields the time at which its turn came."""
        with self._lock, self._told_plainly():
            self._db.execute("begin immediate")
            try:
                yield time.monotonic()
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    @contextlib.contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise errors.ConfigError(
                f"the vendors' limits cannot be kept in {self._file}: {exc}. Look at the disk and the folder's rights; "
                "the file may be removed when no run is under way."
            ) from exc
