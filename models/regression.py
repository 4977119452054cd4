"""Which linear combination of features forecasts the target, and how sure is each coefficient?

Invariants: features are standardised by the training rows' mean and standard deviation before the penalty acts, so its
size means the same for each; the intercept is not penalised; with no penalty the result is ordinary least squares.
Standard errors are clustered by date, because securities of one day share that day's news, and targets that overlap
make neighbouring dates alike: their covariances count too (Driscoll and Kraay).
Partner: `models/baseline.py`, which it must beat.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models import base
from models.base import Floats, TrainingRows
from models.fitted import LinearModel

log = logging.getLogger(__name__)

INTERCEPT = "intercept"

# Smallest eigenvalue of the features' correlation matrix at which they still count as different from one another;
# below, half of the sixteen digits of a coefficient would be lost.
MIN_EIGENVALUE = 1e-8

# A column whose standard deviation is below this share of its size holds one value and rounding error.
CONSTANT_TOLERANCE = 1e-12


class Ridge(LinearModel):
    """Least squares with a penalty on the squared coefficients of standardised features.

    Minimises sum (target - forecast)^2 + penalty * sum estimate^2. The penalty counts rows: it shrinks as much as that
    many more rows would whose target is the mean.

    Args:
        penalty: 0 for ordinary least squares, more to shrink.
        horizon: sessions the target looks ahead. Beyond 1, standard errors take in the covariances of up to
            2 (horizon - 1) dates; at 1 they are clustered by date and no more.

    Attributes:
        mean_, scale_: (n_features,) of the training rows; scale is the population standard deviation.
        estimates_: (1 + n_features,) intercept first, per standard deviation of each feature.
        std_errors_: (1 + n_features,) robust to both; NaN for a feature that was constant in training.
        is_converged_: True once fitted, as the solution is in closed form.

    Source:
        Hoerl and Kennard (1970), Technometrics 12(1); Cameron and Miller (2015), J. Human Resources 50(2), section II;
        Driscoll and Kraay (1998), Review of Economics and Statistics 80(4).
    """

    SETTINGS = ("penalty", "horizon")
    FITTED: ClassVar[dict[str, type]] = dict.fromkeys(("mean_", "scale_", "estimates_", "std_errors_"), np.float64)

    def __init__(self, *, penalty: float = 1.0, horizon: int = 1) -> None:
        if not (np.isfinite(penalty) and penalty >= 0):
            raise base.ModelError(f"penalty is {penalty} for Ridge. Pass 0 for least squares, or more to shrink.")
        if horizon < 1:
            raise base.ModelError(f"horizon is {horizon} for Ridge. Pass the sessions the target looks ahead, from 1.")
        self.penalty = float(penalty)
        self.horizon = int(horizon)

    def fit(self, features: Floats, target: Floats, dates: npt.ArrayLike) -> Self:
        """This model, fitted. A feature that is constant gets the estimate 0.

        Args:
            features: (n_rows, n_features) float64, finite.
            target: (n_rows,) float64, finite.
            dates: (n_rows,) the date of each row, which is its cluster.

        Returns:
            self.

        Raises:
            ModelError: the rows are not fit to train on, or features repeat one another and there is no penalty; the
                message names what to change.
        """
        rows = base.checked_rows(features, target, dates)
        n_rows, n_features = rows.features.shape
        if n_rows <= n_features + 1:
            raise base.TooFewRows(f"Ridge got {n_rows} rows for {n_features + 1} coefficients. Pass more rows.")
        self.mean_ = rows.features.mean(axis=0)
        scale = rows.features.std(axis=0)
        is_constant = scale <= CONSTANT_TOLERANCE * np.maximum(np.abs(self.mean_), 1.0)
        self.scale_ = np.where(is_constant, 1.0, scale)
        if is_constant.any():
            log.warning("constant features get no coefficient columns=%s", np.flatnonzero(is_constant).tolist())
        varying = np.flatnonzero(~is_constant)
        design = np.column_stack([np.ones(n_rows), ((rows.features - self.mean_) / self.scale_)[:, varying]])
        estimates, std_errors = _solve(design, rows, self.penalty, lag=2 * (self.horizon - 1))
        kept = np.concatenate([[0], 1 + varying])
        self.estimates_, self.std_errors_ = np.zeros(n_features + 1), np.full(n_features + 1, np.nan)
        self.estimates_[kept], self.std_errors_[kept] = estimates, std_errors
        self.is_converged_ = True
        return self

    def coefficients(self) -> dict[str, npt.NDArray[Any]]:
        """The coefficients as columns of a table, intercept first.

        Returns:
            `term` (`intercept`, then `x0`, `x1` and so on by column), `estimate` (unit of the target per standard
            deviation of the feature), `std_error` (robust, see the class), `t_statistic`; each (1 + n_features,). For a
            feature that was constant in training, error and t statistic are NaN.

        Raises:
            NotFitted: fit first.
        """
        self._require_fitted()
        # A perfect fit has no error to divide by; its t statistic is infinite, and 0 / 0 is undefined.
        with np.errstate(divide="ignore", invalid="ignore"):
            t_statistics = self.estimates_ / self.std_errors_
        terms = [INTERCEPT, *(f"x{column}" for column in range(len(self.mean_)))]
        return {
            "term": np.array(terms, dtype=np.object_),
            "estimate": self.estimates_.copy(),
            "std_error": self.std_errors_.copy(),
            "t_statistic": t_statistics,
        }


def _solve(design: Floats, rows: TrainingRows, penalty: float, *, lag: int) -> tuple[Floats, Floats]:
    """Estimates and robust standard errors; the design's first column is the intercept, which is not penalised."""
    n_rows, n_terms = design.shape
    gram = design.T @ design
    if penalty == 0 and (smallest := float(np.linalg.eigvalsh(gram / n_rows)[0])) < MIN_EIGENVALUE:
        raise base.ModelError(
            f"the {n_terms - 1} features repeat one another (smallest eigenvalue {smallest:.1e}) and penalty is 0, "
            "so coefficients are not determined. Leave a feature out, or set a penalty."
        )
    bread = np.linalg.inv(gram + np.diag([0.0] + [penalty] * (n_terms - 1)))
    # The target is centred first: its mean belongs to the intercept, and digits are not spent on it.
    mean = float(rows.target.mean())
    estimates = bread @ (design.T @ (rows.target - mean))
    estimates[0] += mean
    residual = rows.target - design @ estimates
    cluster = np.unique(rows.dates, return_inverse=True)[1]
    n_clusters = int(cluster.max()) + 1
    sums = np.zeros((n_clusters, n_terms))
    np.add.at(sums, cluster, design * residual[:, None])
    # Stata's and statsmodels' small-sample factor for clusters (Cameron and Miller 2015, equation 12).
    factor = n_clusters / (n_clusters - 1) * (n_rows - 1) / (n_rows - n_terms)
    # np.unique sorts: row t of `half` is the t-th date, so a shift by one row is a lag of one session.
    half = sums @ bread
    variance = (half**2).sum(axis=0)
    for distance in range(1, min(lag, n_clusters - 1) + 1):
        weight = 1.0 - distance / (lag + 1.0)
        variance += 2.0 * weight * (half[distance:] * half[:-distance]).sum(axis=0)
    return estimates, np.sqrt(factor * variance)
