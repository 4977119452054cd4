"""Which rows of a table are unlike the others? Six detectors, each for its kind of strangeness.

`robust_z` finds rows with one column far out, `pca` rows that break how columns move together, `hotelling_t2` usual
patterns of unusual size, `isolation_forest` rows that few cuts set apart, `ecod` rows far out in the tails of single
columns, `autoencoder` rows that a network cannot rebuild. None is told which rows are anomalous. Invariants: a higher
score is more abnormal; a row's score depends on the fitted state and on that row alone; same rows and seed give the
same scores. Partners: `models/autoencoder.py` has the last of them, `models/encoding.py` makes numbers of a table's
columns, `models/labelled.py` judges scores where labels are known, `models/combined.py` combines them.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from models import anomaly, base

Floats = npt.NDArray[np.float64]

# Name of a detector: where its class is.
DETECTORS: dict[str, str] = {
    "robust_z": "models.detectors:RobustZ",
    "pca": "models.detectors:PCAError",
    "hotelling_t2": "models.detectors:HotellingT2",
    "isolation_forest": "models.detectors:IsolationForest",
    "ecod": "models.detectors:ECOD",
    "autoencoder": "models.autoencoder:Autoencoder",
}

# The factors kept are the usual; what they leave over is the strange part.
KEPT_VARIANCE = 0.9
# Liu, Ting and Zhou (2008) found that more trees than these change little.
N_TREES = 100


class Detector(Protocol):
    """What a detector promises: fit on rows without labels, score new ones."""

    def fit(self, rows: Floats) -> Self:
        """This detector, fitted on (n_rows, n_columns) finite rows of which no column is constant."""

    def score(self, rows: Floats) -> Floats:
        """(n_rows,) how abnormal each row is, higher is more."""


def make(name: str, *, seed: int = 0) -> Detector:
    """An unfitted detector.

    Args:
        name: a key of `DETECTORS`.
        seed: for those that draw random numbers.

    Returns:
        A new detector.

    Raises:
        ModelError: no such detector; choose one of those named.
    """
    if name not in DETECTORS:
        raise base.ModelError(f"there is no detector {name!r}. Choose one of {', '.join(DETECTORS)}.")
    module, _, class_name = DETECTORS[name].partition(":")
    detector: Detector = getattr(importlib.import_module(module), class_name)(seed=seed)
    return detector


class PCAError:
    """Squared distance of a standardised row from the plane of the first principal components.

    They are the fewest that carry 90 % of the variance, and never all, which would leave nothing over.

    Args:
        seed: not needed; taken so that all detectors are made alike.

    Source:
        Jackson and Mudholkar (1979), Technometrics 21(3): the residual sum of squares Q.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, rows: Floats) -> Self:
        """This detector, fitted.

        Args:
            rows: (n_rows, n_columns) finite float64, no column constant.

        Returns:
            self.

        Raises:
            ModelError: fewer than two rows or columns, or a value that is not finite.
        """
        table = checked(rows, least_rows=2)
        if table.shape[1] < 2:
            raise base.TooFewRows(
                "pca needs two columns: with one, nothing is left over. Use ecod for a single column."
            )
        self.mean_, self.scale_ = table.mean(axis=0), table.std(axis=0)
        standard = (table - self.mean_) / self.scale_
        values, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
        share = np.cumsum(values[::-1]) / values.sum()
        n_kept = min(int(np.searchsorted(share, KEPT_VARIANCE - 1e-12)) + 1, table.shape[1] - 1)
        self.components_: Floats = np.ascontiguousarray(vectors[:, ::-1][:, :n_kept])
        return self

    def score(self, rows: Floats) -> Floats:
        """How far each row lies off the plane.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows,) sum of squares, in variances of a column.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        standard = (checked(rows, n_columns=len(self.mean_)) - self.mean_) / self.scale_
        on_plane = base.rowwise_product(standard, self.components_)
        residual = standard - base.rowwise_product(on_plane, np.ascontiguousarray(self.components_.T))
        squares: Floats = (residual**2).sum(axis=1)
        return squares


class HotellingT2:
    """Squared distance of a standardised row from the middle, within the plane of `PCAError`, in its own spread.

    Args:
        seed: not needed; taken so that all detectors are made alike.

    Source:
        Hotelling (1931); Jackson and Mudholkar (1979), Technometrics 21(3), equation 2.1.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, rows: Floats) -> Self:
        """This detector, fitted.

        Args:
            rows: (n_rows, n_columns) finite float64, no column constant.

        Returns:
            self.

        Raises:
            ModelError: fewer than two rows or columns, or a value that is not finite.
        """
        self.plane_ = PCAError().fit(rows)
        self.variances_ = self._on_plane(rows).var(axis=0)
        return self

    def score(self, rows: Floats) -> Floats:
        """How far out each row lies in the plane.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows,) sum of squares over the components, each in variances of the component.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        squares: Floats = (self._on_plane(rows) ** 2 / self.variances_).sum(axis=1)
        return squares

    def _on_plane(self, rows: Floats) -> Floats:
        plane = self.plane_
        standard = (checked(rows, n_columns=len(plane.mean_)) - plane.mean_) / plane.scale_
        return base.rowwise_product(standard, plane.components_)


class RobustZ:
    """The largest distance of a row's values from their column's median, in robust standard deviations.

    Args:
        seed: not needed; taken so that all detectors are made alike.

    Source:
        Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers, chapter 3.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, rows: Floats) -> Self:
        """This detector, fitted.

        Args:
            rows: (n_rows, n_columns) finite float64.

        Returns:
            self.

        Raises:
            ModelError: no row, or a value that is not finite.
        """
        table = checked(rows)
        self.median_ = np.median(table, axis=0)
        distance = np.abs(table - self.median_)
        scale = anomaly.MAD_TO_SIGMA * np.median(distance, axis=0)
        # More than half of a column may be equal; see `anomaly.robust_z`.
        scale = np.where(scale > 0, scale, anomaly.MEAN_DEVIATION_TO_SIGMA * distance.mean(axis=0))
        self.scale_ = np.where(scale > 0, scale, 1.0)
        return self

    def score(self, rows: Floats) -> Floats:
        """How far out the strangest value of each row is.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows,) in standard deviations.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        largest: Floats = np.abs(self.by_column(rows)).max(axis=1)
        return largest

    def by_column(self, rows: Floats) -> Floats:
        """How far out each value is, which says what drives a row's score.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows, n_columns) in standard deviations, signed.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        table = checked(rows, n_columns=len(self.median_))
        distance: Floats = (table - self.median_) / self.scale_
        return distance


