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

from warehouse import derive, matrices, rolling, shards
from warehouse.lake import Lake
from warehouse.load import Stamp
from warehouse.tables import feature, market

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LIQUIDITY_WINDOW = 20
BETA_WINDOW = 60
HUNDRED_MILLION_CNY_IN_THOUSANDS = 1e5

RETURNS = tuple(name for name in feature.LOG_RETURN.column_names if name not in feature.LOG_RETURN.grain)
# Nine matrices are held at a time.
MOST_CELLS = matrices.MOST_CELLS // 3


def update_features(lake: Lake, stamp: Stamp, map_shards: shards.MapShards | None = None) -> int:
    """How many rows of feature.feature were written to bring it up to date with returns, bars and turnover.

    Args:
        lake: open for writing.
        stamp: provenance.
        map_shards: has shards of securities computed where there are many rows; None to compute everything here.

    Raises:
        LakeError: the lake refused a statement; nothing was written.
    """
    # A day's returns carry the digest of its bars and factors, so features never run ahead of returns.
    due = derive.read_due(lake, feature.FEATURE, [feature.LOG_RETURN, market.DAILY_BASIC])
    if not due.num_rows:
        return 0
    first = derive.first_due(due)
    start = derive.read_session_before(lake, feature.LOG_RETURN, first, BETA_WINDOW)
    axes = matrices.read_axes(lake, feature.LOG_RETURN, first=start)
    market_return = _read_market_return(lake, axes)
    wanted: list[shards.Shard] = []
    computed: list[shards.Computed] = []
    if map_shards is not None and shards.is_worth([axes], first):
        wanted = shards.cut(lake, feature.FEATURE, [axes], first, market_return)
        computed = list(map_shards(lake, compute_shard, wanted))

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        if computed:
            n_rows = shards.take_in(connection, feature.FEATURE, wanted, computed)
        else:
            writer = derive.Writer(connection, lake.location, feature.FEATURE, first)
            for part in axes.split(MOST_CELLS):
                values, has_row = _read_inputs(lake, part)
                writer.write([_rows(part, has_row, values, market_return, first)])
            n_rows = writer.n_written
        derive.enter_ledger(connection, feature.FEATURE, due, stamp)
        return n_rows

    n_written = lake.commit(work, message=f"features from {first}")
    log.info("updated features from=%s due_days=%s rows=%s", first, due.num_rows, n_written)
    return n_written


def compute_shard(lake: Lake, shard: shards.Shard) -> shards.Computed:
    """Rows of feature.feature for some securities, written beside the table.

    Raises:
        LakeError: the lake cannot be read, or a file not be written.
    """
    values, has_row = _read_inputs(lake, shard.axes)
    assert shard.market_return is not None, "features measure beta against the market's return"
    rows = _rows(shard.axes, has_row, values, shard.market_return, shard.first)
    return shards.write(lake, feature.FEATURE, shard, [rows])


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
    days = inputs["trade_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    sessions, column = np.unique(days, return_inverse=True)
    axes = matrices.Axes(tuple(codes.dictionary.to_pylist()), sessions)
    cell = codes.indices.to_numpy(), column

    def matrix(name: str) -> Floats:
        values = np.full(axes.shape, np.nan)
        values[cell] = inputs[name].to_numpy(zero_copy_only=False)
        return values

    values = {name: matrix(name) for name in (*RETURNS, "amount", "turnover_rate")}
    has_row = np.zeros(axes.shape, np.bool_)
    has_row[cell] = True
    market_return = _MarketReturn(len(sessions))
    market_return.add(values["log_return_1d"])
    return _rows(axes, has_row, values, market_return.mean, first)


class _MarketReturn:
    """The mean return of the securities of each session, added one security after the other.

    A sum over a whole matrix would add in pairs, and change its last bit with the number of securities in it.
    """

    def __init__(self, n_sessions: int) -> None:
        self._total = np.zeros(n_sessions)
        self._count = np.zeros(n_sessions)

    def add(self, log_return: Floats) -> None:
        """Take in the returns of some more securities, (n_codes, n_sessions), NaN where missing."""
        for of_one in log_return:
            present = np.isfinite(of_one)
            self._total += np.where(present, of_one, 0.0)
            self._count += present

    @property
    def mean(self) -> Floats:
        """Mean return of each session, (n_sessions,), NaN where no security has one."""
        return np.where(self._count > 0, self._total / np.maximum(self._count, 1.0), np.nan)


def _read_market_return(lake: Lake, axes: matrices.Axes) -> Floats:
    total = _MarketReturn(len(axes.sessions))
    for part in axes.split():
        values, _ = matrices.read(lake, feature.LOG_RETURN, ["log_return_1d"], part)
        total.add(values["log_return_1d"])
    return total.mean


def _read_inputs(lake: Lake, axes: matrices.Axes) -> tuple[dict[str, Floats], Bools]:
    values, has_row = matrices.read(lake, feature.LOG_RETURN, RETURNS, axes)
    values |= matrices.read(lake, market.DAILY, ["amount"], axes)[0]
    values |= matrices.read(lake, market.DAILY_BASIC, ["turnover_rate"], axes)[0]
    return values, has_row


def _rows(
    axes: matrices.Axes, has_row: Bools, values: dict[str, Floats], market_return: Floats, first: date
) -> pa.Table:
    """Rows of feature.feature from `first` on for the cells of matrices."""
    starts = rolling.starts_of_rows(axes.shape)
    log_return = values["log_return_1d"]
    amount = values["amount"] / HUNDRED_MILLION_CNY_IN_THOUSANDS
    with np.errstate(divide="ignore", invalid="ignore"):
        impact = np.abs(log_return) / np.where(amount > 0, amount, np.nan)
    half = LIQUIDITY_WINDOW // 2
    turnover = values["turnover_rate"] / 100.0
    of_market = np.broadcast_to(market_return, axes.shape)
    columns = {
        "momentum_252d_20d": values["log_return_252d"] - values["log_return_20d"],
        "momentum_60d": values["log_return_60d"],
        "reversal_5d": -values["log_return_5d"],
        "volatility_20d": values["volatility_20d"],
        "drawdown_252d": values["drawdown_252d"],
        "turnover_fraction_20d": rolling.mean(turnover, starts, LIQUIDITY_WINDOW, min_count=half),
        "amihud_20d": rolling.mean(impact, starts, LIQUIDITY_WINDOW, min_count=half),
        "beta_60d": rolling.slope(log_return, of_market, starts, BETA_WINDOW, min_count=BETA_WINDOW // 2),
    }
    wanted = has_row & (axes.sessions >= np.datetime64(first))
    return matrices.table_of(axes, wanted, {name: columns[name][wanted] for name in feature.FEATURE_NAMES})
