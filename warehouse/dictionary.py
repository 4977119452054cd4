"""What is in the lake, in words: each table and view, its columns, their units and meanings, how much there is of it.

Names and types come from the lake as it is at the reader's snapshot; meanings, units, keys and sources from the
declarations in `warehouse/tables/`, and from the catalog's comments for what no declaration knows. Partners:
`warehouse/export.py`, which writes them into what it exports, and `reports/dictionary.py`, which shows them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from warehouse import errors, sql, tables
from warehouse.contracts import Column, Table
from warehouse.lake import VIEW_SCHEMA, Lake
from warehouse.tables import analyst

_UNIT = re.compile(r"^(?P<meaning>.*) \[(?P<unit>[^\]]+)\]$", re.DOTALL)
_NAME = re.compile(r'"?(\w+)"?\."?(\w+)"?')
_DECLARED = {table.full_name: table for table in tables.TABLES}


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """One column as an analyst reads of it; `unit` is empty where there is none, `meaning` where nobody wrote one."""

    name: str
    type: str
    is_nullable: bool
    unit: str
    meaning: str

    @property
    def comment(self) -> str:
        """Meaning and unit, as they stand in a catalog."""
        return f"{self.meaning} [{self.unit}]" if self.unit else self.meaning


@dataclass(frozen=True, slots=True)
class Entry:
    """One table or view.

    Args:
        schema: its schema.
        name: its name.
        is_view: whether it is computed when it is read.
        meaning: what a row is.
        source: where the rows come from; the objects it reads, for a view.
        grain: columns that identify a row; empty for a view.
        columns: in order.
        definition: the view's statement, empty for a table.
    """

    schema: str
    name: str
    is_view: bool
    meaning: str
    source: str
    grain: tuple[str, ...]
    columns: tuple[ColumnEntry, ...]
    definition: str

    @property
    def full_name(self) -> str:
        """`schema.name`."""
        return f"{self.schema}.{self.name}"

    @property
    def comment(self) -> str:
        """Meaning and source, as they stand in a catalog; a view's says its rules already."""
        return f"{self.meaning} Source: {self.source}" if self.source and not self.is_view else self.meaning


@dataclass(frozen=True, slots=True)
class Function:
    """A macro: a question with arguments.

    Args:
        schema: its schema.
        name: its name.
        parameters: names of its arguments.
        is_table: whether it stands where a table stands, and not in an expression.
        meaning: what a row of the answer is; empty when nobody wrote it.
        definition: what it stands for.
    """

    schema: str
    name: str
    parameters: tuple[str, ...]
    is_table: bool
    meaning: str
    definition: str

    @property
    def call(self) -> str:
        """How it is written; `main` needs no mention."""
        prefix = "" if self.schema == "main" else f"{self.schema}."
        return f"{prefix}{self.name}({', '.join(self.parameters)})"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of a table: its rows, and the newest day they reach, None when it is not dated."""

    n_rows: int
    newest_date: date | None


def read_entries(lake: Lake) -> tuple[Entry, ...]:
    """Every table in the order of its declaration, then every view by name.

    Raises:
        LakeError: the lake cannot be read.
    """
    columns: dict[str, list[dict[str, Any]]] = {}
    for row in lake.read(
        "select schema_name || '.' || table_name as full_name, column_name, data_type, is_nullable, comment"
        " from duckdb_columns() where database_name = 'lake' order by schema_name, table_name, column_index"
    ).to_pylist():
        columns.setdefault(row["full_name"], []).append(row)
    found = lake.read(
        "select schema_name, table_name as name, comment, '' as definition from duckdb_tables()"
        " where database_name = 'lake' union all select schema_name, view_name, comment, sql from duckdb_views()"
        " where database_name = 'lake' and not internal"
    ).to_pylist()
    place = {name: at for at, name in enumerate(_DECLARED)}
    entries = [_entry(row, columns.get(f"{row['schema_name']}.{row['name']}", [])) for row in found]
    return tuple(sorted(entries, key=lambda e: (e.is_view, place.get(e.full_name, len(place)), e.full_name)))


def read_functions(lake: Lake) -> tuple[Function, ...]:
    """Every macro of the lake, by name; its words are the header of its statement in `warehouse/sql/macros/`.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select schema_name, function_name, parameters, function_type, macro_definition from duckdb_functions()"
        " where database_name = 'lake' order by schema_name, function_name"
    ).to_pylist()
    return tuple(
        Function(
            schema=row["schema_name"],
            name=row["function_name"],
            parameters=tuple(row["parameters"]),
            is_table=row["function_type"] == "table_macro",
            meaning=_header_of(row["function_name"]),
            definition=row["macro_definition"],
        )
        for row in rows
    )


