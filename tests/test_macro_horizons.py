"""Macro forecasts months ahead: statsmodels' errors, the level a change means, factors planted or absent, no future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from flows import macro_outlook
from models import base, diffusion, macro_horizons, macro_skill
from models.macro_horizons import AR, DIFFUSION, MEAN, MonthlyPanel

N_MONTHS, N_SERIES, N_TEST = 420, 8, 240
MONTHS = np.datetime64("1990-01") + np.arange(N_MONTHS)


def panel_of(*, weight, seed):
    """Series of one persistent factor, and a target whose change follows the factor of the month before by a weight."""
    draw = np.random.default_rng(seed)
    factor = np.zeros(N_MONTHS)
    for at in range(1, N_MONTHS):
        factor[at] = 0.7 * factor[at - 1] + draw.normal()
    values = factor[:, None] + 0.7 * draw.normal(size=(N_MONTHS, N_SERIES))
    change = weight * np.r_[0.0, factor[:-1]] + draw.normal(size=N_MONTHS)
    names = ("A", "B", "C", "D", "E", "F", "G", "T")
    table = np.column_stack([values[:, :-1], np.r_[np.nan, change[1:]]])
    return MonthlyPanel(MONTHS, names, table, {"T": np.cumsum(change)}, {"T": 2})


def walked(panel, horizon=1):
    folds = macro_skill.fit_folds(panel, 1, n_test=N_TEST, n_folds=6)
    found = macro_skill.walk_forward(panel, folds, "T", horizon)
    return found, {name: macro_skill.judge(found, name, horizon) for name in (MEAN, AR, DIFFUSION)}


def test_regression_has_statsmodels_coefficients_and_newey_west_errors():
    draw = np.random.default_rng(1)
    own, factor, horizon = draw.normal(size=150), draw.normal(size=(150, 1)), 3
    outcome = np.convolve(own, np.ones(4))[:150] + draw.normal(size=150)

    found = diffusion.regress(outcome, own, factor, (2, 1), horizon=horizon)

    # Six lags are held back for all rivals; the last three outcomes are not known.
    rows = np.arange(5, 147)
    design = np.column_stack([np.ones(len(rows)), own[rows], own[rows - 1], factor[rows, 0]])
    theirs = OLS(outcome[rows], design).fit(cov_type="HAC", cov_kwds={"maxlags": 2, "use_correction": False})
    equation = found.equation
    np.testing.assert_allclose([equation.intercept, *equation.own, *equation.factor[0]], theirs.params, rtol=1e-9)
    np.testing.assert_allclose(found.std_errors, theirs.bse, rtol=1e-9)
    at = design[-1]
    assert found.std_error(at[1:3], at[3:, None]) == pytest.approx(np.sqrt(at @ theirs.cov_params() @ at), rel=1e-9)


@pytest.mark.parametrize("code", range(1, 7))
def test_level_that_an_outcome_means_is_the_level_that_came(code):
    levels = 100 * np.exp(np.cumsum(np.random.default_rng(code).normal(scale=0.01, size=40)))
    outcome = diffusion.outcome_by_origin(levels, code, 6)

    found = macro_horizons.level_ahead(outcome[20], levels[:21], code, 6)

    assert found == pytest.approx(levels[26], rel=1e-12)


def test_months_are_scored_as_the_ruler_scores_each_alone():
    panel = panel_of(weight=0.0, seed=2)
    values = panel.values.copy()
    values[5::7, 2], values[100:200, 4] = np.nan, np.nan
    factors = macro_horizons.fit_factors(replace(panel, values=values), 2)

    found = factors.score(values)

    one_by_one = [factors.ruler.score(row) for row in factors.cleaned(values)[1:]]
    np.testing.assert_allclose(found[1:], one_by_one, atol=1e-12)


def test_planted_factor_is_published_and_white_noise_leaves_the_autoregression():
    """With nothing planted the index has more coefficients and no news: a few of twenty may beat 1 %, no more."""
    _, planted = walked(panel_of(weight=0.6, seed=3))
    none = [walked(panel_of(weight=0.0, seed=seed))[1] for seed in range(10, 16)]

    published = [macro_outlook.decide(skills, {}, 0.01) for skills in (planted, *none)]

    assert published[0][DIFFUSION] == (True, "beats the autoregression out of sample")
    assert published[0][AR] == (False, f"beaten by {DIFFUSION}") and planted[DIFFUSION].ratio_to_ar < 0.95
    assert all(verdict[AR][0] and not verdict[DIFFUSION][0] for verdict in published[1:])
    assert all(sum(one for one, _ in verdict.values()) == 1 for verdict in published)
    # The intervals were promised to hold nine in ten.
    assert 0.85 < np.mean([skills[AR].coverage for skills in none]) < 0.95


def test_published_index_is_demoted_by_its_own_record():
    _, skills = walked(panel_of(weight=0.6, seed=3))

    short = macro_outlook.decide(skills, {DIFFUSION: macro_outlook.Live(11, 2.0, 1.0)}, 0.01)
    behind = macro_outlook.decide(skills, {DIFFUSION: macro_outlook.Live(12, 2.0, 1.0)}, 0.01)

    assert short[DIFFUSION][0] and not short[AR][0]
    assert behind[AR][0] and not behind[DIFFUSION][0]
    assert "over the last 12 months known its forecasts had a mean squared error of 2" in behind[DIFFUSION][1]


def test_forecasts_of_an_origin_know_nothing_of_what_came_after_it():
    panel = panel_of(weight=0.6, seed=4)
    clean, _ = walked(panel, horizon=3)
    poisoned = {"T": panel.levels["T"].copy()}
    values = panel.values.copy()
    values[-30:] *= -1e3
    poisoned["T"][-30:] *= 1e3

    found, _ = walked(replace(panel, values=values, levels=poisoned), horizon=3)

    # Origins of wild months have no forecast, so that there are fewer at the end.
    was, now = clean.months < MONTHS[-30], found.months < MONTHS[-30]
    assert was.sum() > 200
    for name in (MEAN, AR, DIFFUSION):
        np.testing.assert_array_equal(found.predicted[name][now], clean.predicted[name][was])


def test_series_with_a_hole_at_its_end_is_forecast_from_fewer_lags():
    panel = panel_of(weight=0.0, seed=5)
    panel.levels["T"][-4] = np.nan

    made = macro_horizons.fit_linear(panel, macro_horizons.fit_factors(panel, 1), "T", 1)

    assert len(made[AR].regression.equation.own) <= 2 and np.isfinite(made[DIFFUSION].value)


def test_target_without_a_month_is_refused_as_such():
    panel = panel_of(weight=0.0, seed=5)

    with pytest.raises(base.TooFewRows, match="no month"):
        macro_horizons.fit_factors(panel.upto(0), 1)
