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

compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


def starts_of_rows(shape: tuple[int, int]) -> Offsets:
    """`starts` for a matrix laid out row by row, each row a series."""
    n_rows, n_columns = shape
    return np.arange(n_rows + 1, dtype=np.int64) * n_columns


def lag(values: Floats, starts: Offsets, steps: int) -> Floats:
    """The value `steps` before in the same series, x[t - steps]; NaN where there is none."""
    return _lag(_flat(values), starts, steps).reshape(values.shape)


def change(values: Floats, starts: Offsets, steps: int) -> Floats:
    """The value less that of `steps` before in the same series, x[t] - x[t - steps]; NaN where there is none."""
    return _change(_flat(values), starts, steps).reshape(values.shape)


def mean(values: Floats, starts: Offsets, window: int, *, min_count: int) -> Floats:
    """Sum of the values present over their number n."""
    return _mean(_flat(values), starts, window, min_count).reshape(values.shape)


def std(values: Floats, starts: Offsets, window: int, *, min_count: int) -> Floats:
    """Sample standard deviation, sqrt(sum((x - mean)^2) / (n - 1)), in two passes; NaN for a single value."""
    return _std(_flat(values), starts, window, max(min_count, 2)).reshape(values.shape)


def highest(values: Floats, starts: Offsets, window: int, *, min_count: int = 1) -> Floats:
    """The largest value present; NaN by default only where none is."""
    found = _extreme(_flat(values), starts, window, True)
    if min_count > 1:
        _blank_few(found, _flat(values), starts, (window, min_count))
    return found.reshape(values.shape)


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


# The kernels run lag by lag and, within a lag, step by step over slices of equal length: that inner loop has no
# dependency from one step to the next and no index that could be negative, so it becomes vector instructions, while
# each step's own sum still runs from its newest value to its oldest. A missing value stands as 0 with weight 0.


@compiled
def _lag(values: Floats, starts: Offsets, steps: int) -> Floats:
    out = np.full(len(values), np.nan)
    for k in range(len(starts) - 1):
        to, of = out[starts[k] + steps : starts[k + 1]], values[starts[k] : starts[k + 1]]
        for i in range(len(to)):
            to[i] = of[i]
    return out


@compiled
def _change(values: Floats, starts: Offsets, steps: int) -> Floats:
    out = np.full(len(values), np.nan)
    for k in range(len(starts) - 1):
        first, end = starts[k] + steps, starts[k + 1]
        if first < end:
            to, now, before = out[first:end], values[first:end], values[starts[k] : end - steps]
            for i in range(len(to)):
                to[i] = now[i] - before[i]
    return out


@compiled
def _weighted(values: Floats) -> tuple[Floats, Floats]:
    """One series with 0 for what is missing, and its weights: 1 where a value is present."""
    clean, weight = np.zeros(len(values)), np.zeros(len(values))
    for i in range(len(values)):
        if np.isfinite(values[i]):
            clean[i], weight[i] = values[i], 1.0
    return clean, weight


@compiled
def _counts(weight: Floats, window: int) -> Floats:
    """How many values of each window of one series are present; whole numbers, so a running sum is exact."""
    out, total = np.empty(len(weight)), 0.0
    for i in range(len(weight)):
        total += weight[i]
        if i >= window:
            total -= weight[i - window]
        out[i] = total
    return out


@compiled
def _means(values: Floats, count: Floats, window: int, min_count: int) -> Floats:
    """Of one series whose missing values are 0."""
    n = len(values)
    out = np.zeros(n)
    for back in range(min(window, n)):
        to, of = out[back:], values[: n - back]
        for i in range(len(to)):
            to[i] += of[i]
    for i in range(n):
        out[i] = out[i] / count[i] if count[i] >= max(min_count, 1) else np.nan
    return out


@compiled
def _products(x: Floats, y: Floats, weight: Floats, centres: tuple[Floats, Floats], window: int) -> Floats:
    """Sums of (x - mean x)(y - mean y) over the values present in each window of one series."""
    n = len(x)
    out = np.zeros(n)
    for back in range(min(window, n)):
        to, mean_x, mean_y = out[back:], centres[0][back:], centres[1][back:]
        of_x, of_y, present = x[: n - back], y[: n - back], weight[: n - back]
        for i in range(len(to)):
            to[i] += (of_x[i] - mean_x[i]) * (of_y[i] - mean_y[i]) * present[i]
    return out


@compiled
def _mean(values: Floats, starts: Offsets, window: int, min_count: int) -> Floats:
    out = np.empty(len(values))
    for k in range(len(starts) - 1):
        clean, weight = _weighted(values[starts[k] : starts[k + 1]])
        out[starts[k] : starts[k + 1]] = _means(clean, _counts(weight, window), window, min_count)
    return out


