"""Which periods of a series are unlike the others, in their place in time? Detectors of points and of patterns.

`forecast_error` finds values far from what the ones before them let expect, `spectral_residual` single values that no
cycle of the series explains, `sub_pca` a year that moves as no other does. Each judges in two ways: `score` when the
whole series is known, `score_as_newest` as if every period were the last one known. Invariants: a higher score is more
abnormal; a score as newest depends on the fitted state and on that period and those before it alone; same values give
the same scores. Partners: `models/detectors.py`, for rows without an order; `flows/macro_watch.py`, which asks about
macro releases.
"""

from __future__ import annotations

import abc
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from models import anomaly, base

Floats = npt.NDArray[np.float64]

# Name of a detector: where its class is.
SERIES_DETECTORS: dict[str, str] = {
    "forecast_error": "models.series_detectors:ForecastError",
    "spectral_residual": "models.series_detectors:SpectralResidual",
    "sub_pca": "models.series_detectors:SubPCA",
    "window_autoencoder": "models.window_autoencoder:WindowAutoencoder",
}

# A year and a month: a season comes back after twelve.
LAGS = 13
# A year.
PATTERN = 12
# Ten years, as whole years: the Fourier transform takes a series for a circle, which then closes in its season. What
# is usual about a newest value is told by five of them.
LONGEST_CIRCLE, SHORTEST_CIRCLE, PERIODS_A_YEAR = 120, 36, 12
USUAL_PERIODS = 60
# Of the largest amplitude or variance: below it lies rounding.
ROUNDING = 1e-9


class SeriesDetector(abc.ABC):
    """Fitted on periods in their order, it scores them or others of the same series.

    Args:
        seed: for those that draw random numbers.
    """

    LEAST_PERIODS: ClassVar[int] = 2 * SHORTEST_CIRCLE
    # How many series it can look at together; None for any number.
    MOST_SERIES: ClassVar[int | None] = 1

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, values: Floats) -> Self:
        """This detector, fitted.

        Args:
            values: (n_periods, n_series) float64, finite, oldest first, on a regular grid; stationary, such as changes
                or growth rates, or a trend is all that is found.

        Returns:
            self.

        Raises:
            ModelError: too few periods, too many series, one that never changes, or a value that is not finite or has
                no finite square.
        """
        table = self._checked(values, least=self.LEAST_PERIODS)
        if (table == table[0]).all(axis=0).any():
            raise base.ModelError("a series never changes. Leave it out.")
        if not table.var(axis=0).all():
            raise base.ModelError("a series changes too little to square. Pass it in a smaller unit.")
        self.n_series_ = table.shape[1]
        self._fit(table)
        return self

    def score(self, values: Floats) -> Floats:
        """How abnormal each period is, what came after it being known.

        Args:
            values: (n_periods, n_series) as for `fit`.

        Returns:
            (n_periods,) higher is more abnormal; the unit is the detector's.

        Raises:
            ModelError: other series than fitted, too few periods, or a value that is not finite or too large to square.
        """
        return self._score(self._checked(values, least=self.LEAST_PERIODS))

    def score_as_newest(self, values: Floats) -> Floats:
        """How abnormal each period is, nothing later than it being known.

        Args:
            values: (n_periods, n_series) as for `fit`.

        Returns:
            (n_periods,) higher is more abnormal; NaN where too few periods came before.

        Raises:
            ModelError: other series than fitted, too few periods, or a value that is not finite or too large to square.
        """
        return self._score_as_newest(self._checked(values, least=self.LEAST_PERIODS))

    @abc.abstractmethod
    def _fit(self, table: Floats) -> None:
        """Remember what is needed of periods that are known to be good."""

    @abc.abstractmethod
    def _score(self, table: Floats) -> Floats:
        """The scores of periods that are known to be good, those after each being known."""

    @abc.abstractmethod
    def _score_as_newest(self, table: Floats) -> Floats:
        """The scores of periods that are known to be good, each as the last."""

    def _checked(self, values: Floats, *, least: int) -> Floats:
        table = np.asarray(values, dtype=np.float64)
        n_series = getattr(self, "n_series_", None)
        is_many = table.ndim == 2 and self.MOST_SERIES is not None and table.shape[1] > self.MOST_SERIES
        if table.ndim != 2 or is_many or not table.shape[1] or (n_series or table.shape[1]) != table.shape[1]:
            wanted = n_series or self.MOST_SERIES or "at least 1"
            raise base.ColumnMismatch(f"values have shape {table.shape}, with {wanted} series wanted. Pass those.")
        if len(table) < least:
            raise base.TooFewRows(f"{len(table)} periods, and at least {least} are needed. Pass a longer series.")
        base.refuse_missing(table)
        with np.errstate(over="ignore", invalid="ignore"):
            variances = table.var(axis=0)
        if not np.isfinite(variances).all():
            largest = np.abs(table).max()
            raise base.ModelError(f"values reach {largest:.0e}, too large to square. Pass them in a larger unit.")
        return table


def make(name: str, *, seed: int = 0) -> SeriesDetector:
    """An unfitted detector.

    Args:
        name: a key of `SERIES_DETECTORS`.
        seed: for those that draw random numbers.

    Returns:
        A new detector.

    Raises:
        ModelError: no such detector; choose one of those named.
    """
    detector: SeriesDetector = base.find_class(name, SERIES_DETECTORS, "detector")(seed=seed)
    return detector


