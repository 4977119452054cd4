"""Declarations of tables, and what follows from them."""

from __future__ import annotations

from datetime import date

import duckdb
import pyarrow as pa
import pytest

from warehouse import contracts, errors, tables
from warehouse.contracts import Column, RowRule, Table
from warehouse.tables import market

NUMERIC_TYPES_WITH_UNIT = {"DOUBLE"}

PRICE = Table(
    schema="market",
    name="price",
    grain=("ts_code", "trade_date"),
    meaning="The desk's price.",
    source="a test",
    rules=(RowRule("positive", "price > 0", "not positive"),),
    columns=(
        Column("ts_code", "VARCHAR", "Code."),
        Column("trade_date", "DATE", "Session."),
        Column("price", "DOUBLE", "Price.", unit="CNY"),
        Column("note", "VARCHAR", "Note; NULL when none.", nullable=True),
        Column("load_id", "VARCHAR", "Load.", provenance=True),
    ),
)


def rows(**columns: list[object]) -> pa.Table:
    base: dict[str, list[object]] = {
        "ts_code": ["600000.SH"],
        "trade_date": [date(2024, 1, 2)],
        "price": [1.5],
        "load_id": ["a"],
    }
    return pa.table({**base, **columns})


def test_digest_changes_when_rows_that_share_a_value_change_alike() -> None:
    """An even number of factors, all doubled: what is computed from them has to notice."""
    table = market.ADJ_FACTOR
    rows = (
        "select i::varchar as ts_code, date '2024-01-02' as trade_date, {}::double as adj_factor from range(30) as t(i)"
    )

    digests = {duckdb.sql(f"select {table.facts_digest} from ({rows.format(value)})").fetchone() for value in (1, 2, 3)}

    assert len(digests) == 3


def test_conform_orders_and_casts_when_columns_come_in_any_order() -> None:
    shuffled = rows(price=[2]).select(["load_id", "price", "trade_date", "ts_code"])

    conformed = PRICE.conform(shuffled)

    assert conformed.column_names == ["ts_code", "trade_date", "price", "note", "load_id"]
    assert conformed.schema.types == [pa.string(), pa.date32(), pa.float64(), pa.string(), pa.string()]
    assert conformed.to_pylist()[0]["price"] == 2.0
    assert conformed.to_pylist()[0]["note"] is None


def test_conform_names_missing_and_unknown_when_columns_differ() -> None:
    wrong = rows().drop_columns(["price"]).append_column("prix", pa.array([1.0]))

    told = r"market\.price.*Missing: price\. Unknown: prix\. Nothing was stored"
    with pytest.raises(errors.ContractViolation, match=told):
        PRICE.conform(wrong)


def test_conform_names_the_column_when_a_value_cannot_be_cast() -> None:
    wrong = rows(price=["dear"])

    with pytest.raises(errors.ContractViolation, match=r"market\.price\.price: values cannot become DOUBLE"):
        PRICE.conform(wrong)


def test_conform_keeps_the_type_when_all_values_are_null() -> None:
    empty_notes = rows(note=[None])

    conformed = PRICE.conform(empty_notes)

    assert conformed.schema.field("note").type == pa.string()


def test_empty_has_the_contract_types() -> None:
    empty = PRICE.empty()

    assert empty.num_rows == 0
    assert empty.schema.field("trade_date").type == pa.date32()


def test_fact_names_leave_provenance_out() -> None:
    assert PRICE.fact_names == ("ts_code", "trade_date", "price", "note")


def test_column_names_what_there_is_when_asked_for_another() -> None:
    with pytest.raises(errors.ContractViolation, match=r"has no column 'prix'\. It has: ts_code, trade_date"):
        PRICE.column("prix")


def test_ddl_and_comments_run_in_duckdb() -> None:
    connection = duckdb.connect()
    connection.execute("create schema market")

    connection.execute(PRICE.ddl())
    for statement in PRICE.comments():
        connection.execute(statement)

    nullable = dict(
        connection.execute("select column_name, is_nullable from duckdb_columns() where not internal").fetchall()
    )
    assert nullable == {"ts_code": False, "trade_date": False, "price": False, "note": True, "load_id": False}
    assert connection.execute("select comment from duckdb_tables() where not internal").fetchone() == (
        "The desk's price. Source: a test",
    )
    assert ("Price. [CNY]",) in connection.execute("select comment from duckdb_columns() where not internal").fetchall()


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.full_name)
def test_table_is_fully_declared(table: Table) -> None:
    names = table.column_names

    assert len(set(names)) == len(names)
    assert set(table.grain) <= set(names)
    assert all(not table.column(name).nullable for name in table.grain)
    assert all(not table.column(name).provenance for name in table.grain)
    assert table.meaning.endswith(".")
    assert table.source
    for column in table.columns:
        assert column.type in contracts.ARROW_TYPES, column.name
        assert column.meaning.endswith("."), column.name
        if column.type in NUMERIC_TYPES_WITH_UNIT:
            assert column.unit, f"{table.full_name}.{column.name} is a number without a unit"
        if column.type == "DATE":
            assert column.name.endswith("_date") or column.name in DATES_BY_ANOTHER_NAME, column.name
        if column.type == "TIMESTAMPTZ":
            assert column.name.endswith("_at"), column.name
        if column.type == "BOOLEAN":
            assert column.name.startswith(("is_", "has_")), column.name
        if "NULL" in column.meaning:
            assert column.nullable, f"{table.full_name}.{column.name} explains NULL but forbids it"


# ALFRED's own names, the glossary's words for folds, and a month named as what it is.
DATES_BY_ANOTHER_NAME = {
    "realtime_start",
    "realtime_end",
    "train_start",
    "train_end",
    "test_start",
    "test_end",
    "panel_month",
}


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.full_name)
def test_row_rules_are_valid_predicates(table: Table) -> None:
    connection = duckdb.connect()
    connection.execute(f"create schema {table.schema}")
    connection.execute(table.ddl())

    for rule in table.rules:
        assert "'" not in rule.reason
        assert connection.execute(f"select count(*) from {table.full_name} where {rule.predicate}").fetchone() == (0,)


def test_every_table_is_listed_once() -> None:
    names = [table.full_name for table in tables.TABLES]

    assert len(set(names)) == len(names)


def test_same_column_name_has_the_same_type_everywhere() -> None:
    types: dict[str, set[str]] = {}
    for table in tables.TABLES:
        for column in table.columns:
            types.setdefault(column.name, set()).add(column.type)

    differing = {name: kinds for name, kinds in types.items() if len(kinds) > 1}
    # model.evaluation counts rows in BIGINT like every count; `value` of ops.property is text by nature.
    assert set(differing) <= {"value"}
