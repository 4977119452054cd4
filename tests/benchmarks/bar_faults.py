"""Bars spoilt by seed in ten ways, with the answer key, and how findings are held against it.

Each way has several variants, plain and consistent ones: a vendor that slips on a close also computes a wrong `change`
from it. Faults keep their distance, so that what one of them causes on the security's next bar is not another's. An
exact copy of a row is no fault: the load drops it, and nothing in the lake is wrong.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

PRICES = ["open", "high", "low", "close"]
VALUES = [*PRICES, "pre_close", "change", "pct_chg", "vol", "amount"]
# Faults of one security lie at least so many bars apart.
LEAST_DISTANCE = 12
# A factor that changes by less is within the error of the file's factors (0.09 %).
LEAST_SPLIT = 0.001


@dataclass
class Tables:
    """Bars, factors and basics by position: sorted by ts_code and trade_date, dates as `datetime.date`."""

    daily: pd.DataFrame
    adj_factor: pd.DataFrame
    daily_basic: pd.DataFrame


@dataclass(frozen=True)
class Fault:
    """One planted fault.

    Args:
        kind: one of `KINDS`.
        variant: which of its ways.
        ts_code: security.
        days: every day whose row is not what it was.
        next_day: the security's bar after them, which no longer fits its bar before; None at the end.
        removes: whether the row of a day is gone from its key.
    """

    kind: str
    variant: str
    ts_code: str
    days: tuple[date, ...]
    next_day: date | None
    removes: bool = False


def plant(tables: Tables, rng: np.random.Generator, one_in: int = 2000) -> tuple[Tables, list[Fault]]:
    """Spoilt copies of the tables, and what was done to them.

    Args:
        tables: sound ones.
        rng: chooses rows and variants.
        one_in: one fault in so many bars, the kinds in equal numbers.
    """
    planter = Planter(tables, rng)
    n_faults = len(tables.daily) // one_in
    # Splits first: they are rarer than bars, and need their ex-rights day free.
    kinds = sorted(KINDS, key=lambda kind: kind != "missed_split")
    for number in range(n_faults):
        planter.plant(kinds[number * len(kinds) // n_faults])
    return planter.finished(), planter.faults


class Planter:
    """The tables while they are being spoilt."""

    def __init__(self, tables: Tables, rng: np.random.Generator) -> None:
        self.rng = rng
        self.daily = tables.daily.reset_index(drop=True).copy()
        self.factor = tables.adj_factor.copy()
        self.basic = tables.daily_basic.copy()
        self.codes = self.daily["ts_code"].to_numpy()
        self.days = self.daily["trade_date"].to_numpy()
        self.sessions = set(self.days)
        self.is_free = np.ones(len(self.daily), bool)
        # The first and last bars of a security have no neighbour to be compared with.
        edge = np.flatnonzero(np.r_[True, self.codes[1:] != self.codes[:-1], True])
        for at in edge:
            self.is_free[max(at - 6, 0) : at + 6] = False
        self.by_day = self.daily.groupby("trade_date").indices
        joined = self.daily[["ts_code", "trade_date"]].merge(self.factor, how="left", on=["ts_code", "trade_date"])
        ratio = joined["adj_factor"].to_numpy() / joined["adj_factor"].shift().to_numpy()
        self.is_split = np.abs(ratio - 1) > LEAST_SPLIT
        self.dropped: list[int] = []
        self.added: list[pd.DataFrame] = []
        self.no_basic: list[int] = []
        self.no_factor: list[int] = []
        self.faults: list[Fault] = []

    def plant(self, kind: str) -> None:
        """Spoil a free row in one of the ways of a kind."""
        while True:
            wanted = self.is_free & (self.is_split if kind == "missed_split" else True)
            at = int(self.rng.choice(np.flatnonzero(wanted)))
            variants = KINDS[kind]
            variant = list(variants)[self.rng.integers(len(variants))]
            outcome = variants[variant](self, at)
            if outcome is not None:
                break
        days, removes = outcome
        last = max(at, *(self._position(at, day) for day in days))
        self.is_free[at - LEAST_DISTANCE if at > LEAST_DISTANCE else 0 : last + LEAST_DISTANCE] = False
        code = self.codes[at]
        next_day = self.days[last + 1] if last + 1 < len(self.codes) and self.codes[last + 1] == code else None
        self.faults.append(Fault(kind, variant, code, tuple(days), next_day, removes))

    def finished(self) -> Tables:
        """The tables as the vendor would send them."""
        keys = ["ts_code", "trade_date"]
        gone = self.daily.iloc[self.no_basic][keys]
        basic = self.basic.merge(gone, on=keys, how="left", indicator=True)
        no_factor = self.daily.iloc[self.no_factor][keys]
        factor = self.factor.merge(no_factor, on=keys, how="left", indicator=True)
        return Tables(
            pd.concat([self.daily.drop(index=self.dropped), *self.added], ignore_index=True),
            factor[factor["_merge"] == "left_only"].drop(columns="_merge"),
            basic[basic["_merge"] == "left_only"].drop(columns="_merge"),
        )

    def _position(self, at: int, day: date) -> int:
        """The position of the security's last bar up to a day."""
        while at + 1 < len(self.codes) and self.codes[at + 1] == self.codes[at] and self.days[at + 1] <= day:
            at += 1
        return at

    def scale(self, at: int, columns: list[str], by: float) -> None:
        """Multiply some columns of a row, rounded as the vendor rounds."""
        for column in columns:
            digits = {"vol": 2, "amount": 3}.get(column, 4 if by < 1 else 2)
            self.daily.loc[at, column] = round(self.daily.loc[at, column] * by, digits)

    def set_values(self, at: int, values: dict[str, float]) -> None:
        """Replace some columns of a row."""
        for column, value in values.items():
            self.daily.loc[at, column] = value

    def recompute(self, at: int) -> None:
        """Let `change` and `pct_chg` follow from the prices."""
        close, before = self.daily.loc[at, "close"], self.daily.loc[at, "pre_close"]
        self.set_values(at, {"change": round(close - before, 4), "pct_chg": round((close / before - 1) * 100, 4)})

    def row(self, at: int) -> dict[str, float]:
        """The values of a row."""
        return self.daily.loc[at, VALUES].to_dict()

    def add_row(self, values_at: int, day: date) -> None:
        """A row more: a security's values under another day."""
        self.added.append(self.daily.loc[[values_at]].assign(trade_date=day))

    def ten(self) -> float:
        """Ten or a tenth."""
        return float(self.rng.choice([10.0, 0.1]))


