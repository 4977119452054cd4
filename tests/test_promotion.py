"""Who is put in charge of the forecasts: planted markets through fitting, deciding, scoring and judging."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flows import context as flow_context
from flows import detecting, model_cards, outcomes, promoting, scoring, settings
from models import evaluation, promotion
from warehouse import derive, errors, lake, roles
from warehouse.tables import feature, model

# Fits by the dozen: minutes.
pytestmark = pytest.mark.exhaustive

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
N_CODES, N_SESSIONS = 60, 240
SESSIONS = [stamp.date() for stamp in pd.bdate_range("2025-01-01", periods=N_SESSIONS + 60)]
LAST = SESSIONS[N_SESSIONS - 1]
# Standard deviation of a five-session return; a usual one.
SCALE = 0.05


class PlantedDesk:
    """A lake whose five-session returns are what one feature said five sessions before, and noise."""

    def __init__(self, home, lay_out, share, **overrides):
        """`share` is the part of the returns' variance that the first feature foretells."""
        chosen = {"forecast_models": ("zero", "ridge"), "seed_repeats": 1} | overrides
        self.options = settings.read_settings(home=home, _env_file=None, **chosen)
        lay_out(self.options.lake)
        self.rng = np.random.default_rng(11)
        self.share = share
        self.features = self.rng.standard_normal((len(SESSIONS), N_CODES, len(feature.FEATURE_NAMES)))
        # Ranks are what the models read, so they are what is planted: uniform, with standard deviation 1.
        ranks = self.features[:, :, 0].argsort(axis=1).argsort(axis=1)
        self.signal = (ranks - ranks.mean()) / ranks.std()
        noise = self.rng.standard_normal(self.signal.shape)
        self.ahead = SCALE * (np.sqrt(share) * self.signal + np.sqrt(1 - share) * noise)
        self.add(0, N_SESSIONS)

    def add(self, start, stop):
        """Sessions of the market, from and up to a number."""
        grid = [(f"{600000 + code}.SH", SESSIONS[at], at, code) for at in range(start, stop) for code in range(N_CODES)]
        codes, days, at, code = (list(column) for column in zip(*grid, strict=True))
        key = {"ts_code": codes, "trade_date": days}
        features = {name: self.features[at, code, column] for column, name in enumerate(feature.FEATURE_NAMES)}
        before = np.array(at) - 5
        came = np.where(before >= 0, self.ahead[np.maximum(before, 0), code], np.nan)
        returns = {"log_return_5d": pa.array(came, mask=np.isnan(came))}

        def work(connection):
            derive.write_rows(connection, feature.FEATURE, feature.FEATURE.conform(pa.table(key | features)))
            columns = {name: pa.nulls(len(codes), pa.float64()) for name in feature.LOG_RETURN.fact_names}
            rows = pa.table(columns | key | returns)
            derive.write_rows(connection, feature.LOG_RETURN, feature.LOG_RETURN.conform(rows))

        with self.writer() as opened:
            opened.commit(work, message=f"sessions {start} to {stop}")

    def context(self):
        return flow_context.Context(self.options, NOW, "test", None, None, None)

    def writer(self):
        return lake.open_writer(self.options.lake, holder="test", wait_s=5)

    def reader(self):
        return lake.open_reader(self.options.lake)

    def refit(self, day=LAST):
        """Fit and decide; the roles that stand afterwards, by version."""
        scoring.refit(self.context(), day)
        return self.promote(day)

    def promote(self, day=LAST):
        promoting.promote(self.context(), day)
        return self.roles(day)

    def roles(self, day=LAST):
        with self.reader() as opened:
            found = roles.standing(roles.read_decisions(opened, day))
        return {name: one.role for name, one in found.items()}

    def read(self, statement, **values):
        with self.reader() as opened:
            return opened.read(statement, **values).to_pylist()

    def person(self, reason="looked at it", day=LAST):
        return model_cards.stamp_of(day, reason, "a quant")


ZERO, RIDGE = f"zero/{LAST}", f"ridge/{LAST}"


@pytest.fixture
def planted(tmp_path, lay_out):
    """A function that makes a desk with a planted share of predictable variance."""
    return lambda share, **overrides: PlantedDesk(tmp_path / "home", lay_out, share, **overrides)


def test_linear_signal_is_found_and_ridge_promoted(planted):
    desk = planted(share=0.007)

    found = desk.refit()

    assert found == {ZERO: "challenger", RIDGE: "champion"}
    rows = desk.read("select metric, value from model.evaluation where model_version = $v and fold = 0", v=RIDGE)
    metrics = {row["metric"]: row["value"] for row in rows}
    assert metrics["r2_oos"] == pytest.approx(0.007, abs=0.01)
    reason = desk.read("select reason, evidence from analyst.version_role where role = 'champion' order by decision")[
        -1
    ]
    assert reason["reason"] == f"beats the naive forecast and {ZERO} out of sample"
    assert json.loads(reason["evidence"])["rank_ic_t"] > 3


