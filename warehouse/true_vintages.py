"""How a series' true vintages enter the lake: FRED's own account of when each value was the published one.

What was estimated or seen late before is restated, and `ops.revision` keeps each row that was. Invariants: from a
series' first vintage on, `macro_asof` is what FRED published; before it nobody knows, and the first vintage's values
stand in from the usual publication lag on, marked as estimated; loading the same vintages again writes nothing; values
that FRED no longer mentions stay. Partners: `vintages.py`, for series without vintages, and `load.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from warehouse import load, rebases, sql
from warehouse.lake import Lake
from warehouse.tables import macro, ops


@dataclass(frozen=True, slots=True)
class Window:
    """What was asked of one series.

    Args:
        start: first day of the period asked for: the first vintage of all, or the newest known before.
        is_whole: whether `start` is the first vintage of all.
        dates: days of the vintages that came.
    """

    start: date
    is_whole: bool
    dates: Sequence[date]


def read_known_through(lake: Lake) -> dict[str, date]:
    """The newest vintage known of each series whose true vintages the lake has.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read("select series_id, max(vintage_date) as vintage_date from macro.vintage group by series_id")
    return dict(zip(rows["series_id"].to_pylist(), rows["vintage_date"].to_pylist(), strict=True))


def vintage_load(
    rows: pa.Table,
    partitions: Sequence[load.Partition],
    windows: Mapping[str, Window],
    *,
    replies: pa.Table | None = None,
) -> load.Load:
    """A load of true vintages.

    Args:
        rows: series_id, observation_date, value (NULL when published as missing), realtime_start, realtime_end.
        partitions: one per series asked for, its key the series_id.
        windows: what was asked of each series that answered.
        replies: rows for `vendor.reply`.
    """
    rows = rows.append_column("is_realtime_estimated", pa.array([False] * rows.num_rows, pa.bool_()))
    merge = functools.partial(merge_true, windows=windows)
    return load.Load(macro.OBSERVATION, rows, partitions, "series_id", replies, merge=merge)


def merge_true(
    connection: duckdb.DuckDBPyConnection, one: load.Load, stamp: load.Stamp, *, windows: Mapping[str, Window]
) -> None:
    """Write the temporary table `accepted` into macro.observation, in place of what it restates.

    Raises:
        ContractViolation: a series is not in macro.series; nothing was stored.
    """
    load_windows = pa.table(
        {
            "series_id": pa.array(list(windows), pa.string()),
            "window_start": pa.array([each.start for each in windows.values()], pa.date32()),
            "is_whole": pa.array([each.is_whole for each in windows.values()], pa.bool_()),
        }
    )
    connection.register("asked_window", load_windows)
    connection.execute(sql.load("true_vintage_change"))
    connection.execute(
        f"""
        insert into {ops.REVISION.full_name}
        with known as (
            select row_key, max(revision_no) as revision_no
            from {ops.REVISION.full_name} where dataset = $dataset and column_name = '*' group by row_key
        )
        select
            $dataset, c.series_id, c.row_key, '*', coalesce(known.revision_no, 0) + 1, c.row_json, c.restated_as,
            $revised_date, $load_id, $loaded_at
        from true_vintage_change as c left join known using (row_key)
        where c.is_gone and c.row_json is not null
        order by c.row_key
        """,
        {
            "dataset": one.table.full_name,
            "revised_date": stamp.known_date,
            "load_id": stamp.load_id,
            "loaded_at": stamp.loaded_at,
        },
    )
    connection.execute(
        f"delete from {one.table.full_name} as o using true_vintage_change as c where c.is_gone"
        " and o.series_id = c.series_id and o.observation_date = c.observation_date"
        " and o.realtime_start = c.realtime_start"
    )
    connection.execute(
        f"insert into {one.table.full_name} select series_id, observation_date, value, realtime_start, realtime_end,"
        " is_realtime_estimated, $loaded_at, $load_id from true_vintage_change where not is_gone"
        " order by series_id, observation_date, realtime_start",
        {"load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )
    connection.execute("drop table temp.true_vintage_change")
    connection.unregister("asked_window")
    _enter_dates(connection, windows)
    if windows:
        rebases.update(connection, list(windows), min(each.start for each in windows.values()))


def _enter_dates(connection: duckdb.DuckDBPyConnection, windows: Mapping[str, Window]) -> None:
    flat = [(series_id, day) for series_id, each in windows.items() for day in each.dates]
    rows = pa.table(
        {
            "series_id": pa.array([series_id for series_id, _ in flat], pa.string()),
            "vintage_date": pa.array([day for _, day in flat], pa.date32()),
        }
    )
    connection.register("vintage_in", macro.VINTAGE.conform(rows))
    connection.execute(
        "insert into macro.vintage from vintage_in anti join macro.vintage using (series_id, vintage_date)"
        " order by series_id, vintage_date"
    )
    connection.unregister("vintage_in")
