"""Which release or revision moved a forecast, and by how much?

A release moves it by its surprise: the value less what the last fit made of the figures it had. A revision moves it by
the revision. What remains is that a month went by, and that the model was fitted again. Invariants: the parts add up
to the change; with the last fit held, no part depends on the order of the series. Partners: `models/diffusion.py`,
whose equation is held, `models/stability.py`, which does the same for factors.

Source:
    Banbura and Modugno (2014), Journal of Applied Econometrics 29(1), section 2.3, for the news of a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import base
from models.diffusion import Equation
from models.stability import Ruler

Floats = npt.NDArray[np.float64]

RELEASE, REVISION, WITHDRAWAL = "release", "revision", "withdrawal"


@dataclass(frozen=True, slots=True)
class HeldRule:
    """A forecast as a function of a panel: factors by one ruler, then one equation.

    Args:
        ruler: turns rows into factor scores; those the equation uses come first.
        target: name of the series whose own lags the equation uses.
        equation: of the diffusion index.
    """

    ruler: Ruler
    target: str
    equation: Equation

    def predict(self, panel: Floats) -> float:
        """The forecast for the last row.

        Args:
            panel: (n_dates, n_names) transformed, by the ruler's names, NaN where missing.

        Raises:
            ModelError: a row that is needed lacks the target or too many series; cut the panel earlier.
        """
        return self.equation.value(self._own(panel), self._scores(panel))

    def _own(self, panel: Floats) -> Floats:
        own = panel[::-1, self.ruler.names.index(self.target)][: len(self.equation.own)]
        if len(own) < len(self.equation.own) or np.isnan(own).any():
            raise base.ModelError(
                f"{self.target} is missing in the last {len(self.equation.own)} rows of {len(panel)}. "
                "Cut the panel at its newest month."
            )
        return own

    def _scores(self, panel: Floats) -> Floats:
        n_lags, n_used = self.equation.factor.shape
        if len(panel) < n_lags:
            raise base.ModelError(f"{len(panel)} rows for {n_lags} lags of the factors. Pass a longer panel.")
        return np.array([self.ruler.score(panel[-1 - lag])[:n_used] for lag in range(n_lags)])


@dataclass(frozen=True, slots=True)
class Item:
    """One figure that came, changed or went.

    Args:
        series, month: of the figure.
        kind: `release`, `revision` or `withdrawal`.
        expected: the figure before, or what the last fit made of it, in the unit of the panel.
        actual: the figure now, NaN when it went.
        effect: on the forecast, in its unit.
    """

    series: str
    month: np.datetime64
    kind: str
    expected: float
    actual: float
    effect: float


@dataclass(frozen=True, slots=True)
class News:
    """Why a forecast is what it is now.

    Args:
        before, after: the forecasts.
        items: in order of the size of their effect, the largest first.
        passing: the months that went by, had they brought what was expected.
        refit: factors and equation fitted again.
    """

    before: float
    after: float
    items: tuple[Item, ...]
    passing: float
    refit: float

    @property
    def explained(self) -> float:
        """The sum of all parts; `after - before` but for rounding."""
        return sum(item.effect for item in self.items) + self.passing + self.refit


def news(
    rule: HeldRule,
    panels: tuple[Floats, Floats],
    after: float,
    months: npt.NDArray[np.datetime64],
    *,
    expected: Floats | None = None,
) -> News:
    """The change of a forecast, figure by figure.

    Args:
        rule: of the last forecast.
        panels: the panel then, (n_then, n_names), and now, (n_now, n_names), both by the rule's names from the same
            first month on and cut at the target's newest month; NaN where missing.
        after: today's forecast, by whatever model makes it now.
        months: (n_now,) of the rows.
        expected: (n_now - n_then, n_factors) scores expected of the new months; by default their mean, zero.

    Returns:
        Parts that add up to the change.

    Raises:
        ModelError: the panel now is shorter, or a row lacks too much; pass the panels as described.
    """
    then, now = panels
    if then.shape[1] != now.shape[1] or len(then) > len(now) or len(now) != len(months):
        raise base.ModelError(
            f"panels of shapes {then.shape} and {now.shape} with {len(months)} months are compared. Pass the same "
            "series from the same first month on, the later panel at least as long, and a month for each of its rows."
        )
    n_new = len(now) - len(then)
    hoped = np.zeros((n_new, rule.ruler.loadings.shape[1])) if expected is None else np.asarray(expected)
    before = rule.predict(then)
    known = np.vstack([then, np.full((n_new, then.shape[1]), np.nan)])
    scores, awaited = _awaited(rule, then, known, hoped)
    effects = _effects(rule, _Panels(known, awaited, now), scores)
    names = rule.ruler.names
    items = [
        Item(names[of], months[at], _kind(known[at, of], now[at, of]), awaited[at, of], now[at, of], effect)
        for (at, of), effect in effects.items()
        if effect != 0.0
    ]
    n_lags, n_used = rule.equation.factor.shape
    own = awaited[::-1, names.index(rule.target)][: len(rule.equation.own)]
    return News(
        before,
        after,
        tuple(sorted(items, key=lambda item: -abs(item.effect))),
        passing=rule.equation.value(own, scores[::-1][:n_lags, :n_used]) - before,
        refit=after - rule.predict(now),
    )


@dataclass(frozen=True, slots=True)
class _Panels:
    """(n_now, n_names) or (n_names,): what was known, the same completed by the last fit, and what is known now."""

    known: Floats
    awaited: Floats
    now: Floats


def _awaited(rule: HeldRule, then: Floats, known: Floats, hoped: Floats) -> tuple[Floats, Floats]:
    """Scores by row as the last fit had or expects them, and the panel with its holes as those scores fill them.

    Only the rows that the equation reads are done; the others are NaN.
    """
    ruler = rule.ruler
    scores = np.full((len(known), ruler.loadings.shape[1]), np.nan)
    awaited = known.copy()
    for at in range(len(known) - max(len(rule.equation.factor), len(rule.equation.own)), len(known)):
        scores[at] = hoped[at - len(then)] if at >= len(then) else ruler.score(then[at])
        fitted = ruler.mean + ruler.scale * (ruler.loadings @ scores[at])
        awaited[at] = np.where(np.isnan(known[at]), fitted, known[at])
    return scores, awaited


def _effects(rule: HeldRule, panels: _Panels, scores: Floats) -> dict[tuple[int, int], float]:
    """By row and column, what the figure did to the forecast, through the factors and as the target's own lag."""
    equation, n_rows = rule.equation, len(panels.now)
    effects: dict[tuple[int, int], float] = {}
    for lag, coefficients in enumerate(equation.factor):
        at = n_rows - 1 - lag
        weight = np.zeros(scores.shape[1])
        weight[: len(coefficients)] = coefficients
        row = _Panels(panels.known[at], panels.awaited[at], panels.now[at])
        for column, effect in _row_effects(rule.ruler, row, weight, scores[at]).items():
            effects[at, column] = effect
    column = rule.ruler.names.index(rule.target)
    for lag, coefficient in enumerate(equation.own):
        at = n_rows - 1 - lag
        surprise = float(panels.now[at, column] - panels.awaited[at, column])
        effects[at, column] = effects.get((at, column), 0.0) + float(coefficient) * surprise
    return effects


def _row_effects(ruler: Ruler, row: _Panels, weight: Floats, scores: Floats) -> dict[int, float]:
    """By column, the effect of a row's figures on `weight` times its scores.

    Values that equal what the fit made of them leave a least-squares score where it is, so the surprises of the columns
    present now, weighed as they are weighed now, are the whole change, unless a column went.
    """
    is_gone = np.isnan(row.now) & ~np.isnan(row.known)
    effects: dict[int, float] = {}
    remaining = np.where(is_gone, row.awaited, np.where(np.isnan(row.now), np.nan, row.awaited))
    value = float(weight @ scores)
    for column in np.flatnonzero(is_gone):
        remaining[column] = np.nan
        fewer = float(weight @ ruler.score(remaining))
        effects[int(column)] = fewer - value
        value = fewer
    is_present = ~np.isnan(row.now)
    pull = (ruler.weights(is_present) @ weight) / ruler.scale
    surprise = np.where(is_present, row.now - row.awaited, 0.0)
    for column in np.flatnonzero(surprise * pull):
        effects[int(column)] = float(surprise[column] * pull[column])
    return effects


def _kind(then: float, now: float) -> str:
    if np.isnan(now):
        return WITHDRAWAL
    return RELEASE if np.isnan(then) else REVISION
