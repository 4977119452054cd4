"""What does FRED publish in the synthetic world, and when?

Forty-eight series under their real ids, with numbers of our own: monthly paths driven by three planted factors
(activity, prices, money), read off by day, week, month or quarter, published with a lag and some of them revised once.
Partners: `market.py`, `truth.py`; `market_folder.py` borrows the release lags.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from warehouse.sources import market_calendar
from warehouse.sources.market_bars import Floats
from warehouse.sources.truth import NEVER, MacroSeries, Prints

FIRST_MONTH = date(1990, 1, 1)
FACTOR_PERSISTENCE = (0.75, 0.8, 0.85)
# The government was closed: these never got a value for October 2025 (vendors' own words: not published).
NEVER_PUBLISHED = {series_id: (date(2025, 10, 1),) for series_id in ("CIVPART", "CPIAUCSL", "CPILFESL", "UNRATE")}
# Series whose first print is later replaced; how far off it is, as a fraction.
REVISED = {
    **{"DSPIC96": 0.002, "GDP": 0.002, "GDPC1": 0.002, "HOUST": 0.015, "INDPRO": 0.002, "M2SL": 0.0005},
    **{"PAYEMS": 0.0004, "PCEPI": 0.0003, "PCEPILFE": 0.0003, "PERMIT": 0.01},
}
REVISED_AFTER_DAYS = 30
# An oil price below zero breaks logarithms; this one is ours, on the day of the real one.
NEGATIVE_OIL = (date(2020, 4, 20), "-21.40")
ROLLING_YEARS = {"SP500": 10}
# Weekday of weekly series, Monday 0.
WEEKDAYS = {"CCNSA": 5, "ICSA": 5, "MORTGAGE30US": 3, "STLFSI4": 4, "WALCL": 2}
EVERY_DAY = frozenset({"DFF"})
# Published after the day it describes: the rates of the day appear the next one.
DIFFERENCES = {"T10Y2Y": ("DGS10", "DGS2"), "T10Y3M": ("DGS10", "DGS3MO"), "T10YIE": ("DGS10", "DFII10")}
MONTHLY_MEANS = {"FEDFUNDS": "DFF", "GS10": "DGS10"}
RECESSION_FLAGS = ("USREC", "USRECP")
DAYS_A_MONTH = 30.4375


@dataclass(frozen=True)
class _Plan:
    """How one series moves.

    `law`: `growth` cumulates log steps, `reverting` cumulates steps pulled to `level`, `level` stays around it, `ratio`
    does so in logs. `step` is the mean step a month, `size` a month's standard deviation; `exposure` to the factors.
    """

    frequency: str
    lag_days: int
    law: str
    level: float
    step: float
    size: float
    exposure: tuple[float, float, float]
    decimals: int
    first_year: int = 1990
    least: float = -np.inf


def _plan(frequency: str, lag_days: int, law: str, numbers: tuple[float, ...], **rest: object) -> _Plan:
    level, step, size, activity, prices, money, decimals = numbers
    return _Plan(frequency, lag_days, law, level, step, size, (activity, prices, money), int(decimals), **rest)  # type: ignore[arg-type]


# level, mean step, size, exposures to activity, prices and money, decimals. Lags are FRED's usual ones in days.
PLANS: Mapping[str, _Plan] = {
    "AAA10Y": _plan("D", 1, "level", (1.4, 0, 0.3, -0.7, 0, 0.3, 2), first_year=2010, least=0.3),
    "BAA10Y": _plan("D", 1, "level", (2.3, 0, 0.5, -0.8, 0, 0.2, 2), first_year=2010, least=0.8),
    "BAMLH0A0HYM2": _plan("D", 1, "ratio", (4.6, 0, 0.25, -0.8, 0, 0.2, 2), first_year=2010),
    "CCNSA": _plan("W", 12, "ratio", (1.9e6, 0, 0.2, -0.8, 0, 0, 0), first_year=2000),
    "CIVPART": _plan("M", 6, "reverting", (63.2, 0, 0.12, 0.5, 0, 0, 1)),
    "CPIAUCSL": _plan("M", 13, "growth", (127.5, 0.00215, 0.0016, 0.1, 0.9, 0, 3)),
    "CPILFESL": _plan("M", 13, "growth", (132.1, 0.0021, 0.001, 0.1, 0.85, 0, 3)),
    "DCOILWTICO": _plan("D", 3, "reverting", (58.0, 0, 5.0, 0.3, 0.7, 0, 2), least=14.0),
    "DEXCHUS": _plan("D", 4, "reverting", (7.0, 0, 0.06, -0.2, 0, 0.5, 4), first_year=2010),
    "DEXUSEU": _plan("D", 4, "reverting", (1.17, 0, 0.02, 0.2, 0, -0.5, 4), first_year=2010),
    "DFF": _plan("D", 1, "reverting", (2.8, 0, 0.18, 0.3, 0.3, 0.7, 2), least=0.05),
    "DFII10": _plan("D", 1, "level", (1.1, 0, 0.6, 0.3, -0.3, 0.7, 2), first_year=2010),
    "DGS10": _plan("D", 1, "reverting", (4.1, 0, 0.2, 0.3, 0.4, 0.4, 2), least=0.5),
    "DGS2": _plan("D", 1, "reverting", (3.1, 0, 0.22, 0.3, 0.3, 0.7, 2), least=0.1),
    "DGS30": _plan("D", 1, "reverting", (4.6, 0, 0.18, 0.3, 0.4, 0.3, 2), first_year=2010, least=0.9),
    "DGS3MO": _plan("D", 1, "reverting", (2.7, 0, 0.18, 0.3, 0.3, 0.7, 2), least=0.02),
    "DSPIC96": _plan("M", 30, "growth", (7600.0, 0.002, 0.005, 0.5, -0.2, 0, 1)),
    "DTWEXBGS": _plan("D", 4, "growth", (92.0, 0.0006, 0.011, -0.3, 0, 0.5, 4), first_year=2010),
    "FEDFUNDS": _plan("M", 1, "reverting", (2.8, 0, 0.18, 0.3, 0.3, 0.7, 2)),
    "GDP": _plan("Q", 30, "growth", (5870.0, 0.0037, 0.004, 0.8, 0.3, 0, 3)),
    "GDPC1": _plan("Q", 30, "growth", (10050.0, 0.002, 0.0035, 0.9, 0, 0, 3)),
    "GS10": _plan("M", 1, "reverting", (4.1, 0, 0.2, 0.3, 0.4, 0.4, 2)),
    "HOUST": _plan("M", 18, "ratio", (1350.0, 0, 0.16, 0.7, 0, -0.5, 0)),
    "ICSA": _plan("W", 5, "ratio", (2.4e5, 0, 0.15, -0.8, 0, 0, 0), first_year=2000),
    "INDPRO": _plan("M", 16, "growth", (62.0, 0.0011, 0.006, 0.85, 0, 0, 4)),
    "M2REAL": _plan("M", 27, "growth", (2480.0, 0.0023, 0.004, 0, -0.5, -0.6, 1)),
    "M2SL": _plan("M", 26, "growth", (3170.0, 0.0045, 0.0035, 0, 0, -0.8, 1)),
    "MORTGAGE30US": _plan("W", 1, "reverting", (5.6, 0, 0.17, 0.2, 0.4, 0.5, 2), least=2.5),
    "NASDAQCOM": _plan("D", 1, "growth", (2200.0, 0.011, 0.036, 0.35, 0, -0.2, 2), first_year=2010),
    "PAYEMS": _plan("M", 6, "growth", (109200.0, 0.00085, 0.0012, 0.9, 0, 0, 0)),
    "PCEPI": _plan("M", 30, "growth", (66.0, 0.00157, 0.0013, 0.1, 0.9, 0, 3)),
    "PCEPILFE": _plan("M", 30, "growth", (67.5, 0.0015, 0.0009, 0.1, 0.85, 0, 3)),
    "PERMIT": _plan("M", 18, "ratio", (1380.0, 0, 0.15, 0.7, 0, -0.5, 0)),
    "PPIACO": _plan("M", 14, "growth", (115.0, 0.002, 0.009, 0.2, 0.8, 0, 3)),
    "RRPONTSYD": _plan("D", 1, "reverting", (250.0, 0, 60.0, 0, 0, 0.5, 3), first_year=2014, least=0.0),
    "SP500": _plan("D", 1, "growth", (1900.0, 0.0075, 0.03, 0.4, 0, -0.2, 2), first_year=2014),
    "STLFSI4": _plan("W", 6, "level", (-0.1, 0, 0.6, -0.7, 0, 0.4, 4), first_year=2000),
    "T10Y2Y": _plan("D", 1, "level", (1.0, 0, 0.3, 0, 0, -0.5, 2)),
    "T10Y3M": _plan("D", 1, "level", (1.4, 0, 0.3, 0, 0, -0.5, 2)),
    "T10YIE": _plan("D", 1, "level", (2.2, 0, 0.3, 0, 0.7, 0, 2), first_year=2010),
    "T5YIFR": _plan("D", 1, "level", (2.3, 0, 0.2, 0, 0.7, 0, 2), first_year=2010),
    "UMCSENT": _plan("M", 30, "level", (84.0, 0, 9.0, 0.5, -0.4, 0, 1), least=45.0),
    "UNRATE": _plan("M", 6, "reverting", (5.4, 0, 0.15, -0.85, 0, 0, 1), least=2.8),
    "USREC": _plan("M", 1, "level", (0, 0, 1.0, -1.0, 0, 0, 0)),
    "USRECP": _plan("M", 1, "level", (0, 0, 1.0, -1.0, 0, 0, 0)),
    "USSLIND": _plan("M", 35, "level", (1.3, 0, 0.7, 0.9, 0, 0, 2)),
    "VIXCLS": _plan("D", 1, "ratio", (17.5, 0, 0.28, -0.6, 0, 0.2, 2), first_year=2010),
    "WALCL": _plan("W", 1, "growth", (2.3e6, 0.006, 0.01, -0.3, 0, -0.4, 0), first_year=2010),
}
REVERSION = 0.03


@dataclass(frozen=True)
class Macro:
    """The series, and the planted factors (n_months, 3) behind them."""

    series: Mapping[str, MacroSeries]
    factors: Floats
    months: tuple[date, ...]


def draw_macro(rng: np.random.Generator, end_date: date) -> Macro:
    """All series with observations up to `end_date` and every print they will ever have.

    Args:
        rng: source of factors and noise.
        end_date: no period starts later.
    """
    n_months = (end_date.year - FIRST_MONTH.year) * 12 + end_date.month
    months = tuple(date(FIRST_MONTH.year + at // 12, at % 12 + 1, 1) for at in range(n_months))
    factors = _draw_factors(rng, n_months)
    # One month more, so that days after the last month's middle have something to lean on.
    paths = _draw_paths(rng, np.vstack([factors, factors[-1:]]))
    days = _Days(end_date)
    values: dict[str, tuple[list[date], Floats]] = {}
    for series_id, plan in PLANS.items():
        if plan.frequency in ("D", "W"):
            values[series_id] = days.read_off(rng, series_id, paths[series_id])
        elif plan.frequency == "M":
            values[series_id] = (list(months), paths[series_id][:-1])
        else:
            n_quarters = (n_months + 2) // 3
            padded = np.pad(paths[series_id], (0, 2), mode="edge")[: n_quarters * 3]
            values[series_id] = (list(months[::3]), padded.reshape(n_quarters, 3).mean(axis=1))
    _tie_together(values, factors)
    series = {series_id: _publish(rng, series_id, *values[series_id]) for series_id in PLANS}
    return Macro(series, factors, months)


def release_day(frequency: str, lag_days: int, observation_date: date) -> date:
    """The weekday on which a period's value is first published: `lag_days` after its end.

    Args:
        frequency: D, W, M or Q.
        lag_days: days from the end of the period.
        observation_date: first day of the period; of a week, its last.
    """
    last = observation_date
    if frequency in ("M", "Q"):
        ahead = observation_date.month + (0 if frequency == "M" else 2)
        last = date(observation_date.year + ahead // 12, ahead % 12 + 1, 1) - timedelta(days=1)
    day = last + timedelta(days=lag_days)
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def rebased(series: MacroSeries, day: date, ratio: float, units: str) -> MacroSeries:
    """The series with all its values, on and after a day, multiplied: a new base year, published that day.

    Args:
        series: what is rebased.
        day: release day of the whole history at the new base.
        ratio: new over old value.
        units: unit in FRED's words from that day on.
    """
    number = day.toordinal()
    standing = [""] * len(series.observation_dates)
    is_out = np.zeros(len(standing), bool)
    prints = []
    for each in series.prints:
        is_later = each.release_days >= number
        texts = tuple(_scaled(text, ratio) if late else text for text, late in zip(each.texts, is_later, strict=True))
        prints.append(Prints(each.release_days, texts))
        for at in np.flatnonzero(~is_later):
            standing[at], is_out[at] = _scaled(each.texts[at], ratio), True
    whole = Prints(np.where(is_out, number, NEVER), tuple(standing))
    # What was to be released later than the new base replaces it then.
    before = [Prints(np.where(each.release_days < number, each.release_days, NEVER), each.texts) for each in prints]
    after = [Prints(np.where(each.release_days >= number, each.release_days, NEVER), each.texts) for each in prints]
    said = (*series.units, (day, units))
    return dataclasses.replace(series, prints=(*before, whole, *after), units=said)


def _scaled(text: str, ratio: float) -> str:
    decimals = len(text.partition(".")[2])
    return f"{float(text) * ratio:.{max(decimals, 1)}f}" if text else ""


def _draw_factors(rng: np.random.Generator, n_months: int) -> Floats:
    shocks = rng.normal(size=(n_months, len(FACTOR_PERSISTENCE)))
    factors = np.zeros_like(shocks)
    keep = np.array(FACTOR_PERSISTENCE)
    for at in range(n_months):
        factors[at] = keep * factors[at - 1] + shocks[at]
    standard: Floats = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    return standard


def _draw_paths(rng: np.random.Generator, factors: Floats) -> dict[str, Floats]:
    """Month by month the value of every series, in levels."""
    paths: dict[str, Floats] = {}
    for series_id, plan in PLANS.items():
        exposure = np.array(plan.exposure)
        noise_share = np.sqrt(max(0.05, 1.0 - float(exposure @ exposure)))
        moves = plan.step + plan.size * (factors @ exposure + noise_share * rng.normal(size=len(factors)))
        if plan.law == "growth":
            started = moves * (np.arange(len(moves)) >= (plan.first_year - FIRST_MONTH.year) * 12)
            path = plan.level * np.exp(np.cumsum(started))
        elif plan.law == "reverting":
            path = np.empty(len(moves))
            value = plan.level
            for at, move in enumerate(moves.tolist()):
                value = max(value + REVERSION * (plan.level - value) + move, plan.least)
                path[at] = value
        elif plan.law == "ratio":
            path = plan.level * np.exp(moves)
        else:
            path = np.maximum(plan.level + moves, plan.least)
        paths[series_id] = path
    return paths


class _Days:
    """Reads monthly paths off at days: straight lines between the middles of months, and noise that vanishes there."""

    def __init__(self, end_date: date) -> None:
        self._end = end_date
        self._holidays = market_calendar.american_holidays(FIRST_MONTH.year, end_date.year)

    def read_off(self, rng: np.random.Generator, series_id: str, path: Floats) -> tuple[list[date], Floats]:
        """The series' own days and their values; NaN on holidays."""
        plan = PLANS[series_id]
        days = self._days_of(series_id, date(plan.first_year, 1, 1))
        at = np.array([day.toordinal() for day in days], dtype=np.float64)
        knots = FIRST_MONTH.toordinal() + DAYS_A_MONTH * (np.arange(len(path)) + 0.5)
        is_relative = plan.law in ("growth", "ratio")
        step = plan.size * 0.8 * np.sqrt(np.median(np.diff(at)) / DAYS_A_MONTH) * rng.normal(size=len(at))
        walk = np.cumsum(step)
        bridge = walk - np.interp(at, knots, np.interp(knots, at, walk))
        base = np.interp(at, knots, np.log(path) if is_relative else path)
        values = np.exp(base + bridge) if is_relative else np.maximum(base + bridge, plan.least)
        if plan.frequency == "D" and series_id not in EVERY_DAY:
            values[[day in self._holidays for day in days]] = np.nan
        return days, values

    def _days_of(self, series_id: str, first: date) -> list[date]:
        span = range(first.toordinal(), self._end.toordinal() + 1)
        if series_id in EVERY_DAY:
            return [date.fromordinal(number) for number in span]
        # Ordinal 1 was a Monday.
        if series_id in WEEKDAYS:
            return [date.fromordinal(number) for number in span if (number - 1) % 7 == WEEKDAYS[series_id]]
        return [date.fromordinal(number) for number in span if (number - 1) % 7 < 5]


