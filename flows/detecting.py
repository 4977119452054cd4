"""What is wrong or unusual today, as alerts.

The checks of `warehouse/checks.py` look at the data, detectors of `models/anomaly.py` at the market, and
`models/stability.py` at the factors, `flows/model_watch.py` at what forecasts are worth; broken, refused and held
versions are looked for too. All end as rows of `ops.alert`, where the same trouble is one row.
"""

from __future__ import annotations

import json
import logging
from datetime import date

import numpy as np
import pyarrow as pa

from flows import alarm_budget, factors, forecasts, macro_watch, market_watch, model_watch
from flows.context import Context
from flows.settings import Settings
from models import anomaly, base, registry, stability
from models.base import Floats
from warehouse import checks, outages, roles
from warehouse.lake import Lake

log = logging.getLogger(__name__)

ROBUST_Z = "robust_z_outlier"
FACTOR_JUMP = "factor_space_jump"
MODEL_BROKEN, MODEL_REFUSED, MODEL_HELD = "model_files_broken", "model_not_fitted", "model_held"
MODEL_RULES = (MODEL_BROKEN, MODEL_REFUSED, MODEL_HELD)
# On a day of panic hundreds move; the list in the alert is for reading, the query in it shows the rest.
MOST_OUTLIERS_A_DAY = 20


def detect(context: Context, as_of: date, session: date | None) -> pa.Table:
    """The open alerts after today's checks and detectors, gravest first.

    Args:
        context: the run.
        as_of: day of the run.
        session: newest session with returns, None without market data.

    Raises:
        LakeError: the lake cannot be read or written.
    """
    rules = [check.rule for check in checks.CHECKS]
    with context.reader() as lake:
        look = checks.Look(checks.read_scope(lake, as_of), context.now)
        tolerated = context.settings.missing_bars_fraction
        found = checks.find(lake, as_of, look.scope, missing_fraction=tolerated)
        findings = [outages.gathered(lake, found)]
        if session is not None:
            moved = find_outliers(lake, session, context.settings.robust_z_threshold)
            strange = market_watch.find(lake, session, context.settings, set(moved["subject"].to_pylist()))
            findings += [moved, strange, model_watch.find(lake, context.settings, as_of, session)]
            rules += [ROBUST_Z, market_watch.RULE, *model_watch.RULES]
        findings.append(macro_watch.find(lake, context.settings, as_of))
        findings.append(find_model_trouble(lake, context.settings, as_of))
        findings.append(find_factor_jumps(lake, as_of))
        rules += [*MODEL_RULES, FACTOR_JUMP, outages.RULE, macro_watch.RULE, alarm_budget.RULE]
        findings.append(alarm_budget.find(lake, pa.concat_tables(findings), context.settings.alerts_per_week, as_of))
    with context.writer() as lake:
        standing = checks.record(lake, pa.concat_tables(findings), rules, as_of, look)
    log.info("detected open_alerts=%s as_of=%s", standing.num_rows, as_of)
    return standing


def find_outliers(lake: Lake, session: date, threshold: float) -> pa.Table:
    """Securities whose return of the session is far from the others', as rows of `checks.FINDING_SCHEMA`.

    Args:
        lake: the lake.
        session: day looked at.
        threshold: robust z (deviation from the median over 1.4826 MAD) from which a return counts.

    Raises:
        LakeError: the lake cannot be read.

    Source:
        Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers.
    """
    rows, score = score_returns(lake, session)
    if not rows.num_rows:
        return checks.FINDING_SCHEMA.empty_table()
    log_return = rows["log_return_1d"].to_numpy()
    median = float(np.median(log_return))
    found = []
    for at in outliers(score, threshold):
        ts_code, name = rows["ts_code"][at].as_py(), rows["name"][at].as_py()
        simple = float(np.expm1(log_return[at]))
        found.append(
            {
                "rule": ROBUST_Z,
                "severity": "low",
                "subject": ts_code,
                "subject_date": session,
                "title": f"{ts_code} {name} moved {simple:+.2%} on {session}, robust z {score[at]:+.1f}",
                "action": "Look for news; if there is none, compare the bar with another source.",
                "evidence": json.dumps(
                    {
                        "simple_return": round(simple, 6),
                        "robust_z": round(float(score[at]), 2),
                        "median": round(median, 6),
                    }
                ),
                "evidence_sql": f"select * from analyst.daily_return where ts_code = '{ts_code}'"
                f" and trade_date between date '{session}' - 14 and date '{session}' order by trade_date",
            }
        )
    return pa.Table.from_pylist(found, schema=checks.FINDING_SCHEMA)


