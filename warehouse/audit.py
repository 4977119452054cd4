"""Which of a load's rows may enter, and what becomes of the others.

Invariants: a row that breaks a rule of severity `reject` is in `ops.quarantine` with each rule it broke, and not in its
table; one that only breaks rules of severity `warn` is in both; a row a person has released is let in; nothing is
judged twice. Most loads are clean, which one pass over the rows shows; only others pay for more. Partners:
`warehouse/load.py`, `warehouse/rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa

from warehouse.contracts import Table
from warehouse.rules import Rule
from warehouse.tables import ops

if TYPE_CHECKING:
    from warehouse.load import Load, Stamp

# What a load makes of rows that cannot even be read in the contract's types, such as a word for a price in a file.
UNREADABLE_SCHEMA = pa.schema(
    [pa.field("partition", pa.string()), pa.field("reason", pa.string()), pa.field("row_json", pa.string())]
)


@dataclass(frozen=True, slots=True)
class Received:
    """What came for one partition.

    Args:
        n_received: distinct keys, those of rejected rows included.
        n_quarantined: rows set aside.
        n_accepted: rows that may enter.
        content_hash: digest of the rows that may enter.
    """

    n_received: int = 0
    n_quarantined: int = 0
    n_accepted: int = 0
    content_hash: int = 0


class _Broken(NamedTuple):
    """One way in which a row can be bad, as SQL."""

    rule: str
    severity: str
    reason: str
    condition: str


def judge(connection: duckdb.DuckDBPyConnection, one: Load, rules: Sequence[Rule], stamp: Stamp) -> dict[str, Received]:
    """What came per partition; the rows that may enter are in the temporary view `admitted`.

    Args:
        connection: inside a commit, with the rows registered as `rows_in`.
        one: the load.
        rules: those in force for its table.
        stamp: provenance.
    """
    table, asked = one.table, {partition.key for partition in one.partitions}
    broken = list(_broken(one, rules))
    is_suspect = " or ".join(each.condition for each in broken) or "false"
    connection.execute(
        f"create or replace temp view judged as select *, {_partition_sql(one)} as partition_key,"
        f" {table.digest_sql} as fact_hash, coalesce({is_suspect}, false) as is_suspect from rows_in"
    )
    # By the column itself, so that a million rows of a thousand sessions become text a thousand times.
    column = f'"{one.partition_column}"' if one.partition_column else "partition_key"
    found = connection.execute(
        f"select any_value(partition_key), count(*), count(distinct hash({names(table.grain)})), bool_or(is_suspect),"
        f" bit_xor(fact_hash) from judged group by {column}"
    ).fetchall()
    has_duplicates = any(n_rows != n_keys for _, n_rows, n_keys, _, _ in found)
    if has_duplicates or any(suspect or key not in asked for key, _, _, suspect, _ in found):
        received = _set_aside(connection, one, broken, stamp, has_duplicates=has_duplicates)
    else:
        connection.execute("create temp view admitted as select * exclude (fact_hash, is_suspect) from judged")
        received = {key: Received(n_keys, 0, n_keys, digest) for key, _, n_keys, _, digest in found}
    return _with_unreadable(connection, one, received, stamp)


def forget(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop what `judge` made; not after a failure, when a statement would hide the error behind "aborted"."""
    for view in ("admitted", "judged", "quarantined"):
        connection.execute(f"drop view if exists temp.{view}")
    for table in ("sound", "incoming", "rejected"):
        connection.execute(f"drop table if exists temp.{table}")


def _partition_sql(one: Load) -> str:
    if one.partition_column:
        return f"coalesce(cast(\"{one.partition_column}\" as varchar), '')"
    return literal(one.partitions[0].key) if one.partitions else "''"


def _broken(one: Load, rules: Sequence[Rule]) -> Iterator[_Broken]:
    latest = one.latest_date or max((partition.through_date for partition in one.partitions), default=None)
    for c in one.table.columns:
        if not c.nullable:
            yield _Broken("not_null", "reject", f"{c.name} is missing", f'"{c.name}" is null')
        if c.type == "DOUBLE":
            yield _Broken("finite", "reject", f"{c.name} is not a finite number", f'not isfinite("{c.name}")')
        if c.name in ("trade_date", "realtime_start") and latest:
            reason = f"{c.name} lies after {latest}, the newest day that can be known"
            yield _Broken("not_in_future", "reject", reason, f"{c.name} > date '{latest}'")
    for rule in rules:
        yield _Broken(rule.name, rule.severity, rule.reason, rule.is_broken_sql)


