"""How a vendor's rows enter the lake: audited, set aside or merged, and entered in the ledger, in one transaction.

Invariants: loading the same rows twice writes nothing; a row that breaks a rule is in `ops.quarantine`, not lost; a
corrected value leaves its predecessor in `ops.revision`; rows that vanished upstream stay; a partition that was whole
is never marked otherwise by a worse answer. Partner: `warehouse/ledger.py`, which derives the work to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from warehouse import revisions, sql
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.tables import ops, vendor

WHOLE_STATES = ("ok", "empty_confirmed")
SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Partition:
    """What was asked for one partition, and what its ledger row shall say.

    Args:
        key: partition, such as `2026-11-20`.
        through_date: the partition is known as of this day.
        n_expected: rows that must come; None when it cannot be known.
        n_required: rows below which the partition is partial; None for all that are expected.
        may_be_empty: whether no row at all is a fact (no suspension that day) rather than a failure.
        failure: why nothing usable came, empty when something did.
        cause: the sort of failure, one of `ops.CAUSES`, or what makes an empty answer a fact; see `ops.ledger`.
        asked_date: vendor's local day of the question.
    """

    key: str
    through_date: date
    n_expected: int | None = None
    may_be_empty: bool = False
    failure: str = ""
    cause: str = ""
    asked_date: date | None = None
    n_required: int | None = None


# Writes the temporary table `accepted` into the load's table.
Merge = Callable[[duckdb.DuckDBPyConnection, "Load", "Stamp"], None]


@dataclass(frozen=True, slots=True)
class Load:
    """Rows of one table for some of its partitions.

    Args:
        table: contract of the rows.
        rows: the vendor's rows, provenance columns left out; row order is irrelevant.
        partitions: every partition asked for, those without rows included.
        partition_column: column whose value, as text, is the partition; rows of other partitions are set aside.
            None when all rows belong to the only partition.
        replies: rows for `vendor.reply`.
        merge: how accepted rows meet the rows that stand; None for replacing them by key.
        amends: whether these are single rows of partitions loaded before: their digest follows, and nothing is said of
            how many rows came.
    """

    table: Table
    rows: pa.Table
    partitions: Sequence[Partition]
    partition_column: str | None
    replies: pa.Table | None = None
    merge: Merge | None = None
    amends: bool = False


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who loads, and when: the provenance of every row written."""

    load_id: str
    loaded_at: datetime

    @property
    def known_date(self) -> date:
        """Shanghai's day of the load: from then on what it changed is known."""
        return self.loaded_at.astimezone(SHANGHAI).date()


def load(lake: Lake, loads: Sequence[Load], stamp: Stamp) -> pa.Table:
    """Everything in `loads`, committed as one snapshot or not at all.

    Args:
        lake: open for writing.
        loads: tables and partitions that belong together, such as all tables of some sessions.
        stamp: provenance.

    Returns:
        The ledger rows of all partitions loaded, as they now stand.

    Raises:
        ContractViolation: rows whose columns do not fit their table.
        LakeError: the lake refused a statement; nothing was written.
    """
    prepared = [(one, _with_provenance(one, stamp)) for one in loads]
    replies = [vendor.REPLY.conform(one.replies) for one in loads if one.replies is not None]

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        for one, rows in prepared:
            _load_one(connection, one, rows, stamp)
        for of_one in replies:
            _enter_replies(connection, of_one)

    names = ", ".join(sorted({one.table.name for one in loads}))
    keys = sorted({partition.key for one in loads for partition in one.partitions})
    lake.commit(work, message=f"load {names} {keys[0]}..{keys[-1]}" if keys else f"load {names}")
    asked = [(one.table.full_name, partition.key) for one in loads for partition in one.partitions]
    return lake.read(
        "with asked as (select unnest($datasets::varchar[]) as dataset, unnest($keys::varchar[]) as partition)"
        " select * from ops.ledger semi join asked using (dataset, partition) order by dataset, partition",
        datasets=[dataset for dataset, _ in asked],
        keys=[key for _, key in asked],
    )


def _with_provenance(one: Load, stamp: Stamp) -> pa.Table:
    rows = one.rows
    for name, value in (("retrieved_at", stamp.loaded_at), ("load_id", stamp.load_id)):
        if name in one.table.column_names and name not in rows.column_names:
            kind = one.table.arrow_schema.field(name).type
            rows = rows.append_column(name, pa.array([value] * rows.num_rows, kind))
    return one.table.conform(rows)


