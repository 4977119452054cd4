"""Standing within a day against hand arithmetic and scipy, and what later days may change: nothing."""

from __future__ import annotations

from typing import Any

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


def test_winsorising_clips_at_five_deviations_from_the_median_of_the_date() -> None:
    features, dates = random_rows()
    features[:4, 0] = [1e6, -1e6, np.nan, 50.0]

    found = cross_section.winsorise_by_date(features, dates)

    for day in np.unique(dates):
        of_day = features[dates == day]
        centre = np.nanmedian(of_day, axis=0)
        reach = 5 * 1.4826 * stats.median_abs_deviation(of_day, axis=0, nan_policy="omit")
        np.testing.assert_allclose(found[dates == day], np.clip(of_day, centre - reach, centre + reach))
    assert np.nanmax(np.abs(found)) < 20
    np.testing.assert_array_equal(np.isnan(found), np.isnan(features))


def test_winsorising_changes_nothing_where_most_values_are_equal() -> None:
    features = np.array([1.0, 1.0, 1.0, 1.0, 9.0])

    assert cross_section.winsorise_by_date(features, ["2026-01-05"] * 5).tolist() == features.tolist()


def test_winsorising_before_ranks_only_makes_the_outermost_equal() -> None:
    """Why ranks go without it: it takes the order of the outermost, and adds nothing."""
    features = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 60.0, 90.0])
    dates = ["2026-01-05"] * 7

    ranks = cross_section.standardise_by_date(cross_section.winsorise_by_date(features, dates), dates)

    assert ranks[:5].tolist() == cross_section.standardise_by_date(features, dates)[:5].tolist()
    assert ranks[5] == ranks[6]


def test_zscores_equal_scipy_and_missing_ones_are_the_middle() -> None:
    features, dates = random_rows()

    found = cross_section.zscore_by_date(features, dates)

    for day in np.unique(dates):
        expected = stats.zscore(features[dates == day], axis=0, ddof=1, nan_policy="omit")
        np.testing.assert_allclose(found[dates == day], np.nan_to_num(expected), atol=1e-12)


def test_zscore_of_values_that_do_not_vary_is_the_middle() -> None:
    features = np.array([[0.1, np.nan], [0.1, 7.0], [0.1, np.nan]])

    assert cross_section.zscore_by_date(features, ["2026-01-05"] * 3).tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("has_size", [True, False])
def test_neutral_is_the_residual_of_least_squares_on_industries_and_size(has_size: bool) -> None:
    features, dates = random_rows()
    rng = np.random.default_rng(6)
    industries = rng.choice(["bank", "steel", "", "rail"], len(dates))
    size = rng.normal(20.0, 1.0, len(dates)) if has_size else None
    features[:, 1] += 3.0 * (industries == "bank") + (0.7 * size if size is not None else 0.0)

    found = cross_section.neutralise_by_date(features, dates, industries, size)

    for day in np.unique(dates):
        for column in range(features.shape[1]):
            here = (dates == day) & np.isfinite(features[:, column])
            dummies = (industries[here][:, None] == np.unique(industries[here])).astype(float)
            design = np.column_stack([dummies, size[here]]) if size is not None else dummies
            y = features[here, column]
            expected = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
            np.testing.assert_allclose(found[here, column], expected, atol=1e-10)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(features))


def test_row_without_a_size_loses_its_industry_only_and_moves_no_slope() -> None:
    feature = np.array([1.0, 2.0, 3.0, 10.0, 12.0])
    size = np.array([1.0, 2.0, 3.0, np.nan, np.nan])
    industries = ["a", "a", "a", "b", "b"]

    found = cross_section.neutralise_by_date(feature, ["2026-01-05"] * 5, industries, size)

    np.testing.assert_allclose(found, [0.0, 0.0, 0.0, -1.0, 1.0], atol=1e-12)


@pytest.mark.parametrize(
    "work",
    [
        lambda features, dates: cross_section.winsorise_by_date(features, dates),
        lambda features, dates: cross_section.zscore_by_date(features, dates),
        lambda features, dates: cross_section.neutralise_by_date(
            features, dates, np.arange(len(dates)) % 3, features[:, 1]
        ),
    ],
    ids=["winsorised", "z-score", "neutral"],
)
def test_past_rows_keep_their_bytes_on_every_scale_when_future_rows_are_appended(work: Any) -> None:
    features, dates = random_rows()
    order = np.argsort(dates, kind="stable")
    features, dates = features[order], dates[order]
    past = dates < np.datetime64("2026-01-08")
    n_past = int(past.sum())

    assert work(features, dates)[:n_past].tobytes() == work(features[past], dates[past]).tobytes()


def test_neutral_refuses_another_number_of_industries() -> None:
    with pytest.raises(base.ColumnMismatch, match=r"2 rows came with industries.*shapes \[\(1,\)\]"):
        cross_section.neutralise_by_date(np.array([1.0, 2.0]), ["2026-01-05"] * 2, ["a"])
