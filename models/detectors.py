"""Which rows of a table are unlike the others? Six detectors, each for its kind of strangeness.

`robust_z` finds rows with one column far out, `pca` rows that break how columns move together, `hotelling_t2` usual
patterns of unusual size, `isolation_forest` rows that few cuts set apart, `ecod` rows far out in the tails of single
columns, `autoencoder` rows that a network cannot rebuild. None is told which rows are anomalous. Invariants: a higher
score is more abnormal; a row's score depends on the fitted state and on that row alone; same rows and seed give the
same scores. Partners: `models/autoencoder.py` has the last of them, `models/encoding.py` makes numbers of a table's
columns, `models/labelled.py` judges scores where labels are known, `models/combined.py` combines them.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar, Self

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


class Detector(abc.ABC):
    """Fitted on rows without labels, it scores new ones; each one says in what.

    Args:
        seed: for those that draw random numbers.
    """

    # Fewest rows that can be fitted on.
    LEAST_ROWS: ClassVar[int] = 1

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, rows: Floats) -> Self:
        """This detector, fitted.

        Args:
            rows: (n_rows, n_columns) finite float64, no column constant.

        Returns:
            self.

        Raises:
            ModelError: too few rows or columns, or a value that is not finite.
        """
        table = _checked(rows, least_rows=self.LEAST_ROWS)
        self.n_columns_ = table.shape[1]
        self._fit(table)
        return self

    def score(self, rows: Floats) -> Floats:
        """How abnormal each row is.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows,) higher is more abnormal; the unit is the detector's.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        return self._score(_checked(rows, n_columns=self.n_columns_))

    @abc.abstractmethod
    def _fit(self, table: Floats) -> None:
        """Remember what is needed of rows that are known to be good."""

    @abc.abstractmethod
    def _score(self, table: Floats) -> Floats:
        """The scores of rows that are known to be good."""


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
    detector: Detector = base.find_class(name, DETECTORS, "detector")(seed=seed)
    return detector


class _OfPlane(Detector):
    """A detector that measures by the plane of the first principal components of standardised columns.

    They are the fewest that carry 90 % of the variance, and never all, which would leave nothing over.
    """

    LEAST_ROWS = 2

    def _fit(self, table: Floats) -> None:
        if table.shape[1] < 2:
            raise base.TooFewRows(
                "principal components need two columns: with one, nothing is left over. Use ecod for a single column."
            )
        self.mean_, self.scale_ = table.mean(axis=0), table.std(axis=0)
        standard = self._standardised(table)
        values, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
        share = np.cumsum(values[::-1]) / values.sum()
        n_kept = min(int(np.searchsorted(share, KEPT_VARIANCE - 1e-12)) + 1, table.shape[1] - 1)
        self.components_: Floats = np.ascontiguousarray(vectors[:, ::-1][:, :n_kept])

    def _standardised(self, table: Floats) -> Floats:
        standard: Floats = (table - self.mean_) / self.scale_
        return standard

    def _on_plane(self, table: Floats) -> Floats:
        """(n_rows, n_components) where the rows lie in the plane."""
        return base.rowwise_product(self._standardised(table), self.components_)


class PCAError(_OfPlane):
    """Squared distance of a row from the plane, in variances of a column, summed over columns.

    Source:
        Jackson and Mudholkar (1979), Technometrics 21(3): the residual sum of squares Q.
    """

    def _score(self, table: Floats) -> Floats:
        rebuilt = base.rowwise_product(self._on_plane(table), np.ascontiguousarray(self.components_.T))
        squares: Floats = ((self._standardised(table) - rebuilt) ** 2).sum(axis=1)
        return squares


class HotellingT2(_OfPlane):
    """Squared distance of a row from the middle of the plane, in variances of a component, summed over components.

    Source:
        Hotelling (1931); Jackson and Mudholkar (1979), Technometrics 21(3), equation 2.1.
    """

    def _fit(self, table: Floats) -> None:
        super()._fit(table)
        self.variances_ = self._on_plane(table).var(axis=0)

    def _score(self, table: Floats) -> Floats:
        squares: Floats = (self._on_plane(table) ** 2 / self.variances_).sum(axis=1)
        return squares


class RobustZ(Detector):
    """The largest distance of a row's values from their column's median, in robust standard deviations.

    Source:
        Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers, chapter 3.
    """

    def _fit(self, table: Floats) -> None:
        self.median_ = np.median(table, axis=0)
        distance = np.abs(table - self.median_)
        self.scale_ = anomaly.robust_scale(np.median(distance, axis=0), distance.mean(axis=0))

    def _score(self, table: Floats) -> Floats:
        largest: Floats = np.abs(self.by_column(table)).max(axis=1)
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
        table = _checked(rows, n_columns=self.n_columns_)
        distance: Floats = (table - self.median_) / self.scale_
        return distance


class IsolationForest(Detector):
    """How few random cuts set a row apart, by scikit-learn's forest of a hundred trees.

    Scores lie in (0, 1), about 0.5 for rows that are like the others.

    Source:
        Liu, Ting and Zhou (2008), Isolation Forest, ICDM, equation 2.
    """

    LEAST_ROWS = 2

    def _fit(self, table: Floats) -> None:
        from sklearn import ensemble

        self.forest_: Any = ensemble.IsolationForest(n_estimators=N_TREES, random_state=self.seed).fit(table)

    def _score(self, table: Floats) -> Floats:
        scores: Floats = -self.forest_.score_samples(table)
        return scores


class ECOD(Detector):
    """Tail probabilities of each column by its empirical distribution, their negative logarithms summed over columns.

    Of a column counts the tail its skewness points to, or either tail if that is less likely. A fitted row counts
    itself; a new one beyond all fitted rows has probability 1 / (n_rows + 1).

    Source:
        Li, Zhao, Hu, Botta, Ionescu and Chen (2022), ECOD, IEEE TKDE, algorithm 1.
    """

    def _fit(self, table: Floats) -> None:
        self.sorted_: Floats = np.sort(table.T, axis=1)
        deviation = table - table.mean(axis=0)
        self.skew_sign_ = np.sign((deviation**3).mean(axis=0))
        self.skew_sign_[(table == table[0]).all(axis=0)] = 0.0

    def _score(self, table: Floats) -> Floats:
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


def _checked(rows: Floats, *, n_columns: int | None = None, least_rows: int = 1) -> Floats:
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
    base.refuse_missing(table)
    return table