Outcome = tuple[list[date], bool] | None


def _here(p: Planter, at: int, removes: bool = False) -> Outcome:
    return [p.days[at]], removes


def _slip_one_price(p: Planter, at: int) -> Outcome:
    p.scale(at, [str(p.rng.choice(PRICES))], p.ten())
    return _here(p, at)


def _slip_close_with_change(p: Planter, at: int) -> Outcome:
    p.scale(at, ["close"], p.ten())
    row = p.row(at)
    p.set_values(at, {"high": max(row["high"], row["close"]), "low": min(row["low"], row["close"])})
    p.recompute(at)
    return _here(p, at)


def _slip_whole_bar(p: Planter, at: int) -> Outcome:
    p.scale(at, PRICES, p.ten())
    p.recompute(at)
    return _here(p, at)


def _slip_with_pre_close(p: Planter, at: int) -> Outcome:
    p.scale(at, [*PRICES, "pre_close", "change"], p.ten())
    return _here(p, at)


def _slip_volume(p: Planter, at: int) -> Outcome:
    p.scale(at, [str(p.rng.choice(["vol", "amount"]))], p.ten())
    return _here(p, at)


def _swap(first: str, second: str, *, is_consistent: bool = False) -> Callable[[Planter, int], Outcome]:
    def run(p: Planter, at: int) -> Outcome:
        row = p.row(at)
        if row[first] == row[second]:
            return None
        p.set_values(at, {first: row[second], second: row[first]})
        if is_consistent:
            p.recompute(at)
        return _here(p, at)

    return run