def _header_of(macro: str) -> str:
    # DuckLake keeps no comment on a macro.
    try:
        return sql.header(sql.load(f"macros/{macro}"))
    except FileNotFoundError:
        return ""


def read_extents(lake: Lake, entries: Sequence[Entry]) -> dict[str, Extent]:
    """Rows and newest day of each table; views are left out, as counting them may cost a lot.

    The day is the ledger's where the ledger knows the table, else the newest of the last date in its key.

    Raises:
        LakeError: the lake cannot be read.
    """
    known = {
        row["dataset"]: row["newest_date"]
        for row in lake.read(f"select dataset, newest_date from {VIEW_SCHEMA}.freshness").to_pylist()
    }
    extents = {}
    for entry in entries:
        if entry.is_view:
            continue
        dated = [c.name for c in entry.columns if c.name in entry.grain and c.type == "DATE"]
        newest = f'max("{dated[-1]}")' if dated and entry.full_name not in known else "null::date"
        row = lake.read(f"select count(*) as n_rows, {newest} as newest from {quoted(entry)}").to_pylist()[0]
        extents[entry.full_name] = Extent(row["n_rows"], known.get(entry.full_name, row["newest"]))
    return extents


def find(entries: Sequence[Entry], name: str) -> Entry:
    """The table or view of a full name, or of a name that only one has; a view wins over the table it is named after.

    Raises:
        ConfigError: there is none.
    """
    found = [e for e in entries if name in (e.full_name, e.name)]
    if not found:
        raise errors.ConfigError(f"the lake has no {name}. It has: {', '.join(e.full_name for e in entries)}.")
    return max(found, key=lambda e: (e.full_name == name, e.is_view))


def quoted(entry: Entry) -> str:
    """The entry's name as SQL takes it: some names are words of the language."""
    return f'"{entry.schema}"."{entry.name}"'


def _entry(row: dict[str, Any], columns: list[dict[str, Any]]) -> Entry:
    full_name = f"{row['schema_name']}.{row['name']}"
    declared = _DECLARED.get(full_name)
    is_view = bool(row["definition"])
    behind = _tables_behind(row["definition"]) if is_view else []
    meaning, source = row["comment"] or "", ", ".join(table.full_name for table in behind)
    if declared:
        meaning, source = declared.meaning, declared.source
    return Entry(
        schema=row["schema_name"],
        name=row["name"],
        is_view=is_view,
        meaning=meaning,
        source=source,
        grain=declared.grain if declared else (),
        columns=tuple(
            _view_column(column, row["name"], behind) if is_view else _table_column(column, declared)
            for column in columns
        ),
        definition=row["definition"],
    )


def _table_column(row: dict[str, Any], declared: Table | None) -> ColumnEntry:
    if declared and row["column_name"] in declared.column_names:
        return _worded(row, declared.column(row["column_name"]))
    comment = row["comment"] or ""
    match = _UNIT.match(comment)
    meaning, unit = (match["meaning"], match["unit"]) if match else (comment, "")
    return ColumnEntry(row["column_name"], row["data_type"], row["is_nullable"], unit, meaning)


def _view_column(row: dict[str, Any], view: str, behind: Sequence[Table]) -> ColumnEntry:
    """In words written for this view, else those of the only meaning its tables give the name, else the shared ones."""
    name = row["column_name"]
    inherited = {table.column(name) for table in behind if name in table.column_names}
    written = analyst.MEANINGS.get(f"{view}.{name}")
    if written is None and len({(column.meaning, column.unit) for column in inherited}) == 1:
        written = inherited.pop()
    written = written or analyst.MEANINGS.get(name)
    return _worded(row, written) if written else _worded(row, Column(name, row["data_type"], ""))


def _worded(row: dict[str, Any], column: Column) -> ColumnEntry:
    return ColumnEntry(row["column_name"], row["data_type"], row["is_nullable"], column.unit or "", column.meaning)


def _tables_behind(definition: str) -> list[Table]:
    """The declared tables whose names a view's statement mentions, in the order of their declaration."""
    mentioned = {".".join(pair) for pair in _NAME.findall(definition)}
    return [table for name, table in _DECLARED.items() if name in mentioned]
