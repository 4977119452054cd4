"""Spread, skewness and regressions over the last sessions, compiled: one pass for all that share a window.

Invariant: as in `warehouse/rolling.py` a number depends on the values of its own window alone, added in a fixed order.
Here the order is a tree: the sum over 2 s sessions is that of the newer s and that of the older s, so that 60 sessions
take eight additions instead of sixty. Moments are taken about zero, which is exact enough for returns, whose mean is
small beside their deviation (`test_features_equal_a_second_opinion`); do not use this for prices.
Partner: `warehouse/feature_series.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from warehouse.rolling import compiled

Floats = npt.NDArray[np.float64]

# What is left of a sum of squares below this share of it is rounding: the values do not vary.
NO_VARIATION = 1e-12


def spread(values: Floats, window: int, *, min_count: int) -> tuple[Floats, Floats, Floats]:
    """How the values of each window of each row lie about their mean, and below zero.

    Args:
        values: (n_rows, n_steps) float64; NaN and infinities are missing.
        window: steps looked at, the newest included.
        min_count: values that must be present, else NaN; at least three.

    Returns:
        Three matrices of the same shape: sample standard deviation; adjusted Fisher-Pearson skewness, NaN where the
        values do not vary; root of the mean square with gains counted as 0.
    """
    return _spread(np.ascontiguousarray(values), window, max(min_count, 3))


def regression(y: Floats, x: Floats, window: int, *, min_count: int) -> tuple[Floats, Floats]:
    """Least squares of each row of y on series that all rows share, with an intercept, over each window.

    Args:
        y: (n_rows, n_steps) float64; NaN and infinities are missing.
        x: (n_regressors, n_steps) float64, likewise.
        window: steps looked at, the newest included.
        min_count: steps where y and every regressor must be present, else NaN; at least two more than regressors.

    Returns:
        Slopes, (n_regressors, n_rows, n_steps), and the standard error of the regression, (n_rows, n_steps), with
        n - n_regressors - 1 degrees of freedom; NaN where the regressors depend on each other.
    """
    return _regression(np.ascontiguousarray(y), np.ascontiguousarray(x), window, max(min_count, len(x) + 2))


@compiled
def _sum_windows(values: Floats, window: int, out: Floats, spans: Floats) -> None:
    """Sums of one series over each window, into `out`; `spans` is (2, n) of room to work in."""
    n = len(values)
    now, then = spans[0], spans[1]
    for i in range(n):
        now[i] = values[i]
        out[i] = 0.0
    span, offset = 1, 0
    while True:
        if window & span:
            to, of = out[min(offset, n) :], now[: max(n - offset, 0)]
            for i in range(len(to)):
                to[i] += of[i]
            offset += span
        if 2 * span > window:
            return
        for i in range(min(span, n)):
            then[i] = now[i]
        to, newer, older = then[min(span, n) :], now[min(span, n) :], now[: max(n - span, 0)]
        for i in range(len(to)):
            to[i] = newer[i] + older[i]
        now, then = then, now
        span *= 2


@compiled
def _spread(values: Floats, window: int, min_count: int) -> tuple[Floats, Floats, Floats]:
    n_rows, n = values.shape
    deviation, skewness, downside = np.empty((n_rows, n)), np.empty((n_rows, n)), np.empty((n_rows, n))
    terms, sums, spans = np.empty((5, n)), np.empty((5, n)), np.empty((2, n))
    for row in range(n_rows):
        for i in range(n):
            is_there = np.isfinite(values[row, i])
            v = values[row, i] if is_there else 0.0
            loss = min(v, 0.0)
            terms[0, i], terms[1, i], terms[2, i] = 1.0 if is_there else 0.0, v, v * v
            terms[3, i], terms[4, i] = v * v * v, loss * loss
        for k in range(5):
            _sum_windows(terms[k], window, sums[k], spans)
        for i in range(n):
            count = sums[0, i]
            if count < min_count:
                deviation[row, i] = skewness[row, i] = downside[row, i] = np.nan
                continue
            mean = sums[1, i] / count
            squares = sums[2, i] - mean * sums[1, i]
            varies = squares > NO_VARIATION * sums[2, i]
            deviation[row, i] = np.sqrt(squares / (count - 1.0)) if varies else 0.0
            cubes = (sums[3, i] - 3.0 * mean * sums[2, i]) / count + 2.0 * mean * mean * mean
            second = squares / count
            adjusted = np.sqrt(count * (count - 1.0)) / (count - 2.0)
            skewness[row, i] = adjusted * cubes / (second * np.sqrt(second)) if varies else np.nan
            downside[row, i] = np.sqrt(sums[4, i] / count)
    return deviation, skewness, downside


@compiled
def _regression(y: Floats, x: Floats, window: int, min_count: int) -> tuple[Floats, Floats]:
    n_rows, n = y.shape
    k = len(x)
    # Row and column 0 of the table of moments stand for the intercept, k + 1 for y.
    width = k + 2
    n_terms = width * (width + 1) // 2
    slopes, error = np.empty((k, n_rows, n)), np.empty((n_rows, n))
    terms, sums, spans = np.empty(n), np.empty((n_terms, n)), np.empty((2, n))
    columns, table = np.zeros((width, n)), np.empty((width, width))
    for row in range(n_rows):
        for i in range(n):
            is_there = np.isfinite(y[row, i])
            for j in range(k):
                is_there = is_there and np.isfinite(x[j, i])
            columns[0, i] = 1.0 if is_there else 0.0
            for j in range(k):
                columns[j + 1, i] = x[j, i] if is_there else 0.0
            columns[k + 1, i] = y[row, i] if is_there else 0.0
        at = 0
        for a in range(width):
            for b in range(a, width):
                of_a, of_b = columns[a], columns[b]
                for i in range(n):
                    terms[i] = of_a[i] * of_b[i]
                _sum_windows(terms, window, sums[at], spans)
                at += 1
        for i in range(n):
            if sums[0, i] < min_count:
                slopes[:, row, i] = np.nan
                error[row, i] = np.nan
                continue
            _fill(table, sums, i)
            error[row, i] = _solve(table, slopes[:, row, i])
    return slopes, error


@compiled
def _fill(table: Floats, sums: Floats, i: int) -> None:
    at = 0
    for a in range(len(table)):
        for b in range(a, len(table)):
            table[a, b] = sums[at, i]
            table[b, a] = sums[at, i]
            at += 1


@compiled
def _solve(table: Floats, slopes: Floats) -> float:
    """The standard error of the regression, and its slopes, by elimination; `table` is used up.

    Pivots run in order, as the intercept has to go first to centre the rest; one that is gone down to rounding means
    that regressors depend on each other.
    """
    last = len(table) - 1
    count, squares = table[0, 0], table[last, last]
    for p in range(last):
        whole = table[p, p]
        for q in range(p):
            whole += table[p, q] * table[p, q] / table[q, q]
        if not table[p, p] > NO_VARIATION * whole:
            slopes[:] = np.nan
            return np.nan
        for a in range(p + 1, last + 1):
            factor = table[a, p] / table[p, p]
            for b in range(p + 1, a + 1):
                table[a, b] -= factor * table[b, p]
    for p in range(last - 1, 0, -1):
        slope = table[last, p]
        for q in range(p + 1, last):
            slope -= table[q, p] * slopes[q - 1]
        slopes[p - 1] = slope / table[p, p]
    left = table[last, last]
    return np.sqrt(left / (count - last)) if left > NO_VARIATION * squares else 0.0
