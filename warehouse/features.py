"""The features that cross-section models read, computed for the days that need it.

Which there are says `warehouse/tables/feature_list.py`, how each is computed `warehouse/feature_series.py`. Returns
count a security's own sessions (see `warehouse/returns.py`); windows here count market sessions and need half of them
present, so a suspension widens nothing. Sums run in a fixed order: computing day by day gives the same bits as
computing everything at once. History is worked through a few years at a time, all securities together, because some
features compare them; the sessions that windows reach back to are kept from the years before. Partner:
`warehouse/derive.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warehouse import derive, feature_series, matrices, shards
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.load import Stamp
from warehouse.partitions import DERIVED
from warehouse.tables import feature, feature_list, market

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SOURCES: dict[Table, tuple[str, ...]] = {
    feature.LOG_RETURN: feature_list.RETURN_COLUMNS,
    market.DAILY: feature_list.BAR_COLUMNS,
    market.DAILY_BASIC: feature_list.BASIC_COLUMNS,
}
INPUT_COLUMNS = tuple(name for names in SOURCES.values() for name in names)

# A year of 5,400 securities and the sessions before it; some seventeen matrices of it are held at a time.
MOST_CELLS = 1_300_000
# Computed on at a time, so that series stay in the processor's cache.
BLOCK_CELLS = 100_000


def update_features(lake: Lake, stamp: Stamp, map_shards: shards.MapShards | None = None) -> int:
    """How many rows of feature.feature were written to bring it up to date with returns, bars, valuation and the index.

    Args:
        lake: open for writing.
        stamp: provenance.
        map_shards: has shards of sessions computed where there are many rows; None to compute everything here.

    Raises:
        LakeError: the lake refused a statement; nothing was written.
    """
    # A day's returns carry the digest of its bars and factors, so features never run ahead of returns.
    due = derive.read_due(lake, feature.FEATURE, DERIVED[feature.FEATURE.full_name])
    if not due.num_rows:
        return 0
    first = derive.first_due(due)
    start = derive.read_session_before(lake, feature.LOG_RETURN, first, feature_list.HISTORY_SESSIONS)
    axes = matrices.read_axes(lake, feature.LOG_RETURN, first=start)
    wanted: list[shards.Shard] = []
    computed: list[shards.Computed] = []
    if map_shards is not None and shards.is_worth([axes], first):
        wanted = shards.of_parts(lake, feature.FEATURE, _cut(axes, first))
        computed = list(map_shards(lake, compute_shard, wanted))

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        if computed:
            n_rows = shards.take_in(connection, feature.FEATURE, wanted, computed)
        else:
            writer = derive.Writer(connection, lake.location, feature.FEATURE, first)
            indexed = read_index_returns(lake)
            for part in _read_parts(lake, axes):
                rows = _rows(part, indexed, first)
                writer.write(rows if writer.is_new else [pa.concat_tables(rows)])
            n_rows = writer.n_written
        derive.enter_ledger(connection, feature.FEATURE, due, stamp)
        return n_rows

    n_written = lake.commit(work, message=f"features from {first}")
    log.info("updated features from=%s due_days=%s rows=%s", first, due.num_rows, n_written)
    return n_written


def _cut(axes: matrices.Axes, first: date) -> Iterator[tuple[matrices.Axes, date]]:
    """Some sessions of all securities each, with those that their windows reach back to.

    Not some securities: the size and value returns of a session are means over all of them.
    """
    for sessions in _spans(matrices.Axes(axes.codes, axes.sessions[axes.sessions >= np.datetime64(first)])):
        begin, end = np.searchsorted(axes.sessions, sessions[[0, -1]]).tolist()
        reach = slice(max(begin - feature_list.HISTORY_SESSIONS, 0), end + 1)
        yield matrices.Axes(axes.codes, axes.sessions[reach]), sessions[0].item()


def compute_shard(lake: Lake, shard: shards.Shard) -> shards.Computed:
    """Rows of feature.feature for some sessions, written beside the table.

    Raises:
        LakeError: the lake cannot be read, or a file not be written.
    """
    part = _read_part(lake, shard.axes)
    return shards.write(lake, feature.FEATURE, shard, _rows(part, read_index_returns(lake), shard.first))


def compute_features(inputs: pa.Table, first: date, index_returns: Mapping[date, float] | None = None) -> pa.Table:
    """Rows of feature.feature from `first` on.

    Args:
        inputs: ts_code, trade_date and `INPUT_COLUMNS` in the units of their tables, for every security of every
            session from `feature_list.HISTORY_SESSIONS` sessions before `first` on.
        first: oldest session wanted.
        index_returns: log return of the market's index by session; where it has none, the mean of all securities
            stands for the market.

    Returns:
        One row per input row from `first` on; NULL where a window is too short.
    """
    codes = inputs["ts_code"].combine_chunks().dictionary_encode()
    names = np.array(codes.dictionary.to_pylist(), dtype=str)
    row = np.argsort(np.argsort(names))[codes.indices.to_numpy()]
    days = inputs["trade_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    sessions, column = np.unique(days, return_inverse=True)
    axes = matrices.Axes(tuple(sorted(names.tolist())), sessions)
    cell = row, column

    def matrix(name: str) -> Floats:
        values = np.full(axes.shape, np.nan)
        values[cell] = inputs[name].to_numpy(zero_copy_only=False)
        return values

    has_row = np.zeros(axes.shape, np.bool_)
    has_row[cell] = True
    series = feature_series.series_from_columns({name: matrix(name) for name in INPUT_COLUMNS})
    return pa.concat_tables(_rows(_Part(axes, has_row, series), index_returns or {}, first))


def read_index_returns(lake: Lake) -> dict[date, float]:
    """Log return of the market's index over its previous close, by session.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select trade_date, close, pre_close from {market.INDEX_DAILY.full_name} where ts_code = $code",
        code=feature_list.MARKET_INDEX,
    )
    return index_returns(rows)