def test_noise_leaves_the_naive_forecast_in_charge_and_the_others_without_skill(planted):
    desk = planted(share=0.0, forecast_models=("zero", "ols", "elastic_net", "ridge", "boosting"))

    found = desk.refit()

    assert found.pop(ZERO) == "champion"
    assert set(found.values()) == {"challenger"} and len(found) == 4
    reasons = desk.read("select model_name, reason from analyst.version_role where role = 'challenger'")
    assert all(row["reason"].startswith("without skill: ") for row in reasons if row["model_name"] != "zero")


def test_noise_marks_the_network_as_without_skill(planted):
    desk = planted(share=0.0, forecast_models=("zero", "mlp"), forecast_folds=1, seed_repeats=2)

    assert desk.refit() == {ZERO: "champion", f"mlp/{LAST}": "challenger"}

    with desk.reader() as opened:
        card = model_cards.read_card(desk.options, opened, f"mlp/{LAST}", LAST)
    assert card["decisions"][0]["reason"].startswith("without skill: ")
    assert card["params"]["seed_spread"]["seed"] == [desk.options.seed, desk.options.seed + 1]
    assert card["metrics"]["r2_oos_seed_min"] <= card["metrics"]["r2_oos_seed_max"]
    assert card["files"]["state"] == "whole"


def test_deciding_again_changes_nothing(planted):
    desk = planted(share=0.007)
    desk.refit()
    with desk.reader() as opened:
        before = opened.snapshot

    desk.promote()

    with desk.reader() as opened:
        assert opened.snapshot == before


def test_result_too_good_is_held_with_its_cause_until_it_is_released(planted):
    desk = planted(share=0.3)

    found = desk.refit()

    assert found == {ZERO: "champion", RIDGE: "held"}
    with desk.reader() as opened:
        alerts = detecting.find_model_trouble(opened, desk.options, LAST).to_pylist()
    assert [row["rule"] for row in alerts] == ["model_held"]
    assert f"Suspected cause: {feature.FEATURE_NAMES[0]} alone has a mean rank IC of +0.5" in alerts[0]["title"]
    scoring.score(desk.context(), LAST)
    assert desk.read("select distinct model_version from model.forecast") == [{"model_version": ZERO}]

    with desk.writer() as opened:
        model_cards.release(opened, RIDGE, desk.person(), NOW)
    assert desk.promote() == {ZERO: "challenger", RIDGE: "champion"}


def test_release_needs_a_reason_and_a_version_that_is_held(planted):
    desk = planted(share=0.0)
    desk.refit()

    with desk.writer() as opened:
        with pytest.raises(errors.ConfigError, match=r"why release\? Give --reason"):
            model_cards.release(opened, RIDGE, desk.person(reason=" "), NOW)
        with pytest.raises(errors.ConfigError, match=f"{RIDGE} is challenger, so there is nothing to release"):
            model_cards.release(opened, RIDGE, desk.person(), NOW)
    with pytest.raises(errors.ConfigError, match="nobody may decide as 'rule'"):
        model_cards.stamp_of(LAST, "because", "rule")


def test_rollback_puts_the_champion_before_in_charge_and_the_rule_does_not_undo_it(planted):
    desk = planted(share=0.007)
    desk.refit()

    with desk.writer() as opened:
        model_cards.roll_back(opened, "", desk.person("it trades too much"), NOW, desk.options)

    assert desk.promote() == {ZERO: "champion", RIDGE: "held"}
    later = SESSIONS[N_SESSIONS + 6]
    desk.add(N_SESSIONS, N_SESSIONS + 7)
    found = desk.refit(later)
    assert (found[f"zero/{later}"], found[f"ridge/{later}"], found[RIDGE]) == ("champion", "held", "retired")


def test_rollback_without_a_champion_before_is_one_clear_refusal(planted):
    desk = planted(share=0.0)
    desk.refit()

    with (
        desk.writer() as opened,
        pytest.raises(errors.ConfigError, match=rf"go back to from {ZERO}; none stood before"),
    ):
        model_cards.roll_back(opened, "", desk.person("it trades too much"), NOW, desk.options)


def test_champion_is_succeeded_by_its_refit_while_it_stays_ahead(planted):
    desk = planted(share=0.007)
    desk.refit()
    later = SESSIONS[N_SESSIONS + 6]
    desk.add(N_SESSIONS, N_SESSIONS + 7)

    found = desk.refit(later)

    assert found == {ZERO: "retired", RIDGE: "retired", f"zero/{later}": "challenger", f"ridge/{later}": "champion"}
    assert desk.roles(LAST) == {ZERO: "challenger", RIDGE: "champion"}


