"""Above which score does somebody get an alert, so that what was promised about their number holds?

Two promises: about so many alerts on a usual day, or at most such a share of false ones. Both are calibrated on past
scores. Partner: `models/combined.py`, whose scores they cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models import base

Floats = npt.NDArray[np.float64]


def for_alerts_a_day(days: Sequence[Floats], wanted: int) -> float:
    """The score above which a usual day has the wanted number of rows.

    It is the median over the days of the score that the day's next strangest row has, so that a day on which half the
    market is strange raises it no more than any other day: that day has more alerts instead.

    Args:
        days: scores of each past day, higher is more abnormal.
        wanted: alerts on a usual day.

    Returns:
        The threshold; rows above it are alerts.

    Raises:
        ModelError: no day, or a wanted number below 0.

    Example:
        >>> for_alerts_a_day([np.array([1.0, 5.0, 9.0]), np.array([2.0, 3.0, 8.0]), np.array([90.0, 91.0, 92.0])], 1)
        5.0
    """
    if not len(days) or wanted < 0:
        raise base.ModelError(f"{len(days)} days for {wanted} alerts a day. Pass past days, and a number from 0.")
    next_strangest = [
        float(np.partition(scores, -wanted - 1)[-wanted - 1]) if len(scores) > wanted else -np.inf for scores in days
    ]
    return float(np.median(next_strangest))


def for_false_discovery_rate(usual: Floats, scores: Floats, rate: float) -> float:
    """The score from which the expected share of false alerts among the day's is at most a rate.

    Args:
        usual: (n_usual,) scores of past rows, nearly all of them usual.
        scores: (n_rows,) scores of the day.
        rate: share of false alerts that is tolerated, in (0, 1).

    Returns:
        The threshold; rows above it are alerts. Infinite when there is none.

    Raises:
        ModelError: no past row, or a rate that is no share.

    Source:
        Benjamini and Hochberg (1995), JRSS B 57(1), on empirical tail probabilities (Bates and others, 2023).
    """
    if not len(usual) or not 0 < rate < 1:
        raise base.ModelError(f"{len(usual)} past scores at a rate of {rate}. Pass past scores, and a rate in (0, 1).")
    held = np.sort(usual)
    ordered = np.sort(scores)[::-1]
    tail = (1 + len(held) - np.searchsorted(held, ordered, side="left")) / (1 + len(held))
    is_kept = tail <= rate * np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    if not is_kept.any():
        return float("inf")
    return float(np.nextafter(ordered[np.flatnonzero(is_kept)[-1]], -np.inf))
