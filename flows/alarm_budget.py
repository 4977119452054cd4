"""Are there more alerts in a week than the desk said it can look at, and which rules are the loudest?

What nobody has the time to read is no alert. Invariants: an alert counts on the day it opened, or opened again by
itself, whatever became of it; those that this run is about to open count, so that a second run of a day finds the same;
a run of an earlier day opens nothing beside what later runs opened or ended.
Partners: `flows/alarm_replay.py`, which says what would keep a budget; `detecting.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from warehouse import checks, sql
from warehouse.lake import Lake

RULE = "alarm_budget_exceeded"
# The same for every such alert: it is about all of them.
SUBJECT = "alerts"
WEEK = timedelta(days=7)
N_LOUDEST = 3
# It ends at so many of ten of the budget: a desk whose usual week is its budget would else get a new one each few days.
TENTHS_TO_END = 9


def find(lake: Lake, findings: pa.Table, per_week: int | None, as_of: date) -> pa.Table:
    """That the last seven days had more alerts than the budget, as at most one row of `checks.FINDING_SCHEMA`.

    While it lasts it is one alert, of the day it began, and it lasts until the week is well within the budget.

    Args:
        lake: the lake.
        findings: all others of the run, not recorded yet.
        per_week: the budget; None for none.
        as_of: day of the run.

    Raises:
        LakeError: the lake cannot be read.
    """
    if per_week is None:
        return checks.FINDING_SCHEMA.empty_table()
    counts = count_opened(lake, as_of) + _count_opening(lake, findings, as_of)
    n_alerts = counts.total()
    standing = _read_standing(lake, as_of)
    n_to_end = per_week * TENTHS_TO_END // 10
    if standing.is_settled or n_alerts <= (n_to_end if standing.since else per_week):
        return checks.FINDING_SCHEMA.empty_table()
    loudest = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:N_LOUDEST]
    told = ", ".join(f"{rule} {n}" for rule, n in loudest)
    against = f"the budget is {per_week}" + ("" if n_alerts > per_week else f" and this ends at {n_to_end}")
    row = {
        "rule": RULE,
        "severity": "medium",
        "subject": SUBJECT,
        "subject_date": standing.since or as_of,
        "title": f"{n_alerts} alerts opened within seven days, {against}; the loudest: {told}",
        "action": f"Run `daybook alerts budget --per-week {per_week}`: it says which thresholds would keep it.",
        "evidence": json.dumps({"n_alerts": n_alerts, "per_week": per_week, "loudest": dict(loudest)}),
        "evidence_sql": "select rule, count(*) as n_alerts from analyst.alert_change where changed_by = 'daybook'"
        f" and event in ('opened', 'reopened') and changed_date > date '{as_of}' - 7 and changed_date <= date '{as_of}'"
        f" and rule <> '{RULE}' group by rule order by n_alerts desc, rule",
    }
    return pa.Table.from_pylist([row], schema=checks.FINDING_SCHEMA)


@dataclass(frozen=True, slots=True)
class Standing:
    """The budget's alerts, seen from a day.

    Args:
        since: the day of the one that stood on that day and still does; None when there is none.
        is_settled: whether a later run opened one that stands, or ended the one that stood on that day.
    """

    since: date | None
    is_settled: bool


def _read_standing(lake: Lake, as_of: date) -> Standing:
    row = lake.read(
        "select min(subject_date) filter (state <> 'resolved' and subject_date <= $as_of) as since,"
        " coalesce(bool_or(case when subject_date > $as_of then state <> 'resolved'"
        " else state = 'resolved' and resolved_date > $as_of end), false) as is_settled"
        " from ops.alert where rule = $rule",
        rule=RULE,
        as_of=as_of,
    ).to_pylist()[0]
    return Standing(**row)


def count_opened(lake: Lake, as_of: date) -> Counter[str]:
    """Alerts that opened in the seven days up to a day, by rule.

    Raises:
        LakeError: the lake cannot be read.
    """
    counts: Counter[str] = Counter()
    for row in lake.read(sql.load("alarm_days"), after=as_of - WEEK, last=as_of).to_pylist():
        counts[row["rule"]] += row["n_alerts"]
    return counts


def _count_opening(lake: Lake, findings: pa.Table, as_of: date) -> Counter[str]:
    """Findings that will open an alert, or open one again, by rule."""
    standing = set(
        lake.read(
            "select fingerprint from ops.alert where last_seen_date > $as_of or state = 'open'"
            " or state <> 'resolved' and (until_date is null or until_date > $as_of)",
            as_of=as_of,
        )["fingerprint"].to_pylist()
    )
    rows = {
        checks.fingerprint(row["rule"], row["subject"], row["subject_date"]): row["rule"]
        for row in findings.select(["rule", "subject", "subject_date"]).to_pylist()
    }
    return Counter(rule for fingerprint, rule in rows.items() if fingerprint not in standing)