def score_returns(lake: Lake, session: date) -> tuple[pa.Table, Floats]:
    """The returns of a session (ts_code, name, log_return_1d), and the robust z of each.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select r.ts_code, coalesce(s.name, '') as name, r.log_return_1d from feature.log_return as r"
        " left join market.stock_basic as s using (ts_code)"
        " where r.trade_date = $session and r.log_return_1d is not null order by r.ts_code",
        session=session,
    )
    log_return = rows["log_return_1d"].to_numpy()
    if not len(log_return):
        return rows, np.empty(0)
    return rows, anomaly.robust_z(log_return, np.full(len(log_return), np.datetime64(session)))


def outliers(score: Floats, threshold: float) -> list[int]:
    """The rows whose score is at least a threshold in size and that become alerts, the largest first."""
    size = np.abs(np.nan_to_num(score))
    order = np.argsort(-size, kind="stable")
    return [int(at) for at in order[:MOST_OUTLIERS_A_DAY] if size[at] >= threshold]


def find_model_trouble(lake: Lake, settings: Settings, as_of: date) -> pa.Table:
    """Versions that should score and cannot, models that could not be fitted, and those held back for a person.

    Args:
        lake: the lake.
        settings: where the files are.
        as_of: day of the run.

    Raises:
        LakeError: the lake cannot be read.
    """
    standing = roles.standing(roles.read_decisions(lake, as_of))
    found = []
    for one in forecasts.read_scoring(lake, as_of):
        try:
            registry.check(settings.models_path, one.model_version, files_sha256=one.files_sha256)
        except base.ModelError as exc:
            action = f"Restore the file from a backup, or run `daybook refit`; {one.role}s that are whole still score."
            found.append(_model_finding(MODEL_BROKEN, "high", one, (str(exc), action)))
    fitted = lake.read(
        "select model_name, max(as_of_date) as newest from model.model_version where as_of_date <= $as_of"
        " group by model_name",
        as_of=as_of,
    ).to_pylist()
    newest = {row["model_name"]: row["newest"] for row in fitted}
    for one in standing.values():
        # A fit that came about since then ends the trouble.
        if one.role == roles.REFUSED and newest.get(one.model_name, date.min) < one.as_of_date:
            action = "Mend what the message names, then run `daybook refit`; the version before still scores."
            found.append(_model_finding(MODEL_REFUSED, "high", one, (one.reason, action)))
    for one in standing.values():
        if one.role == roles.HELD and one.decided_by == roles.RULE:
            action = f"Look for the leak; if there is none, `daybook models release {one.model_version} --reason ...`."
            found.append(
                _model_finding(MODEL_HELD, "medium", one, (f"{one.model_version} is held: {one.reason}", action))
            )
    return pa.Table.from_pylist(found, schema=checks.FINDING_SCHEMA)


def _model_finding(rule: str, severity: str, one: roles.Decision, told: tuple[str, str]) -> dict[str, object]:
    return {
        "rule": rule,
        "severity": severity,
        "subject": one.model_version,
        "subject_date": one.as_of_date,
        "title": told[0],
        "action": told[1],
        "evidence": json.dumps(dict(one.evidence), sort_keys=True),
        "evidence_sql": f"from analyst.version_role where model_version = '{one.model_version}' order by decision",
    }


def find_factor_jumps(lake: Lake, as_of: date) -> pa.Table:
    """Factor models whose newest refit turned further than their refits do, as rows of `checks.FINDING_SCHEMA`.

    Until the next refit the scores before and after it do not measure the same thing.

    Args:
        lake: the lake.
        as_of: fits of later days are not looked at.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select v.model_name, v.model_version, v.as_of_date, e.value from model.evaluation as e"
        " join model.model_version as v using (model_version)"
        " where e.metric = $metric and v.as_of_date <= $as_of order by v.model_name, v.as_of_date",
        metric=factors.SUBSPACE_ANGLE,
        as_of=as_of,
    ).to_pylist()
    found = []
    for name in sorted({row["model_name"] for row in rows}):
        *before, newest = [row for row in rows if row["model_name"] == name]
        usual = [row["value"] for row in before]
        if not stability.has_jumped(newest["value"], usual):
            continue
        version, degrees, median = newest["model_version"], np.rad2deg(newest["value"]), np.rad2deg(np.median(usual))
        found.append(
            {
                "rule": FACTOR_JUMP,
                "severity": "medium",
                "subject": name,
                "subject_date": newest["as_of_date"],
                "title": f"{version} turned its factors by {degrees:.1f} degrees; {median:.1f} is usual",
                "action": "Do not read the factors' lines across this refit; look at what entered or left the panel.",
                "evidence": json.dumps({"degrees": round(float(degrees), 2), "usual_degrees": round(float(median), 2)}),
                "evidence_sql": "select model_version, degrees(value) as degrees from model.evaluation"
                f" where metric = '{factors.SUBSPACE_ANGLE}' and model_version like '{name}/%' order by model_version",
            }
        )
    return pa.Table.from_pylist(found, schema=checks.FINDING_SCHEMA)
