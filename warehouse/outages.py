"""Which gaps are one trouble of the vendor, and what does it touch?

A vendor that is down for an evening leaves a gap in every table of the session; people act on the outage, not on its
traces. Invariants: gaps of one session in most tables of a vendor are one finding that lists them and, through
lineage, what is computed from them; what stands as an alert of its own stays one, so that no alert is resolved by
being regrouped; an outage stays one while it heals. Partner: `warehouse/checks.py`, whose findings these are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from warehouse import checks
from warehouse.lake import Lake
from warehouse.partitions import DERIVED
from warehouse.tables import market

RULE = "vendor_outage"
VENDOR = "tushare"
# Gaps of a session, by table; and pulls of a whole table, which fail with the newest session.
OF_SESSION, OF_TABLE = ("missing_day", "partial_day"), "failed_load"
# One table that is late is no outage: daily_basic comes an hour after the bars.
LEAST_TABLES = 3
ACTION = "Run `daybook run` again, or `daybook backfill` for that day; it resolves itself when the day is whole."

Row = dict[str, Any]


def gathered(lake: Lake, findings: pa.Table) -> pa.Table:
    """The findings, those of an outage replaced with one that lists them.

    Args:
        lake: the lake, with the alerts that stand.
        findings: rows of `checks.FINDING_SCHEMA`.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = findings.to_pylist()
    gaps = [row for row in rows if row["rule"] in OF_SESSION and row["subject"].startswith("market.")]
    if not gaps:
        return findings
    standing = {
        (row["rule"], row["subject"], row["subject_date"])
        for row in lake.read("select rule, subject, subject_date from ops.alert where state <> 'resolved'").to_pylist()
    }
    tables: dict[date, set[str]] = {}
    for row in gaps:
        tables.setdefault(row["subject_date"], set()).add(row["subject"])
    days = {day for day, missing in tables.items() if len(missing) >= LEAST_TABLES or (RULE, VENDOR, day) in standing}
    parts: dict[date, list[Row]] = {}
    for row in rows:
        day = _outage_of(row, days)
        if day is not None and (row["rule"], row["subject"], row["subject_date"]) not in standing:
            parts.setdefault(day, []).append(row)
    if not parts:
        return findings
    folded = {id(row) for of_day in parts.values() for row in of_day}
    n_listed = _count_listed(lake, parts)
    outages = [_finding(day, of_day, n_listed.get(day, 0)) for day, of_day in sorted(parts.items())]
    return pa.Table.from_pylist([*(row for row in rows if id(row) not in folded), *outages], checks.FINDING_SCHEMA)


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
    return max(days, default=None) if is_pull else None


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
        "subject": VENDOR,
        "subject_date": day,
        "title": f"{VENDOR} left a gap with the session of {day}, {n_listed:,} securities, in"
        f" {', '.join(tables)}{waiting}",
        "action": ACTION,
        "evidence": json.dumps(
            {"tables": {row["subject"]: row["title"] for row in parts}, "derived": derived, "n_securities": n_listed}
        ),
        "evidence_sql": f"select * from analyst.coverage where session_date = date '{day}'"
        " and state not in ('ok', 'empty_confirmed') order by dataset",
    }
