"""Forecasts of the cross-section: trained walk-forward, judged beside a naive baseline, and applied to a day.

Invariant: a row enters training only when its five-session return was known by `as_of`, and between the last training
day and the first test day lie as many sessions as the target looks ahead. Partners: `models/evaluation.py`,
`warehouse/panels.py`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import models
from flows import factors, feature_scaling, outcomes
from flows.context import Context
from flows.settings import Settings
from models import base, cross_section, evaluation, importance, intervals, promotion, registry
from warehouse import panels, roles
from warehouse.lake import Lake
from warehouse.panels import FeatureRows
from warehouse.roles import REFUSED, Decision
from warehouse.tables import model

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

HORIZON = 5
BASELINE = "zero"
INTERVAL_LEVEL = 0.9
MIN_TRAIN_SESSIONS = 60
MIN_TEST_SESSIONS = 20


@dataclass(frozen=True)
class Training:
    """Rows whose outcome is known, standardised within each date.

    Args:
        features: (n_rows, n_features) scaled within their date.
        target: (n_rows,) forward return less the mean of its date.
        dates: (n_rows,) datetime64[D].
        ts_code: (n_rows,) securities.
        n_dropped: rows left out because their outcome was not known.
        scaling: which features they are, and what was done to them.
    """

    features: Floats
    target: Floats
    dates: npt.NDArray[np.datetime64]
    ts_code: npt.NDArray[np.object_]
    n_dropped: int
    scaling: feature_scaling.Scaling


def read_training(context: Context, lake: Lake, as_of: date) -> Training:
    """What the forecasts may learn from, as of a day.

    Raises:
        LakeError: the lake cannot be read.
    """
    start = lake.read_value(
        "select min(trade_date) from (select distinct trade_date from feature.feature where trade_date <= $as_of"
        " order by trade_date desc limit $n)",
        as_of=as_of,
        n=context.settings.forecast_sessions,
    )
    rows = panels.read_feature_rows(lake, as_of, start=start)
    known = np.isfinite(rows.forward_return_5d)
    scaling = feature_scaling.of_settings(context.settings, rows)
    features = feature_scaling.scaled(scaling, rows, feature_scaling.read_industries(lake, as_of, scaling))
    target = cross_section.excess_by_date(rows.forward_return_5d[known], rows.dates[known])
    dates, codes = rows.dates[known], rows.ts_code[known]
    # A whole market's rows are a gigabyte, which is not held once more while the known ones are taken out.
    del rows
    return Training(features[known], target, dates, codes, int((~known).sum()), scaling)


def places(settings: Settings) -> dict[str, str]:
    """Name to class of the models that are set to be fitted, the naive one first."""
    names = dict.fromkeys((BASELINE, *settings.forecast_models))
    return {name: models.MODELS[name] for name in names} | settings.forecast_plugins


def sessions_to_test(n_sessions: int, n_folds: int) -> int:
    """Sessions that each fold tests, half of all in sum; 0 where that or what is left to train on is too little.

    A lake that is short of them for some weeks is no trouble of any model's.
    """
    n_test = (n_sessions // 2) // n_folds
    n_train = n_sessions - n_folds * n_test - HORIZON
    return n_test if n_test >= MIN_TEST_SESSIONS and n_train >= MIN_TRAIN_SESSIONS else 0


def fit_forecasts(context: Context, lake: Lake, as_of: date) -> list[factors.Fitted]:
    """Every model that is set, fitted on what was known by `as_of` and judged walk-forward.

    A model that refuses its rows is said so in a decision, and the others are fitted all the same. Empty when there are
    too few sessions to train and test.

    Raises:
        LakeError: the lake cannot be read.
    """
    training = read_training(context, lake, as_of)
    n_sessions = len(np.unique(training.dates))
    n_folds = context.settings.forecast_folds
    test_sessions = sessions_to_test(n_sessions, n_folds)
    if not test_sessions:
        log.warning("no forecasts sessions=%s as_of=%s", n_sessions, as_of)
        return []
    folds = evaluation.walk_forward_folds(
        training.dates,
        n_folds=n_folds,
        test_sessions=test_sessions,
        min_train_sessions=MIN_TRAIN_SESSIONS,
        embargo=HORIZON,
    )
    fitted = []
    for name in places(context.settings):
        try:
            fitted.append(_fit_one(context, name, as_of, (training, folds)))
        # A plug-in's class may be absent, which is a ValueError as every error of a model is.
        except ValueError as exc:
            log.error("model not fitted model_name=%s as_of=%s reason=%s", name, as_of, exc)
            refused = Decision(as_of, f"{name}/{as_of}", name, REFUSED, f"{name} could not be fitted: {exc}")
            fitted.append(factors.Fitted(refused.model_version, {}, refused))
    return fitted


def _fit_one(
    context: Context, name: str, as_of: date, material: tuple[Training, list[evaluation.Fold]]
) -> factors.Fitted:
    training, folds = material
    version = (f"{name}/{as_of}", name)

    plugins = context.settings.forecast_plugins

    def make(seed: int = context.settings.seed) -> Any:
        return models.make(name, plugins=plugins, seed=seed, horizon=HORIZON)

    made: list[Any] = []

    def make_kept() -> Any:
        made.append(make())
        return made[-1]

    tested = evaluation.walk_forward(make_kept, training.features, training.target, training.dates, folds)
    fitted = make().fit(training.features, training.target, training.dates)
    residual, tested_dates = tested.realised - tested.predicted, training.dates[tested.rows]
    adaptive = intervals.adaptive_intervals(residual, tested_dates, level=INTERVAL_LEVEL, horizon=HORIZON)
    overall = evaluation.metrics(tested.predicted, tested.realised, tested_dates, horizon=HORIZON)
    overall |= {"interval_nominal": INTERVAL_LEVEL, "interval_coverage_adaptive": adaptive.coverage}
    facts: dict[str, Any] = {
        "interval_radius": adaptive.state.radius(),
        "n_folds": len(folds),
        "embargo_sessions": HORIZON,
    }
    if models.draws_random_numbers(name, plugins):
        facts["seed_spread"], spread = _seed_spread(make, context.settings, tested, (training, folds[-1]))
        overall |= spread
    if evaluation.implausible(overall):
        facts["suspected_cause"] = promotion.suspected_cause(
            training.features[tested.rows], training.scaling.names, tested.realised, tested_dates
        )
    card = factors.version_card(context, version, as_of, (training.dates, {**fitted.params(), **facts}))
    card |= {
        "n_rows": len(training.target),
        "n_rows_dropped": training.n_dropped,
        "is_converged": bool(fitted.is_converged_),
        "is_champion": bool(fitted.is_converged_),
    }
    state = {"level": INTERVAL_LEVEL, "miss_rate": adaptive.state.miss_rate, "quantiles": adaptive.state.quantiles}
    file_card = factors.card_for_files(card) | {"interval": state} | training.scaling.card
    card["files_sha256"] = registry.save(
        context.settings.models_path, version[0], fitted, file_card, plugins=plugins.values()
    )
    rows = {
        model.MODEL_VERSION: pa.Table.from_pylist([card]),
        model.EVALUATION: _evaluation(version, tested, training.dates, (folds, overall)),
    }
    if name != BASELINE:
        rows[model.OUT_OF_SAMPLE] = _out_of_sample(version, tested, training)
        rows[model.IMPORTANCE] = _importance(version, made[-1], (training, folds[-1]), context.settings.seed)
    if hasattr(fitted, "coefficients"):
        rows[model.COEFFICIENT] = _coefficients(version, fitted.coefficients(), training.scaling.names)
    if hasattr(fitted, "learning_curve"):
        curve = fitted.learning_curve()
        rows[model.LEARNING_CURVE] = pa.table({**_constant(version, len(curve["epoch"])), **curve})
    return factors.Fitted(version[0], rows)


def _seed_spread(
    make: Callable[[int], Any],
    settings: Settings,
    tested: evaluation.OutOfSample,
    material: tuple[Training, evaluation.Fold],
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """What other seeds give on the last fold: each seed's figures for the card, and the extremes as metrics."""
    training, fold = material
    seeds = [settings.seed + number for number in range(settings.seed_repeats)]
    figures = []
    for seed in seeds:
        one = tested
        if seed != settings.seed:
            rows = (training.features, training.target, training.dates)
            one = evaluation.walk_forward(functools.partial(make, seed), *rows, [fold])
        inside = one.fold == fold.number
        dates = training.dates[one.rows[inside]]
        figures.append(evaluation.metrics(one.predicted[inside], one.realised[inside], dates, horizon=HORIZON))
    spread = {"seed": [float(seed) for seed in seeds]}
    extremes = {}
    for metric, short in (("r2_oos", "r2_oos"), ("rank_ic_mean", "rank_ic")):
        spread[metric] = [float(f"{one[metric]:.6g}") for one in figures if np.isfinite(one[metric])]
        for words, extreme in (("min", min), ("max", max)):
            extremes[f"{short}_seed_{words}"] = extreme(spread[metric], default=float("nan"))
    return spread, extremes


