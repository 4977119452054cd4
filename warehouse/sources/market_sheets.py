"""How does the synthetic market look in Tushare's tables?

Turns arrays of (n_sessions, n_symbols) into sheets with the vendor's columns, units and rounding, and spoils the rows
that the answer key names. Partners: `market_bars.py`, `market.py`; the columns are those of `simulator_wire.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from warehouse.sources import truth
from warehouse.sources.market_bars import Bars, Flags, Floats, Schedule, Traits
from warehouse.sources.truth import Anomaly, Sheet

ANOMALY_NOTES = {
    "adj_factor_misfit": "the factor rises by 8 % on a day that is not ex-rights, and stays there",
    "return_outlier": "a move of 19 % on a board that allows 20 %",
    "price_order": "the high lies below the low",
    "limit_break": "a move of 13 % on a board that allows 10 %",
    "pct_chg_mismatch": "pct_chg is 2.5 points above what close and pre_close say",
    "volume_burst": "fifteen times the usual volume",
}
# code, level before the window, and whose bars it weighs
INDICES = (("000001.SH", 3200.0, ".SH"), ("000300.SH", 3900.0, ""))
LOSS_MAKERS = 0.12
SHARES_UNIT = 1e4


@dataclass(frozen=True)
class Grid:
    """What rows and columns of the arrays stand for; first bar and first session without, per security."""

    sessions: tuple[date, ...]
    ts_codes: tuple[str, ...]
    first: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]

    @property
    def is_listed(self) -> Flags:
        """(n_sessions, n_symbols), suspended days included."""
        number = np.arange(len(self.sessions))[:, None]
        listed: Flags = (number >= self.first) & (number < self.stop)
        return listed

    def columns(self, chosen: Flags, values: Mapping[str, Floats]) -> dict[str, npt.NDArray[Any]]:
        """The chosen cells as columns, by session, then security; NaN stays for the vendor's null."""
        day, symbol = np.nonzero(chosen)
        keys = {
            "ts_code": np.array(self.ts_codes, dtype=object)[symbol],
            "trade_date": np.array([truth.compact(each) for each in self.sessions], dtype=object)[day],
        }
        return {**keys, **{name: panel[chosen] for name, panel in values.items()}}


def sheets_from_bars(
    rng: np.random.Generator, grid: Grid, market: tuple[Traits, Schedule, Bars], anomalies: Sequence[Anomaly]
) -> dict[str, Sheet]:
    """Tushare's tables of the whole window, anomalies included.

    Args:
        rng: source of what only these tables need: valuations, halts, an index's range.
        grid: sessions and securities.
        market: who is who, what happened when, and the bars.
        anomalies: rows to spoil; returns and volumes among them have come true already.
    """
    traits, schedule, bars = market
    has_bar = schedule.has_bar
    pct_chg = np.round((bars.close / bars.pre_close - 1.0) * 100.0, 4)
    high, factor = bars.high.copy(), bars.factor.copy()
    for each in anomalies:
        day, symbol = grid.sessions.index(each.trade_date), grid.ts_codes.index(each.ts_code)
        if each.kind == "adj_factor_misfit":
            factor[day:, symbol] = np.round(factor[day:, symbol] * 1.08, 6)
        elif each.kind == "price_order":
            high[day, symbol] = np.round(bars.low[day, symbol] - 0.02, 2)
        elif each.kind == "pct_chg_mismatch":
            pct_chg[day, symbol] = np.round(pct_chg[day, symbol] + 2.5, 4)
    daily = {
        "open": bars.open,
        "high": high,
        "low": bars.low,
        "close": bars.close,
        "pre_close": bars.pre_close,
        "change": np.round(bars.close - bars.pre_close, 2),
        "pct_chg": pct_chg,
        "vol": bars.volume,
        "amount": bars.amount,
    }
    return {
        "daily": truth.sheet_from_columns(grid.columns(has_bar, daily)),
        "adj_factor": truth.sheet_from_columns(grid.columns(grid.is_listed, {"adj_factor": factor})),
        "daily_basic": truth.sheet_from_columns(grid.columns(has_bar, _basics(rng, traits, schedule, bars))),
        "suspend_d": truth.sheet_from_columns(_suspensions(rng, grid, has_bar)),
        "index_daily": truth.sheet_from_columns(_indices(rng, grid, schedule, bars)),
    }


