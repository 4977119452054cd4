"""How far is each security's day from its own past, from its sector, and from what it used to move with?

Each feature is measured against the security's own spread and is free of what the whole market does that day, so that
rows of calm and of stormy sessions compare. Invariants: a feature is NaN where it cannot be measured; spreads are
robust (median, 1.4826 MAD), so that an anomaly does not hide itself. Partner: `models/combined.py`, which scores the
rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import anomaly, base

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEATURES = ("return_z", "residual_z", "amount_z", "range_z", "residual_growth_z", "decoupling_z")
# Sessions over which a security must have stopped moving with the others, and in which its residuals grew.
RECENT = 20
# Few factors carry what securities have in common; the rest is their own.
N_COMMON = 5
# A spread of fewer returns is a guess.
FEWEST_SESSIONS = 60
# A sector of fewer has no median of its own.
FEWEST_OF_A_SECTOR = 5
# Fisher's transform of a correlation of n pairs has the variance 1 / (n - 3).
FISHER_LOSS = 3
# Beyond so many deviations a day counts as so many: one day is no month.
MOST_DEVIATIONS = 5.0
# Moving with the others more than ever, or less on its own, is nothing to wake up for: such values end here.
LEAST = -3.0


@dataclass(frozen=True)
class Moves:
    """What was traded, by security and session; NaN where there was no bar.

    Args:
        log_return: (n_codes, n_sessions) over one session.
        log_amount: (n_codes, n_sessions) logarithm of the turnover.
        log_range: (n_codes, n_sessions) logarithm of high over low.
        sector: (n_codes,) a number for each sector.
    """

    log_return: Floats
    log_amount: Floats
    log_range: Floats
    sector: Ints


def measure(moves: Moves, n_last: int) -> Floats:
    """The features of the newest sessions.

    Args:
        moves: everything known, at least `FEWEST_SESSIONS` sessions.
        n_last: newest sessions wanted.

    Returns:
        (n_codes, n_last, len(FEATURES)), in standard deviations; NaN where a security had no bar or too short a past.

    Raises:
        TooFewRows: fewer sessions than that, or fewer than are wanted; pass a longer past.
    """
    n_sessions = moves.log_return.shape[1]
    if n_sessions < max(FEWEST_SESSIONS, n_last + RECENT):
        raise base.TooFewRows(
            f"{n_sessions} sessions, and at least {max(FEWEST_SESSIONS, n_last + RECENT)} are needed. Pass more."
        )
    excess = moves.log_return - _sector_medians(moves.log_return, moves.sector)
    common = _common_part(moves.log_return)
    residual = moves.log_return - common
    scaled_residual = _own_z(residual)
    growth = _rolling_mean(np.minimum(scaled_residual**2, MOST_DEVIATIONS**2))
    features = (
        _calmed(_own_z(excess)),
        _calmed(scaled_residual),
        _calmed(_own_z(_without_day(moves.log_amount))),
        _calmed(_own_z(_without_day(moves.log_range))),
        np.maximum(_calmed(_own_z(np.log(growth))), LEAST),
        np.maximum(_calmed(_decoupling(moves.log_return, common)), LEAST),
    )
    is_known = (np.isfinite(moves.log_return).sum(axis=1) >= FEWEST_SESSIONS)[:, None]
    has_bar = np.isfinite(moves.log_return[:, -n_last:]) & is_known
    stacked = np.stack([feature[:, -n_last:] for feature in features], axis=2)
    return np.where(has_bar[:, :, None], stacked, np.nan)


def _own_z(values: Floats) -> Floats:
    """Distance from the security's own median, in its own robust standard deviations."""
    centre = _median(values, axis=1)
    distance = values - centre
    size = np.abs(distance)
    n_present = np.maximum(np.isfinite(distance).sum(axis=1, keepdims=True), 1)
    mean_size = np.nansum(size, axis=1, keepdims=True) / n_present
    z: Floats = distance / anomaly.robust_scale(_median(size, axis=1), mean_size)
    return z


def _without_day(values: Floats) -> Floats:
    """Less what all securities have in common that session."""
    return values - _median(values, axis=0)


