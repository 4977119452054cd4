"""How well does one macro factor forecast, on a single file and on the vintages as each stood on its day?

The first half repeats McCracken and Ng's recursive comparison on one file; the second makes each forecast from nothing
but the vintage of its month, and judges it by what was published first and by the last vintage there is. Partners:
`models/diffusion.py` makes the forecasts, `flows/macro_study_page.py` the page.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import base, diffusion, evaluation, macro_factors, nested, transforms
from models.macro_factors import Levels
from warehouse import errors, fredmd, macro_file
from warehouse.whole_vintages import Vintage

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Months = npt.NDArray[np.datetime64]

TARGETS = ("INDPRO", "PAYEMS", "UNRATE", "CPIAUCSL")
HORIZONS = (1, 3, 6, 12)
# McCracken and Ng (2016), section 5: outcomes from 1990:1, the sample of the file to 2014:12.
FIRST_OUTCOME, LAST_OUTCOME = np.datetime64("1990-01", "M"), np.datetime64("2014-12", "M")

# Every forecast uses the first factor of eight, as the published comparison does.
N_FACTORS, N_USED = 8, 1
# So many months of a target must be there before a forecast: six lags of a second difference, and a year of sense.
MONTHS_BACK = 18
# A crisis of a year is in the outcome of every origin of it and of the h months before. The mean chooses it, so that
# both rivals lose the same months.
WORST_MONTHS = 12

Progress = Callable[[str, int, int], None]
Key = tuple[str, int]


@dataclass
class Made:
    """Forecasts of one target at one horizon beside what came, in time.

    Args:
        months: the origin of each: the last month of the series that was known.
        forecasts: what was forecast.
        outcomes: by way of judging, what came.
    """

    months: list[np.datetime64] = field(default_factory=list)
    forecasts: list[diffusion.Forecasts] = field(default_factory=list)
    outcomes: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of the page.

    Args:
        target, horizon: what was forecast, and how many months ahead.
        judged_by: which outcomes.
        n_forecasts, first, last: how many, and the months of the first and last origin.
        rmse: of the benchmark, in the unit of the outcome.
        ratio, ratio_to_mean: mean squared error of the diffusion index over the benchmark's, and over that of the mean.
        ratio_ex_worst: `ratio` without the worst months.
        dm_p_value: two-sided, Diebold and Mariano against the benchmark.
        cw_p_value: one-sided, Clark and West against the benchmark.
    """

    target: str
    horizon: int
    judged_by: str
    n_forecasts: int
    first: str
    last: str
    rmse: float
    ratio: float
    ratio_to_mean: float
    ratio_ex_worst: float
    dm_p_value: float
    cw_p_value: float


def study_file(path: Path, progress: Progress) -> list[Comparison]:
    """The comparison on one file, every origin with the rows up to it, outcomes from 1990 to 2014.

    Raises:
        ConfigError, ContractViolation: the file is not there, or is not of FRED-MD form.
        ModelRefused: it lacks a target, or has too little history.
    """
    read = macro_file.read_macro_file(path)
    levels = Levels(read.names, read.months, read.values, read.codes, read.frequency)
    with _refusing(path):
        return _compare(forecast_rows(levels, (FIRST_OUTCOME, LAST_OUTCOME), progress))


