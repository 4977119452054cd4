"""The factors of a macro panel as published work estimates them, from raw levels to named factors.

Each series is transformed by its code, wild values are set missing, the sample is cut, and principal components are
completed by EM. Outliers are judged over the whole panel, before the sample is cut, as the published replications do.
Invariant: nothing but the levels, codes and months given enters. In an estimate, a series that cannot take part is an
error that names it; month by month in `scores_as_known`, where series begin, those too short are left out and counted.
Partners: `models/transforms.py`, `models/pca.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import base, pca, transforms

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Months = npt.NDArray[np.datetime64]

# McCracken and Ng (2016), section 3: the monthly sample begins in 1960:3, because second differences of logs need two
# months and many series begin in 1960. FRED-QD stamps 1960Q1 with its last month, which is the same one.
PAPERS_START = np.datetime64("1960-03", "M")

# The last months of a file lack what is not published yet. With one series in a hundred let go, the sample of FRED-MD
# 2015-05 ends in 2014-12 and that of FRED-QD 2020-04 in 2019Q4, as the papers' do.
MOST_UNPUBLISHED = 0.01

# A series that is silent for the whole last year of a file was discontinued; waiting for it would end the sample there.
PERIODS_PER_YEAR = {"M": 12, "Q": 4}

# Completion of fifty years with late beginners takes EM up to some hundred rounds; the authors' fifty stop it short.
MOST_ITERATIONS = 1000

N_NAMING = 3

# Below two years a monthly series says more about those years than about itself.
FEWEST_VALUES = 24


@dataclass(frozen=True, slots=True)
class MacroFactors:
    """What an estimate rests on and what it found.

    Args:
        names: (n_names,) of the series.
        months: (n_dates,) datetime64[M], the sample.
        panel: (n_dates, n_names) transformed, outliers and what was not published NaN.
        n_outliers: values set missing as outliers, over the whole panel given.
        model: the fit; its `factor_scores_` are the standardised, completed panel times unit-length loadings.
        factor_names: (n_factors,) each made of the series of highest marginal R2.
    """

    names: tuple[str, ...]
    months: Months
    panel: Floats
    n_outliers: int
    model: pca.FactorPCA
    factor_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Levels:
    """A macro panel as published: untransformed, on a regular grid or with periods left out.

    Args:
        names: (n_names,) of the series.
        months: (n_dates,) datetime64[M], ascending, one per period.
        values: (n_dates, n_names) float64, NaN where missing.
        codes: (n_names,) FRED-MD transform codes.
        frequency: `M` or `Q`.
    """

    names: tuple[str, ...]
    months: Months
    values: Floats
    codes: npt.NDArray[np.int64]
    frequency: str


def estimate(
    levels: Levels,
    *,
    n_factors: int | None = None,
    criterion: str = "pcp2",
    start: np.datetime64 | None = None,
    end: np.datetime64 | None = None,
) -> MacroFactors:
    """The factors of a macro panel.

    Args:
        levels: the panel as published.
        n_factors: number of factors; None selects at most eight by the criterion.
        criterion: rule of `models/selection.py`.
        start, end: first and last month of the sample. By default it is the papers': from 1960-03, or two periods after
            the panel's first when that is later, to the last period for which all but one in a hundred series are out.

    Returns:
        The factors and the panel they came from.

    Raises:
        ModelError: a series without two different values in the sample, more factors than the panel can have, or what
            `transforms` refuses; the message names the series and what to do.

    Source:
        McCracken and Ng (2016), FRED-MD: A Monthly Database for Macroeconomic Research, JBES 34(4), sections 2 and 3.
    """
    months, panel, n_outliers = stationary(levels)
    sample = _sample(months, start, end if end is not None else _last_published(levels))
    months, panel = months[sample], panel[sample]
    _refuse_still_series(levels, months, panel)
    _refuse_short(n_factors, panel)
    model = pca.FactorPCA(n_factors=n_factors, criterion=criterion, max_iterations=MOST_ITERATIONS).fit(panel)
    return MacroFactors(levels.names, months, panel, n_outliers, model, name_factors(model.marginal_r2_, levels.names))


def stationary(levels: Levels) -> tuple[Months, Floats, int]:
    """The panel transformed by its codes on a regular grid, without wild values.

    Returns:
        (n_periods,) every period from first to last, (n_periods, n_names) values, and how many outliers were removed.

    Raises:
        ModelError: a code that is not known, or periods that are no regular grid.
    """
    months, values = transforms.regular_grid(levels.months, levels.values, levels.frequency)
    panel, n_outliers = transforms.remove_outliers(transforms.apply_transform(values, levels.codes))
    return months, panel, n_outliers


def scores_as_known(months: Months, transformed: Floats, *, n_factors: int = 8) -> Floats:
    """Factor scores by month, from the rows given alone: wild values judged, columns chosen and EM run on them.

    Args:
        months: (n_dates,) of the rows, the last one being the last known.
        transformed: (n_dates, n_names) as `transforms.apply_transform` gives it, cut at the last month known.
        n_factors: factors that complete the holes; McCracken and Ng (2016) find eight.

    Returns:
        (n_dates, n_factors), NaN before the papers' sample; a series with fewer than `FEWEST_VALUES` values in it takes
        no part. The last rows are of completed series where not all are out yet.

    Raises:
        ModelError: more factors than the panel has; pass a longer or wider one.
    """
    cleaned, _ = transforms.remove_outliers(transformed)
    begin = int(np.searchsorted(months, PAPERS_START))
    sample = cleaned[begin:]
    # Two different values at least: a series that is still has nothing to say.
    spread = np.nanmax(np.where(np.isnan(sample), -np.inf, sample), axis=0) > np.nanmin(
        np.where(np.isnan(sample), np.inf, sample), axis=0
    )
    takes_part = (np.isfinite(sample).sum(axis=0) >= FEWEST_VALUES) & spread
    if not takes_part.all():
        log.info("series left out as too short n_series=%s last=%s", int((~takes_part).sum()), months[-1])
    model = pca.FactorPCA(n_factors=n_factors, max_iterations=MOST_ITERATIONS).fit(sample[:, takes_part])
    scores = np.full((len(months), n_factors), np.nan)
    scores[begin:] = model.factor_scores_
    return scores


def name_factors(marginal_r2: Floats, names: tuple[str, ...], n_series: int = N_NAMING) -> tuple[str, ...]:
    """A name for each factor: its series of highest marginal R2, the highest first, joined by slashes.

    Args:
        marginal_r2: (n_names, n_factors).
        names: (n_names,) of the series.
        n_series: how many series make a name.

    Returns:
        (n_factors,) names such as `USGOOD/PAYEMS/MANEMP`; of equals, the one that stands first in the panel comes
        first.

    Raises:
        ModelError: another number of names than of rows; pass one per series.
    """
    if len(names) != len(marginal_r2):
        raise base.ModelError(f"{len(names)} names for {len(marginal_r2)} rows of marginal R2. Pass one per series.")
    order = np.argsort(-marginal_r2, axis=0, kind="stable")[:n_series]
    return tuple("/".join(names[row] for row in column) for column in order.T)


def _sample(months: Months, start: np.datetime64 | None, end: np.datetime64) -> slice:
    # Second differences lose two periods.
    first = max(PAPERS_START, months[min(2, len(months) - 1)]) if start is None else start
    begin, stop = int(np.searchsorted(months, first)), int(np.searchsorted(months, end, side="right"))
    if stop - begin < 2:
        raise base.ModelError(
            f"{len(months)} periods from {months[0]} to {months[-1]} leave {max(stop - begin, 0)} in the sample from "
            f"{first} to {end}. Pass a longer panel, or name another first and last month."
        )
    return slice(begin, stop)


def _last_published(levels: Levels) -> np.datetime64:
    """The last period that all but a few of the series still published have reached, outliers counted as published."""
    is_present = ~np.isnan(levels.values)
    is_running = is_present[-PERIODS_PER_YEAR[levels.frequency] :].any(axis=0)
    share_out = is_present[:, is_running].mean(axis=1) if is_running.any() else np.ones(len(is_present))
    whole = np.flatnonzero(share_out >= 1.0 - MOST_UNPUBLISHED)
    return levels.months[whole[-1] if len(whole) else -1]


def _refuse_still_series(levels: Levels, months: Months, panel: Floats) -> None:
    is_present = ~np.isnan(panel)
    lowest = np.where(is_present, panel, np.inf).min(axis=0)
    highest = np.where(is_present, panel, -np.inf).max(axis=0)
    still = np.flatnonzero(~(highest > lowest))
    if len(still):
        named = [f"{levels.names[at]} ({int(is_present[:, at].sum())} values, code {levels.codes[at]})" for at in still]
        raise base.ModelError(
            f"series {', '.join(named[:5])}{' and more' if len(named) > 5 else ''} of {len(levels.names)} have no two "
            f"different values from {months[0]} to {months[-1]} after their transform. Leave those columns out, or "
            "correct their transform codes."
        )


def _refuse_short(n_factors: int | None, panel: Floats) -> None:
    # Centring takes one dimension away, and one eigenvalue must be left over.
    most = min(len(panel) - 1, panel.shape[1])
    if n_factors is not None and n_factors > most:
        raise base.ModelError(
            f"{n_factors} factors asked of {len(panel)} periods of {panel.shape[1]} series, which have at most {most}. "
            "Ask for fewer factors, or pass a longer or wider panel."
        )