def _calmed(z: Floats) -> Floats:
    """Less the session's median, and over its spread where that is wider than usual: in a storm all stand far out."""
    distance = _without_day(z)
    spread = _median(np.abs(distance), axis=0)
    usual = _median(spread, axis=1)
    excess = np.where(usual > 0, spread / np.where(usual > 0, usual, 1.0), 1.0)
    calmed: Floats = distance / np.maximum(np.nan_to_num(excess, nan=1.0), 1.0)
    return calmed


def _sector_medians(values: Floats, sector: Ints) -> Floats:
    medians = np.broadcast_to(_median(values, axis=0), values.shape).copy()
    for one in np.unique(sector):
        is_of = sector == one
        if is_of.sum() >= FEWEST_OF_A_SECTOR:
            medians[is_of] = _median(values[is_of], axis=0)
    return medians


def _common_part(log_return: Floats) -> Floats:
    """What the first principal components of standardised returns make of each return.

    How far a security goes with each is fitted without the last sessions: a security that left the others would else
    pull its own yardstick along.
    """
    n_present = np.maximum(np.isfinite(log_return).sum(axis=1, keepdims=True), 1)
    scale = np.sqrt(np.nansum(log_return**2, axis=1, keepdims=True) / n_present)
    scale = np.where(scale > 0, scale, 1.0)
    # One crash of one security must not become a factor of the market.
    filled = np.clip(np.nan_to_num(log_return / scale), -4.0, 4.0)
    _, vectors = np.linalg.eigh(filled.T @ filled)
    scores = vectors[:, -N_COMMON:]
    before = scores[:-RECENT]
    loadings = np.linalg.solve(before.T @ before, before.T @ filled[:, :-RECENT].T).T
    fitted: Floats = loadings @ scores.T * scale
    return fitted


def _decoupling(log_return: Floats, common: Floats) -> Floats:
    """How far the correlation with the common part over the last sessions lies below that of all, in deviations."""
    is_present = np.isfinite(log_return)
    ours, theirs = np.where(is_present, log_return, 0.0), np.where(is_present, common, 0.0)
    sums = [np.cumsum(part, axis=1) for part in (is_present * 1.0, ours, theirs, ours**2, theirs**2, ours * theirs)]
    whole = _correlation([total[:, -1:] for total in sums])
    recent = np.full_like(ours, np.nan)
    windows = [total[:, RECENT:] - total[:, :-RECENT] for total in sums]
    enough = windows[0] >= RECENT // 2
    recent[:, RECENT:] = np.where(enough, _correlation(windows), np.nan)
    fall: Floats = (np.arctanh(whole) - np.arctanh(recent)) * np.sqrt(RECENT - FISHER_LOSS)
    return fall


def _correlation(sums: list[Floats]) -> Floats:
    n, ours, theirs, ours_squared, theirs_squared, both = sums
    n = np.maximum(n, 1.0)
    spread = np.maximum(ours_squared - ours**2 / n, 0.0) * np.maximum(theirs_squared - theirs**2 / n, 0.0)
    correlation = (both - ours * theirs / n) / np.sqrt(np.where(spread > 0, spread, np.nan))
    clipped: Floats = np.clip(correlation, -0.999, 0.999)
    return clipped


def _rolling_mean(values: Floats) -> Floats:
    """Mean of the present values of the last sessions, NaN with fewer than half of them."""
    is_present = np.isfinite(values)
    total, count = (np.cumsum(part, axis=1) for part in (np.where(is_present, values, 0.0), is_present * 1.0))
    mean = np.full_like(values, np.nan)
    n = count[:, RECENT:] - count[:, :-RECENT]
    mean[:, RECENT:] = np.where(n >= RECENT // 2, (total[:, RECENT:] - total[:, :-RECENT]) / np.maximum(n, 1.0), np.nan)
    return mean


def _median(values: Floats, axis: int) -> Floats:
    """Median of the present values, NaN where there is none; numpy's own warns then, and takes minutes with holes."""
    ordered = np.sort(values, axis=axis)
    count = np.isfinite(values).sum(axis=axis, keepdims=True)
    low, high = np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2
    middle = (np.take_along_axis(ordered, low, axis) + np.take_along_axis(ordered, high, axis)) / 2
    medians: Floats = np.where(count > 0, middle, np.nan)
    return medians
