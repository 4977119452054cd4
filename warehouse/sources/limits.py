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
import hashlib
import math
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

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


class Limits:
    """The vendor's limits: one over the whole account, and those of single endpoints, set or told by the vendor.

    Where an endpoint has both, both hold: a desk may be gentler than it must. A limit that was told falls when the
    setting beside it is changed, because somebody knows better. Time is the machine's monotonic clock, which all its
    processes share and which nobody sets. It begins anew with the machine, so what seems to lie in the future is from
    before, and is forgotten.

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
                limited = self._limits(endpoint, now)
                held = [
                    (self._seconds_to_wait(scope, *limit, now), *limit, word)
                    for scope, limits in limited.items()
                    for limit, word in limits
                ]
                pause, calls, per_s, word = max([*held, (self._seconds_of_pause(endpoint, now), 0, 0.0, "")])
                if pause <= 0:
                    self._db.executemany("insert into started values (?, ?)", [(scope, now) for scope in limited])
                    return
            if pause > longest_s:
                raise errors.RateLimited(_refusal(pause, calls, per_s, word), pause)
            time.sleep(max(pause, 0.001))

    def learn(self, endpoint: str, calls: int, per_s: float) -> bool:
        """Whether the endpoint's limit, as the vendor told it, was news; it counts from now on, for a day.

        Raises:
            ConfigError: the file cannot be used.
        """
        with self._turn() as now:
            is_news = ((calls, per_s), TOLD) not in self._limits(endpoint, now).get(endpoint, [])
            self._db.execute(
                "insert or replace into told values (?, ?, ?, ?, ?)",
                (endpoint, calls, per_s, now, self._setting(endpoint)),
            )
        return is_news

    def pause(self, endpoint: str, seconds: float) -> None:
        """Let nobody call the endpoint for some seconds; nobody at all where it has no limit of its own.

        Raises:
            ConfigError: the file cannot be used.
        """
        with self._turn() as now:
            scope = endpoint if endpoint in self._limits(endpoint, now) else ACCOUNT
            self._db.execute(
                "insert into paused values (?, ?, ?) on conflict (scope) do update"
                " set since = excluded.since, until = max(until, excluded.until)",
                (scope, now, now + seconds),
            )

    def _limits(self, endpoint: str, now: float) -> dict[str, list[tuple[tuple[int, float], str]]]:
        """What limits a call to the endpoint, by scope: calls in seconds, and on whose word."""
        self._db.execute(
            "delete from told where scope = ? and (at <= ? or at > ? or setting <> ?)",
            (endpoint, now - BELIEVED_S, now, self._setting(endpoint)),
        )
        told = self._db.execute("select calls, per_s from told where scope = ?", (endpoint,)).fetchone()
        of_endpoint = [(self._given[endpoint], SET)] if endpoint in self._given else []
        if told:
            of_endpoint.append(((int(told[0]), float(told[1])), TOLD))
        of_account = {ACCOUNT: [(self._given[ACCOUNT], SET)]}
        return of_account | {endpoint: of_endpoint} if of_endpoint else of_account

    def _setting(self, endpoint: str) -> str:
        return str(self._given.get(endpoint, self._given[ACCOUNT]))

    def _seconds_to_wait(self, scope: str, calls: int, per_s: float, now: float) -> float:
        """How far away the next call is by those that started."""
        kept_from = now - max(per_s, BELIEVED_S)
        self._db.execute("delete from started where scope = ? and (at <= ? or at > ?)", (scope, kept_from, now))
        # With this many started since, one more would be one too many.
        last = self._db.execute(
            "select at from started where scope = ? order by at desc limit 1 offset ?", (scope, calls - 1)
        ).fetchone()
        return float(last[0] + per_s - now) if last else 0.0

    def _seconds_of_pause(self, endpoint: str, now: float) -> float:
        """How long the vendor asked us to wait."""
        self._db.execute("delete from paused where until <= ? or since > ?", (now, now))
        until = self._db.execute("select max(until) from paused where scope in (?, ?)", (ACCOUNT, endpoint)).fetchone()
        return float(until[0] - now) if until[0] is not None else 0.0

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
