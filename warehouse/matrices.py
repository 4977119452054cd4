"""How columns of a table become matrices of securities by sessions, without a sort and without a join.

Invariant: a cell holds the value of exactly its security and session, NaN where the table has none, whatever the order
in which the lake hands out the rows; memory is that of the matrices and one batch.
Partner: `warehouse/rolling.py`, which computes along the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warehouse import rolling
from warehouse.contracts import Table
from warehouse.lake import Lake

Floats = npt.NDArray[np.float64]

# 80 MB of doubles: a matrix for each of a few columns stays far below a gigabyte.
MOST_CELLS = 10_000_000


@dataclass(frozen=True, slots=True)
class Axes:
    """What the rows and columns of a matrix stand for.

    Args:
        codes: securities, ascending: the rows.
        sessions: datetime64[D], ascending: the columns.
    """

    codes: tuple[str, ...]
    sessions: npt.NDArray[np.datetime64]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.codes), len(self.sessions)

    def split(self, most_cells: int = MOST_CELLS) -> Iterator[Axes]:
        """The same sessions for a part of the securities at a time, each of at most `most_cells` cells if it can be."""
        step = max(most_cells // max(len(self.sessions), 1), 1)
        for at in range(0, len(self.codes), step):
            yield Axes(self.codes[at : at + step], self.sessions)


def read_axes(lake: Lake, table: Table, *, first: date | None = None, codes: Sequence[str] | None = None) -> Axes:
    """The securities and sessions that a table has rows for.

    Args:
        lake: the lake.
        table: a table with ts_code and trade_date.
        first: oldest session wanted; None for the table's oldest.
        codes: securities wanted, ascending; None for all that have a row.

    Raises:
        LakeError: the lake cannot be read.
    """
    since = first or date.min
    sessions = lake.read(
        f"select distinct trade_date from {table.full_name} where trade_date >= $since order by trade_date",
        since=since,
    )
    if codes is None:
        found = lake.read(
            f"select distinct ts_code from {table.full_name} where trade_date >= $since order by ts_code", since=since
        )
        codes = found["ts_code"].to_pylist()
    return Axes(tuple(codes), sessions["trade_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]"))


def read(
    lake: Lake, table: Table, columns: Sequence[str], axes: Axes
) -> tuple[dict[str, Floats], npt.NDArray[np.bool_]]:
    """The columns of a table as matrices on the given axes.

    Args:
        lake: the lake.
        table: a table with one row per ts_code and trade_date.
        columns: numeric columns.
        axes: rows and columns of the matrices; what the table has beyond them is left out.

    Returns:
        By column, (n_codes, n_sessions) float64, NaN where the value is NULL or the row missing; and whether there is
        a row.

    Raises:
        LakeError: the lake cannot be read.
    """
    matrices = {name: np.full(axes.shape, np.nan) for name in columns}
    has_row = np.zeros(axes.shape, np.bool_)
    if not has_row.size:
        return matrices, has_row
    days = axes.sessions.astype(np.int64)
    column_of_day = np.full(int(days[-1] - days[0]) + 1, -1)
    column_of_day[days - days[0]] = np.arange(len(days))
    names = "".join(f', source."{name}"' for name in columns)
    batches = lake.stream(
        f"""
        with wanted as (
            select unnest($codes) as ts_code, generate_subscripts($codes, 1) - 1 as row_number
        )
        select wanted.row_number, source.trade_date{names}
        from {table.full_name} as source join wanted using (ts_code)
        where source.trade_date between $first and $last
        """,
        codes=list(axes.codes),
        first=axes.sessions[0].item(),
        last=axes.sessions[-1].item(),
    )
    for batch in batches:
        column = column_of_day[batch["trade_date"].cast(pa.int32()).to_numpy() - days[0]]
        rows = batch["row_number"].to_numpy()
        _mark(has_row, rows, column)
        for name, matrix in matrices.items():
            _place(matrix, rows, column, batch[name].to_numpy(zero_copy_only=False))
    return matrices, has_row


def table_of(axes: Axes, is_row: npt.NDArray[np.bool_], columns: dict[str, Floats]) -> pa.Table:
    """Rows ts_code, trade_date and the columns, sorted by both; NULL where a value is not finite.

    Args:
        axes: what the cells stand for.
        is_row: (n_codes, n_sessions) which cells become rows.
        columns: values of those cells, row by row.
    """
    row, column = np.nonzero(is_row)
    codes = pa.DictionaryArray.from_arrays(row.astype(np.int32), pa.array(axes.codes, pa.string()))
    days = pa.array(axes.sessions.astype("datetime64[D]")[column])
    return pa.table(
        {"ts_code": codes, "trade_date": days, **{name: nullable(values) for name, values in columns.items()}}
    )


def nullable(values: Floats) -> pa.Array:
    """An Arrow array over the same memory, NULL where a value is not finite."""
    is_present = np.isfinite(values)
    bits = None if is_present.all() else pa.py_buffer(np.packbits(is_present, bitorder="little"))
    return pa.Array.from_buffers(pa.float64(), len(values), [bits, pa.py_buffer(np.ascontiguousarray(values))])


@rolling.compiled
def _mark(matrix: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> None:
    for i in range(len(rows)):
        if columns[i] >= 0:
            matrix[rows[i], columns[i]] = True


@rolling.compiled
def _place(matrix: Floats, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], values: Floats) -> None:
    for i in range(len(rows)):
        if columns[i] >= 0:
            matrix[rows[i], columns[i]] = values[i]
