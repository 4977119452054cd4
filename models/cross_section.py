"""Where does a security stand among the others of its day?

Invariant: a row is measured against the rows of its own date only, so later dates change no earlier row.
Partner: `models/regression.py` and `models/mlp.py`, which read what this returns.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from models import base
from models.base import Floats

# Standard deviation of a uniform variable on [0, 1] is 1 / sqrt(12).
UNIFORM_TO_UNIT_SCALE = math.sqrt(12.0)
# 1 / the upper quartile of a standard normal variable.
TO_NORMAL_DEVIATION = 1.4826
# What is this much smaller than the values it was made from is their rounding.
NO_VARIATION = 1e-10


def standardise_by_date(features: Floats, dates: npt.ArrayLike) -> Floats:
    """Each value's rank among its date's, as a number with mean 0 and a standard deviation of about 1.

    Ranks, and not z-scores: a bar that is wrong by a factor of a hundred, or a feature with fat tails, moves its own
    row to the end of the scale and no other row at all. The scale is (rank - (n + 1) / 2) / n * sqrt(12), from
    -sqrt(3) to sqrt(3); equal values share their mean rank.

    Args:
        features: (n_rows, n_features) or (n_rows,) float64, NaN where missing.
        dates: (n_rows,) the date of each row, in any order.

    Returns:
        Same shape, no NaN: a missing value takes the middle of its date, 0, and does not count among its peers.

    Raises:
        MissingValues: a value is infinite; set it to NaN upstream.
        ColumnMismatch: another number of dates than rows; pass one date per row.

    Source:
        Gu, Kelly and Xiu (2020), Review of Financial Studies 33(5), section 2.1, who rank into [-1, 1].

    Example:
        >>> standardise_by_date(np.array([30.0, 10.0, np.nan, 20.0]), ["2026-11-20"] * 4).round(3).tolist()
        [1.155, -1.155, 0.0, 0.0]
    """
    table, days = _checked(features, dates)
    if not table.size:
        return table.copy()
    rows = table.reshape(len(table), -1)
    day = np.unique(days, return_inverse=True)[1]
    scaled = np.zeros(rows.shape)
    # A column at a time, so that memory is that of the table and its result.
    for at, column in enumerate(rows.T):
        ranks = pd.Series(column).groupby(day).rank(method="average").to_numpy(dtype=np.float64)
        is_present = np.isfinite(ranks)
        counts = np.bincount(day, is_present)[day][is_present]
        scaled[is_present, at] = (ranks[is_present] - (counts + 1.0) / 2.0) / counts * UNIFORM_TO_UNIT_SCALE
    return scaled.reshape(table.shape)


def winsorise_by_date(features: Floats, dates: npt.ArrayLike, *, n_deviations: float = 5.0) -> Floats:
    """Each value brought to within some robust deviations of its date's median.

    Needed where values themselves count, as in z-scores and least squares; ranks have no use for it, as it only makes
    the outermost equal.

    Args:
        features: (n_rows, n_features) or (n_rows,) float64, NaN where missing.
        dates: (n_rows,) the date of each row, in any order.
        n_deviations: deviations allowed, each 1.4826 times the median of |value - median|, which for a normal variable
            is its standard deviation. Where that median is 0, more than half of the values are equal and nothing is
            changed.

    Returns:
        Same shape and unit; NaN where it was NaN.

    Raises:
        MissingValues: a value is infinite; set it to NaN upstream.
        ColumnMismatch: another number of dates than rows; pass one date per row.

    Source:
        Leys and others (2013), Journal of Experimental Social Psychology 49(4), for the rule and the constant; five
        deviations, as returns have fat tails.

    Example:
        >>> winsorise_by_date(np.array([1.0, 2.0, 3.0, 4.0, 100.0]), ["2026-11-20"] * 5).tolist()
        [1.0, 2.0, 3.0, 4.0, 10.413]
    """
    table, days = _checked(features, dates)
    if not table.size:
        return table.copy()
    columns = pd.DataFrame(table.reshape(len(table), -1))
    group = np.unique(days, return_inverse=True)[1]
    centre = columns.groupby(group).transform("median").to_numpy(dtype=np.float64)
    off = (columns - centre).abs()
    reach = n_deviations * TO_NORMAL_DEVIATION * off.groupby(group).transform("median").to_numpy(dtype=np.float64)
    reach[reach == 0.0] = np.inf
    return np.clip(columns.to_numpy(), centre - reach, centre + reach).reshape(table.shape)


def zscore_by_date(features: Floats, dates: npt.ArrayLike) -> Floats:
    """Each value less the mean of its date, over the standard deviation of its date.

    Args:
        features: (n_rows, n_features) or (n_rows,) float64, NaN where missing; winsorise before.
        dates: (n_rows,) the date of each row, in any order.

    Returns:
        Same shape, no NaN: a missing value takes the middle of its date, 0, as does every value of a date that has
        fewer than two different ones.

    Raises:
        MissingValues: a value is infinite; set it to NaN upstream.
        ColumnMismatch: another number of dates than rows; pass one date per row.

    Example:
        >>> zscore_by_date(np.array([1.0, 2.0, 3.0, np.nan]), ["2026-11-20"] * 4).tolist()
        [-1.0, 0.0, 1.0, 0.0]
    """
    table, days = _checked(features, dates)
    rows = table.reshape(len(table), -1)
    group = np.unique(days, return_inverse=True)[1]
    centred = rows - _group_means(rows, group)
    is_known = np.isfinite(centred)
    count = _group_sums(is_known.astype(np.float64), group)
    squares = _group_sums(np.where(is_known, centred, 0.0) ** 2, group)
    scale = np.sqrt(squares / np.maximum(count - 1.0, 1.0))
    varies = is_known & (scale > NO_VARIATION * np.abs(rows))
    return np.where(varies, centred / np.where(varies, scale, 1.0), 0.0).reshape(table.shape)


def neutralise_by_date(
    features: Floats, dates: npt.ArrayLike, industries: npt.ArrayLike, size: Floats | None = None
) -> Floats:
    """What of each value its industry and its size do not tell: the residual of a regression on each date.

    Least squares on a dummy for each industry and on size, done in two steps that give the same (Frisch and Waugh
    1933, Econometrica 1(4)): values and size less the mean of their date and industry, then one slope a date.

    Args:
        features: (n_rows, n_features) or (n_rows,) float64, NaN where missing; winsorise before.
        dates: (n_rows,) the date of each row, in any order.
        industries: (n_rows,) names; a missing one is "", and an industry of its own.
        size: (n_rows,) such as ln of market value; NaN where missing, which takes out of such a row its industry only.
            None for industries alone.

    Returns:
        Same shape and unit; NaN where it was NaN. Exactly 0 where nothing is left but rounding.

    Raises:
        MissingValues: a value is infinite; set it to NaN upstream.
        ColumnMismatch: another number of dates, industries or sizes than rows.
    """
    table, days = _checked(features, dates)
    names = np.asarray(industries).astype(str)
    sizes = None if size is None else np.asarray(size, dtype=np.float64)
    shapes = [names.shape] if sizes is None else [names.shape, sizes.shape]
    if any(shape != days.shape for shape in shapes):
        raise base.ColumnMismatch(
            f"{len(table)} rows came with industries, and sizes if any, of shapes {shapes}. Pass one of each per row."
        )
    rows = table.reshape(len(table), -1)
    day = np.unique(days, return_inverse=True)[1]
    industry = np.unique(names, return_inverse=True)[1]
    cell = np.unique(day * (industry.max(initial=0) + 1) + industry, return_inverse=True)[1]
    left = rows - _group_means(rows, cell)
    if sizes is not None:
        of_size = np.where(np.isfinite(left) & np.isfinite(sizes)[:, None], sizes[:, None], np.nan)
        # Less the mean of the rows that have the feature, as the regression of that feature sees them.
        beside = np.nan_to_num(of_size - _group_means(of_size, cell))
        # A row without a size has none of the slope, so it may not enter it either.
        cross = _group_sums(beside * np.nan_to_num(left), day)
        squares = _group_sums(beside**2, day)
        left = left - beside * np.where(squares > 0, cross / np.where(squares > 0, squares, 1.0), 0.0)
    left[np.abs(left) <= NO_VARIATION * np.abs(rows)] = 0.0
    return left.reshape(table.shape)


def excess_by_date(target: Floats, dates: npt.ArrayLike) -> Floats:
    """Each value less the mean of its date: what a security earned beyond the market.

    Args:
        target: (n_rows,) float64, NaN where missing.
        dates: (n_rows,) the date of each row, in any order.

    Returns:
        (n_rows,) in the unit of the target; NaN where it was NaN, which does not count in the mean.

    Raises:
        MissingValues: a value is infinite; set it to NaN upstream.
        ColumnMismatch: another number of dates than rows, or a matrix; pass one target and one date per row.

    Example:
        >>> excess_by_date(np.array([0.25, 0.75, 0.125]), ["2026-11-19", "2026-11-19", "2026-11-20"]).tolist()
        [-0.25, 0.25, 0.0]
    """
    values, days = _checked(target, dates)
    if values.ndim != 1:
        raise base.ColumnMismatch(f"excess_by_date got a target of shape {values.shape}. Pass one value per row.")
    group = np.unique(days, return_inverse=True)[1]
    is_known = np.isfinite(values)
    sums = np.bincount(group, np.where(is_known, values, 0.0))
    counts = np.bincount(group, is_known)
    excess: Floats = values - (sums / np.maximum(counts, 1.0))[group]
    return excess


def _group_sums(values: Floats, group: npt.NDArray[np.intp]) -> Floats:
    """The sum of each row's group, by column, added in the order of the rows."""
    sums = np.zeros((group.max(initial=-1) + 1, values.shape[1]))
    for at, column in enumerate(values.T):
        sums[:, at] = np.bincount(group, column)
    return sums[group]


def _group_means(values: Floats, group: npt.NDArray[np.intp]) -> Floats:
    """The mean of what is known of each row's group, by column; NaN where nothing is."""
    is_known = np.isfinite(values)
    count = _group_sums(is_known.astype(np.float64), group)
    total = _group_sums(np.where(is_known, values, 0.0), group)
    means: Floats = np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
    return means


def _checked(values: Floats, dates: npt.ArrayLike) -> tuple[Floats, base.Dates]:
    table = np.asarray(values, dtype=np.float64)
    days = np.asarray(dates).astype("datetime64[D]")
    if table.ndim not in (1, 2) or days.shape != table.shape[:1]:
        raise base.ColumnMismatch(
            f"values of shape {table.shape} came with dates of shape {days.shape}. Pass one date per row."
        )
    if np.isinf(table).any():
        raise base.MissingValues(f"{int(np.isinf(table).sum())} of {table.size} values are infinite. Set them to NaN.")
    return table, days
