"""What the ledger is told after a load, for all its partitions at once.

Invariants: a ledger row is written only where it says something new; a partition that was whole is never marked
otherwise by a worse answer, but its content hash always is that of the rows that stand. Partners: `warehouse/load.py`,
and `warehouse/ledger.py`, which derives the work to do from these rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from warehouse import sql
from warehouse.audit import Received
from warehouse.contracts import Table
from warehouse.tables import ops

if TYPE_CHECKING:
    from warehouse.load import Partition, Stamp


@dataclass(frozen=True, slots=True)
class Entry:
    """What a ledger row is made from: what was asked for, what came, what stands.

    Args:
        table: contract of the rows.
        partition: what was asked.
        received: what came; None when nothing did.
        n_stored: rows that stand now.
        content_hash: their digest.
    """

    table: Table
    partition: Partition
    received: Received | None
    n_stored: int
    content_hash: int


def hold(connection: duckdb.DuckDBPyConnection, asked: Iterable[tuple[Table, Partition]]) -> None:
    """Read the ledger rows of some partitions once, into the temporary table `held`, which `enter` drops.

    A statement on the lake costs 10 to 20 ms, whatever it asks, so that all parts of a load share these rows.

    Args:
        connection: inside a commit.
        asked: every partition that `enter` will be told of, and its table.
    """
    asked = list(asked)
    rows = pa.table(
        {
            "dataset": pa.array([table.full_name for table, _ in asked], pa.string()),
            "partition": pa.array([partition.key for _, partition in asked], pa.string()),
        }
    )
    connection.register("held_for", rows)
    connection.execute(
        f"create temp table held as from {ops.LEDGER.full_name} semi join held_for using (dataset, partition)"
    )
    connection.unregister("held_for")


def enter(connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry], stamp: Stamp) -> pa.Table:
    """The ledger rows of some partitions, written where they say something new, and never for the worse.

    Args:
        connection: inside the commit that wrote the rows, after `hold`.
        entries: one per partition; of several for the same one, the last counts.
        stamp: provenance.
    """
    last = {(entry.table.full_name, entry.partition.key): entry for entry in entries}
    received = [entry.received for entry in last.values()]
    partitions = [entry.partition for entry in last.values()]
    columns: dict[str, tuple[list[object], pa.DataType]] = {
        "dataset": ([dataset for dataset, _ in last], pa.string()),
        "partition": ([key for _, key in last], pa.string()),
        "through_date": ([p.through_date for p in partitions], pa.date32()),
        "n_expected": ([p.n_expected for p in partitions], pa.int64()),
        "n_required": ([p.n_required for p in partitions], pa.int64()),
        "may_be_empty": ([p.may_be_empty for p in partitions], pa.bool_()),
        "failure": ([p.failure for p in partitions], pa.string()),
        "cause": ([p.cause for p in partitions], pa.string()),
        "asked_date": ([p.asked_date for p in partitions], pa.date32()),
        "n_received": ([None if r is None else r.n_received for r in received], pa.int64()),
        "n_quarantined": ([0 if r is None else r.n_quarantined for r in received], pa.int64()),
        "n_stored": ([entry.n_stored for entry in last.values()], pa.int64()),
        "content_hash": ([entry.content_hash for entry in last.values()], pa.uint64()),
    }
    connection.register("asked_for", pa.table({name: pa.array(*column) for name, column in columns.items()}))
    connection.execute(sql.load("ledger_entry"), {"load_id": stamp.load_id, "loaded_at": stamp.loaded_at})
    if _count(connection, "ledger_entry"):
        if _count(connection, "held semi join ledger_entry using (dataset, partition)"):
            connection.execute(
                f"delete from {ops.LEDGER.full_name} as o using ledger_entry as n"
                " where o.dataset = n.dataset and o.partition = n.partition"
            )
        connection.execute(f"insert into {ops.LEDGER.full_name} by name from ledger_entry order by dataset, partition")
    stands = connection.execute(
        "from (from held semi join asked_for using (dataset, partition)"
        " anti join ledger_entry using (dataset, partition)) union all by name from ledger_entry"
        " order by dataset, partition"
    ).to_arrow_table()
    connection.unregister("asked_for")
    for name in ("held", "ledger_entry"):
        connection.execute(f"drop table temp.{name}")
    return stands


def amend(connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry], stamp: Stamp) -> None:
    """Let the digests of some partitions follow rows that were corrected one by one; nothing else is said of them.

    Args:
        connection: inside the commit that wrote the rows.
        entries: one per partition.
        stamp: provenance.
    """
    if not entries:
        return
    columns: dict[str, tuple[list[object], pa.DataType]] = {
        "dataset": ([entry.table.full_name for entry in entries], pa.string()),
        "partition": ([entry.partition.key for entry in entries], pa.string()),
        "content_hash": ([entry.content_hash for entry in entries], pa.uint64()),
    }
    connection.register("amended", pa.table({name: pa.array(*column) for name, column in columns.items()}))
    connection.execute(
        f"update {ops.LEDGER.full_name} as o set content_hash = n.content_hash, load_id = $load_id,"
        " loaded_at = $loaded_at from amended as n where o.dataset = n.dataset and o.partition = n.partition"
        " and o.content_hash <> n.content_hash",
        {"load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )
    connection.unregister("amended")


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    row = connection.execute(f"select count(*) from {name}").fetchone()
    return int(row[0]) if row else 0
