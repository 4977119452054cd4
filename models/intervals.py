"""How wide must an interval be to hold what comes as often as it says?

Invariants: a radius is made of errors that were known when it is used; a promise that cannot be kept with so few errors
is an infinite radius, not a guess. Partner: `models/evaluation.py`, whose walk-forward gives the errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import base
from models.base import Floats

# Sessions whose errors calibrate a radius: a quarter of a year follows a change of volatility within weeks, and 60
# cross-sections are enough to know a tail of one in ten.
WINDOW_SESSIONS = 60

# Gibbs and Candes (2021) take 0.005 for one outcome a step; a session of the cross-section is one step here too, but
# its share of misses is a mean over hundreds of outcomes, so a larger step is as quiet and follows sooner.
STEP = 0.02

# Quantiles that stand for a window's errors on a version's card: a quarter of a percent is finer than any level asked.
N_QUANTILES = 401


@dataclass(frozen=True, slots=True)
class AdaptiveIntervals:
    """Radii that followed the coverage they had, and where they stand.

    Args:
        radius: (n_rows,) half the width of each row's interval; NaN for the first sessions, which had no errors yet.
        coverage: share of the rows with a radius whose outcome was inside.
        state: what the next session's radius is made of.
    """

    radius: Floats
    coverage: float
    state: IntervalState


@dataclass(frozen=True, slots=True)
class IntervalState:
    """What a session's radius is made of.

    Args:
        level: the coverage promised.
        miss_rate: the share of misses now aimed at; below 1 - level after too many misses, above it after too few.
        quantiles: (n,) quantiles of recent absolute errors, at shares spread evenly from 0 to 1.
    """

    level: float
    miss_rate: float
    quantiles: Floats

    def radius(self) -> float:
        """Half the width of the next interval, in the unit of the errors.

        Returns:
            The quantile of the errors at 1 - `miss_rate`, the smaller of two neighbours never taken; infinity when no
            miss may be risked.
        """
        if self.miss_rate <= 0:
            return math.inf
        last = len(self.quantiles) - 1
        return float(self.quantiles[min(max(math.ceil((1.0 - self.miss_rate) * last - 1e-9), 0), last)])

    def after(self, miss_share: float, step: float = STEP) -> IntervalState:
        """The state once a session's outcomes are known.

        Args:
            miss_share: share of the session's outcomes outside their intervals.
            step: how far one session moves the aim.

        Returns:
            The same errors with another aim.

        Source:
            Gibbs and Candes (2021), NeurIPS 34, equation 2.
        """
        return IntervalState(self.level, self.miss_rate + step * (1.0 - self.level - miss_share), self.quantiles)


def conformal_radius(residuals: Floats, level: float = 0.9) -> float:
    """Half the width of an interval that covers a new outcome with probability of at least `level`.

    The promise holds when the new residual and these are exchangeable. Residuals of one day move together, so judge it
    by the coverage that came about (`interval_coverage`).

    Args:
        residuals: (n_rows,) outcome less forecast, of forecasts made out of sample.
        level: probability between 0 and 1.

    Returns:
        The ceil((n + 1) * level)-th smallest absolute residual, in their unit; infinity when n is too small for it.

    Raises:
        MissingValues: a residual is not finite, or there is none; drop the row.
        ModelError: level is not between 0 and 1.

    Source:
        Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), JASA 113(523), section 2.2.
    """
    # 110 * 0.9 is 99.00000000000001 in floating point; its ceiling must be 99.
    return _upper_quantile(_checked_sizes(residuals, level), level)


def interval_coverage(predicted: Floats, realised: Floats, radius: float | Floats) -> float:
    """Share of outcomes within `radius` of their forecast, both ends included.

    Args:
        predicted, realised: (n_rows,).
        radius: one for all rows or (n_rows,).

    Returns:
        Between 0 and 1; NaN for no rows.

    Raises:
        ColumnMismatch: the lengths differ; pass one value each per row.
    """
    if np.shape(predicted) != np.shape(realised):
        raise base.ColumnMismatch(
            f"forecasts of shape {np.shape(predicted)} came with outcomes of shape {np.shape(realised)}. "
            "Pass one of each per row."
        )
    inside = np.abs(np.asarray(realised, dtype=np.float64) - np.asarray(predicted, dtype=np.float64)) <= radius
    return float(inside.mean()) if inside.size else math.nan


def adaptive_intervals(
    residuals: Floats,
    dates: npt.ArrayLike,
    *,
    level: float,
    horizon: int,
    window: int = WINDOW_SESSIONS,
    step: float = STEP,
) -> AdaptiveIntervals:
    """Split conformal intervals whose aim follows the coverage they had, session by session.

    On each session the radius is a quantile of the absolute errors of the last `window` sessions whose outcomes were
    known by then, that is, `horizon` sessions or more before; and the aim moves by the misses known by then.

    Args:
        residuals: (n_rows,) outcome less forecast, of forecasts made out of sample.
        dates: (n_rows,) the date of each row, in any order.
        level: share of outcomes to be covered, between 0 and 1.
        horizon: sessions until an outcome is known.
        window: sessions whose errors make a radius.
        step: how far one session moves the aim; smaller where outcomes overlap, as one surprise is a miss of them all.

    Returns:
        Radii, the coverage that came about, and the state after the last outcome.

    Raises:
        MissingValues: a residual is not finite, or there is none; drop the row.
        ColumnMismatch: the lengths differ; pass one date per residual.
        ModelError: level is not between 0 and 1, or a count is not positive.

    Source:
        Gibbs and Candes (2021), Adaptive conformal inference under distribution shift, NeurIPS 34, section 2.
    """
    sizes, days = _checked_sizes(residuals, level), np.asarray(dates).astype("datetime64[D]")
    if sizes.shape != days.shape:
        raise base.ColumnMismatch(
            f"residuals of shape {sizes.shape} came with dates of shape {days.shape}. Pass one date per residual."
        )
    if min(horizon, window) < 1:
        raise base.ModelError(f"horizon is {horizon} and window {window} for adaptive intervals. Pass at least 1.")
    sessions, session = np.unique(days, return_inverse=True)
    order = np.argsort(session, kind="stable")
    ends = np.cumsum(np.bincount(session))
    of_session = np.split(sizes[order], ends[:-1])
    radius, miss_rate = np.full(len(sessions), np.nan), 1.0 - level
    for at in range(horizon, len(sessions) + horizon):
        known = at - horizon
        if np.isfinite(radius[known]) or np.isposinf(radius[known]):
            miss_share = float((of_session[known] > radius[known]).mean())
            miss_rate += step * (1.0 - level - miss_share)
        if at < len(sessions):
            errors = np.concatenate(of_session[max(0, known - window + 1) : known + 1])
            radius[at] = _upper_quantile(errors, 1.0 - miss_rate)
    by_row = radius[session]
    has_radius = ~np.isnan(by_row)
    coverage = float((sizes[has_radius] <= by_row[has_radius]).mean()) if has_radius.any() else math.nan
    recent = np.concatenate(of_session[-window:])
    quantiles = np.quantile(recent, np.linspace(0.0, 1.0, N_QUANTILES), method="inverted_cdf")
    return AdaptiveIntervals(by_row, coverage, IntervalState(level, miss_rate, quantiles))


def _upper_quantile(sizes: Floats, share: float) -> float:
    """The value of rank ceil((n + 1) * share); infinity when there is none so high."""
    rank = math.ceil((len(sizes) + 1) * share - 1e-9)
    if rank > len(sizes):
        return math.inf
    at = max(rank, 1) - 1
    return float(np.partition(sizes, at)[at])


def _checked_sizes(residuals: Floats, level: float) -> Floats:
    if not 0 < level < 1:
        raise base.ModelError(f"level is {level} for a conformal interval. Pass a probability between 0 and 1.")
    sizes: Floats = np.abs(np.asarray(residuals, dtype=np.float64))
    if not len(sizes) or not np.isfinite(sizes).all():
        raise base.MissingValues(
            f"{int((~np.isfinite(sizes)).sum())} of {len(sizes)} residuals are missing. Pass at least one, all finite."
        )
    return sizes
