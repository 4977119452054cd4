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
    columns = pd.DataFrame(table.reshape(len(table), -1))
    groups = columns.groupby(np.unique(days, return_inverse=True)[1])
    ranks = groups.rank(method="average").to_numpy(dtype=np.float64)
    counts = groups.transform("count").to_numpy(dtype=np.float64)
    is_present = np.isfinite(ranks)
    scaled = np.zeros(ranks.shape)
    middle = (counts[is_present] + 1.0) / 2.0
    scaled[is_present] = (ranks[is_present] - middle) / counts[is_present] * UNIFORM_TO_UNIT_SCALE
    return scaled.reshape(table.shape)


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