def test_champion_whose_published_forecasts_fall_behind_is_demoted_on_the_day_it_is_known(planted):
    """The signal turns against it: what came is the opposite of what the feature says."""
    desk = planted(share=0.008, live_min_sessions=10, live_sessions=15, refit_days=400)
    desk.refit()
    desk.ahead[N_SESSIONS - 1 :] = -SCALE * 0.3 * desk.signal[N_SESSIONS - 1 :]
    scoring.score(desk.context(), LAST)
    demoted = None
    for at in range(N_SESSIONS, N_SESSIONS + 20):
        desk.add(at, at + 1)
        if desk.promote(SESSIONS[at])[RIDGE] != "champion":
            demoted = at
            break
        scoring.score(desk.context(), SESSIONS[at])

    # Ten outcomes are needed; the first forecast is of LAST, and each is known five sessions later.
    assert demoted == N_SESSIONS - 1 + 9 + 5
    assert desk.roles(SESSIONS[demoted]) == {ZERO: "champion", RIDGE: "challenger"}
    assert desk.roles(SESSIONS[demoted - 1])[RIDGE] == "champion"
    outcome = desk.read("from analyst.forecast_outcome where model_name = 'ridge' order by forecast_date")
    assert len(outcome) == 10 and outcome[0]["known_date"] == outcome[0]["forecast_date"] + timedelta(days=7)
    assert all(row["rank_ic"] < 0 and row["r2_against_naive"] < 0 for row in outcome)
    assert {row["nominal_coverage"] for row in outcome} == {0.9}


def test_outcome_known_later_does_not_enter_an_earlier_decision(planted):
    desk = planted(share=0.0)
    rows = [
        {
            "model_version": RIDGE,
            "model_name": "ridge",
            "forecast_date": SESSIONS[at],
            "known_date": SESSIONS[at + 5],
            "n_rows": 1,
            "squared_error": float(at),
            "naive_squared_error": 1.0,
            "rank_ic": None,
            "nominal_coverage": 0.9,
            "realised_coverage": 0.5,
        }
        for at in (2, 4, 6)
    ]
    with desk.writer() as opened:
        opened.commit(
            lambda c: derive.write_rows(
                c, model.FORECAST_OUTCOME, model.FORECAST_OUTCOME.conform(pa.Table.from_pylist(rows))
            ),
            message="outcomes",
        )
        found = outcomes.read_live_record(opened, "ridge", SESSIONS[9], 60)
        newest = outcomes.read_live_record(opened, "ridge", SESSIONS[11], 1)

    assert found == promotion.LiveRecord(2, 3.0, 1.0)
    assert newest == promotion.LiveRecord(1, 6.0, 1.0)


def test_broken_file_is_named_and_the_other_models_score(planted, caplog):
    desk = planted(share=0.0, forecast_models=("zero", "ridge", "elastic_net"))
    desk.refit()
    path = desk.options.models_path / f"ridge@{LAST}" / "arrays.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    with caplog.at_level(logging.ERROR):
        scoring.score(desk.context(), LAST)

    made = desk.read("select model_name, count(*) as n, min(role) as role from analyst.forecast group by 1 order by 1")
    assert made == [
        {"model_name": "elastic_net", "n": N_CODES, "role": "challenger"},
        {"model_name": "zero", "n": N_CODES, "role": "champion"},
    ]
    errors_told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert [str(path) in told for told in errors_told] == [True]
    with desk.reader() as opened:
        (alert,) = detecting.find_model_trouble(opened, desk.options, LAST).to_pylist()
        assert model_cards.read_card(desk.options, opened, RIDGE, LAST)["files"]["state"] == "broken"
    assert (alert["rule"], alert["severity"], alert["subject"]) == ("model_files_broken", "high", RIDGE)
    assert str(path) in alert["title"]


def test_model_that_refuses_its_rows_is_named_and_the_others_are_fitted(planted):
    """Least squares cannot tell two equal columns apart; ridge can live with them."""
    desk = planted(share=0.0, forecast_models=("zero", "ols", "ridge"))
    with desk.writer() as opened:
        first, second = feature.FEATURE_NAMES[:2]
        opened.commit(lambda c: c.execute(f"update feature.feature set {second} = {first}"), message="equal columns")

    found = desk.refit()

    assert found == {ZERO: "champion", RIDGE: "challenger", f"ols/{LAST}": "refused"}
    with desk.reader() as opened:
        (alert,) = detecting.find_model_trouble(opened, desk.options, LAST).to_pylist()
    assert alert["rule"] == "model_not_fitted"
    assert alert["title"].startswith("ols could not be fitted: the 8 features repeat one another")


