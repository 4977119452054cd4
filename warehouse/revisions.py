"""What stood before: every corrected value, and every row that came after its day.

Invariant: for any day T the rows and values known on T can be told from those that stand now, by undoing what
`ops.revision` learned later. Partners: `warehouse/load.py`, which merges; `warehouse/sql/macros/`, which undoes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import duckdb

from warehouse import audit
from warehouse.tables import ops

if TYPE_CHECKING:
    from warehouse import load

# A day first asked for within so many days was being watched when its rows were due.
WATCHED_DAYS = 30


def record_revisions(
    connection: duckdb.DuckDBPyConnection, one: load.Load, values: Sequence[str], stamp: load.Stamp
) -> None:
    """Keep what stood before for every value that differs between `x` and `old_x` in the temporary table `changed`."""
    key = "{" + ", ".join(f"'{name}': \"{name}\"" for name in one.table.grain) + "}"
    per_column = " union all ".join(
        f"select partition_key, cast(to_json({key}) as varchar) as row_key, '{name}' as column_name,"
        f' cast("old_{name}" as varchar) as old_value, cast("{name}" as varchar) as new_value'
        f' from changed where "old_{name}" is distinct from "{name}"'
        for name in values
    )
    connection.execute(
        f"""
        insert into {ops.REVISION.full_name}
        with fresh as ({per_column}),
        known as (
            select row_key, column_name, max(revision_no) as revision_no
            from {ops.REVISION.full_name}
            where dataset = $dataset and partition in (select partition_key from changed) group by all
        )
        select
            $dataset, fresh.partition_key, fresh.row_key, fresh.column_name,
            coalesce(known.revision_no, 0) + 1, fresh.old_value, fresh.new_value, $revised_date, $load_id, $loaded_at
        from fresh left join known using (row_key, column_name)
        """,
        {
            "dataset": one.table.full_name,
            "revised_date": stamp.known_date,
            "load_id": stamp.load_id,
            "loaded_at": stamp.loaded_at,
        },
    )


def record_arrivals(connection: duckdb.DuckDBPyConnection, one: load.Load, stamp: load.Stamp) -> None:
    """A row that comes after its day was asked for in vain is known from today, and `ops.revision` says so.

    A day that was first asked for long after it had passed is history being filled in: nobody was watching, and the
    day itself stands in for the day of publication. Reads the temporary table `held` of `warehouse/ledger_entry.py`.
    """
    if one.partition_column == "trade_date":
        late = [partition.key for partition in one.partitions if partition.key < stamp.known_date.isoformat()]
        is_late = f"coalesce(held.first_asked_date, held.asked_date) <= a.trade_date + {WATCHED_DAYS}"
    elif "trade_date" in one.table.grain:
        # A whole history at a time, such as an index's: a session was watched when somebody asked on its day or after.
        late = [partition.key for partition in one.partitions]
        is_late = "held.asked_date >= a.trade_date and coalesce(held.first_asked_date, held.asked_date) <= a.trade_date"
    else:
        return
    if not late:
        return
    dataset = one.table.full_name
    watched = connection.execute(
        "select partition from held where dataset = $dataset and asked_date is not null"
        " and partition in (select unnest($late))",
        {"dataset": dataset, "late": late},
    ).fetchall()
    if not watched:
        return
    standing = audit.of_partitions(one, [row[0] for row in watched])
    grain = ", ".join(f'"{name}"' for name in one.table.grain)
    key = "{" + ", ".join(f"'{name}': a.\"{name}\"" for name in one.table.grain) + "}"
    connection.execute(
        f"""
        insert into {ops.REVISION.full_name}
        select
            $dataset, a.partition_key, cast(to_json({key}) as varchar), '*', 1, null, 'came late', $revised_date,
            $load_id, $loaded_at
        from accepted as a
        join held on held.dataset = $dataset and held.partition = a.partition_key
        anti join {standing} as t using ({grain})
        where {is_late}
            and $revised_date > a.trade_date
        order by all
        """,
        {
            "dataset": one.table.full_name,
            "revised_date": stamp.known_date,
            "load_id": stamp.load_id,
            "loaded_at": stamp.loaded_at,
        },
    )