def _freeze_at_close(p: Planter, at: int) -> Outcome:
    before = p.daily.loc[at, "pre_close"]
    p.set_values(at, dict.fromkeys(PRICES, before) | {"change": 0.0, "pct_chg": 0.0})
    return _here(p, at)


def _freeze_without_volume(p: Planter, at: int) -> Outcome:
    _freeze_at_close(p, at)
    p.set_values(at, {"vol": 0.0, "amount": 0.0})
    return _here(p, at)


def _freeze_prices(p: Planter, at: int) -> Outcome:
    """The prices of the day before beside the day's own volume."""
    before = p.row(at - 1)
    if all(before[name] == p.daily.loc[at, name] for name in PRICES):
        return None
    p.set_values(at, {name: before[name] for name in PRICES})
    p.recompute(at)
    return _here(p, at)


def _freeze_three_days(p: Planter, at: int) -> Outcome:
    last = p.daily.loc[at, "pre_close"]
    for position in range(at, at + 3):
        p.set_values(position, dict.fromkeys([*PRICES, "pre_close"], last) | {"change": 0.0, "pct_chg": 0.0})
    return list(p.days[at : at + 3]), False


def _neighbour(p: Planter, at: int) -> int | None:
    """The row after this one in the vendor's answer for the session."""
    of_day = p.by_day[p.days[at]]
    place = int(np.searchsorted(of_day, at))
    return int(of_day[place + 1]) if place + 1 < len(of_day) else None


def _copy_neighbour(columns: list[str], *, is_consistent: bool = False) -> Callable[[Planter, int], Outcome]:
    def run(p: Planter, at: int) -> Outcome:
        other = _neighbour(p, at)
        if other is None or not p.is_free[other]:
            return None
        values = p.row(other)
        p.set_values(at, {name: values[name] for name in columns})
        if is_consistent:
            p.recompute(at)
        return _here(p, at)

    return run


def _miss_split_forever(p: Planter, at: int) -> Outcome:
    return _miss_split(p, at, 10_000)


def _miss_split_for_days(p: Planter, at: int) -> Outcome:
    return _miss_split(p, at, int(p.rng.integers(1, 6)))


def _miss_split(p: Planter, at: int, n_days: int) -> Outcome:
    """The factor of the bars from an ex-rights day on as if there had been none."""
    code = p.codes[at]
    of_code = np.flatnonzero((p.factor["ts_code"] == code).to_numpy())
    days = p.factor["trade_date"].to_numpy()[of_code]
    start = int(np.searchsorted(days, p.days[at]))
    values = p.factor["adj_factor"].to_numpy().copy()
    stale = of_code[start : start + n_days]
    ratio = values[of_code[start]] / values[of_code[start - 1]]
    values[stale] = np.round(values[stale] / ratio, 6)
    p.factor["adj_factor"] = values
    if len(stale) < len(of_code) - start:
        return [days[start], days[start + n_days]], False
    return [days[start]], False


def _scale(columns: list[str], by: float) -> Callable[[Planter, int], Outcome]:
    def run(p: Planter, at: int) -> Outcome:
        p.scale(at, columns, by)
        return _here(p, at)

    return run


def _unit_of_both(p: Planter, at: int) -> Outcome:
    p.scale(at, ["vol"], 100.0)
    p.scale(at, ["amount"], 1000.0)
    return _here(p, at)


def _repeat_instead(p: Planter, at: int) -> Outcome:
    """The day's bar stands on the next session too, in place of that one's own."""
    p.set_values(at + 1, p.row(at))
    return [p.days[at + 1]], False


def _repeat_beside(p: Planter, at: int) -> Outcome:
    """The day's bar comes again under the next session, beside that one's own: both are set aside."""
    p.add_row(at, p.days[at + 1])
    return [p.days[at + 1]], True


def _repeat_on_closed_day(p: Planter, at: int) -> Outcome:
    closed = p.days[at] + timedelta(days=1)
    if closed in p.sessions:
        return None
    p.add_row(at, closed)
    return [closed], False


