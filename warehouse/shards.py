"""How a long computation is cut into shards for others to compute, and how their rows enter the lake.

Invariants: a shard is plain values, so that it can be sent anywhere, and gives the bits that the plain way gives,
because it holds all that its rows depend on: whole windows of some securities, or all securities; what shards wrote
becomes part of the lake in one commit or not at all, and the files of a shard that was lost are what a killed writer
leaves, which maintenance removes. Who computes the shards, and where, is the caller's business. Partners:
`warehouse/derive.py`, `flows/scale_out.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from warehouse import bulk, derive, errors
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.matrices import Axes

# Rows of a table from which on others are asked. One program computes these in about 10 s of processor time, which is
# what starting two workers takes (`tests/benchmarks/test_scale_out.py`, 2026-11-22).
WORTH_SHARDS = 10_000_000
# Cells of a shard's matrices: nine of these take 108 MB, and each shard looks through the keys of all its sessions.
SHARD_CELLS = 1_500_000
# As many changed rows as are handed back as rows; more go into files.
MOST_HANDED_BACK = 20_000


@dataclass(frozen=True, slots=True)
class Shard:
    """Some securities or sessions to compute for.

    Args:
        axes: the securities, and the sessions with those that their windows reach back to.
        first: oldest session wanted.
        is_new: whether the table holds no row from that day on.
    """

    axes: Axes
    first: date
    is_new: bool


@dataclass(frozen=True, slots=True)
class Computed:
    """What became of a shard: files beside the table's own, which no snapshot names yet, or rows that differ."""

    files: bulk.Files | None = None
    changed: pa.Table | None = None


# Computes one shard, reading from a lake that is open for reading at least.
Compute = Callable[[Lake, Shard], Computed]
# Has every shard computed on the lake as it is now, in the order of the shards.
MapShards = Callable[[Lake, Compute, Sequence[Shard]], Iterable[Computed]]


def compute_here(lake: Lake, compute: Compute, shards: Sequence[Shard]) -> Iterable[Computed]:
    """Every shard, computed one after the other by this process: the simplest `MapShards`."""
    return [compute(lake, shard) for shard in shards]


def is_worth(axes: Iterable[Axes], first: date) -> bool:
    """Whether so much is to be computed that others should help.

    Args:
        axes: the securities and their sessions.
        first: oldest session wanted.
    """
    day = np.datetime64(first)
    return sum(len(part.codes) * int((part.sessions >= day).sum()) for part in axes) >= WORTH_SHARDS


def cut(lake: Lake, table: Table, axes: Iterable[Axes], first: date) -> list[Shard]:
    """The shards of a computation that looks at one security at a time: some securities each.

    Args:
        lake: the lake.
        table: what is computed.
        axes: the securities and their sessions.
        first: oldest session wanted.

    Raises:
        LakeError: the lake cannot be read.
    """
    parts = itertools.chain.from_iterable(part.split(SHARD_CELLS) for part in axes)
    return of_parts(lake, table, ((part, first) for part in parts))


def of_parts(lake: Lake, table: Table, parts: Iterable[tuple[Axes, date]]) -> list[Shard]:
    """The shards of a computation.

    Args:
        lake: the lake.
        table: what is computed.
        parts: securities and sessions of each, and the oldest session whose rows are wanted.

    Raises:
        LakeError: the lake cannot be read.
    """
    newest = lake.read_value(f"select max(trade_date) from {table.full_name}")
    return [Shard(axes, first, newest is None or newest < first) for axes, first in parts]


def write(lake: Lake, table: Table, shard: Shard, parts: Iterable[pa.Table]) -> Computed:
    """What is to be handed back of a shard's rows, most of them in files.

    Args:
        lake: open for reading at least.
        table: contract of the rows.
        shard: what was computed.
        parts: its rows, sorted; may read from the lake as they are read.

    Raises:
        ContractViolation: the rows do not fit the table.
        LakeError: a file cannot be written, or the lake not be read.
    """
    try:
        if shard.is_new:
            return Computed(bulk.write_files(lake.connection, lake.location, table, parts))
        rows = pa.concat_tables([table.empty(), *(table.conform(part) for part in parts)])
        changed = table.conform(derive.fresh_rows(lake.connection, table, rows))
        if changed.num_rows <= MOST_HANDED_BACK:
            return Computed(changed=changed)
        return Computed(bulk.write_files(lake.connection, lake.location, table, [changed]))
    except (duckdb.Error, OSError) as exc:
        raise errors.LakeError(f"a shard of {table.full_name} cannot be written: {lake.location.told(exc)}") from exc


def take_in(
    connection: duckdb.DuckDBPyConnection, table: Table, shards: Sequence[Shard], computed: Sequence[Computed]
) -> int:
    """How many rows of all shards became part of the table.

    Args:
        connection: inside a commit.
        table: contract of the rows.
        shards: what was to be computed.
        computed: what came of each.

    Raises:
        ContractViolation: the rows do not fit the table.
    """
    n_rows = 0
    for shard, one in zip(shards, computed, strict=True):
        if one.files is not None:
            if not shard.is_new:
                days = (shard.first, shard.axes.sessions[-1].item())
                paths = ", ".join("'" + path.replace("'", "''") + "'" for path in one.files.paths)
                derive.delete_rows(connection, table, f"select * from read_parquet([{paths}])", {"trade_date": days})
            bulk.add_files(connection, table, one.files)
            n_rows += one.files.n_rows
        if one.changed is not None:
            n_rows += derive.write_rows(connection, table, one.changed)
    return n_rows
