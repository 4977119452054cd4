"""How a vendor's rows enter the lake: audited, set aside or merged, and entered in the ledger, in one transaction.

Invariants: loading the same rows twice writes nothing; a row that breaks a rule is in `ops.quarantine`, not lost; a
corrected value leaves its predecessor in `ops.revision`; rows that vanished upstream stay; a partition that was whole
is never marked otherwise by a worse answer. Partner: `warehouse/ledger.py`, which derives the work to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from warehouse import audit, ledger_entry, revisions, rules
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.tables import vendor

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
        unreadable: rows that could not even be read, as `audit.UNREADABLE_SCHEMA`; they go to `ops.quarantine`.
        latest_date: newest session a row may be of; None for the newest day any partition is known through.
    """

    table: Table
    rows: pa.Table
    partitions: Sequence[Partition]
    partition_column: str | None
    replies: pa.Table | None = None
    merge: Merge | None = None
    amends: bool = False
    unreadable: pa.Table | None = None
    latest_date: date | None = None


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
    prepared = [(one, with_provenance(one, stamp)) for one in loads]
    replies = [vendor.REPLY.conform(one.replies) for one in loads if one.replies is not None]

    def work(connection: duckdb.DuckDBPyConnection) -> pa.Table:
        enabled = rules.read_enabled(connection, [one.table for one in loads])
        ledger_entry.hold(connection, [(one.table, partition) for one in loads for partition in one.partitions])
        entries: list[ledger_entry.Entry] = []
        amended: list[ledger_entry.Entry] = []
        for one, rows in prepared:
            found = load_one(connection, one, rows, enabled[one.table.full_name], stamp)
            (amended if one.amends else entries).extend(found)
        for of_one in replies:
            _enter_replies(connection, of_one)
        ledger_entry.amend(connection, amended, stamp)
        return ledger_entry.enter(connection, entries, stamp)

    names = ", ".join(sorted({one.table.name for one in loads}))
    keys = sorted({partition.key for one in loads for partition in one.partitions})
    return lake.commit(work, message=f"load {names} {keys[0]}..{keys[-1]}" if keys else f"load {names}")


def with_provenance(one: Load, stamp: Stamp) -> pa.Table:
    """The rows of a load as its table has them.

    Raises:
        ContractViolation: their columns do not fit.
    """
    rows = one.rows
    for name, value in (("retrieved_at", stamp.loaded_at), ("load_id", stamp.load_id)):
        if name in one.table.column_names and name not in rows.column_names:
            kind = one.table.arrow_schema.field(name).type
            rows = rows.append_column(name, pa.repeat(pa.scalar(value, kind), rows.num_rows))
    return one.table.conform(rows)


def load_one(
    connection: duckdb.DuckDBPyConnection, one: Load, rows: pa.Table, enabled: Sequence[rules.Rule], stamp: Stamp
) -> list[ledger_entry.Entry]:
    """What the ledger is to say of a load's partitions, after its rows were judged and merged.

    Args:
        connection: inside a commit, after `ledger_entry.hold`.
        one: the load.
        rows: its rows, as `with_provenance` gives them.
        enabled: rules in force for its table.
        stamp: provenance.
    """
    asked = pa.table({"partition": pa.array([p.key for p in one.partitions], pa.string())})
    connection.register("rows_in", rows)
    connection.register("asked", asked)
    received = audit.judge(connection, one, enabled, stamp)
    connection.execute("create temp view accepted as from admitted")
    if one.merge:
        one.merge(connection, one, stamp)
        stands = _read_stored(connection, one)
    else:
        stands = _merge_what_differs(connection, one, received, stamp)
    # After a failure the roll-back drops these; a statement run then would hide the error behind "aborted".
    connection.execute("drop view temp.accepted")
    connection.execute("drop table if exists temp.changed")
    audit.forget(connection)
    connection.unregister("rows_in")
    connection.unregister("asked")
    return [ledger_entry.Entry(one.table, p, received.get(p.key), *stands.get(p.key, (0, 0))) for p in one.partitions]


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
        f"insert into {vendor.REPLY.full_name} by name select * from replies"
        f" anti join {vendor.REPLY.full_name} using (reply_id)"
    )
    connection.unregister("replies")


Stored = dict[str, tuple[int, int]]


def _read_stored(connection: duckdb.DuckDBPyConnection, one: Load) -> Stored:
    """Rows and digest of what stands in each partition asked for; empty ones left out."""
    table, column = one.table, one.partition_column
    keys = [partition.key for partition in one.partitions]
    if not keys:
        return {}
    key = f'cast("{column}" as varchar)' if column else audit.literal(keys[0])
    if column:
        # A partition that is no value of its column would find nothing, even where something stands.
        connection.execute(f"select count(cast(partition as {table.column(column).type})) from asked")
    found = connection.execute(
        f"select {key}, count(*), bit_xor({table.digest_sql}) from {audit.of_partitions(one, keys)} group by all"
    ).fetchall()
    return {key: (n_rows, digest) for key, n_rows, digest in found if n_rows}


def _merge_what_differs(
    connection: duckdb.DuckDBPyConnection, one: Load, received: Mapping[str, audit.Received], stamp: Stamp
) -> Stored:
    """Merge the partitions whose rows are not those that stand; what stands afterwards."""
    before = _read_stored(connection, one)
    came = {key: (each.n_accepted, each.content_hash) for key, each in received.items() if each.n_accepted}
    differing = sorted(key for key in came if came[key] != before.get(key))
    if not differing:
        return before
    if len(differing) < len(came):
        kept = ", ".join(audit.literal(key) for key in differing)
        connection.execute(f"create or replace temp view accepted as from admitted where partition_key in ({kept})")
    if not before.keys() & set(differing) and one.partition_column in (None, *one.table.grain):
        # Nothing stands in these partitions: no key can be there already.
        revisions.record_arrivals(connection, one, stamp)
        columns = audit.names(one.table.column_names)
        connection.execute(
            f"insert into {one.table.full_name} by name select {columns} from accepted"
            f" order by {audit.names(one.table.grain)}"
        )
        return before | {key: came[key] for key in differing}
    merge_by_key(connection, one, stamp)
    return _read_stored(connection, one)


def merge_by_key(connection: duckdb.DuckDBPyConnection, one: Load, stamp: Stamp) -> None:
    """New rows in, changed rows replaced with their old values kept; rows that are the same are not touched."""
    table = one.table
    keys = [row[0] for row in connection.execute("select distinct partition_key from accepted order by 1").fetchall()]
    standing = audit.of_partitions(one, keys)
    values = [name for name in table.fact_names if name not in table.grain]
    differs = " or ".join(f'a."{name}" is distinct from t."{name}"' for name in values) or "false"
    old_values = "".join(f', t."{name}" as "old_{name}"' for name in values)
    connection.execute(
        f"create temp table changed as select a.*{old_values}"
        f" from accepted as a join {standing} as t using ({audit.names(table.grain)}) where {differs}"
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
        f"insert into {table.full_name} by name select {audit.names(table.column_names)} from accepted"
        f" anti join {standing} using ({audit.names(table.grain)}) order by {audit.names(table.grain)}"
    )


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    row = connection.execute(f"select count(*) from {name}").fetchone()
    return int(row[0]) if row else 0
