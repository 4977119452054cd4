"""What is one alert about, what is its evidence, what should be done, and which rows does its query return?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from reports import blocks, numbers
from reports.blocks import Block, Cell, Note, Section, Source, Table
from reports.reading import Gathered
from reports.subjects.page import Entry, SubjectPage, cell_of
from reports.tracing import Reader, walk
from warehouse import errors, statements
from warehouse.tables import ops

MOST_ROWS = 20
MOST_OTHERS = 10
TONES = {"open": "warn", "resolved": "good"}


def read_entries(lake: Reader, as_of: date) -> list[Entry]:
    """Every alert seen by the day: those that stand first, then the newest.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select fingerprint, title, severity, state, subject_date, resolved_date from analyst.alert"
        " where first_seen_date <= $as_of or subject_date <= $as_of order by state = 'resolved',"
        f" {ops.GRAVEST_FIRST}, subject_date desc, fingerprint",
        as_of=as_of,
    ).to_pylist()
    return [
        Entry(
            row["fingerprint"],
            row["title"],
            (row["state"], row["severity"], row["subject_date"].isoformat()),
            is_settled=row["state"] == "resolved" and (row["resolved_date"] or as_of) < as_of,
        )
        for row in rows
    ]


def build(lake: Reader, names: Sequence[str], as_of: date) -> Iterator[SubjectPage]:
    """The pages of alerts; of one that was not seen by the day there is none.

    Raises:
        LakeError: the lake cannot be read.
    """
    if not names:
        return
    alerts = Gathered(
        lake,
        "select a.*, a.subject in (select ts_code from feature.log_return where trade_date <= $as_of) as has_page"
        " from analyst.alert as a where a.fingerprint in (select unnest($names))"
        " and least(a.first_seen_date, a.subject_date) <= $as_of order by a.fingerprint",
        "fingerprint",
        names=list(names),
        as_of=as_of,
    )
    others = Gathered(
        lake,
        "select subject, fingerprint, severity, title, state, subject_date from analyst.alert"
        " where least(first_seen_date, subject_date) <= $as_of"
        " order by subject, state = 'resolved', subject_date desc, fingerprint",
        "subject",
        as_of=as_of,
    )
    for name in names:
        for row in alerts.of(name).to_pylist():
            shown = [
                Section("overview", "What is wrong", _overview(row, alerts.source)),
                Section("evidence", "Evidence", [_evidence_table(row, alerts.source), *walk(lake, _row_table, row)]),
                Section("others", "Others about the same", [_other_table(row, others)]),
            ]
            yield SubjectPage(name, row["title"], shown)


def _overview(row: dict[str, Any], source: Source) -> list[Block]:
    subject = blocks.link(row["subject"], "security") if row["has_page"] else blocks.text(row["subject"])
    facts: list[tuple[str, Cell]] = [
        ("State", blocks.text(row["state"])),
        *_decision(row),
        ("Severity", blocks.text(row["severity"])),
        ("About", subject),
        ("Day", blocks.text(numbers.day(row["subject_date"]))),
        ("Rule", blocks.text(row["rule"])),
        ("First seen", blocks.text(numbers.day(row["first_seen_date"]))),
        ("Last seen", blocks.text(numbers.day(row["last_seen_date"]))),
        ("Resolved", blocks.text(numbers.day(row["resolved_date"]))),
        ("Runs that saw it", blocks.text(numbers.count(row["n_seen"]))),
        ("Fingerprint", blocks.text(row["fingerprint"])),
    ]
    return [
        Note(row["action"].replace("`", '"'), TONES.get(row["state"], ""), source),
        Table("The alert", ("", "Value"), [(blocks.text(label), cell) for label, cell in facts], source=source),
    ]


def _decision(row: dict[str, Any]) -> list[tuple[str, Cell]]:
    """Who acknowledged or snoozed it, why and until when, where somebody did."""
    if not row["decided_by"]:
        return []
    until = f" until {row['until_date']}" if row["until_date"] else ""
    return [("Decided", blocks.text(f"by {row['decided_by']}{until}: {row['decision_reason']}"))]


def _evidence_table(row: dict[str, Any], source: Source) -> Block:
    try:
        held = json.loads(row["evidence"] or "{}")
    except ValueError:
        held = None
    if not isinstance(held, dict):
        return Note(f"Evidence: {row['evidence']}", source=source)
    if not held:
        return Note("The rule keeps no figures beside its sentence.", source=source)
    cells = [
        (blocks.text(name), dataclasses.replace(cell_of(value), is_number=False))
        for name, value in (
            (name, json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value)
            for name, value in held.items()
        )
    ]
    return Table("Figures kept with it", ("", "Value"), cells, source=source)


def _row_table(lake: Reader, row: dict[str, Any]) -> list[Block]:
    """The query's rows as the snapshot has them; a query that fails costs a sentence, not the page."""
    query = row["evidence_sql"].strip().rstrip(";")
    if not query:
        return [Note("The rule gives no query that shows more.")]
    asked = Table(
        "The query that shows more", ("", "In SQL"), [(blocks.text("Asked"), blocks.text(query))], is_wide=True
    )
    try:
        statements.refuse_unless_one_select(query)
        # Ordered by all its columns: rows of equal standing come in any order, and a page is the same to the byte.
        rows = lake.read(f"select * from ({query}) order by all limit {MOST_ROWS + 1}")
    except errors.DaybookError as exc:
        return [asked, Note(f"The query cannot be run on this snapshot: {exc}", "warn")]
    if not rows.num_rows:
        return [asked, Note("On this snapshot the query returns no row.")]
    # By place, not by name: a query may give two columns one name.
    shown = [column.to_pylist() for column in rows.slice(0, MOST_ROWS).columns]
    cells = [[cell_of(value) for value in one] for one in zip(*shown, strict=True)]
    more = f", the first {MOST_ROWS}" if rows.num_rows > MOST_ROWS else ""
    return [asked, Table(f"Its rows{more}", rows.column_names, cells, is_wide=True)]


def _other_table(row: dict[str, Any], others: Gathered) -> Block:
    rows = [one for one in others.of(row["subject"]).to_pylist() if one["fingerprint"] != row["fingerprint"]]
    if not rows:
        return Note(f"No other alert was about {row['subject']}.", source=others.source)
    cells = [
        (
            blocks.text(one["severity"]),
            blocks.link(one["title"], "alert", one["fingerprint"]),
            blocks.text(one["state"]),
            blocks.number(numbers.day(one["subject_date"])),
        )
        for one in rows[:MOST_OTHERS]
    ]
    heads = ("Severity", "What", "State", "Day")
    return Table(f"Alerts about {row['subject']}", heads, cells, is_wide=True, source=others.source)