def _load_one(connection: duckdb.DuckDBPyConnection, one: Load, rows: pa.Table, stamp: Stamp) -> None:
    asked = pa.table({"partition": pa.array([p.key for p in one.partitions], pa.string())})
    connection.register("rows_in", rows)
    connection.register("asked", asked)
    _stage(connection, one)
    if _count(connection, "rejected"):
        _quarantine(connection, one, stamp)
    (one.merge or merge_by_key)(connection, one, stamp)
    (_amend_ledger if one.amends else _enter_ledger)(connection, one, stamp)
    # After a failure the roll-back drops these; a statement run then would hide the error behind "aborted".
    connection.unregister("rows_in")
    connection.unregister("asked")
    for name in ("incoming", "rejected", "accepted", "changed"):
        connection.execute(f"drop table if exists temp.{name}")


def keep_replies(lake: Lake, replies: pa.Table) -> None:
    """Store answers that led to no row of a partition.

    Args:
        lake: open for writing.
        replies: rows for `vendor.reply`.

    Raises:
        LakeError: the lake cannot be written.
    """
    if replies.num_rows:
        conformed = vendor.REPLY.conform(replies)
        lake.commit(lambda connection: _enter_replies(connection, conformed), message="answers kept")


def _enter_replies(connection: duckdb.DuckDBPyConnection, replies: pa.Table) -> None:
    connection.register("replies", replies)
    connection.execute(
        f"insert into {vendor.REPLY.full_name} select * from replies"
        f" anti join {vendor.REPLY.full_name} using (reply_id)"
    )
    connection.unregister("replies")


