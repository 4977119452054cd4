"""A file's columns in the contract's types, whatever wrote the file.

Dates may be YYYYMMDD or ISO, as text, number or date; numbers may be text; columns the contract does not know are left
out, and nullable ones may be absent. Invariant: a value that cannot be read is never taken for a missing one; its row
is kept, as it came, with the reason. Partner: `warehouse/files.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse import audit, errors
from warehouse.contracts import Column, Table
from warehouse.tables import macro

TEXT = (".csv", ".tsv", ".txt")
PARQUET, CSV = (".parquet", ".pq"), (*TEXT, ".csv.gz")
# Tushare's, such as 600000.SH, T00018.SH or 430047.BJ.
TS_CODE = "[0-9A-Z]{6}\\.(SH|SZ|BJ)"
# Text that stands for no value: pandas', SQL's and FRED's.
MISSING_WORDS = "('', '.', 'nan', 'NaN', 'NA', 'null', 'NULL', 'None')"
NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "HUGEINT")
# Columns the load fills in where a file of observations does not say when they were known.
INTERVAL = ("realtime_start", "realtime_end", "is_realtime_estimated")
# A row of bars takes about this much in a CSV; only whether to sort depends on it.
CSV_BYTES_A_ROW = 60


@dataclass(frozen=True, slots=True)
class Source:
    """A file and how its columns become the contract's.

    Args:
        table: contract of the rows.
        path: the file.
        scan: SQL that reads it.
        columns: SQL of each column of the contract that is stored.
        problem: SQL that says why a row cannot be read; NULL when it can.
        raw: SQL for the row as it came, as JSON.
        has_intervals: whether observations say when they were known.
        n_rows_about: rows, roughly.
    """

    table: Table
    path: Path
    scan: str
    columns: dict[str, str]
    problem: str
    raw: str
    has_intervals: bool
    n_rows_about: int


def partition_column(table: Table) -> str:
    """The column whose value is a row's partition."""
    return "series_id" if table is macro.OBSERVATION else "trade_date"


def describe(staging: duckdb.DuckDBPyConnection, table: Table, path: Path) -> Source:
    """How to read a file.

    Args:
        staging: where it will be read.
        table: contract of its rows.
        path: the file.

    Raises:
        ConfigError: it is missing, cannot be read, or lacks a column or has one of another type.
    """
    name = path.name.lower()
    if path.is_dir():
        raise errors.ConfigError(f"{path} is a folder. Nothing was stored; name the files in it, as {path / '*.csv'}.")
    if not path.is_file():
        raise errors.ConfigError(f"there is no file {path}. Nothing was stored; check the path.")
    if not path.stat().st_size:
        raise errors.ConfigError(f"{path} is empty, it lacks even a header. Nothing was stored; get the file again.")
    if name.endswith(TEXT):
        _refuse_cut(path)
    quoted = audit.literal(str(path))
    if name.endswith(PARQUET):
        scan = f"read_parquet({quoted})"
    elif name.endswith(CSV):
        scan = f"read_csv({quoted}, all_varchar = true, header = true, store_rejects = true, rejects_limit = 0)"
    else:
        raise errors.ConfigError(
            f"{path}: files end in {', '.join(PARQUET + CSV)}. Nothing was stored; rename or convert the file."
        )
    try:
        found = staging.execute(f"describe from {scan}").fetchall()
        n_rows = path.stat().st_size // CSV_BYTES_A_ROW
        if name.endswith(PARQUET):
            n_rows = staging.execute(f"select sum(num_rows) from parquet_file_metadata({quoted})").fetchall()[0][0]
    except duckdb.Error as exc:
        raise unreadable(path, exc) from exc
    types = {row[0]: row[1] for row in found}
    has_intervals = "realtime_start" in types
    wanted = [c for c in table.columns if not c.provenance and (has_intervals or c.name not in INTERVAL)]
    wanted = [c for c in wanted if c.name != "is_realtime_estimated"]
    _refuse_columns(path, table, wanted, types)
    present = [c for c in wanted if c.name in types]
    checks = [check for c in present for check in _checks(c, types[c.name])]
    raw = ", ".join(f'{audit.literal(c.name)}: "{c.name}"' for c in present)
    return Source(
        table,
        path,
        scan,
        {c.name: _read(c, types.get(c.name)) for c in wanted},
        f"case {' '.join(checks)} end" if checks else "null::varchar",
        f"cast(to_json({{{raw}}}) as varchar)",
        has_intervals,
        int(n_rows or 0),
    )


