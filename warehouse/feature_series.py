"""How the series and statistics named in `warehouse/tables/feature_list.py` are computed, on matrices.

Rows are securities, columns the market's sessions, NaN is missing. Invariants: a value depends on its own session and
on those of its window, never on one after; what all securities share (`Shared`) is added up security by security, so
that a session gives the same bits whatever else is computed with it. Partner: `warehouse/features.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from warehouse import moments, rolling
from warehouse.tables import feature_list
from warehouse.tables.feature_list import Feature

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Columns = Mapping[str, Floats]

HUNDRED_MILLION_CNY_IN_THOUSANDS = 1e5
# Share of securities at either end of size and of value whose returns are compared (Fama and French 1993).
OUTER_SHARE = 0.3


@dataclass(frozen=True)
class Shared:
    """What is one number a session for all securities: (n_sessions,) each, NaN where unknown."""

    market_return: Floats
    size_return: Floats
    value_return: Floats


@dataclass
class Block:
    """Some securities' series, and what several features want of them.

    Args:
        series: by name, (n_codes, n_sessions).
        shared: of the same sessions.
    """

    series: Columns
    shared: Shared
    _spreads: dict[tuple[str, int, int], tuple[Floats, Floats, Floats]] = field(default_factory=dict)
    _regressions: dict[tuple[tuple[str, ...], int, int], tuple[Floats, Floats]] = field(default_factory=dict)

    def spread(self, one: Feature) -> tuple[Floats, Floats, Floats]:
        """Deviation, skewness and downside of a feature's series over its window."""
        key = one.of[0], one.window, one.fewest
        if key not in self._spreads:
            self._spreads[key] = moments.spread(self.series[one.of[0]], one.window, min_count=one.fewest)
        return self._spreads[key]

    def regression(self, one: Feature) -> tuple[Floats, Floats]:
        """Slopes and standard error of a feature's first series on the others, which all securities share."""
        key = one.of, one.window, one.fewest
        if key not in self._regressions:
            regressors = np.stack([getattr(self.shared, name) for name in one.of[1:]])
            y = self.series[one.of[0]]
            self._regressions[key] = moments.regression(y, regressors, one.window, min_count=one.fewest)
        return self._regressions[key]


