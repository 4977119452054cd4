"""Where will a macro series be in 1, 3, 6 and 12 months, and does a factor of the others know more than its own past?

Three rivals for each series and horizon: the mean of what came before, an autoregression, and the same with a factor
of the panel (the diffusion index). Invariant: all rivals of an origin know the same rows. Partners:
`models/diffusion.py` (the regressions), `models/macro_skill.py` (what they would have been worth),
`models/news.py` (why a forecast moved).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models import base, diffusion, pca, transforms
from models.news import HeldRule
from models.stability import Floats, Ruler

Months = npt.NDArray[np.datetime64]

HORIZONS = (1, 3, 6, 12)
MEAN, AR, DIFFUSION = "macro_mean", "macro_ar", "macro_diffusion"
LINEAR = (MEAN, AR, DIFFUSION)
# McCracken and Ng (2016), section 5, forecast with the first factor.
N_USED = 1
MOST_LAGS = 6
# A month is in the sample when so many of the series have it, as in the panel of the factors.
LEAST_SHARE = 0.5
FEWEST_MONTHS, FEWEST_VALUES = 120, 24
MOST_ITERATIONS = 1000
# The own lags of a target stand in the panel apart from its column among the factors' series: a wild value is left
# out of the factors and still is what the series did.
OWN = "own "


@dataclass(frozen=True, slots=True, eq=False)
class MonthlyPanel:
    """A macro panel by the month its values are of.

    Args:
        months: (n_months,) datetime64[M], every month from first to last.
        names: (n_names,) of the series.
        values: (n_months, n_names) transformed by their codes, NaN where missing; a quarter stands in its last month.
        levels: by target, (n_months,) as published.
        codes: by target, its transform code.
    """

    months: Months
    names: tuple[str, ...]
    values: Floats
    levels: Mapping[str, Floats]
    codes: Mapping[str, int]

    def upto(self, n_months: int) -> MonthlyPanel:
        """The panel cut after so many months."""
        levels = {name: column[:n_months] for name, column in self.levels.items()}
        return MonthlyPanel(self.months[:n_months], self.names, self.values[:n_months], levels, self.codes)

    def own(self, target: str) -> Floats:
        """(n_months,) a target as its code transforms it."""
        return transforms.apply_transform(self.levels[target], self.codes[target])


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """A fitted ruler with the outlier bounds it was fitted within.

    Args:
        ruler: turns rows into scores, by the names that take part.
        columns: (n_names,) positions of these names in the panel fitted on.
        bounds: (n_names,) and (n_names,); a value outside takes no part.
        scores: (n_months, n_factors) of the rows it was fitted on, NaN where they do not determine them.
        persistence: (n_factors,) of each factor from month to month.
    """

    ruler: Ruler
    columns: npt.NDArray[np.int64]
    bounds: tuple[Floats, Floats]
    scores: Floats
    persistence: Floats

    def cleaned(self, values: Floats) -> Floats:
        """(n_months, n_names) values of the names that take part, NaN for those outside the bounds."""
        return np.where((values < self.bounds[0]) | (values > self.bounds[1]), np.nan, values)

    def score(self, values: Floats) -> Floats:
        """(n_months, n_factors) the scores of a panel's rows, NaN where they do not determine them."""
        cleaned = self.cleaned(values[:, self.columns])
        is_present = np.isfinite(cleaned)
        standardised = np.where(is_present, self.ruler.standardised(cleaned), 0.0)
        scores = np.full((len(values), self.ruler.loadings.shape[1]), np.nan)
        # Months lack the same series for years: their weights are the same.
        patterns, pattern = np.unique(is_present, axis=0, return_inverse=True)
        for number, present in enumerate(patterns):
            of_pattern = pattern == number
            with contextlib.suppress(base.ModelError):
                scores[of_pattern] = base.rowwise_product(standardised[of_pattern], self.ruler.weights(present))
        return scores

    def rule(self, target: str, equation: diffusion.Equation, expected: float = 0.0) -> HeldRule:
        """The forecast as a function of a panel that has the target's own lags as its last column.

        Args:
            target: name of the series.
            equation: of the forecast.
            expected: the next value that the own lags' column is expected to have.
        """
        ruler = self.ruler
        widened = Ruler(
            (*ruler.names, OWN + target),
            np.append(ruler.mean, expected),
            np.append(ruler.scale, 1.0),
            np.vstack([ruler.loadings, np.zeros((1, ruler.loadings.shape[1]))]),
        )
        return HeldRule(widened, OWN + target, equation)


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """One rival's forecast of one target, in the outcome's terms (`diffusion.outcome_by_origin`).

    Args:
        value: the forecast.
        std_error: of its mean, by Newey and West.
        regression: what made it.
    """

    value: float
    std_error: float
    regression: diffusion.Regression

    @property
    def n_own(self) -> int:
        """Own past months it is made from."""
        return len(self.regression.equation.own)

    @property
    def n_factor(self) -> int:
        """Past months of the factor it is made from."""
        return len(self.regression.equation.factor)

    @property
    def n_rows(self) -> int:
        """Rows it was fitted on."""
        return self.regression.n_rows

    def from_lags(self, own: Floats, scores: Floats) -> float:
        """What the regression says of other lags, the newest month first, of which there may be more than it has."""
        equation = self.regression.equation
        return equation.value(own[: len(equation.own)], scores[: len(equation.factor)])


