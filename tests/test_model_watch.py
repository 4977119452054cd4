"""What has become of models since they were fitted: planted drift, decay, misses and a lost place, each told once."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flows import model_watch, settings
from warehouse import checks, derive, results, roles
from warehouse.tables import feature, model

SESSIONS = [stamp.date() for stamp in pd.bdate_range("2024-01-02", periods=160)]
FITTED = SESSIONS[119]
LAST = SESSIONS[-1]
INSTANT = datetime(2024, 6, 1, 10, tzinfo=UTC)
N_CODES = 80
RIDGE, NAIVE = f"ridge/{FITTED}", f"zero/{FITTED}"


class Desk:
    """A lake with one fitted model, in charge since its fit, and features that stay what they were."""

    def __init__(self, lake, tmp_path):
        self.lake = lake
        self.options = settings.read_settings(home=tmp_path, _env_file=None)
        self.rng = np.random.default_rng(5)
        for name, version in (("ridge", RIDGE), ("zero", NAIVE)):
            self.fit(name, version)
        self.decide(FITTED, RIDGE, roles.CHAMPION, "beats the naive forecast")

    def fit(self, name, version):
        filled = {"VARCHAR": "", "DATE": FITTED, "BOOLEAN": True, "TIMESTAMPTZ": INSTANT}
        card = {c.name: filled.get(c.type, 0) for c in model.MODEL_VERSION.columns if not c.nullable}
        card |= {"model_version": version, "model_name": name, "train_start": SESSIONS[0], "train_end": SESSIONS[114]}
        told = {"fold": 0, "test_start": FITTED, "test_end": FITTED, "metric": "rank_ic_mean", "n_rows": 10}
        told |= {"model_version": version, "model_name": name, "value": 0.05}
        rows = {model.MODEL_VERSION: pa.Table.from_pylist([card]), model.EVALUATION: pa.Table.from_pylist([told])}
        results.write_version(self.lake, version, rows)

    def decide(self, day, version, role, reason):
        one = roles.Decision(day, version, version.split("/")[0], role, reason, {"live_sessions": 25})
        roles.write_decisions(self.lake, [one], INSTANT)

    def features(self, moved=lambda day, values: values):
        """Standard normal features of every session, moved where the test moves them."""
        n = N_CODES * len(SESSIONS)
        days = np.repeat(np.array(SESSIONS, dtype=object), N_CODES)
        columns = {name: self.rng.normal(size=n) for name in feature.FEATURE_NAMES}
        first = feature.FEATURE_NAMES[0]
        columns[first] = moved(days, columns[first])
        key = {"ts_code": [f"6000{at:02}.SH" for at in range(N_CODES)] * len(SESSIONS), "trade_date": days.tolist()}
        table = feature.FEATURE.conform(
            pa.table(key | {name: pa.array(v, from_pandas=True) for name, v in columns.items()})
        )
        self.lake.commit(lambda c: derive.write_rows(c, feature.FEATURE, table), message="features")

    def outcomes(self, rank_ic, coverage):
        """What came of the forecasts of the sessions after the fit, the newest known on the last."""
        n = len(rank_ic)
        rows = [
            {
                "model_version": RIDGE,
                "model_name": "ridge",
                "forecast_date": SESSIONS[119 + at],
                "known_date": SESSIONS[min(124 + at, 159)],
                "n_rows": N_CODES,
                "squared_error": 1.0,
                "naive_squared_error": 1.0,
                "rank_ic": rank_ic[at],
                "nominal_coverage": 0.9,
                "realised_coverage": coverage[at],
            }
            for at in range(n)
        ]
        table = model.FORECAST_OUTCOME.conform(pa.Table.from_pylist(rows))
        self.lake.commit(lambda c: derive.write_rows(c, model.FORECAST_OUTCOME, table), message="outcomes")

    def found(self, as_of=LAST):
        return model_watch.find(self.lake, self.options, as_of, as_of).to_pylist()


@pytest.fixture
def desk(empty_lake, tmp_path):
    return Desk(empty_lake, tmp_path / "home")


def as_fitted(rng, n=36):
    """Rank correlations around those of the fit, coverages around those promised."""
    return 0.05 + 0.02 * rng.normal(size=n), 0.9 + 0.02 * rng.normal(size=n)


def test_model_that_is_what_it_was_is_no_finding(desk):
    desk.features()
    desk.outcomes(*as_fitted(desk.rng))

    assert desk.found() == []


@pytest.mark.parametrize("kind", ["unit", "missing"])
def test_feature_that_left_its_training_is_named_with_its_size(desk, kind):
    """Ten thousand shares where there were hundreds; or half of the securities without a value."""

    def moved(days, values):
        is_new = days >= SESSIONS[130]
        if kind == "unit":
            return np.where(is_new, values * 100, values)
        return np.where(is_new & (np.arange(len(values)) % 2 == 0), np.nan, values)

    desk.features(moved)

    (found,) = desk.found()

    assert (found["rule"], found["subject"]) == ("feature_drift", feature.FEATURE_NAMES[0])
    assert json.loads(found["evidence"])["stability_index"] > 0.25
    assert desk.lake.read(found["evidence_sql"]).num_rows > 20


def test_feature_that_wandered_as_far_in_training_is_no_finding(desk):
    """What stands a deviation and a half off now stood there for a month of training, too."""
    away = set(SESSIONS[40:60]) | set(SESSIONS[140:])
    desk.features(lambda days, values: values + 1.5 * np.array([day in away for day in days]))

    assert desk.found() == []


def test_forecasts_that_rank_worse_than_out_of_sample_are_named(desk):
    desk.features()
    rank_ic, coverage = as_fitted(desk.rng)
    desk.outcomes(rank_ic - 0.06, coverage)

    (found,) = desk.found()

    assert (found["rule"], found["subject"]) == ("forecast_decay", "ridge")
    evidence = json.loads(found["evidence"])
    assert evidence["rank_ic"] == pytest.approx(rank_ic.mean() - 0.06, abs=1e-4)
    assert evidence["rank_ic_out_of_sample"] == 0.05
    assert desk.lake.read(found["evidence_sql"]).num_rows == 36


@pytest.mark.parametrize(("shift", "n_found"), [(-0.10, 1), (+0.08, 1), (-0.03, 0)])
def test_intervals_that_miss_their_promise_are_named_either_way(desk, shift, n_found):
    desk.features()
    rank_ic, coverage = as_fitted(desk.rng)
    coverage = np.minimum(coverage + shift, 1.0)
    desk.outcomes(rank_ic, coverage)

    found = desk.found()

    assert [one["rule"] for one in found] == ["interval_coverage_off"] * n_found
    if found:
        assert json.loads(found[0]["evidence"])["realised_coverage"] == pytest.approx(coverage.mean(), abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_intervals_that_hold_all_or_none_are_named(desk, share):
    desk.features()
    rank_ic, coverage = as_fitted(desk.rng)
    desk.outcomes(rank_ic, np.full(len(coverage), share))

    assert [one["rule"] for one in desk.found()] == ["interval_coverage_off"]


def test_session_without_a_value_is_named_once_for_as_long_as_it_is_in_the_month(desk):
    """Evening by evening: it comes, stays, and is gone when the month has moved on."""
    gone = SESSIONS[125]
    desk.features(lambda days, values: np.where(days == gone, np.nan, values))

    found = [bool(desk.found(day)) for day in SESSIONS[124:148]]

    assert found == [False] + [True] * 20 + [False] * 3


def test_few_sessions_say_nothing(desk):
    desk.features()
    rank_ic, coverage = as_fitted(desk.rng, n=15)
    desk.outcomes(rank_ic - 0.2, coverage - 0.3)

    assert desk.found() == []


def test_outcome_known_later_does_not_count(desk):
    """On that day eleven outcomes were known; the bad ones came later."""
    desk.features()
    rank_ic, coverage = as_fitted(desk.rng)
    desk.outcomes(rank_ic - 0.2, coverage)

    assert desk.found(SESSIONS[134]) == []
    assert [one["rule"] for one in desk.found(LAST)] == ["forecast_decay"]


def test_champion_that_lost_its_place_is_told_until_another_earns_it(desk):
    desk.decide(SESSIONS[150], NAIVE, roles.CHAMPION, f"{RIDGE} no longer beats it")

    (found,) = desk.found()
    assert (found["rule"], found["subject"], found["subject_date"]) == ("champion_lost", RIDGE, SESSIONS[150])
    assert desk.found(SESSIONS[149]) == []

    desk.decide(SESSIONS[155], RIDGE, roles.CHAMPION, "beats it again")
    assert desk.found() == []


def test_trouble_that_lasts_is_one_alert(desk):
    desk.features()
    rank_ic, coverage = as_fitted(desk.rng)
    desk.outcomes(rank_ic - 0.1, coverage)

    for day in SESSIONS[-3:]:
        found = pa.Table.from_pylist(desk.found(day), schema=checks.FINDING_SCHEMA)
        standing = checks.record(desk.lake, found, list(model_watch.RULES), day).to_pylist()

    assert [(one["rule"], one["n_seen"]) for one in standing] == [("forecast_decay", 3)]


def test_desk_without_a_fitted_model_has_nothing_to_ask(empty_lake, tmp_path):
    options = settings.read_settings(home=tmp_path, _env_file=None)

    assert model_watch.find(empty_lake, options, date(2024, 1, 2), date(2024, 1, 2)).num_rows == 0
