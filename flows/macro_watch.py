"""Which macro series were just published with a value that is unlike their own past?

Each series is looked at in its stationary form, and its newest values are judged as every value of its past would have
been when it was the newest: by how far they are from a forecast, by how far they stand out of the series' cycles, and
by how unusual a year they end. The score is the mean of the two gravest verdicts, and the threshold lies where the
series' own past would have given its part of the wanted number of alerts. Invariants: nothing later than the day is
read; what was told is not taken back because something stranger came after it. Partners: `models/series_detectors.py`,
`models/combined.py`; `detecting.py`, which makes alerts of the findings.
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
    """A series' periods, each measured as the newest of its day.

    Args:
        periods: (n_periods,) datetime64[D].
        values: (n_periods,) in the series' stationary form.
        measured: (n_periods, len(DETECTORS)) higher is more abnormal, see `measure`.
    """

    periods: npt.NDArray[np.datetime64]
    values: Floats
    measured: Floats


def find(lake: Lake, settings: Settings, as_of: date) -> pa.Table:
    """Values published within a week that are unlike their series' past, as rows of `checks.FINDING_SCHEMA`.

    Of a calendar week's releases those told on an earlier run keep their places; then those published first come first,
    and the strangest of a day, until the wanted number is reached. A period is judged only where the series had none as
    new before: what a vendor adds to the beginning of a history is no news.

    Args:
        lake: the lake.
        settings: how many alerts a week are wanted.
        as_of: day of the run.

    Raises:
        LakeError: the lake cannot be read.
    """
    since = as_of - LOOKED_AT
    released = lake.read(sql.load("macro_released"), as_of=as_of, since=since).to_pylist()
    if not released or not settings.macro_alerts_per_week:
        return checks.FINDING_SCHEMA.empty_table()
    levels = lake.read(sql.load("macro_levels_asof"), as_of=as_of)
    found = _strange(released, levels, settings.macro_alerts_per_week)
    log.info("watched macro releases as_of=%s released=%s strange=%s", as_of, len(released), len(found))
    told = _read_told(lake, as_of, since)
    taken = Counter(told.values())
    admitted = []
    for row in sorted(found, key=_strangest_first):
        week, is_told = _week(row["release_date"]), (row["subject"], row["observation_date"]) in told
        taken[week] += not is_told
        is_wanted = is_told or taken[week] <= settings.macro_alerts_per_week
        if is_wanted and row["release_date"] > as_of - STANDS:
            admitted.append(_finding(row))
    return pa.Table.from_pylist(admitted, schema=checks.FINDING_SCHEMA)


def _strangest_first(row: Mapping[str, Any]) -> tuple[Any, ...]:
    evidence = row["evidence"]
    return (row["release_date"], -evidence["anomaly_score"], -abs(evidence["robust_z"]), row["subject"])


def _week(day: date) -> tuple[int, int]:
    return day.isocalendar()[:2]


def _read_told(lake: Lake, as_of: date, since: date) -> dict[tuple[str, date], tuple[int, int]]:
    """Series and period of the alerts opened of late, with the calendar week of their release.

    One that is no longer found has been read by somebody all the same, so that it keeps its place in the week.
    """
    opened = lake.read(
        "select subject, subject_date, evidence from ops.alert where rule = $rule and fingerprint in"
        " (select fingerprint from ops.alert_change where event = 'opened'"
        " and changed_date > $since and changed_date <= $as_of)",
        rule=RULE,
        as_of=as_of,
        since=since,
    ).to_pylist()
    return {
        (row["subject"], row["subject_date"]): _week(date.fromisoformat(json.loads(row["evidence"])["release_date"]))
        for row in opened
    }


def measure(values: Floats) -> Floats:
    """How strange each value of a series is, as the newest of its day, in the units of the detectors.

    Args:
        values: (n_periods,) finite float64, stationary, at least `FEWEST_PERIODS`.

    Returns:
        (n_periods, len(DETECTORS)) higher is more abnormal, NaN where too few periods came before.

    Raises:
        ModelError: too few periods, or a series that never changes.
    """
    column = values[:, None]
    return np.column_stack([series_detectors.make(name).fit(column).score_as_newest(column) for name in DETECTORS])


def judge(measured: Floats) -> tuple[Floats, Floats]:
    """How strange each period is among the others; the newest, therefore, among those before it.

    Args:
        measured: (n_periods, len(DETECTORS)) higher is more abnormal, NaN for none; at least two that are known.

    Returns:
        (n_periods,) mean of the two gravest verdicts, and (n_periods, len(DETECTORS)) the verdicts: minus the
        logarithm of the share of periods at least as strange, see `combined.surprise_among_others`. NaN where
        something was not measured.
    """
    is_known = np.isfinite(measured).all(axis=1)
    verdicts = np.full(measured.shape, np.nan)
    for at, column in enumerate(measured[is_known].T):
        verdicts[is_known, at] = combined.surprise_among_others(column)
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
    dates = values["observation_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    periods, on_grid = transforms.on_grid(dates, level, values["frequency"][0].as_py())
    stationary = transforms.apply_transform(on_grid, values["transform_code"][0].as_py())[-MOST_PERIODS:]
    if np.isfinite(stationary).sum() < FEWEST_PERIODS:
        raise base.TooFewRows(f"{int(np.isfinite(stationary).sum())} periods of {FEWEST_PERIODS}. Wait for more.")
    # A hole says nothing strange.
    filled = np.where(np.isfinite(stationary), stationary, np.nanmedian(stationary))
    return Watched(periods[:-1].astype("datetime64[D]")[-len(filled) :], stationary, measure(filled))


def _told(watched: Watched, at: int, row: Mapping[str, Any], share: float) -> list[dict[str, Any]]:
    n_known = int(np.isfinite(watched.measured[:at]).all(axis=1).sum())
    if not np.isfinite(watched.values[at]) or n_known < 1 / share:
        return []
    scores, verdicts = judge(watched.measured[: at + 1])
    before = scores[:at][np.isfinite(scores[:at])]
    threshold = float(np.quantile(before, 1 - share, method="higher"))
    if not scores[at] > threshold:
        return []
    past = watched.values[:at][np.isfinite(watched.values[:at])]
    usual = float(np.median(past))
    distance = np.abs(past - usual)
    spread = float(anomaly.robust_scale(np.median(distance), distance.mean()))
    driving = np.argsort(-verdicts[at], kind="stable")
    evidence = {
        "anomaly_score": round(float(scores[at]), 2),
        "threshold": round(threshold, 2),
        "transformed_value": float(f"{watched.values[at]:.6g}"),
        "usual_value": float(f"{usual:.6g}"),
        "robust_z": round((float(watched.values[at]) - usual) / spread, 2),
        "drivers": {DETECTORS[one]: round(float(verdicts[at, one]), 2) for one in driving},
        "n_as_strange_before": int((before >= scores[at]).sum()),
        "n_compared": len(before),
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