def forecast_rows(levels: Levels, outcomes: tuple[np.datetime64, np.datetime64], progress: Progress) -> dict[Key, Made]:
    """Forecasts from one panel, each from the rows up to its origin, beside the outcomes of the same panel.

    Args:
        levels: the panel as published.
        outcomes: first and last month of the outcomes.
        progress: told of every origin.

    Raises:
        ModelError: the panel lacks a target, or has too little history.
    """
    months, values = transforms.regular_grid(levels.months, levels.values, levels.frequency)
    transformed = transforms.apply_transform(values, levels.codes)
    made: dict[Key, Made] = {(target, h): Made(outcomes={FILE_JUDGE: []}) for target in TARGETS for h in HORIZONS}
    start, end = (int(np.searchsorted(months, month)) for month in outcomes)
    origins = range(start - max(HORIZONS), end)
    for origin in origins:
        upto = slice(0, origin + 1)
        scores = macro_factors.scores_as_known(months[upto], transformed[upto], n_factors=N_FACTORS)[:, :N_USED]
        for (target, horizon), one in made.items():
            if start <= origin + horizon <= end:
                at = _position(levels.names, target)
                outcome = diffusion.outcome_by_origin(values[:, at], int(levels.codes[at]), horizon)
                one.months.append(months[origin])
                one.forecasts.append(diffusion.forecast(outcome[upto], transformed[upto, at], scores, horizon=horizon))
                one.outcomes[FILE_JUDGE].append(float(outcome[origin]))
        progress("one file", origin - origins.start + 1, len(origins))
    return made


def study_vintages(path: Path, progress: Progress) -> list[Comparison]:
    """The comparison in real time: each forecast from its own vintage, judged by the first and by the last vintage.

    Raises:
        ConfigError, ContractViolation: there are no vintages, or one is broken.
        ModelRefused: too little history.
    """
    vintages = list(fredmd.read_vintages(path))
    with _refusing(path):
        return _compare(forecast_vintages(vintages, progress))


def forecast_vintages(vintages: Sequence[Vintage], progress: Progress) -> dict[Key, Made]:
    """Forecasts from each vintage by itself, beside the outcomes as first published and as the last vintage has them.

    Args:
        vintages: in time.
        progress: told of every vintage.

    Raises:
        ModelError: a vintage lacks a target, or has too little history.
    """
    made: dict[Key, Made] = {(target, h): Made() for target in TARGETS for h in HORIZONS}
    published = _Published()
    for number, levels in enumerate(_levels_of(vintages)):
        published.add(levels)
        _forecast_vintage(levels, vintages[number].name, made)
        progress("vintages", number + 1, len(vintages))
    for (target, horizon), one in made.items():
        one.outcomes = {
            judge: [published.outcome(judge, target, month, horizon) for month in one.months] for judge in JUDGES
        }
    return made


FILE_JUDGE = "the file"
JUDGES = FIRST_JUDGE, LAST_JUDGE = ("first published", "last vintage")


class _Published:
    """Outcomes by target, horizon and origin: as first published, and as the last vintage has them."""

    def __init__(self) -> None:
        self.found: dict[str, dict[tuple[str, int, np.datetime64], float]] = {FIRST_JUDGE: {}, LAST_JUDGE: {}}

    def add(self, levels: Levels) -> None:
        """Note the outcomes of the next vintage in time."""
        months, values = transforms.regular_grid(levels.months, levels.values, levels.frequency)
        for target in TARGETS:
            at = _position(levels.names, target)
            for horizon in HORIZONS:
                outcome = diffusion.outcome_by_origin(values[:, at], int(levels.codes[at]), horizon)
                for position in np.flatnonzero(np.isfinite(outcome)).tolist():
                    key = (target, horizon, months[position])
                    self.found[FIRST_JUDGE].setdefault(key, float(outcome[position]))
                    self.found[LAST_JUDGE][key] = float(outcome[position])

    def outcome(self, judge: str, target: str, month: np.datetime64, horizon: int) -> float:
        """What came of an origin; NaN where no vintage tells."""
        return self.found[judge].get((target, horizon, month), float("nan"))


def _levels_of(vintages: Sequence[Vintage]) -> Iterator[Levels]:
    """Each vintage as a panel; where its codes are not known, those of the vintage before it."""
    codes: dict[str, int] = {}
    for vintage in vintages:
        codes |= vintage.transform_codes
        kept = [at for at, name in enumerate(vintage.series) if name in codes]
        if len(kept) < len(vintage.series):
            log.warning("series without a code left out vintage=%s n=%s", vintage.name, len(vintage.series) - len(kept))
        names = tuple(vintage.series[at].removeprefix(fredmd.ARCHIVE) for at in kept)
        of_kept = np.array([codes[vintage.series[at]] for at in kept], np.int64)
        yield Levels(names, vintage.dates.astype("datetime64[M]"), vintage.values[:, kept], of_kept, "M")