def _drop_bar(p: Planter, at: int) -> Outcome:
    p.dropped.append(at)
    return _here(p, at, removes=True)


def _drop_bar_and_basic(p: Planter, at: int) -> Outcome:
    p.no_basic.append(at)
    return _drop_bar(p, at)


def _drop_all(p: Planter, at: int) -> Outcome:
    p.no_factor.append(at)
    return _drop_bar_and_basic(p, at)


def _move_to_session(step: int) -> Callable[[Planter, int], Outcome]:
    def run(p: Planter, at: int) -> Outcome:
        p.add_row(at, p.days[at + step])
        p.dropped.append(at)
        return sorted([p.days[at], p.days[at + step]]), True

    return run


def _move_to_closed_day(p: Planter, at: int) -> Outcome:
    closed = p.days[at] + timedelta(days=1)
    if closed in p.sessions:
        return None
    p.add_row(at, closed)
    p.dropped.append(at)
    return [p.days[at], closed], True


def _swap_days(p: Planter, at: int) -> Outcome:
    first, second = p.row(at), p.row(at + 1)
    p.set_values(at, second)
    p.set_values(at + 1, first)
    return list(p.days[at : at + 2]), False


def _shift_run(p: Planter, at: int) -> Outcome:
    """Four bars stand a session too late each; the first day has none, the last one's own is lost."""
    rows = [p.row(position) for position in range(at, at + 4)]
    for position, values in enumerate(rows):
        p.set_values(at + 1 + position, values)
    p.dropped.append(at)
    return list(p.days[at : at + 5]), True


def _negate(column: str) -> Callable[[Planter, int], Outcome]:
    def run(p: Planter, at: int) -> Outcome:
        value = p.daily.loc[at, column]
        if not value:
            return None
        p.set_values(at, {column: -value})
        return _here(p, at)

    return run


def _negate_factor(p: Planter, at: int) -> Outcome:
    found = ((p.factor["ts_code"] == p.codes[at]) & (p.factor["trade_date"] == p.days[at])).to_numpy()
    p.factor.loc[found, "adj_factor"] *= -1
    # Set aside, it leaves the bar without a factor.
    return _here(p, at, removes=True)


KINDS: dict[str, dict[str, Callable[[Planter, int], Outcome]]] = {
    "decimal_slip": {
        "one price": _slip_one_price,
        "close and its change": _slip_close_with_change,
        "whole bar": _slip_whole_bar,
        "whole bar and pre_close": _slip_with_pre_close,
        "vol or amount": _slip_volume,
    },
    "swapped_columns": {
        "open and close": _swap("open", "close"),
        "open and close, change follows": _swap("open", "close", is_consistent=True),
        "high and low": _swap("high", "low"),
        "close and pre_close": _swap("close", "pre_close"),
        "close and pre_close, change follows": _swap("close", "pre_close", is_consistent=True),
        "open and high": _swap("open", "high"),
        "vol and amount": _swap("vol", "amount"),
    },
    "frozen_price": {
        "at the close before": _freeze_at_close,
        "at the close before, no volume": _freeze_without_volume,
        "prices of the day before": _freeze_prices,
        "three days": _freeze_three_days,
    },
    "copied_neighbour": {
        "whole row": _copy_neighbour(VALUES),
        "prices": _copy_neighbour([*PRICES, "pre_close", "change", "pct_chg"]),
        "close": _copy_neighbour(["close"]),
        "four prices, change follows": _copy_neighbour(PRICES, is_consistent=True),
        "volume": _copy_neighbour(["vol", "amount"]),
    },
    "missed_split": {"forever": _miss_split_forever, "for some days": _miss_split_for_days},
    "wrong_unit": {
        "shares for lots": _scale(["vol"], 100.0),
        "CNY for thousands": _scale(["amount"], 1000.0),
        "ten thousand CNY": _scale(["amount"], 0.1),
        "fen for CNY": _scale([*PRICES, "pre_close", "change"], 100.0),
        "shares and CNY": _unit_of_both,
        "both a hundredfold": _scale(["vol", "amount"], 100.0),
    },
    "duplicated_day": {
        "instead of the next": _repeat_instead,
        "beside the next": _repeat_beside,
        "on a closed day": _repeat_on_closed_day,
    },
    "missing_day": {"bar": _drop_bar, "bar and basics": _drop_bar_and_basic, "bar, basics and factor": _drop_all},
    "off_by_one_date": {
        "a session late": _move_to_session(1),
        "a session early": _move_to_session(-1),
        "on a closed day": _move_to_closed_day,
        "two days swapped": _swap_days,
        "four days late": _shift_run,
    },
    "sign_error": {
        **{column: _negate(column) for column in ("close", "low", "vol", "amount", "pct_chg", "change")},
        "factor": _negate_factor,
    },
}