def index_returns(rows: pa.Table) -> dict[date, float]:
    """Log return by session from trade_date, close and pre_close of one index."""
    close, before = (rows[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in ("close", "pre_close"))
    return dict(zip(rows["trade_date"].to_pylist(), np.log(close / before).tolist(), strict=True))


class _Part:
    """Series of all securities over some sessions, and which cells are rows to be written."""

    def __init__(self, axes: matrices.Axes, has_row: Bools, series: dict[str, Floats]) -> None:
        self.axes = axes
        self.has_row = has_row
        self.series = series

    def after(self, before: _Part | None) -> _Part:
        """The same with the sessions before it that its windows reach back to, whose rows are written already."""
        if before is None:
            return self
        kept = slice(-feature_list.HISTORY_SESSIONS, None)
        sessions = np.r_[before.axes.sessions[kept], self.axes.sessions]
        is_done = np.zeros(before.has_row[:, kept].shape, np.bool_)
        # One after the other, so that only one series is held twice.
        series = {
            name: np.concatenate([before.series.pop(name)[:, kept], self.series.pop(name)], axis=1)
            for name in list(self.series)
        }
        return _Part(matrices.Axes(self.axes.codes, sessions), np.concatenate([is_done, self.has_row], axis=1), series)


def _read_part(lake: Lake, axes: matrices.Axes) -> _Part:
    columns: dict[str, Floats] = {}
    has_row = np.zeros(0, np.bool_)
    for table, names in SOURCES.items():
        values, has_any = matrices.read(lake, table, names, axes)
        columns |= values
        has_row = has_any if table is feature.LOG_RETURN else has_row
    return _Part(axes, has_row, feature_series.series_from_columns(columns))


def _read_parts(lake: Lake, axes: matrices.Axes) -> Iterator[_Part]:
    before = None
    for sessions in _spans(axes):
        before = _read_part(lake, matrices.Axes(axes.codes, sessions)).after(before)
        yield before


def _spans(axes: matrices.Axes) -> Iterator[npt.NDArray[np.datetime64]]:
    """Sessions of whole years, as many at a time as memory allows: a year is a file, and is read and written once."""
    years = axes.sessions.astype("datetime64[Y]")
    begins = [*np.flatnonzero(np.r_[True, years[1:] != years[:-1]]).tolist(), len(years)] if len(years) else [0]
    most = MOST_CELLS // max(len(axes.codes), 1)
    at = 0
    for position, end in enumerate(begins[1:], start=1):
        if end == len(years) or begins[position + 1] - at > most:
            yield axes.sessions[at:end]
            at = end


def _rows(part: _Part, indexed: Mapping[date, float], first: date) -> Iterator[pa.Table]:
    """Rows of feature.feature from `first` on, some securities at a time."""
    axes = part.axes
    index_return = np.array([indexed.get(day, np.nan) for day in axes.sessions.tolist()], dtype=np.float64)
    shared = feature_series.share(part.series, index_return)
    wanted = part.has_row & (axes.sessions >= np.datetime64(first))
    step = max(BLOCK_CELLS // max(len(axes.sessions), 1), 1)
    for at in range(0, max(len(axes.codes), 1), step):
        rows = slice(at, at + step)
        block = feature_series.Block({name: values[rows] for name, values in part.series.items()}, shared)
        found = feature_series.compute(block)
        here = wanted[rows]
        columns = {name: found[name][here] for name in feature.FEATURE_NAMES}
        yield matrices.table_of(matrices.Axes(axes.codes[rows], axes.sessions), here, columns)
