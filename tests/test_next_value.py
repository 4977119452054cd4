"""The next published value of a macro series: as statsmodels has it, in the series' unit, from no future."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from statsmodels.tsa.ar_model import AutoReg

from flows import macro_forecasts, settings
from flows.context import Context
from models import base, next_value
from warehouse import derive
from warehouse.tables import macro, model

# What each code makes of a path y of the transformed series, from two first values.
PATHS = {
    1: lambda y, first: y,
    2: lambda y, first: first + np.cumsum(y),
    3: lambda y, first: first + np.cumsum(np.cumsum(y)),
    4: lambda y, first: np.exp(y),
    5: lambda y, first: first * np.exp(np.cumsum(y)),
    6: lambda y, first: first * np.exp(np.cumsum(np.cumsum(y))),
}
NEXT = date(2024, 1, 1)


def autoregression(n=200, seed=3):
    """A path of an autoregression of two lags, small enough to be a growth rate."""
    shocks = np.random.default_rng(seed).normal(scale=0.01, size=n)
    path = np.zeros(n)
    for at in range(2, n):
        path[at] = 0.001 + 0.5 * path[at - 1] + 0.3 * path[at - 2] + shocks[at]
    return path


@pytest.mark.parametrize("code", PATHS)
def test_forecast_equals_statsmodels_carried_over_to_the_unit_of_the_series(code):
    path = autoregression()
    values = PATHS[code](path, 100.0)
    n_lost = {1: 0, 4: 0, 2: 1, 5: 1, 3: 2, 6: 2}[code]

    found = next_value.forecast_next(values, code)

    theirs = AutoReg(path[n_lost:], found.n_lags, hold_back=next_value.MOST_LAGS).fit()
    ahead = theirs.forecast(1)[0]
    assert found.n_lags == 2 and found.n_rows == theirs.nobs
    # The same path one period on.
    assert found.forecast == pytest.approx(PATHS[code](np.append(path, ahead), 100.0)[-1], rel=1e-9)
    spread = np.sqrt((theirs.resid**2).sum() / (theirs.nobs - 3))
    assert found.std_error == pytest.approx(spread * (found.forecast if code > 3 else 1.0), rel=1e-9)


def test_growth_of_the_growth_rate_is_carried_over():
    values = 100.0 * np.cumprod(1 + np.cumsum(autoregression()) / 10)

    found = next_value.forecast_next(values, 7)

    growth = values[1:] / values[:-1] - 1
    ahead = AutoReg(np.diff(growth), found.n_lags, hold_back=next_value.MOST_LAGS).fit().forecast(1)[0]
    assert found.forecast == pytest.approx(values[-1] * (1 + growth[-1] + ahead), rel=1e-9)


def test_hole_leaves_fewer_lags_and_a_hole_at_the_end_none():
    values = 100 + np.cumsum(autoregression())

    values[-3] = np.nan
    assert next_value.forecast_next(values, 2).n_lags == 1
    values[-2] = np.nan
    with pytest.raises(base.TooFewRows, match="Wait for one more"):
        next_value.forecast_next(values, 2)


def test_series_that_stands_still_is_forecast_to_stand_still():
    found = next_value.forecast_next(np.full(100, 7.0), 2)

    assert found.forecast == pytest.approx(7.0) and found.std_error == pytest.approx(0.0, abs=1e-12)


def series_row(series_id, frequency):
    return {
        "series_id": series_id,
        "title": series_id,
        "unit": "percent",
        "frequency": frequency,
        "transform_code": 1,
        "publication_lag_days": 6,
        "group_name": "labour",
        "is_in_macro_panel": False,
        "is_rolling_window": False,
        "licence": "public",
    }


def insert(opened, table, rows):
    opened.commit(lambda c: derive.write_rows(c, table, table.conform(pa.Table.from_pylist(rows))), message="test")


@pytest.fixture
def known_lake(empty_lake):
    """Sixty periods of a monthly, a quarterly, a weekly and a daily series, each known ten days after its start."""
    rows = []
    for series_id, starts in {
        "MONTH": [np.datetime64("2019-01") + k for k in range(60)],
        "QUARTER": [np.datetime64("2009-01") + 3 * k for k in range(60)],
        "WEEK": [np.datetime64("2022-11-05") + 7 * k for k in range(60)],
        "DAY": [np.datetime64("2023-11-01") + k for k in range(60)],
    }.items():
        for at, start in enumerate(starts):
            day = start.astype("datetime64[D]").item()
            if (series_id, at) == ("WEEK", 30):
                # A holiday: this week's value came a day early.
                day -= timedelta(days=1)
            rows.append(
                {
                    "series_id": series_id,
                    "observation_date": day,
                    "value": float(np.sin(at)),
                    "realtime_start": day + timedelta(days=10),
                    "realtime_end": date(9999, 12, 31),
                    "is_realtime_estimated": False,
                    "retrieved_at": datetime(2024, 1, 1, tzinfo=UTC),
                    "load_id": "test",
                }
            )
    frequencies = {"MONTH": "M", "QUARTER": "Q", "WEEK": "W", "DAY": "D"}
    insert(empty_lake, macro.SERIES, [series_row(*one) for one in frequencies.items()])
    insert(empty_lake, macro.OBSERVATION, rows)
    return empty_lake


def fit(opened, tmp_path, as_of):
    now = datetime(2024, 1, 1, tzinfo=UTC)
    context = Context(settings.Settings(home=tmp_path), now, f"daily/{as_of}", None, None, None)
    (fitted,) = macro_forecasts.fit_next_values(context, opened, as_of)
    return fitted.rows[model.MACRO_FORECAST].to_pylist()


def test_refit_forecasts_the_period_after_the_newest_known_one(known_lake, tmp_path):
    found = {row["series_id"]: row for row in fit(known_lake, tmp_path, date(2023, 12, 20))}

    # December's month and week of the 16th are not yet known; a daily series has no releases.
    assert {name: row["observation_date"] for name, row in found.items()} == {
        "MONTH": date(2024, 1, 1),
        "QUARTER": date(2024, 1, 1),
        "WEEK": date(2023, 12, 16),
    }
    # A sine over equal steps is an autoregression of two lags without an error.
    assert found["MONTH"]["forecast"] == pytest.approx(np.sin(60), abs=1e-6)
    assert found["WEEK"]["forecast"] == pytest.approx(np.sin(58), abs=1e-6)


def test_refit_of_a_past_day_ignores_what_came_later(known_lake, tmp_path):
    before = fit(known_lake, tmp_path, date(2023, 11, 30))

    known_lake.commit(
        lambda c: c.execute("update macro.observation set value = 99 where realtime_start > date '2023-11-30'"),
        message="test",
    )

    assert fit(known_lake, tmp_path, date(2023, 11, 30)) == before
