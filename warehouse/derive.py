"""How computed rows enter the lake, and which days they must be computed for again.

Invariant: a derived day records the digest of the inputs it was computed from, in the same commit as its rows; a day
is due exactly when that digest no longer fits. There is no watermark that could run ahead of the data. Partners:
`warehouse/returns.py` and `warehouse/features.py`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from warehouse import bulk, sql
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.load import Stamp
from warehouse.storage import LakeLocation
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
        f"""
        with wanted as (
            {sql.load("derived_inputs")}
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


def read_session_before(lake: Lake, table: Table, day: date, n_sessions: int) -> date | None:
    """The session of `table` that lies `n_sessions` before `day`; None when there are not so many.

    Sessions are those that have rows, not the calendar's: a hole in the data must not shorten a window.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read_value(
        """
        select cast(partition as date) from ops.ledger
        where dataset = $dataset and n_received > 0 and partition < $day
        order by partition desc limit 1 offset $skipped
        """,
        dataset=table.full_name,
        day=day.isoformat(),
        skipped=n_sessions - 1,
    )


class Writer:
    """Writes computed rows of sessions from a day on, in parts.

    Where the table holds nothing from that day on, rows go in as they come, many of them as files of their own;
    otherwise each part is compared with what stands, and only what differs is written.

    Args:
        connection: inside a commit.
        location: where the lake lies.
        table: contract of the rows, with a `trade_date` column.
        first: oldest session the rows may belong to.

    Attributes:
        is_new: whether the table held nothing from that day on; where it did, each part is a few statements, so that
            few large parts are better than many small ones.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, location: LakeLocation, table: Table, first: date
    ) -> None:
        self.n_written = 0
        self._connection = connection
        self._location = location
        self._table = table
        held = connection.execute(
            f"select 1 from {table.full_name} where trade_date >= $first limit 1", {"first": first}
        ).fetchone()
        self.is_new = held is None

    def write(self, parts: Iterable[pa.Table]) -> None:
        """Write rows; no key twice, neither in one call nor over several.

        Args:
            parts: may compute as it is read, but must not read from the lake then: the connection is busy writing.

        Raises:
            ContractViolation: the rows do not fit the table.
        """
        if not self.is_new:
            for part in parts:
                self.n_written += write_rows(self._connection, self._table, part)
            return
        rest = iter(parts)
        begun: list[pa.Table] = []
        while sum(part.num_rows for part in begun) < bulk.WORTH_FILES and (part := next(rest, None)) is not None:
            begun.append(part)
        n_begun = sum(part.num_rows for part in begun)
        everything = itertools.chain(begun, rest)
        if n_begun >= bulk.WORTH_FILES and bulk.can_add(self._location, self._table):
            self.n_written += bulk.add(self._connection, self._location, self._table, everything)
        else:
            self._insert(everything)

    def _insert(self, parts: Iterable[pa.Table]) -> None:
        schema = self._table.empty().schema
        batches = (batch for part in parts for batch in self._table.conform(part).to_batches())
        self._connection.register("derived", pa.RecordBatchReader.from_batches(schema, batches))
        with _in_any_order(self._connection):
            inserted = self._connection.execute(f"insert into {self._table.full_name} by name from derived").fetchone()
        self.n_written += int(inserted[0]) if inserted else 0
        self._connection.unregister("derived")


