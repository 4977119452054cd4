"""What does every forecasting model promise, and what does it refuse?

Invariants: rows that reach a model are finite and of one length; a forecast depends on the fitted state and on its own
row alone; a fitted model is plain arrays, so nothing is ever pickled. Partners: `models/registry.py`, which keeps
fitted models as files, and `tests/test_models_contract.py`, which holds every model to this.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

ARRAYS_FILE = "arrays.parquet"

# Rows multiplied at a time: 1,024 rows of 64 units are half a megabyte and stay in the processor's cache.
BLOCK_ROWS = 1024


class ModelError(ValueError):
    """A model was given what it cannot use. The message says what happened, to which input, and what to do."""


class NotFitted(ModelError):
    """Asked of a model that has not seen training rows."""


class ColumnMismatch(ModelError):
    """Rows have another shape than the model was fitted on, or than their target and dates."""


class MissingValues(ModelError):
    """A value is NaN or infinite where a number is needed."""


class TooFewRows(ModelError):
    """Not enough rows or dates to do what was asked."""


class BrokenFiles(ModelError):
    """Files of a fitted model are absent, changed or not readable."""


class Forecaster(Protocol):
    """A forecasting model: fit on past rows, predict new ones.

    A class also carries settings as keyword arguments, and `seed` when it draws random numbers. Same seed, same rows,
    same machine kind: same bytes.
    """

    is_converged_: bool

    def fit(self, features: Floats, target: Floats, dates: npt.ArrayLike) -> Self:
        """The model itself, fitted; `is_converged_` says whether the fit may be trusted.

        Args:
            features: (n_rows, n_features), finite.
            target: (n_rows,), finite.
            dates: (n_rows,) the date of each row; errors within a date may be correlated.
        """

    def predict(self, features: Floats) -> Floats:
        """(n_rows,) forecasts in the unit of the target, each from its own row of finite features alone."""

    def params(self) -> dict[str, Any]:
        """Settings, as JSON can hold them."""

    def save(self, folder: Path) -> None:
        """The fitted model written as files into an existing folder; equal models write equal bytes."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote, which predicts the same."""


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Rows fit to train on: finite, of one length, in one memory layout.

    Args:
        features: (n_rows, n_features) float64.
        target: (n_rows,) float64.
        dates: (n_rows,) datetime64[D].
    """

    features: Floats
    target: Floats
    dates: Dates


def checked_rows(features: Floats, target: Floats, dates: npt.ArrayLike) -> TrainingRows:
    """The same rows as `TrainingRows`.

    Returns:
        Copies where a type or a layout had to change, else the arrays themselves.

    Raises:
        ColumnMismatch: the lengths differ, or features are not a matrix; pass one target and date per row.
        MissingValues: a value is not finite; drop the row, or fill the value.
        TooFewRows: fewer than two dates; widen the training window.
    """
    table = _checked_table(features, "fit")
    values = np.ascontiguousarray(target, dtype=np.float64)
    days = np.asarray(dates).astype("datetime64[D]")
    if values.shape != (len(table),) or days.shape != (len(table),):
        raise ColumnMismatch(
            f"fit got features of shape {table.shape}, target {values.shape}, dates {days.shape}. "
            "Pass one target and one date per row of features."
        )
    if not np.isfinite(values).all():
        raise MissingValues(
            f"target has {int((~np.isfinite(values)).sum())} missing or infinite values in {len(values)} rows. "
            "Drop the rows whose outcome is not known."
        )
    if len(np.unique(days)) < 2:
        raise TooFewRows(f"fit got {len(table)} rows of fewer than 2 dates. Widen the training window.")
    return TrainingRows(table, values, days)


def checked_features(features: Floats, n_features: int) -> Floats:
    """The same features as float64 rows, fit to predict from.

    Args:
        features: (n_rows, n_features).
        n_features: how many columns the model was fitted on.

    Returns:
        (n_rows, n_features); a copy where type or layout had to change.

    Raises:
        ColumnMismatch: another number of columns; pass the fitted columns in the fitted order.
        MissingValues: a value is not finite; fill it as the training rows were filled.
    """
    table = _checked_table(features, "predict")
    if table.shape[1] != n_features:
        raise ColumnMismatch(
            f"predict got {table.shape[1]} feature columns, the model was fitted on {n_features}. "
            "Pass the fitted columns in the fitted order, or refit."
        )
    return table


def refuse_missing(table: Floats) -> None:
    """Nothing when every value is a finite number.

    Raises:
        MissingValues: one is not.
    """
    n_bad = int((~np.isfinite(table)).sum())
    if n_bad:
        raise MissingValues(f"{n_bad} of {table.size} values are missing or infinite. Fill them in first.")


def find_class(name: str, places: Mapping[str, str], what: str) -> Any:
    """The class behind a name, imported only now: some bring libraries that take seconds.

    Args:
        name: a key of `places`.
        places: module and class by name, as `models.detectors:ECOD`.
        what: what is chosen among, for the message.

    Raises:
        ModelError: no such name; choose one of those named.
    """
    if name not in places:
        raise ModelError(f"there is no {what} {name!r}. Choose one of {', '.join(places)}.")
    module, _, class_name = places[name].partition(":")
    return getattr(importlib.import_module(module), class_name)


def rowwise_product(rows: Floats, weights: Floats) -> Floats:
    """Rows @ weights, each row computed as if it stood alone.

    A library's matrix product may round a row differently when more rows stand below it, and a past forecast must not
    change when a day is appended (`test_predict_keeps_past_rows_when_future_rows_are_appended`).

    Args:
        rows: (n_rows, n_in).
        weights: (n_in, n_out).

    Returns:
        (n_rows, n_out).
    """
    product = np.zeros((len(rows), weights.shape[1]))
    for start in range(0, len(rows), BLOCK_ROWS):
        block, total = rows[start : start + BLOCK_ROWS], product[start : start + BLOCK_ROWS]
        for column, weight in enumerate(weights):
            total += block[:, column : column + 1] * weight
    return product


def write_arrays(path: Path, arrays: Mapping[str, Floats]) -> None:
    """One Parquet file with a row per array: its name, its shape and its values in C order.

    Args:
        path: file to write.
        arrays: float64 arrays of any shape, NaN allowed. Equal arrays give equal bytes.

    Raises:
        OSError: the file cannot be written.
    """
    names = sorted(arrays)
    table = pa.table(
        {
            "name": pa.array(names, pa.string()),
            "shape": pa.array([list(np.shape(arrays[name])) for name in names], pa.list_(pa.int64())),
            "values": pa.array(
                [np.ravel(np.asarray(arrays[name], dtype=np.float64)) for name in names], pa.list_(pa.float64())
            ),
        }
    )
    parquet.write_table(table, path, compression="zstd")


def read_arrays(path: Path, names: tuple[str, ...] = ()) -> dict[str, Floats]:
    """What `write_arrays` wrote.

    Args:
        path: file to read.
        names: arrays that must be there.

    Returns:
        Name to float64 array.

    Raises:
        BrokenFiles: the file is absent or not readable, or lacks an array; fit and save the model again.
    """
    try:
        columns = parquet.read_table(path).to_pydict()
    except (OSError, pa.ArrowException) as exc:
        raise BrokenFiles(f"the arrays of a model cannot be read from {path}: {exc}. Fit and save it again.") from exc
    rows = itertools.zip_longest(*(columns.get(name, []) for name in ("name", "shape", "values")))
    arrays = {name: np.array(values, dtype=np.float64).reshape(shape) for name, shape, values in rows}
    require(arrays, names)
    return arrays


def require(arrays: Mapping[str, Floats], names: tuple[str, ...]) -> None:
    """Nothing, when every array is there.

    Raises:
        BrokenFiles: an array is absent; fit and save the model again.
    """
    absent = sorted(set(names) - set(arrays))
    if absent:
        raise BrokenFiles(f"a saved model lacks {absent}, it has {sorted(arrays)}. Fit and save it again.")


def _checked_table(features: Floats, verb: str) -> Floats:
    table = np.ascontiguousarray(features, dtype=np.float64)
    if np.ndim(features) != 2 or not table.shape[1]:
        raise ColumnMismatch(f"{verb} got features of shape {np.shape(features)}. Pass (n_rows, n_features).")
    is_bad = ~np.isfinite(table)
    if is_bad.any():
        columns = np.flatnonzero(is_bad.any(axis=0)).tolist()
        raise MissingValues(
            f"{verb} got {int(is_bad.sum())} missing or infinite values in feature columns {columns} "
            f"of {len(table)} rows. Fill or drop them; `cross_section.standardise_by_date` fills by the day's middle."
        )
    return table
