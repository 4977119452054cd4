"""Log returns, volatility and drawdown on back-adjusted closes, computed for the days that need it.

Invariant: computing day by day gives the same bits as computing everything at once, because every number depends only
on its own window, summed in a fixed order. A window counts sessions of that security: a suspension is skipped, not
filled. Partner: `warehouse/derive.py`, which says which days are due.
"""

from __future__ import annotations

import logging
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warehouse import derive
from warehouse.lake import Lake
from warehouse.load import Stamp
from warehouse.tables import feature, market

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

VOLATILITY_WINDOW = 20
DRAWDOWN_WINDOW = 252
# A price this many of a security's own sessions back is the oldest a row can need.
HISTORY_ROWS = max(max(feature.LOG_RETURN_WINDOWS), DRAWDOWN_WINDOW) + 1


def update_returns(lake: Lake, stamp: Stamp) -> int:
    """How many rows of feature.log_return were written to bring it up to date with bars and factors.

    Raises:
        LakeError: the lake refused a statement; nothing was written.
    """
    due = derive.read_due(lake, feature.LOG_RETURN, [market.DAILY, market.ADJ_FACTOR])
    if not due.num_rows:
        return 0
    first = derive.first_due(due)
    prices = _read_prices(lake, first)
    rows = compute_returns(prices)
    rows = rows.filter(pc.greater_equal(rows["trade_date"], pa.scalar(first, pa.date32())))

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        n_written = derive.write_rows(connection, feature.LOG_RETURN, rows)
        derive.enter_ledger(connection, feature.LOG_RETURN, due, stamp)
        return n_written

    n_written = lake.commit(work, message=f"returns from {first}")
    log.info("updated returns from=%s due_days=%s rows=%s", first, due.num_rows, n_written)
    return n_written


def compute_returns(prices: pa.Table) -> pa.Table:
    """Rows of feature.log_return for every price row.

    Args:
        prices: ts_code, trade_date, price (back-adjusted close, CNY times factor; NULL when the factor is missing),
            sorted by ts_code and trade_date.

    Returns:
        One row per price row, in the same order; NULL where a window reaches before the first price or meets a
        missing one.
    """
    codes = prices["ts_code"].combine_chunks()
    price = prices["price"].to_numpy(zero_copy_only=False).astype(np.float64)
    age = _row_in_group(codes)
    log_price = np.log(price)
    columns: dict[str, Floats] = {
        f"log_return_{window}d": log_price - _lagged(log_price, age, window) for window in feature.LOG_RETURN_WINDOWS
    }
    columns["volatility_20d"] = _rolling_std(columns["log_return_1d"], age, VOLATILITY_WINDOW)
    columns["drawdown_252d"] = price / _rolling_max(price, age, DRAWDOWN_WINDOW) - 1.0
    return pa.table(
        {
            "ts_code": codes,
            "trade_date": prices["trade_date"],
            **{name: pa.array(values, mask=~np.isfinite(values)) for name, values in columns.items()},
        }
    )


def _read_prices(lake: Lake, first: date) -> pa.Table:
    """Prices from the day each security had `HISTORY_ROWS` sessions before `first`."""
    return lake.read(
        """
        with bars as (
            select
                bar.ts_code, bar.trade_date, bar.close * factor.adj_factor as price,
                count(*) filter (where bar.trade_date >= $first) over by_code as n_later,
                row_number() over (partition by bar.ts_code order by bar.trade_date desc) as row_from_end
            from market.daily as bar
            left join market.adj_factor as factor using (ts_code, trade_date)
            window by_code as (partition by bar.ts_code)
        )
        select ts_code, trade_date, price from bars
        where n_later > 0 and row_from_end <= n_later + $history
        order by ts_code, trade_date
        """,
        first=first,
        history=HISTORY_ROWS,
    )


def _row_in_group(codes: pa.Array) -> npt.NDArray[np.int64]:
    """0 for a security's first row, 1 for its second, and so on; `codes` is sorted."""
    ids = codes.dictionary_encode().indices.to_numpy()
    position = np.arange(len(ids))
    is_first = np.r_[True, ids[1:] != ids[:-1]] if len(ids) else np.zeros(0, bool)
    return position - np.maximum.accumulate(np.where(is_first, position, 0))


def _lagged(values: Floats, age: npt.NDArray[np.int64], lag: int) -> Floats:
    """The value `lag` rows before within the same security, NaN where there is none."""
    shifted = np.full_like(values, np.nan)
    if lag < len(values):
        shifted[lag:] = values[:-lag] if lag else values
    shifted[age < lag] = np.nan
    return shifted


def _rolling_std(values: Floats, age: npt.NDArray[np.int64], window: int) -> Floats:
    """Sample standard deviation over a full window, two passes in a fixed order of summation."""
    total = np.zeros_like(values)
    for lag in range(window):
        total += _lagged(values, age, lag)
    mean = total / window
    squares = np.zeros_like(values)
    for lag in range(window):
        squares += (_lagged(values, age, lag) - mean) ** 2
    return np.sqrt(squares / (window - 1))


def _rolling_max(values: Floats, age: npt.NDArray[np.int64], window: int) -> Floats:
    """Highest value over at most `window` rows, missing ones left out, by doubling the span."""
    highest, span = values.copy(), 1
    while span < window:
        step = min(span, window - span)
        highest = np.fmax(highest, _lagged(highest, age, step))
        span += step
    return highest
