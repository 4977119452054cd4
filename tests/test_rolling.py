"""Rolling statistics: pandas as a second opinion, holes in the data, and windows that know only themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest

from warehouse import rolling

VALUES = st.lists(
    st.one_of(st.floats(min_value=-1e3, max_value=1e3), st.sampled_from([np.nan, np.inf, 0.0])), min_size=1, max_size=60
)

# By name: a statistic of values, starts, window and a second series, with at least three values present.
STATISTICS: dict[str, Callable[..., np.ndarray]] = {
    "lag": lambda v, s, w, _: rolling.lag(v, s, w),
    "change": lambda v, s, w, _: rolling.change(v, s, w),
    "mean": lambda v, s, w, _: rolling.mean(v, s, w, min_count=3),
    "std": lambda v, s, w, _: rolling.std(v, s, w, min_count=3),
    "highest": lambda v, s, w, _: rolling.highest(v, s, w),
    "lowest": lambda v, s, w, _: rolling.lowest(v, s, w),
    "quantile": lambda v, s, w, _: rolling.quantile(v, s, w, 0.8, min_count=3),
    "trend slope": lambda v, s, w, _: rolling.trend(v, s, w, min_count=3)[0],
    "trend r squared": lambda v, s, w, _: rolling.trend(v, s, w, min_count=3)[1],
    "trend residual": lambda v, s, w, _: rolling.trend(v, s, w, min_count=3)[2],
    "slope": lambda v, s, w, other: rolling.slope(v, other, s, w, min_count=3),
    "correlation": lambda v, s, w, other: rolling.correlation(v, other, s, w, min_count=3),
}


@pytest.fixture
def series() -> np.ndarray:
    """Two hundred values, one in ten missing."""
    rng = np.random.default_rng(7)
    values = 5.0 + np.cumsum(rng.normal(size=200))
    values[rng.random(200) < 0.1] = np.nan
    return values


def of_one(n: int) -> np.ndarray:
    return np.array([0, n], dtype=np.int64)


def by_numpy(values: np.ndarray, window: int, statistic: Callable[[np.ndarray], float], min_count: int) -> np.ndarray:
    """A statistic of what is present in each window, written as a loop."""
    out = np.full(len(values), np.nan)
    for i in range(len(values)):
        present = values[max(i - window + 1, 0) : i + 1]
        if np.isfinite(present).sum() >= min_count:
            out[i] = statistic(present)
    return out


@pytest.mark.parametrize("window", [2, 5, 20, 300])
def test_mean_std_extremes_and_quantile_equal_pandas(series: np.ndarray, window: int) -> None:
    starts, by_pandas = of_one(len(series)), pd.Series(series).rolling(window, min_periods=2)

    np.testing.assert_allclose(rolling.mean(series, starts, window, min_count=2), by_pandas.mean(), rtol=1e-10)
    np.testing.assert_allclose(rolling.std(series, starts, window, min_count=2), by_pandas.std(), rtol=1e-8)
    np.testing.assert_allclose(
        rolling.quantile(series, starts, window, 0.8, min_count=2), by_pandas.quantile(0.8), rtol=1e-12
    )
    by_pandas = pd.Series(series).rolling(window, min_periods=1)
    np.testing.assert_array_equal(rolling.highest(series, starts, window), by_pandas.max())
    np.testing.assert_array_equal(rolling.lowest(series, starts, window), by_pandas.min())


def test_slope_and_correlation_equal_numpy_over_pairs(series: np.ndarray) -> None:
    other = np.random.default_rng(8).normal(size=len(series)) + series / 3
    other[[3, 50, 51]] = np.nan
    pairs = np.where(np.isfinite(other), series, np.nan) + 1j * np.where(np.isfinite(series), other, np.nan)
    starts = of_one(len(series))

    def slope(window: np.ndarray) -> float:
        kept = window[np.isfinite(window)]
        return float(np.polyfit(kept.real, kept.imag, 1)[0])

    def correlation(window: np.ndarray) -> float:
        kept = window[np.isfinite(window)]
        return float(np.corrcoef(kept.real, kept.imag)[0, 1])

    np.testing.assert_allclose(
        rolling.slope(other, series, starts, 20, min_count=4), by_numpy(pairs, 20, slope, 4), rtol=1e-8
    )
    np.testing.assert_allclose(
        rolling.correlation(series, other, starts, 20, min_count=4), by_numpy(pairs, 20, correlation, 4), rtol=1e-8
    )


def test_trend_equals_a_line_fitted_by_numpy(series: np.ndarray) -> None:
    def fit(window: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        steps, kept = np.arange(len(window)), np.isfinite(window)
        return steps, kept, np.polyfit(steps[kept], window[kept], 1)

    def r_squared(window: np.ndarray) -> float:
        steps, kept, _ = fit(window)
        return float(np.corrcoef(steps[kept], window[kept])[0, 1] ** 2)

    def residual(window: np.ndarray) -> float:
        steps, _, line = fit(window)
        return float(window[-1] - np.polyval(line, steps[-1]))

    slope, share, rest = rolling.trend(series, of_one(len(series)), 15, min_count=3)

    np.testing.assert_allclose(slope, by_numpy(series, 15, lambda w: fit(w)[2][0], 3), rtol=1e-7)
    np.testing.assert_allclose(share, by_numpy(series, 15, r_squared, 3), rtol=1e-7)
    np.testing.assert_allclose(rest, by_numpy(series, 15, residual, 3), rtol=1e-7, atol=1e-10)


def test_a_straight_line_has_its_slope_and_no_residual() -> None:
    slope, share, rest = rolling.trend(3.0 + 0.5 * np.arange(30), of_one(30), 10, min_count=2)

    np.testing.assert_allclose(slope[1:], 0.5, rtol=1e-12)
    np.testing.assert_allclose(share[1:], 1.0, rtol=1e-12)
    np.testing.assert_allclose(rest[1:], 0.0, atol=1e-12)


def test_what_does_not_vary_has_no_correlation_and_no_slope() -> None:
    flat, other = np.full(12, 4.0), np.arange(12.0)

    assert np.isnan(rolling.correlation(flat, other, of_one(12), 5, min_count=2)).all()
    assert np.isnan(rolling.slope(other, flat, of_one(12), 5, min_count=2)).all()
    assert np.isnan(rolling.trend(flat, of_one(12), 5, min_count=2)[1]).all()
    assert (rolling.std(flat, of_one(12), 5, min_count=5)[4:] == 0.0).all()


def test_infinities_count_as_missing() -> None:
    values = np.array([1.0, np.inf, 3.0, -np.inf, 5.0])

    np.testing.assert_array_equal(rolling.mean(values, of_one(5), 5, min_count=1), [1, 1, 2, 2, 3])
    np.testing.assert_array_equal(rolling.highest(values, of_one(5), 5), [1, 1, 3, 3, 5])
    np.testing.assert_array_equal(rolling.lowest(values, of_one(5), 2), [1, 1, 3, 3, 5])


def test_rows_of_a_matrix_are_series() -> None:
    matrix = np.arange(12.0).reshape(3, 4)

    means = rolling.mean(matrix, rolling.starts_of_rows(matrix.shape), 2, min_count=2)

    assert np.isnan(means[:, 0]).all()
    np.testing.assert_array_equal(means[:, 1:], matrix[:, 1:] - 0.5)


@pytest.mark.parametrize("name", STATISTICS)
@hypothesis.given(parts=st.lists(VALUES, min_size=1, max_size=4), window=st.integers(2, 70))
@hypothesis.settings(max_examples=25)
def test_a_series_is_the_same_to_the_bit_alone_and_among_others(
    name: str, parts: list[list[float]], window: int
) -> None:
    starts = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    other = np.sin(np.arange(starts[-1]))
    values = np.concatenate(parts).astype(float)

    together = STATISTICS[name](values, starts, window, other)

    alone = [STATISTICS[name](values[a:b], of_one(b - a), window, other[a:b]) for a, b in itertools.pairwise(starts)]
    np.testing.assert_array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("name", STATISTICS)
@hypothesis.given(values=VALUES, window=st.integers(2, 20))
@hypothesis.settings(max_examples=40)
def test_a_number_knows_its_window_alone(name: str, values: list[float], window: int) -> None:
    """The last number is the same to the bit when everything before its window is cut off."""
    whole, other = np.array(values, float), np.sin(np.arange(len(values)))
    cut = slice(-(window + 1) if name in ("lag", "change") else -window, None)

    full = STATISTICS[name](whole, of_one(len(whole)), window, other)

    short = STATISTICS[name](whole[cut], of_one(len(whole[cut])), window, other[cut])
    np.testing.assert_array_equal(short[-1], full[-1])
