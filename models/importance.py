"""Which features do a fitted model's forecasts live on?

Each feature in turn is shuffled among the rows of its date, so that its spread stays and its meaning goes; what the
forecasts lose by that is its importance. Within dates, because a forecast compares the securities of a day: shuffled
across dates a feature would also tell one market from another. Features that say the same share their importance: with
one shuffled, the other still tells. Partner: `models/evaluation.py`, whose last fold gives model and rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import base

Floats = npt.NDArray[np.float64]

N_SHUFFLES = 5
# Five shuffles of so many rows tell the features that matter from those that do not; more rows only make a refit wait.
MOST_ROWS = 4_000


@dataclass(frozen=True, slots=True, eq=False)
class Importance:
    """What forecasts lose without each feature.

    Args:
        loss_increase: (n_features,) rise of the mean squared error, mean over shuffles, as a share of the error of the
            naive forecast of zero: what the model's R² against it loses.
        spread: (n_features,) standard deviation of that rise from shuffle to shuffle.
        n_shuffles: how many there were.
        n_rows: rows they were measured on.
    """

    loss_increase: Floats
    spread: Floats
    n_shuffles: int
    n_rows: int


def permutation_importance(
    predict: Callable[[Floats], Floats],
    rows: base.TrainingRows,
    rng: np.random.Generator,
    *,
    n_shuffles: int = N_SHUFFLES,
    most_rows: int = MOST_ROWS,
) -> Importance:
    """How much worse forecasts become when one feature is shuffled within each date.

    Args:
        predict: forecasts of rows, by a model that was not fitted on them.
        rows: features, outcomes and dates the model has not seen.
        rng: draws the shuffles.
        n_shuffles: of each feature, at least two.
        most_rows: of more rows, whole dates at equal distances are taken.

    Returns:
        The rise of the error by feature; below zero where forecasts do better without the feature. Where every
        outcome is zero, the rise itself.

    Raises:
        ModelError: no rows, or fewer than two shuffles; pass some.

    Source:
        Breiman (2001), Random Forests, Machine Learning 45(1), section 10.
    """
    if n_shuffles < 2 or not len(rows.target):
        raise base.ModelError(f"{n_shuffles} shuffles of {len(rows.target)} rows. Pass rows and at least two shuffles.")
    chosen = _some_dates(rows.dates, most_rows)
    order = chosen[np.argsort(rows.dates[chosen], kind="stable")]
    features, target = np.array(rows.features[order]), rows.target[order]
    _, day = np.unique(rows.dates[order], return_inverse=True)
    before, naive = float(((predict(features) - target) ** 2).mean()), float((target**2).mean())
    rises = np.empty((n_shuffles, features.shape[1]))
    for number in range(n_shuffles):
        for column in range(features.shape[1]):
            own = features[:, column].copy()
            # The rows stand by date, so a random order within dates is a sort by date and then by lot.
            features[:, column] = own[np.lexsort((rng.random(len(own)), day))]
            rises[number, column] = ((predict(features) - target) ** 2).mean() - before
            features[:, column] = own
    rises /= naive or 1.0
    return Importance(rises.mean(axis=0), rises.std(axis=0, ddof=1), n_shuffles, len(target))


def _some_dates(dates: npt.NDArray[np.datetime64], most_rows: int) -> npt.NDArray[np.intp]:
    """Rows of as many whole dates as the bound allows on average, the first and the last among them."""
    days = np.unique(dates)
    n_days = min(len(days), max(1, most_rows * len(days) // len(dates)))
    wanted = days[np.linspace(0, len(days) - 1, n_days).round().astype(int)]
    return np.flatnonzero(np.isin(dates, wanted))
