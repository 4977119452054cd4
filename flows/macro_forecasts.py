"""What each macro series' next period will be first published as, forecast before it comes.

A release says something by how far it is from what was expected. The expectation is written down at each refit, so that
nobody can adjust it afterwards. Invariant: a forecast is of the period after the newest known on its day. Partners:
`models/next_value.py`, view `analyst.macro_release`, which sets release and forecast side by side.
"""

from __future__ import annotations

import logging
from datetime import date

import numpy as np
import pyarrow as pa

from flows import factors
from flows.context import Context
from models import base, next_value, transforms
from warehouse import sql
from warehouse.lake import Lake
from warehouse.tables import model

log = logging.getLogger(__name__)

MACRO_NEXT = "macro_next"


def fit_next_values(context: Context, lake: Lake, as_of: date) -> list[factors.Fitted]:
    """The forecast of every weekly, monthly and quarterly series; none of a series too short or with a hole at its end.

    Raises:
        LakeError: the lake cannot be read.
    """
    values = lake.read(sql.load("macro_levels_asof"), as_of=as_of)
    version = (f"{MACRO_NEXT}/{as_of}", MACRO_NEXT)
    series = values["series_id"].to_numpy(zero_copy_only=False)
    rows = []
    for series_id in dict.fromkeys(series.tolist()):
        of_series = values.filter(pa.array(series == series_id))
        try:
            period, found = _forecast(of_series)
        except base.ModelError as exc:
            log.info("no forecast of the next value series_id=%s as_of=%s reason=%s", series_id, as_of, exc)
            continue
        rows.append(
            {
                "model_version": version[0],
                "model_name": version[1],
                "series_id": series_id,
                "observation_date": period.astype("datetime64[D]").item(),
                "forecast_date": as_of,
                "forecast": found.forecast,
                "std_error": found.std_error,
                "n_lags": found.n_lags,
                "n_rows": found.n_rows,
            }
        )
    if not rows:
        log.warning("no forecasts of macro releases as_of=%s", as_of)
        return []
    dates = values["observation_date"].to_numpy(zero_copy_only=False)
    params = {"n_series": len(rows), "most_lags": next_value.MOST_LAGS, "most_rows": next_value.MOST_ROWS}
    card = factors.version_card(context, version, as_of, (dates, params)) | {"n_rows": values.num_rows}
    made = {model.MODEL_VERSION: pa.Table.from_pylist([card]), model.MACRO_FORECAST: pa.Table.from_pylist(rows)}
    return [factors.Fitted(version[0], made)]


def _forecast(values: pa.Table) -> tuple[np.datetime64, next_value.NextValue]:
    """The period after the newest known one, and its forecast."""
    level = values["value"].to_numpy(zero_copy_only=False).astype(np.float64)
    dates = values["observation_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    periods, values_on_grid = transforms.on_grid(dates, level, values["frequency"][0].as_py())
    return periods[-1], next_value.forecast_next(values_on_grid, values["transform_code"][0].as_py())
