"""How does the lake leave the house, for tools that know no DuckLake?

As one plain DuckDB file, or as a folder of Parquet files with a manifest. Invariants: everything in an export is of one
snapshot; an export appears whole or not at all; what Daybook did not make is not overwritten unasked. Partners:
`warehouse/dictionary.py`, which says what there is, and `warehouse/staging.py`, which puts it in place.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from warehouse import dictionary, errors, lake, staging
from warehouse.dictionary import Entry, Function, quoted
from warehouse.lake import Lake, LakeLocation

log = logging.getLogger(__name__)

MADE_BY = "daybook export"
MANIFEST_VERSION = 1
MANIFEST, GUIDE = "manifest.json", "README.txt"
_TARGET = "exported"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds.

    Args:
        path: the file or folder.
        snapshot: the lake's snapshot that all of it was read from.
        n_rows: rows by full name of table, and of a view that was asked for by name.
        views: full names of the views that are views there too.
    """

    path: Path
    snapshot: int
    n_rows: dict[str, int]
    views: tuple[str, ...]


def export_database(
    location: LakeLocation, to: Path, *, names: Sequence[str] = (), snapshot: int | None = None, force: bool = False
) -> Exported:
    """The lake as one plain DuckDB file: each table with its comments, each view and macro over them.

    Args:
        location: where the lake lies.
        to: the file.
        names: tables and views to take, all when empty; a view named here becomes a table of its rows.
        snapshot: lake snapshot to read; None for the newest.
        force: overwrite a file that Daybook did not make.

    Raises:
        ConfigError: there is no such lake, snapshot or table, or the file must not be written.
        LakeError: the lake cannot be read, or the file not be filled; nothing was left.
    """
    if to.is_dir():
        raise errors.ConfigError(f"{to} is a folder. Nothing was written; name a file, such as {to / 'lake.duckdb'}.")
    return _export(location, staging.Target(to, _is_our_database, force), names, snapshot, _write_database)


def export_parquet(
    location: LakeLocation, to: Path, *, names: Sequence[str] = (), snapshot: int | None = None, force: bool = False
) -> Exported:
    """The lake as a folder `schema/table.parquet`, with `manifest.json` and a guide.

    Args:
        location: where the lake lies.
        to: the folder.
        names: tables and views to take, every table when empty.
        snapshot: lake snapshot to read; None for the newest.
        force: overwrite a folder that Daybook did not make.

    Raises:
        ConfigError: there is no such lake, snapshot or table, or the folder must not be written.
        LakeError: the lake cannot be read, or the folder not be filled; nothing was left.
    """
    if to.exists() and not to.is_dir():
        raise errors.ConfigError(f"{to} is a file. Nothing was written; name a folder.")
    done = _export(location, staging.Target(to, _is_our_folder, force), names, snapshot, _write_parquet)
    # Parquet knows no views.
    return replace(done, views=())


def _export(
    location: LakeLocation,
    target: staging.Target,
    names: Sequence[str],
    snapshot: int | None,
    write: Callable[[Lake, Path, Sequence[Entry], Sequence[Entry]], dict[str, int]],
) -> Exported:
    if snapshot is None:
        with lake.open_reader(location) as newest:
            snapshot = newest.snapshot
    with lake.open_reader(location, snapshot=snapshot) as pinned, staging.staged(target, location) as beside:
        tables, views = _chosen(dictionary.read_entries(pinned), names)
        try:
            n_rows = write(pinned, beside, tables, views)
        except duckdb.Error as exc:
            raise errors.LakeError(
                f"the export to {target.path} failed and left nothing: {str(exc).strip().splitlines()[0]} "
                "Look for free space there, and at the snapshot with `daybook status`."
            ) from exc
    log.info("exported path=%s snapshot=%s tables=%s rows=%s", target.path, snapshot, len(n_rows), sum(n_rows.values()))
    return Exported(target.path, snapshot, n_rows, tuple(view.full_name for view in views))


