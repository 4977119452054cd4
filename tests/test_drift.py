"""The population stability index against its closed form, and what it makes of missing values and of ties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from models import base, drift


def index(before, now):
    edges = drift.bin_edges(before)
    return drift.population_stability(drift.shares(before, edges), drift.shares(now, edges))


def test_same_rows_have_not_moved_whatever_their_order():
    rows = np.random.default_rng(1).normal(size=(500, 3))

    np.testing.assert_allclose(index(rows, rows[::-1]), 0.0, atol=1e-15)


def test_index_is_the_symmetric_divergence_of_the_shares():
    rng = np.random.default_rng(2)
    before, now = rng.normal(size=(4000, 1)), rng.normal(0.5, 1.2, size=(3000, 1))
    edges = np.quantile(before, np.arange(1, 10) / 10)
    e, a = (np.histogram(rows, np.r_[-np.inf, edges, np.inf])[0] / len(rows) for rows in (before, now))

    np.testing.assert_allclose(index(before, now), stats.entropy(a, e) + stats.entropy(e, a), rtol=1e-9)


def test_column_that_goes_empty_drifts_by_what_is_missing():
    """A tenth of the rows missing before, six tenths now; the present ones are as they were."""
    before, now = np.arange(100.0)[:, None].copy(), np.arange(100.0)[:, None].copy()
    before[::10], now[np.arange(100) % 10 < 6] = np.nan, np.nan
    edges = drift.bin_edges(before)

    shares = drift.shares(now, edges)[0]

    assert shares[-1] == pytest.approx(0.6) and shares.sum() == pytest.approx(1.0)
    assert index(before, now)[0] > (0.6 - 0.1) * np.log(0.6 / 0.1)


def test_column_of_one_value_and_column_without_a_value_have_an_index():
    before = np.column_stack([np.ones(50), np.full(50, np.nan)])
    now = np.column_stack([np.full(50, 2.0), np.full(50, np.nan)])

    same, other = index(before, before), index(before, now)

    assert same.tolist() == [0.0, 0.0] and other[1] == 0.0


@pytest.mark.parametrize("values", [np.ones(3), np.array([[np.inf]])])
def test_what_is_no_table_of_numbers_is_refused(values):
    with pytest.raises(base.ModelError):
        drift.bin_edges(values)


def test_rows_of_other_columns_are_refused():
    edges = drift.bin_edges(np.ones((3, 2)))

    with pytest.raises(base.ColumnMismatch, match="for 2 columns"):
        drift.shares(np.ones((3, 1)), edges)
