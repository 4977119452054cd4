"""Conformal intervals against ranks written out by hand, and against the coverage they promise."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import models
from models import base, cross_section, evaluation, intervals


@pytest.mark.parametrize(("n_rows", "level", "rank"), [(9, 0.9, 9), (109, 0.9, 99), (19, 0.9, 18), (20, 0.9, 19)])
def test_conformal_radius_is_the_residual_of_the_finite_sample_rank(n_rows: int, level: float, rank: int) -> None:
    sizes = np.arange(1.0, n_rows + 1)
    signs = np.where(np.arange(n_rows) % 2, 1.0, -1.0)

    assert intervals.conformal_radius(sizes * signs, level) == rank


def test_conformal_radius_is_infinite_when_residuals_are_too_few() -> None:
    assert intervals.conformal_radius(np.ones(8), 0.9) == math.inf


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_conformal_radius_covers_exactly_as_promised_when_residuals_are_exchangeable(level: float) -> None:
    """19 residuals: the chance that a twentieth is within rank r is r / 20; fat tails and skew do not matter."""
    samples = np.random.default_rng(0).standard_t(2, (20_000, 20)) ** 3

    radii = np.array([intervals.conformal_radius(sample[:19], level) for sample in samples])

    # 0.5 needs rank 10 and 0.9 rank 18, so both are met exactly; four standard errors are 4 sqrt(p (1 - p) / 20,000).
    assert np.mean(np.abs(samples[:, 19]) <= radii) == pytest.approx(
        level, abs=4 * math.sqrt(level * (1 - level) / 20_000)
    )


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0])
def test_conformal_radius_refuses_a_level_that_is_no_probability(level: float) -> None:
    with pytest.raises(base.ModelError, match="between 0 and 1"):
        intervals.conformal_radius(np.ones(100), level)


def test_interval_coverage_counts_both_ends() -> None:
    assert intervals.interval_coverage(np.zeros(4), np.array([-1.0, 1.0, 1.5, 0.0]), 1.0) == 0.75


def test_adaptive_radii_use_errors_known_at_the_time_only() -> None:
    """Session 10 may know outcomes of session 5 and before: whatever comes later, its radius is the same."""
    rng = np.random.default_rng(0)
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(30), 40)
    residuals = rng.standard_normal(1200)
    poisoned = np.where(dates > dates[0] + 5, 1e6 * residuals, residuals)

    found, expected = (
        intervals.adaptive_intervals(one, dates, level=0.9, horizon=5).radius for one in (poisoned, residuals)
    )

    known = dates <= dates[0] + 10
    assert found[known].tobytes() == expected[known].tobytes()
    assert np.isnan(found[:200]).all() and np.isfinite(found[200:400]).all()
    assert (found[dates > dates[0] + 20] != expected[dates > dates[0] + 20]).all()


def test_adaptive_intervals_come_back_to_their_promise_when_volatility_trebles() -> None:
    """A fixed radius covers 90 % of calm errors and 41.7 % of errors three times as large; the adaptive one follows."""
    rng = np.random.default_rng(1)
    dates = np.repeat(np.datetime64("2024-01-01") + np.arange(500), 100)
    residuals = rng.standard_normal(50_000) * np.where(dates < dates[0] + 250, 1.0, 3.0)
    later = dates >= dates[0] + 300

    adaptive = intervals.adaptive_intervals(residuals, dates, level=0.9, horizon=5).radius
    fixed = intervals.conformal_radius(residuals[dates < dates[0] + 250], 0.9)

    assert np.mean(np.abs(residuals[later]) <= fixed) == pytest.approx(0.417, abs=0.02)
    assert np.mean(np.abs(residuals[later]) <= adaptive[later]) == pytest.approx(0.9, abs=0.02)


def test_adaptive_intervals_cover_what_moves_together_on_a_day() -> None:
    """Days of one common shock: no quantile of the pool is right on any one day, and the promise holds over time."""
    rng = np.random.default_rng(2)
    dates = np.repeat(np.datetime64("2024-01-01") + np.arange(400), 50)
    residuals = rng.standard_normal(20_000) * np.repeat(np.exp(0.8 * rng.standard_normal(400)), 50)

    found = intervals.adaptive_intervals(residuals, dates, level=0.9, horizon=5)

    assert found.coverage == pytest.approx(0.9, abs=0.03)


def test_state_gives_the_radius_of_the_next_session_and_widens_after_misses() -> None:
    """Errors 1 to 100: at a tenth of misses the radius is 90; half of a session missed moves the aim by 0.02 x 0.4."""
    state = intervals.IntervalState(0.9, 0.1, np.linspace(0.0, 100.0, 101))

    assert state.radius() == 90.0
    assert state.after(0.5).miss_rate == pytest.approx(0.1 - 0.02 * 0.4)
    assert state.after(0.5).radius() == 91.0
    assert state.after(0.0).miss_rate == pytest.approx(0.102)
    assert intervals.IntervalState(0.9, 0.0, np.ones(3)).radius() == math.inf


def test_state_after_the_last_session_continues_the_radii() -> None:
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(80), 200)
    residuals = np.random.default_rng(3).standard_normal(16_000)

    found = intervals.adaptive_intervals(residuals, dates, level=0.9, horizon=5)

    assert found.state.radius() == pytest.approx(float(found.radius[-1]), rel=0.03)


def test_adaptive_intervals_refuse_dates_that_do_not_fit() -> None:
    with pytest.raises(base.ColumnMismatch, match=r"residuals of shape \(3,\) came with dates of shape \(2,\)"):
        intervals.adaptive_intervals(np.ones(3), np.zeros(2, "datetime64[D]"), level=0.9, horizon=1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["ridge", "boosting"])
def test_adaptive_intervals_cover_nine_of_ten_real_returns(name: str, vendor_data: Path) -> None:
    """CSI 300, 2020 to 2025: five-session excess returns, walk-forward in five folds, by year and over all."""
    bars = pd.read_parquet(next((vendor_data / "ashare").glob("daily_csi300_*.parquet")))
    factors = pd.read_parquet(next((vendor_data / "ashare").glob("adj_factor_*.parquet")))
    rows = bars.merge(factors, on=["ts_code", "trade_date"])
    rows["price"] = np.log(rows["close"] * rows["adj_factor"])
    price = rows.pivot(index="trade_date", columns="ts_code", values="price")
    daily = price.diff()
    tables = [-price.diff(5), price.diff(60), daily.rolling(20).std(), price.diff(20)]
    ahead = (price.shift(-5) - price).sub((price.shift(-5) - price).mean(axis=1), axis=0)
    stacked = np.column_stack([table.to_numpy().ravel() for table in (*tables, ahead)])
    dates = np.repeat(pd.to_datetime(price.index).to_numpy().astype("datetime64[D]"), price.shape[1])
    whole = np.isfinite(stacked).all(axis=1)
    features = cross_section.standardise_by_date(stacked[whole, :-1], dates[whole])
    target, days = stacked[whole, -1], dates[whole]
    folds = evaluation.walk_forward_folds(days, n_folds=5, test_sessions=190, min_train_sessions=100, embargo=5)

    tested = evaluation.walk_forward(lambda: models.make(name, horizon=5), features, target, days, folds)
    tested_days = days[tested.rows]
    residual = tested.realised - tested.predicted
    found = intervals.adaptive_intervals(residual, tested_days, level=0.9, horizon=5)

    inside = np.abs(residual) <= found.radius
    years = tested_days.astype("datetime64[Y]").astype(int) + 1970
    by_year = {int(year): float(inside[(years == year) & ~np.isnan(found.radius)].mean()) for year in np.unique(years)}
    print(f"{name}: coverage {found.coverage:.4f}, by year {by_year}")
    assert 0.87 <= found.coverage <= 0.93
    assert all(0.85 <= share <= 0.95 for share in by_year.values())
