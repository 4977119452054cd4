"""Ridge against statsmodels, scikit-learn and hand arithmetic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm
from sklearn import linear_model

from models import base
from models.regression import Ridge

Floats = npt.NDArray[np.float64]
Rows = tuple[Floats, Floats, npt.NDArray[np.datetime64]]


def clustered_rows(n_dates: int = 60, n_names: int = 25, n_features: int = 4, seed: int = 0) -> Rows:
    """Features in uneven units, and errors that securities of one date share."""
    rng = np.random.default_rng(seed)
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(n_dates), n_names)
    features = rng.standard_normal((len(dates), n_features)) * [0.01, 1.0, 50.0, 3.0][:n_features] + 7.0
    shared = np.repeat(rng.standard_normal(n_dates), n_names)
    target = features @ [2.0, 0.1, 0.01, 0.0][:n_features] + shared + rng.standard_normal(len(dates))
    return features, target, dates


def standardised(features: Floats) -> Floats:
    return (features - features.mean(axis=0)) / features.std(axis=0)


def test_fit_equals_statsmodels_clustered_ols_when_penalty_is_zero() -> None:
    features, target, dates = clustered_rows()
    groups = np.unique(dates, return_inverse=True)[1]
    expected = sm.OLS(target, sm.add_constant(standardised(features))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}
    )

    found = Ridge(penalty=0.0).fit(features, target, dates).coefficients()

    np.testing.assert_allclose(found["estimate"], expected.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found["std_error"], expected.bse, rtol=1e-8)
    np.testing.assert_allclose(found["t_statistic"], expected.tvalues, rtol=1e-8, atol=1e-8)


def test_errors_equal_statsmodels_driscoll_kraay_when_the_target_looks_ahead() -> None:
    features, target, dates = clustered_rows()
    groups = np.unique(dates, return_inverse=True)[1]
    order = np.argsort(groups, kind="stable")
    expected = sm.OLS(target[order], sm.add_constant(standardised(features))[order]).fit(
        cov_type="hac-groupsum", cov_kwds={"time": groups[order], "maxlags": 8, "use_correction": "cluster"}
    )

    found = Ridge(penalty=0.0, horizon=5).fit(features, target, dates).coefficients()

    np.testing.assert_allclose(found["estimate"], expected.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found["std_error"], expected.bse, rtol=1e-6)


def test_errors_do_not_depend_on_the_order_of_rows_when_the_target_looks_ahead() -> None:
    features, target, dates = clustered_rows()
    order = np.random.default_rng(1).permutation(len(target))

    one = Ridge(horizon=5).fit(features, target, dates)
    other = Ridge(horizon=5).fit(features[order], target[order], dates[order])

    np.testing.assert_allclose(one.std_errors_, other.std_errors_, rtol=1e-10)


def test_fit_equals_scikit_learn_when_penalised() -> None:
    features, target, dates = clustered_rows()
    expected = linear_model.Ridge(alpha=300.0, solver="svd").fit(standardised(features), target)

    found = Ridge(penalty=300.0).fit(features, target, dates)

    np.testing.assert_allclose(found.estimates_, [expected.intercept_, *expected.coef_], rtol=1e-10)
    np.testing.assert_allclose(found.predict(features), expected.predict(standardised(features)), rtol=1e-10)


def test_fit_halves_the_coefficient_when_the_penalty_equals_the_number_of_rows() -> None:
    """One feature of unit variance: estimate = n cov / (n + penalty)."""
    features = np.array([[-1.0], [1.0], [-1.0], [1.0]])
    target = np.array([-6.0, 6.0, -6.0, 6.0])
    dates = np.array(["2026-01-01", "2026-01-01", "2026-01-02", "2026-01-02"], "datetime64[D]")

    found = Ridge(penalty=4.0).fit(features, target, dates)

    np.testing.assert_allclose(found.estimates_, [0.0, 3.0], atol=1e-15)


def test_std_errors_cover_the_truth_when_rows_of_a_date_share_news() -> None:
    """Plain least squares would cover a date-level feature's coefficient about half of the time."""
    n_dates, n_names, n_inside, n_inside_plain = 60, 20, 0, 0
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(n_dates), n_names)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        features = np.repeat(rng.standard_normal((n_dates, 1)), n_names, axis=0)
        target = np.repeat(rng.standard_normal(n_dates), n_names) + rng.standard_normal(len(dates))
        found = Ridge(penalty=0.0).fit(features, target, dates)
        plain = target.std() / np.sqrt(len(dates))
        n_inside += abs(found.estimates_[1]) < 1.96 * found.std_errors_[1]
        n_inside_plain += abs(found.estimates_[1]) < 1.96 * plain

    assert 0.88 <= n_inside / 200 <= 0.98
    assert n_inside_plain / 200 < 0.75


def test_predict_is_unchanged_when_a_feature_changes_its_unit() -> None:
    features, target, dates = clustered_rows()
    in_percent = features * [100.0, 1.0, 1.0, 1.0]

    first = Ridge(penalty=50.0).fit(features, target, dates).predict(features)
    second = Ridge(penalty=50.0).fit(in_percent, target, dates).predict(in_percent)

    np.testing.assert_allclose(first, second, rtol=1e-10)


def test_coefficients_name_the_columns_in_order() -> None:
    found = Ridge().fit(*clustered_rows()).coefficients()

    assert found["term"].tolist() == ["intercept", "x0", "x1", "x2", "x3"]


def test_fit_gives_no_coefficient_when_a_feature_is_constant() -> None:
    features, target, dates = clustered_rows()
    with_constant = np.column_stack([features, np.full(len(features), 0.1)])

    found = Ridge(penalty=0.0).fit(with_constant, target, dates)

    without = Ridge(penalty=0.0).fit(features, target, dates)
    np.testing.assert_allclose(found.estimates_, [*without.estimates_, 0.0], rtol=1e-12)
    np.testing.assert_allclose(found.std_errors_, [*without.std_errors_, np.nan], rtol=1e-12)


def test_fit_refuses_when_features_repeat_and_there_is_no_penalty() -> None:
    features, target, dates = clustered_rows()

    with pytest.raises(base.ModelError, match=r"5 features repeat .* Leave a feature out, or set a penalty"):
        Ridge(penalty=0.0).fit(np.column_stack([features, 2 * features[:, 0]]), target, dates)


def test_fit_shares_the_coefficient_when_features_repeat_and_there_is_a_penalty() -> None:
    features, target, dates = clustered_rows(n_features=1)

    found = Ridge(penalty=1.0).fit(np.column_stack([features, features]), target, dates)

    assert found.estimates_[1] == pytest.approx(found.estimates_[2])


def test_fit_refuses_when_there_are_as_many_coefficients_as_rows() -> None:
    features, target, dates = clustered_rows(n_dates=5, n_names=1)

    with pytest.raises(base.TooFewRows, match="5 rows for 5 coefficients"):
        Ridge().fit(features, target, dates)


@pytest.mark.parametrize("penalty", [-1.0, float("nan"), float("inf")])
def test_ridge_refuses_a_penalty_that_is_none(penalty: float) -> None:
    with pytest.raises(base.ModelError, match="Pass 0 for least squares"):
        Ridge(penalty=penalty)
