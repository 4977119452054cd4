"""How many calls a vendor allows, for the whole account and for single endpoints, over all threads of a process.

Invariants: in no window do more calls start than are allowed; a limit that the vendor tells is kept from then on; a
limit of an hour or a day costs no hour or day, because a wait beyond patience is an error. Partner: `http.py`, which
waits here before each call.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping

from warehouse import errors


class Limiter:
    """At most `calls` in any `per_s` seconds, over all threads of the process."""

    def __init__(self, calls: int, per_s: float) -> None:
        self._calls, self._per_s = calls, per_s
        self._lock = threading.Lock()
        self._started: list[float] = []

    def wait(self, longest_s: float = math.inf) -> None:
        """Return when one more call is allowed.

        Args:
            longest_s: patience for one wait.

        Raises:
            RateLimited: the next call is further away.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                self._started = [at for at in self._started if at > now - self._per_s]
                if len(self._started) < self._calls:
                    self._started.append(now)
                    return
                pause = self._started[0] + self._per_s - now
            if pause > longest_s:
                raise errors.RateLimited(
                    f"{self._calls} calls in {self._per_s:g} s are allowed and were made; the next is {pause:.0f} s "
                    "away. Run again later, or raise the limit in the settings if the account allows more.",
                    pause,
                )
            time.sleep(max(pause, 0.001))

    def pause(self, seconds: float) -> None:
        """Let nobody call for some seconds, because the vendor said so; what already holds calls back stays."""
        with self._lock:
            counts_from = time.monotonic() + seconds - self._per_s
            missing = [counts_from] * (self._calls - len(self._started))
            self._started = missing + [max(at, counts_from) for at in self._started]


class Limits:
    """The vendor's limits: one over the whole account, and those of single endpoints, told or learned.

    Args:
        calls: calls allowed over all endpoints in any `per_s` seconds.
        per_s: see `calls`.
        endpoint_limits: calls allowed, and in how many seconds, for endpoints with a limit of their own.
    """

    def __init__(self, calls: int, per_s: float, endpoint_limits: Mapping[str, tuple[int, float]]) -> None:
        self._lock = threading.Lock()
        self._account = Limiter(calls, per_s)
        self._allowed = dict(endpoint_limits)
        self._by_endpoint = {name: Limiter(*allowed) for name, allowed in self._allowed.items()}

    def wait(self, endpoint: str, longest_s: float = math.inf) -> None:
        """Return when one more call to the endpoint is allowed.

        Args:
            endpoint: what will be called.
            longest_s: patience for one wait.

        Raises:
            RateLimited: the next call is further away.
        """
        with self._lock:
            own = self._by_endpoint.get(endpoint)
        if own is not None:
            own.wait(longest_s)
        self._account.wait(longest_s)

    def learn(self, endpoint: str, calls: int, per_s: float) -> bool:
        """Whether the endpoint's limit, as the vendor told it, was news; from now on it is kept."""
        with self._lock:
            if self._allowed.get(endpoint) == (calls, per_s):
                return False
            self._allowed[endpoint] = (calls, per_s)
            self._by_endpoint[endpoint] = Limiter(calls, per_s)
            return True

    def pause(self, endpoint: str, seconds: float) -> None:
        """Let nobody call the endpoint for some seconds; nobody at all where it has no limit of its own."""
        with self._lock:
            limiter = self._by_endpoint.get(endpoint, self._account)
        limiter.pause(seconds)
