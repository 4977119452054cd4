"""How unusual is a value among its peers of the day, and a day against what the factors allow?

Invariant: a higher score is more abnormal (for `robust_z`, in absolute value), and a row is measured by its own date
and the fitted state alone, so later dates change no earlier score. A row that cannot be measured scores NaN.
Partner: `models/pca.py`, whose fitted factors say what is usual.
"""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from models import base
from models.pca import FactorPCA

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

# 1 / (normal quantile at 0.75): makes the median absolute deviation estimate a normal's standard deviation.
MAD_TO_SIGMA = 1.4826

# sqrt(pi / 2): does the same for the mean absolute deviation.
MEAN_DEVIATION_TO_SIGMA = 1.2533


def robust_z(values: Floats, dates: npt.ArrayLike) -> Floats:
    """Each value's distance from the median of its date, in robust standard deviations.

    The scale is 1.4826 times the median absolute deviation. Where that is zero, because more than half of the values of
    the date are equal, it is 1.2533 times their mean absolute deviation; where that is zero too, every distance is.

    Args:
        values: (n_rows,) or (n_rows, n_features) float64, NaN where missing; each feature on its own.
        dates: (n_rows,) the date of each row, in any order.

    Returns:
        Same shape, signed, in standard deviations; NaN where the value is missing. Missing values do not count among
        their date's peers.

    Raises:
        ModelError: an infinite value, or another number of dates than rows; set it to NaN, or pass one date per row.

    Source:
        Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers, chapter 3, who advise 3.5 as threshold.

    Example:
        >>> robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0]), ["2026-11-20"] * 5).round(2).tolist()
        [-1.35, -0.67, 0.0, 0.67, 65.43]
    """
    table = np.asarray(values, dtype=np.float64)
    days = np.asarray(dates)
    if table.ndim not in (1, 2) or days.shape != table.shape[:1]:
        raise base.ModelError(f"values of shape {table.shape} with dates of shape {days.shape}. Pass one date per row.")
    if np.isinf(table).any():
        raise base.ModelError(f"{int(np.isinf(table).sum())} infinite values among {table.size}. Set them to NaN.")
    group = np.unique(days, return_inverse=True)[1]
    if table.ndim == 1:
        return _robust_z(table, group)
    return np.column_stack([_robust_z(column, group) for column in table.T]) if table.shape[1] else table.copy()


def robust_scale(median_distance: Floats, mean_distance: Floats) -> Floats:
    """A normal's standard deviation, from how far values lie from their median.

    Args:
        median_distance: any shape, the median absolute distance.
        mean_distance: same shape, the mean absolute distance; taken where the median is zero, because more than half of
            the values are equal.

    Returns:
        Same shape; 1 where both are zero, or where none can be told.
    """
    scale = np.where(median_distance > 0, MAD_TO_SIGMA * median_distance, MEAN_DEVIATION_TO_SIGMA * mean_distance)
    positive: Floats = np.where(scale > 0, scale, 1.0)
    return positive


def pca_residuals(pca: FactorPCA, panel: Floats) -> Floats:
    """What the factors leave over of each value: which names moved on their own.

    Args:
        pca: fitted factors.
        panel: (n_dates, n_names) float64 with the fitted columns in the fitted order, NaN where missing.

    Returns:
        (n_dates, n_names), in standard deviations of the name; NaN where the value is missing or the row's present
        values do not determine its factor scores.

    Raises:
        ModelError: factors not fitted, or other columns; see `FactorPCA.score`.
    """
    return _residuals(pca, panel, pca.score(panel))


def pca_residual_score(pca: FactorPCA, panel: Floats) -> tuple[Floats, Floats]:
    """How far each row lies off the factors' plane (Q), and how far out in it (T2).

    A high Q is a day whose names did not move together as they used to; a high T2 is a usual pattern of unusual size.

    Args:
        pca: fitted factors.
        panel: (n_dates, n_names) float64 with the fitted columns in the fitted order, NaN where missing.

    Returns:
        q: (n_dates,) sum of squared residuals, in variances of a name. Over the present names only, scaled up by
            n_names / n_present, so that rows with holes compare with full ones.
        t2: (n_dates,) sum of squared factor scores, each over its eigenvalue; about n_factors on a usual day.
        Both are NaN where the row's present values do not determine its factor scores.

    Raises:
        ModelError: factors not fitted, or other columns; see `FactorPCA.score`.

    Source:
        Jackson and Mudholkar (1979), Technometrics 21(3), for Q; Hotelling (1931) for T2.
    """
    scores = pca.score(panel)
    residuals = _residuals(pca, panel, scores)
    is_unmeasured = np.isnan(scores).any(axis=1) | np.isnan(residuals).all(axis=1)
    n_present = np.maximum((~np.isnan(residuals)).sum(axis=1), 1)
    q = np.nansum(residuals**2, axis=1) * residuals.shape[1] / n_present
    t2 = (scores**2 / pca.explained_variance_).sum(axis=1)
    return np.where(is_unmeasured, np.nan, q), np.where(is_unmeasured, np.nan, t2)


def _residuals(pca: FactorPCA, panel: Floats, scores: Floats) -> Floats:
    common = np.empty((len(scores), len(pca.loadings_)))
    # Row by row for the reason given in FactorPCA.score.
    for number, score in enumerate(scores):
        common[number] = pca.loadings_ @ score
    residuals: Floats = pca.standardised(panel) - common
    return residuals


def _robust_z(values: Floats, group: npt.NDArray[np.intp]) -> Floats:
    distance = values - _group_median(values, group)[group]
    size = np.abs(distance)
    count = np.bincount(group, ~np.isnan(size))
    mean_size = np.bincount(group, np.nan_to_num(size)) / np.maximum(count, 1)
    scores: Floats = distance / robust_scale(_group_median(size, group), mean_size)[group]
    return scores


def _group_median(values: Floats, group: npt.NDArray[np.intp]) -> Floats:
    """Median of each group's present values, NaN for a group without any; one sort instead of one pass per date."""
    is_present = ~np.isnan(values)
    present, owner = values[is_present], group[is_present]
    ordered = present[np.lexsort((present, owner))]
    n_groups = int(group.max(initial=-1)) + 1
    count = np.bincount(owner, minlength=n_groups)
    start = np.cumsum(count) - count
    median = np.full(n_groups, np.nan)
    filled = count > 0
    low, high = start + (count - 1) // 2, start + count // 2
    median[filled] = 0.5 * (ordered[low[filled]] + ordered[high[filled]])
    return median
