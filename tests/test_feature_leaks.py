"""No feature knows the day after its own: the future is spoilt, and what was computed before it must keep its bits.

Every entry of `feature_list.FEATURES` passes through here by being there. The last test shifts each feature by a day
inside the code that computes it, and the detector has to name every one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest

from warehouse import feature_series, features, returns
from warehouse.tables import feature_list
from warehouse.tables.feature_list import Feature

Floats = npt.NDArray[np.float64]

# Long enough for a return over 252 own sessions with a few suspensions.
N_CODES, N_SESSIONS, N_AFTER = 6, 285, 8
# A feature that is missing near the cut would agree with anything.
NEAR = 20
NAMES = feature_list.names_of(feature_list.FEATURES)
RAW = ("price", *feature_list.BAR_COLUMNS, *feature_list.BASIC_COLUMNS)
SPOILS = ("times a million", "missing", "sign flipped", "absent")
# There is no return on a price below zero, so returns are flipped themselves; of two values that are divided by each
# other, and of two that are regressed on each other, one alone is flipped, as else nothing would change.
NOT_FLIPPED = ("price", "low", "pre_close", "index")


@dataclass(frozen=True)
class Known:
    """What features are computed from: bars with their price and valuation, and the index."""

    bars: pd.DataFrame
    index: dict[date, float]

    def spoilt(self, how: str, cut: date) -> Known:
        """The same, but for everything of the sessions after a cut."""
        later = self.bars["trade_date"] > cut
        if how == "absent":
            return Known(self.bars[~later], {day: value for day, value in self.index.items() if day <= cut})
        factors = {"missing": dict.fromkeys((*RAW, "index"), np.nan)}
        # Each its own multiple, as a quotient would hide a common one.
        factors["times a million"] = {name: 1e6 * at for at, name in enumerate((*RAW, "index"), start=1)}
        factors["sign flipped"] = {name: 1.0 if name in NOT_FLIPPED else -1.0 for name in (*RAW, "index")}
        bars = self.bars.copy()
        for name in RAW:
            bars.loc[later, name] *= factors[how][name]
        of_index = factors[how]["index"]
        return Known(bars, {day: value * of_index if day > cut else value for day, value in self.index.items()})

    def features(self, flip_after: date | None = None) -> pd.DataFrame:
        """Every feature of every bar."""
        key = pa.Table.from_pandas(self.bars[["ts_code", "trade_date", "price"]], preserve_index=False)
        computed = returns.compute_returns(key).to_pandas().drop(columns=["ts_code", "trade_date"])
        if flip_after is not None:
            computed[(self.bars["trade_date"] > flip_after).to_numpy()] *= -1
        inputs = pd.concat([self.bars.reset_index(drop=True), computed], axis=1)
        table = pa.Table.from_pandas(inputs, preserve_index=False)
        return features.compute_features(table, date(2000, 1, 1), self.index).to_pandas()


@dataclass(frozen=True)
class Compared:
    """Features as they are, the same with the future spoilt in each way, and the last session before it."""

    whole: pd.DataFrame
    spoilt: dict[str, pd.DataFrame]
    cut: date


def compare(known: Known, cut: date, hows: tuple[str, ...]) -> Compared:
    found = {how: known.spoilt(how, cut).features(cut if how == "sign flipped" else None) for how in hows}
    return Compared(known.features(), found, cut)


def foresight(compared: Compared, how: str, name: str) -> str:
    """What a feature knew of the sessions after its own; empty when nothing."""
    as_is, spoilt = (
        rows.loc[rows["trade_date"] <= compared.cut, name].to_numpy(np.float64)
        for rows in (compared.whole, compared.spoilt[how])
    )
    near = compared.whole["trade_date"][compared.whole["trade_date"] <= compared.cut].rank(method="dense").to_numpy()
    if not np.isfinite(as_is[near > near.max() - NEAR]).any():
        return f"{name} has no value to compare near the cut"
    differs = as_is.view(np.int64) != spoilt.view(np.int64)
    differs &= ~(np.isnan(as_is) & np.isnan(spoilt))
    return f"{name} of {int(differs.sum())} rows changes with what comes after" if differs.any() else ""


@pytest.fixture(scope="module")
def known(random_market: Callable[..., Any]) -> Known:
    given = random_market(n_codes=N_CODES, n_sessions=N_SESSIONS, seed=4, suspended=0.02, ranging=True)
    bars = given.daily.merge(given.adj_factor).merge(given.daily_basic.drop(columns="close"))
    bars = bars.sort_values(["ts_code", "trade_date"]).reset_index(drop=True)
    drawn = np.random.default_rng(5).normal(0.0, 0.01, N_SESSIONS).tolist()
    index = {day: value for at, (day, value) in enumerate(zip(given.sessions, drawn, strict=False)) if at % 5}
    bars["price"] = bars["close"] * bars["adj_factor"]
    # One security jumps after the cut, or the highest of twenty returns would often be the same without the newest.
    jumps = (bars["ts_code"] == bars["ts_code"].min()) & (bars["trade_date"] > given.sessions[-N_AFTER])
    bars.loc[jumps, "price"] *= 1.5
    return Known(bars, index)


@pytest.fixture(scope="module")
def cut(known: Known) -> date:
    return sorted(known.bars["trade_date"].unique())[-N_AFTER]


@pytest.fixture(scope="module")
def compared(known: Known, cut: date) -> Compared:
    return compare(known, cut, SPOILS)


@pytest.mark.parametrize("how", SPOILS)
@pytest.mark.parametrize("name", NAMES)
def test_no_feature_knows_the_next_day(name: str, how: str, compared: Compared) -> None:
    assert foresight(compared, how, name) == ""


def test_spoilt_future_is_spoilt(compared: Compared) -> None:
    """Else nothing above could fail: after the cut every feature is another."""
    for how in set(SPOILS) - {"absent"}:
        later = compared.whole["trade_date"] > compared.cut
        same = {name for name in NAMES if compared.whole.loc[later, name].equals(compared.spoilt[how].loc[later, name])}
        assert same == set(), how


def a_day_early(statistic: Callable[..., Floats]) -> Callable[..., Floats]:
    """The mistake: the column of the session after."""

    def shifted(block: feature_series.Block, one: Feature) -> Floats:
        values = statistic(block, one)
        return np.concatenate([values[:, 1:], np.full((len(values), 1), np.nan)], axis=1)

    return shifted


@pytest.mark.parametrize("how", SPOILS)
def test_every_feature_shifted_by_a_day_is_caught(
    how: str, known: Known, cut: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = {name: a_day_early(statistic) for name, statistic in feature_series.STATISTICS.items()}
    monkeypatch.setattr(feature_series, "STATISTICS", early)

    found = compare(known, cut, (how,))

    missed = [name for name in NAMES if "changes with what comes after" not in foresight(found, how, name)]
    assert missed == []
