"""Which macro series were just published with a value that is unlike their own past?

Each series is looked at in its stationary form, and its newest values are judged as every value of its past would have
been when it was the newest: by how far they are from a forecast, by how far they stand out of the series' cycles, and
by how unusual a year they end. The score is the mean of the two gravest verdicts, and the threshold lies where the
series' own past would have given its part of the wanted number of alerts. Invariant: nothing later than the day is
read. Partners: `models/series_detectors.py`, `models/combined.py`; `detecting.py`, which makes alerts of the findings.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flows import macro_forecasts
from flows.settings import Settings
from models import anomaly, base, combined, series_detectors, transforms
from warehouse import checks, sql
from warehouse.lake import Lake

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

RULE = "macro_anomaly"
DETECTORS = ("forecast_error", "spectral_residual", "sub_pca")
WORDS = {
    "forecast_error": "far from what its past forecasts",
    "spectral_residual": "out of its cycles",
    "sub_pca": "the end of an unusual year",
}
# An alert stands for a week. The week before is looked at as well, so that a Monday knows what Friday had told.
STANDS, LOOKED_AT = timedelta(days=7), timedelta(days=14)
# Thirty years of months, a third of which is only read as what came before.
MOST_PERIODS, FEWEST_PERIODS = 360, 120
# Where few series are followed, the wanted number is not filled up with what is hardly strange.
MOST_OF_A_SERIES = 0.05
RELEASES_A_WEEK = {"W": 1.0, "M": 12 / 52, "Q": 4 / 52}


@dataclass(frozen=True)
class Watched:
    """A series' periods, each scored as the newest of its day.

    Args:
        periods: (n_periods,) datetime64[D].
        values: (n_periods,) in the series' stationary form.
        scores: (n_periods,) higher is more abnormal, NaN where too few periods came before.
        verdicts: (n_periods, len(DETECTORS)) what the scores are made of, see `combined.surprise`.
    """

    periods: npt.NDArray[np.datetime64]
    values: Floats
    scores: Floats
    verdicts: Floats

    def threshold(self, at: int, share: float) -> float:
        """The score that a share of the periods before one of them exceed."""
        before = self.scores[:at]
        return float(np.quantile(before[np.isfinite(before)], 1 - share, method="higher"))


def find(lake: Lake, settings: Settings, as_of: date) -> pa.Table:
    """Values published within a week that are unlike their series' past, as rows of `checks.FINDING_SCHEMA`.

    Of a calendar week's releases those published first come first, and the strangest of a day, until the wanted number
    is reached.

    Args:
        lake: the lake.
        settings: how many alerts a week are wanted.
        as_of: day of the run.

    Raises:
        LakeError: the lake cannot be read.
    """
    released = lake.read(
        "select series_id, observation_date, min(realtime_start) as release_date from macro.observation"
        " where realtime_start <= $as_of and value is not null group by series_id, observation_date"
        " having min(realtime_start) > $since order by series_id, observation_date",
        as_of=as_of,
        since=as_of - LOOKED_AT,
    ).to_pylist()
    if not released or not settings.macro_alerts_per_week:
        return checks.FINDING_SCHEMA.empty_table()
    levels = lake.read(sql.load("macro_levels_asof"), as_of=as_of)
    found = _strange(released, levels, settings.macro_alerts_per_week)
    log.info("watched macro releases as_of=%s released=%s strange=%s", as_of, len(released), len(found))
    told: Counter[tuple[int, int]] = Counter()
    admitted = []
    for row in sorted(found, key=lambda one: (one["release_date"], -one["evidence"]["anomaly_score"], one["subject"])):
        told[week := row["release_date"].isocalendar()[:2]] += 1
        if told[week] <= settings.macro_alerts_per_week and row["release_date"] > as_of - STANDS:
            admitted.append(_finding(row))
    return pa.Table.from_pylist(admitted, schema=checks.FINDING_SCHEMA)


def watch(values: Floats) -> tuple[Floats, Floats]:
    """How strange each value of a series is, as the newest of its day.

    Args:
        values: (n_periods,) finite float64, stationary, at least `FEWEST_PERIODS`.

    Returns:
        (n_periods,) mean of the two gravest verdicts, and (n_periods, len(DETECTORS)) the verdicts: minus the
        logarithm of the share of periods at least as strange. NaN where too few periods came before.

    Raises:
        ModelError: too few periods, or a series that never changes.
    """
    column = values[:, None]
    measured = np.column_stack([series_detectors.make(name).fit(column).score_as_newest(column) for name in DETECTORS])
    is_known = np.isfinite(measured).all(axis=1)
    verdicts = np.full(measured.shape, np.nan)
    for at, usual in enumerate(measured[is_known].T):
        verdicts[is_known, at] = combined.surprise(usual, np.sort(usual))
    scores: Floats = np.sort(verdicts, axis=1)[:, -combined.N_GRAVEST :].mean(axis=1)
    return scores, verdicts


def _strange(released: list[dict[str, Any]], levels: pa.Table, wanted: int) -> list[dict[str, Any]]:
    """The releases above their series' threshold, with what is to be told of them."""
    series = levels["series_id"].to_numpy(zero_copy_only=False)
    frequencies = dict(zip(series.tolist(), levels["frequency"].to_pylist(), strict=True))
    releases_a_week = sum(RELEASES_A_WEEK[frequency] for frequency in frequencies.values())
    found = []
    for series_id in dict.fromkeys(row["series_id"] for row in released if row["series_id"] in frequencies):
        of_series = levels.filter(pa.array(series == series_id))
        share = min(wanted / releases_a_week, MOST_OF_A_SERIES)
        try:
            watched = _watch_series(of_series)
        except base.ModelError as exc:
            log.info("not watched series_id=%s: %s", series_id, exc)
            continue
        for row in released:
            at = np.flatnonzero(watched.periods == np.datetime64(row["observation_date"]))
            if row["series_id"] == series_id and len(at):
                found += _told(watched, int(at[0]), row, share)
    return found