@contextlib.contextmanager
def _in_any_order(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Rows may be written as their batches get ready, which lets every core write; a batch stays together.

    The setting is the whole database's, so it is put back, by a connection of its own: after a failure this one's
    transaction would refuse.
    """
    with connection.cursor() as other:
        other.execute("set preserve_insertion_order = false")
        try:
            yield
        finally:
            other.execute("reset preserve_insertion_order")


def write_rows(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table) -> int:
    """How many rows were new or different and therefore written; the others are left alone.

    Args:
        connection: inside a commit.
        table: contract of the rows.
        rows: complete rows; no key twice.

    Raises:
        ContractViolation: the rows do not fit the table.
    """
    if not rows.num_rows:
        return 0
    with _fresh(connection, table, rows):
        counted = connection.execute("select count(*), count(*) filter (where is_held) from fresh").fetchone()
        n_fresh, n_held = (int(counted[0]), int(counted[1])) if counted else (0, 0)
        if n_held:
            delete_rows(connection, table, "select * from fresh", _extremes(table, rows))
        if n_fresh:
            connection.execute(
                f"insert into {table.full_name} by name select * exclude (is_held) from fresh order by {_key(table)}"
            )
    return n_fresh


def fresh_rows(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table) -> pa.Table:
    """Those of some rows that are new or different, sorted by their key; nothing is written.

    Args:
        connection: has the lake open, for reading at least.
        table: contract of the rows.
        rows: complete rows; no key twice.

    Raises:
        ContractViolation: the rows do not fit the table.
    """
    if not rows.num_rows:
        return rows
    with _fresh(connection, table, rows):
        return connection.execute(f"select * exclude (is_held) from fresh order by {_key(table)}").to_arrow_table()


def delete_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, keys: str, extremes: Mapping[str, tuple[date, date]]
) -> None:
    """Delete the rows that have the key of any of some others.

    Args:
        connection: inside a commit.
        table: what to delete from.
        keys: a SELECT of the others.
        extremes: of each day in the key the first and the last among the others, which spares the files of other days.
    """
    within, bounds = _bounds(extremes)
    match = " and ".join(f't."{name}" = f."{name}"' for name in table.grain)
    connection.execute(f"delete from {table.full_name} as t using ({keys}) as f where {match} and {within}", bounds)


@contextlib.contextmanager
def _fresh(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table) -> Iterator[None]:
    """The temporary table `fresh`: rows that the table does not have like this, and whether it has their key."""
    values = [name for name in table.column_names if name not in table.grain]
    differs = " or ".join(f'd."{name}" is distinct from t."{name}"' for name in values) or "false"
    within, bounds = _bounds(_extremes(table, rows))
    connection.register("derived", table.conform(rows))
    connection.execute(
        f'create temp table fresh as select d.*, t."{table.grain[0]}" is not null as is_held from derived as d'
        f" left join (select * from {table.full_name} as t where {within}) as t using ({_key(table)})"
        f' where t."{table.grain[0]}" is null or {differs}',
        bounds,
    )
    yield
    connection.execute("drop table temp.fresh")
    connection.unregister("derived")


def _key(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.grain)


def _extremes(table: Table, rows: pa.Table) -> dict[str, tuple[date, date]]:
    """First and last of each day in the key, by its name."""
    days = [column.name for column in table.columns if column.name in table.grain and column.type == "DATE"]
    found = {name: pc.min_max(rows[name]) for name in days}
    return {name: (of["min"].as_py(), of["max"].as_py()) for name, of in found.items()}


def _bounds(extremes: Mapping[str, tuple[date, date]]) -> tuple[str, dict[str, date]]:
    """A predicate on the table's rows that holds for all between: it spares the files of other days."""
    predicates, bounds = [], {}
    for name, (first, last) in extremes.items():
        bounds[f"{name}_first"], bounds[f"{name}_last"] = first, last
        predicates.append(f't."{name}" between ${name}_first and ${name}_last')
    return " and ".join(predicates) or "true", bounds


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
        with stored as (
            select trade_date, count(*) as n_stored from {table.full_name}
            where trade_date >= $first group by trade_date
        )
        select
            $dataset as dataset, due.partition, 'ok' as state, cast(due.partition as date) as through_date,
            null::bigint as n_expected,
            coalesce(stored.n_stored, 0) as n_received,
            0 as n_quarantined, due.input_hash as content_hash, '' as reason,
            '' as cause, null::date as asked_date,
            coalesce(o.n_attempts, 0) + 1 as n_attempts
        from due
        left join stored on stored.trade_date = cast(due.partition as date)
        left join {ops.LEDGER.full_name} as o on o.dataset = $dataset and o.partition = due.partition
        """,
        {"dataset": table.full_name, "first": first_due(due)},
    )
    connection.execute(
        f"delete from {ops.LEDGER.full_name} where dataset = $dataset and partition in (select partition from due)",
        {"dataset": table.full_name},
    )
    connection.execute(
        f"insert into {ops.LEDGER.full_name} by name"
        " select *, $load_id as load_id, $loaded_at as loaded_at from derived_ledger",
        {"load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )
    connection.execute("drop table temp.derived_ledger")
    connection.unregister("due")


def first_due(due: pa.Table) -> date:
    """The oldest due session; `due` must have rows."""
    return date.fromisoformat(due["partition"][0].as_py())
