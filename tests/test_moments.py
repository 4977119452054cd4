"""Compiled moments where they are easy to get wrong: nothing varies, regressors depend on each other, few values."""

from __future__ import annotations

import numpy as np
import pytest

from warehouse import moments


def test_values_that_do_not_vary_have_no_deviation_and_no_skewness() -> None:
    values = np.full((1, 12), 0.01)

    deviation, skewness, downside = (each[0, -1] for each in moments.spread(values, 10, min_count=5))

    assert (deviation, downside) == (0.0, 0.0)
    assert np.isnan(skewness)


def test_regressors_that_depend_on_each_other_give_nothing() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 0.01, 40)

    slopes, error = moments.regression(rng.normal(size=(2, 40)), np.stack([x, 2 * x]), 20, min_count=10)

    assert np.isnan(slopes).all() and np.isnan(error).all()


def test_exact_line_has_its_slopes_and_no_error() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 0.01, (3, 50))
    y = 0.001 + 1.5 * x[0] - 0.5 * x[1] + 0.25 * x[2]

    slopes, error = moments.regression(y[None], x, 20, min_count=10)

    np.testing.assert_allclose(slopes[:, 0, -1], [1.5, -0.5, 0.25], rtol=1e-9)
    assert error[0, -1] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("window", [1, 2, 20, 60, 63])
def test_sums_are_of_the_window_alone(window: int) -> None:
    """The mean square of what is below zero, against a plain loop; infinities count as missing."""
    values = np.random.default_rng(window).normal(size=(2, 70))
    values[0, 5], values[1, 60] = np.inf, np.nan

    downside = moments.spread(values, window, min_count=3)[2]

    for row in range(2):
        for at in range(70):
            seen = values[row, max(at - window + 1, 0) : at + 1]
            seen = seen[np.isfinite(seen)]
            expected = np.sqrt((np.minimum(seen, 0) ** 2).mean()) if len(seen) >= 3 else np.nan
            np.testing.assert_allclose(downside[row, at], expected, rtol=1e-12)


def test_a_window_has_the_same_bits_whatever_came_before_it() -> None:
    rng = np.random.default_rng(3)
    y, x = rng.normal(0, 0.02, (3, 200)), rng.normal(0, 0.01, (3, 200))

    whole, late = moments.regression(y, x, 60, min_count=30), moments.regression(y[:, 91:], x[:, 91:], 60, min_count=30)

    np.testing.assert_array_equal(whole[0][:, :, 150:], late[0][:, :, 59:])
    np.testing.assert_array_equal(whole[1][:, 150:], late[1][:, 59:])