def _evaluation(
    version: tuple[str, str],
    tested: evaluation.OutOfSample,
    dates: npt.NDArray[np.datetime64],
    found: tuple[list[evaluation.Fold], dict[str, float]],
) -> pa.Table:
    tables = []
    folds, overall = found
    for number in [0, *(fold.number for fold in folds)]:
        inside = tested.fold == number if number else np.ones(len(tested.fold), dtype=bool)
        predicted, realised = tested.predicted[inside], tested.realised[inside]
        tested_dates = dates[tested.rows[inside]]
        metrics = dict(overall)
        if number:
            metrics = evaluation.metrics(predicted, realised, tested_dates, horizon=HORIZON)
        metrics["interval_coverage"] = _coverage(tested, number)
        span = (tested_dates.min().item(), tested_dates.max().item())
        tables.append(factors.evaluation_rows(version, number, span, metrics, int(inside.sum())))
    return pa.concat_tables(tables)


def _coverage(tested: evaluation.OutOfSample, number: int) -> float:
    """Share of outcomes inside the interval that the folds before would have given; NaN for the first fold."""
    residual = tested.realised - tested.predicted
    inside = []
    for fold in np.unique(tested.fold):
        before = tested.fold < fold
        if before.any() and number in (0, fold):
            radius = intervals.conformal_radius(residual[before], level=INTERVAL_LEVEL)
            inside.append(np.abs(residual[tested.fold == fold]) <= radius)
    return float(np.concatenate(inside).mean()) if inside else float("nan")