def series_from_columns(columns: dict[str, Floats]) -> dict[str, Floats]:
    """The series of `feature_list.SERIES` that are each security's own.

    Args:
        columns: of feature.log_return, market.daily and market.daily_basic, (n_codes, n_sessions); what a series
            replaces is taken out, as it is large.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        amount = _positive(columns.pop("amount"))
        turnover = columns.pop("turnover_rate") / 100.0
        found = {
            "impact": np.abs(columns["log_return_1d"]) / (amount / HUNDRED_MILLION_CNY_IN_THOUSANDS),
            "turnover_fraction": turnover,
            "log_amount": np.log(amount * 1000.0),
            "log_float_value": np.log(amount * 1000.0 / _positive(turnover)),
            "range": np.log(columns.pop("high") / columns.pop("low")),
            "overnight_return": np.log(columns.pop("open") / columns.pop("pre_close")),
            "book_to_price": _finite(1.0 / columns.pop("pb")),
            "earnings_to_price": _finite(1.0 / columns.pop("pe_ttm")),
            "sales_to_price": _finite(1.0 / columns.pop("ps_ttm")),
        }
    return columns | found


def share(series: Columns, index_return: Floats) -> Shared:
    """What the sessions of all securities have in common.

    Args:
        series: of every security, (n_codes, n_sessions), in ascending order of codes.
        index_return: (n_sessions,) log return of the market's index, NaN where unknown.

    Returns:
        The market's return; size and value returns, NaN in the first session, before which nothing is known.

    Source:
        Sorting by size and by earnings to price: Liu, Stambaugh and Yuan (2019), Journal of Financial Economics
        134(1); the outer 30 % as in Fama and French (1993), same journal 33(1); equal weights.
    """
    log_return = series["log_return_1d"]
    size, value = series["log_float_value"], series["earnings_to_price"]
    mean = _mean_in_order(log_return, log_return, np.full(log_return.shape[1], -np.inf), True)
    return Shared(
        np.where(np.isfinite(index_return), index_return, mean),
        -_high_less_low(log_return, size),
        _high_less_low(log_return, value),
    )


def _high_less_low(log_return: Floats, key: Floats) -> Floats:
    """Mean return of the securities that stood highest the session before, less that of the lowest."""
    before = np.full(key.shape, np.nan)
    before[:, 1:] = key[:, :-1]
    ordered = np.sort(before.T, axis=1)
    n_known = np.isfinite(ordered).sum(axis=1)
    at = (OUTER_SHARE * np.maximum(n_known - 1, 0)).astype(np.intp)
    rows = np.arange(len(ordered))
    low, high = ordered[rows, at], ordered[rows, np.maximum(n_known - 1 - at, 0)]
    spread = _mean_in_order(log_return, before, high, True) - _mean_in_order(log_return, before, low, False)
    return np.where(high > low, spread, np.nan)


@rolling.compiled
def _mean_in_order(values: Floats, key: Floats, bound: Floats, is_above: bool) -> Floats:
    """Mean of each column's values whose key is at or beyond a bound, added one row after the other.

    A sum over a whole matrix would add in pairs, and change its last bit with the number of rows in it.
    """
    n_rows, n = values.shape
    total, count = np.zeros(n), np.zeros(n)
    for row in range(n_rows):
        for i in range(n):
            is_in = key[row, i] >= bound[i] if is_above else key[row, i] <= bound[i]
            if is_in and np.isfinite(values[row, i]):
                total[i] += values[row, i]
                count[i] += 1.0
    for i in range(n):
        total[i] = total[i] / count[i] if count[i] > 0 else np.nan
    return total


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _starts(values: Floats) -> rolling.Offsets:
    rows, columns = values.shape
    return rolling.starts_of_rows((rows, columns))


def _mean(block: Block, one: Feature) -> Floats:
    values = block.series[one.of[0]]
    return rolling.mean(values, _starts(values), one.window, min_count=one.fewest)


def _highest(block: Block, one: Feature) -> Floats:
    values = block.series[one.of[0]]
    return rolling.highest(values, _starts(values), one.window, min_count=one.fewest)


def _range_volatility(block: Block, one: Feature) -> Floats:
    squares = np.square(block.series[one.of[0]])
    mean = rolling.mean(squares, _starts(squares), one.window, min_count=one.fewest)
    return np.sqrt(mean / (4.0 * np.log(2.0)))


def _trend(block: Block, one: Feature) -> Floats:
    values = block.series[one.of[0]]
    return rolling.trend(values, _starts(values), one.window, min_count=one.fewest)[0]


def _correlation(block: Block, one: Feature) -> Floats:
    x, y = (block.series[name] for name in one.of)
    return rolling.correlation(x, y, _starts(x), one.window, min_count=one.fewest)


def _difference(block: Block, one: Feature) -> Floats:
    return block.series[one.of[0]] - block.series[one.of[1]]


# What a feature may ask for; in the order in which they are told of.
STATISTICS: dict[str, Callable[[Block, Feature], Floats]] = {
    "value": lambda block, one: block.series[one.of[0]],
    "negative": lambda block, one: -block.series[one.of[0]],
    "difference": _difference,
    "mean": _mean,
    "highest": _highest,
    "range_volatility": _range_volatility,
    "trend": _trend,
    "correlation": _correlation,
    "std": lambda block, one: block.spread(one)[0],
    "skewness": lambda block, one: block.spread(one)[1],
    "downside": lambda block, one: block.spread(one)[2],
    "beta": lambda block, one: block.regression(one)[0][0],
    "beta_2": lambda block, one: block.regression(one)[0][1],
    "beta_3": lambda block, one: block.regression(one)[0][2],
    "residual": lambda block, one: block.regression(one)[1],
}


def compute(block: Block) -> dict[str, Floats]:
    """Every feature by name, (n_codes, n_sessions)."""
    return {one.name: STATISTICS[one.statistic](block, one) for one in feature_list.FEATURES}