def fit_factors(panel: MonthlyPanel, n_factors: int) -> Factors:
    """The factors of a panel's rows, with its outlier bounds.

    Raises:
        ModelError: too few months or series; wait for more.
    """
    if not len(panel.months):
        raise base.TooFewRows("The panel has no month. Cut it at a month that the target has.")
    counts = np.isfinite(panel.values).sum(axis=0)
    varies = np.nan_to_num(np.ptp(np.where(np.isfinite(panel.values), panel.values, 0.0), axis=0)) > 0
    columns = np.flatnonzero((counts >= FEWEST_VALUES) & varies)
    values = panel.values[:, columns]
    bounds = transforms.outlier_bounds(values)
    cleaned = np.where((values < bounds[0]) | (values > bounds[1]), np.nan, values)
    is_dense = np.isfinite(cleaned).mean(axis=1) >= LEAST_SHARE if len(columns) else np.zeros(len(values), bool)
    if is_dense.sum() < FEWEST_MONTHS:
        raise base.TooFewRows(
            f"{int(is_dense.sum())} months with half of {len(columns)} series, {FEWEST_MONTHS} are needed for "
            "forecasts by a factor. Load a longer history."
        )
    model = pca.FactorPCA(n_factors=min(n_factors, len(columns)), max_iterations=MOST_ITERATIONS).fit(cleaned[is_dense])
    names = tuple(panel.names[at] for at in columns)
    factors = Factors(Ruler.of(model, names), columns, bounds, np.empty((0, 0)), np.empty(0))
    scores = np.full((len(values), model.n_factors_), np.nan)
    scores[is_dense] = factors.score(panel.values[is_dense])
    pairs = np.isfinite(scores).all(axis=1)
    pairs = pairs[1:] & pairs[:-1]
    before, after = scores[:-1][pairs], scores[1:][pairs]
    persistence = (before * after).sum(axis=0) / (before**2).sum(axis=0)
    return replace(factors, scores=scores, persistence=np.clip(persistence, -1.0, 1.0))


def fit_linear(panel: MonthlyPanel, factors: Factors, target: str, horizon: int) -> dict[str, Forecast]:
    """The forecasts of the three linear rivals from the panel's last row, which is the target's newest month.

    Raises:
        ModelError: the target has a hole at its end or too short a history; wait for more months.
    """
    own, scores = panel.own(target), factors.scores[: len(panel.months), :N_USED]
    rule = _lag_rule(own, target)
    outcome = diffusion.outcome_by_origin(panel.levels[target], panel.codes[target], horizon)
    made = diffusion.forecast(outcome, own, scores, horizon=horizon, rule=rule)
    found = {}
    for name, lags in ((MEAN, (0, 0)), (AR, (made.n_own_autoregression, 0)), (DIFFUSION, (made.n_own, made.n_factor))):
        fitted = diffusion.regress(outcome, own, scores, lags, horizon=horizon, rule=rule)
        at = own[::-1][: lags[0]], scores[::-1][: lags[1]]
        found[name] = Forecast(fitted.equation.value(*at), fitted.std_error(*at), fitted)
    return found


def _lag_rule(own: Floats, target: str) -> diffusion.LagRule:
    """As many own lags as the series has without a hole at its end."""
    is_hole = ~np.isfinite(own[::-1][:MOST_LAGS])
    most = int(is_hole.argmax()) if is_hole.any() else MOST_LAGS
    if not most:
        raise base.TooFewRows(f"{target} has no value of its own terms in its newest month. Wait for one more month.")
    return diffusion.LagRule(most_own=most, most_factor=MOST_LAGS)


def level_ahead(change: float, levels: Floats, code: int, horizon: int) -> float:
    """The level that an outcome means, `horizon` months after the last row.

    Args:
        change: in the terms of `diffusion.outcome_by_origin`.
        levels: (n_months,) of the series, known in the last row, and in the one before for codes 3 and 6.
        code: FRED-MD transform code.
        horizon: months ahead.

    Returns:
        In the unit of the series; NaN where the growth before is not known.
    """
    last = float(levels[-1])
    if code in (1, 4):
        return float(np.exp(change)) if code == 4 else change
    if code == 2:
        return last + horizon * change
    if code == 3:
        return last + horizon * (change + last - float(levels[-2]))
    growth = float(np.log(last / levels[-2])) if code == 6 else 0.0
    return last * float(np.exp(horizon * (change + growth)))


def own_panel(panel: MonthlyPanel, factors: Factors, target: str) -> Floats:
    """(n_months, n_names + 1) a panel as `Factors.rule` reads it; NaN for a series that it lacks."""
    place = {name: at for at, name in enumerate(panel.names)}
    table = np.full((len(panel.months), len(factors.ruler.names)), np.nan)
    for at, name in enumerate(factors.ruler.names):
        if name in place:
            table[:, at] = panel.values[:, place[name]]
    return np.column_stack([factors.cleaned(table), panel.own(target)])
