"""What is wrong with the lake's contents, as findings a person can act on.

A check is a SELECT in `sql/checks/` that returns the offending rows; none means good. Invariants: the same trouble has
the same fingerprint and is one alert, however often it is seen; a trouble that is looked for and no longer found is
resolved by itself; a second run for the same day changes nothing. Partners: `warehouse/check_scope.py`, which says
where to look, and `flows/detecting.py`, which adds what models find.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from warehouse import check_scope, sql
from warehouse.lake import Lake
from warehouse.tables import ops

log = logging.getLogger(__name__)

# Columns every check returns; `check_finding` in tests/test_checks.py runs each statement against them.
FINDING_SCHEMA = pa.schema(
    [
        pa.field("rule", pa.string()),
        pa.field("severity", pa.string()),
        pa.field("subject", pa.string()),
        pa.field("subject_date", pa.date32()),
        pa.field("title", pa.string()),
        pa.field("action", pa.string()),
        pa.field("evidence", pa.string()),
        pa.field("evidence_sql", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Check:
    """One rule about the lake.

    Args:
        rule: name of its statement in `sql/checks/`.
        severity: `high` when figures of the day cannot be trusted, `medium` when one row cannot, `low` to look at.
        action: what a person does about it.
        is_completeness: whether it says that something expected is not there.
        dataset: table whose rows it judges one by one, if it does: what ails many rows of a session is one trouble of
            the table, not one of each security.
        is_by_session: whether it judges sessions by their rows: it looks at those that changed, however old, and at
            others only in turn.
        tolerates_missing: whether it counts missing rows against the share that may be missing, `$missing_fraction`.
    """

    rule: str
    severity: str
    action: str
    is_completeness: bool = False
    dataset: str = ""
    is_by_session: bool = False
    tolerates_missing: bool = False


BASIC = "market.daily_basic"
DAILY = "market.daily"
# What is wrong with a bar beside its neighbours: those of the security, of the session, of the calendar.
BAR_RULES = ("change_disagrees", "bar_frozen", "bar_copied", "bar_repeated", "bar_on_closed_day", "volume_slip")
CHECKS: tuple[Check, ...] = (
    Check(
        "missing_day",
        "high",
        "Run `daybook run` again, or `daybook backfill` for that day; if it stays, ask the vendor.",
        True,
    ),
    Check("partial_day", "high", "Run `daybook run` again later: the vendor is probably not finished.", True),
    Check(
        "row_missing",
        "high",
        "Run `daybook backfill` for that day; if it stays, ask the vendor for the row.",
        True,
        is_by_session=True,
        tolerates_missing=True,
    ),
    Check(
        "failed_load", "high", "Read the reason, then run `daybook run` again; `daybook doctor` tries the vendor.", True
    ),
    Check(
        "factors_not_compared",
        "medium",
        "Look at the reason; an account that may not ask by security sets DAYBOOK__FACTOR_HISTORIES_PER_DAY=0.",
    ),
    Check(
        "calendar_disagreement",
        "high",
        "Look at the exchange's notice; until one source follows it, check whether the day has bars.",
        True,
    ),
    Check(
        "bar_missing",
        "medium",
        "Ask why: a halt the vendor does not list, a delisting, or rows that come late; it is asked for again.",
        is_by_session=True,
        tolerates_missing=True,
    ),
    Check(
        "bar_unknown",
        "high",
        "Ask the vendor for the security's entry: until it has one, the universe and what is expected leave it out.",
    ),
    Check(
        "null_column",
        "high",
        "Do not use the column over that session; ask the vendor to send it again.",
        is_by_session=True,
    ),
    Check("mass_revision", "high", "Compare old and new values in analyst.revision; what is worse goes to the vendor."),
    Check("index_gap", "medium", "Do not use the index over the gap; ask the vendor for the missing sessions."),
    Check("stale_series", "medium", "Look whether the release was late; otherwise run `daybook run` again."),
    Check(
        "series_rebased",
        "low",
        "Do not compare levels of the series across that day; changes within a vintage are sound.",
    ),
    Check(
        "series_revised_beyond_history",
        "low",
        "Read what the source revised; forecasts made before were made on the older figures.",
    ),
    Check("series_fact_changed", "medium", "Compare with warehouse/seeds/fred_series.csv, and mend the line there."),
    Check(
        "row_set_aside",
        "medium",
        "Look at it with `daybook quarantine show`, then release it if it is right, or discard it.",
    ),
    Check(
        "message_waiting",
        "medium",
        "Run `daybook alerts send` and read why it is refused; correct DAYBOOK__ALERT_CHANNELS or mend the service.",
    ),
    Check("rule_broken", "medium", "Disable the rule with `daybook rule disable`, and add it again as it should be."),
    Check(
        "bar_order",
        "medium",
        "The row was set aside, see analyst.quarantine; it is asked for again next run.",
        dataset=DAILY,
    ),
    Check(
        "bar_incomplete",
        "medium",
        "Run `daybook backfill` for that day; if it stays, ask the vendor.",
        dataset=DAILY,
        is_by_session=True,
    ),
    Check(
        "pct_chg_disagrees",
        "medium",
        "Do not use that bar before the vendor has corrected it.",
        dataset=DAILY,
        is_by_session=True,
    ),
    Check(
        "vwap_outside_range",
        "medium",
        "Do not use its volume and amount: one has another unit.",
        dataset=DAILY,
        is_by_session=True,
    ),
    Check(
        "basic_close_differs",
        "medium",
        "Do not use that row before the vendor has corrected it.",
        dataset=BASIC,
        is_by_session=True,
    ),
    Check(
        "turnover_disagrees",
        "medium",
        "Do not use its turnover: a unit changed in one of the tables.",
        dataset=BASIC,
        is_by_session=True,
    ),
    Check(
        "price_limit_broken",
        "medium",
        "Check the bar against the exchange; a relisting day has no limit.",
        dataset=DAILY,
        is_by_session=True,
    ),
    Check(
        "adjustment_misfit",
        "medium",
        "Do not use returns over that day before the vendor has corrected the factor.",
        dataset=DAILY,
        is_by_session=True,
    ),
    *(
        Check(
            rule,
            "medium",
            "Do not use that bar before the vendor has corrected it.",
            dataset=DAILY,
            is_by_session=True,
        )
        for rule in BAR_RULES
    ),
)

COMPLETENESS_RULES = tuple(check.rule for check in CHECKS if check.is_completeness)
SESSION_RULES = tuple(check.rule for check in CHECKS if check.is_by_session)
# They look at rows by the day they are of, and a backfill sets rows of any day aside.
SET_ASIDE_RULES = ("row_set_aside", "bar_order")
# More rows of one session than this that break one rule are no troubles of theirs: the whole table is suspect.
MOST_ROWS_A_SESSION = 20


def find(
    lake: Lake,
    as_of: date,
    scope: check_scope.Scope | None = None,
    *,
    missing_fraction: float = ops.MISSING_FRACTION,
) -> pa.Table:
    """What every check finds, as rows of `FINDING_SCHEMA`.

    Args:
        lake: the lake.
        as_of: last day looked at.
        scope: where to look; None for wherever nobody has looked since something changed.
        missing_fraction: share of a session's rows that may be missing before it counts as a gap.

    Raises:
        LakeError: a statement cannot be run.
    """
    scope = scope or read_scope(lake, as_of)
    oldest_open = _read_oldest_open(lake)
    found = []
    for check in CHECKS:
        if check.is_by_session:
            spans = list(scope.of_rule(check.rule))
        else:
            # What is new, and its open alerts.
            newest = scope.since if check.rule in SET_ASIDE_RULES else scope.unseen_since
            spans = [check_scope.Span(min(newest, oldest_open.get(check.rule, newest)), as_of)]
        rows = pa.concat_tables([_run(lake, check, span, missing_fraction) for span in spans])
        found.append(_gathered(check, rows))
        if rows.num_rows:
            log.warning("check found rule=%s rows=%s as_of=%s", check.rule, rows.num_rows, as_of)
    return pa.concat_tables(found)


def read_scope(lake: Lake, as_of: date) -> check_scope.Scope:
    """Where the checks of a run have to look.

    Raises:
        LakeError: the lake cannot be read.
    """
    return check_scope.read(lake, as_of, SESSION_RULES)


def _run(lake: Lake, check: Check, span: check_scope.Span, missing_fraction: float) -> pa.Table:
    params = {"missing_fraction": missing_fraction} if check.tolerates_missing else {}
    rows = lake.read(sql.load(f"checks/{check.rule}"), as_of=span.last, start_date=span.first, **params)
    for name in ("rule", "severity", "action"):
        rows = rows.append_column(name, pa.array([getattr(check, name)] * rows.num_rows, pa.string()))
    return rows.select(FINDING_SCHEMA.names).cast(FINDING_SCHEMA)


def _gathered(check: Check, rows: pa.Table) -> pa.Table:
    """The findings, those of a session too many to be read one by one replaced with one that says so."""
    n_rows = Counter(rows["subject_date"].to_pylist())
    crowded = [day for day, n in n_rows.items() if check.dataset and n > MOST_ROWS_A_SESSION]
    if not crowded:
        return rows
    is_crowded = pc.is_in(rows["subject_date"], pa.array(crowded, pa.date32()))
    gathered = []
    for day in crowded:
        of_day = rows.filter(pc.equal(rows["subject_date"], pa.scalar(day, pa.date32()))).to_pylist()
        first = of_day[0]
        subjects = [row["subject"] for row in of_day[:MOST_ROWS_A_SESSION]]
        gathered.append(
            first
            | {
                "severity": "high",
                "subject": check.dataset,
                "title": f"{check.dataset} {day}: {len(of_day)} rows break the rule, the first: {first['title']}",
                "evidence": json.dumps({"n_rows": len(of_day), "first": subjects}),
            }
        )
    return pa.concat_tables([rows.filter(pc.invert(is_crowded)), pa.Table.from_pylist(gathered, FINDING_SCHEMA)])


def _read_oldest_open(lake: Lake) -> dict[str, date]:
    """The oldest day of each rule's open alerts."""
    rows = lake.read("select rule, min(subject_date) as day from ops.alert where state <> 'resolved' group by rule")
    return dict(zip(rows["rule"].to_pylist(), rows["day"].to_pylist(), strict=True))


