"""Conformal intervals against ranks written out by hand, and against the coverage they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models import base, intervals


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