def with_agreeing_basics(tables: Tables) -> Tables:
    """The same tables, the basics' close being the bar's: the vendor computed both from one faulty figure."""
    close = tables.daily.drop_duplicates(["ts_code", "trade_date"], keep="last")[["ts_code", "trade_date", "close"]]
    merged = tables.daily_basic.merge(close, on=["ts_code", "trade_date"], how="left", suffixes=("", "_bar"))
    merged["close"] = merged["close_bar"].where(merged["close_bar"] > 0, merged["close"])
    return dataclasses.replace(tables, daily_basic=merged.drop(columns="close_bar"))


@dataclass(frozen=True)
class Score:
    """Findings against the answer key.

    Args:
        found: per kind, (found, planted).
        found_same_day: faults named on a day of their own, and not only on the security's next bar.
        missed: faults no finding names.
        true_findings: findings that name a fault.
        false_findings: the others.
    """

    found: dict[str, tuple[int, int]]
    found_same_day: int
    missed: list[Fault]
    true_findings: int
    false_findings: list[dict[str, object]]

    @property
    def recall(self) -> float:
        """Share of the faults that were found."""
        found, planted = (sum(counts) for counts in zip(*self.found.values(), strict=True))
        return found / planted

    @property
    def precision(self) -> float:
        """Share of the findings that name a fault."""
        n_findings = self.true_findings + len(self.false_findings)
        return self.true_findings / n_findings if n_findings else 1.0


def score(findings: list[dict[str, object]], faults: list[Fault]) -> Score:
    """How many faults were found, and how many findings name one.

    A finding names a fault when it is about its security and one of its days, or the security's next bar, which no
    longer fits the one before. A finding about a whole table names the faults that took a row away on its day.
    """
    by_key: dict[tuple[str, date], list[Fault]] = defaultdict(list)
    for fault in faults:
        for day in (*fault.days, *([fault.next_day] if fault.next_day else [])):
            by_key[fault.ts_code, day].append(fault)
        if fault.removes:
            for day in fault.days:
                by_key["market.", day].append(fault)
    hit: set[int] = set()
    hit_same_day: set[int] = set()
    false = []
    for finding in findings:
        subject, day = str(finding["subject"]), finding["subject_date"]
        named = by_key["market." if subject.startswith("market.") else subject, day]
        if subject.startswith("market.") and not named:
            named = [each for code in _codes_in(finding) for each in by_key[code, day]]
        if not named:
            false.append(finding)
        hit.update(id(each) for each in named)
        hit_same_day.update(id(each) for each in named if day in each.days)
    kinds = {fault.kind for fault in faults}
    return Score(
        {
            kind: (
                sum(id(fault) in hit for fault in faults if fault.kind == kind),
                sum(fault.kind == kind for fault in faults),
            )
            for kind in sorted(kinds)
        },
        len(hit_same_day),
        [fault for fault in faults if id(fault) not in hit],
        len(findings) - len(false),
        false,
    )


def _codes_in(finding: dict[str, object]) -> list[str]:
    """The securities that a finding about a whole table lists in its evidence."""
    evidence = json.loads(str(finding["evidence"]) or "{}")
    listed = [evidence.get("ts_code"), *evidence.get("first", []), *evidence.get("missing", [])]
    return [code for code in listed if isinstance(code, str)]
