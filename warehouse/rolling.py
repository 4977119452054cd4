"""What do the last few values of each series look like: rolling statistics, compiled.

Invariant: a number depends on the values of its own window and on nothing else, added in a fixed order, the newest
first. A running sum would be faster for long windows, and would carry every earlier value's rounding into a number,
so that a day computed alone differed from the same day computed with its past.

Every function takes `values`, the series one after the other, and `starts`, where each begins, with the total length
at the end: series k is `values[starts[k]:starts[k + 1]]`, and the rows of a matrix are series of equal length
(`starts_of_rows`). Windows never reach into another series. NaN and infinities count as missing and are left out; a
window with fewer than `min_count` values present gives NaN. Nothing holds the interpreter's lock while it computes, so
blocks of series may be handed to threads.

The machine code is kept in `__pycache__`, or in `NUMBA_CACHE_DIR` where that folder cannot be written.
Partner: `warehouse/matrices.py`, which reads series from the lake.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Offsets = npt.NDArray[np.int64]

compiled = numba.njit(nogil=True, cache=True)


def starts_of_rows(shape: tuple[int, int]) -> Offsets:
    """`starts` for a matrix laid out row by row, each row a series."""
    n_rows, n_columns = shape
    return np.arange(n_rows + 1, dtype=np.int64) * n_columns


def lag(values: Floats, starts: Offsets, steps: int) -> Floats:
    """The value `steps` before in the same series, x[t - steps]; NaN where there is none."""
    return _lag(_flat(values), starts, steps).reshape(values.shape)


def mean(values: Floats, starts: Offsets, window: int, *, min_count: int) -> Floats:
    """Sum of the values present over their number n."""
    return _mean(_flat(values), starts, window, min_count).reshape(values.shape)


def std(values: Floats, starts: Offsets, window: int, *, min_count: int) -> Floats:
    """Sample standard deviation, sqrt(sum((x - mean)^2) / (n - 1)), in two passes; NaN for a single value."""
    return _std(_flat(values), starts, window, max(min_count, 2)).reshape(values.shape)


def highest(values: Floats, starts: Offsets, window: int) -> Floats:
    """The largest value present; NaN only where none is."""
    return _extreme(_flat(values), starts, window, True).reshape(values.shape)


def lowest(values: Floats, starts: Offsets, window: int) -> Floats:
    """The smallest value present; NaN only where none is."""
    return _extreme(_flat(values), starts, window, False).reshape(values.shape)


def slope(y: Floats, x: Floats, starts: Offsets, window: int, *, min_count: int) -> Floats:
    """Slope of y on x by least squares, sum((x - mean x)(y - mean y)) / sum((x - mean x)^2), over pairs both present.

    NaN where x does not vary.
    """
    xy, xx, _ = _comoments(_flat(x), _flat(y), starts, window, min_count)
    return _ratio(xy, xx).reshape(y.shape)


def correlation(x: Floats, y: Floats, starts: Offsets, window: int, *, min_count: int) -> Floats:
    """Pearson's r, sum((x - mean x)(y - mean y)) / sqrt(sum((x - mean x)^2) sum((y - mean y)^2)), over pairs.

    NaN where either does not vary.
    """
    xy, xx, yy = _comoments(_flat(x), _flat(y), starts, window, min_count)
    return _ratio(xy, np.sqrt(xx * yy)).reshape(x.shape)


def quantile(values: Floats, starts: Offsets, window: int, share: float, *, min_count: int) -> Floats:
    """The value below which `share` (0 to 1) of the n values lie, interpolated at position share * (n - 1)."""
    return _quantile(_flat(values), starts, (window, min_count), share).reshape(values.shape)


def trend(values: Floats, starts: Offsets, window: int, *, min_count: int) -> tuple[Floats, Floats, Floats]:
    """The straight line through each window by least squares, time counted in steps.

    Returns:
        Its slope per step; R squared, NaN where the values do not vary; the last value less the line at the last
        step, NaN where that value is missing.
    """
    parts = _trend(_flat(values), starts, window, max(min_count, 2))
    return parts[0].reshape(values.shape), parts[1].reshape(values.shape), parts[2].reshape(values.shape)


def _flat(values: Floats) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64).reshape(-1)


def _ratio(over: Floats, under: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(under > 0, over / under, np.nan)


# The kernels run lag by lag and, within a lag, step by step: that inner loop has no dependency from one step to the
# next, so it becomes vector instructions, while each step's own sum still runs from its newest value to its oldest.


@compiled
def _lag(values: Floats, starts: Offsets, steps: int) -> Floats:
    out = np.full(len(values), np.nan)
    for k in range(len(starts) - 1):
        for i in range(starts[k] + steps, starts[k + 1]):
            out[i] = values[i - steps]
    return out


@compiled
def _mean(values: Floats, starts: Offsets, window: int, min_count: int) -> Floats:
    total, count = np.zeros(len(values)), np.zeros(len(values))
    for k in range(len(starts) - 1):
        first, end = starts[k], starts[k + 1]
        for back in range(min(window, end - first)):
            for i in range(first + back, end):
                present = np.isfinite(values[i - back])
                total[i] += values[i - back] if present else 0.0
                count[i] += 1.0 if present else 0.0
        for i in range(first, end):
            total[i] = total[i] / count[i] if count[i] >= max(min_count, 1) else np.nan
    return total


@compiled
def _std(values: Floats, starts: Offsets, window: int, min_count: int) -> Floats:
    centre = _mean(values, starts, window, min_count)
    total, count = np.zeros(len(values)), np.zeros(len(values))
    for k in range(len(starts) - 1):
        first, end = starts[k], starts[k + 1]
        for back in range(min(window, end - first)):
            for i in range(first + back, end):
                present = np.isfinite(values[i - back])
                off = values[i - back] - centre[i] if present else 0.0
                total[i] += off * off
                count[i] += 1.0 if present else 0.0
        for i in range(first, end):
            total[i] = np.sqrt(total[i] / (count[i] - 1.0)) if count[i] >= min_count else np.nan
    return total


@compiled
def _extreme(values: Floats, starts: Offsets, window: int, is_highest: bool) -> Floats:
    """By doubling the span: the extreme of 2 s values is that of two spans of s. No rounding, so any order will do."""
    sign = 1.0 if is_highest else -1.0
    best = np.empty(len(values))
    for i in range(len(values)):
        best[i] = sign * values[i] if np.isfinite(values[i]) else -np.inf
    longest = 0
    for k in range(len(starts) - 1):
        longest = max(longest, starts[k + 1] - starts[k])
    before = np.empty(longest)
    for k in range(len(starts) - 1):
        first, length = starts[k], starts[k + 1] - starts[k]
        span = 1
        while span < min(window, length):
            step = min(span, window - span)
            for i in range(length):
                before[i] = best[first + i]
            for i in range(step, length):
                other = before[i - step]
                best[first + i] = other if other > before[i] else before[i]
            span += step
    for i in range(len(values)):
        best[i] = sign * best[i] if best[i] > -np.inf else np.nan
    return best


@compiled
def _comoments(x: Floats, y: Floats, starts: Offsets, window: int, min_count: int) -> tuple[Floats, Floats, Floats]:
    """Sums of products about the means of the pairs present: xy, xx and yy."""
    n = len(x)
    count, mean_x, mean_y = np.zeros(n), np.zeros(n), np.zeros(n)
    xy, xx, yy = np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(len(starts) - 1):
        first, end = starts[k], starts[k + 1]
        for back in range(min(window, end - first)):
            for i in range(first + back, end):
                present = np.isfinite(x[i - back]) & np.isfinite(y[i - back])
                mean_x[i] += x[i - back] if present else 0.0
                mean_y[i] += y[i - back] if present else 0.0
                count[i] += 1.0 if present else 0.0
        for i in range(first, end):
            enough = count[i] >= max(min_count, 1)
            mean_x[i] = mean_x[i] / count[i] if enough else np.nan
            mean_y[i] = mean_y[i] / count[i] if enough else np.nan
        for back in range(min(window, end - first)):
            for i in range(first + back, end):
                present = np.isfinite(x[i - back]) & np.isfinite(y[i - back])
                off_x = x[i - back] - mean_x[i] if present else 0.0
                off_y = y[i - back] - mean_y[i] if present else 0.0
                xy[i] += off_x * off_y
                xx[i] += off_x * off_x
                yy[i] += off_y * off_y
        for i in range(first, end):
            if not count[i] >= max(min_count, 1):
                xy[i] = xx[i] = yy[i] = np.nan
    return xy, xx, yy


@compiled
def _quantile(values: Floats, starts: Offsets, bounds: tuple[int, int], share: float) -> Floats:
    """A sorted window, in which each step replaces the value that leaves by the one that comes."""
    window, min_count = bounds
    out = np.full(len(values), np.nan)
    ordered = np.empty(window + 1)
    for k in range(len(starts) - 1):
        first, n = starts[k], 0
        for i in range(first, starts[k + 1]):
            leaving = values[i - window] if i - window >= first else np.nan
            if np.isfinite(leaving):
                at = np.searchsorted(ordered[:n], leaving)
                for j in range(at, n - 1):
                    ordered[j] = ordered[j + 1]
                n -= 1
            if np.isfinite(values[i]):
                at = n
                while at > 0 and ordered[at - 1] > values[i]:
                    ordered[at] = ordered[at - 1]
                    at -= 1
                ordered[at] = values[i]
                n += 1
            if n >= max(min_count, 1):
                position = share * (n - 1)
                low = int(position)
                high = min(low + 1, n - 1)
                out[i] = ordered[low] + (position - low) * (ordered[high] - ordered[low])
    return out


@compiled
def _trend(values: Floats, starts: Offsets, window: int, min_count: int) -> tuple[Floats, Floats, Floats]:
    n = len(values)
    count, mean_t, mean_y = np.zeros(n), np.zeros(n), np.zeros(n)
    ty, tt, yy = np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(len(starts) - 1):
        first, end = starts[k], starts[k + 1]
        for back in range(min(window, end - first)):
            for i in range(first + back, end):
                present = np.isfinite(values[i - back])
                mean_y[i] += values[i - back] if present else 0.0
                mean_t[i] -= back if present else 0.0
                count[i] += 1.0 if present else 0.0
        for i in range(first, end):
            mean_y[i] = mean_y[i] / count[i] if count[i] >= min_count else np.nan
            mean_t[i] = mean_t[i] / count[i] if count[i] >= min_count else np.nan
        for back in range(min(window, end - first)):
            for i in range(first + back, end):
                present = np.isfinite(values[i - back])
                off_t = -back - mean_t[i] if present else 0.0
                off_y = values[i - back] - mean_y[i] if present else 0.0
                ty[i] += off_t * off_y
                tt[i] += off_t * off_t
                yy[i] += off_y * off_y
    for i in range(n):
        if count[i] >= min_count:
            gradient = ty[i] / tt[i]
            # The line passes through the means; time is counted back from the last step, which stands at 0.
            mean_y[i] = values[i] - mean_y[i] + gradient * mean_t[i] if np.isfinite(values[i]) else np.nan
            yy[i] = ty[i] * ty[i] / (tt[i] * yy[i]) if yy[i] > 0 else np.nan
            tt[i] = gradient
        else:
            tt[i] = yy[i] = mean_y[i] = np.nan
    return tt, yy, mean_y