def windows_of(table: Floats, length: int) -> Floats:
    """Every stretch of periods of a length.

    Args:
        table: (n_periods, n_series).
        length: periods of a stretch.

    Returns:
        (n_periods - length + 1, length * n_series), a period's series side by side, the oldest period first.
    """
    windows = np.lib.stride_tricks.sliding_window_view(table, length, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(len(windows), -1)


def mean_over_windows(scores: Floats, length: int) -> Floats:
    """A period's score as the mean over the stretches that hold it.

    Args:
        scores: (n_windows,) of each stretch.
        length: periods of a stretch.

    Returns:
        (n_windows + length - 1,) of each period.
    """
    total = np.convolve(scores, np.ones(length))
    return np.asarray(total / np.convolve(np.ones(len(scores)), np.ones(length)), dtype=np.float64)


def _after(scores: Floats, n_periods: int) -> Floats:
    """The scores at the end of so many periods, the first ones NaN."""
    return np.concatenate([np.full(n_periods - len(scores), np.nan), scores])


class ForecastError(SeriesDetector):
    """Distance of a value from what a regression on the thirteen before it forecasts, in standard deviations.

    What came after a period changes nothing; the first thirteen have no forecast, and score 0 in `score`.

    Source:
        Fox (1972), Outliers in Time Series, JRSS B 34(3), whose innovation outlier it measures.
    """

    def _fit(self, table: Floats) -> None:
        windows = windows_of(table, LAGS + 1)
        # In the series' unit: beside values of 1e15 a constant of one counts as rounding, and is dropped.
        unit = table.std()
        design = np.column_stack([np.full(len(windows), unit), windows[:, :-1]])
        self.coefficients_ = np.asarray(np.linalg.lstsq(design, windows[:, -1], rcond=None)[0], dtype=np.float64)
        self.coefficients_[0] *= unit
        size = np.abs(self._errors(table))
        # Robust, so that what is looked for does not hide itself.
        self.scale_ = float(anomaly.robust_scale(np.median(size), size.mean()))

    def _errors(self, table: Floats) -> Floats:
        windows = windows_of(table, LAGS + 1)
        ahead = base.rowwise_product(np.ascontiguousarray(windows[:, :-1]), self.coefficients_[1:, None])[:, 0]
        errors: Floats = windows[:, -1] - ahead - self.coefficients_[0]
        return errors

    def _score(self, table: Floats) -> Floats:
        return np.nan_to_num(self._score_as_newest(table))

    def _score_as_newest(self, table: Floats) -> Floats:
        return _after(np.abs(self._errors(table)) / self.scale_, len(table))


class SpectralResidual(SeriesDetector):
    """How far a value stands out of the series once every frequency has the amplitude of those beside it.

    The amplitudes of the Fourier transform are divided by their geometric mean over three neighbouring frequencies,
    and transformed back with their phases: cycles and persistence go, single values stay. As newest, a period is
    the last of a circle of whole years, and its size is told over the mean of the sixty before it.

    The paper goes on with estimated values behind the last one; here the series is stationary, so that its circle
    closes without them, and newest values are found better (docs/anomalies.md).

    Source:
        Ren and others (2019), Time-Series Anomaly Detection Service at Microsoft, KDD, section 3.2.
    """

    def _fit(self, table: Floats) -> None:
        years = len(table) // 2 // PERIODS_A_YEAR
        self.circle_ = int(np.clip(years * PERIODS_A_YEAR, SHORTEST_CIRCLE, LONGEST_CIRCLE))

    def _score(self, table: Floats) -> Floats:
        return _saliency(table.T)[0]

    def _score_as_newest(self, table: Floats) -> Floats:
        saliency = _saliency(windows_of(table, self.circle_))
        usual = saliency[:, -USUAL_PERIODS - 1 : -1].mean(axis=1)
        return _after(saliency[:, -1] / np.where(usual > 0, usual, 1.0), len(table))


def _saliency(rows: Floats) -> Floats:
    """(n_rows, n_periods) of rows of periods: their transform with its amplitudes evened out, back in time."""
    spectrum = np.fft.fft(rows, axis=1)
    # The mean is no cycle.
    spectrum[:, 0] = 0.0
    amplitude = np.abs(spectrum)
    amplitude[:, 0] = amplitude[:, 1]
    amplitude = np.maximum(amplitude, np.maximum(ROUNDING * amplitude.max(axis=1, keepdims=True), 1e-300))
    logarithm = np.log(amplitude)
    beside = (np.roll(logarithm, 1, axis=1) + logarithm + np.roll(logarithm, -1, axis=1)) / 3
    saliency: Floats = np.abs(np.fft.ifft(np.exp(-beside) * spectrum, axis=1))
    return saliency


class SubPCA(SeriesDetector):
    """How far out a year lies among the years of the series: its squared distance in variances of each component.

    Known whole, a period's score is the mean over the years that hold it; as newest, that of the year it ends. TSB-AD's
    detector of this name takes distances to the eigenvectors themselves, as PyOD's PCA does, and finds a third as much
    of what is planted in docs/anomalies.md.

    Source:
        Aggarwal (2017), Outlier Analysis, sections 3.3.2 and 9.3; Shyu and others (2003), ICDM, for the sum.
    """

    def _fit(self, table: Floats) -> None:
        windows = windows_of(table, PATTERN)
        self.mean_ = windows.mean(axis=0)
        centred = windows - self.mean_
        variances, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        self.weights_: Floats = np.ascontiguousarray(
            vectors / np.sqrt(np.maximum(variances, ROUNDING * variances.max()))
        )

    def _windows_score(self, table: Floats) -> Floats:
        centred = windows_of(table, PATTERN) - self.mean_
        squares: Floats = (base.rowwise_product(centred, self.weights_) ** 2).sum(axis=1)
        return squares

    def _score(self, table: Floats) -> Floats:
        return mean_over_windows(self._windows_score(table), PATTERN)

    def _score_as_newest(self, table: Floats) -> Floats:
        return _after(self._windows_score(table), len(table))
