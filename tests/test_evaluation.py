"""Folds against the calendar, metrics against scipy, statsmodels and closed forms."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from models import base, evaluation
from models.baseline import HistoricalMean, Zero
from models.regression import Ridge

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

HORIZON = 5


def days(n_dates: int, n_names: int = 1) -> Dates:
    return np.repeat(np.datetime64("2026-01-01") + np.arange(n_dates), n_names)


def overlapping_target(n_dates: int, n_names: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Daily returns, and their sums over the next five sessions, as rows sorted by date."""
    daily = 0.02 * np.random.default_rng(seed).standard_normal((n_dates + HORIZON, n_names))
    forward = np.array([daily[t + 1 : t + 1 + HORIZON].sum(axis=0) for t in range(n_dates)])
    return daily[:n_dates].ravel(), forward.ravel()


def test_folds_are_these_rows_when_written_out_by_hand() -> None:
    """Ten sessions: two tests of two, one left out before each; the second fold also learns the first one's past."""
    dates = days(10)

    found = evaluation.walk_forward_folds(dates, n_folds=2, test_sessions=2, min_train_sessions=5, embargo=1)

    assert [(fold.number, fold.train.tolist(), fold.test.tolist()) for fold in found] == [
        (1, [0, 1, 2, 3, 4], [6, 7]),
        (2, [0, 1, 2, 3, 4, 5, 6], [8, 9]),
    ]
    assert [str(day) for day in (found[0].train_end, found[0].test_start, found[0].test_end)] == [
        "2026-01-05",
        "2026-01-07",
        "2026-01-08",
    ]


@given(st.integers(1, 4), st.integers(1, 15), st.integers(HORIZON, 9), st.integers(0, 2**32 - 1))
def test_no_training_target_reaches_the_test_window(n_folds: int, n_test: int, embargo: int, seed: int) -> None:
    """The target of session t is made of prices up to session t + 5, which must be known before the first forecast."""
    sessions = np.unique(np.datetime64("2020-01-01") + np.random.default_rng(seed).integers(0, 900, 120))
    dates = np.random.default_rng(seed).permutation(np.repeat(sessions, 3))

    folds = evaluation.walk_forward_folds(
        dates, n_folds=n_folds, test_sessions=n_test, min_train_sessions=10, embargo=embargo
    )

    for fold in folds:
        target_ends = np.searchsorted(sessions, dates[fold.train]) + HORIZON
        assert target_ends.max() < np.searchsorted(sessions, dates[fold.test]).min()
        assert dates[fold.train].max() == fold.train_end
    tested = np.concatenate([fold.test for fold in folds])
    assert len(np.unique(tested)) == len(tested)
    assert set(dates[tested]) == set(sessions[-n_folds * n_test :])


def test_folds_refuse_when_the_first_has_too_little_to_learn() -> None:
    with pytest.raises(base.TooFewRows, match=r"20 sessions leave 5 .* 10 are needed. Test fewer sessions"):
        evaluation.walk_forward_folds(days(20), n_folds=2, test_sessions=5, min_train_sessions=10, embargo=5)


def test_walk_forward_forecasts_with_the_past_mean_only() -> None:
    dates, target = days(10), np.arange(10.0)
    folds = evaluation.walk_forward_folds(dates, n_folds=2, test_sessions=2, min_train_sessions=5, embargo=1)

    found = evaluation.walk_forward(HistoricalMean, np.ones((10, 1)), target, dates, folds)

    assert found.rows.tolist() == [6, 7, 8, 9]
    assert found.fold.tolist() == [1, 1, 2, 2]
    assert found.predicted.tolist() == [2.0, 2.0, 3.0, 3.0]
    assert found.realised.tolist() == [6.0, 7.0, 8.0, 9.0]


def test_walk_forward_is_blind_to_what_comes_after_training() -> None:
    """Poisoned rows in the embargo and in the test window's own target change no forecast."""
    dates = days(60, 8)
    features = np.random.default_rng(1).standard_normal((480, 3))
    target = features @ [0.1, 0.2, 0.0] + np.random.default_rng(2).standard_normal(480)
    (fold,) = evaluation.walk_forward_folds(dates, n_folds=1, test_sessions=20, min_train_sessions=10, embargo=5)
    poisoned = np.where(dates > fold.train_end, 1e6, target)

    found = evaluation.walk_forward(Ridge, features, poisoned, dates, [fold])

    expected = evaluation.walk_forward(Ridge, features, target, dates, [fold])
    assert found.predicted.tobytes() == expected.predicted.tobytes()


def test_canary_is_called_implausible_when_a_feature_is_the_future_return() -> None:
    _, target = overlapping_target(120, 20)
    dates = days(120, 20)
    honest = np.random.default_rng(3).standard_normal((len(target), 3))
    canary = np.column_stack([honest, target])
    folds = evaluation.walk_forward_folds(dates, n_folds=2, test_sessions=30, min_train_sessions=30, embargo=HORIZON)

    found, control = (
        evaluation.metrics(tested.predicted, tested.realised, dates[tested.rows], horizon=HORIZON)
        for tested in (evaluation.walk_forward(Ridge, features, target, dates, folds) for features in (canary, honest))
    )

    assert len(evaluation.implausible(found)) == 2
    assert found["rank_ic_mean"] > 0.99
    assert evaluation.implausible(control) == []
    assert abs(control["rank_ic_mean"]) < 0.1


