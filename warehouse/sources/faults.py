"""How does the simulated vendor misbehave, when, and how often?

A `Fault` names one misbehaviour and the requests it hits; a `FaultPlan` holds those in force and is shared by the
server thread and whoever plans the trouble. Faults are counted as they hit, so `times=2` heals by itself. Partner:
`simulator.py`, which turns a fault into bytes.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = frozenset(
    {
        "bad_token",
        "chunk_cut",
        "delay",
        "duplicate_rows",
        "empty",
        "html_200",
        "late_correction",
        "no_permission",
        "null_column",
        "old_csv",
        "partial_market",
        "rate_limit",
        "reset",
        "reversed_rows",
        "row_cap",
        "short_length",
        "status",
        "trickle",
        "truncate",
        "wrong_series",
    }
)


@dataclass(frozen=True)
class Fault:
    """One misbehaviour of the simulated vendor.

    Args:
        kind: one of KINDS. `truncate` cuts a close-delimited body, `short_length` one that announced its length,
            `chunk_cut` one sent in chunks; `reset` resets the connection before the first byte, `trickle` sends ten
            pieces with a pause before each, `old_csv` is FRED's format of before 2025, `reversed_rows` Tushare's other
            order; the others are named after what the client sees.
        endpoint: Tushare api name, `fredgraph.csv`, `fred/` and an endpoint of FRED's API, or `*` for all.
        partition: trade_date (YYYYMMDD), ts_code or series_id of the requests to hit; None means any.
        times: how many requests it hits; None means until lifted.
        probability: share of matching requests it hits; None means all.
        seed: seeds the draw of `probability` and of the rows that `partial_market` keeps.
        status: HTTP status of `status`.
        seconds: wait of `delay`, pause of `trickle`, `Retry-After` of `rate_limit`.
        cut_at: bytes of the body that still arrive, for the three cuts; negative counts from the end.
        share: share of rows kept by `partial_market`.
        cap: rows served by `row_cap`, rows repeated by `duplicate_rows`.
        series_id: series, or for Tushare trade_date or ts_code, that `wrong_series` serves instead; empty: any other.
        ts_codes: securities whose rows `late_correction` changes, empty for all; of FRED it changes the newest value.
        column: column changed by `late_correction`, emptied by `null_column`.
        factor: multiplier of `late_correction`.
    """

    kind: str
    endpoint: str = "*"
    partition: str | None = None
    times: int | None = None
    probability: float | None = None
    seed: int = 0
    status: int = 503
    seconds: float = 1.0
    cut_at: int = 200
    share: float = 0.5
    cap: int = 100
    series_id: str = ""
    ts_codes: tuple[str, ...] = ()
    column: str = "close"
    factor: float = 1.1

    def __post_init__(self) -> None:
        """Refuse a misspelt kind at once; a fault that never fires would make its test pass.

        Raises:
            ValueError: the kind is unknown.
        """
        if self.kind not in KINDS:
            raise ValueError(f"Unknown fault kind {self.kind!r}. Use one of {', '.join(sorted(KINDS))}.")
        object.__setattr__(self, "ts_codes", tuple(self.ts_codes))

    def concerns(self, endpoint: str, partition: str | None) -> bool:
        """Whether a request is of the sort this fault hits."""
        return self.endpoint in ("*", endpoint) and self.partition in (None, partition)


def fault_from_json(described: dict[str, Any]) -> Fault:
    """A fault from the JSON object of the control surface; keys are the fields of `Fault`.

    Raises:
        ValueError: a key or the kind is unknown.
    """
    unknown = sorted(set(described) - {each.name for each in dataclasses.fields(Fault)})
    if unknown or "kind" not in described:
        raise ValueError(f"Fault {described!r} has unknown keys {unknown} or no kind. Use the fields of Fault.")
    return Fault(**described)


class FaultPlan:
    """The faults in force; safe to change while requests run."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._active: list[_Active] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Put faults in force, after those already there."""
        with self._lock:
            self._active.extend(_Active(fault, np.random.default_rng(fault.seed)) for fault in faults)

    def clear(self) -> None:
        """Lift all faults."""
        with self._lock:
            self._active.clear()

    def replace(self, faults: Iterable[Fault]) -> None:
        """Lift all faults and put these in force, with no moment in between."""
        with self._lock:
            self._active = [_Active(fault, np.random.default_rng(fault.seed)) for fault in faults]

    def match(self, endpoint: str, partition: str | None) -> list[Fault]:
        """The faults that hit this request, in the order they were added; each hit is counted."""
        with self._lock:
            hits = [each for each in self._active if each.fault.concerns(endpoint, partition) and each.draw()]
        return [each.fault for each in hits]

    def hits(self) -> list[tuple[Fault, int]]:
        """Each fault in force with the number of requests it has hit so far."""
        with self._lock:
            return [(each.fault, each.n_hits) for each in self._active]


@dataclass
class _Active:
    fault: Fault
    rng: np.random.Generator
    n_hits: int = 0

    def draw(self) -> bool:
        """Whether the fault hits this time; a hit is counted."""
        fault = self.fault
        if fault.times is not None and self.n_hits >= fault.times:
            return False
        if fault.probability is not None and self.rng.random() >= fault.probability:
            return False
        self.n_hits += 1
        return True
