"""What FRED says of its series, and since when: another unit or frequency must not pass for another economy.

Invariants: a wording stands from the day Daybook first saw it until the day before it saw another; nothing is
overwritten but a wording that changed twice within a day. A change of unit, frequency or seasonal adjustment is
entered in `macro.rebase` too. Partners: `flows/ingest_macro.py`, which asks; `sql/checks/series_fact_changed.sql`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import pyarrow as pa

from warehouse import load
from warehouse.tables import macro
from warehouse.vintages import STANDING

# Facts whose change makes a series another one.
IDENTIFYING = ("units", "frequency", "seasonal_adjustment")


def fact_load(rows: pa.Table, partitions: Sequence[load.Partition], *, pull_date: date) -> load.Load:
    """A load of facts.

    Args:
        rows: series_id, fact_name, value.
        partitions: one per series asked for, its key the series_id.
        pull_date: US Central day on which FRED said so.
    """
    n_rows = rows.num_rows
    rows = rows.append_column("realtime_start", pa.array([pull_date] * n_rows, pa.date32()))
    rows = rows.append_column("realtime_end", pa.array([STANDING] * n_rows, pa.date32()))
    return load.Load(macro.SERIES_FACT, rows, partitions, "series_id", merge=merge_facts)


def merge_facts(connection: duckdb.DuckDBPyConnection, one: load.Load, stamp: load.Stamp) -> None:
    """Write the temporary table `accepted` into macro.series_fact; a pull older than what stands is left out."""
    connection.execute(
        "create temp table fact_change as select a.*, f.value as old_value, f.realtime_start as standing_start"
        " from accepted as a left join macro.series_fact as f on f.series_id = a.series_id"
        " and f.fact_name = a.fact_name and f.realtime_end = date '9999-12-31'"
        " where f.value is null or (f.value <> a.value and f.realtime_start <= a.realtime_start)"
    )
    connection.execute(
        "update macro.series_fact as f set realtime_end = c.realtime_start - 1 from fact_change as c"
        " where f.series_id = c.series_id and f.fact_name = c.fact_name and f.realtime_end = date '9999-12-31'"
        " and f.realtime_start < c.realtime_start"
    )
    connection.execute(
        "delete from macro.series_fact as f using fact_change as c where f.series_id = c.series_id"
        " and f.fact_name = c.fact_name and f.realtime_start = c.realtime_start"
    )
    connection.execute(
        "insert into macro.series_fact select series_id, fact_name, value, realtime_start, realtime_end, retrieved_at,"
        " load_id from fact_change order by series_id, fact_name"
    )
    names = ", ".join(f"'{name}'" for name in IDENTIFYING)
    connection.execute(
        "delete from macro.rebase as r using fact_change as c where r.series_id = c.series_id"
        f" and r.vintage_date = c.realtime_start and r.kind = c.fact_name and c.fact_name in ({names})"
    )
    connection.execute(
        "insert into macro.rebase (series_id, vintage_date, kind, old_text, new_text)"
        " select c.series_id, c.realtime_start, c.fact_name, before.value, c.value from fact_change as c"
        " join macro.series_fact as before on before.series_id = c.series_id and before.fact_name = c.fact_name"
        " and before.realtime_end = c.realtime_start - 1"
        f" where c.fact_name in ({names}) and before.value <> c.value order by c.series_id, c.fact_name"
    )
    connection.execute("drop table temp.fact_change")
