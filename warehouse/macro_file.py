"""One file of FRED-MD or FRED-QD form, as somebody downloaded it: a header, rows of codes, and a row per period.

The header begins with `sasdate`. Below it stand a row that begins with `Transform` and, in FRED-QD, one that begins
with `factors` and marks the series its authors take factors from; every series is read, marked or not. Invariant: a
file is read whole or refused, and the message names file, line and column. Partner: `warehouse/fredmd.py`, which reads
whole vintages for the lake, several files of them at a time.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from warehouse import errors, fredmd

FACTORS_WORD = "factors"
ENCODING = "utf-8-sig"
CODES = range(1, 8)
# Months from one row to the next: FRED-MD's and FRED-QD's.
FREQUENCIES = {1: "M", 3: "Q"}


@dataclass(frozen=True, slots=True)
class MacroFile:
    """What a file of FRED-MD or FRED-QD form holds.

    Args:
        names: (n_names,) as the header spells them.
        months: (n_dates,) datetime64[M], ascending; a quarter carries the month the file gives it.
        values: (n_dates, n_names) float64, NaN where blank.
        codes: (n_names,) transform codes, 1 to 7.
        frequency: `M` or `Q`.
    """

    names: tuple[str, ...]
    months: npt.NDArray[np.datetime64]
    values: npt.NDArray[np.float64]
    codes: npt.NDArray[np.int64]
    frequency: str


def read_macro_file(path: Path) -> MacroFile:
    """What the file holds.

    Returns:
        Names, months, values and codes, in the order of the file's columns and of time.

    Raises:
        ConfigError: there is no such file; name one.
        ContractViolation: it is not of this form; the message names file, line and column, and what was expected.
    """
    numbered = _read_rows(path)
    names = _names(path, *numbered[0])
    codes: npt.NDArray[np.int64] | None = None
    at = 1
    while at < len(numbered) and (word := numbered[at][1][0].strip().lower()) and not word[0].isdigit():
        number, row = numbered[at]
        if word.startswith(fredmd.TRANSFORM_WORD):
            codes = _codes(path, number, row, names)
        elif not word.startswith(FACTORS_WORD):
            raise _refused(path, number, f"the row begins with {row[0].strip()!r}, which is no date")
        at += 1
    if codes is None:
        raise _refused(path, numbered[min(1, len(numbered) - 1)][0], "no row of transform codes follows the header")
    rows = numbered[at:]
    if not rows:
        raise _refused(path, numbered[-1][0], "no row of values follows the codes")
    months = np.array([_month(path, number, row[0]) for number, row in rows], "datetime64[M]")
    values = np.array([_values(path, number, row, names) for number, row in rows], np.float64)
    return MacroFile(tuple(names), months, values, codes, _frequency(path, months, [number for number, _ in rows]))


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Rows with anything in them and the lines they stand on."""
    try:
        with path.open(encoding=ENCODING, newline="") as lines:
            reader = csv.reader(lines)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as exc:
        raise errors.ConfigError(f"{path} cannot be read: {exc.strerror}. Name a file of FRED-MD form.") from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise errors.ContractViolation(
            f"{path} is no CSV file: {exc}. Name a file of FRED-MD or FRED-QD form."
        ) from exc
    if not rows:
        raise errors.ContractViolation(f"{path} is empty. Download it again.")
    return rows


def _names(path: Path, number: int, row: list[str]) -> list[str]:
    if row[0].strip().lower() != fredmd.DATE_COLUMN:
        raise _refused(path, number, f"the header is missing: it begins with {row[0].strip()!r}, not sasdate")
    names = [name.strip() for name in row[1:]]
    # A trailing comma on every line makes an empty last column.
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise _refused(path, number, f"column {names.index('') + 2} has no name")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _refused(path, number, f"column {twice[0]} stands there twice")
    if not names:
        raise _refused(path, number, "the header names no series")
    return names


def _codes(path: Path, number: int, row: list[str], names: list[str]) -> npt.NDArray[np.int64]:
    cells = _cells(path, number, row, names)
    for name, cell in zip(names, cells, strict=True):
        if not _is_code(cell):
            raise _refused(path, number, f"column {name} has transform code {cell!r}, allowed are 1 to 7")
    return np.array([int(float(cell)) for cell in cells], np.int64)


def _is_code(cell: str) -> bool:
    try:
        return float(cell) in CODES
    except ValueError:
        return False


def _values(path: Path, number: int, row: list[str], names: list[str]) -> list[float]:
    values = []
    for name, cell in zip(names, _cells(path, number, row, names), strict=True):
        try:
            value = np.nan if cell in fredmd.BLANKS else float(cell)
        except ValueError as exc:
            raise _refused(path, number, f"column {name} has {cell!r}, which is no number") from exc
        if np.isinf(value):
            raise _refused(path, number, f"column {name} has the infinite value {cell!r}")
        values.append(value)
    return values


def _cells(path: Path, number: int, row: list[str], names: list[str]) -> list[str]:
    cells = [cell.strip() for cell in row[1:]]
    if len(cells) < len(names) or any(cells[len(names) :]):
        raise _refused(path, number, f"{len(cells)} values for the {len(names)} series of the header")
    return cells[: len(names)]


def _month(path: Path, number: int, text: str) -> np.datetime64:
    try:
        return np.datetime64(fredmd.day_from_text(text.strip()), "M")
    except ValueError as exc:
        raise _refused(path, number, f"{text.strip()!r} is no date such as 1/1/1959 or 1959-01-01") from exc


def _frequency(path: Path, months: npt.NDArray[np.datetime64], numbers: list[int]) -> str:
    steps = np.diff(months.astype(np.int64))
    if len(steps) and (bad := np.flatnonzero(steps <= 0)).size:
        at = int(bad[0]) + 1
        raise _refused(path, numbers[at], f"{months[at]} follows {months[at - 1]}")
    step = int(steps.min()) if len(steps) else 1
    if step not in FREQUENCIES:
        raise _refused(path, numbers[0], f"the rows are {step} months apart, expected one month or one quarter")
    return FREQUENCIES[step]


def _refused(path: Path, number: int, reason: str) -> errors.ContractViolation:
    return errors.ContractViolation(
        f"{path}, line {number}: {reason}. Expected a file of FRED-MD or FRED-QD form. "
        "Correct it, or download it again."
    )
