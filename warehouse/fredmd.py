"""FRED-MD's files as whole vintages: monthly `YYYY-MM.csv`, a folder of them, or one Parquet file of many vintages.

A vintage counts as known on the last day of its month. That day is the first of which it is certain: every vintage of
1999 to 2026 has the previous month's consumer prices, which come out after mid-month, and three of four have its
personal income, which comes out in the month's last days; dating it to the first of the month would be look-ahead.
Series ids are `FREDMD:` and the column's name. Partner: `whole_vintages.py`, which loads what is read here.

Source:
    McCracken and Ng (2016), FRED-MD: A Monthly Database for Macroeconomic Research.
"""

from __future__ import annotations

import calendar
import csv
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse import errors
from warehouse.whole_vintages import Vintage

ARCHIVE = "FREDMD:"
VINTAGE_NAME = re.compile(r"(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])")
# A vintage ends with the month before its own; one shut government cost one month more.
MOST_MONTHS_BEHIND = 2
DATE_COLUMN, VINTAGE_COLUMN = "sasdate", "vintage"
TRANSFORM_WORD = "transform"
# Beside a Parquet file of many vintages: one row per vintage, its transform codes by series.
CODES_PATTERN = "*tcodes_by_vintage.csv"
DATE_FORMATS = ("%m/%d/%Y", "%Y-%m-%d")
BLANKS = frozenset({"", "NA", "NaN", "nan", "."})


def read_vintages(path: Path) -> Iterator[Vintage]:
    """The vintages in a file or folder, in the order of their names.

    Args:
        path: `YYYY-MM.csv`, a Parquet file with columns `vintage`, `sasdate` and one per series, or a folder of these.

    Raises:
        ConfigError: nothing there is a vintage.
        ContractViolation: a file is no whole vintage; the message names file and line.
    """
    if not path.exists():
        raise errors.ConfigError(f"{path} does not exist. Name a FRED-MD file or a folder of them.")
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    monthly = [file for file in files if file.suffix == ".csv" and VINTAGE_NAME.fullmatch(file.stem)]
    many = [file for file in files if file.suffix == ".parquet"]
    if not monthly and not many:
        raise errors.ConfigError(
            f"{path} holds no vintage: expected files named YYYY-MM.csv, or a Parquet file of many vintages. "
            "Rename the files as FRED-MD names them."
        )
    for file in many:
        yield from _of_parquet(file)
    for file in monthly:
        yield _of_csv(file)


def known_date(name: str) -> date:
    """The last day of the month that a vintage is named after.

    Raises:
        ContractViolation: the name is no month.
    """
    found = VINTAGE_NAME.fullmatch(name)
    if not found:
        raise errors.ContractViolation(f"{name!r} is no vintage's name, expected a month such as 2008-10.")
    year, month = int(found["year"]), int(found["month"])
    return date(year, month, calendar.monthrange(year, month)[1])


def _of_csv(path: Path) -> Vintage:
    """One monthly file: a header, a row of transform codes, and a row per month; blank lines are left out."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        numbered = [(number, row) for number, row in enumerate(csv.reader(lines), start=1) if any(map(str.strip, row))]
    if len(numbered) < 2 or numbered[0][1][0].strip() != DATE_COLUMN:
        raise _unreadable(path, 1, f"the header does not begin with {DATE_COLUMN}")
    names = [name.strip() for name in numbered[0][1][1:]]
    if len(set(names)) != len(names) or "" in names:
        raise _unreadable(path, 1, "a series has no name, or two have the same")
    codes: dict[str, int] = {}
    dates, rows = [], []
    for number, row in numbered[1:]:
        if len(row) != len(names) + 1:
            raise _unreadable(path, number, f"{len(row)} fields, the header has {len(names) + 1}")
        try:
            if row[0].strip().lower().startswith(TRANSFORM_WORD):
                codes = {name: int(float(word)) for name, word in zip(names, row[1:], strict=True) if word.strip()}
                continue
            dates.append(day_from_text(row[0].strip()))
            rows.append([np.nan if word.strip() in BLANKS else float(word) for word in row[1:]])
        except ValueError as exc:
            raise _unreadable(path, number, str(exc)) from exc
    return _vintage(path, path.stem, names, np.array(dates, "datetime64[D]"), np.array(rows, np.float64), codes=codes)


def _of_parquet(path: Path) -> Iterator[Vintage]:
    """A file of many vintages: a column that is blank throughout a vintage is a series it did not have."""
    table = pq.read_table(path)
    missing = sorted({VINTAGE_COLUMN, DATE_COLUMN} - set(table.column_names))
    if missing:
        raise errors.ContractViolation(
            f"{path} has no column {' and no column '.join(missing)}. Nothing was stored; expected one row per vintage "
            "and month, and one column per series."
        )
    codes = _read_codes(path.parent)
    names = [name for name in table.column_names if name not in (VINTAGE_COLUMN, DATE_COLUMN)]
    vintages = table[VINTAGE_COLUMN].cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
    dates = table[DATE_COLUMN].cast(pa.date32()).to_numpy().astype("datetime64[D]")
    values = np.column_stack([table[name].to_numpy().astype(np.float64) for name in names])
    for name in np.unique(vintages).tolist():
        rows = vintages == name
        yield _vintage(path, name, names, dates[rows], values[rows], codes=codes.get(name, {}))


def _vintage(
    path: Path, name: str, names: list[str], dates: np.ndarray, values: np.ndarray, *, codes: Mapping[str, int]
) -> Vintage:
    if np.isinf(values).any():
        raise errors.ContractViolation(
            f"{path}: vintage {name} has an infinite value. Nothing was stored; mend the file."
        )
    newest = dates.astype("datetime64[M]").max() if len(dates) else np.datetime64("0001-01", "M")
    if newest < np.datetime64(name, "M") - MOST_MONTHS_BEHIND:
        raise errors.ContractViolation(
            f"{path}: vintage {name} ends with {newest}, more than {MOST_MONTHS_BEHIND} months before it: lines are "
            "missing. Nothing was stored; get the file again."
        )
    order = np.argsort(dates, kind="stable")
    if len(np.unique(dates)) != len(dates):
        raise errors.ContractViolation(f"{path}: vintage {name} has a month twice. Nothing was stored; mend the file.")
    has_value = np.isfinite(values).any(axis=0)
    series = [ARCHIVE + each for each, has_any in zip(names, has_value, strict=True) if has_any]
    of_series = {ARCHIVE + each: code for each, code in codes.items()}
    return Vintage(
        name,
        known_date(name),
        tuple(series),
        dates[order],
        values[order][:, has_value],
        {each: of_series[each] for each in series if each in of_series},
    )


def _read_codes(folder: Path) -> dict[str, dict[str, int]]:
    """Transform codes by vintage and series; empty when no such file lies there."""
    codes: dict[str, dict[str, int]] = {}
    for path in sorted(folder.glob(CODES_PATTERN)):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                name = row.pop(VINTAGE_COLUMN)
                codes[name] = {series: int(float(word)) for series, word in row.items() if word}
    return codes


def day_from_text(text: str) -> date:
    """The day that a cell such as `1/1/1959` or `1959-01-01` names.

    Raises:
        ValueError: it names none; the caller knows the file and line.
    """
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise ValueError(f"{text!r} is no date")


def _unreadable(path: Path, number: int, reason: str) -> errors.ContractViolation:
    return errors.ContractViolation(
        f"{path}, line {number}: {reason}. Nothing was stored; download the vintage again, or leave the file out."
    )
