"""Does the larger of two nested models forecast better, once the noise of its extra coefficients is set aside?

Partner: `models/evaluation.py`, whose Diebold and Mariano test asks which forecasts were better, noise included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from models import base, evaluation
from models.base import Floats


@dataclass(frozen=True, slots=True)
class NestedComparison:
    """Clark and West's test of equal accuracy in the population.

    Args:
        mean_gain: mean squared error of the smaller model less that of the larger one, adjusted for the latter's noise;
            positive when the larger model helps.
        statistic: the same in units of its standard error (Newey and West).
        p_value: one-sided, from the normal distribution; NaN when not defined.
    """

    mean_gain: float
    statistic: float
    p_value: float


def clark_west(realised: Floats, smaller: Floats, larger: Floats, horizon: int) -> NestedComparison:
    """Whether the larger of two nested models has smaller squared errors in the population.

    Args:
        realised: (n_dates,) what came, in time.
        smaller: (n_dates,) forecasts of the model that the other one contains.
        larger: (n_dates,) forecasts of the model that contains it.
        horizon: periods the target looks ahead; errors overlap for `horizon` - 1, which is the lag of the variance.

    Returns:
        The comparison; statistic and p value are NaN when the models never differ or there are fewer than two dates.

    Raises:
        ColumnMismatch: the lengths differ; pass one value each per date.
        MissingValues: a value is not finite; drop the date.

    Source:
        Clark and West (2007), Journal of Econometrics 138(1), equations 3.1 and 3.2.
    """
    columns = [np.asarray(one, dtype=np.float64) for one in (realised, smaller, larger)]
    if len({one.shape for one in columns}) > 1 or columns[0].ndim != 1:
        raise base.ColumnMismatch(
            f"outcomes of shape {columns[0].shape} and forecasts of shapes {columns[1].shape} and {columns[2].shape} "
            "are compared. Pass one of each per date."
        )
    n_bad = int((~np.isfinite(np.column_stack(columns))).any(axis=1).sum())
    if n_bad:
        raise base.MissingValues(f"{n_bad} of {len(columns[0])} dates to compare lack a value. Drop them.")
    came, small, large = columns
    gain = (came - small) ** 2 - ((came - large) ** 2 - (small - large) ** 2)
    statistic = evaluation.newey_west_t(gain, lag=max(horizon - 1, 0))
    mean = float(gain.mean()) if len(gain) else float("nan")
    return NestedComparison(mean, statistic, float(stats.norm.sf(statistic)))