def test_metrics_are_these_numbers_when_computed_by_hand() -> None:
    """Errors 1, -2, 0, 1 on outcomes 1, 2, -2, 0; the zero outcome has no sign to hit."""
    realised = np.array([1.0, 2.0, -2.0, 0.0])
    predicted = np.array([2.0, 0.0, -2.0, 1.0])

    found = evaluation.metrics(predicted, realised, days(2, 2))

    assert found["rmse"] == pytest.approx(math.sqrt(6 / 4))
    assert found["mae"] == pytest.approx(1.0)
    assert found["r2_oos"] == pytest.approx(1 - 6 / 9)
    assert found["rank_ic_mean"] == pytest.approx((-1.0 + 1.0) / 2)
    assert found["hit_rate"] == pytest.approx(1.0)


def test_metrics_compare_with_the_given_baseline() -> None:
    realised = np.array([1.0, 3.0])

    found = evaluation.metrics(np.array([1.0, 2.0]), realised, days(2), baseline=2.0)

    assert found["r2_oos"] == pytest.approx(1 - 1 / 2)


def test_metrics_are_not_defined_when_the_model_is_the_baseline() -> None:
    realised = np.random.default_rng(0).standard_normal(200)
    predicted = Zero().fit(np.ones((200, 1)), realised, days(20, 10)).predict(np.ones((200, 1)))

    found = evaluation.metrics(predicted, realised, days(20, 10))

    assert found["r2_oos"] == 0.0
    assert all(math.isnan(found[name]) for name in ("rank_ic_mean", "rank_ic_t", "hit_rate", "dm_p_value"))


def test_information_coefficient_equals_scipy_on_every_date() -> None:
    rng = np.random.default_rng(0)
    dates = rng.permutation(days(15, 20))
    predicted, realised = np.round(rng.standard_normal(300), 1), np.round(rng.standard_normal(300), 1)

    found_dates, found = evaluation.information_coefficient(predicted, realised, dates)

    expected = [stats.spearmanr(predicted[dates == d], realised[dates == d]).statistic for d in np.unique(dates)]
    np.testing.assert_array_equal(found_dates, np.unique(dates))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_information_coefficient_is_missing_when_forecasts_of_the_date_are_equal() -> None:
    found = evaluation.information_coefficient(np.array([1.0, 1.0, 1.0, 2.0]), np.arange(4.0), days(2, 2))[1]

    np.testing.assert_array_equal(found, [np.nan, 1.0])


@pytest.mark.parametrize("lag", [0, 1, 4])
def test_newey_west_equals_statsmodels_hac(lag: int) -> None:
    rng = np.random.default_rng(0)
    series = np.convolve(rng.standard_normal(124), np.ones(5), mode="valid") + 0.3
    expected = sm.OLS(series, np.ones(120)).fit(cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False})

    found = evaluation.newey_west_t(series, lag=lag)

    assert found == pytest.approx(float(expected.tvalues[0]), rel=1e-10)


def test_diebold_mariano_is_the_paired_t_test_when_the_horizon_is_one() -> None:
    """With no overlap the correction of Harvey et al. is (n - 1) / n, which makes the variance the sample's."""
    first, second = np.random.default_rng(0).chisquare(1, (2, 40))
    expected = stats.ttest_rel(first, second)

    found = evaluation.diebold_mariano(first, second, 1)

    assert found.mean_difference == pytest.approx((first - second).mean())
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)


def test_diebold_mariano_corrects_the_hac_statistic_when_targets_overlap() -> None:
    """40 dates, horizon 5: the variance is statsmodels' with 4 lags, the factor (41 - 10 + 20 / 40) / 40 = 0.7875."""
    first, second = np.random.default_rng(1).chisquare(1, (2, 40))
    hac = sm.OLS(first - second, np.ones(40)).fit(cov_type="HAC", cov_kwds={"maxlags": 4, "use_correction": False})

    found = evaluation.diebold_mariano(first, second, 5)

    expected = float(hac.tvalues[0]) * math.sqrt(0.7875)
    assert found.statistic == pytest.approx(expected, rel=1e-10)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(expected), 39), rel=1e-10)


def test_diebold_mariano_changes_sign_when_the_models_change_places() -> None:
    first, second = np.random.default_rng(0).chisquare(1, (2, 40))

    found, swapped = evaluation.diebold_mariano(first, second, 5), evaluation.diebold_mariano(second, first, 5)

    assert found.statistic == -swapped.statistic
    assert found.p_value == swapped.p_value


@pytest.mark.parametrize("n_dates", [0, 1, 5])
def test_diebold_mariano_is_not_defined_when_dates_are_as_few_as_the_horizon(n_dates: int) -> None:
    found = evaluation.diebold_mariano(np.arange(float(n_dates)), np.zeros(n_dates), 5)

    assert math.isnan(found.p_value)


