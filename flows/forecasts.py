"""Forecasts of the cross-section: trained walk-forward, judged beside a naive baseline, and applied to a day.

Invariant: a row enters training only when its five-session return was known by `as_of`, and between the last training
day and the first test day lie as many sessions as the target looks ahead. Partners: `models/evaluation.py`,
`warehouse/panels.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import models
from flows import factors
from flows.context import Context
from models import cross_section, evaluation, intervals, registry
from warehouse import panels, results
from warehouse.lake import Lake
from warehouse.panels import FeatureRows
from warehouse.tables import feature, model

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
        features: (n_rows, n_features) within-date z-scores.
        target: (n_rows,) forward return less the mean of its date.
        dates: (n_rows,) datetime64[D].
        ts_code: (n_rows,) securities.
        n_dropped: rows left out because their outcome was not known.
    """

    features: Floats
    target: Floats
    dates: npt.NDArray[np.datetime64]
    ts_code: npt.NDArray[np.object_]
    n_dropped: int


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
    features = cross_section.standardise_by_date(rows.features, rows.dates)
    target = cross_section.excess_by_date(rows.forward_return_5d[known], rows.dates[known])
    return Training(features[known], target, rows.dates[known], rows.ts_code[known], int((~known).sum()))


def fit_forecasts(context: Context, lake: Lake, as_of: date) -> list[factors.Fitted]:
    """Every model of `models.MODELS`, fitted on what was known by `as_of` and judged walk-forward.

    Empty when there are too few sessions to train and test.

    Raises:
        LakeError: the lake cannot be read.
    """
    training = read_training(context, lake, as_of)
    n_sessions = len(np.unique(training.dates))
    test_sessions = (n_sessions // 2) // context.settings.forecast_folds
    if test_sessions < MIN_TEST_SESSIONS or n_sessions // 2 < MIN_TRAIN_SESSIONS:
        log.warning("no forecasts sessions=%s as_of=%s", n_sessions, as_of)
        return []
    folds = evaluation.walk_forward_folds(
        training.dates,
        n_folds=context.settings.forecast_folds,
        test_sessions=test_sessions,
        min_train_sessions=MIN_TRAIN_SESSIONS,
        embargo=HORIZON,
    )
    return [_fit_one(context, name, as_of, (training, folds)) for name in models.MODELS]


def _fit_one(
    context: Context, name: str, as_of: date, material: tuple[Training, list[evaluation.Fold]]
) -> factors.Fitted:
    training, folds = material
    version = (f"{name}/{as_of}", name)

    def make() -> Any:
        return models.make(name, seed=context.settings.seed, horizon=HORIZON)

    tested = evaluation.walk_forward(make, training.features, training.target, training.dates, folds)
    radius = intervals.conformal_radius(tested.realised - tested.predicted, level=INTERVAL_LEVEL)
    fitted = make().fit(training.features, training.target, training.dates)
    card = factors.version_card(
        context, version, as_of, (training.dates, {**fitted.params(), "interval_radius": radius, "n_folds": len(folds)})
    )
    card |= {
        "n_rows": len(training.target),
        "n_rows_dropped": training.n_dropped,
        "is_converged": bool(fitted.is_converged_),
        "is_champion": bool(fitted.is_converged_),
    }
    file_card = factors.card_for_files(card) | {"interval_radius": radius}
    card["files_sha256"] = registry.save(context.settings.models_path, version[0], fitted, file_card)
    rows = {
        model.MODEL_VERSION: pa.Table.from_pylist([card]),
        model.EVALUATION: _evaluation(version, tested, training.dates, folds),
    }
    if name != BASELINE:
        rows[model.OUT_OF_SAMPLE] = _out_of_sample(version, tested, training)
    if hasattr(fitted, "coefficients"):
        rows[model.COEFFICIENT] = _coefficients(version, fitted.coefficients())
    return factors.Fitted(version[0], rows)


def _evaluation(
    version: tuple[str, str],
    tested: evaluation.OutOfSample,
    dates: npt.NDArray[np.datetime64],
    folds: list[evaluation.Fold],
) -> pa.Table:
    tables = []
    for number in [0, *(fold.number for fold in folds)]:
        inside = tested.fold == number if number else np.ones(len(tested.fold), dtype=bool)
        predicted, realised = tested.predicted[inside], tested.realised[inside]
        tested_dates = dates[tested.rows[inside]]
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
            "model_version": [version[0]] * n_rows,
            "model_name": [version[1]] * n_rows,
            "ts_code": pa.array(training.ts_code[tested.rows], pa.string()),
            "forecast_date": pa.array(training.dates[tested.rows]),
            "fold": tested.fold.astype(np.int32),
            "predicted": tested.predicted,
            "realised": tested.realised,
        }
    )


def _coefficients(version: tuple[str, str], found: dict[str, Any]) -> pa.Table:
    terms = [term if term == "intercept" else feature.FEATURE_NAMES[int(str(term)[1:])] for term in found["term"]]
    return pa.table(
        {
            "model_version": [version[0]] * len(terms),
            "model_name": [version[1]] * len(terms),
            "term": terms,
            "estimate": np.asarray(found["estimate"], dtype=np.float64),
            "std_error": np.asarray(found["std_error"], dtype=np.float64),
            "t_statistic": np.asarray(found["t_statistic"], dtype=np.float64),
        }
    )


def score_session(context: Context, lake: Lake, session: date) -> pa.Table:
    """Rows of model.forecast for one session, by the newest promoted version of every model but the baseline.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = panels.read_feature_rows(lake, session, start=session)
    tables = [model.FORECAST.empty()]
    for name in models.MODELS:
        versions = results.read_versions(lake, name, session)
        if name == BASELINE or not versions or not len(rows.ts_code):
            continue
        tables.append(_forecast(context, (versions[0][0], name), session, rows))
    return pa.concat_tables(tables)


def _forecast(context: Context, version: tuple[str, str], session: date, rows: FeatureRows) -> pa.Table:
    fitted = registry.load(context.settings.models_path, version[0])
    radius = float(registry.read_card(context.settings.models_path, version[0])["interval_radius"])
    predicted = fitted.predict(cross_section.standardise_by_date(rows.features, rows.dates))
    n_rows = len(predicted)
    return model.FORECAST.conform(
        pa.table(
            {
                "model_version": [version[0]] * n_rows,
                "model_name": [version[1]] * n_rows,
                "ts_code": pa.array(rows.ts_code, pa.string()),
                "forecast_date": pa.array([session] * n_rows, pa.date32()),
                "horizon": np.full(n_rows, HORIZON, np.int32),
                "forward_return_5d": predicted,
                "lower": predicted - radius,
                "upper": predicted + radius,
            }
        )
    )
