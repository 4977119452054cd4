"""Closed forms for the cross-sectional z-score, Q and T2."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models import anomaly
from models.pca import FactorPCA

Floats = npt.NDArray[np.float64]

NAN = float("nan")


def orthogonal_panel() -> Floats:
    """Three uncorrelated columns of a two-level design, so that the covariance is diagonal: 9, 4 and 1 times 8 / 7."""
    design = np.array([[a, b, c] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)])
    return design * [3.0, 2.0, 1.0] + [10.0, 20.0, 30.0]


def fitted_plane() -> FactorPCA:
    """Factors that are the first two columns themselves."""
    return FactorPCA(n_factors=2, standardise=False).fit(orthogonal_panel())


def test_robust_z_equals_hand_arithmetic_when_dates_are_interleaved() -> None:
    dates = np.array(["2026-11-20", "2026-11-19"] * 5, dtype="datetime64[D]")
    values = np.array([1.0, 10.0, 2.0, 10.0, 3.0, 13.0, 4.0, 16.0, 100.0, NAN])

    z = anomaly.robust_z(values, dates)

    # 20th: median 3, deviations 2 1 0 1 97, MAD 1. 19th: 10 10 13 16, median 11.5, deviations 1.5 1.5 1.5 4.5, MAD 1.5.
    np.testing.assert_allclose(z[::2], np.array([-2, -1, 0, 1, 97]) / 1.4826, rtol=1e-12)
    np.testing.assert_allclose(z[1::2], np.array([-1.5, -1.5, 1.5, 4.5, NAN]) / (1.4826 * 1.5), rtol=1e-12)


def test_robust_z_uses_the_mean_deviation_when_more_than_half_are_equal() -> None:
    values = np.array([5.0, 5.0, 5.0, 5.0, 15.0])

    z = anomaly.robust_z(values, np.zeros(5))

    # The mean absolute deviation is 10 / 5 = 2.
    np.testing.assert_allclose(z, [0, 0, 0, 0, 10 / (1.2533 * 2)], rtol=1e-12)


def test_robust_z_is_zero_when_all_values_of_a_date_are_equal() -> None:
    values = np.array([7.0, 7.0, NAN, 3.0, NAN])

    z = anomaly.robust_z(values, [1, 1, 1, 2, 3])

    np.testing.assert_array_equal(z, [0.0, 0.0, NAN, 0.0, NAN])


def test_robust_z_measures_each_feature_alone_when_given_a_matrix() -> None:
    rng = np.random.default_rng(0)
    values, dates = rng.standard_normal((60, 3)), rng.integers(0, 4, 60)
    values[rng.random(values.shape) < 0.1] = NAN

    z = anomaly.robust_z(values, dates)

    for date in range(4):
        rows = values[dates == date]
        median = np.nanmedian(rows, axis=0)
        expected = (rows - median) / (1.4826 * np.nanmedian(np.abs(rows - median), axis=0))
        np.testing.assert_allclose(z[dates == date], expected, rtol=1e-12)


def test_robust_z_keeps_past_dates_when_a_date_is_appended() -> None:
    rng = np.random.default_rng(1)
    values, dates = rng.standard_normal(90), np.repeat([1, 2, 3], 30)

    whole = anomaly.robust_z(values, dates)
    past = anomaly.robust_z(values[:60], dates[:60])

    np.testing.assert_array_equal(whole[:60], past)


def test_robust_z_keeps_an_empty_input_when_there_are_no_rows() -> None:
    assert anomaly.robust_z(np.empty(0), np.empty(0)).shape == (0,)
    assert anomaly.robust_z(np.empty((0, 2)), np.empty(0)).shape == (0, 2)


@pytest.mark.parametrize(
    ("values", "dates", "message"),
    [
        (np.array([1.0, np.inf]), [1, 1], "1 infinite values among 2"),
        (np.array([1.0, 2.0]), [1, 1, 1], r"dates of shape \(3,\)\. Pass one date per row"),
    ],
)
def test_robust_z_refuses_its_input_when_it_cannot_be_compared(values: Floats, dates: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        anomaly.robust_z(values, dates)


def test_residual_score_equals_the_closed_form_when_factors_are_columns() -> None:
    """Off the plane is the third column; in it, the first two over their variances 72 / 7 and 32 / 7."""
    rows = np.array([[10.0, 20.0, 30.0], [16.0, 20.0, 34.0], [10.0, 15.0, 29.5]])

    q, t2 = anomaly.pca_residual_score(fitted_plane(), rows)

    np.testing.assert_allclose(q, [0.0, 16.0, 0.25], atol=1e-10)
    np.testing.assert_allclose(t2, [0.0, 36 / (72 / 7), 25 / (32 / 7)], atol=1e-10)


def test_residual_score_averages_to_its_expectation_when_rows_are_the_fitted_ones() -> None:
    """Over the fitted rows mean T2 is n_factors (n - 1) / n, mean Q the sum of the other eigenvalues (n - 1) / n."""
    panel = np.random.default_rng(3).standard_normal((50, 7)) @ np.random.default_rng(4).standard_normal((7, 7))
    model = FactorPCA(n_factors=3).fit(panel)
    standardised = (panel - panel.mean(axis=0)) / panel.std(axis=0, ddof=1)
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(standardised.T))[::-1]

    q, t2 = anomaly.pca_residual_score(model, panel)

    assert t2.mean() == pytest.approx(3 * 49 / 50, rel=1e-10)
    assert q.mean() == pytest.approx(eigenvalues[3:].sum() * 49 / 50, rel=1e-10)


def test_t2_equals_the_mahalanobis_distance_when_all_factors_are_kept() -> None:
    panel = np.random.default_rng(5).standard_normal((40, 4)) @ np.random.default_rng(6).standard_normal((4, 4))
    model = FactorPCA(n_factors=4).fit(panel)
    centred = panel - panel.mean(axis=0)

    q, t2 = anomaly.pca_residual_score(model, panel)

    expected = np.einsum("ti,ij,tj->t", centred, np.linalg.inv(np.cov(panel.T)), centred)
    np.testing.assert_allclose(t2, expected, rtol=1e-9)
    np.testing.assert_allclose(q, 0.0, atol=1e-20)


def test_residual_score_is_comparable_when_a_row_has_holes() -> None:
    """With the second column unseen nothing determines the second factor; with the third unseen the rest is exact."""
    rows = np.array([[16.0, NAN, 34.0], [16.0, 22.0, NAN], [NAN, NAN, NAN]])

    q, t2 = anomaly.pca_residual_score(fitted_plane(), rows)

    np.testing.assert_allclose(q, [NAN, 0.0, NAN], atol=1e-10)
    np.testing.assert_allclose(t2, [NAN, 36 / (72 / 7) + 4 / (32 / 7), NAN], atol=1e-10)


def test_q_is_scaled_to_all_names_when_only_some_are_present() -> None:
    """Four equal columns have one factor of loadings 1/2; the residuals of a row are its distances from its mean."""
    model = FactorPCA(n_factors=1).fit(np.tile(np.array([[-1.0], [0.0], [1.0]]), 4))

    q, _ = anomaly.pca_residual_score(model, np.array([[1.0, 2.0, 3.0, NAN], [1.0, 2.0, 3.0, 2.0]]))

    np.testing.assert_allclose(q, [2.0 * 4 / 3, 2.0], atol=1e-10)


def test_pca_residuals_point_at_the_name_when_one_moves_on_its_own() -> None:
    rng = np.random.default_rng(8)
    panel = rng.standard_normal((200, 1)) + 0.2 * rng.standard_normal((200, 12))
    model = FactorPCA(n_factors=1).fit(panel)
    row = np.full((1, 12), 0.5)
    row[0, 7] = 4.0
    row[0, 2] = NAN

    residuals = anomaly.pca_residuals(model, row)

    assert np.nanargmax(np.abs(residuals[0])) == 7
    assert np.isnan(residuals[0]).tolist() == [name == 2 for name in range(12)]


def test_residual_score_keeps_past_rows_when_later_rows_are_appended() -> None:
    panel = np.random.default_rng(9).standard_normal((30, 101))
    panel[3, 50:] = NAN
    model = FactorPCA(n_factors=3).fit(panel)

    whole = anomaly.pca_residual_score(model, panel)

    for last in (1, 7, 29):
        past = anomaly.pca_residual_score(model, panel[:last])
        np.testing.assert_array_equal(past[0], whole[0][:last])
        np.testing.assert_array_equal(past[1], whole[1][:last])
