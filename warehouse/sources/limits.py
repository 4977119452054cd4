"""How many calls a vendor allows, for the whole account and for single endpoints, over all that share a store.

The calls made, the limits learned and the pauses asked for are rows of a store: a small SQLite file that every thread,
process and run of a home opens, or what the caller hands in for several machines. Each counts the calls of all others
too, and remembers what the vendor said to them. Invariants: in no window do more calls start than are allowed; a limit
that the vendor tells counts for a day; a limit of an hour or a day costs no hour or day, because a wait beyond patience
is an error. Partner: `http.py`, which waits here before each call.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from warehouse import errors

# What the vendor told is believed for a day: an account that was raised costs one refused call a day to find out about.
# Calls are remembered as long, whatever the window of the one who counts them.
BELIEVED_S = 86_400.0
# Seconds for which another process may hold the file; each holds it for less than a millisecond.
LOCK_S = 30.0
# The whole account, beside the endpoints' own names.
ACCOUNT = ""
# On whose word a limit holds.
SET, TOLD = "set", "told"
_TABLES = """
create table if not exists started (scope text not null, at real not null);
create index if not exists started_by_scope on started (scope, at);
create table if not exists told (
    scope text primary key, calls integer not null, per_s real not null, at real not null, setting text not null
);
create table if not exists paused (scope text primary key, since real not null, until real not null);
"""


# Runs one statement, its values as `?`, and gives the rows of a SELECT.
Ask = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


class Store(Protocol):
    """Where calls are counted.

    Its tables `started (scope, at)`, `told (scope, calls, per_s, at, setting)` and `paused (scope, since, until)` hold
    scopes that begin with its prefix.
    """

    prefix: str

    def turn(self) -> AbstractContextManager[tuple[Ask, float]]:
        """The only one to read and write, over all that share the store; all is written at its end, or nothing.

        Yields:
            What runs a statement, and the time in seconds at which the turn came, by a clock that all share.

        Raises:
            ConfigError: the store cannot be used.
        """


# A file, or a store of the caller's.
Shared = Path | Store


class Limits:
    """The vendor's limits: one over the whole account, and those of single endpoints, set or told by the vendor.

    Where an endpoint has both, both hold: a desk may be gentler than it must. A limit that was told falls when the
    setting beside it is changed, because somebody knows better. What seems to lie in the future by the store's clock is
    from before that clock began anew, and is forgotten.

    Args:
        calls: calls allowed over all endpoints in any `per_s` seconds.
        per_s: see `calls`.
        endpoint_limits: calls allowed, and in how many seconds, for endpoints with a limit of their own.
        shared: kept there, a file or a store, and shared with everybody who names the same; None for this object alone.
    """

    def __init__(
        self,
        calls: int,
        per_s: float,
        endpoint_limits: Mapping[str, tuple[int, float]],
        shared: Shared | None = None,
    ) -> None:
        self._given = {**endpoint_limits, ACCOUNT: (calls, per_s)}
        self._store = _File(shared) if shared is None or isinstance(shared, Path) else shared

    def wait(self, endpoint: str, longest_s: float = math.inf) -> None:
        """Return when one more call to the endpoint is allowed; it counts as started then.

        Args:
            endpoint: what will be called.
            longest_s: patience for one wait.

        Raises:
            RateLimited: the next call is further away.
            ConfigError: the store cannot be used.
        """
        while True:
            with self._store.turn() as (ask, now):
                limited = self._limits(ask, endpoint, now)
                held = [
                    (self._seconds_to_wait(ask, scope, limit, now), *limit, word)
                    for scope, limits in limited.items()
                    for limit, word in limits
                ]
                pause, calls, per_s, word = max([*held, (self._seconds_of_pause(ask, endpoint, now), 0, 0.0, "")])
                if pause <= 0:
                    for scope in limited:
                        ask("insert into started (scope, at) values (?, ?)", (self._scope(scope), now))
                    return
            if pause > longest_s:
                raise errors.RateLimited(_refusal(pause, calls, per_s, word), pause)
            time.sleep(max(pause, 0.001))

    def learn(self, endpoint: str, calls: int, per_s: float) -> bool:
        """Whether the endpoint's limit, as the vendor told it, was news; it counts from now on, for a day.

        Raises:
            ConfigError: the store cannot be used.
        """
        with self._store.turn() as (ask, now):
            is_news = ((calls, per_s), TOLD) not in self._limits(ask, endpoint, now).get(endpoint, [])
            ask(
                "insert into told (scope, calls, per_s, at, setting) values (?, ?, ?, ?, ?) on conflict (scope) do"
                " update set calls = excluded.calls, per_s = excluded.per_s, at = excluded.at,"
                " setting = excluded.setting",
                (self._scope(endpoint), calls, per_s, now, self._setting(endpoint)),
            )
        return is_news

    def pause(self, endpoint: str, seconds: float) -> None:
        """Let nobody call the endpoint for some seconds; nobody at all where it has no limit of its own.

        Raises:
            ConfigError: the store cannot be used.
        """
        with self._store.turn() as (ask, now):
            scope = endpoint if endpoint in self._limits(ask, endpoint, now) else ACCOUNT
            ask(
                "insert into paused (scope, since, until) values (?, ?, ?) on conflict (scope) do update"
                " set since = excluded.since,"
                " until = case when excluded.until > paused.until then excluded.until else paused.until end",
                (self._scope(scope), now, now + seconds),
            )

    def _limits(self, ask: Ask, endpoint: str, now: float) -> dict[str, list[tuple[tuple[int, float], str]]]:
        """What limits a call to the endpoint, by scope: calls in seconds, and on whose word."""
        ask(
            "delete from told where scope = ? and (at <= ? or at > ? or setting <> ?)",
            (self._scope(endpoint), now - BELIEVED_S, now, self._setting(endpoint)),
        )
        told = ask("select calls, per_s from told where scope = ?", (self._scope(endpoint),))
        of_endpoint = [(self._given[endpoint], SET)] if endpoint in self._given else []
        of_endpoint += [((int(calls), float(per_s)), TOLD) for calls, per_s in told]
        of_account = {ACCOUNT: [(self._given[ACCOUNT], SET)]}
        return of_account | {endpoint: of_endpoint} if of_endpoint else of_account

    def _scope(self, name: str) -> str:
        return self._store.prefix + name

    def _setting(self, endpoint: str) -> str:
        return str(self._given.get(endpoint, self._given[ACCOUNT]))

    def _seconds_to_wait(self, ask: Ask, scope: str, limit: tuple[int, float], now: float) -> float:
        """How far away the next call is by those that started."""
        calls, per_s = limit
        kept_from = now - max(per_s, BELIEVED_S)
        ask("delete from started where scope = ? and (at <= ? or at > ?)", (self._scope(scope), kept_from, now))
        # With this many started since, one more would be one too many.
        last = ask(
            "select at from started where scope = ? order by at desc limit 1 offset ?", (self._scope(scope), calls - 1)
        )
        return float(last[0][0] + per_s - now) if last else 0.0

    def _seconds_of_pause(self, ask: Ask, endpoint: str, now: float) -> float:
        """How long the vendor asked us to wait."""
        scopes = (self._scope(ACCOUNT), self._scope(endpoint))
        ask("delete from paused where scope in (?, ?) and (until <= ? or since > ?)", (*scopes, now, now))
        until = ask("select max(until) from paused where scope in (?, ?)", scopes)[0][0]
        return float(until - now) if until is not None else 0.0


class _File:
    """A store that is an SQLite file, or this process's memory.

    Its time is the machine's monotonic clock, which all processes share and which nobody sets; it begins anew with the
    machine.

    Args:
        file: kept here; None for memory.
    """

    prefix = ""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()

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
    def turn(self) -> Iterator[tuple[Ask, float]]:
        """See `Store`."""
        with self._lock, self._told_plainly():
            self._db.execute("begin immediate")
            try:
                yield (lambda statement, values: self._db.execute(statement, values).fetchall()), time.monotonic()
                self._db.execute("commit")
            except BaseException:
                # A commit may fail too, and an open transaction would keep everybody out.
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    @contextlib.contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise errors.ConfigError(
                f"the vendors' limits cannot be kept in {self._file}: {exc}. Look at the disk and the folder's rights; "
                "the file may be removed when no run is under way."
            ) from exc


def file_of(folder: Path, vendor: str, *account: str) -> Path:
    """Where the calls of an account are counted: another account, or another server, is counted for itself.

    Args:
        folder: of all such files.
        vendor: its name.
        account: addresses and secrets that tell it from others; only a digest of them is in the name.
    """
    digest = hashlib.sha256("\n".join(account).encode()).hexdigest()[:12]
    return folder / f"{vendor}-{digest}.sqlite"


def _refusal(pause: float, calls: int, per_s: float, word: str) -> str:
    if not calls:
        return f"the vendor asked for a pause; the next call is {pause:.0f} s away. Run again later."
    made = f"{calls} calls in {per_s:g} s are allowed and were made; the next is {pause:.0f} s away. Run again later"
    if word == TOLD:
        return f"{made}: the vendor told so. If the account allows more by now, set the endpoint's limit anew."
    return f"{made}, or raise the limit in the settings if the account allows more."
