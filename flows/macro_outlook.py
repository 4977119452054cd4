"""Where macro series will be in some months: forecasts at each refit, and what came of them.

Each target and horizon has the forecasts of an autoregression, the historical mean, the diffusion index and, where
asked for, a recurrent network side by side, all tested walk-forward. What beats the autoregression out of sample is
published; the autoregression otherwise. Invariant: nothing known after the day of the refit enters, and an outcome is
recorded once, as it was first known. Partners: `models/macro_horizons.py`, `models/macro_network.py`,
`flows/macro_news.py` (why a forecast moved).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows import factors, macro_news, macro_rivals
from flows.context import Context
from flows.factors import Fitted
from flows.macro_rivals import Made
from models import base, diffusion, macro_horizons, macro_network, macro_skill
from models.macro_horizons import AR, HORIZONS, LINEAR, MEAN, Forecast, MonthlyPanel
from models.macro_network import NETWORK, NetworkForecast
from models.macro_skill import Skill
from models.stability import Floats
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.tables import model, outlook

log = logging.getLogger(__name__)

# Twenty years of origins hold two recessions and a pandemic; coefficients are at most forty months old.
TEST_MONTHS, N_FOLDS = 240, 6
# A published rival is judged by its own record once a year of outcomes is known, and by the newest two years.
LIVE_MONTHS, LIVE_LEAST = 24, 12

Told = Forecast | NetworkForecast


def fit_outlooks(context: Context, lake: Lake, as_of: date) -> list[Fitted]:
    """The forecasts of every target and horizon as versions of each rival; none where history is too short.

    Raises:
        LakeError: the lake cannot be read.
    """
    made = macro_rivals.make(context, lake, as_of)
    if made is None or not made.forecasts:
        log.warning("no macro outlook as_of=%s", as_of)
        return []
    rows: list[dict[str, Any]] = []
    for target in made.n_months:
        rows += _rows_of(context, lake, as_of, (made, target))
    news = macro_news.explain(context, lake, as_of, (made, rows))
    fitted = []
    for name in dict.fromkeys(row["model_name"] for row in rows):
        own = [row for row in rows if row["model_name"] == name]
        fitted.append(_version(context, as_of, name, (made, own, news)))
    return fitted


def _rows_of(context: Context, lake: Lake, as_of: date, of: tuple[Made, str]) -> list[dict[str, Any]]:
    """Rows of model.macro_outlook for one target, every rival and horizon."""
    made, target = of
    cut = made.cut(target)
    if len(cut.months) not in made.folds:
        n_factors = context.settings.macro_factors
        made.folds[len(cut.months)] = macro_skill.fit_folds(cut, n_factors, n_test=TEST_MONTHS, n_folds=N_FOLDS)
    folds = made.folds[len(cut.months)]
    live = read_live_records(lake, as_of, target)
    network = _ask_network(context, (made, target), folds)
    rows = []
    for horizon in HORIZONS:
        forecasts: dict[str, Told] = {**made.forecasts[target, horizon]}
        others = {}
        if horizon in network:
            forecasts[NETWORK], others[NETWORK] = network[horizon]
        tested = macro_skill.walk_forward(cut, folds, target, horizon, others=others)
        skills = {name: macro_skill.judge(tested, name, horizon) for name in forecasts}
        verdicts = decide(skills, live.get(horizon, {}), context.settings.promotion_p_value)
        for name, forecast in forecasts.items():
            row = _row((name, as_of), (cut, target, horizon), (forecast, skills[name]))
            rows.append(row | {"is_published": verdicts[name][0], "reason": verdicts[name][1]})
    return rows


def _ask_network(
    context: Context, of: tuple[Made, str], folds: Sequence[macro_skill.Fold]
) -> dict[int, tuple[NetworkForecast, Floats]]:
    """By horizon, the network's forecast and what it would have said before; nothing where it is not asked for."""
    made, target = of
    if not context.settings.macro_network or not folds:
        return {}
    cut, seed = made.cut(target), context.settings.seed
    try:
        told = macro_network.forecast(cut, made.factors[target], target, seed)
    except base.ModelError as exc:
        log.info("no network series_id=%s reason=%s", target, exc)
        return {}
    before = macro_network.walk_forward(cut, folds, target, seed)
    return {horizon: (told[horizon], before[horizon]) for horizon in HORIZONS}


