"""How far is a distribution from what it used to be, as a size and not as a question of chance?

With thousands of rows a day a test finds every difference significant; the population stability index says how large it
is. Missing values are a class of their own, so that a column that goes empty drifts. Partner: `flows/model_watch.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models import base

Floats = npt.NDArray[np.float64]

N_BINS = 10
# A class without a row would make the index infinite; half a row in ten thousand is as good as none.
LEAST_SHARE = 0.5e-4


def bin_edges(values: Floats, n_bins: int = N_BINS) -> list[Floats]:
    """The inner edges of classes of about equal size, for each column.

    Args:
        values: (n_rows, n_columns) float64, NaN where missing.
        n_bins: classes wanted; fewer where values repeat.

    Returns:
        n_columns ascending arrays of at most n_bins - 1 edges; none for a column without a value.

    Raises:
        ModelError: not a table, or an infinite value; set it to NaN.
    """
    table = _checked(values)
    wanted = np.arange(1, n_bins) / n_bins
    present = [column[~np.isnan(column)] for column in table.T]
    return [np.unique(np.quantile(column, wanted)) if len(column) else np.empty(0) for column in present]


def shares(values: Floats, edges: list[Floats]) -> list[Floats]:
    """The share of a column's rows in each class, the missing last.

    Args:
        values: (n_rows, n_columns) float64, NaN where missing, with at least one row.
        edges: of `bin_edges`, a column each.

    Returns:
        n_columns arrays of len(edges) + 2 shares that sum to 1; a value on an edge belongs to the class above it.

    Raises:
        ModelError: other columns than edges, no row, or an infinite value.
    """
    table = _checked(values)
    if table.shape[1] != len(edges) or not len(table):
        raise base.ColumnMismatch(f"rows of shape {table.shape} for {len(edges)} columns. Pass rows of those columns.")
    found = []
    for column, inner in zip(table.T, edges, strict=True):
        is_missing = np.isnan(column)
        counts = np.bincount(np.searchsorted(inner, column[~is_missing], side="right"), minlength=len(inner) + 1)
        found.append(np.r_[counts, is_missing.sum()] / len(column))
    return found


def population_stability(expected: list[Floats], actual: list[Floats]) -> Floats:
    """The population stability index of each column: the sum over classes of (a - e) ln(a / e).

    Args:
        expected, actual: of `shares`, with the same edges.

    Returns:
        (n_columns,) at least 0; below 0.1 is usually called small, above 0.25 large.

    Source:
        Siddiqi (2006), Credit Risk Scorecards, chapter 8; it is the symmetric Kullback-Leibler divergence of
        Jeffreys (1946).
    """
    pairs = [(np.maximum(e, LEAST_SHARE), np.maximum(a, LEAST_SHARE)) for e, a in zip(expected, actual, strict=True)]
    return np.array([float(((a - e) * np.log(a / e)).sum()) for e, a in pairs])


def _checked(values: Floats) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise base.ColumnMismatch(f"values have shape {table.shape}. Pass a table of rows and columns.")
    if np.isinf(table).any():
        raise base.MissingValues(f"{int(np.isinf(table).sum())} of {table.size} values are infinite. Set them to NaN.")
    return table