def _watch_series(values: pa.Table) -> Watched:
    level = values["value"].to_numpy(zero_copy_only=False).astype(np.float64)
    is_known = np.isfinite(level)
    dates = values["observation_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]")[is_known]
    if not len(dates):
        raise base.TooFewRows("no value is known. Wait for one.")
    periods, on_grid = macro_forecasts.on_grid(dates, level[is_known], values["frequency"][0].as_py())
    stationary = transforms.apply_transform(on_grid, values["transform_code"][0].as_py())[-MOST_PERIODS:]
    if np.isfinite(stationary).sum() < FEWEST_PERIODS:
        raise base.TooFewRows(f"{int(np.isfinite(stationary).sum())} periods of {FEWEST_PERIODS}. Wait for more.")
    # A hole says nothing strange.
    filled = np.where(np.isfinite(stationary), stationary, np.nanmedian(stationary))
    scores, verdicts = watch(filled)
    return Watched(periods[:-1].astype("datetime64[D]")[-len(filled) :], stationary, scores, verdicts)


def _told(watched: Watched, at: int, row: Mapping[str, Any], share: float) -> list[dict[str, Any]]:
    before = watched.scores[:at]
    if not np.isfinite(watched.values[at]) or np.isfinite(before).sum() < 1 / share:
        return []
    threshold = watched.threshold(at, share)
    if not watched.scores[at] > threshold:
        return []
    past = watched.values[:at][np.isfinite(watched.values[:at])]
    usual = float(np.median(past))
    distance = np.abs(past - usual)
    spread = float(anomaly.robust_scale(np.median(distance), distance.mean()))
    driving = np.argsort(-watched.verdicts[at], kind="stable")
    evidence = {
        "anomaly_score": round(float(watched.scores[at]), 2),
        "threshold": round(threshold, 2),
        "transformed_value": float(f"{watched.values[at]:.6g}"),
        "usual_value": float(f"{usual:.6g}"),
        "robust_z": round((float(watched.values[at]) - usual) / spread, 2),
        "drivers": {DETECTORS[one]: round(float(watched.verdicts[at, one]), 2) for one in driving},
        "n_as_strange_before": int((before[np.isfinite(before)] >= watched.scores[at]).sum()),
        "n_compared": int(np.isfinite(before).sum()),
        "release_date": str(row["release_date"]),
    }
    named = [WORDS[DETECTORS[one]] for one in driving[: combined.N_GRAVEST]]
    return [{**row, "subject": row["series_id"], "evidence": evidence, "named": " and ".join(named)}]


def _finding(row: Mapping[str, Any]) -> dict[str, object]:
    evidence, series_id = row["evidence"], row["subject"]
    return {
        "rule": RULE,
        "severity": "low",
        "subject": series_id,
        "subject_date": row["observation_date"],
        "title": f"{series_id} of {row['observation_date']} is unlike its own past: {row['named']};"
        f" {evidence['n_as_strange_before']} of {evidence['n_compared']} earlier periods were as strange",
        "action": "Look at what the source says of the release; if nothing, compare the value with another source.",
        "evidence": json.dumps(evidence),
        "evidence_sql": f"select * from analyst.macro_vintage where series_id = '{series_id}'"
        " order by observation_date desc limit 24",
    }
