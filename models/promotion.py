"""Has a model earned its place: does it forecast better than the naive forecast, and than the one now in charge?

Invariants: only figures out of sample count; a figure that is not defined earns nothing; what is too good to be true is
named with its suspected cause before anyone uses it.
Partners: `models/evaluation.py`, which gives the figures, and `flows/promoting.py`, which turns verdicts into roles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import evaluation
from models.base import Floats


@dataclass(frozen=True, slots=True)
class Hurdles:
    """How sure one must be before a model is put in charge.

    Args:
        ic_t: smallest t statistic of the mean rank IC.
        p_value: largest one-sided p value of Clark and West's test against the naive forecast, and of Diebold and
            Mariano's against the champion.
        fold_share: share of the walk-forward folds in which the squared error must be below the naive forecast's.
    """

    ic_t: float = 3.0
    p_value: float = 0.01
    fold_share: float = 0.5


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """How a model's published forecasts fared, over the newest sessions whose outcome is known.

    Args:
        n_sessions: sessions with an outcome.
        squared_error, naive_squared_error: means over sessions of each session's mean; NaN without a session.
    """

    n_sessions: int = 0
    squared_error: float = math.nan
    naive_squared_error: float = math.nan

    def is_behind(self, min_sessions: int) -> bool:
        """Whether the forecasts were worse than naive ones.

        Returns:
            False when there are fewer sessions than `min_sessions`: that is too little to judge by.
        """
        return self.n_sessions >= min_sessions and self.squared_error >= self.naive_squared_error


def shortfalls(found: Mapping[str, float], fold_r2: Sequence[float], hurdles: Hurdles) -> list[str]:
    """Why a model may not be put above the naive forecast; empty when it may.

    Args:
        found: what `evaluation.metrics` returned for all folds together; with `r2_oos_seed_min` for a model of several
            seeds, the worst of them.
        fold_r2: `r2_oos` of each fold.
        hurdles: how sure one must be.

    Returns:
        One sentence per hurdle that was not taken.
    """

    def value(name: str) -> float:
        return found.get(name, math.nan)

    n_won = sum(one > 0 for one in fold_r2)
    needed = math.floor(hurdles.fold_share * len(fold_r2)) + 1
    # Each is asked the way round that an undefined figure fails.
    failed = {
        f"its squared error is not below the naive forecast's (R2 {value('r2_oos'):+.4f})": not value("r2_oos") > 0,
        f"it was ahead of the naive forecast in {n_won} of {len(fold_r2)} folds, {needed} are needed": n_won < needed,
        f"p is {value('cw_p_value'):.3f} that it adds nothing, above {hurdles.p_value}": not value("cw_p_value")
        <= hurdles.p_value,
        f"the t statistic of its rank IC is {value('rank_ic_t'):.1f}, below {hurdles.ic_t}": not value("rank_ic_t")
        >= hurdles.ic_t,
        f"with another seed it is no better than the naive forecast (R2 {value('r2_oos_seed_min'):+.4f})": value(
            "r2_oos_seed_min"
        )
        <= 0,
    }
    return [sentence for sentence, has_failed in failed.items() if has_failed]


def is_better(loss: Floats, champion_loss: Floats, horizon: int, hurdles: Hurdles) -> tuple[bool, float]:
    """Whether a challenger's losses are below the champion's by more than chance.

    Args:
        loss, champion_loss: (n_dates,) mean squared error of each date, the same dates in time.
        horizon: sessions the target looks ahead.
        hurdles: how sure one must be.

    Returns:
        The answer, and the one-sided p value of Diebold and Mariano's test; NaN, and no, when it is not defined.

    Raises:
        ColumnMismatch: the lengths differ; pass the losses of the same dates.
    """
    compared = evaluation.diebold_mariano(loss, champion_loss, horizon)
    p_value = compared.p_value / 2.0 if compared.statistic < 0 else 1.0 - compared.p_value / 2.0
    return bool(p_value <= hurdles.p_value), p_value


def suspected_cause(features: Floats, names: Sequence[str], realised: Floats, dates: npt.ArrayLike) -> str:
    """Where to look first when a result is too good to be true.

    Args:
        features: (n_rows, n_features) of the rows tested.
        names: (n_features,) of the columns.
        realised: (n_rows,) what came.
        dates: (n_rows,) the date of each row.

    Returns:
        A sentence that names the feature whose own rank IC is beyond what is plausible, or says that none is.

    Raises:
        ColumnMismatch: the lengths differ; pass one value each per row.
        MissingValues: a value is not finite.
    """
    means = []
    for column in features.T:
        ic = evaluation.information_coefficient(column, realised, dates)[1]
        means.append(float(np.nan_to_num(ic).mean()))
    strongest = int(np.argmax(np.abs(means)))
    if abs(means[strongest]) > evaluation.IMPLAUSIBLE_RANK_IC:
        return (
            f"{names[strongest]} alone has a mean rank IC of {means[strongest]:+.3f} with what came: "
            "it probably holds prices of days after its date"
        )
    return (
        f"no feature alone is implausible ({names[strongest]} has the largest mean rank IC, {means[strongest]:+.3f}): "
        "look whether the target's sessions overlap with what was trained on, or with the features' own"
    )