@dataclass(frozen=True, slots=True)
class Live:
    """How a rival's forecasts of one target and horizon fared beside the autoregression's.

    Args:
        n_months: origins whose outcome is known.
        squared_error, ar_squared_error: means over them.
    """

    n_months: int = 0
    squared_error: float = math.nan
    ar_squared_error: float = math.nan

    @property
    def is_behind(self) -> bool:
        """Whether they were no better, over enough of them."""
        return self.n_months >= LIVE_LEAST and not self.squared_error < self.ar_squared_error


def read_live_records(lake: Lake, as_of: date, target: str) -> dict[int, dict[str, Live]]:
    """By horizon and rival, the record of the newest origins, each by the first forecast made from it.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "with judged as (select f.horizon_months, f.origin_date, f.model_name,"
        " min_by(o.squared_error, f.forecast_date) as loss"
        " from model.macro_outlook as f join model.macro_outlook_outcome as o"
        " using (model_version, series_id, horizon_months)"
        " where f.series_id = $target and o.known_date <= $as_of group by all),"
        " paired as (select a.horizon_months, a.model_name, a.loss as own, b.loss as ar"
        " from judged as a join judged as b using (horizon_months, origin_date)"
        " where a.model_name not in ($ar, $mean) and b.model_name = $ar"
        " qualify row_number() over (partition by a.horizon_months, a.model_name order by a.origin_date desc) <= $n)"
        " select horizon_months, model_name, count(*) as n, avg(own) as own, avg(ar) as ar from paired group by all",
        target=target,
        as_of=as_of,
        ar=AR,
        mean=MEAN,
        n=LIVE_MONTHS,
    ).to_pylist()
    found: dict[int, dict[str, Live]] = {}
    for row in rows:
        found.setdefault(row["horizon_months"], {})[row["model_name"]] = Live(row["n"], row["own"], row["ar"])
    return found


def decide(skills: Mapping[str, Skill], live: Mapping[str, Live], p_value: float) -> dict[str, tuple[bool, str]]:
    """By rival, whether its forecast is published, and why: one is, the autoregression unless another beats it.

    Args:
        skills: by rival, of the walk-forward test.
        live: by rival, its record since it is forecast.
        p_value: largest one-sided p value of Clark and West's test, or of Diebold and Mariano's where that cannot be.
    """
    missed = {name: skill.shortfall(p_value) for name, skill in skills.items() if name not in (AR, MEAN)}
    for name, why in missed.items():
        record = live.get(name, Live())
        if not why and record.is_behind:
            missed[name] = (
                f"over the last {record.n_months} months known its forecasts had a mean squared error of"
                f" {record.squared_error:.3g}, the autoregression {record.ar_squared_error:.3g}"
            )
    able = sorted((skills[name].ratio_to_ar, name) for name, why in missed.items() if not why)
    verdicts = {name: (False, why or f"{able[0][1]} had smaller errors") for name, why in missed.items()}
    verdicts[MEAN] = (False, "for comparison")
    verdicts[AR] = (not able, f"beaten by {able[0][1]}" if able else "nothing beats it out of sample")
    if able:
        verdicts[able[0][1]] = (True, "beats the autoregression out of sample")
    return verdicts


def _row(version: tuple[str, date], of: tuple[MonthlyPanel, str, int], found: tuple[Told, Skill]) -> dict[str, Any]:
    (name, as_of), (cut, target, horizon), (forecast, skill) = version, of, found
    levels, code = cut.levels[target], cut.codes[target]

    def level(change: float) -> float | None:
        return _finite(macro_horizons.level_ahead(change, levels, code, horizon)) if math.isfinite(change) else None

    origin = cut.months[-1]
    return {
        "model_version": f"{name}/{as_of}",
        "model_name": name,
        "series_id": target,
        "horizon_months": horizon,
        "forecast_date": as_of,
        "origin_date": _day(origin),
        "observation_date": _day(origin + horizon),
        "mean_change": forecast.value,
        "mean_change_lower": _finite(forecast.value - skill.radius),
        "mean_change_upper": _finite(forecast.value + skill.radius),
        "mean_change_std_error": _finite(forecast.std_error),
        "forecast": level(forecast.value),
        "lower": level(forecast.value - skill.radius),
        "upper": level(forecast.value + skill.radius),
        "n_lags": forecast.n_own,
        "n_factor_lags": forecast.n_factor,
        "n_rows": forecast.n_rows,
        "n_tested": skill.n_tested,
        "test_start": _day(np.datetime64(skill.first)) if skill.first else None,
        "test_end": _day(np.datetime64(skill.last)) if skill.last else None,
        "rmse": _finite(skill.rmse),
        "ratio_to_ar": _finite(skill.ratio_to_ar),
        "ratio_to_mean": _finite(skill.ratio_to_mean),
        "dm_p_value": _finite(skill.dm_p_value),
        "cw_p_value": _finite(skill.cw_p_value),
        "nominal_coverage": macro_skill.LEVEL,
        "tested_coverage": _finite(skill.coverage),
    }


def _version(context: Context, as_of: date, name: str, of: tuple[Made, list[dict[str, Any]], pa.Table]) -> Fitted:
    made, rows, news = of
    version = (f"{name}/{as_of}", name)
    coefficients = []
    for row in rows if name in LINEAR else ():
        found = made.forecasts[row["series_id"], row["horizon_months"]][name].regression
        coefficients += _terms(row, found)
    params: dict[str, Any] = {"targets": list(made.n_months), "horizons": list(HORIZONS), "n_folds": N_FOLDS}
    if name == NETWORK:
        params |= macro_network.make(context.settings.seed).params()
    longest = made.panel.months[: max(made.n_months.values())].astype("datetime64[D]")
    card = factors.version_card(context, version, as_of, (longest, params))
    tables: dict[Table, pa.Table] = {
        model.MODEL_VERSION: pa.Table.from_pylist([card]),
        outlook.MACRO_OUTLOOK: _table(outlook.MACRO_OUTLOOK, rows),
        outlook.MACRO_COEFFICIENT: _table(outlook.MACRO_COEFFICIENT, coefficients),
        outlook.MACRO_NEWS: news.filter(pc.equal(news["model_version"], version[0])),
    }
    return Fitted(version[0], tables)


def _terms(row: Mapping[str, Any], found: diffusion.Regression) -> list[dict[str, Any]]:
    equation = found.equation
    names = ["intercept", *(f"own_{lag}" for lag in range(len(equation.own)))]
    names += [f"factor_{lag}" for lag in range(len(equation.factor))]
    estimates = [equation.intercept, *equation.own, *equation.factor.ravel()]
    same = {name: row[name] for name in ("model_version", "model_name", "series_id", "horizon_months")}
    return [
        same | {"term": name, "estimate": float(estimate), "std_error": float(error)}
        for name, estimate, error in zip(names, estimates, found.std_errors, strict=True)
    ]


def find_outcomes(lake: Lake, as_of: date) -> pa.Table:
    """Rows of model.macro_outlook_outcome for forecasts whose month is published by a day and not yet recorded.

    Raises:
        LakeError: the lake cannot be read.
    """
    waiting = lake.read(
        "select f.* from model.macro_outlook as f where f.forecast_date <= $as_of and not exists"
        " (from model.macro_outlook_outcome as o where o.model_version = f.model_version and o.series_id = f.series_id"
        " and o.horizon_months = f.horizon_months) and exists (from macro.observation as v where"
        " v.series_id = f.series_id and v.observation_date = f.observation_date and v.value is not null"
        " and v.realtime_start <= $as_of) order by f.model_version, f.series_id, f.horizon_months",
        as_of=as_of,
    ).to_pylist()
    if not waiting:
        return outlook.MACRO_OUTLOOK_OUTCOME.empty()
    panel = macro_rivals.read_panel(lake, as_of, tuple(dict.fromkeys(row["series_id"] for row in waiting)))
    found = (
        [] if panel is None else [_outcome(panel, row, as_of) for row in waiting if row["series_id"] in panel.levels]
    )
    return _table(outlook.MACRO_OUTLOOK_OUTCOME, [one for one in found if one])


def _outcome(panel: MonthlyPanel, row: Mapping[str, Any], as_of: date) -> dict[str, Any]:
    target, horizon = row["series_id"], row["horizon_months"]
    at = int((np.datetime64(row["origin_date"], "M") - panel.months[0]).astype(int))
    came = diffusion.outcome_by_origin(panel.levels[target], panel.codes[target], horizon)
    if at < 0 or not math.isfinite(came[at]):
        return {}
    ends = row["mean_change_lower"], row["mean_change_upper"]
    same = {name: row[name] for name in ("model_version", "model_name", "series_id", "horizon_months")}
    return same | {
        "known_date": as_of,
        "realised_value": float(panel.levels[target][at + horizon]),
        "realised_mean_change": float(came[at]),
        "squared_error": float((came[at] - row["mean_change"]) ** 2),
        "is_inside": None if None in ends else bool(ends[0] <= came[at] <= ends[1]),
    }


def _table(table: Table, rows: list[dict[str, Any]]) -> pa.Table:
    return table.conform(pa.Table.from_pylist(rows)) if rows else table.empty()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _day(month: np.datetime64) -> date:
    found: date = month.astype("datetime64[D]").item()
    return found