def _set_aside(
    connection: duckdb.DuckDBPyConnection,
    one: Load,
    broken: Sequence[_Broken],
    stamp: Stamp,
    *,
    has_duplicates: bool,
) -> dict[str, Received]:
    """The long way: distinct rows in `incoming`, for each broken rule a row in `rejected`, the rest `admitted`."""
    table = one.table
    facts = names(table.fact_names)
    distinct = (
        f" qualify row_number() over (partition by {facts} order by {names(table.column_names)}) = 1"
        if has_duplicates
        else ""
    )
    connection.execute(f"create temp table incoming as select * from judged{distinct}")
    future = next((f" and ({each.condition}) is not true" for each in broken if each.rule == "not_in_future"), "")
    selects = [
        "select fact_hash, 'partition_asked', 'reject', 'the row belongs to a partition that was not asked for'"
        f" from suspect where partition_key not in (select partition from asked){future}",
        *(
            f"select fact_hash, {literal(each.rule)}, {literal(each.severity)}, {literal(each.reason)}"
            f" from suspect where {each.condition}"
            for each in broken
        ),
    ]
    connection.execute(
        "create temp table rejected as with suspect as materialized ("
        "from incoming where is_suspect or partition_key not in (select partition from asked)),"
        f" broken(fact_hash, rule, severity, reason) as ({' union all '.join(selects)})"
        " select fact_hash, rule, severity, min(reason) as reason from broken group by fact_hash, rule, severity"
    )
    _waive(connection, table)
    if has_duplicates:
        connection.execute(
            "insert into rejected select fact_hash, 'key_unique', 'reject',"
            " 'the same key came with different values' from incoming"
            " anti join (from rejected where severity = 'reject') using (fact_hash)"
            f" qualify count(*) over (partition by {names(table.grain)}) > 1"
        )
        _waive(connection, table)
    _quarantine(connection, table, stamp)
    connection.execute(
        "create temp table sound as select * exclude (fact_hash, is_suspect) from incoming"
        " anti join (from rejected where severity = 'reject') using (fact_hash)"
    )
    connection.execute("create temp view admitted as from sound")
    return _count_outcome(connection, table)


def _count_outcome(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, Received]:
    found = connection.execute(
        f"""
        with outcome as (
            select i.*, r.fact_hash is not null as is_rejected
            from incoming as i
            left join (select distinct fact_hash from rejected where severity = 'reject') as r using (fact_hash)
        )
        select partition_key, count(distinct ({names(table.grain)})), count(*) filter (is_rejected),
            count(*) filter (not is_rejected), coalesce(bit_xor(fact_hash) filter (not is_rejected), 0)
        from outcome group by partition_key
        """
    ).fetchall()
    return {key: Received(*counts) for key, *counts in found}


def _row_json(table: Table) -> str:
    fields = ", ".join(f"'{name}': i.\"{name}\"" for name in table.fact_names)
    return f"cast(to_json({{{fields}}}) as varchar)"


def _waive(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """A person's decision stands for as long as exactly that row comes."""
    connection.execute(
        f"""
        delete from rejected as r using incoming as i, {ops.QUARANTINE.full_name} as q
        where i.fact_hash = r.fact_hash and q.dataset = $dataset and q.state = 'released'
            and q.partition = i.partition_key and q.rule = r.rule and q.row_hash = md5({_row_json(table)})
        """,
        {"dataset": table.full_name},
    )


def _quarantine(connection: duckdb.DuckDBPyConnection, table: Table, stamp: Stamp) -> None:
    connection.execute(
        "create or replace temp view quarantined as"
        f" select i.partition_key as partition, r.rule, r.reason, r.severity, {_row_json(table)} as row_json"
        " from rejected as r join incoming as i using (fact_hash)"
    )
    _enter_quarantined(connection, table, stamp)


def _enter_quarantined(connection: duckdb.DuckDBPyConnection, table: Table, stamp: Stamp) -> None:
    """Rows of the view `quarantined` into `ops.quarantine`, but for those already there."""
    connection.execute(
        f"""
        insert into {ops.QUARANTINE.full_name}
        by name
        select $dataset as dataset, partition, rule, reason, row_json, md5(row_json) as row_hash, severity,
            'pending' as state, $load_id as load_id, $loaded_at as rejected_at
        from quarantined as fresh
        where not exists (
            from {ops.QUARANTINE.full_name} as known
            where known.dataset = $dataset and known.partition = fresh.partition
                and known.rule = fresh.rule and known.row_hash = md5(fresh.row_json)
        )
        """,
        {"dataset": table.full_name, "load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )


def _with_unreadable(
    connection: duckdb.DuckDBPyConnection, one: Load, received: dict[str, Received], stamp: Stamp
) -> dict[str, Received]:
    if one.unreadable is None or not one.unreadable.num_rows:
        return received
    connection.register("unreadable", one.unreadable)
    connection.execute(
        "create or replace temp view quarantined as"
        " select distinct partition, 'readable' as rule, reason, 'reject' as severity, row_json from unreadable"
    )
    _enter_quarantined(connection, one.table, stamp)
    counted = connection.execute("select partition, count(*) from quarantined group by partition").fetchall()
    connection.unregister("unreadable")
    for key, n_rows in counted:
        held = received.get(key, Received())
        received[key] = replace(held, n_received=held.n_received + n_rows, n_quarantined=held.n_quarantined + n_rows)
    return received


def names(columns: Sequence[str], prefix: str = "") -> str:
    """Column names as SQL writes them."""
    return ", ".join(f'{prefix}"{name}"' for name in columns)


def literal(text: str) -> str:
    """Text as an SQL literal, for places where no parameter can stand."""
    return "'" + text.replace("'", "''") + "'"


def of_partitions(one: Load, keys: Sequence[str]) -> str:
    """The stored rows of some partitions, as SQL with literals: only those let DuckLake leave files unopened."""
    table, column = one.table, one.partition_column
    if column is None or not keys:
        return table.full_name
    kind = table.column(column).type
    values = [f"cast({literal(key)} as {kind})" for key in (min(keys), max(keys), *keys)]
    return (
        f'(from {table.full_name} where "{column}" between {values[0]} and {values[1]}'
        f' and "{column}" in ({", ".join(values[2:])}))'
    )
