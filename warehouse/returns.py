"""Log returns, volatility and drawdown on back-adjusted closes, computed for the days that need it.

Invariant: computing day by day gives the same bits as computing everything at once, because every number depends only
on its own window, summed in a fixed order. A window counts sessions of that security: a suspension is skipped, not
filled. Memory is that of a few matrices of limited size, however long the history. Partner: `warehouse/derive.py`,
which says which days are due.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warehouse import derive, matrices, rolling, shards
from warehouse.lake import Lake
from warehouse.load import Stamp
from warehouse.tables import feature, market

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

VOLATILITY_WINDOW = 20
DRAWDOWN_WINDOW = 252
# A price this many of a security's own sessions back is the oldest a row can need.
HISTORY_ROWS = max(max(feature.LOG_RETURN_WINDOWS), DRAWDOWN_WINDOW) + 1
# Market sessions read before the oldest due day. A security suspended for no more than the difference finds its
# history among them; what the others lack is read in a second pass.
HISTORY_SESSIONS = HISTORY_ROWS + 20
# Prices computed on at a time, so that a column stays in the processor's cache.
BLOCK_ROWS = 100_000


def update_returns(lake: Lake, stamp: Stamp, map_shards: shards.MapShards | None = None) -> int:
    """How many rows of feature.log_return were written to bring it up to date with bars and factors.

    Args:
        lake: open for writing.
        stamp: provenance.
        map_shards: has shards of securities computed where there are many rows; None to compute everything here.

    Raises:
        LakeError: the lake refused a statement; nothing was written.
    """
    due = derive.read_due(lake, feature.LOG_RETURN, [market.DAILY, market.ADJ_FACTOR])
    if not due.num_rows:
        return 0
    first = derive.first_due(due)
    parts = list(_axes(lake, first))
    wanted: list[shards.Shard] = []
    computed: list[shards.Computed] = []
    if map_shards is not None and shards.is_worth(parts, first):
        wanted = shards.cut(lake, feature.LOG_RETURN, parts, first)
        computed = list(map_shards(lake, compute_shard, wanted))

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        if computed:
            n_rows = shards.take_in(connection, feature.LOG_RETURN, wanted, computed)
        else:
            writer = derive.Writer(connection, lake.location, feature.LOG_RETURN, first)
            for axes in parts:
                writer.write(_blocks(lake, axes, first))
            n_rows = writer.n_written
        derive.enter_ledger(connection, feature.LOG_RETURN, due, stamp)
        return n_rows

    n_written = lake.commit(work, message=f"returns from {first}")
    log.info("updated returns from=%s due_days=%s rows=%s", first, due.num_rows, n_written)
    return n_written


def compute_shard(lake: Lake, shard: shards.Shard) -> shards.Computed:
    """Rows of feature.log_return for some securities, written beside the table.

    Raises:
        LakeError: the lake cannot be read, or a file not be written.
    """
    return shards.write(lake, feature.LOG_RETURN, shard, _blocks(lake, shard.axes, shard.first))


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
    ids = codes.dictionary_encode().indices.to_numpy()
    starts = np.r_[0, np.flatnonzero(np.diff(ids)) + 1, len(ids)] if len(ids) else np.zeros(1)
    price = prices["price"].to_numpy(zero_copy_only=False).astype(np.float64)
    columns = _columns(price, starts.astype(np.int64))
    return pa.table(
        {
            "ts_code": codes,
            "trade_date": prices["trade_date"],
            **{name: matrices.nullable(values) for name, values in columns.items()},
        }
    )


def _columns(price: Floats, starts: rolling.Offsets) -> dict[str, Floats]:
    """Every column by name, for prices of one security after the other."""
    log_price = np.log(price)
    columns: dict[str, Floats] = {
        f"log_return_{window}d": rolling.change(log_price, starts, window) for window in feature.LOG_RETURN_WINDOWS
    }
    columns["volatility_20d"] = rolling.std(
        columns["log_return_1d"], starts, VOLATILITY_WINDOW, min_count=VOLATILITY_WINDOW
    )
    columns["drawdown_252d"] = price / rolling.highest(price, starts, DRAWDOWN_WINDOW) - 1.0
    return columns


def _axes(lake: Lake, first: date) -> Iterator[matrices.Axes]:
    """The securities to compute for and the sessions their windows reach back to, as much at a time as memory allows.

    Most securities find their history in the last `HISTORY_SESSIONS`. Those that do not, because they were suspended
    or listed since, have a start of their own: as far back as the one with the longest way needs.
    """
    codes = matrices.read_axes(lake, market.DAILY, first=first).codes
    start = derive.read_session_before(lake, market.DAILY, first, HISTORY_SESSIONS)
    if start is not None:
        counted = lake.read(
            "select ts_code from market.daily where trade_date >= $start and trade_date < $first"
            " group by ts_code having count(*) >= $history",
            start=start,
            first=first,
            history=HISTORY_ROWS,
        )
        has_history = set(counted["ts_code"].to_pylist())
        ready = [code for code in codes if code in has_history]
        yield from matrices.read_axes(lake, market.DAILY, first=start, codes=ready).split()
        codes = tuple(code for code in codes if code not in has_history)
        start = _read_start(lake, codes, first)
    if codes:
        yield from matrices.read_axes(lake, market.DAILY, first=start, codes=codes).split()


def _read_start(lake: Lake, codes: tuple[str, ...], first: date) -> date:
    """The oldest of the last `HISTORY_ROWS` bars that each of some securities has before a day; the day if none."""
    oldest = lake.read_value(
        """
        with before as (
            select trade_date, row_number() over (partition by ts_code order by trade_date desc) as n_back
            from market.daily where ts_code in (select unnest($codes)) and trade_date < $first
        )
        select min(trade_date) from before where n_back <= $history
        """,
        codes=list(codes),
        first=first,
        history=HISTORY_ROWS,
    )
    return oldest or first


def _blocks(lake: Lake, axes: matrices.Axes, first: date) -> Iterator[pa.Table]:
    """Rows from `first` on for the securities of `axes`, a part of them at a time."""
    daily, has_bar = matrices.read(lake, market.DAILY, ["close"], axes)
    price = daily["close"]
    price *= matrices.read(lake, market.ADJ_FACTOR, ["adj_factor"], axes)[0]["adj_factor"]
    return _compute_blocks(axes, price, has_bar, first)


def _compute_blocks(
    axes: matrices.Axes, price: Floats, has_bar: npt.NDArray[np.bool_], first: date
) -> Iterator[pa.Table]:
    is_wanted = axes.sessions >= np.datetime64(first)
    step = max(BLOCK_ROWS // max(len(axes.sessions), 1), 1)
    for at in range(0, len(axes.codes), step):
        rows = slice(at, at + step)
        here = has_bar[rows]
        starts = np.r_[0, np.cumsum(here.sum(axis=1))].astype(np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            columns = _columns(price[rows][here], starts)
        wanted = np.broadcast_to(is_wanted, here.shape)[here]
        if not wanted.all():
            columns = {name: values[wanted] for name, values in columns.items()}
        yield matrices.table_of(matrices.Axes(axes.codes[rows], axes.sessions), here & is_wanted, columns)