def fingerprint(rule: str, subject: str, subject_date: date) -> str:
    """The identity of a trouble: 16 hexadecimal digits over rule, subject and day."""
    return hashlib.sha256(f"{rule}|{subject}|{subject_date}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Look:
    """Which sessions were looked at, and when.

    Args:
        scope: the sessions; an open alert of another one is left alone.
        at: the run's instant.
    """

    scope: check_scope.Scope
    at: datetime


def record(lake: Lake, findings: pa.Table, rules_run: Sequence[str], as_of: date, look: Look | None = None) -> pa.Table:
    """The alerts as they stand after `findings`: new ones opened, those no longer found resolved, each change kept.

    Args:
        lake: open for writing.
        findings: rows of `FINDING_SCHEMA`.
        rules_run: rules that were looked at; an open alert of another rule is left alone.
        as_of: day of the run.
        look: the sessions looked at, which then count as such; None for all.

    Returns:
        Rows of `ops.alert` that are open and concern the day or one before it, gravest first.

    Raises:
        LakeError: the lake cannot be written.
    """
    prints = [
        fingerprint(row["rule"], row["subject"], row["subject_date"])
        for row in findings.select(["rule", "subject", "subject_date"]).to_pylist()
    ]
    findings = findings.append_column("fingerprint", pa.array(prints, pa.string()))
    looked_at = _looked_at(rules_run, look)

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        before = connection.execute(f"select fingerprint, state from {ops.ALERT.full_name}").to_arrow_table()
        inputs = {"finding": findings, "looked_at": looked_at, "before": before}
        for name, rows in inputs.items():
            connection.register(name, rows)
        for step in ("alert_resolve", "alert_wake", "alert_see_again", "alert_open"):
            connection.execute(sql.load(step), {"as_of": as_of})
        connection.execute(sql.load("alert_changed"), {"as_of": as_of, "at": look.at if look else None})
        for name in inputs:
            connection.unregister(name)
        if look:
            check_scope.mark_looked_at(connection, look.scope, look.at)

    lake.commit(work, message=f"alerts {as_of}")
    return lake.read(
        f"select * from {ops.ALERT.full_name} where state <> 'resolved'"
        " and least(first_seen_date, subject_date) <= $as_of"
        f" order by {ops.GRAVEST_FIRST}, rule, subject, subject_date",
        as_of=as_of,
    )


def _looked_at(rules_run: Sequence[str], look: Look | None) -> pa.Table:
    """The days that each rule looked at: rows (rule, first_date, last_date)."""
    always = check_scope.Span(date.min, date.max)
    rows: list[dict[str, Any]] = [
        {"rule": rule, "first_date": span.first, "last_date": span.last}
        for rule in rules_run
        for span in (look.scope.of_rule(rule) if look and rule in SESSION_RULES else (always,))
    ]
    names = {"rule": pa.string(), "first_date": pa.date32(), "last_date": pa.date32()}
    return pa.Table.from_pylist(rows, pa.schema(names))
