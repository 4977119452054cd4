"""Macro releases that are unlike their series' past are named with figures, few a week, by what was known that day."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pytest
from planting import insert

from flows import macro_watch, settings
from warehouse.tables import macro

N = 240
MONTHS = np.datetime64("2004-01") + np.arange(N)
# The newest value, of December 2023, comes on Tuesday.
LOADED = {"load_id": "test", "retrieved_at": datetime(2024, 1, 1, tzinfo=UTC)}
RELEASED, WED, NEXT_WEEK = date(2024, 1, 9), date(2024, 1, 10), date(2024, 1, 17)


@pytest.fixture
def wanted():
    return lambda n=3: settings.read_settings(_env_file=None, macro_alerts_per_week=n)


@pytest.fixture
def published(empty_lake):
    """A function that fills a lake with monthly series in percent; each ends that many deviations out."""

    def fill(newest):
        rows = []
        for number, (series_id, distance) in enumerate(newest.items()):
            values = np.random.default_rng(number).normal(size=N)
            values[-1] = distance
            for month, value in zip(MONTHS, values, strict=True):
                day = month.astype("datetime64[D]").item()
                known = (month + 1).astype("datetime64[D]").item().replace(day=9)
                rows.append(
                    {"series_id": series_id, "observation_date": day, "value": value, "realtime_start": known}
                    | {"realtime_end": date(9999, 12, 31), "is_realtime_estimated": False}
                    | LOADED
                )
        about = {"title": "t", "unit": "percent", "frequency": "M", "transform_code": 1, "publication_lag_days": 9}
        about |= {"group_name": "g", "is_in_macro_panel": True, "is_rolling_window": False, "licence": "public"}
        insert(empty_lake, macro.SERIES, [{"series_id": series_id, **about} for series_id in newest])
        insert(empty_lake, macro.OBSERVATION, rows)
        return empty_lake

    return fill


def subjects(found):
    return [row["subject"] for row in found.to_pylist()]


def test_strange_release_is_named_with_what_it_is_measured_by(published, wanted):
    lake = published({"CALM": 0.3, "WILD": -9.0, "USUAL": -0.5})

    found = macro_watch.find(lake, wanted(), WED).to_pylist()

    (row,) = found
    assert (row["rule"], row["severity"], row["subject"], row["subject_date"]) == (
        *("macro_anomaly", "low", "WILD"),
        date(2023, 12, 1),
    )
    evidence = json.loads(row["evidence"])
    past = np.random.default_rng(1).normal(size=N)[:-1]
    spread = 1.4826 * np.median(np.abs(past - np.median(past)))
    assert evidence["robust_z"] == pytest.approx((-9.0 - np.median(past)) / spread, abs=0.01)
    assert evidence["anomaly_score"] > evidence["threshold"]
    # The first 119 months of 240 are only read as what came before, the last one is the release.
    assert (evidence["n_as_strange_before"], evidence["n_compared"]) == (0, 240 - 119 - 1)
    assert lake.read(row["evidence_sql"])["value"][0].as_py() == -9.0


def test_week_has_no_more_than_wanted_and_those_are_the_strangest(published, wanted):
    lake = published({f"S{number}": 5.0 + 2.0 * number for number in range(4)})

    assert sorted(subjects(macro_watch.find(lake, wanted(4), WED))) == ["S0", "S1", "S2", "S3"]
    two = macro_watch.find(lake, wanted(2), WED).to_pylist()
    scores = [
        json.loads(row["evidence"])["anomaly_score"] for row in macro_watch.find(lake, wanted(4), WED).to_pylist()
    ]
    assert [json.loads(row["evidence"])["anomaly_score"] for row in two] == sorted(scores)[:-3:-1]
    assert subjects(macro_watch.find(lake, wanted(0), WED)) == []


def test_release_is_named_from_its_day_on_for_a_week(published, wanted):
    lake = published({"WILD": 9.0})
    days = [date(2024, 1, 8), RELEASED, date(2024, 1, 15), date(2024, 1, 16), NEXT_WEEK]

    assert [len(subjects(macro_watch.find(lake, wanted(), day))) for day in days] == [0, 1, 1, 0, 0]


def test_past_day_says_the_same_whatever_was_published_later(published, wanted):
    lake = published({"WILD": 9.0})
    before = macro_watch.find(lake, wanted(), WED).to_pylist()
    later = {"series_id": "WILD", "observation_date": date(2024, 1, 1), "value": 50.0, "is_realtime_estimated": False}

    insert(
        lake,
        macro.OBSERVATION,
        [later | LOADED | {"realtime_start": date(2024, 1, 11), "realtime_end": date(9999, 12, 31)}],
    )

    assert macro_watch.find(lake, wanted(), WED).to_pylist() == before
    assert before


def test_series_without_a_past_is_not_watched(published, wanted):
    lake = published({"WILD": 9.0})
    lake.commit(
        lambda c: c.execute("delete from macro.observation where observation_date < date '2014-02-01'"), message="test"
    )

    assert subjects(macro_watch.find(lake, wanted(), WED)) == []