def _tie_together(values: dict[str, tuple[list[date], Floats]], factors: Floats) -> None:
    """Series that are others' differences, means or conditions: an analyst would check that they agree."""
    for series_id, (long_rate, short_rate) in DIFFERENCES.items():
        days, _ = values[series_id]
        values[series_id] = (
            days,
            sum_of(values[long_rate], days) - sum_of(values[short_rate], days),
        )
    for series_id, daily_id in MONTHLY_MEANS.items():
        days, daily = values[daily_id]
        months = np.array([(day.year - FIRST_MONTH.year) * 12 + day.month - 1 for day in days])
        known = np.isfinite(daily)
        count = np.bincount(months[known], minlength=len(factors))
        mean = np.bincount(months[known], daily[known], minlength=len(factors)) / np.maximum(count, 1)
        values[series_id] = (values[series_id][0], mean)
    slump = np.convolve(factors[:, 0], np.full(4, 0.25), mode="same") < -1.5
    for series_id in RECESSION_FLAGS:
        values[series_id] = (values[series_id][0], slump.astype(np.float64))


def sum_of(series: tuple[list[date], Floats], days: list[date]) -> Floats:
    """A daily series at other days, all of which it has; to two decimals, as published."""
    own, values = series
    offset = own.index(days[0])
    found: Floats = np.round(values[offset : offset + len(days)], 2)
    return found


