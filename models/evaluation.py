"""How good would the forecasts have been, had they been made at the time?

Invariants: every forecast comes from a model that saw no row whose target reaches into the test window; a split is in
time, never at random; a metric that is not defined is NaN, not zero. Rows of one date share that date's news, so every
test statistic is built from one number per date.
Partners: `models/baseline.py`, the forecast to beat; `flows/forecasts.py`, which turns metrics into rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from models import base
from models.base import Dates, Floats, Forecaster

Rows = npt.NDArray[np.int64]

# Two weeks of trading: long enough to hold a crash, short enough to leave most of a fold of sixty sessions.
WORST_SESSIONS = 10

# Above these a forecast of the next days is more likely a leak than a discovery: the best models of Qlib's published
# CSI 300 table reach a mean rank IC of 0.05; monthly R2 of single stocks is given in fractions of a percent.
IMPLAUSIBLE_RANK_IC = 0.10
IMPLAUSIBLE_R2 = 0.05


@dataclass(frozen=True, slots=True)
class Fold:
    """One refit and the sessions it is tested on.

    Args:
        number: from 1, in time.
        train, test: positions of the rows.
        train_end: last date in training.
        test_start, test_end: first and last date tested.
    """

    number: int
    train: Rows
    test: Rows
    train_end: np.datetime64
    test_start: np.datetime64
    test_end: np.datetime64


@dataclass(frozen=True, slots=True)
class OutOfSample:
    """Forecasts of all folds beside what came, in the order of the folds.

    Args:
        rows: (n_tested,) positions in the arrays that were tested.
        fold: (n_tested,) number of the fold.
        predicted, realised: (n_tested,) in the unit of the target.
    """

    rows: Rows
    fold: Rows
    predicted: Floats
    realised: Floats


@dataclass(frozen=True, slots=True)
class LossComparison:
    """Diebold and Mariano's test of two series of losses.

    Args:
        mean_difference: mean of loss a less loss b; negative when a is better.
        statistic: with the small-sample correction of Harvey, Leybourne and Newbold.
        p_value: two-sided, from Student's t with n_dates - 1 degrees of freedom; NaN when not defined.
    """

    mean_difference: float
    statistic: float
    p_value: float


def walk_forward_folds(
    dates: npt.ArrayLike, *, n_folds: int, test_sessions: int, min_train_sessions: int, embargo: int
) -> list[Fold]:
    """Folds whose test windows are the last sessions, one after another, each trained on all that came before.

    Args:
        dates: (n_rows,) the date of each row, in any order; every distinct date is a session.
        n_folds: number of refits.
        test_sessions: sessions tested after each.
        min_train_sessions: fewest sessions the first fold may train on.
        embargo: sessions left out between the last one trained on and the first one tested. At least the horizon of
            the target: then the last training target is known before the first test forecast is made.

    Returns:
        The folds in time; their test windows do not overlap and end with the last session.

    Raises:
        TooFewRows: the first fold would train on fewer sessions than asked; test less, or pass a longer history.
        ModelError: a count is not positive; pass at least 1, and an embargo of at least 0.
    """
    if min(n_folds, test_sessions, min_train_sessions) < 1 or embargo < 0:
        raise base.ModelError(
            f"walk_forward_folds got n_folds={n_folds}, test_sessions={test_sessions}, "
            f"min_train_sessions={min_train_sessions}, embargo={embargo}. Pass positive counts, an embargo from 0."
        )
    sessions, session = np.unique(np.asarray(dates).astype("datetime64[D]"), return_inverse=True)
    n_first = len(sessions) - n_folds * test_sessions - embargo
    if n_first < min_train_sessions:
        raise base.TooFewRows(
            f"{len(sessions)} sessions leave {max(n_first, 0)} to train the first fold on, after {n_folds} x "
            f"{test_sessions} to test and {embargo} of embargo; {min_train_sessions} are needed. "
            "Test fewer sessions, or pass a longer history."
        )
    folds = []
    for number in range(1, n_folds + 1):
        start = len(sessions) - (n_folds - number + 1) * test_sessions
        end, n_train = start + test_sessions, start - embargo
        folds.append(
            Fold(
                number,
                np.flatnonzero(session < n_train),
                np.flatnonzero((session >= start) & (session < end)),
                sessions[n_train - 1],
                sessions[start],
                sessions[end - 1],
            )
        )
    return folds


def walk_forward(
    make_model: Callable[[], Forecaster], features: Floats, target: Floats, dates: npt.ArrayLike, folds: list[Fold]
) -> OutOfSample:
    """What a new model, fitted on each fold's training rows, forecasts for its test rows.

    Args:
        make_model: returns an unfitted model; called once per fold.
        features: (n_rows, n_features).
        target: (n_rows,).
        dates: (n_rows,) the dates the folds were made from.
        folds: from `walk_forward_folds`.

    Returns:
        Forecasts beside what came.

    Raises:
        ModelError: rows the model cannot use, or no fold; the message names what to change.
    """
    if not folds:
        raise base.ModelError(f"walk_forward got no folds for {len(target)} rows. Make them with walk_forward_folds.")
    days = np.asarray(dates).astype("datetime64[D]")
    predicted = [
        make_model().fit(features[fold.train], target[fold.train], days[fold.train]).predict(features[fold.test])
        for fold in folds
    ]
    rows = np.concatenate([fold.test for fold in folds])
    numbers = np.repeat([fold.number for fold in folds], [len(fold.test) for fold in folds])
    return OutOfSample(rows, numbers, np.concatenate(predicted), np.asarray(target, dtype=np.float64)[rows])


def metrics(
    predicted: Floats, realised: Floats, dates: npt.ArrayLike, *, baseline: float | Floats = 0.0, horizon: int = 5
) -> dict[str, float]:
    """The figures of an evaluation, and the same without its worst crisis.

    The worst crisis is the window of `WORST_SESSIONS` consecutive test dates over which the baseline's mean squared
    error per date adds up to most. The baseline chooses, so all models lose the same dates.

    Args:
        predicted, realised: (n_rows,) in the unit of the target.
        dates: (n_rows,) the date of each row, in any order.
        baseline: the naive forecast, one for all rows or (n_rows,).
        horizon: sessions the target looks ahead; overlapping targets make the errors of neighbouring dates alike.

    Returns:
        `rmse`, `mae`; `r2_oos`, 1 less the ratio of squared errors to the baseline's; `rank_ic_mean` over dates and its
        `rank_ic_t` (Newey and West); `hit_rate`, the share of right signs where neither is zero; `dm_p_value` of
        squared errors against the baseline's; `cw_p_value`, one-sided, that the forecast adds to the baseline once the
        noise of its coefficients is set aside (Clark and West). Each again with the suffix `_ex_worst`. NaN where not
        defined.

    Raises:
        ColumnMismatch: the lengths differ; pass one value each per row.
        MissingValues: a value is not finite; drop the row.
    """
    forecast, outcome, days = _checked(predicted, realised, dates)
    naive = np.broadcast_to(np.asarray(baseline, dtype=np.float64), outcome.shape)
    found = _metrics(forecast, outcome, days, naive, horizon)
    sessions, loss = _mean_by_date((outcome - naive) ** 2, days)
    if len(sessions) > WORST_SESSIONS:
        window = np.convolve(loss, np.ones(WORST_SESSIONS), mode="valid")
        start = int(window.argmax())
        worst = sessions[start : start + WORST_SESSIONS]
        kept = (days < worst[0]) | (days > worst[-1])
        without = _metrics(forecast[kept], outcome[kept], days[kept], naive[kept], horizon)
    else:
        without = dict.fromkeys(found, math.nan)
    return found | {f"{name}_ex_worst": value for name, value in without.items()}


def _metrics(forecast: Floats, outcome: Floats, days: Dates, naive: Floats, horizon: int) -> dict[str, float]:
    loss, naive_loss = (outcome - forecast) ** 2, (outcome - naive) ** 2
    ic = information_coefficient(forecast, outcome, days)[1]
    ic = ic[np.isfinite(ic)]
    compared = diebold_mariano(_mean_by_date(loss, days)[1], _mean_by_date(naive_loss, days)[1], horizon)
    # Clark and West (2007), equation 3.1, on the mean over the securities of a date.
    gain = _mean_by_date(naive_loss - loss + (naive - forecast) ** 2, days)[1]
    has_signs = (forecast != 0) & (outcome != 0)
    hits = np.sign(forecast[has_signs]) == np.sign(outcome[has_signs])
    return {
        "rmse": math.sqrt(loss.mean()),
        "mae": float(np.abs(outcome - forecast).mean()),
        "r2_oos": float(1.0 - loss.sum() / naive_loss.sum()) if naive_loss.any() else math.nan,
        "rank_ic_mean": float(ic.mean()) if len(ic) else math.nan,
        # Twice the overlap: with the overlap alone, 12 % of 250 days without skill passed 1.96; so, 9 % (measured).
        "rank_ic_t": newey_west_t(ic, lag=2 * horizon - 1),
        "hit_rate": float(hits.mean()) if len(hits) else math.nan,
        "dm_p_value": compared.p_value,
        "cw_p_value": float(stats.norm.sf(newey_west_t(gain, lag=2 * horizon - 1))),
    }


def implausible(found: dict[str, float]) -> list[str]:
    """Sentences about metrics too good to be true; empty when there is none. Look for a leak before celebrating.

    Args:
        found: what `metrics` returned.

    Returns:
        One sentence per metric beyond its ceiling.
    """
    ceilings = {"rank_ic_mean": IMPLAUSIBLE_RANK_IC, "r2_oos": IMPLAUSIBLE_R2}
    return [
        f"{name} is {found[name]:.3f}, above {ceiling}: more likely a leak than skill. Check each feature's date."
        for name, ceiling in ceilings.items()
        if found[name] > ceiling
    ]


def information_coefficient(predicted: Floats, realised: Floats, dates: npt.ArrayLike) -> tuple[Dates, Floats]:
    """Per date, Spearman's correlation across securities between forecast and outcome.

    Args:
        predicted, realised: (n_rows,) in any unit.
        dates: (n_rows,) the date of each row, in any order.

    Returns:
        The dates, ascending, and (n_dates,) correlations in [-1, 1]; ties share their mean rank. NaN for a date whose
        forecasts or outcomes are all equal, or that has one row.

    Raises:
        ColumnMismatch: the lengths differ; pass one value each per row.
        MissingValues: a value is not finite; drop the row.
    """
    forecast, outcome, days = _checked(predicted, realised, dates)
    sessions, group = np.unique(days, return_inverse=True)
    ranks = pd.DataFrame({"forecast": forecast, "outcome": outcome}).groupby(group).rank().to_numpy(dtype=np.float64)
    middle = (np.bincount(group) + 1.0) / 2.0
    first, second = (ranks - middle[group, None]).T
    covariance = np.bincount(group, first * second)
    scale = np.sqrt(np.bincount(group, first**2) * np.bincount(group, second**2))
    ic = np.full(len(sessions), np.nan)
    np.divide(covariance, scale, out=ic, where=scale > 0)
    return sessions, ic


def newey_west_t(values: Floats, *, lag: int) -> float:
    """The mean of a series in units of its standard error, with Bartlett weights up to `lag` and no other correction.

    Args:
        values: (n_dates,) in time, finite.
        lag: autocorrelations taken into account; for targets that overlap, at least their horizon less 1.

    Returns:
        t statistic; NaN for fewer than two values or a constant series.

    Source:
        Newey and West (1987), Econometrica 55(3).
    """
    n_dates = len(values)
    variance = _variance_of_mean(values, lag) if n_dates > 1 else 0.0
    return float(values.mean()) / math.sqrt(variance) if variance > 0 else math.nan


def mean_p_value(values: Floats, *, horizon: int, alternative: Literal["less", "two-sided"]) -> float:
    """How likely a mean is as far from zero by chance, for few values whose targets overlap.

    Every `horizon`-th value has a target of its own; Student's t of these is exact for normal values, where a
    Newey-West error of some tens of values rejects several times too often. There are `horizon` ways to begin, and the
    median of their p values is taken, so that a day more or less does not turn the answer.

    Args:
        values: (n_dates,) in time, finite.
        horizon: dates until targets no longer overlap.
        alternative: `less` for a mean below zero, `two-sided` for one that is not zero.

    Returns:
        The p value; 1 with fewer than two values a way, 0 or 1 where the values are all the same.
    """
    found = []
    for start in range(horizon):
        apart = values[start::horizon]
        if len(apart) < 2:
            return 1.0
        if np.ptp(apart) == 0:
            is_off = apart[0] < 0 if alternative == "less" else apart[0] != 0
            found.append(0.0 if is_off else 1.0)
        else:
            found.append(float(stats.ttest_1samp(apart, 0.0, alternative=alternative).pvalue))
    return float(np.median(found))


def diebold_mariano(loss_a: Floats, loss_b: Floats, horizon: int) -> LossComparison:
    """Whether two forecasts differ in accuracy by more than chance.

    Args:
        loss_a, loss_b: (n_dates,) one loss per date, in time: averages over securities, so that one day counts once.
        horizon: sessions the target looks ahead; the variance is Newey and West's with lag `horizon` - 1.

    Returns:
        The comparison. Statistic and p value are NaN for as few dates as the horizon, or a constant difference. Where
        targets overlap fully, 9 % of p values of equal forecasts fall below 0.05 (simulated, horizon 5, 250 dates).

    Raises:
        ColumnMismatch: the lengths differ; pass the losses of the same dates.

    Source:
        Diebold and Mariano (1995), JBES 13(3); Harvey, Leybourne and Newbold (1997), Int. J. Forecasting 13(2), eq. 9.
    """
    if np.shape(loss_a) != np.shape(loss_b):
        raise base.ColumnMismatch(
            f"losses of shape {np.shape(loss_a)} and {np.shape(loss_b)} are compared. Pass those of the same dates."
        )
    difference = np.asarray(loss_a, dtype=np.float64) - np.asarray(loss_b, dtype=np.float64)
    n_dates = len(difference)
    mean = float(difference.mean()) if n_dates else math.nan
    variance = _variance_of_mean(difference, horizon - 1) if n_dates > max(horizon, 1) else 0.0
    if not variance > 0:
        return LossComparison(mean, math.nan, math.nan)
    correction = (n_dates + 1 - 2 * horizon + horizon * (horizon - 1) / n_dates) / n_dates
    statistic = mean / math.sqrt(variance) * math.sqrt(correction)
    return LossComparison(mean, statistic, 2.0 * float(stats.t.sf(abs(statistic), n_dates - 1)))


def _variance_of_mean(values: Floats, lag: int) -> float:
    n_dates = len(values)
    # A series without spread has none left after rounding either; its statistic would be noise over noise.
    if np.ptp(values) <= 1e-14 * np.abs(values).max():
        return 0.0
    centred = values - values.mean()
    total = float(centred @ centred)
    for distance in range(1, min(lag, n_dates - 1) + 1):
        total += 2.0 * (1.0 - distance / (lag + 1.0)) * float(centred[distance:] @ centred[:-distance])
    return total / n_dates**2


def _mean_by_date(values: Floats, days: Dates) -> tuple[Dates, Floats]:
    sessions, group = np.unique(days, return_inverse=True)
    means: Floats = np.bincount(group, values) / np.bincount(group)
    return sessions, means


def _checked(predicted: Floats, realised: Floats, dates: npt.ArrayLike) -> tuple[Floats, Floats, Dates]:
    forecast, outcome = np.asarray(predicted, dtype=np.float64), np.asarray(realised, dtype=np.float64)
    days = np.asarray(dates).astype("datetime64[D]")
    if forecast.ndim != 1 or not forecast.shape == outcome.shape == days.shape or not len(forecast):
        raise base.ColumnMismatch(
            f"forecasts of shape {forecast.shape}, outcomes {outcome.shape} and dates {days.shape} are evaluated. "
            "Pass one of each per row, and at least one row."
        )
    n_bad = int((~np.isfinite(forecast) | ~np.isfinite(outcome)).sum())
    if n_bad:
        raise base.MissingValues(
            f"{n_bad} of {len(forecast)} rows to evaluate have a missing or infinite forecast or outcome. Drop them."
        )
    return forecast, outcome, days