def _chosen(entries: Sequence[Entry], names: Sequence[str]) -> tuple[list[Entry], list[Entry]]:
    """What is written as rows, and what as a view."""
    if not names:
        return [e for e in entries if not e.is_view], [e for e in entries if e.is_view]
    known = {entry.full_name: entry for entry in entries}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise errors.ConfigError(
            f"the lake has no {', '.join(unknown)}. Nothing was written. It has: {', '.join(sorted(known))}."
        )
    return [known[name] for name in dict.fromkeys(names)], []


def _write_database(pinned: Lake, path: Path, tables: Sequence[Entry], views: Sequence[Entry]) -> dict[str, int]:
    connection = pinned.connection
    connection.execute(f"attach {_text(str(path))} as {_TARGET}")
    # One transaction: committing each of hundreds of comments to the disk took four fifths of the time.
    connection.begin()
    n_rows = {}
    for schema in dict.fromkeys(entry.schema for entry in (*tables, *views)):
        connection.execute(f'create schema if not exists {_TARGET}."{schema}"')
    for entry in tables:
        there = f"{_TARGET}.{quoted(entry)}"
        columns = ", ".join(
            f'"{column.name}" {column.type}{"" if column.is_nullable else " not null"}' for column in entry.columns
        )
        connection.execute(f"create table {there} ({columns})")
        written = connection.execute(f"insert into {there} {_rows_of(entry)}").fetchone()
        n_rows[entry.full_name] = _checked(pinned, entry, written)
        _comment(connection, "table", there, entry)
    _create_views(connection, views)
    if views:
        _create_macros(connection, dictionary.read_functions(pinned))
    _write_manifest_table(pinned, [*tables, *views], n_rows)
    connection.commit()
    connection.execute("use lake")
    connection.execute(f"detach {_TARGET}")
    return n_rows


def _create_views(connection: duckdb.DuckDBPyConnection, views: Sequence[Entry]) -> None:
    """Views may read each other: those that cannot be made yet are tried again after the others."""
    waiting = list(views)
    while waiting:
        failed: list[tuple[Entry, duckdb.Error]] = []
        for entry in waiting:
            connection.execute(f'use {_TARGET}."{entry.schema}"')
            try:
                connection.execute(entry.definition)
            except duckdb.CatalogException as exc:
                failed.append((entry, exc))
            else:
                _comment(connection, "view", f"{_TARGET}.{quoted(entry)}", entry)
        if len(failed) == len(waiting):
            raise failed[0][1]
        waiting = [entry for entry, _ in failed]


def _create_macros(connection: duckdb.DuckDBPyConnection, functions: Sequence[Function]) -> None:
    for function in functions:
        connection.execute(f'create schema if not exists {_TARGET}."{function.schema}"')
        arguments = ", ".join(f'"{name}"' for name in function.parameters)
        kind = "table" if function.is_table else ""
        connection.execute(
            f'create macro {_TARGET}."{function.schema}"."{function.name}"({arguments}) as {kind} {function.definition}'
        )


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, there: str, entry: Entry) -> None:
    connection.execute(f"comment on {kind} {there} is {_text(entry.comment)}")
    for column in entry.columns:
        if column.comment:
            connection.execute(f'comment on column {there}."{column.name}" is {_text(column.comment)}')


def _write_manifest_table(pinned: Lake, entries: Sequence[Entry], n_rows: dict[str, int]) -> None:
    """The table that says where the file comes from, and by which an export is known as ours."""
    connection, there = pinned.connection, f"{_TARGET}.main.daybook_export"
    connection.execute(
        f"create table {there} (full_name varchar, kind varchar, n_rows bigint, grain varchar, source varchar,"
        " snapshot bigint, snapshot_at timestamptz)"
    )
    connection.execute(
        f"comment on table {there} is 'What this file holds, and the lake''s snapshot it was read from.'"
    )
    snapshot_at = _snapshot_at(pinned)
    connection.executemany(
        f"insert into {there} values (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                entry.full_name,
                "table" if entry.full_name in n_rows else "view",
                n_rows.get(entry.full_name),
                ", ".join(entry.grain),
                entry.source,
                pinned.snapshot,
                snapshot_at,
            )
            for entry in entries
        ],
    )