def test_metrics_count_a_date_once_when_one_has_more_rows() -> None:
    """Repeating every security of every date adds no evidence against the baseline."""
    _, realised = overlapping_target(60, 10)
    predicted = 0.3 * realised + 0.02 * np.random.default_rng(1).standard_normal(600)

    once = evaluation.metrics(predicted, realised, days(60, 10))
    twice = evaluation.metrics(np.tile(predicted, 2), np.tile(realised, 2), np.tile(days(60, 10), 2))

    assert twice["dm_p_value"] == pytest.approx(once["dm_p_value"], rel=1e-9)


def test_metrics_without_the_worst_crisis_are_those_of_the_calm_days() -> None:
    """Days 20 to 29 are a crash that the model foresees; without it, it has no skill worth the name."""
    rng = np.random.default_rng(0)
    dates, realised = days(60, 10), rng.standard_normal(600)
    is_crisis = (dates >= dates[0] + 20) & (dates < dates[0] + 30)
    realised[is_crisis] *= 20
    predicted = np.where(is_crisis, realised, rng.standard_normal(600))

    found = evaluation.metrics(predicted, realised, dates)

    calm = evaluation.metrics(predicted[~is_crisis], realised[~is_crisis], dates[~is_crisis])
    names = ["rmse", "mae", "r2_oos", "rank_ic_mean", "rank_ic_t", "hit_rate", "dm_p_value", "cw_p_value"]
    assert sorted(found) == sorted([*names, *(f"{name}_ex_worst" for name in names)])
    assert [found[f"{name}_ex_worst"] for name in names] == [calm[name] for name in names]
    assert found["r2_oos"] > 0.9
    assert found["r2_oos_ex_worst"] < 0


def test_metrics_have_nothing_left_when_the_test_is_as_short_as_a_crisis() -> None:
    rng = np.random.default_rng(0)

    found = evaluation.metrics(rng.standard_normal(100), rng.standard_normal(100), days(10, 10))

    assert math.isnan(found["rmse_ex_worst"])


def test_metrics_do_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    predicted, realised, dates = rng.standard_normal(600), rng.standard_normal(600), days(60, 10)
    order = rng.permutation(600)

    found = evaluation.metrics(predicted[order], realised[order], dates[order])

    assert found == pytest.approx(evaluation.metrics(predicted, realised, dates), rel=1e-9)


def test_skill_vanishes_when_the_target_is_shuffled() -> None:
    rng = np.random.default_rng(0)
    dates, features = days(200, 30), rng.standard_normal((6000, 3))
    target = features @ [0.2, 0.1, 0.0] + rng.standard_normal(6000)
    folds = evaluation.walk_forward_folds(dates, n_folds=2, test_sessions=50, min_train_sessions=50, embargo=5)

    true, shuffled = (
        evaluation.metrics(tested.predicted, tested.realised, dates[tested.rows], horizon=1)
        for tested in (
            evaluation.walk_forward(Ridge, features, y, dates, folds) for y in (target, rng.permutation(target))
        )
    )

    assert true["rank_ic_mean"] == pytest.approx(6 / math.pi * math.asin(math.sqrt(0.05 / 1.05) / 2), abs=0.03)
    assert true["dm_p_value"] < 0.001
    # Four standard errors of a correlation over the 3,000 rows tested.
    assert abs(shuffled["rank_ic_mean"]) < 4 / math.sqrt(3000)
    assert shuffled["dm_p_value"] > 0.01


def test_metrics_refuse_a_missing_forecast() -> None:
    with pytest.raises(base.MissingValues, match=r"1 of 2 rows to evaluate .* Drop them"):
        evaluation.metrics(np.array([np.nan, 1.0]), np.zeros(2), days(2))


def test_p_value_of_a_mean_keeps_its_promise_for_overlapping_targets():
    """Moving sums of five have no mean: of 2,000 such series about one in a hundred is called below zero."""
    noise = np.random.default_rng(8).normal(size=(2000, 44))
    overlapping = np.lib.stride_tricks.sliding_window_view(noise, 5, axis=1).sum(axis=2)

    p_values = [evaluation.mean_p_value(one, horizon=5, alternative="less") for one in overlapping]

    assert np.mean(np.array(p_values) < 0.01) < 0.015
    shifted = [evaluation.mean_p_value(one - 6.0, horizon=5, alternative="less") for one in overlapping[:200]]
    assert np.mean(np.array(shifted) < 0.01) > 0.95


@pytest.mark.parametrize(("value", "alternative", "expected"), [(-1, "less", 0), (1, "less", 1), (1, "two-sided", 0)])
def test_p_value_of_values_that_are_all_the_same_is_certain(value, alternative, expected):
    assert evaluation.mean_p_value(np.full(20, float(value)), horizon=5, alternative=alternative) == expected


def test_p_value_of_too_few_values_says_nothing():
    assert evaluation.mean_p_value(np.full(9, -1.0), horizon=5, alternative="less") == 1.0
