"""Which files the lake is made of: those its catalog names, those that lie there, and what each table says.

Invariant: a Parquet file never changes once its commit is made, and its name holds a UUID, so that a name alone says
which file is meant, however an address is spelt (ducklake#1105 lost live files over two spellings). Partners:
`warehouse/maintenance.py`, `warehouse/verify.py` and `warehouse/backup.py`, which trust nobody else about files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from warehouse import contracts, sql, tables
from warehouse.contracts import Table
from warehouse.lake import Lake

CATALOG = "__ducklake_metadata_lake"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a table says: its number of rows, and a digest of all of them that knows no order."""

    n_rows: int
    digest: int


def read_named(lake: Lake) -> pa.Table:
    """The files the catalog names for any snapshot it keeps.

    Returns:
        Rows (table_name, kind `data` or `delete`, data_file_id, path, partition_value, n_rows, n_bytes,
        begin_snapshot, end_snapshot); end_snapshot is NULL while the file is part of the newest snapshot.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(sql.load("catalog_file"), data_address=_address(lake))


def read_stored(lake: Lake) -> pa.Table:
    """The files that lie under the data path.

    Returns:
        Rows (path, n_bytes, modified_at).

    Raises:
        LakeError: the data path cannot be listed.
    """
    # Letters that mean something in a pattern stand for themselves in brackets.
    pattern = re.sub(r"([*?\[])", r"[\1]", _address(lake)) + "**"
    # read_blob refuses a pattern that meets nothing; it opens no file whose content is not asked for.
    if not lake.read_value("select count(*) from glob($pattern)", pattern=pattern):
        return pa.table({"path": pa.array([], pa.string()), "n_bytes": pa.array([], pa.int64())})
    return lake.read(
        "select filename as path, size as n_bytes, last_modified as modified_at from read_blob($pattern) order by path",
        pattern=pattern,
    )


def _address(lake: Lake) -> str:
    """Where the data lies: what the catalog says, unless the lake was moved as a whole."""
    if lake.location.goes_with_its_folder:
        return lake.location.data_address
    return str(lake.read_value(f"select value from {CATALOG}.ducklake_metadata where key = 'data_path'"))


def names_of(rows: pa.Table) -> set[str]:
    """The names, without folders, of a table of files."""
    return {name_of(path) for path in rows["path"].to_pylist()}


def name_of(path: str) -> str:
    """The name of one file, without its folders."""
    return path.rsplit("/", 1)[-1]


def fingerprints(lake: Lake, of_tables: Sequence[Table], snapshot: int | None = None) -> dict[str, Fingerprint]:
    """What some tables say, now or at a snapshot, by name; every value of every row is read.

    Raises:
        LakeError: a table cannot be read.
    """
    at = f" at (version => {int(snapshot)})" if snapshot is not None else ""
    held = _read_columns(lake, snapshot)
    selects = []
    for table in of_tables:
        columns = [name for name in table.column_names if (table.full_name, name) in held]
        selects.append(
            f"select '{table.full_name}' as name, count(*) as n_rows,"
            f" coalesce({contracts.digest_of(columns)}, 0) as digest from {table.full_name}{at}"
        )
    # One statement asks the catalog once; one a table takes ten times as long over small tables.
    rows = lake.read(" union all ".join(selects)).to_pylist() if selects else []
    return {row["name"]: Fingerprint(row["n_rows"], row["digest"]) for row in rows}


def _read_columns(lake: Lake, snapshot: int | None) -> set[tuple[str, str]]:
    """Table and column of every column that the lake has, now or at a snapshot: one of an older version had fewer."""
    rows = lake.read(
        "select s.schema_name || '.' || t.table_name as table_name, c.column_name"
        f" from {CATALOG}.ducklake_column as c join {CATALOG}.ducklake_table as t using (table_id)"
        f" join {CATALOG}.ducklake_schema as s using (schema_id)"
        f" where {_standing('c', snapshot)} and {_standing('t', snapshot)}"
    )
    return {(row["table_name"], row["column_name"]) for row in rows.to_pylist()}


def _standing(alias: str, snapshot: int | None) -> str:
    if snapshot is None:
        return f"{alias}.end_snapshot is null"
    return f"{alias}.begin_snapshot <= {int(snapshot)} and coalesce({alias}.end_snapshot > {int(snapshot)}, true)"


def read_tables(lake: Lake, snapshot: int | None = None) -> list[Table]:
    """Those of the declared tables that the lake has, now or at a snapshot.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select s.schema_name || '.' || t.table_name as name from {CATALOG}.ducklake_table as t"
        f" join {CATALOG}.ducklake_schema as s using (schema_id) where {_standing('t', snapshot)}"
    )
    held = set(rows["name"].to_pylist())
    return [table for table in tables.TABLES if table.full_name in held]
