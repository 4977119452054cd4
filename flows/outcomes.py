"""What came of forecasts that were published: joined to them each day, as soon as it is known.

Invariant: an outcome is recorded once, as it was first known; a run for a past day sees only those known by then.
Partner: `flows/promoting.py`, which judges by them.
"""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pyarrow as pa

from models import cross_section, evaluation, promotion
from warehouse import panels
from warehouse.lake import Lake
from warehouse.panels import FeatureRows
from warehouse.tables import model


def find_outcomes(lake: Lake, as_of: date, *, horizon: int, level: float) -> pa.Table:
    """Rows of model.forecast_outcome for the forecasts whose outcome is known by a day and not yet recorded.

    Args:
        lake: the lake.
        as_of: nothing known later enters.
        horizon: sessions until an outcome is known.
        level: what the intervals promised to cover.

    Raises:
        LakeError: the lake cannot be read.
    """
    waiting = lake.read(
        f"select distinct model_version, model_name, forecast_date from {model.FORECAST.full_name} as f"
        f" where forecast_date <= $as_of and not exists (from {model.FORECAST_OUTCOME.full_name} as o"
        " where o.model_version = f.model_version and o.forecast_date = f.forecast_date)"
        " order by forecast_date, model_version",
        as_of=as_of,
    ).to_pylist()
    n_later = {
        row["trade_date"]: row["n_later"]
        for row in lake.read(
            "select trade_date, row_number() over (order by trade_date desc) - 1 as n_later from"
            " (select distinct trade_date from feature.log_return where trade_date between $start and $as_of)",
            start=min((one["forecast_date"] for one in waiting), default=as_of),
            as_of=as_of,
        ).to_pylist()
    }
    due = [one for one in waiting if n_later.get(one["forecast_date"], 0) >= horizon]
    if not due:
        return model.FORECAST_OUTCOME.empty()
    rows = panels.read_feature_rows(lake, as_of, start=due[0]["forecast_date"])
    found = [_outcome(lake, one, as_of, rows, level) for one in due]
    return model.FORECAST_OUTCOME.conform(pa.Table.from_pylist([one for one in found if one]))


def read_live_record(lake: Lake, model_name: str, as_of: date, n_sessions: int) -> promotion.LiveRecord:
    """How a model's published forecasts fared over the newest sessions whose outcome was known by a day.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select squared_error, naive_squared_error from {model.FORECAST_OUTCOME.full_name}"
        " where model_name = $model_name and known_date <= $as_of"
        " order by forecast_date desc, model_version desc limit $n",
        model_name=model_name,
        as_of=as_of,
        n=n_sessions,
    )
    if not rows.num_rows:
        return promotion.LiveRecord()
    return promotion.LiveRecord(
        rows.num_rows,
        float(np.mean(rows["squared_error"].to_numpy())),
        float(np.mean(rows["naive_squared_error"].to_numpy())),
    )


def read_miss_shares(lake: Lake, model_version: str, as_of: date) -> list[float]:
    """The share of outcomes outside their intervals on each day a version forecast, as known by a day, in time.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select 1 - realised_coverage as missed from {model.FORECAST_OUTCOME.full_name}"
        " where model_version = $model_version and known_date <= $as_of order by forecast_date",
        model_version=model_version,
        as_of=as_of,
    )
    return [float(one) for one in rows["missed"].to_pylist()]


def _outcome(lake: Lake, of: dict[str, object], as_of: date, rows: FeatureRows, level: float) -> dict[str, object]:
    is_day = (rows.dates == np.datetime64(str(of["forecast_date"]))) & np.isfinite(rows.forward_return_5d)
    came = cross_section.excess_by_date(rows.forward_return_5d[is_day], rows.dates[is_day])
    realised = dict(zip(rows.ts_code[is_day].tolist(), came.tolist(), strict=True))
    said = lake.read(
        f"select ts_code, forward_return_5d, lower, upper from {model.FORECAST.full_name}"
        " where model_version = $model_version and forecast_date = $forecast_date order by ts_code",
        model_version=of["model_version"],
        forecast_date=of["forecast_date"],
    )
    codes = said["ts_code"].to_pylist()
    known = np.array([code in realised for code in codes], dtype=bool)
    if not known.any():
        return {}
    outcome = np.array([realised[code] for code in codes if code in realised])
    predicted, lower, upper = (said[name].to_numpy()[known] for name in ("forward_return_5d", "lower", "upper"))
    day = np.full(len(outcome), np.datetime64(str(of["forecast_date"])))
    rank_ic = float(evaluation.information_coefficient(predicted, outcome, day)[1][0])
    return {
        **of,
        "known_date": as_of,
        "n_rows": len(outcome),
        "squared_error": float(((outcome - predicted) ** 2).mean()),
        "naive_squared_error": float((outcome**2).mean()),
        "rank_ic": rank_ic if math.isfinite(rank_ic) else None,
        "nominal_coverage": level,
        "realised_coverage": float(((outcome >= lower) & (outcome <= upper)).mean()),
    }
