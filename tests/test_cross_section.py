"""Standing within a day against hand arithmetic and scipy, and what later days may change: nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from models import base, cross_section


def random_rows(n_dates: int = 12, n_names: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(n_dates), n_names)
    features = rng.standard_normal((len(dates), 3))
    features[rng.random(features.shape) < 0.1] = np.nan
    order = rng.permutation(len(dates))
    return features[order], dates[order]


def test_standardise_ranks_within_the_date_when_values_tie_or_miss() -> None:
    """Ranks 1, 2.5, 2.5, 4 of four present values: (rank - 2.5) / 4 * sqrt(12)."""
    features = np.array([5.0, 8.0, np.nan, 8.0, 1e9, 3.0])
    dates = np.array(["2026-01-05"] * 5 + ["2026-01-06"], "datetime64[D]")

    found = cross_section.standardise_by_date(features, dates)

    np.testing.assert_allclose(found, np.array([-1.5, 0, 0, 0, 1.5, 0]) / 4 * 12**0.5)


def test_standardise_equals_scipy_ranks_when_nothing_is_missing() -> None:
    features, dates = random_rows()
    features = np.nan_to_num(features)

    found = cross_section.standardise_by_date(features, dates)

    for day in np.unique(dates):
        ranks = stats.rankdata(features[dates == day], axis=0)
        np.testing.assert_allclose(found[dates == day], (ranks - 15.5) / 30 * 12**0.5)
    np.testing.assert_allclose(found.std(axis=0), 1.0, atol=0.03)


def test_standardise_has_no_missing_value_when_a_date_has_none_present() -> None:
    features = np.array([[np.nan, 1.0], [np.nan, 2.0]])

    found = cross_section.standardise_by_date(features, ["2026-01-05"] * 2)

    assert found[:, 0].tolist() == [0.0, 0.0]
    assert found[:, 1].tolist() == pytest.approx([-(12**0.5) / 4, 12**0.5 / 4])


def test_standardise_keeps_other_rows_when_a_bar_is_wrong_by_a_hundred() -> None:
    features, dates = random_rows()
    largest = np.nanargmax(np.where(dates == dates[0], features[:, 0], np.nan))
    wrong = features.copy()
    wrong[largest, 0] *= 100

    found = cross_section.standardise_by_date(wrong, dates)

    np.testing.assert_array_equal(found, cross_section.standardise_by_date(features, dates))


@pytest.mark.parametrize("name", ["standardise_by_date", "excess_by_date"])
def test_past_rows_keep_their_bytes_when_future_rows_are_appended(name: str) -> None:
    features, dates = random_rows()
    function = getattr(cross_section, name)
    past = dates < np.datetime64("2026-01-08")

    whole = function(features[:, 0], dates)
    before = function(features[past, 0], dates[past])

    assert whole[past].tobytes() == before.tobytes()


def test_excess_has_mean_zero_on_each_date() -> None:
    features, dates = random_rows()

    found = cross_section.excess_by_date(features[:, 0], dates)

    for day in np.unique(dates):
        assert np.nanmean(found[dates == day]) == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(features[:, 0]))


def test_standardise_refuses_an_infinite_value() -> None:
    with pytest.raises(base.MissingValues, match=r"1 of 2 values are infinite. Set them to NaN"):
        cross_section.standardise_by_date(np.array([1.0, np.inf]), ["2026-01-05"] * 2)


def test_standardise_refuses_another_number_of_dates() -> None:
    with pytest.raises(base.ColumnMismatch, match=r"shape \(2,\) .* shape \(3,\)\. Pass one date per row"):
        cross_section.standardise_by_date(np.array([1.0, 2.0]), ["2026-01-05"] * 3)