def _publish(rng: np.random.Generator, series_id: str, days: list[date], values: Floats) -> MacroSeries:
    plan = PLANS[series_id]
    for hole in NEVER_PUBLISHED.get(series_id, ()):
        if hole in days:
            values[days.index(hole)] = np.nan
    released: npt.NDArray[np.int64] = np.array(
        [release_day(plan.frequency, plan.lag_days, day).toordinal() for day in days], dtype=np.int64
    )
    final = _texts(values, plan.decimals)
    if series_id == "DCOILWTICO" and NEGATIVE_OIL[0] in days:
        final[days.index(NEGATIVE_OIL[0])] = NEGATIVE_OIL[1]
    prints = [Prints(released, tuple(final))]
    if series_id in REVISED:
        first = _texts(values * (1.0 + REVISED[series_id] * rng.normal(size=len(values))), plan.decimals)
        has_changed = np.array([a != b for a, b in zip(first, final, strict=True)])
        revised = np.where(has_changed, released + REVISED_AFTER_DAYS, NEVER)
        prints = [Prints(released, tuple(first)), Prints(revised, tuple(final))]
    return MacroSeries(series_id, tuple(days), tuple(prints), ROLLING_YEARS.get(series_id))


def _texts(values: Floats, decimals: int) -> list[str]:
    return ["" if value != value else f"{value:.{decimals}f}" for value in values.tolist()]
