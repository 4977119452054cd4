"""Macro releases that are unlike their series' past are named with figures, few a week, by what was known that day."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pytest
from planting import insert

from flows import macro_watch, settings
from warehouse import checks
from warehouse.tables import macro, ops

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
    """Each is far beyond its own past; how far, and not its name, says which are told."""
    lake = published({f"S{number}": 5.0 + 8.0 * number for number in range(4)})

    assert sorted(subjects(macro_watch.find(lake, wanted(4), WED))) == ["S0", "S1", "S2", "S3"]
    assert subjects(macro_watch.find(lake, wanted(2), WED)) == ["S3", "S2"]
    assert subjects(macro_watch.find(lake, wanted(1), WED)) == ["S3"]
    assert subjects(macro_watch.find(lake, wanted(0), WED)) == []


def test_of_equal_scores_the_value_farther_out_comes_first(published, wanted):
    """Mild and far, of the same past: out of every rank both, and so far that the scores agree to two digits."""
    lake = published({"A": 3000.0, "Z": 9000.0})
    lake.commit(
        lambda c: c.execute(
            "update macro.observation as o set value = (select value from macro.observation as a"
            " where a.series_id = 'A' and a.observation_date = o.observation_date)"
            " where series_id = 'Z' and observation_date < '2023-12-01'"
        ),
        message="test",
    )

    two = macro_watch.find(lake, wanted(2), WED).to_pylist()

    first, second = (json.loads(row["evidence"]) for row in two)
    assert first["anomaly_score"] == second["anomaly_score"]
    assert [row["subject"] for row in two] == ["Z", "A"]


def test_release_is_ranked_among_those_before_it_alone():
    """Beyond all 50 of its past, by double the strangest: 1 of 51, and half of one rank more."""
    past = np.random.default_rng(0).permutation(np.arange(1.0, 51.0))
    measured = np.append(past, 100.0)[:, None].repeat(len(macro_watch.DETECTORS), axis=1)

    scores, verdicts = macro_watch.judge(np.vstack([np.full((3, 3), np.nan), measured]))

    assert np.isnan(scores[:3]).all()
    assert scores[-1] == pytest.approx(np.log(51) + 0.5 * np.log(2))
    # The strangest of the past has one beyond it, among 50 others.
    assert verdicts[3 + past.argmax()] == pytest.approx(np.full(3, -np.log(2 / 51)))


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


def run_on(lake, settings, day):
    """The night of a day: what is found is recorded, and the alerts that stand are given."""
    found = macro_watch.find(lake, settings, day)
    checks.record(lake, found, [macro_watch.RULE], day)
    standing = lake.read("select subject from ops.alert where state <> 'resolved' order by subject")
    return found.to_pylist(), standing["subject"].to_pylist()


def test_alert_keeps_its_place_when_a_stranger_one_comes_in_a_later_batch_of_its_day(published, wanted):
    lake = published({"CALM": 0.3, "FIRST": 6.0, "AFAR": 40.0})
    late = "from macro.observation where series_id = 'AFAR' and observation_date = '2023-12-01'"
    rows = lake.read(f"select * {late}")
    lake.commit(lambda c: c.execute(f"delete {late}"), message="test")
    told, _ = run_on(lake, wanted(1), RELEASED)
    assert [row["subject"] for row in told] == ["FIRST"]

    insert(lake, macro.OBSERVATION, rows)

    # A past day run again, the next night, and that night again.
    for day in (RELEASED, WED, WED):
        found, standing = run_on(lake, wanted(1), day)
        assert found == told
        assert standing == ["FIRST"]
    assert lake.read(f"select count(*) as n from {ops.ALERT_CHANGE.full_name}")["n"].to_pylist() == [1]
    # Who wants two gets the other as well, and a day before it is not told of what was opened later.
    assert run_on(lake, wanted(2), date(2024, 1, 11))[1] == ["AFAR", "FIRST"]
    assert subjects(macro_watch.find(lake, wanted(1), WED)) == ["FIRST"]


def test_alert_that_was_taken_back_keeps_its_place_in_the_week(published, wanted):
    """The value is revised to a usual one: somebody has read the alert, so that the week has no place for another."""
    lake = published({"WILD": 40.0, "LESS": 6.0})
    assert run_on(lake, wanted(1), RELEASED)[1] == ["WILD"]
    usual = {"series_id": "WILD", "observation_date": date(2023, 12, 1), "value": 0.1, "is_realtime_estimated": False}

    insert(
        lake,
        macro.OBSERVATION,
        [usual | LOADED | {"realtime_start": WED, "realtime_end": date(9999, 12, 31)}],
    )

    assert run_on(lake, wanted(1), WED) == ([], [])
    assert run_on(lake, wanted(2), date(2024, 1, 11))[1] == ["LESS"]


def test_periods_added_before_the_newest_known_one_are_no_news(published, wanted):
    """Fifteen years, one month of them wild, are first seen on the release's day: the vendor lengthens a history."""
    lake = published({"LONG": 9.0})
    lake.commit(
        lambda c: c.execute(
            "update macro.observation set realtime_start = '2024-01-09' where observation_date < date '2019-01-01';"
            "update macro.observation set value = 40 where observation_date = date '2018-12-01'"
        ),
        message="test",
    )

    found = macro_watch.find(lake, wanted(9), WED).to_pylist()

    assert [row["subject_date"] for row in found] == [date(2023, 12, 1)]


def test_series_that_is_new_as_a_whole_is_no_news(published, wanted):
    lake = published({"NEW": 9.0})
    lake.commit(lambda c: c.execute("update macro.observation set realtime_start = '2024-01-09'"), message="test")

    assert subjects(macro_watch.find(lake, wanted(9), WED)) == []