def _refuse_cut(path: Path) -> None:
    """A last line without its end may lack digits of its last number, and nothing else would tell."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            raise errors.ConfigError(
                f"{path} does not end with the end of a line, so it may have been cut inside a number. Nothing was "
                "stored; get the file again, or end its last line if it is whole."
            )


def unreadable(path: Path, exc: duckdb.Error) -> errors.ConfigError:
    """The error for a file DuckDB cannot read."""
    if isinstance(exc, duckdb.OutOfMemoryException):
        return errors.ConfigError(
            f"{path} needs more memory or more room to spill than there is: {str(exc).strip().splitlines()[0]} "
            "Nothing was stored; raise the lake's memory limit, or split the file."
        )
    return errors.ConfigError(
        f"{path} cannot be read: {str(exc).strip().splitlines()[0]} Nothing was stored; is it whole, and what its "
        "ending says?"
    )


def _refuse_columns(path: Path, table: Table, wanted: Sequence[Column], types: dict[str, str]) -> None:
    optional = ("realtime_end",)
    missing = [c.name for c in wanted if c.name not in types and not c.nullable and c.name not in optional]
    if table is macro.OBSERVATION and "value" not in types:
        missing.append("value")
    if missing:
        raise errors.ConfigError(
            f"{path} lacks the columns {', '.join(missing)} of {table.full_name}; it has {', '.join(types)}. "
            "Nothing was stored; rename the columns, or choose another --as."
        )
    for column in wanted:
        kind = types.get(column.name)
        if kind is not None and not _fits(column, kind):
            raise errors.ConfigError(
                f"{path}: column {column.name} holds {kind}, which cannot become {column.type}. Nothing was stored; "
                "convert the column, or choose another --as."
            )


def _fits(column: Column, kind: str) -> bool:
    if kind == "VARCHAR":
        return True
    if column.type == "DATE":
        # An instant is two days, by the zone it is looked at from.
        is_instant = kind.startswith("TIMESTAMP") and "TIME ZONE" in kind
        return kind in ("DATE", "BIGINT", "INTEGER", "UBIGINT", "UINTEGER") or (
            kind.startswith("TIMESTAMP") and not is_instant
        )
    # A column without any value is written as a 32-bit number by some; it holds nothing to misread.
    return column.type == "DOUBLE" and (kind in NUMBERS or kind.startswith("DECIMAL") or kind == '"NULL"')


def _read(column: Column, kind: str | None) -> str:
    """The column as it is stored: an interval without an end is that of the value that stands."""
    parsed = _parsed(column, kind)
    return f"coalesce({parsed}, date '9999-12-31')" if column.name == "realtime_end" else parsed


def _parsed(column: Column, kind: str | None) -> str:
    """The column in its type, NULL where it cannot be read."""
    text = f'trim("{column.name}")'
    if kind is None:
        return f"null::{column.type}"
    if column.type == "DATE":
        if kind == "DATE" or kind.startswith("TIMESTAMP"):
            return f'cast("{column.name}" as date)'
        text = text if kind == "VARCHAR" else f'cast("{column.name}" as varchar)'
        return f"coalesce(try_strptime({text}, '%Y%m%d')::date, try_cast({text} as date))"
    if column.type == "DOUBLE":
        if kind == "FLOAT":
            # By its shortest decimal: 19.14 of 32 bits is 19.14, and no revision of the vendor's 19.14.
            return f'cast(cast("{column.name}" as varchar) as double)'
        if kind != "VARCHAR":
            return f'cast("{column.name}" as double)'
        return f"case when {text} not in {MISSING_WORDS} then try_cast({text} as double) end"
    return f"nullif({text}, '')"


def _checks(column: Column, kind: str) -> list[str]:
    """When the column of a row cannot be read, as branches of a CASE."""
    said = f"format('{column.name} is {{}}, not {{}}', \"{column.name}\", '{column.type}')"
    is_text = f'"{column.name}" is not null and trim("{column.name}") not in {MISSING_WORDS}'
    if column.name == "ts_code":
        return [
            f"when not regexp_full_match(trim(\"{column.name}\"), '{TS_CODE}')"
            f" then format('ts_code is {{}}: write it with its exchange, as 600000.SH', \"{column.name}\")"
        ]
    if column.type == "DOUBLE" and kind == "VARCHAR":
        return [f"when {is_text} and ({_parsed(column, kind)}) is null then {said}"]
    if column.type == "DATE" and kind == "VARCHAR":
        return [f"when {is_text} and ({_parsed(column, kind)}) is null then {said}"]
    if column.type == "DATE" and kind in NUMBERS:
        return [f'when "{column.name}" is not null and ({_parsed(column, kind)}) is null then {said}']
    return []


def stage(staging: duckdb.DuckDBPyConnection, sources: Sequence[Source], *, is_sorted: bool) -> None:
    """All rows of some files in the temporary table `staged`, in the contract's types, with their file's number.

    Args:
        staging: where to.
        sources: the files.
        is_sorted: whether to sort by partition, so that a group of partitions lies together.

    Raises:
        ConfigError: a file cannot be read to its end.
    """
    order = f' order by "{partition_column(sources[0].table)}"' if is_sorted else ""
    for number, source in enumerate(sources):
        columns = ", ".join(f'{expression} as "{name}"' for name, expression in source.columns.items())
        select = (
            f"select {columns}, {source.problem} as problem,"
            f" case when problem is not null then {source.raw} end as raw, {number} as file_no from {source.scan}"
        )
        try:
            if number == 0:
                staging.execute(f"create temp table staged as {select}{order}")
            else:
                staging.execute(f"insert into staged by name {select}{order}")
            _keep_rejected_lines(staging, number)
        except duckdb.Error as exc:
            raise unreadable(source.path, exc) from exc


def _keep_rejected_lines(staging: duckdb.DuckDBPyConnection, number: int) -> None:
    """Lines of a CSV with too few or too many values are rows that cannot be read."""
    held = staging.execute("select count(*) from duckdb_tables() where table_name = 'reject_errors'").fetchall()[0][0]
    if held:
        staging.execute(
            "insert into staged by name select format('line {} of the file: {}', line, min(error_message)) as problem,"
            " cast(to_json({'line': csv_line}) as varchar) as raw, $number as file_no from reject_errors"
            " group by line, csv_line",
            {"number": number},
        )
        staging.execute("drop table reject_errors")
        staging.execute("drop table reject_scans")


def refuse_unreadable(staging: duckdb.DuckDBPyConnection, sources: Sequence[Source]) -> None:
    """Stop where most of a file cannot be read: then the file is wrong, not a row.

    Raises:
        ConfigError: more than half of a file's rows cannot be read.
    """
    for number, source in enumerate(sources):
        n_rows, n_problems, first = staging.execute(
            "select count(*), count(problem), min(problem) from staged where file_no = $number", {"number": number}
        ).fetchall()[0]
        if n_problems * 2 > n_rows:
            raise errors.ConfigError(
                f"{source.path}: {n_problems} of {n_rows} rows cannot be read as {source.table.full_name}; one reason: "
                f"{first}. Nothing was stored; convert the file, or choose another --as."
            )