def _out_of_sample(version: tuple[str, str], tested: evaluation.OutOfSample, training: Training) -> pa.Table:
    n_rows = len(tested.rows)
    return pa.table(
        {
            **_constant(version, n_rows),
            "ts_code": pa.array(training.ts_code[tested.rows], pa.string()),
            "forecast_date": pa.array(training.dates[tested.rows]),
            "fold": tested.fold.astype(np.int32),
            "predicted": tested.predicted,
            "realised": tested.realised,
        }
    )


def _importance(version: tuple[str, str], fitted: Any, of: tuple[Training, evaluation.Fold], seed: int) -> pa.Table:
    """What the forecasts of the last fold lose without each feature; the model of that fold has not seen its rows."""
    training, fold = of
    unseen = base.TrainingRows(training.features[fold.test], training.target[fold.test], training.dates[fold.test])
    found = importance.permutation_importance(fitted.predict, unseen, np.random.default_rng(seed))
    n_terms = len(training.scaling.names)
    return pa.table(
        {
            **_constant(version, n_terms),
            "term": list(training.scaling.names),
            "loss_increase": found.loss_increase,
            "spread": found.spread,
            "n_shuffles": np.full(n_terms, found.n_shuffles),
            "n_rows": np.full(n_terms, found.n_rows),
        }
    )


def _coefficients(version: tuple[str, str], found: dict[str, Any], names: tuple[str, ...]) -> pa.Table:
    terms = [term if term == "intercept" else names[int(str(term)[1:])] for term in found["term"]]
    return pa.table(
        {
            **_constant(version, len(terms)),
            "term": terms,
            "estimate": np.asarray(found["estimate"], dtype=np.float64),
            "std_error": np.asarray(found["std_error"], dtype=np.float64),
            "t_statistic": np.asarray(found["t_statistic"], dtype=np.float64),
        }
    )


def score_session(context: Context, lake: Lake, session: date) -> pa.Table:
    """Rows of model.forecast for one session, by the champion and every challenger of that day.

    A version whose files are broken is named in the log, and as an alert by `flows/detecting.py`; the others score.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = panels.read_feature_rows(lake, session, start=session)
    tables = [model.FORECAST.empty()]
    for one in read_scoring(lake, session):
        if not len(rows.ts_code):
            continue
        try:
            tables.append(_forecast(context, lake, one, (session, rows)))
        except (base.BrokenFiles, registry.UnknownVersion) as exc:
            log.error("model cannot score model_version=%s session=%s reason=%s", one.model_version, session, exc)
    return pa.concat_tables(tables)


def read_scoring(lake: Lake, session: date) -> list[Decision]:
    """The versions that forecast a session, by the decisions of that day and before: the champion, then the others.

    Raises:
        LakeError: the lake cannot be read.
    """
    found = roles.standing(roles.read_decisions(lake, session)).values()
    scoring = [one for one in found if one.role in (roles.CHAMPION, roles.CHALLENGER)]
    return sorted(scoring, key=lambda one: (one.role != roles.CHAMPION, one.model_version))


def _forecast(context: Context, lake: Lake, one: Decision, of: tuple[date, FeatureRows]) -> pa.Table:
    session, rows = of
    folder, plugins = context.settings.models_path, context.settings.forecast_plugins.values()
    fitted = registry.load(folder, one.model_version, files_sha256=one.files_sha256, plugins=plugins)
    held = registry.read_card(folder, one.model_version)
    # Versions kept by an older Daybook have one radius for good.
    radius = float(held.get("interval_radius", np.inf))
    if "interval" in held:
        kept = held["interval"]
        state = intervals.IntervalState(kept["level"], kept["miss_rate"], np.array(kept["quantiles"]))
        for missed in outcomes.read_miss_shares(lake, one.model_version, session):
            state = state.after(missed)
        radius = state.radius()
    scaling = feature_scaling.of_card(held)
    predicted = fitted.predict(
        feature_scaling.scaled(scaling, rows, feature_scaling.read_industries(lake, session, scaling))
    )
    n_rows = len(predicted)
    return model.FORECAST.conform(
        pa.table(
            {
                "model_version": [one.model_version] * n_rows,
                "model_name": [one.model_name] * n_rows,
                "ts_code": pa.array(rows.ts_code, pa.string()),
                "forecast_date": pa.array([session] * n_rows, pa.date32()),
                "horizon": np.full(n_rows, HORIZON, np.int32),
                "forward_return_5d": predicted,
                "lower": predicted - radius,
                "upper": predicted + radius,
            }
        )
    )


def _constant(version: tuple[str, str], n_rows: int) -> dict[str, list[str]]:
    return {"model_version": [version[0]] * n_rows, "model_name": [version[1]] * n_rows}
