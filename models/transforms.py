"""How does a raw series become one that a factor model may read: stationary, on a regular grid, without wild values?

Invariant: a value that cannot be computed from its own period and the periods just before it is NaN. Nothing is shifted
across a hole, so a difference is always over exactly one period, and no later row changes an earlier transform.
Partner: `models/pca.py`, which completes the holes left here.
"""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from models import base

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Months = npt.NDArray[np.datetime64]

TRANSFORM_CODES = (1, 2, 3, 4, 5, 6, 7)
LOG_CODES = (4, 5, 6)

MONTHS_PER_PERIOD = {"M": 1, "Q": 3}
DAYS_PER_WEEK = 7

# McCracken and Ng (2016), section 3.1: an outlier is further than ten interquartile ranges from the median.
OUTLIER_IQRS = 10.0


def apply_transform(values: npt.ArrayLike, code: int | npt.ArrayLike) -> Floats:
    """The values under their FRED-MD transform codes, as long as the input and NaN where a term is missing.

    1 level, 2 first difference, 3 second difference, 4 log, 5 first difference of log, 6 second difference of log,
    7 first difference of the simple growth rate.

    Args:
        values: (n_dates,) or (n_dates, n_series) float64 on a regular grid, oldest first, NaN where missing. Use
            `regular_grid` first: consecutive rows are taken to be consecutive periods.
        code: one code, or for a matrix one per series.

    Returns:
        Same shape. The first one (codes 2, 5) or two (codes 3, 6, 7) rows are NaN, and so is every row whose difference
        would reach across a hole. A value that is not positive has no logarithm: it is treated as missing, and the
        number of such values is logged as a warning; `count_without_log` gives it for a report.

    Raises:
        ModelError: an unknown code, a shape that does not fit, or an infinite value; correct the call.

    Source:
        McCracken and Ng (2016), FRED-MD: A Monthly Database for Macroeconomic Research, JBES 34(4), appendix.

    Example:
        >>> apply_transform([100.0, 110.0, np.nan, 99.0, 108.9], 2).round(1).tolist()
        [nan, 10.0, nan, nan, 9.9]
    """
    table, codes = _checked_table(values, code)
    n_without_log = count_without_log(table, codes)
    if n_without_log:
        log.warning(
            "values that are not positive have no logarithm and are missing from now on: n_values=%s", n_without_log
        )
    transformed = np.empty_like(table)
    for one in np.unique(codes):
        columns = codes == one
        transformed[:, columns] = _transform(table[:, columns], int(one))
    return transformed.reshape(np.shape(values))


def count_without_log(values: npt.ArrayLike, code: int | npt.ArrayLike) -> int:
    """How many values `apply_transform` loses because a log code meets a value that is not positive.

    Args:
        values: as for `apply_transform`.
        code: as for `apply_transform`.

    Returns:
        Number of values at or below zero in the series of codes 4, 5 and 6.

    Raises:
        ModelError: as `apply_transform`.
    """
    table, codes = _checked_table(values, code)
    return int((table[:, np.isin(codes, LOG_CODES)] <= 0).sum())


