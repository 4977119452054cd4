"""Can the figures be trusted: is everything there, how fresh is it, what was set aside, corrected or wrong?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from reports import blocks, charts, numbers
from reports.blocks import Block, Figure, Note, Section, Table
from reports.tracing import Reader, walk
from warehouse.tables import ops

STRIP_SESSIONS = 60
MOST_ROWS = 12
MOST_ALERTS = 25
NOT_WHOLE = ("failed", "partial", "missing")


def section(lake: Reader, as_of: date) -> Section:
    """The data about the data.

    Raises:
        LakeError: the lake cannot be read.
    """
    return Section(
        "data",
        "Data",
        (
            *walk(lake, _coverage_figure, as_of),
            *walk(lake, _not_whole_table),
            *walk(lake, _freshness_table),
            *walk(lake, _quarantine_table),
            *walk(lake, _revision_table, as_of),
            *walk(lake, _alert_table, as_of),
            *walk(lake, _wrong_rules),
        ),
    )


def _coverage_figure(lake: Reader, as_of: date) -> list[Block]:
    rows = lake.read(
        "with days as (select distinct session_date from analyst.coverage where dataset = 'market.daily'"
        f" and session_date <= $as_of order by session_date desc limit {STRIP_SESSIONS})"
        " select c.dataset, c.session_date, c.state from analyst.coverage as c join days using (session_date)"
        " where c.dataset like 'market.%' order by c.dataset, c.session_date",
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return []
    days = sorted({row["session_date"] for row in rows})
    names = sorted({row["dataset"] for row in rows})
    held = {(row["dataset"], row["session_date"]): row["state"] for row in rows}
    states = [[held.get((name, day), "missing") for day in days] for name in names]
    n_not_whole = sum(state in NOT_WHOLE for line in states for state in line)
    chart = charts.strip(
        names,
        [day.isoformat() for day in days],
        states,
        label="State of each session's data, by dataset",
        told=NOT_WHOLE,
    )
    caption = (
        f"A square is a session: filled when whole, pale when confirmed empty, marked when not whole."
        f" {numbers.count(n_not_whole)} of {numbers.count(len(days) * len(names))} are not whole."
    )
    return [Figure("Coverage", chart, caption, is_wide=True)]


def _not_whole_table(lake: Reader) -> list[Block]:
    rows = lake.read(
        "select dataset, partition, state, n_received, n_expected, reason from analyst.coverage"
        " where state in (select unnest($states)) order by session_date desc nulls first, dataset, partition",
        states=list(NOT_WHOLE),
    ).to_pylist()
    if not rows:
        return []
    cells = [
        (
            blocks.text(row["dataset"]),
            blocks.text(row["partition"]),
            blocks.text(row["state"]),
            blocks.number(numbers.count(row["n_received"])),
            blocks.number(numbers.count(row["n_expected"])),
            blocks.name(row["reason"]),
        )
        for row in rows[:MOST_ROWS]
    ]
    more = f", {MOST_ROWS} of {numbers.count(len(rows))}" if len(rows) > MOST_ROWS else ""
    heads = ("Dataset", "Partition", "State", "Came", "Expected", "Why")
    return [Table(f"Not whole{more}", heads, cells)]


def _freshness_table(lake: Reader) -> Table:
    rows = lake.read("select * from analyst.freshness order by dataset").to_pylist()
    cells = [
        (
            blocks.text(row["dataset"]),
            blocks.number(numbers.day(row["newest_date"])),
            blocks.number(numbers.count(row["n_partitions"])),
            blocks.number(numbers.count(row["n_not_ok"])),
        )
        for row in rows
    ]
    return Table("Freshness", ("Dataset", "Known to", "Partitions", "Not whole"), cells)


def _quarantine_table(lake: Reader) -> Block:
    rows = lake.read(
        "select dataset, rule, count(*) as n, max(partition) as newest, any_value(reason order by partition desc)"
        f" as reason from analyst.quarantine group by dataset, rule order by n desc, dataset, rule limit {MOST_ROWS}"
    ).to_pylist()
    if not rows:
        return Note("No row is set aside: everything the vendors sent kept the rules.", "good")
    cells = [
        (
            blocks.text(row["dataset"]),
            blocks.text(row["reason"]),
            blocks.number(numbers.count(row["n"])),
            blocks.text(row["newest"]),
        )
        for row in rows
    ]
    return Table("Set aside, kept in analyst.quarantine", ("Dataset", "Why", "Rows", "Newest"), cells)


def _revision_table(lake: Reader, as_of: date) -> Block:
    rows = lake.read(
        "select dataset, column_name, count(*) as n, count(*) filter (where revised_date = $as_of) as n_today,"
        " max(partition) as newest from analyst.revision where revised_date <= $as_of"
        f" group by dataset, column_name order by n_today desc, n desc, dataset, column_name limit {MOST_ROWS}",
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return Note("No stored value has been corrected by a vendor.", "good")
    cells = [
        (
            blocks.text(row["dataset"] if row["column_name"] == "*" else f"{row['dataset']}.{row['column_name']}"),
            blocks.text("came late" if row["column_name"] == "*" else "corrected"),
            blocks.number(numbers.count(row["n_today"])),
            blocks.number(numbers.count(row["n"])),
            blocks.text(row["newest"]),
        )
        for row in rows
    ]
    heads = ("What", "How", "Today", "Ever", "Newest")
    return Table("Corrected or completed by a vendor, old values in analyst.revision", heads, cells)


def _alert_table(lake: Reader, as_of: date) -> Block:
    rows = lake.read(
        "select * from analyst.alert where state <> 'resolved' and least(first_seen_date, subject_date) <= $as_of"
        f" order by state <> 'open', {ops.GRAVEST_FIRST}, last_seen_date desc, rule, subject",
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return Note("No alert is open.", "good")
    cells = [
        (
            blocks.text(row["severity"]),
            blocks.link(row["title"], "alert", row["fingerprint"]),
            blocks.text(_standing(row)),
            blocks.text(row["action"]),
            blocks.number(f"{row['first_seen_date']}, {row['n_seen']} x"),
            blocks.text(row["evidence_sql"]),
        )
        for row in rows[:MOST_ALERTS]
    ]
    more = f", the gravest {MOST_ALERTS} of {len(rows)}" if len(rows) > MOST_ALERTS else ""
    heads = ("Severity", "What", "State", "What to do", "Since, seen", "More, in SQL")
    return Table(f"Alerts that stand{more}", heads, cells, is_wide=True)


def _wrong_rules(lake: Reader) -> list[Block]:
    """Rules that people mostly labelled false, so that their alerts are read with care until they are mended."""
    rows = lake.read(
        "select rule, n_true, n_labelled from analyst.rule_precision where is_mostly_wrong"
        " order by n_true / n_labelled, rule"
    ).to_pylist()
    told = ", ".join(f"{row['rule']} ({row['n_true']} of {row['n_labelled']} true)" for row in rows)
    return [Note(f"Mostly wrong, by the labels people gave its alerts: {told}.", "warn")] if rows else []


def _standing(row: Mapping[str, Any]) -> str:
    """How an alert stands, and who said so."""
    if row["state"] == "open":
        return "open"
    until = f" until {row['until_date']}" if row["until_date"] else ""
    return f"{row['state']} by {row['decided_by']}{until}: {row['decision_reason']}"
