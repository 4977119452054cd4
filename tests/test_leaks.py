"""Nothing that became known after the cut may reach a forecast: poisoned futures.

A new model passes through here by its line in `models.MODELS`; features have `test_feature_leaks.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import models
from models import cross_section

# Fits by the dozen: minutes.
pytestmark = pytest.mark.exhaustive

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

N_CODES, N_SESSIONS, CUT = 30, 120, 90
HORIZON = 5
POISONS: dict[str, Callable[[Floats], Floats]] = {
    "times a million": lambda values: values * 1e6,
    "missing": lambda values: np.full_like(values, np.nan),
    "sign flipped": lambda values: -values,
}
# A full network would take a minute; what leaks would leak into a small one too.
SETTINGS: dict[str, dict[str, Any]] = {"mlp": {"hidden": (8,), "epochs": 3}}


def market_rows() -> tuple[Floats, Floats, Dates]:
    """Features, daily returns in the order of the rows, and dates."""
    rng = np.random.default_rng(5)
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(N_SESSIONS), N_CODES)
    table = rng.standard_normal((len(dates), 4)) * [1.0, 10.0, 0.1, 5.0]
    return table, 0.02 * rng.standard_normal(len(dates)), dates


def forecasts_at_the_cut(
    name: str, rows: tuple[Floats, Floats, Dates], scale: Callable[[Floats, Dates], Floats]
) -> bytes:
    """What is forecast on the cut's session, fitted on rows whose five-session return was known by then."""
    table, daily, dates = rows
    by_session = daily.reshape(N_SESSIONS, N_CODES)
    forward = np.full_like(by_session, np.nan)
    for at in range(N_SESSIONS - HORIZON):
        forward[at] = by_session[at + 1 : at + 1 + HORIZON].sum(axis=0)
    scaled = scale(table, dates)
    session = np.repeat(np.arange(N_SESSIONS), N_CODES)
    known = session <= CUT - HORIZON
    target = cross_section.excess_by_date(forward.ravel()[known], dates[known])
    model = models.make(name, seed=3, horizon=HORIZON, **SETTINGS.get(name, {})).fit(
        scaled[known], target, dates[known]
    )
    return model.predict(scaled[session == CUT]).tobytes()


def poisoned(rows: tuple[Floats, Floats, Dates], poison: str) -> tuple[Floats, Floats, Dates]:
    """The same rows, with everything known after the cut spoilt."""
    table, daily, dates = (array.copy() for array in rows)
    later = np.repeat(np.arange(N_SESSIONS), N_CODES) > CUT
    table[later], daily[later] = POISONS[poison](table[later]), POISONS[poison](daily[later])
    return table, daily, dates


def scale_by_whole_sample(table: Floats, dates: Dates) -> Floats:
    """The textbook's mistake: mean and standard deviation of all rows, those to come among them."""
    whole: Floats = np.nan_to_num((table - np.nanmean(table, axis=0)) / np.nanstd(table, axis=0))
    return whole


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("name", models.MODELS)
def test_forecasts_are_the_same_bits_when_the_future_is_poisoned(name: str, poison: str) -> None:
    rows = market_rows()

    found = forecasts_at_the_cut(name, poisoned(rows, poison), cross_section.standardise_by_date)

    assert found == forecasts_at_the_cut(name, rows, cross_section.standardise_by_date)


@pytest.mark.parametrize("poison", ["times a million", "missing"])
def test_canary_notices_a_scaler_fitted_on_the_whole_sample(poison: str) -> None:
    """A flipped sign moves the mean too, but a test that always notices is the better canary."""
    rows = market_rows()

    found = forecasts_at_the_cut("ridge", poisoned(rows, poison), scale_by_whole_sample)

    assert found != forecasts_at_the_cut("ridge", rows, scale_by_whole_sample)
