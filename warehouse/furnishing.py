"""What a lake must have before it is written to: every declared table and column, view, macro and rule.

Invariant: a lake of an older Daybook gets what it lacks in one commit and loses nothing; one of a newer Daybook is
refused before anything is touched. Partner: `warehouse/lake.py`, which opens it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb

from warehouse import errors, macros, rules, sql, tables, upgrades
from warehouse.contracts import Table
from warehouse.storage import LakeLocation

if TYPE_CHECKING:
    from warehouse.lake import Lake

log = logging.getLogger(__name__)

VIEW_SCHEMA = "analyst"
# What an added column that may not be NULL holds in rows written before it was there.
FIRST_VALUES = {"VARCHAR": "''", "BIGINT": "0", "INTEGER": "0", "BOOLEAN": "false", "DATE": "'1970-01-01'"}


def refuse_newer(connection: duckdb.DuckDBPyConnection, location: LakeLocation) -> None:
    """Nothing when this Daybook knows the lake's shape.

    Raises:
        LakeTooNew: it was written by a newer one.
    """
    _refuse_newer(_read_properties(connection), location)


def _refuse_newer(found: Mapping[str, str], location: LakeLocation) -> None:
    version = int(found.get("schema_version", 0))
    if version > tables.SCHEMA_VERSION:
        raise errors.LakeTooNew(
            f"the lake at {location.name} has schema version {version}, this Daybook knows {tables.SCHEMA_VERSION}. "
            "Nothing was changed. Install the newer Daybook, or point it at another lake."
        )


def _read_properties(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What the lake says of itself; nothing when it was made a moment ago."""
    with contextlib.suppress(duckdb.CatalogException):
        return dict(connection.execute("select name, value from ops.property").fetchall())
    return {}


def furnish(lake: Lake) -> None:
    """Make what is missing, and views, macros and rules again when their text has changed.

    Raises:
        LakeTooNew: the lake was written by a newer Daybook.
        LakeError: the lake cannot be written.
    """
    connection = lake.connection
    found = _read_properties(connection)
    _refuse_newer(found, lake.location)
    wanted = {"schema_version": str(tables.SCHEMA_VERSION), "views_digest": _views_digest()}
    wanted["rules_digest"] = rules.digest()
    if found == wanted:
        return

    def work(transaction: duckdb.DuckDBPyConnection) -> None:
        for schema in dict.fromkeys([*(table.schema for table in tables.TABLES), VIEW_SCHEMA]):
            transaction.execute(f"create schema if not exists {schema}")
        existing = _existing_columns(transaction)
        for table in tables.TABLES:
            if table.full_name not in existing:
                transaction.execute(table.ddl())
                for statement in (*table.layout(), *table.comments()):
                    transaction.execute(statement)
            else:
                _add_columns(transaction, table, existing[table.full_name])
        for name in sql.names("views"):
            text = sql.load(f"views/{name}")
            transaction.execute(text)
            transaction.execute(f"comment on view {VIEW_SCHEMA}.{name} is '{_header(text)}'")
        macros.install(transaction)
        rules.enter_contract_rules(transaction)
        if existing:
            upgrades.upgrade(transaction, int(found.get("schema_version", tables.SCHEMA_VERSION)))
        transaction.execute("delete from ops.property")
        transaction.executemany("insert into ops.property values (?, ?)", list(wanted.items()))

    lake.commit(work, message=f"schema version {tables.SCHEMA_VERSION}")
    log.info("furnished lake path=%s schema_version=%s", lake.location.name, tables.SCHEMA_VERSION)


def _existing_columns(transaction: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Columns of each table that the lake has."""
    found: dict[str, set[str]] = {}
    for schema, table, column in transaction.execute(
        "select schema_name, table_name, column_name from duckdb_columns() where database_name = 'lake'"
    ).fetchall():
        found.setdefault(f"{schema}.{table}", set()).add(column)
    return found


def _add_columns(transaction: duckdb.DuckDBPyConnection, table: Table, existing: set[str]) -> None:
    """Columns that an older lake lacks; rows written before get what a column says when nothing is known."""
    missing = [column for column in table.columns if column.name not in existing]
    for column in missing:
        default = "" if column.nullable else f" default {FIRST_VALUES[column.type]}"
        transaction.execute(f'alter table {table.full_name} add column "{column.name}" {column.type}{default}')
    for statement in table.comments() if missing else ():
        transaction.execute(statement)


def has_own_views(lake: Lake) -> bool:
    """Whether a lake, or a snapshot of it, has the views and macros of this Daybook.

    Raises:
        LakeError: the lake cannot be read.
    """
    return bool(_read_properties(lake.connection).get("views_digest") == _views_digest())


@functools.cache
def _views_digest() -> str:
    text = "\n".join([*(sql.load(f"views/{name}") for name in sql.names("views")), *macros.texts()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _header(statement: str) -> str:
    """The leading comment of a statement on one line: what the analyst sees in the catalog."""
    lines = statement.splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("--"), lines)
    return " ".join(line.removeprefix("--").strip() for line in comment).replace("'", "''")
