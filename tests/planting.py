"""Rows put into tables as they are, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from warehouse.contracts import Table
from warehouse.lake import Lake


def insert(lake: Lake, table: Table, rows: pa.Table | Iterable[Mapping[str, Any]]) -> None:
    """Commit rows of a table: columns it does not have are left out, those that are not given are null or default."""
    given = rows if isinstance(rows, pa.Table) else _table_of(list(rows))
    names = ", ".join(f'"{name}"' for name in table.column_names if name in given.column_names)

    def work(connection: Any) -> None:
        connection.register("given", given)
        connection.execute(f"insert into {table.full_name} by name select {names} from given")
        connection.unregister("given")

    lake.commit(work, message="test")


def _table_of(rows: list[Mapping[str, Any]]) -> pa.Table:
    """With every name that any row has: pyarrow alone takes those of the first row."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
