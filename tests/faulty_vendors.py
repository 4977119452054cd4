"""Vendors of whose answers a share is faulty: which, and how, follows from a seed.

A fault that changes figures without a trace hits a session's first evening only: it is what the later visits are for.
Partner: `quarter_desk.py`.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from warehouse.sources.faults import Fault, FaultPlan

# What a client sees at once, or what changes nothing.
LOUD = ("chunk_cut", "delay", "html_200", "reset", "short_length", "status", "trickle", "truncate")
QUIET = ("duplicate_rows", "empty", "late_correction", "null_column", "partial_market", "row_cap", "wrong_series")
REFUSALS = ("bad_token", "no_permission", "rate_limit")
FRED = "fredgraph.csv"
# A column of each table that a correction or a hole may hit.
COLUMNS = {"daily": ("close", "amount"), "adj_factor": ("adj_factor",), "daily_basic": ("turnover_rate", "pe_ttm")}
# Of the faults this share lasts for the run, and no retry heals them; and this share is of kinds that a client sees at
# once, most of which one does.
LASTING, SEEN = 0.04, 0.85


@dataclass(frozen=True)
class Answer:
    """One answer of the vendors, and what was wrong with it; nothing when `kind` is empty.

    `is_exposed` tells whether it could have been faulty: the vendors are well at times.
    """

    moment: str
    endpoint: str
    partition: str | None
    kind: str
    is_exposed: bool


class FaultyVendors(FaultPlan):
    """A plan under which a share of all answers is faulty.

    Args:
        seed: of the draws; the order in which threads ask changes none.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.share = 0.0
        self.answers: list[Answer] = []
        self._seed, self._moment, self._day = seed, "", date.min
        self._asked: Counter[tuple[str, str | None]] = Counter()
        self._lasting: dict[tuple[str, str | None], Fault] = {}
        self._guard = threading.Lock()

    def begin(self, moment: str, day: date) -> None:
        """What lasted ends; answers from now on are of this moment.

        Args:
            moment: its name.
            day: Shanghai's.
        """
        with self._guard:
            self._moment, self._day = moment, day
            self._asked.clear()
            self._lasting.clear()

    def match(self, endpoint: str, partition: str | None) -> list[Fault]:
        """What is wrong with the answer to this question; the answer is kept."""
        question = (endpoint, partition)
        with self._guard:
            self._asked[question] += 1
            chance = random.Random(f"{self._seed}|{self._moment}|{endpoint}|{partition}|{self._asked[question]}")
            fault = self._lasting.get(question)
            if fault is None and chance.random() < self.share:
                fault = self._draw(chance, endpoint, partition)
                if chance.random() < LASTING:
                    self._lasting[question] = fault
            kind = fault.kind if fault else ""
            self.answers.append(Answer(self._moment, endpoint, partition, kind, self.share > 0))
        return [fault] if fault else []

    def _draw(self, chance: random.Random, endpoint: str, partition: str | None) -> Fault:
        others: tuple[str, ...] = (*QUIET, "old_csv")
        if endpoint != FRED:
            is_first_visit = endpoint not in COLUMNS or partition == f"{self._day:%Y%m%d}"
            others = (*REFUSALS, *(QUIET if is_first_visit else ()))
        return Fault(
            chance.choice(LOUD if chance.random() < SEEN else others),
            seed=chance.randrange(1000),
            status=chance.choice((429, 500, 502, 503)),
            seconds=0.02,
            cut_at=chance.choice((0, 1, 60, 300, -1, -20)),
            share=chance.uniform(0.0, 0.95),
            cap=chance.choice((6, 12)),
            column=chance.choice(COLUMNS.get(endpoint, ("close",))),
            factor=chance.choice((0.9, 1.001, 1.1)),
        )


def unhealed(answers: Iterable[Answer]) -> list[Answer]:
    """The last answers to questions that no later answer to the same question made good."""
    last = {(answer.moment, answer.endpoint, answer.partition): answer for answer in answers}
    return [answer for answer in last.values() if answer.kind]
