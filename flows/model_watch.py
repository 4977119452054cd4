"""Do the forecasting models still live in the world they were fitted on, and are they worth what they were then?

Four questions, each a rule: has a feature's distribution left what it was in training (`feature_drift`), do published
forecasts rank securities worse than out-of-sample ones did (`forecast_decay`), do intervals hold what they promise
(`interval_coverage_off`), and has the champion lost its place to the naive forecast (`champion_lost`)? Invariant:
outcomes count from the day they were known. Partners: `models/drift.py`, `flows/outcomes.py`; `detecting.py`, which
makes alerts of the findings.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flows import forecasts
from flows.settings import Settings
from models import drift, evaluation
from models.base import Floats
from warehouse import checks, roles
from warehouse.lake import Lake
from warehouse.tables import feature, model

log = logging.getLogger(__name__)

FEATURE_DRIFT, FORECAST_DECAY = "feature_drift", "forecast_decay"
COVERAGE_OFF, CHAMPION_LOST = "interval_coverage_off", "champion_lost"
RULES = (FEATURE_DRIFT, FORECAST_DECAY, COVERAGE_OFF, CHAMPION_LOST)

# What is usually called a large shift; a feature that wandered as far in training must go half as far again.
LARGE_SHIFT, BEYOND_TRAINING = 0.25, 1.5
# A month beside the training window, of which every fifth session stands for its week. The month itself is taken
# whole: a sample that moves on by a day would find and lose a single strange session in turn.
RECENT, EVERY = 20, 5
FEWEST_TRAINED = 60
# Some models and two rules are asked every evening.
CHANCE = 0.01
# Below this a miss of the promised coverage changes no decision.
COVERAGE_TOLERATED = 0.05


@dataclass(frozen=True)
class Live:
    """What came of a model's newest published forecasts, in time.

    Args:
        model_name: the model.
        rank_ic: (n,) rank correlation across securities, NaN where all forecasts were alike.
        coverage: (n,) share of outcomes inside their interval.
        nominal: what the intervals promise.
    """

    model_name: str
    rank_ic: Floats
    coverage: Floats
    nominal: float


def find(lake: Lake, settings: Settings, as_of: date, session: date) -> pa.Table:
    """What ails the models, as rows of `checks.FINDING_SCHEMA`.

    Args:
        lake: the lake.
        settings: how many sessions a model is judged on.
        as_of: day of the run; outcomes known later do not count.
        session: newest session with features.

    Raises:
        LakeError: the lake cannot be read.
    """
    decisions = roles.read_decisions(lake, as_of)
    versions = [one.model_version for one in forecasts.read_scoring(lake, as_of)]
    troubles = _drifts(lake, versions, session)
    fitted = _read_fitted(lake, versions)
    for live in _read_live(lake, as_of, settings.live_sessions):
        if len(live.coverage) >= settings.live_min_sessions and live.model_name in fitted:
            troubles += [*_decay(live, fitted[live.model_name]), *_coverage(live)]
    standing = {
        (row["rule"], row["subject"]): row["subject_date"]
        for row in lake.read(
            "select rule, subject, min(subject_date) as subject_date from ops.alert where state <> 'resolved'"
            " and rule in (select unnest($rules)) group by rule, subject",
            rules=list(ACTIONS),
        ).to_pylist()
    }
    found = [_finding(one, standing.get((one.rule, one.subject), as_of), as_of) for one in troubles]
    return pa.Table.from_pylist([*found, *_lost_champion(decisions)], schema=checks.FINDING_SCHEMA)


@dataclass(frozen=True)
class _Trouble:
    """What a rule found about a feature or a model."""

    rule: str
    subject: str
    title: str
    evidence: dict[str, Any]


def _drifts(lake: Lake, versions: Sequence[str], session: date) -> list[_Trouble]:
    trained = lake.read(
        f"select min(train_start) as first, max(train_end) as last from {model.MODEL_VERSION.full_name}"
        " where list_contains($versions, model_version) and model_name <> $naive",
        versions=list(versions),
        naive=forecasts.BASELINE,
    ).to_pylist()[0]
    if trained["first"] is None:
        return []
    days = lake.read(
        f"select distinct trade_date from {feature.FEATURE.full_name} where trade_date between $first and $session"
        " order by trade_date",
        first=trained["first"],
        session=session,
    )["trade_date"].to_pylist()
    before = [day for day in days if day <= trained["last"]]
    if len(before) < FEWEST_TRAINED or len(days) < RECENT:
        return []
    usual = _read_features(lake, before[::EVERY])
    edges = drift.bin_edges(usual.values)
    expected = drift.shares(usual.values, edges)
    now = drift.population_stability(expected, drift.shares(_read_features(lake, days[-RECENT:]).values, edges))
    wandered = _most_in_a_month(usual, edges, expected)
    columns = zip(feature.FEATURES, now, wandered, strict=True)
    return [
        _Trouble(
            FEATURE_DRIFT,
            column.name,
            f"{column.name} has left the distribution it had in training: stability index {index:.2f},"
            f" {most:.2f} at most in a month of training",
            {"stability_index": round(float(index), 4), "most_in_training": round(float(most), 4)},
        )
        for column, index, most in columns
        if index > max(LARGE_SHIFT, BEYOND_TRAINING * most)
    ]


@dataclass(frozen=True)
class _Features:
    values: Floats
    dates: npt.NDArray[np.datetime64]


def _most_in_a_month(usual: _Features, edges: list[Floats], expected: list[Floats]) -> Floats:
    """The largest index of each feature over any month of the sessions drawn."""
    starts = np.flatnonzero(np.r_[True, usual.dates[1:] != usual.dates[:-1]])
    by_session = [drift.shares(rows, edges) for rows in np.split(usual.values, starts[1:])]
    n_a_month = RECENT // EVERY
    months = (by_session[at : at + n_a_month] for at in range(len(by_session) - n_a_month + 1))
    indices = [
        drift.population_stability(expected, [np.mean(of, axis=0) for of in zip(*month, strict=True)])
        for month in months
    ]
    return np.max(indices, axis=0)


def _read_features(lake: Lake, days: Sequence[date]) -> _Features:
    rows = lake.read(
        f"select trade_date, {', '.join(feature.FEATURE_NAMES)} from {feature.FEATURE.full_name}"
        " where trade_date in (select unnest($days)) order by trade_date, ts_code",
        days=list(days),
    )
    values = np.column_stack([rows[name].to_numpy(zero_copy_only=False) for name in feature.FEATURE_NAMES])
    return _Features(values.astype(np.float64), rows["trade_date"].to_numpy())


def _read_fitted(lake: Lake, versions: Sequence[str]) -> dict[str, float]:
    """Mean rank IC out of sample of the newest version of each model."""
    rows = lake.read(
        f"select v.model_name, e.value from {model.EVALUATION.full_name} as e"
        f" join {model.MODEL_VERSION.full_name} as v using (model_version) where e.metric = 'rank_ic_mean'"
        " and e.fold = 0 and list_contains($versions, model_version) and v.model_name <> $naive and e.value is not null"
        " order by v.as_of_date",
        versions=list(versions),
        naive=forecasts.BASELINE,
    ).to_pylist()
    return {row["model_name"]: row["value"] for row in rows}


def _read_live(lake: Lake, as_of: date, n_sessions: int) -> list[Live]:
    rows = lake.read(
        "select model_name, forecast_date, rank_ic, realised_coverage, nominal_coverage"
        f" from {model.FORECAST_OUTCOME.full_name} where known_date <= $as_of qualify row_number() over"
        " (partition by model_name order by forecast_date desc, model_version desc) <= $n"
        " order by model_name, forecast_date",
        as_of=as_of,
        n=n_sessions,
    ).to_pylist()
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_model.setdefault(row["model_name"], []).append(row)
    return [
        Live(
            name,
            np.array([np.nan if row["rank_ic"] is None else row["rank_ic"] for row in of]),
            np.array([row["realised_coverage"] for row in of]),
            float(of[-1]["nominal_coverage"]),
        )
        for name, of in by_model.items()
    ]


def _decay(live: Live, fitted: float) -> list[_Trouble]:
    shortfall = (live.rank_ic - fitted)[np.isfinite(live.rank_ic)]
    if evaluation.mean_p_value(shortfall, horizon=forecasts.HORIZON, alternative="less") >= CHANCE:
        return []
    mean, n = float(np.nanmean(live.rank_ic)), len(shortfall)
    title = (
        f"{live.model_name} ranks worse than when it was tested: rank IC {mean:+.3f} over {n} published sessions,"
        f" {fitted:+.3f} out of sample"
    )
    evidence = {"rank_ic": round(mean, 4), "rank_ic_out_of_sample": round(fitted, 4), "sessions": n}
    return [_Trouble(FORECAST_DECAY, live.model_name, title, evidence)]


def _coverage(live: Live) -> list[_Trouble]:
    excess = live.coverage - live.nominal
    mean, n = float(excess.mean()), len(excess)
    p_value = evaluation.mean_p_value(excess, horizon=forecasts.HORIZON, alternative="two-sided")
    if abs(mean) <= COVERAGE_TOLERATED or p_value >= CHANCE:
        return []
    title = (
        f"{live.model_name}'s {live.nominal:.0%} intervals held {live.nominal + mean:.1%} of the outcomes"
        f" over {n} published sessions"
    )
    evidence = {"realised_coverage": round(live.nominal + mean, 4), "nominal_coverage": live.nominal, "sessions": n}
    return [_Trouble(COVERAGE_OFF, live.model_name, title, evidence)]


ACTIONS = {
    FEATURE_DRIFT: "Look for a change of unit or of coverage; if the market changed, the next refit takes it in.",
    FORECAST_DECAY: "Look at what changed in its features; `daybook refit` fits it on what came since.",
    COVERAGE_OFF: "Read its intervals as too narrow or too wide by this much, until they have adapted.",
}


def _finding(one: _Trouble, since: date, as_of: date) -> dict[str, Any]:
    """A trouble as a finding of the day it was first found on, so that it is one alert for as long as it lasts."""
    of_feature = (
        f"select trade_date, median({one.subject}) as median, avg(({one.subject} is null)::int) as missing_share"
        f" from feature.feature where trade_date between date '{as_of}' - 60 and date '{as_of}'"
        " group by trade_date order by trade_date"
    )
    of_model = f"from analyst.forecast_outcome where model_name = '{one.subject}' order by forecast_date"
    return {
        "rule": one.rule,
        "severity": "low",
        "subject": one.subject,
        "subject_date": since,
        "title": one.title,
        "action": ACTIONS[one.rule],
        "evidence": json.dumps(one.evidence),
        "evidence_sql": of_feature if one.rule == FEATURE_DRIFT else of_model,
    }


def _lost_champion(decisions: Sequence[roles.Decision]) -> list[dict[str, Any]]:
    """The champion before, while the naive forecast stands in for it."""
    champions = [one for one in decisions if one.role == roles.CHAMPION]
    lost = next((one for one in reversed(champions) if one.model_name != forecasts.BASELINE), None)
    if lost is None or champions[-1].model_name != forecasts.BASELINE:
        return []
    heir = champions[champions.index(lost) + 1]
    return [
        {
            "rule": CHAMPION_LOST,
            "severity": "medium",
            "subject": lost.model_version,
            "subject_date": heir.as_of_date,
            "title": f"{lost.model_version} lost its place to the naive forecast on {heir.as_of_date}: {heir.reason}",
            "action": "Use no forecast of excess returns until a challenger earns the place.",
            "evidence": json.dumps(dict(heir.evidence), sort_keys=True),
            "evidence_sql": f"from analyst.forecast_outcome where model_name = '{lost.model_name}'"
            " order by forecast_date",
        }
    ]
