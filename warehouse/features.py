"""The features that cross-section models read, computed for the days that need it.

Windows of returns count a security's own sessions (see `warehouse/returns.py`); means over time here count market
sessions and need half of them present, so a suspension widens nothing. Sums run in a fixed order: computing day by day
gives the same bits as computing everything at once. Partner: `warehouse/derive.py`.
"""

from __future__ import annotations

import logging
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warehouse import derive
from warehouse.lake import Lake
from warehouse.load import Stamp
from warehouse.tables import feature, market

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

LIQUIDITY_WINDOW = 20
BETA_WINDOW = 60
HUNDRED_MILLION_CNY_IN_THOUSANDS = 1e5


def update_features(lake: Lake, stamp: Stamp) -> int:
    """How many rows of feature.feature were written to bring it up to date with returns, bars and turnover.

    Raises:
        LakeError: the lake refused a statement; nothing was written.
    """
    # A day's returns carry the digest of its bars and factors, so features never run ahead of returns.
    due = derive.read_due(lake, feature.FEATURE, [feature.LOG_RETURN, market.DAILY_BASIC])
    if not due.num_rows:
        return 0
    first = derive.first_due(due)
    rows = compute_features(_read_inputs(lake, first), first)

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        n_written = derive.write_rows(connection, feature.FEATURE, rows)
        derive.enter_ledger(connection, feature.FEATURE, due, stamp)
        return n_written

    n_written = lake.commit(work, message=f"features from {first}")
    log.info("updated features from=%s due_days=%s rows=%s", first, due.num_rows, n_written)
    return n_written


def compute_features(inputs: pa.Table, first: date) -> pa.Table:
    """Rows of feature.feature from `first` on.

    Args:
        inputs: ts_code, trade_date, the columns of feature.log_return, amount (thousand CNY) and turnover_rate
            (percent), for every security of every session from `BETA_WINDOW` sessions before `first` on.
        first: oldest session wanted.

    Returns:
        One row per input row from `first` on; NULL where a window is too short.

    Source:
        Illiquidity: Amihud (2002), Journal of Financial Markets 5, equation 1.
    """
    codes = inputs["ts_code"].combine_chunks().dictionary_encode()
    dates = inputs["trade_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    sessions, row = np.unique(dates, return_inverse=True)
    column = codes.indices.to_numpy()
    shape = (len(sessions), len(codes.dictionary))

    def panel(values: Floats) -> Floats:
        grid = np.full(shape, np.nan)
        grid[row, column] = values
        return grid

    def values_of(name: str) -> Floats:
        return inputs[name].to_numpy(zero_copy_only=False).astype(np.float64)

    log_return = panel(values_of("log_return_1d"))
    market_return = _mean_by_row(values_of("log_return_1d"), row, len(sessions))
    amount = panel(values_of("amount")) / HUNDRED_MILLION_CNY_IN_THOUSANDS
    with np.errstate(divide="ignore", invalid="ignore"):
        impact = np.abs(log_return) / np.where(amount > 0, amount, np.nan)
    wide = {
        "turnover_fraction_20d": _rolling_mean(panel(values_of("turnover_rate")) / 100.0, LIQUIDITY_WINDOW),
        "amihud_20d": _rolling_mean(impact, LIQUIDITY_WINDOW),
        "beta_60d": _rolling_beta(log_return, market_return, BETA_WINDOW),
    }
    columns: dict[str, Floats] = {
        "momentum_252d_20d": values_of("log_return_252d") - values_of("log_return_20d"),
        "momentum_60d": values_of("log_return_60d"),
        "reversal_5d": -values_of("log_return_5d"),
        "volatility_20d": values_of("volatility_20d"),
        "drawdown_252d": values_of("drawdown_252d"),
        **{name: grid[row, column] for name, grid in wide.items()},
    }
    wanted = dates >= np.datetime64(first)
    return pa.table(
        {
            "ts_code": inputs["ts_code"].filter(pa.array(wanted)),
            "trade_date": inputs["trade_date"].filter(pa.array(wanted)),
            **{
                name: pa.array(columns[name][wanted], mask=~np.isfinite(columns[name][wanted]))
                for name in feature.FEATURE_NAMES
            },
        }
    )


def _read_inputs(lake: Lake, first: date) -> pa.Table:
    # Sessions that have rows, not the calendar's: a hole in the data must not shorten a window.
    start = lake.read_value(
        """
        with before as (
            select partition from ops.ledger
            where dataset = $dataset and n_received > 0 and partition < $first
            order by partition desc limit $window
        )
        select min(cast(partition as date)) from before
        """,
        dataset=feature.LOG_RETURN.full_name,
        first=first.isoformat(),
        window=BETA_WINDOW,
    )
    return lake.read(
        """
        select r.*, bar.amount, basic.turnover_rate
        from feature.log_return as r
        join market.daily as bar using (ts_code, trade_date)
        left join market.daily_basic as basic using (ts_code, trade_date)
        where r.trade_date >= $start
        order by r.ts_code, r.trade_date
        """,
        start=start or first,
    )


def _rolling_mean(grid: Floats, window: int) -> Floats:
    """Mean of what is present over `window` sessions, NaN where less than half is."""
    total, count = np.zeros_like(grid), np.zeros_like(grid)
    for lag in range(min(window, len(grid))):
        present = np.isfinite(grid[: len(grid) - lag])
        total[lag:] += np.where(present, grid[: len(grid) - lag], 0.0)
        count[lag:] += present
    return np.where(count >= window / 2, total / np.maximum(count, 1.0), np.nan)


def _mean_by_row(values: Floats, row: npt.NDArray[np.intp], n_rows: int) -> Floats:
    """Mean of the present values of each row, added one by one in input order.

    A sum over a grid would add in pairs, and change its last bit with the number of securities in the grid.
    """
    present = np.isfinite(values)
    total = np.bincount(row[present], weights=values[present], minlength=n_rows)
    count = np.bincount(row[present], minlength=n_rows)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _rolling_beta(log_return: Floats, market_return: Floats, window: int) -> Floats:
    """Slope of each security's return on the equal-weighted mean return of its market."""
    aligned = np.where(np.isfinite(log_return), market_return[:, None], np.nan)
    mean_x, mean_y = _rolling_mean(aligned, window), _rolling_mean(log_return, window)
    covariance, variance = np.zeros_like(log_return), np.zeros_like(log_return)
    for lag in range(min(window, len(log_return))):
        rows = slice(0, len(log_return) - lag)
        x = aligned[rows] - mean_x[lag:]
        y = log_return[rows] - mean_y[lag:]
        usable = np.isfinite(x) & np.isfinite(y)
        covariance[lag:] += np.where(usable, x * y, 0.0)
        variance[lag:] += np.where(usable, x * x, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0, covariance / variance, np.nan)