def _write_parquet(pinned: Lake, path: Path, tables: Sequence[Entry], views: Sequence[Entry]) -> dict[str, int]:
    n_rows = {}
    for entry in tables:
        file = path / _file_of(entry)
        file.parent.mkdir(parents=True, exist_ok=True)
        written = pinned.connection.execute(
            f"copy ({_rows_of(entry)}) to {_text(str(file))} (format parquet, compression zstd)"
        ).fetchone()
        n_rows[entry.full_name] = _checked(pinned, entry, written)
    described = [_described(entry, n_rows[entry.full_name]) for entry in tables]
    manifest = {
        "made_by": MADE_BY,
        "version": MANIFEST_VERSION,
        "snapshot": pinned.snapshot,
        "snapshot_at": _snapshot_at(pinned).isoformat(),
        "tables": described,
    }
    (path / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", "utf-8")
    (path / GUIDE).write_text(_guide(manifest), "utf-8")
    return n_rows


def _described(entry: Entry, n_rows: int) -> dict[str, Any]:
    return {
        "name": entry.full_name,
        "file": _file_of(entry),
        "n_rows": n_rows,
        "grain": list(entry.grain),
        "meaning": entry.meaning,
        "source": entry.source,
        "columns": [asdict(column) for column in entry.columns],
    }


def _guide(manifest: dict[str, Any]) -> str:
    """What a person who was sent the folder needs to know."""
    width = max((len(table["file"]) for table in manifest["tables"]), default=0)
    lines = [f"{t['file']:{width}}  {t['n_rows']:>12,} rows  {t['meaning']}" for t in manifest["tables"]]
    return "\n".join(
        [
            f"Tables of a Daybook lake, all of its snapshot {manifest['snapshot']} ({manifest['snapshot_at']}).",
            f"Types, units and meanings of the columns are in {MANIFEST}. Instants are UTC.",
            "",
            *lines,
            "",
            "DuckDB  from 'market/daily.parquet' limit 5;",
            "pandas  pandas.read_parquet('market/daily.parquet')",
            "Polars  polars.scan_parquet('market/daily.parquet')",
            "",
        ]
    )


def _checked(pinned: Lake, entry: Entry, written: tuple[Any, ...] | None) -> int:
    """The rows written, which must be the rows the lake counts; a view is not computed twice to count it."""
    n_written = int(written[0]) if written else 0
    if not entry.is_view:
        n_there = pinned.read_value(f"select count(*) from lake.{quoted(entry)}")
        if n_there != n_written:
            raise errors.LakeError(
                f"the export wrote {n_written} rows of {entry.full_name}, the lake counts {n_there}. Nothing was left. "
                "Look at the lake with `daybook doctor`."
            )
    return n_written


def _rows_of(entry: Entry) -> str:
    columns = ", ".join(f'"{column.name}"' for column in entry.columns)
    return f"select {columns} from lake.{quoted(entry)}"


def _snapshot_at(pinned: Lake) -> Any:
    return pinned.read_value(
        "select snapshot_time from ducklake_snapshots('lake') where snapshot_id = $snapshot", snapshot=pinned.snapshot
    )


def _file_of(entry: Entry) -> str:
    return f"{entry.schema}/{entry.name}.parquet"


def _is_our_database(path: Path) -> bool:
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("select snapshot from main.daybook_export limit 1")
    except duckdb.Error:
        return False
    return True


def _is_our_folder(path: Path) -> bool:
    """Whether an export made everything in it: a file that somebody put beside it would be lost."""
    found = {file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir()}
    if not found:
        return True
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
        ours = {table["file"] for table in manifest["tables"]} | {MANIFEST, GUIDE}
        return manifest["made_by"] == MADE_BY and found <= ours
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