def regular_grid(periods: npt.ArrayLike, values: npt.ArrayLike, frequency: str) -> tuple[Months, Floats]:
    """The same series with every missing period present as NaN.

    Args:
        periods: (n_dates,) datetime64, first month of each period, ascending; kept to the month.
        values: (n_dates,) or (n_dates, n_series) float64.
        frequency: `M` or `Q`.

    Returns:
        All periods from the first to the last as datetime64[M], and the values on them; a period that was absent is
        NaN. An empty input stays empty.

    Raises:
        ModelError: periods out of order, repeated or off the quarterly grid, or an unknown frequency; sort or correct
            the input, or name its true frequency.
    """
    months = np.asarray(periods).astype("datetime64[M]")
    table = np.asarray(values, dtype=np.float64)
    if frequency not in MONTHS_PER_PERIOD:
        raise base.ModelError(f"unknown frequency {frequency!r} for a regular grid. Allowed: M, Q. Resample first.")
    if months.shape != table.shape[:1]:
        raise base.ModelError(
            f"{months.shape} periods for values of shape {table.shape}: one period per row is needed. "
            "Pass the two columns of the same rows."
        )
    if not len(months):
        return months, table
    step = MONTHS_PER_PERIOD[frequency]
    offsets = (months - months[0]).astype(np.int64)
    bad = np.flatnonzero((np.diff(offsets) <= 0) | (offsets[1:] % step != 0))
    if len(bad):
        raise base.ModelError(
            f"period {months[bad[0] + 1]} follows {months[bad[0]]}, which is out of order, repeated or off the "
            f"{frequency} grid that starts in {months[0]}. Sort and deduplicate them, or name the true frequency."
        )
    n_periods = int(offsets[-1]) // step + 1
    grid = np.full((n_periods, *table.shape[1:]), np.nan)
    grid[offsets // step] = table
    return months[0] + step * np.arange(n_periods), grid


def on_grid(
    dates: npt.NDArray[np.datetime64], level: npt.NDArray[np.float64], frequency: str
) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    """A series' known values without gaps in time.

    Args:
        dates: (n,) its periods, ascending.
        level: (n,) their values, those not finite as if absent.
        frequency: `W`, `M` or `Q`.

    Returns:
        Every period from the first known to the one after the last, and the values up to the last, NaN in a hole.

    Raises:
        ModelError: no finite value, or dates off the grid of their frequency.
    """
    is_known = np.isfinite(level)
    dates, level = dates[is_known], level[is_known]
    if not len(level):
        raise base.TooFewRows("no value is known. Wait for one.")
    if frequency in MONTHS_PER_PERIOD:
        months, gridded = regular_grid(dates, level, frequency)
        return np.append(months, months[-1] + MONTHS_PER_PERIOD[frequency]), gridded
    # Counted from the newest: before a holiday a survey of Thursdays is dated Wednesday, and days of the week change.
    week = np.round((dates - dates[-1]).astype(int) / DAYS_PER_WEEK).astype(int)
    gridded = np.full(1 - week[0], np.nan)
    # Of two values in a week the later one stays.
    gridded[week - week[0]] = level
    return dates[-1] + DAYS_PER_WEEK * np.arange(week[0], 2), gridded


def remove_outliers(panel: Floats) -> tuple[Floats, int]:
    """The panel with every value further than ten interquartile ranges from its series' median set to NaN.

    The quartiles are of the whole column, so what stood unremarkable may become an outlier when later rows are known,
    and the other way round: cut the panel as of a day before calling.

    Args:
        panel: (n_dates, n_names) float64, NaN where missing.

    Returns:
        A new panel, and how many values were removed. A series whose quartiles coincide keeps all its values: it has no
        spread to measure them by.

    Raises:
        ModelError: the panel is not a matrix; pass one column as (n_dates, 1).

    Source:
        McCracken and Ng (2016), section 3.1; quartiles by the Hazen rule, as in the authors' MATLAB code.
    """
    lower, upper = outlier_bounds(panel)
    panel = np.asarray(panel, dtype=np.float64)
    is_outlier = (panel < lower) | (panel > upper)
    return np.where(is_outlier, np.nan, panel), int(is_outlier.sum())


def outlier_bounds(panel: Floats) -> tuple[Floats, Floats]:
    """The least and the greatest value of each series that are no outliers, as `remove_outliers` judges.

    Args:
        panel: (n_dates, n_names) float64, NaN where missing.

    Returns:
        (n_names,) and (n_names,); infinite for a series without values or without a spread.

    Raises:
        ModelError: the panel is not a matrix; pass one column as (n_dates, 1).
    """
    panel = np.asarray(panel, dtype=np.float64)
    if panel.ndim != 2:
        raise base.ModelError(f"remove_outliers got shape {panel.shape}. Pass (n_dates, n_names).")
    has_values = np.isfinite(panel).any(axis=0)
    quartiles = np.full((3, panel.shape[1]), np.nan)
    if has_values.any():
        quartiles[:, has_values] = np.nanpercentile(panel[:, has_values], [25, 50, 75], axis=0, method="hazen")
    first, median, third = quartiles
    reach = np.where(third > first, OUTLIER_IQRS * (third - first), np.inf)
    return np.where(has_values, median, 0.0) - reach, np.where(has_values, median, 0.0) + reach


def _checked_table(values: npt.ArrayLike, code: int | npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.int64]]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2):
        raise base.ModelError(f"values have shape {array.shape}. Pass (n_dates,) or (n_dates, n_series).")
    if np.isinf(array).any():
        raise base.ModelError(
            f"{int(np.isinf(array).sum())} infinite values in {array.size} to transform. Set them to NaN upstream."
        )
    table = array.reshape(len(array), array.shape[1] if array.ndim == 2 else 1)
    codes = np.asarray(code)
    unknown = sorted(set(codes.ravel().tolist()) - set(TRANSFORM_CODES))
    if unknown:
        raise base.ModelError(f"unknown transform code {unknown[0]!r}. Allowed: {TRANSFORM_CODES}. Correct the code.")
    if codes.shape not in ((), (table.shape[1],)):
        raise base.ModelError(f"codes of shape {codes.shape} for {table.shape[1]} series. Pass one, or one per series.")
    return table, np.broadcast_to(codes.astype(np.int64), (table.shape[1],))


def _transform(table: Floats, code: int) -> Floats:
    if code in LOG_CODES:
        table = np.log(np.where(table > 0, table, np.nan))
    if code == 7:
        previous = _lagged(table)
        table = table / np.where(previous == 0, np.nan, previous) - 1.0
    n_differences = {1: 0, 2: 1, 3: 2, 4: 0, 5: 1, 6: 2, 7: 1}[code]
    for _ in range(n_differences):
        table = table - _lagged(table)
    return table


def _lagged(table: Floats) -> Floats:
    lagged = np.full_like(table, np.nan)
    lagged[1:] = table[:-1]
    return lagged