def _basics(rng: np.random.Generator, traits: Traits, schedule: Schedule, bars: Bars) -> dict[str, Floats]:
    n = len(traits.limit)
    first_value = traits.first_price * traits.total_shares
    earnings = first_value / np.exp(rng.normal(3.1, 0.5, n)) * np.where(rng.random(n) < LOSS_MAKERS, np.nan, 1.0)
    book, sales = first_value / np.exp(rng.normal(0.7, 0.5, n)), first_value / np.exp(rng.normal(0.8, 0.6, n))
    dividend = first_value * rng.uniform(0.0, 0.035, n)
    value = bars.close * bars.total_shares
    free_fraction = traits.float_fraction * rng.uniform(0.5, 1.0, n)
    growth = 1.0 + 0.0002 * np.arange(len(value))[:, None]
    return {
        "close": bars.close,
        "turnover_rate": bars.turnover,
        "turnover_rate_f": np.round(bars.turnover * traits.float_fraction / free_fraction, 4),
        "volume_ratio": _volume_ratio(bars.volume, schedule.has_bar),
        "pe": np.round(value / earnings, 4),
        "pe_ttm": np.round(value / (earnings * growth), 4),
        "pb": np.round(value / (book * growth), 4),
        "ps": np.round(value / sales, 4),
        "ps_ttm": np.round(value / (sales * growth), 4),
        "dv_ratio": np.round(dividend / value * 100.0, 4),
        "dv_ttm": np.round(dividend / value * 100.0, 4),
        "total_share": np.round(bars.total_shares / SHARES_UNIT, 4),
        "float_share": np.round(bars.total_shares * traits.float_fraction / SHARES_UNIT, 4),
        "free_share": np.round(bars.total_shares * free_fraction / SHARES_UNIT, 4),
        "total_mv": np.round(value / SHARES_UNIT, 4),
        "circ_mv": np.round(value * traits.float_fraction / SHARES_UNIT, 4),
    }


def _volume_ratio(volume: Floats, has_bar: Flags) -> Floats:
    """Volume over the mean of up to five sessions before with trading; NaN where there was none."""
    padded = np.vstack([np.zeros((5, volume.shape[1])), np.where(has_bar, volume, 0.0)])
    traded = np.vstack([np.zeros((5, volume.shape[1])), has_bar.astype(np.float64)])
    n_sessions = len(volume)
    before = sum(padded[lag : lag + n_sessions] for lag in range(5))
    count = sum(traded[lag : lag + n_sessions] for lag in range(5))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(np.asarray(count) > 0, volume / (before / count), np.nan)
    return np.asarray(np.round(ratio, 2), dtype=np.float64)


def _suspensions(rng: np.random.Generator, grid: Grid, has_bar: Flags) -> dict[str, npt.NDArray[Any]]:
    """Whole days without trading, the session trading resumes, and a few halts inside a session."""
    suspended = grid.is_listed & ~has_bar
    resumed = np.zeros_like(suspended)
    resumed[1:] = suspended[:-1] & has_bar[1:]
    halted = has_bar & ~resumed & (rng.random(has_bar.shape) < 0.0002)
    parts = []
    for chosen, timing, kind in ((suspended, None, "S"), (resumed, None, "R"), (halted, "09:30-10:00", "S")):
        columns = grid.columns(chosen, {})
        n_rows = len(columns["ts_code"])
        parts.append(
            columns
            | {
                "suspend_timing": np.full(n_rows, timing, dtype=object),
                "suspend_type": np.full(n_rows, kind, dtype=object),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _indices(rng: np.random.Generator, grid: Grid, schedule: Schedule, bars: Bars) -> dict[str, npt.NDArray[Any]]:
    """Levels weighted by yesterday's market value, whole points to four decimals."""
    value = np.where(schedule.has_bar, bars.pre_close * bars.total_shares, 0.0)
    parts = []
    for ts_code, level, suffix in INDICES:
        weight = value * np.array([code.endswith(suffix) for code in grid.ts_codes])
        simple = (weight * (bars.close / bars.pre_close - 1.0)).sum(axis=1) / weight.sum(axis=1)
        close = np.round(level * np.cumprod(1.0 + simple), 4)
        pre_close = np.concatenate([[level], close[:-1]])
        opened = np.round(pre_close * (1.0 + 0.3 * simple + rng.normal(0.0, 0.002, len(simple))), 4)
        reach = np.abs(rng.normal(0.0, 0.004, (2, len(simple))))
        is_member = schedule.has_bar & (weight > 0)
        parts.append(
            {
                "ts_code": np.full(len(close), ts_code, dtype=object),
                "trade_date": np.array([truth.compact(day) for day in grid.sessions], dtype=object),
                "close": close,
                "open": opened,
                "high": np.round(np.maximum(opened, close) * (1.0 + reach[0]), 4),
                "low": np.round(np.minimum(opened, close) * (1.0 - reach[1]), 4),
                "pre_close": pre_close,
                "change": np.round(close - pre_close, 4),
                "pct_chg": np.round((close / pre_close - 1.0) * 100.0, 4),
                "vol": np.round(np.where(is_member, bars.volume, 0.0).sum(axis=1), 2),
                "amount": np.round(np.where(is_member, bars.amount, 0.0).sum(axis=1), 3),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