class IsolationForest:
    """How few random cuts set a row apart, by scikit-learn's forest of a hundred trees.

    Args:
        seed: of the forest.

    Source:
        Liu, Ting and Zhou (2008), Isolation Forest, ICDM, equation 2.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, rows: Floats) -> Self:
        """This detector, fitted.

        Args:
            rows: (n_rows, n_columns) finite float64.

        Returns:
            self.

        Raises:
            ModelError: fewer than two rows, or a value that is not finite.
        """
        from sklearn import ensemble

        table = checked(rows, least_rows=2)
        self.n_columns_ = table.shape[1]
        self.forest_: Any = ensemble.IsolationForest(n_estimators=N_TREES, random_state=self.seed).fit(table)
        return self

    def score(self, rows: Floats) -> Floats:
        """The anomaly score of the paper.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows,) in (0, 1); about 0.5 for rows that are like the others.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        scores: Floats = -self.forest_.score_samples(checked(rows, n_columns=self.n_columns_))
        return scores


class ECOD:
    """Tail probabilities of each column by its empirical distribution, their negative logarithms summed over columns.

    Of a column counts the tail its skewness points to, or either tail if that is less likely. A fitted row counts
    itself; a new one beyond all fitted rows has probability 1 / (n_rows + 1).

    Args:
        seed: not needed; taken so that all detectors are made alike.

    Source:
        Li, Zhao, Hu, Botta, Ionescu and Chen (2022), ECOD, IEEE TKDE, algorithm 1.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, rows: Floats) -> Self:
        """This detector, fitted.

        Args:
            rows: (n_rows, n_columns) finite float64.

        Returns:
            self.

        Raises:
            ModelError: no row, or a value that is not finite.
        """
        table = checked(rows)
        self.sorted_: Floats = np.sort(table.T, axis=1)
        deviation = table - table.mean(axis=0)
        self.skew_sign_ = np.sign((deviation**3).mean(axis=0))
        self.skew_sign_[(table == table[0]).all(axis=0)] = 0.0
        return self

    def score(self, rows: Floats) -> Floats:
        """How far out in the tails each row lies.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows,) sum of negative logarithms of probabilities.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        table = checked(rows, n_columns=len(self.sorted_))
        total = np.zeros(len(table))
        for values, held, sign in zip(table.T, self.sorted_, self.skew_sign_, strict=True):
            left = _surprise(np.searchsorted(held, values, side="right"), len(held))
            right = _surprise(len(held) - np.searchsorted(held, values, side="left"), len(held))
            pointed = (left if sign <= 0 else 0.0) + (right if sign >= 0 else 0.0)
            total += np.maximum(np.maximum(left, right), pointed)
        return total


def _surprise(count: npt.NDArray[np.intp], n_rows: int) -> Floats:
    """Minus the logarithm of the share of rows at least so far out."""
    surprise: Floats = -np.log(np.where(count > 0, count / n_rows, 1.0 / (n_rows + 1)))
    return surprise


def checked(rows: Floats, *, n_columns: int | None = None, least_rows: int = 1) -> Floats:
    """The rows as a table a detector can use.

    Args:
        rows: (n_rows, n_columns) float64.
        n_columns: how many columns it must have; None for any.
        least_rows: fewest rows.

    Returns:
        (n_rows, n_columns) float64, finite.

    Raises:
        ModelError: another shape, too few rows, or a value that is not finite.
    """
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 1 or (n_columns is not None and table.shape[1] != n_columns):
        wanted = "at least 1" if n_columns is None else str(n_columns)
        raise base.ColumnMismatch(f"rows have shape {table.shape}, with {wanted} columns wanted. Pass those fitted.")
    if len(table) < least_rows:
        raise base.TooFewRows(f"{len(table)} rows, and at least {least_rows} are needed. Pass more rows.")
    if not np.isfinite(table).all():
        n_bad = int((~np.isfinite(table)).sum())
        raise base.MissingValues(f"{n_bad} of {table.size} values are missing or infinite. Fill them in first.")
    return table
