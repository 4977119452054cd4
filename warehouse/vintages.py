"""How macro values enter the lake: what a pull sees differently closes the old row and opens a new one.

Invariants: nothing published is overwritten or deleted; at any day at most one row stands for a series and period; a
value's realtime_start is the day Daybook first saw it, but for the first pull of a series, and for what files tell of
the time before it, where the usual publication lag stands in and the row says so. Partner: `warehouse/load.py`, which
audits the rows and keeps the ledger.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from datetime import date

import duckdb
import pyarrow as pa

from warehouse import errors, load, rebases, revisions, sql
from warehouse.tables import macro

STANDING = date(9999, 12, 31)


def observation_load(
    rows: pa.Table,
    partitions: Sequence[load.Partition],
    *,
    pull_date: date,
    replies: pa.Table | None = None,
    is_history: bool = False,
) -> load.Load:
    """A load of one pull's observations, or of a file's.

    Args:
        rows: series_id, observation_date, value (NULL when published as missing), the whole history of each series.
        partitions: one per series asked for, its key the series_id.
        pull_date: US Central day of the pull, FRED's own knowledge date.
        replies: rows for `vendor.reply`.
        is_history: whether the rows are a file's, which nobody was asked for on `pull_date`.
    """
    if not is_history:
        partitions = [dataclasses.replace(one, asked_date=pull_date) for one in partitions]
    n_rows = rows.num_rows
    rows = rows.append_column("realtime_start", pa.array([pull_date] * n_rows, pa.date32()))
    rows = rows.append_column("realtime_end", pa.array([STANDING] * n_rows, pa.date32()))
    rows = rows.append_column("is_realtime_estimated", pa.array([False] * n_rows, pa.bool_()))
    merge = functools.partial(merge_vintages, is_history=is_history)
    return load.Load(macro.OBSERVATION, rows, partitions, "series_id", replies, merge=merge)


def merge_vintages(
    connection: duckdb.DuckDBPyConnection, one: load.Load, stamp: load.Stamp, *, is_history: bool = False
) -> None:
    """Write the temporary table `accepted` into macro.observation, keeping every value ever seen.

    A pull older than the value that stands says nothing about today and leaves it alone.

    Args:
        connection: inside a commit.
        one: the load; a partition that nobody was asked for holds a row released from quarantine.
        stamp: provenance.
        is_history: whether the rows are a file's.

    Raises:
        ContractViolation: a series is not in macro.series; nothing was stored.
    """
    _refuse_unknown_series(connection)
    asked = [partition.key for partition in one.partitions if partition.asked_date is not None]
    connection.register("asked_of_vendor", pa.table({"series_id": pa.array(asked, pa.string())}))
    connection.execute(sql.load("vintage_incoming"), {"is_history": is_history})
    connection.unregister("asked_of_vendor")
    _correct_same_day(connection, one, stamp)
    connection.execute(
        "update macro.observation as o set realtime_end = (v.pull_date - interval 1 day)::date"
        " from vintage_incoming as v where o.series_id = v.series_id and o.observation_date = v.observation_date"
        " and o.realtime_end = date '9999-12-31' and v.has_standing and v.standing_start < v.pull_date"
        " and v.standing_value is distinct from v.value"
    )
    connection.execute(
        "insert into macro.observation (series_id, observation_date, value, realtime_start, realtime_end,"
        " is_realtime_estimated, retrieved_at, load_id) select series_id, observation_date, value,"
        " case when is_of_before then least(expected_date, pull_date) else pull_date end,"
        " date '9999-12-31', is_of_before, retrieved_at, load_id from vintage_incoming where not has_standing"
        " or (standing_start < pull_date and standing_value is distinct from value)"
        " order by series_id, observation_date"
    )
    connection.execute(
        "insert into macro.release select series_id, observation_date, expected_date, pull_date"
        " from vintage_incoming as v where not has_standing and not is_of_before"
        " and not exists (from macro.release as r where r.series_id = v.series_id"
        " and r.observation_date = v.observation_date) order by series_id, observation_date"
    )
    _find_rebases(connection)
    connection.execute("drop table temp.vintage_incoming")


def _find_rebases(connection: duckdb.DuckDBPyConnection) -> None:
    """Look whether the pull moved whole series; the first rows of one have nothing to be compared with."""
    pulled = connection.execute(
        "select series_id, min(pull_date) from vintage_incoming where is_known group by series_id"
    ).fetchall()
    if pulled:
        rebases.update(connection, [series_id for series_id, _ in pulled], min(day for _, day in pulled))


def _refuse_unknown_series(connection: duckdb.DuckDBPyConnection) -> None:
    """Without its facts a value cannot be dated, and a join would drop it without a word."""
    unknown = connection.execute(
        "select distinct series_id from accepted anti join macro.series using (series_id) order by all"
    ).fetchall()
    if unknown:
        raise errors.ContractViolation(
            f"macro.series does not know {', '.join(row[0] for row in unknown)}. Nothing was stored; "
            "add the series to warehouse/seeds/fred_series.csv and pull again."
        )


def _correct_same_day(connection: duckdb.DuckDBPyConnection, one: load.Load, stamp: load.Stamp) -> None:
    """A value that changed twice within one day never stood alone: it is replaced, and `ops.revision` keeps it."""
    connection.execute(
        "create temp table changed as select v.series_id as partition_key, v.series_id, v.observation_date,"
        " v.standing_start as realtime_start, v.value, v.standing_value as old_value, v.retrieved_at, v.load_id"
        " from vintage_incoming as v where v.has_standing and v.standing_start = v.pull_date"
        " and v.standing_value is distinct from v.value"
    )
    revisions.record_revisions(connection, one, ["value"], stamp)
    connection.execute(
        "update macro.observation as o set value = c.value, retrieved_at = c.retrieved_at, load_id = c.load_id"
        " from changed as c where o.series_id = c.series_id"
        " and o.observation_date = c.observation_date and o.realtime_start = c.realtime_start"
    )
