"""Rows of a file that are unlike the others: any table, any of the detectors, without a lake.

Partners: `models/detectors.py`, `models/labelled.py`; `flows/commands/detecting.py` prints what is found here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from models import base, detectors, encoding, labelled, series_detectors
from warehouse import errors

SCORE_COLUMN, FLAG_COLUMN = "anomaly_score", "is_anomaly"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    Args:
        detector: one of `detectors.DETECTORS`.
        label: column that says which rows are anomalous, empty for none; it is never learned from.
        share: share of the rows learned from that lies above the threshold.
        budget: alerts that somebody can look at.
        seed: of the detector.
        series: columns whose rows are periods in their order, for a detector of series; the others are not looked at.
    """

    detector: str
    label: str = ""
    share: float = 0.1
    budget: int = 20
    seed: int = 0
    series: tuple[str, ...] = ()


def detect_file(path: Path, train: Path | None, out: Path, wanted: Wanted) -> dict[str, Any]:
    """Score a file's rows, write them with their scores, and say what was found.

    Args:
        path: Parquet or CSV to score.
        train: file to learn from; None for the same one.
        out: Parquet or CSV to write: the rows, `anomaly_score` and `is_anomaly` (score above the threshold).
        wanted: how.

    Returns:
        Facts as JSON can hold them; with a label column the figures of `labelled.judge` under `labelled`.

    Raises:
        ConfigError: a file that cannot be read or written, that lacks the label column, or names a column twice.
        ModelRefused: rows or labels that cannot be used.
    """
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise errors.ConfigError(f"{out} has no ending that is known. Name a .parquet or a .csv file.")
    table = _read(path, is_of_periods=bool(wanted.series))
    labels = _labels(path, table, wanted.label) if wanted.label else None
    learned = table if train is None else _read(train, is_of_periods=bool(wanted.series))
    try:
        scored = (_score_series if _is_of_series(wanted) else _score_rows)(
            (path, table), (train or path, learned), wanted
        )
    except base.ModelError as exc:
        raise errors.ModelRefused(f"{path}: {exc}") from exc
    scores, learned_scores = scored.scores, scored.learned_scores
    threshold = float(np.quantile(learned_scores, 1 - wanted.share))
    _write(out, table, scores, scores > threshold)
    found = {
        "file": str(path),
        "train": str(train or path),
        "detector": wanted.detector,
        "seed": wanted.seed,
        "n_rows": table.num_rows,
        "n_columns": scored.n_columns,
        "constant_columns": scored.constant,
        "n_filled": scored.n_filled,
        "threshold": threshold,
        "n_flagged": int((scores > threshold).sum()),
    }
    if labels is None:
        return found
    return found | {"labelled": labelled.judge(scores, labels, threshold=threshold, budget=wanted.budget)}


@dataclass(frozen=True, slots=True)
class _Scored:
    """Scores of a file's rows and of those learned from, and what was done to its columns."""

    scores: labelled.Floats
    learned_scores: labelled.Floats
    n_columns: int
    constant: list[str]
    n_filled: int


def _is_of_series(wanted: Wanted) -> bool:
    """Whether the detector looks at periods.

    Raises:
        ConfigError: the columns that are periods are not named, or are named to a detector of rows.
    """
    is_of_series = wanted.detector in series_detectors.SERIES_DETECTORS
    if is_of_series and not wanted.series:
        raise errors.ConfigError(f"{wanted.detector} looks at a series. Name its column with --series.")
    if wanted.series and not is_of_series:
        known = ", ".join(series_detectors.SERIES_DETECTORS)
        raise errors.ConfigError(f"{wanted.detector} looks at rows, not at a series. For one choose {known}.")
    return is_of_series


def _score_rows(scored: tuple[Path, pa.Table], learned: tuple[Path, pa.Table], wanted: Wanted) -> _Scored:
    columns = _columns(*learned, wanted.label)
    encoder = encoding.TableEncoder().fit(columns)
    rows = encoder.transform(columns)
    detector = detectors.make(wanted.detector, seed=wanted.seed).fit(rows)
    learned_scores = detector.score(rows)
    is_same = scored[1] is learned[1]
    scores = learned_scores if is_same else detector.score(encoder.transform(_columns(*scored, wanted.label)))
    n_filled = sum(encoder.n_filled_[name] for name in encoder.names_ if name in encoder.n_filled_)
    return _Scored(scores, learned_scores, len(encoder.names_), encoder.constant_, n_filled)


def _score_series(scored: tuple[Path, pa.Table], learned: tuple[Path, pa.Table], wanted: Wanted) -> _Scored:
    values, n_filled = _series(*learned, wanted.series)
    detector = series_detectors.make(wanted.detector, seed=wanted.seed).fit(values)
    learned_scores = detector.score(values)
    is_same = scored[1] is learned[1]
    scores = learned_scores if is_same else detector.score(_series(*scored, wanted.series)[0])
    return _Scored(scores, learned_scores, len(wanted.series), [], n_filled)


