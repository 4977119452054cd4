"""Which gaps are one trouble of the vendor, and what does it touch?

A vendor that is down for an evening leaves a gap in every table of the session, or a failed pull and in time a stale
end of every series; people act on the outage, not on its traces. Invariants: gaps of one session in most tables are one
finding that lists them and, through lineage, what is computed from them; what stands as an alert of its own stays one,
so that no alert is resolved by being regrouped; an outage stays one while it heals. Partner: `warehouse/checks.py`,
whose findings these are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from warehouse import checks
from warehouse.lake import Lake
from warehouse.partitions import DERIVED
from warehouse.tables import market

RULE = "vendor_outage"
MARKET_VENDOR, MACRO_VENDOR = "tushare", "fred"
# Gaps of a session, by table; and pulls of a whole table, which fail with the newest session, as do comparisons.
OF_SESSION, OF_TABLE, OF_HISTORY = ("missing_day", "partial_day"), "failed_load", "factors_not_compared"
# A series whose pulls fail goes stale in its time.
OF_SERIES, SERIES = "stale_series", "macro.observation"
# One table that is late is no outage: daily_basic comes an hour after the bars. Nor is a series or two.
LEAST_TABLES, LEAST_SERIES = 3, 3
ACTION = "Run `daybook run` again, or `daybook backfill` for that day; it resolves itself when the day is whole."
MACRO_ACTION = "Run `daybook run` again; `daybook doctor` tries the vendor. It resolves itself when the series come."

Row = dict[str, Any]
Key = tuple[str, str, date]


@dataclass(frozen=True)
class _Outage:
    """An outage as one finding, and the findings that it lists."""

    finding: Row
    parts: Sequence[Row]


def gathered(lake: Lake, findings: pa.Table) -> pa.Table:
    """The findings, those of an outage replaced with one that lists them.

    Args:
        lake: the lake, with the alerts that stand.
        findings: rows of `checks.FINDING_SCHEMA`.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = findings.to_pylist()
    if not any(row["rule"] in (*OF_SESSION, OF_TABLE) for row in rows):
        return findings
    standing = {
        _key(row)
        for row in lake.read("select rule, subject, subject_date from ops.alert where state <> 'resolved'").to_pylist()
    }
    outages = [*_of_market(lake, rows, standing), *_of_macro(rows, standing)]
    folded = {id(row) for outage in outages for row in outage.parts}
    kept = [row for row in rows if id(row) not in folded]
    return pa.Table.from_pylist([*kept, *(outage.finding for outage in outages)], checks.FINDING_SCHEMA)


def _key(row: Row) -> Key:
    return row["rule"], row["subject"], row["subject_date"]


def _of_market(lake: Lake, rows: Sequence[Row], standing: Container[Key]) -> list[_Outage]:
    """Sessions that most tables lack."""
    tables: dict[date, set[str]] = {}
    for row in rows:
        if row["rule"] in OF_SESSION and row["subject"].startswith("market."):
            tables.setdefault(row["subject_date"], set()).add(row["subject"])
    days = {
        day for day, missing in tables.items() if len(missing) >= LEAST_TABLES or (RULE, MARKET_VENDOR, day) in standing
    }
    parts: dict[date, list[Row]] = {}
    for row in rows:
        day = _outage_of(row, days)
        if day is not None and _key(row) not in standing:
            parts.setdefault(day, []).append(row)
    n_listed = _count_listed(lake, parts) if parts else {}
    return [_Outage(_finding(day, of_day, n_listed.get(day, 0)), of_day) for day, of_day in sorted(parts.items())]


def _of_macro(rows: Sequence[Row], standing: Collection[Key]) -> list[_Outage]:
    """Series that could not be pulled, and those of them that go stale by it."""
    failed = next((row for row in rows if (row["rule"], row["subject"]) == (OF_TABLE, SERIES)), None)
    if failed is None:
        return []
    evidence = json.loads(failed["evidence"])
    series = set(evidence["partitions"])
    # An outage keeps the day it was first told with, while single series heal and others go on failing.
    told_days = [day for rule, subject, day in standing if (rule, subject) == (RULE, MACRO_VENDOR)]
    if len(series) < LEAST_SERIES and not told_days:
        return []
    since: date = min(told_days, default=failed["subject_date"])
    stale = [row for row in rows if row["rule"] == OF_SERIES and row["subject"] in series]
    parts = [row for row in (failed, *stale) if _key(row) not in standing]
    told = f"; overdue by now: {', '.join(sorted(row['subject'] for row in stale))}" if stale else ""
    known = failed["subject_date"]
    finding = {
        "rule": RULE,
        "severity": "high",
        "subject": MACRO_VENDOR,
        "subject_date": since,
        "title": f"{MACRO_VENDOR} gave no answer for {len(series)} series, known through {known}{told}",
        "action": MACRO_ACTION,
        "evidence": json.dumps(evidence | {"overdue": [row["subject"] for row in stale]}),
        "evidence_sql": failed["evidence_sql"],
    }
    return [_Outage(finding, parts)]


def derived_from(tables: Iterable[str]) -> list[str]:
    """The tables that are computed from some others, directly or by way of each other, in order."""
    touched = set(tables)
    found: set[str] = set()
    while more := {
        name for name, inputs in DERIVED.items() if name not in found and touched & {one.full_name for one in inputs}
    }:
        found |= more
        touched |= more
    return sorted(found)


def _outage_of(row: Row, days: set[date]) -> date | None:
    """The outage that a finding is part of."""
    if row["rule"] in OF_SESSION and row["subject_date"] in days:
        day: date = row["subject_date"]
        return day
    is_pull = row["rule"] == OF_TABLE and row["subject"].startswith("market.")
    return max(days, default=None) if is_pull or row["rule"] == OF_HISTORY else None


def _count_listed(lake: Lake, days: Mapping[date, object]) -> dict[date, int]:
    rows = lake.read(
        "select d.day, count(s.ts_code) as n_listed from (select unnest($days) as day) as d"
        f" left join {market.STOCK_BASIC.full_name} as s on s.list_date <= d.day"
        " and (s.delist_date is null or s.delist_date > d.day) group by d.day",
        days=sorted(days),
    )
    return dict(zip(rows["day"].to_pylist(), rows["n_listed"].to_pylist(), strict=True))


def _finding(day: date, parts: Sequence[Row], n_listed: int) -> Row:
    tables = sorted({row["subject"] for row in parts})
    derived = derived_from(tables)
    waiting = f"; {', '.join(derived)} {'waits' if len(derived) == 1 else 'wait'} for them" if derived else ""
    return {
        "rule": RULE,
        "severity": "high",
        "subject": MARKET_VENDOR,
        "subject_date": day,
        "title": f"{MARKET_VENDOR} left a gap with the session of {day}, {n_listed:,} securities, in"
        f" {', '.join(tables)}{waiting}",
        "action": ACTION,
        "evidence": json.dumps(
            {"tables": {row["subject"]: row["title"] for row in parts}, "derived": derived, "n_securities": n_listed}
        ),
        "evidence_sql": f"select * from analyst.coverage where session_date = date '{day}'"
        " and state not in ('ok', 'empty_confirmed') order by dataset",
    }