@compiled
def _std(values: Floats, starts: Offsets, window: int, min_count: int) -> Floats:
    out = np.empty(len(values))
    for k in range(len(starts) - 1):
        clean, weight = _weighted(values[starts[k] : starts[k + 1]])
        count = _counts(weight, window)
        centre = _means(clean, count, window, min_count)
        squares = _products(clean, clean, weight, (centre, centre), window)
        to = out[starts[k] : starts[k + 1]]
        for i in range(len(to)):
            # Where too few are present the centre is NaN, and so is all that follows.
            to[i] = np.sqrt(squares[i] / (count[i] - 1.0))
    return out


@compiled
def _extreme(values: Floats, starts: Offsets, window: int, is_highest: bool) -> Floats:
    """By doubling the span: the extreme of 2 s values is that of two spans of s. No rounding, so any order will do."""
    sign = 1.0 if is_highest else -1.0
    out = np.empty(len(values))
    for k in range(len(starts) - 1):
        of = values[starts[k] : starts[k + 1]]
        best, span = np.empty(len(of)), 1
        for i in range(len(of)):
            best[i] = sign * of[i] if np.isfinite(of[i]) else -np.inf
        while span < min(window, len(of)):
            step = min(span, window - span)
            before = best.copy()
            to, of_older = best[step:], before[: len(of) - step]
            for i in range(len(to)):
                to[i] = of_older[i] if of_older[i] > to[i] else to[i]
            span += step
        result = out[starts[k] : starts[k + 1]]
        for i in range(len(of)):
            result[i] = sign * best[i] if best[i] > -np.inf else np.nan
    return out


@compiled
def _blank_few(found: Floats, values: Floats, starts: Offsets, bounds: tuple[int, int]) -> None:
    """Set missing what was found in windows with too few values present."""
    window, min_count = bounds
    for k in range(len(starts) - 1):
        _, weight = _weighted(values[starts[k] : starts[k + 1]])
        count, out = _counts(weight, window), found[starts[k] : starts[k + 1]]
        for i in range(len(out)):
            if count[i] < min_count:
                out[i] = np.nan


@compiled
def _comoments(x: Floats, y: Floats, starts: Offsets, window: int, min_count: int) -> tuple[Floats, Floats, Floats]:
    """Sums of products about the means of the pairs present: xy, xx and yy."""
    xy, xx, yy = np.empty(len(x)), np.empty(len(x)), np.empty(len(x))
    for k in range(len(starts) - 1):
        here = slice(starts[k], starts[k + 1])
        (clean_x, weight), (clean_y, weight_y) = _weighted(x[here]), _weighted(y[here])
        for i in range(len(weight)):
            weight[i] *= weight_y[i]
            clean_x[i] *= weight[i]
            clean_y[i] *= weight[i]
        count = _counts(weight, window)
        mean_x = _means(clean_x, count, window, min_count)
        mean_y = _means(clean_y, count, window, min_count)
        xy[here] = _products(clean_x, clean_y, weight, (mean_x, mean_y), window)
        xx[here] = _products(clean_x, clean_x, weight, (mean_x, mean_x), window)
        yy[here] = _products(clean_y, clean_y, weight, (mean_y, mean_y), window)
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
                at = 0
                while ordered[at] < leaving:
                    at += 1
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
    slopes, shares, rests = np.empty(len(values)), np.empty(len(values)), np.empty(len(values))
    for k in range(len(starts) - 1):
        here = slice(starts[k], starts[k + 1])
        clean, weight = _weighted(values[here])
        count = _counts(weight, window)
        centre = _means(clean, count, window, min_count)
        mean_t, ty, tt, yy = _moments_in_time(clean, weight, count, centre, window)
        slope, share, rest = slopes[here], shares[here], rests[here]
        for i in range(len(slope)):
            slope[i] = ty[i] / tt[i]
            share[i] = ty[i] * ty[i] / (tt[i] * yy[i]) if yy[i] > 0 else np.nan
            # The line passes through the means; time is counted back from the last step, which stands at 0.
            rest[i] = clean[i] - centre[i] + slope[i] * mean_t[i] if weight[i] > 0 else np.nan
    return slopes, shares, rests


@compiled
def _moments_in_time(
    values: Floats, weight: Floats, count: Floats, centre: Floats, window: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean of time over the values present, and the sums of products about the means: ty, tt, yy; of one series."""
    n = len(values)
    mean_t, ty, tt, yy = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for back in range(min(window, n)):
        to, present = mean_t[back:], weight[: n - back]
        for i in range(len(to)):
            to[i] -= back * present[i]
    for i in range(n):
        mean_t[i] = mean_t[i] / max(count[i], 1.0)
    for back in range(min(window, n)):
        to_ty, to_tt, to_yy, mean_of_t, mean_of_y = ty[back:], tt[back:], yy[back:], mean_t[back:], centre[back:]
        of, present = values[: n - back], weight[: n - back]
        for i in range(len(to_ty)):
            off_t = (-back - mean_of_t[i]) * present[i]
            off_y = (of[i] - mean_of_y[i]) * present[i]
            to_ty[i] += off_t * off_y
            to_tt[i] += off_t * off_t
            to_yy[i] += off_y * off_y
    return mean_t, ty, tt, yy