def test_plug_in_named_in_the_settings_is_fitted_scored_and_kept(planted):
    """A class of another package: here scikit-learn's house has none, so one of ours under another name."""
    desk = planted(share=0.0, forecast_plugins={"mean": "models.baseline:HistoricalMean"})

    found = desk.refit()
    scoring.score(desk.context(), LAST)

    assert found[f"mean/{LAST}"] == "challenger"
    assert desk.read("select count(*) as n from model.forecast where model_name = 'mean'") == [{"n": N_CODES}]


def test_plug_in_that_is_not_there_is_one_clear_refusal(planted):
    desk = planted(share=0.0, forecast_plugins={"desk": "desk_models.value:Value"})

    found = desk.refit()

    assert found[f"desk/{LAST}"] == "refused" and found[RIDGE] == "challenger"
    (row,) = desk.read("select reason from analyst.version_role where model_name = 'desk'")
    assert "there is no class 'desk_models.value:Value'" in row["reason"]


def test_model_that_is_not_listed_is_refused_when_settings_are_read(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"FORECAST_MODELS: .*there is no model \['magic'\]; choose from"):
        settings.read_settings(home=tmp_path, _env_file=None, forecast_models=("magic",))


def test_comparison_shows_metrics_and_what_differs(planted):
    desk = planted(share=0.007, forecast_models=("zero", "ridge", "elastic_net"))
    desk.refit()

    with desk.reader() as opened:
        found = model_cards.compare(opened, RIDGE, f"elastic_net/{LAST}")
        listed = model_cards.read_list(opened, LAST)
        with pytest.raises(errors.ConfigError, match=r"no model version 'ridge/2001'\. Fitted: \['ridge/"):
            model_cards.compare(opened, RIDGE, "ridge/2001")

    assert found["params"]["penalty"] == [1.0, 0.005]
    r2 = found["metrics"]["r2_oos"]
    assert (r2[0] > r2[1]) == (found["mean_squared_error_difference"] < 0)
    assert 0 <= found["diebold_mariano_p_value"] <= 1
    assert [row["role"] for row in listed] == ["champion", "challenger", "challenger"]


GOOD = {"r2_oos": 0.01, "rank_ic_t": 4.0, "cw_p_value": 0.001}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"r2_oos": -0.001}, "squared error is not below"),
        ({"r2_oos": float("nan")}, "squared error is not below"),
        ({"rank_ic_t": 2.9}, "t statistic of its rank IC is 2.9, below 3.0"),
        ({"cw_p_value": 0.02}, "p is 0.020 that it adds nothing"),
        ({"r2_oos_seed_min": -0.002}, "with another seed"),
    ],
)
def test_each_hurdle_stops_a_model_alone(change, words):
    hurdles = promotion.Hurdles()

    assert promotion.shortfalls(GOOD, [0.01, 0.02, -0.01], hurdles) == []
    (found,) = promotion.shortfalls(GOOD | change, [0.01, 0.02, -0.01], hurdles)
    assert words in found


def test_one_good_fold_of_three_is_not_enough():
    (found,) = promotion.shortfalls(GOOD, [0.05, -0.01, -0.01], promotion.Hurdles())

    assert found == "it was ahead of the naive forecast in 1 of 3 folds, 2 are needed"


def test_better_is_beyond_chance_and_one_sided():
    rng = np.random.default_rng(0)
    champion, noise = rng.chisquare(1, 200), 0.1 * rng.standard_normal(200)

    assert promotion.is_better(champion - 0.1 + noise, champion, 1, promotion.Hurdles())[0]
    assert not promotion.is_better(champion + 0.1 + noise, champion, 1, promotion.Hurdles())[0]
    assert not promotion.is_better(champion, champion, 1, promotion.Hurdles())[0]


@pytest.mark.parametrize("horizon", [1, 5])
def test_interval_of_rank_ic_covers_zero_when_nothing_is_planted(horizon):
    """50 markets of noise: 95 % intervals leave 0 out in some 2 or 3; overlapping targets cost a few more."""
    from models.regression import Ridge

    n_dates, n_names, outside = 200, 25, 0
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(n_dates), n_names)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        features = rng.standard_normal((n_dates * n_names, 5))
        daily = rng.standard_normal((n_dates + horizon, n_names))
        target = np.array([daily[at + 1 : at + 1 + horizon].sum(axis=0) for at in range(n_dates)]).ravel()
        folds = evaluation.walk_forward_folds(
            dates, n_folds=2, test_sessions=60, min_train_sessions=40, embargo=horizon
        )
        tested = evaluation.walk_forward(Ridge, features, target, dates, folds)
        found = evaluation.metrics(tested.predicted, tested.realised, dates[tested.rows], horizon=horizon)
        outside += abs(found["rank_ic_t"]) > 1.96

    # Of 50 draws at 5 % more than 6 are outside once in a hundred times; at 9 %, as measured with overlap, more than 9.
    assert outside <= (6 if horizon == 1 else 9)
