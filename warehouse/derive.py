"""How computed rows enter the lake, and which days they must be computed for again.

Invariant: a derived day records the digest of the inputs it was computed from, in the same commit as its rows; a day
is due exactly when that digest no longer fits. There is no watermark that could run ahead of the data. Partners:
`warehouse/returns.py` and `warehouse/features.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import pyarrow as pa

from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.load import Stamp
from warehouse.tables import ops


def read_due(lake: Lake, table: Table, inputs: Sequence[Table]) -> pa.Table:
    """The sessions of `table` whose inputs are not those it was computed from.

    Args:
        lake: the lake.
        table: the derived table.
        inputs: the tables it is computed from, the indispensable one first: a day without it has nothing to derive.

    Returns:
        Rows (partition, input_hash), oldest first.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        """
        with wanted as (
            select partition, bit_xor(hash(dataset, content_hash)) as input_hash
            from ops.ledger where dataset in (select unnest($inputs)) and content_hash <> 0 group by partition
            having count(*) filter (where dataset = $first and content_hash <> 0) > 0
        )
        select wanted.partition, wanted.input_hash
        from wanted
        left join ops.ledger as held on held.dataset = $dataset and held.partition = wanted.partition
        where held.content_hash is distinct from wanted.input_hash
        order by wanted.partition
        """,
        inputs=[one.full_name for one in inputs],
        first=inputs[0].full_name,
        dataset=table.full_name,
    )


def write_rows(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table) -> int:
    """How many rows were new or different and therefore written; the others are left alone.

    Args:
        connection: inside a commit.
        table: contract of the rows.
        rows: complete rows; no key twice.

    Raises:
        ContractViolation: the rows do not fit the table.
    """
    key = ", ".join(f'"{name}"' for name in table.grain)
    values = [name for name in table.column_names if name not in table.grain]
    differs = " or ".join(f'd."{name}" is distinct from t."{name}"' for name in values) or "false"
    connection.register("derived", table.conform(rows))
    connection.execute(
        f"create temp table fresh as select d.* from derived as d left join {table.full_name} as t using ({key})"
        f' where t."{table.grain[0]}" is null or {differs}'
    )
    match = " and ".join(f't."{name}" = f."{name}"' for name in table.grain)
    counted = connection.execute("select count(*) from fresh").fetchone()
    n_fresh = int(counted[0]) if counted else 0
    if n_fresh:
        connection.execute(f"delete from {table.full_name} as t using fresh as f where {match}")
        connection.execute(f"insert into {table.full_name} select * from fresh order by {key}")
    connection.execute("drop table temp.fresh")
    connection.unregister("derived")
    return n_fresh


def enter_ledger(connection: duckdb.DuckDBPyConnection, table: Table, due: pa.Table, stamp: Stamp) -> None:
    """Record, for each due day, the digest of the inputs its rows were computed from.

    Args:
        connection: inside the commit that wrote the rows.
        table: the derived table, with a `trade_date` column.
        due: rows of `read_due`.
        stamp: provenance.
    """
    connection.register("due", due)
    connection.execute(
        f"""
        create temp table derived_ledger as
        select
            $dataset as dataset, due.partition, 'ok' as state, cast(due.partition as date) as through_date,
            null::bigint as n_expected,
            (select count(*) from {table.full_name} where trade_date = cast(due.partition as date)) as n_received,
            0 as n_quarantined, due.input_hash as content_hash, '' as reason,
            '' as cause, null::date as asked_date,
            coalesce(o.n_attempts, 0) + 1 as n_attempts
        from due left join {ops.LEDGER.full_name} as o on o.dataset = $dataset and o.partition = due.partition
        """,
        {"dataset": table.full_name},
    )
    connection.execute(
        f"delete from {ops.LEDGER.full_name} where dataset = $dataset and partition in (select partition from due)",
        {"dataset": table.full_name},
    )
    connection.execute(
        f"insert into {ops.LEDGER.full_name} select *, $load_id, $loaded_at from derived_ledger",
        {"load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )
    connection.execute("drop table temp.derived_ledger")
    connection.unregister("due")


def first_due(due: pa.Table) -> date:
    """The oldest due session; `due` must have rows."""
    return date.fromisoformat(due["partition"][0].as_py())
