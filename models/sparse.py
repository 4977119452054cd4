"""Which few features forecast the target, when most are worth nothing?

Invariants: features and target are standardised by the training rows before the penalty acts, so it means the same for
each feature and each target; a feature that is not worth its penalty has the coefficient 0 exactly.
Partner: `models/regression.py`, which keeps every feature and has standard errors.
"""

from __future__ import annotations

import logging
import warnings
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn import exceptions, linear_model

from models import base
from models.base import Floats
from models.fitted import LinearModel

log = logging.getLogger(__name__)


class ElasticNet(LinearModel):
    """Least squares with a penalty on absolute and on squared coefficients.

    Minimises mean (target - forecast)^2 / 2 + penalty * (l1_share * sum |estimate| + (1 - l1_share) / 2 * sum
    estimate^2), target and features in standard deviations.

    Args:
        penalty: correlation that a feature must have with the target to be worth its place, about, at `l1_share` 1.
        l1_share: 1 for the lasso, towards 0 for ridge.

    Attributes:
        mean_, scale_: (n_features,) of the training rows.
        estimates_: (1 + n_features,) intercept first, in the target's unit per standard deviation of each feature.
        is_converged_: whether the descent came to rest.

    Source:
        Zou and Hastie (2005), Journal of the Royal Statistical Society B 67(2), in scikit-learn's parametrisation.
    """

    SETTINGS = ("penalty", "l1_share")
    FITTED: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("mean_", "scale_", "estimates_"), np.float64),
        "is_converged_": bool,
    }

    def __init__(self, *, penalty: float = 0.005, l1_share: float = 0.5) -> None:
        if not (np.isfinite(penalty) and penalty > 0 and 0 < l1_share <= 1):
            raise base.ModelError(
                f"ElasticNet got penalty={penalty}, l1_share={l1_share}. Pass a positive penalty, a share in (0, 1]."
            )
        self.penalty, self.l1_share = float(penalty), float(l1_share)

    def fit(self, features: Floats, target: Floats, dates: npt.ArrayLike) -> Self:
        """This model, fitted. A feature that is constant gets the estimate 0.

        Args:
            features: (n_rows, n_features) float64, finite.
            target: (n_rows,) float64, finite.
            dates: (n_rows,) the date of each row.

        Returns:
            self. `is_converged_` is False when the descent did not come to rest.

        Raises:
            ModelError: the rows are not fit to train on; the message names what to change.
        """
        rows = base.checked_rows(features, target, dates)
        self.mean_, scale = rows.features.mean(axis=0), rows.features.std(axis=0)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        centre, spread = float(rows.target.mean()), float(rows.target.std())
        unit = spread if spread > 0 else 1.0
        solver = linear_model.ElasticNet(
            alpha=self.penalty, l1_ratio=self.l1_share, fit_intercept=False, precompute=True, tol=1e-8, max_iter=10_000
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", exceptions.ConvergenceWarning)
            solver.fit((rows.features - self.mean_) / self.scale_, (rows.target - centre) / unit)
        self.is_converged_ = not any(issubclass(one.category, exceptions.ConvergenceWarning) for one in caught)
        if not self.is_converged_:
            log.warning("elastic net did not converge: n_iterations=%s", solver.n_iter_)
        self.estimates_ = np.concatenate([[centre], unit * solver.coef_])
        return self
