"""How good would the macro forecasts months ahead have been, had they been made at the time?

Invariants: factors, outlier bounds, lags and coefficients of a fold are made of the rows before it; an outcome enters a
fit only once its last month is over; a figure that is not defined is NaN. Partner: `models/macro_horizons.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models import base, diffusion, evaluation, intervals, nested
from models.macro_horizons import (
    AR,
    FEWEST_MONTHS,
    LINEAR,
    MEAN,
    MOST_LAGS,
    N_USED,
    Factors,
    MonthlyPanel,
    Months,
    fit_factors,
    fit_linear,
)
from models.stability import Floats

LEVEL = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """Walk-forward forecasts of one target and horizon.

    Args:
        months: (n,) the origins, in time.
        predicted: by rival, (n,).
        realised: (n,) what came, by the same panel.
    """

    months: Months
    predicted: Mapping[str, Floats]
    realised: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One refit of the walk-forward.

    Args:
        start, end: its origins are the rows from start to the one before end; the fit knows those before start.
        factors: fitted on the rows before start.
        scores: (end - start + MOST_LAGS, n_factors) of the rows from start - MOST_LAGS on, by these factors.
    """

    start: int
    end: int
    factors: Factors
    scores: Floats


def fit_folds(panel: MonthlyPanel, n_factors: int, *, n_test: int, n_folds: int) -> list[Fold]:
    """Folds over the panel's last rows, evenly, as far back as there is history to fit on.

    Args:
        panel: cut at a target's newest month.
        n_factors: factors of the panel.
        n_test: rows tested.
        n_folds: refits.
    """
    n_months = len(panel.months)
    n_test = min(n_test, n_months - FEWEST_MONTHS)
    folds = []
    for number in range(n_folds if n_test >= n_folds else 0):
        start = n_months - n_test + number * n_test // n_folds
        end = n_months - n_test + (number + 1) * n_test // n_folds
        with contextlib.suppress(base.ModelError):
            factors = fit_factors(panel.upto(start), n_factors)
            folds.append(Fold(start, end, factors, factors.score(panel.values[start - MOST_LAGS : end])))
    return folds


def walk_forward(
    panel: MonthlyPanel,
    folds: Sequence[Fold],
    target: str,
    horizon: int,
    *,
    others: Mapping[str, Floats] | None = None,
) -> Tested:
    """The linear rivals' forecasts from every origin of the test, each by the fit of its fold.

    Args:
        panel: cut at the target's newest month.
        folds: in time.
        target, horizon: what is forecast.
        others: by name, (n_months,) what other rivals said from each origin, NaN where nothing.

    Returns:
        Origins whose outcome is known; those from which a rival has no forecast are left out.
    """
    own = panel.own(target)
    outcome = diffusion.outcome_by_origin(panel.levels[target], panel.codes[target], horizon)
    kept: list[int] = []
    others = others or {}
    said: dict[str, list[float]] = {name: [] for name in (*LINEAR, *others)}
    for fold in folds:
        try:
            made = fit_linear(panel.upto(fold.start), fold.factors, target, horizon)
        except base.ModelError:
            continue
        for origin in range(fold.start, fold.end):
            seen = fold.scores[: origin + 1 - fold.start + MOST_LAGS, :N_USED][::-1]
            values = {name: one.from_lags(own[origin::-1], seen) for name, one in made.items()}
            values |= {name: float(told[origin]) for name, told in others.items()}
            if np.isfinite([*values.values(), outcome[origin]]).all():
                kept.append(origin)
                for name, value in values.items():
                    said[name].append(value)
    predicted = {name: np.array(values) for name, values in said.items()}
    return Tested(panel.months[kept], predicted, outcome[kept])


@dataclass(frozen=True, slots=True)
class Skill:
    """What a rival's walk-forward forecasts were worth.

    Args:
        n_tested, first, last: how many, and the months of the first and the last origin.
        rmse: in the outcome's unit.
        ratio_to_ar, ratio_to_mean: of mean squared errors; below 1 the rival was better.
        dm_p_value: two-sided, Diebold and Mariano against the autoregression; NaN for itself.
        cw_p_value: one-sided, Clark and West against the autoregression; NaN where not nested.
        coverage: of its adaptive conformal intervals over the test; NaN with too few forecasts.
        radius: half the width of the interval of the next forecast; infinite with too few.
        is_nested: whether the autoregression is a case of it, so that Clark and West's test judges it.
    """

    n_tested: int
    first: str
    last: str
    rmse: float
    ratio_to_ar: float
    ratio_to_mean: float
    dm_p_value: float
    cw_p_value: float
    coverage: float
    radius: float
    is_nested: bool = True

    def shortfall(self, p_value: float) -> str:
        """Why the rival may not be published in the autoregression's place; empty when it may.

        Each is asked the way round that an undefined figure fails.
        """
        if not self.ratio_to_ar < 1:
            return f"its squared error was {self.ratio_to_ar:.2f} times the autoregression's"
        if self.is_nested:
            if not self.cw_p_value <= p_value:
                return f"p is {self.cw_p_value:.3f} that it adds nothing to the autoregression, above {p_value:g}"
        elif not self.dm_p_value / 2 <= p_value:
            # Of two sides, the one on which its errors are the smaller ones.
            return f"p is {self.dm_p_value / 2:.3f} that it forecasts no better, above {p_value:g}"
        return ""


def judge(tested: Tested, name: str, horizon: int) -> Skill:
    """What one rival's walk-forward forecasts were worth; undefined figures are NaN."""
    said, came = tested.predicted[name], tested.realised
    n = len(came)
    if n <= 2 * horizon + 2:
        nothing = (float("nan"),) * 6
        return Skill(n, "", "", *nothing, radius=float("inf"), is_nested=name in LINEAR)
    loss = {one: (came - predicted) ** 2 for one, predicted in tested.predicted.items()}
    mean_loss = {one: float(values.mean()) for one, values in loss.items()}
    is_ar, is_nested = name == AR, name in LINEAR
    # One surprise misses the outcomes of as many origins as the horizon has months.
    held = intervals.adaptive_intervals(
        came - said,
        tested.months.astype("datetime64[D]"),
        level=LEVEL,
        horizon=horizon,
        window=n,
        step=intervals.STEP / horizon,
    )
    return Skill(
        n,
        str(tested.months[0]),
        str(tested.months[-1]),
        float(np.sqrt(mean_loss[name])),
        _ratio(mean_loss[name], mean_loss[AR]),
        _ratio(mean_loss[name], mean_loss[MEAN]),
        float("nan") if is_ar else evaluation.diebold_mariano(loss[name], loss[AR], horizon).p_value,
        nested.clark_west(came, tested.predicted[AR], said, horizon).p_value
        if is_nested and not is_ar
        else float("nan"),
        held.coverage,
        held.state.radius(),
        is_nested,
    )


def _ratio(one: float, other: float) -> float:
    return one / other if other > 0 else float("nan")