def _names(names: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{name}"' for name in names)


def _stage(connection: duckdb.DuckDBPyConnection, one: Load) -> None:
    """Distinct rows with their partition, and for each broken rule a row in `rejected`."""
    table, facts = one.table, one.table.fact_names
    column = one.partition_column
    partition = f"coalesce(cast(\"{column}\" as varchar), '')" if column else "(select partition from asked)"
    connection.execute(
        f"create temp table incoming as select *, {partition} as partition_key, hash({_names(facts)}) as fact_hash"
        " from rows_in"
        f" qualify row_number() over (partition by {_names(facts)} order by {_names(table.column_names)}) = 1"
    )
    selects = [
        "select fact_hash, 'partition_asked', 'the row belongs to a partition that was not asked for'"
        " from incoming where partition_key not in (select partition from asked)",
    ]
    for c in table.columns:
        if not c.nullable:
            selects.append(
                f"select fact_hash, 'not_null', '{c.name} is missing' from incoming where \"{c.name}\" is null"
            )
        if c.type == "DOUBLE":
            selects.append(
                f"select fact_hash, 'finite', '{c.name} is not a finite number' from incoming"
                f' where "{c.name}" is not null and not isfinite("{c.name}")'
            )
    for rule in table.rules:
        selects.append(f"select fact_hash, '{rule.name}', '{rule.reason}' from incoming where not ({rule.predicate})")
    connection.execute(
        "create temp table rejected as select fact_hash, rule, min(reason) as reason from ("
        + " union all ".join(selects)
        + ") as broken(fact_hash, rule, reason) group by fact_hash, rule"
    )
    connection.execute(
        "insert into rejected select fact_hash, 'key_unique', 'the same key came with different values'"
        " from incoming anti join rejected using (fact_hash)"
        f" qualify count(*) over (partition by {_names(table.grain)}) > 1"
    )
    connection.execute("create temp table accepted as from incoming anti join rejected using (fact_hash)")


def _quarantine(connection: duckdb.DuckDBPyConnection, one: Load, stamp: Stamp) -> None:
    row = "{" + ", ".join(f"'{name}': i.\"{name}\"" for name in one.table.fact_names) + "}"
    connection.execute(
        f"""
        insert into {ops.QUARANTINE.full_name}
        with fresh as (
            select
                $dataset as dataset,
                i.partition_key as partition,
                r.rule,
                r.reason,
                cast(to_json({row}) as varchar) as row_json
            from rejected as r join incoming as i using (fact_hash)
        )
        select dataset, partition, rule, reason, row_json, md5(row_json), $load_id, $loaded_at
        from fresh
        anti join {ops.QUARANTINE.full_name} as known
            on known.dataset = fresh.dataset and known.partition = fresh.partition
            and known.rule = fresh.rule and known.row_hash = md5(fresh.row_json)
        """,
        {"dataset": one.table.full_name, "load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )


def merge_by_key(connection: duckdb.DuckDBPyConnection, one: Load, stamp: Stamp) -> None:
    """New rows in, changed rows replaced with their old values kept; rows that are the same are not touched."""
    table = one.table
    values = [name for name in table.fact_names if name not in table.grain]
    differs = " or ".join(f'a."{name}" is distinct from t."{name}"' for name in values) or "false"
    old_values = "".join(f', t."{name}" as "old_{name}"' for name in values)
    connection.execute(
        f"create temp table changed as select a.*{old_values}"
        f" from accepted as a join {table.full_name} as t using ({_names(table.grain)}) where {differs}"
    )
    # Before changed rows are taken out, which would then look as if they had just come.
    revisions.record_arrivals(connection, one, stamp)
    if _count(connection, "changed"):
        revisions.record_revisions(connection, one, values, stamp)
        connection.execute(
            f"delete from {table.full_name} as t using changed as c where "
            + " and ".join(f't."{name}" = c."{name}"' for name in table.grain)
        )
    connection.execute(
        f"insert into {table.full_name} select {_names(table.column_names)} from accepted"
        f" anti join {table.full_name} using ({_names(table.grain)}) order by {_names(table.grain)}"
    )


def _enter_ledger(connection: duckdb.DuckDBPyConnection, one: Load, stamp: Stamp) -> None:
    """One ledger row per partition asked for; replaced only where it says something new, and never for the worse."""
    partitions = one.partitions
    connection.register(
        "asked_for",
        pa.table(
            {
                "partition": pa.array([p.key for p in partitions], pa.string()),
                "through_date": pa.array([p.through_date for p in partitions], pa.date32()),
                "n_expected": pa.array([p.n_expected for p in partitions], pa.int64()),
                "may_be_empty": pa.array([p.may_be_empty for p in partitions], pa.bool_()),
                "n_required": pa.array([p.n_required for p in partitions], pa.int64()),
                "failure": pa.array([p.failure for p in partitions], pa.string()),
                "cause": pa.array([p.cause for p in partitions], pa.string()),
                "asked_date": pa.array([p.asked_date for p in partitions], pa.date32()),
            }
        ),
    )
    _count_received_and_stored(connection, one)
    connection.execute(sql.load("ledger_entry"), {"dataset": one.table.full_name})
    connection.execute(
        f"delete from {ops.LEDGER.full_name} as o using ledger_entry as n"
        " where o.dataset = n.dataset and o.partition = n.partition"
    )
    connection.execute(
        f"insert into {ops.LEDGER.full_name} select *, $load_id, $loaded_at from ledger_entry order by partition",
        {"load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )
    connection.unregister("asked_for")
    for name in ("received", "stored", "ledger_entry"):
        connection.execute(f"drop table temp.{name}")


def _amend_ledger(connection: duckdb.DuckDBPyConnection, one: Load, stamp: Stamp) -> None:
    """What is derived from these partitions is due again when their digest changed."""
    _count_received_and_stored(connection, one)
    connection.execute(
        f"update {ops.LEDGER.full_name} as o set content_hash = s.content_hash, load_id = $load_id,"
        " loaded_at = $loaded_at from stored as s where o.dataset = $dataset and o.partition = s.partition"
        " and o.content_hash <> s.content_hash",
        {"dataset": one.table.full_name, "load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )
    for name in ("received", "stored"):
        connection.execute(f"drop table temp.{name}")


def _count_received_and_stored(connection: duckdb.DuckDBPyConnection, one: Load) -> None:
    """What came and what stands, per partition, in the temporary tables `received` and `stored`."""
    table, column = one.table, one.partition_column
    connection.execute(
        f"""
        create temp table received as
        select partition_key as partition, count(distinct ({_names(table.grain)})) as n_received,
            count(*) filter (where fact_hash in (select fact_hash from rejected)) as n_quarantined
        from incoming group by all
        """
    )
    stored_key = f'cast("{column}" as varchar)' if column else "(select partition from asked)"
    of_asked = f'"{column}" in (select cast(partition as {table.column(column).type}) from asked)' if column else "true"
    connection.execute(
        f"""
        create temp table stored as
        select {stored_key} as partition, count(*) as n_stored,
            bit_xor(hash({_names(table.fact_names)})) as content_hash
        from {table.full_name} where {of_asked} group by all
        """
    )


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    row = connection.execute(f"select count(*) from {name}").fetchone()
    return int(row[0]) if row else 0