def _series(path: Path, table: pa.Table, names: tuple[str, ...]) -> tuple[labelled.Floats, int]:
    """(n_rows, n_series), holes filled by the median of their column, and how many there were."""
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise errors.ConfigError(
            f"{path} has no column {missing[0]}; it has {', '.join(table.column_names)}. Name one of these."
        )
    columns = [_columns(path, table.select([name]), "")[name] for name in names]
    texts = [name for name, column in zip(names, columns, strict=True) if column.dtype == object]
    if texts:
        raise errors.ModelRefused(f"{path}: column {texts[0]} holds text. Name a column of numbers.")
    values = np.column_stack(columns).astype(np.float64)
    is_hole = ~np.isfinite(values)
    if is_hole.all(axis=0).any():
        raise errors.ModelRefused(f"{path}: column {names[int(is_hole.all(axis=0).argmax())]} holds no number.")
    medians = np.nanmedian(np.where(is_hole, np.nan, values), axis=0)
    return np.where(is_hole, medians, values), int(is_hole.sum())


def _read(path: Path, *, is_of_periods: bool) -> pa.Table:
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            table = parquet.read_table(path)
        elif name.endswith((".csv", ".csv.gz")):
            table = _read_periods(path) if is_of_periods else csv.read_csv(path)
        else:
            raise errors.ConfigError(f"{path} has no ending that is known. Name a .parquet or a .csv file.")
    except FileNotFoundError as exc:
        raise errors.ConfigError(f"there is no file {path}. Check the path.") from exc
    except (pa.ArrowInvalid, OSError) as exc:
        raise errors.ConfigError(
            f"{path} cannot be read: {str(exc).splitlines()[0]}. Look whether it is whole."
        ) from exc
    if not table.num_rows:
        raise errors.ConfigError(f"{path} has no rows. Give a file with rows to score.")
    twice = [column for column, n in Counter(table.column_names).items() if n > 1]
    if twice:
        raise errors.ConfigError(f"{path} has more than one column {twice[0]}. Give each a name of its own.")
    return table


def _read_periods(path: Path) -> pa.Table:
    """A CSV whose empty lines are periods: of a single column a hole is written so. Those at either end are none."""
    with pa.input_stream(path, compression="detect") as stream:
        content = stream.read().strip(b"\r\n")
    return csv.read_csv(pa.BufferReader(content), parse_options=csv.ParseOptions(ignore_empty_lines=False))


def _labels(path: Path, table: pa.Table, label: str) -> labelled.Labels:
    if label not in table.column_names:
        raise errors.ConfigError(
            f"{path} has no column {label}; it has {', '.join(table.column_names)}. Name one of these with --label."
        )
    values = set(table[label].unique().to_pylist())
    strange = sorted(repr(value) for value in values - {0, 1, "0", "1"})
    if strange:
        raise errors.ModelRefused(
            f"{path}: label column {label} holds {', '.join(strange[:3])}. Write 1 for an anomaly and 0 for the others."
        )
    return np.array([int(value) for value in table[label].to_pylist()], dtype=np.int64)


def _columns(path: Path, table: pa.Table, label: str) -> dict[str, encoding.Column]:
    """Columns as float64 or objects; dates count as text, and the label is left out."""
    columns: dict[str, encoding.Column] = {}
    for name in table.column_names:
        kind = table.schema.field(name).type
        if name == label:
            continue
        if pa.types.is_nested(kind):
            raise errors.ModelRefused(
                f"{path}: column {name} holds {kind}, not single values. Leave it out of the file."
            )
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            columns[name] = table[name].cast(pa.float64()).to_numpy()
        elif pa.types.is_decimal(kind):
            columns[name] = table[name].cast(pa.float64(), safe=False).to_numpy()
        elif pa.types.is_null(kind):
            columns[name] = np.full(table.num_rows, np.nan)
        else:
            columns[name] = np.array(
                [None if value is None else str(value) for value in table[name].to_pylist()], object
            )
    return columns


def _write(out: Path, table: pa.Table, scores: labelled.Floats, is_flagged: Any) -> None:
    kept = [name for name in table.column_names if name not in (SCORE_COLUMN, FLAG_COLUMN)]
    scored = table.select(kept).append_column(SCORE_COLUMN, pa.array(scores))
    scored = scored.append_column(FLAG_COLUMN, pa.array(is_flagged))
    try:
        if out.suffix.lower() == ".parquet":
            parquet.write_table(scored, out)
        else:
            csv.write_csv(scored, out)
    except OSError as exc:
        raise errors.ConfigError(f"{out} cannot be written: {exc.strerror or exc}. Name another file.") from exc
