"""Which release or revision moved a published macro forecast since the refit before, and by how much?

The fit before is made again from what was known on its day, and is held while figure after figure is put in; what then
remains is that it was fitted again. Invariant: the effects of a forecast add up to its change. Partners:
`models/news.py`, which has the arithmetic, `flows/macro_rivals.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from flows import macro_rivals
from flows.context import Context
from flows.macro_rivals import Made
from models import base, macro_horizons, news
from models.stability import Floats
from warehouse.lake import Lake
from warehouse.tables import outlook

log = logging.getLogger(__name__)

TIME, REFIT, RESTATED = "time", "refit", "restated"
# Below this the forecast made again is the one published; sums round.
ROUNDING = 1e-12

Rows = Sequence[Mapping[str, Any]]


def explain(context: Context, lake: Lake, as_of: date, of: tuple[Made, Rows]) -> pa.Table:
    """Rows of model.macro_news for the forecasts published on a day; empty without a refit before.

    Args:
        context: the run.
        lake: the lake.
        as_of: day of the refit.
        of: its forecasts, and their rows of model.macro_outlook.

    Raises:
        LakeError: the lake cannot be read.
    """
    made, rows = of
    before = lake.read(
        "select * from model.macro_outlook where is_published"
        " and forecast_date = (select max(forecast_date) from model.macro_outlook where forecast_date < $as_of)",
        as_of=as_of,
    ).to_pylist()
    if not before:
        return outlook.MACRO_NEWS.empty()
    then = macro_rivals.make(context, lake, before[0]["forecast_date"])
    published = {(row["series_id"], row["horizon_months"]): row for row in before}
    found: list[dict[str, Any]] = []
    for row in rows:
        target, horizon = row["series_id"], row["horizon_months"]
        old = published.get((target, horizon))
        if not row["is_published"] or old is None or then is None:
            continue
        if old["model_name"] not in then.forecasts.get((target, horizon), {}):
            continue
        one_ahead = published.get((target, 1), old)["mean_change"]
        try:
            found += _causes((then, made), (old, row), one_ahead)
        except base.ModelError as exc:
            log.info("no news series_id=%s horizon=%s as_of=%s reason=%s", target, horizon, as_of, exc)
    return outlook.MACRO_NEWS.conform(pa.Table.from_pylist(found)) if found else outlook.MACRO_NEWS.empty()


def _causes(
    days: tuple[Made, Made], rows: tuple[Mapping[str, Any], Mapping[str, Any]], one_ahead: float
) -> list[dict[str, Any]]:
    """The causes of one forecast's change.

    Args:
        days: what was known and fitted then, and now.
        rows: of model.macro_outlook, published then, and now.
        one_ahead: what was then expected of the target's next month, in its own terms.
    """
    (then, now), (old, new) = days, rows
    target = str(new["series_id"])
    factors = then.factors[target]
    regression = then.forecasts[target, new["horizon_months"]][old["model_name"]].regression
    rule = factors.rule(target, regression.equation, expected=one_ahead)
    cut_then, cut_now = then.cut(target), now.cut(target)
    table_then = macro_horizons.own_panel(cut_then, factors, target)
    table_now = _from_month(cut_now, cut_then, macro_horizons.own_panel(cut_now, factors, target))
    n_new = len(table_now) - len(table_then)
    ahead = np.arange(1, n_new + 1)[:, None]
    hoped = factors.scores[len(table_then) - 1] * factors.persistence**ahead
    months = cut_then.months[0] + np.arange(len(table_now))
    told = news.news(rule, (table_then, table_now), new["mean_change"], months, expected=hoped)
    restated = told.before - old["mean_change"]
    causes = _figures(told.items, target)
    # A target's figure counts twice, in the factor and as the series' own past: it is one release.
    origin = months[-1]
    for kind, effect in ((TIME, told.passing if n_new else 0.0), (REFIT, told.refit), (RESTATED, restated)):
        if abs(effect) > ROUNDING:
            causes[kind, "", origin] = (None, None, effect)
    same = {name: new[name] for name in ("model_version", "model_name", "series_id", "horizon_months")}
    return [
        same
        | {
            "kind": kind,
            "entity": entity,
            "observation_date": month.astype("datetime64[D]").item(),
            "previous_version": old["model_version"],
            "expected": expected,
            "actual": None if actual is None or np.isnan(actual) else actual,
            "effect": effect,
        }
        for (kind, entity, month), (expected, actual, effect) in causes.items()
    ]


Cause = tuple[float | None, float | None, float]


def _figures(items: Sequence[news.Item], target: str) -> dict[tuple[str, str, np.datetime64], Cause]:
    """By kind, series and month: the figure expected, the figure now, and its effect."""
    causes: dict[tuple[str, str, np.datetime64], Cause] = {}
    own = macro_horizons.OWN + target
    for item in items:
        key = (item.kind, item.series.removeprefix(macro_horizons.OWN), item.month)
        expected, actual, effect = causes.get(key, (item.expected, item.actual, 0.0))
        if item.series == own:
            expected, actual = item.expected, item.actual
        causes[key] = (expected, actual, effect + item.effect)
    return causes


def _from_month(own: macro_horizons.MonthlyPanel, other: macro_horizons.MonthlyPanel, table: Floats) -> Floats:
    """The rows of a panel from another panel's first month on; months it does not have are NaN."""
    shift = int((other.months[0] - own.months[0]).astype(int))
    if shift >= 0:
        return table[shift:]
    return np.vstack([np.full((-shift, table.shape[1]), np.nan), table])