def _forecast_vintage(levels: Levels, name: str, made: Mapping[Key, Made]) -> None:
    months, values = transforms.regular_grid(levels.months, levels.values, levels.frequency)
    transformed = transforms.apply_transform(values, levels.codes)
    scores = macro_factors.scores_as_known(months, transformed, n_factors=N_FACTORS)[:, :N_USED]
    for (target, horizon), one in made.items():
        at = _position(levels.names, target)
        # The newest month of the target; the factor is there in every month, completed where series are not out yet.
        last = int(np.flatnonzero(np.isfinite(transformed[:, at]))[-1])
        if not np.isfinite(transformed[last - MONTHS_BACK : last + 1, at]).all():
            log.info("no forecast: a month is missing near the end vintage=%s series=%s", name, target)
            continue
        upto = slice(0, last + 1)
        outcome = diffusion.outcome_by_origin(values[:, at], int(levels.codes[at]), horizon)
        one.months.append(months[last])
        one.forecasts.append(diffusion.forecast(outcome[upto], transformed[upto, at], scores[upto], horizon=horizon))


def _compare(made: Mapping[Key, Made]) -> list[Comparison]:
    rows = []
    for (target, horizon), one in made.items():
        for judge, outcomes in one.outcomes.items():
            came = np.array(outcomes)
            # Two vintages may end with the same month; the later one would count its news twice.
            months = np.array(one.months)
            is_first = np.concatenate([[True], months[1:] != months[:-1]]) & np.isfinite(came)
            if is_first.sum() > 2 * (WORST_MONTHS + horizon):
                kept = [forecast for forecast, wanted in zip(one.forecasts, is_first, strict=True) if wanted]
                rows.append(_compare_one((target, horizon), judge, months[is_first], kept, came[is_first]))
    return rows


def _compare_one(key: Key, judge: str, months: Months, made: Sequence[diffusion.Forecasts], came: Floats) -> Comparison:
    target, horizon = key
    mean, alone, together = (
        np.array([getattr(one, name) for one in made]) for name in ("mean", "autoregression", "diffusion")
    )
    loss = {name: (came - one) ** 2 for name, one in (("mean", mean), ("alone", alone), ("together", together))}
    is_calm = _outside_worst(loss["mean"], WORST_MONTHS + horizon)
    return Comparison(
        target,
        horizon,
        judge,
        len(came),
        str(months[0]),
        str(months[-1]),
        float(np.sqrt(loss["alone"].mean())),
        float(loss["together"].mean() / loss["alone"].mean()),
        float(loss["together"].mean() / loss["mean"].mean()),
        float(loss["together"][is_calm].mean() / loss["alone"][is_calm].mean()),
        evaluation.diebold_mariano(loss["together"], loss["alone"], horizon).p_value,
        nested.clark_west(came, alone, together, horizon).p_value,
    )


def _outside_worst(loss: Floats, n_months: int) -> npt.NDArray[np.bool_]:
    """Which forecasts are outside the run of months over which the mean's losses add up to most."""
    start = int(np.convolve(loss, np.ones(n_months), mode="valid").argmax())
    is_calm = np.ones(len(loss), dtype=bool)
    is_calm[start : start + n_months] = False
    return is_calm


def _position(names: Sequence[str], target: str) -> int:
    if target not in names:
        raise base.ModelError(f"series {target} is not among the {len(names)} of the panel. Pass a panel that has it.")
    return names.index(target)


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What a model refuses, with the file it was read from."""
    try:
        yield
    except base.ModelError as exc:
        raise errors.ModelRefused(f"{path}: {exc}") from exc
