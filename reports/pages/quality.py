"""Can the figures be trusted: is everything there, when did it come, what was set aside, corrected or revised?

One sentence says it at once; below it stand the calendar of what is there, what is not whole, how fresh each dataset
is, and what waits for a person. Partners: `arrivals.py`, `revisions.py`; what is wrong stands in `anomalies.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date
from typing import Any

from reports import blocks, charts, numbers, texts
from reports.blocks import Block, Figure, Note, Section, Source, Table
from reports.pages import arrivals, revisions
from reports.tracing import Reader, Trail, walk
from warehouse import sql

STRIP_SESSIONS = 60
STRIP_MONTHS = 36
MOST_ROWS = 12
NOT_WHOLE = ("failed", "partial", "missing")
LEGEND = (
    ("ok", "whole"),
    ("empty_confirmed", "confirmed empty"),
    ("partial", "partial"),
    ("failed", "failed"),
    ("missing", "missing"),
)
MACRO_LEGEND = (
    ("ok", "all that were due"),
    ("empty_confirmed", "published as missing"),
    ("partial", "some are missing"),
    ("missing", "none came"),
    ("not_due", "not due yet"),
)

Row = dict[str, Any]


def section(lake: Reader, as_of: date) -> Section:
    """The data about the data.

    Raises:
        LakeError: the lake cannot be read.
    """
    return Section(
        "data",
        "Data",
        (
            *_state_blocks(lake, as_of),
            *walk(lake, revisions.market_blocks, as_of),
            *walk(lake, revisions.macro_blocks, as_of),
        ),
    )


def _state_blocks(lake: Reader, as_of: date) -> list[Block]:
    """The sentence at the head, and what it rests on: each asked once."""
    of_partitions, of_arrivals, of_releases, of_rows = (Trail(lake) for _ in range(4))
    datasets = _read_datasets(of_partitions, as_of)
    waiting = _read_waiting(of_rows, as_of)
    came = arrivals.read(of_arrivals, as_of)
    macro_at = arrivals.read_macro(of_arrivals, as_of)
    overdue = arrivals.read_overdue(of_releases, as_of)
    has_macro = any(row["dataset"] == arrivals.MACRO for row in datasets)
    asked = [trail.source for trail in (of_partitions, of_arrivals, of_releases, of_rows)]
    # The table has both what is held of a dataset and when it came.
    fresh = arrivals.freshness_table(datasets, came, macro_at)
    late = arrivals.overdue_block(overdue, has_macro=has_macro)
    return [
        *_sourced(_headline(datasets, sum(row["n"] for row in waiting), arrivals.sentence(came), len(overdue)), asked),
        *walk(lake, _coverage_figure, as_of),
        *walk(lake, _macro_figure, as_of),
        *walk(lake, _not_whole_table, as_of),
        *_sourced(fresh, asked[:2]),
        *_sourced(late, asked[2:3]),
        *_sourced(_quarantine_block(waiting), asked[3:]),
    ]


def _sourced(block: Note | Table | Block | None, asked: Sequence[Source]) -> list[Block]:
    views = tuple(dict.fromkeys(view for source in asked for view in source.views))
    return [dataclasses.replace(block, source=Source(views))] if block is not None else []


def _read_datasets(lake: Reader, as_of: date) -> list[Row]:
    """What is held of each dataset: newest_date, n_partitions, n_not_ok; of sessions those up to the day."""
    return lake.read(
        "select dataset, max(least(through_date, $as_of)) filter (where state in ('ok', 'empty_confirmed'))"
        " as newest_date, count(*) as n_partitions,"
        " count(*) filter (where state not in ('ok', 'empty_confirmed')) as n_not_ok from analyst.coverage"
        " where session_date is null or session_date <= $as_of group by dataset order by dataset",
        as_of=as_of,
    ).to_pylist()


def _read_waiting(lake: Reader, as_of: date) -> list[Row]:
    """Findings on vendors' rows that wait for somebody to release or discard the row, by dataset and rule."""
    return lake.read(
        "select dataset, rule, severity, count(*) as n, max(partition) as newest,"
        " any_value(reason order by partition desc) as reason from analyst.quarantine where state = 'pending'"
        " and (try_cast(partition as date) is null or try_cast(partition as date) <= $as_of)"
        " group by dataset, rule, severity order by n desc, dataset, rule",
        as_of=as_of,
    ).to_pylist()


def _headline(datasets: Sequence[Row], n_pending: int, came: str, n_overdue: int) -> Note:
    n_all = sum(row["n_partitions"] for row in datasets)
    n_not_ok = sum(row["n_not_ok"] for row in datasets)
    if not n_all:
        return Note("Nothing has been loaded yet: `daybook run` loads what is due.", "warn")
    whole = f"{numbers.count(n_all - n_not_ok)} of {numbers.count(n_all)} partitions are whole"
    waits = f"{numbers.count(n_pending)} {texts.plural(n_pending, 'finding')} {'waits' if n_pending == 1 else 'wait'}"
    quarantine = f"{waits} in quarantine for a decision" if n_pending else "nothing waits in quarantine"
    are = "release is" if n_overdue == 1 else "releases are"
    overdue = f" {numbers.count(n_overdue)} macro {are} overdue." if n_overdue else ""
    is_well = not (n_not_ok or n_pending or n_overdue or came.startswith("Late"))
    return Note(f"{whole}; {quarantine}. {came}{overdue}".strip(), "good" if is_well else "")


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
        legend=LEGEND,
    )
    sessions = "the only session" if len(days) == 1 else f"the last {len(days)} sessions"
    caption = (
        f"A mark is a session of a table: {sessions}, back to {days[0]}."
        f" {numbers.count(n_not_whole)} of {numbers.count(len(days) * len(names))} are not whole."
    )
    return [Figure("Coverage", chart, caption, is_wide=True)]


def _macro_figure(lake: Reader, as_of: date) -> list[Block]:
    rows = lake.read(sql.load("macro_coverage"), as_of=as_of, n_months=STRIP_MONTHS).to_pylist()
    if not rows:
        return []
    months = sorted({row["month_date"] for row in rows})
    names = sorted({row["group_name"] for row in rows})
    held = {(row["group_name"], row["month_date"]): row["state"] for row in rows}
    states = [[held.get((name, month), "not_due") for month in months] for name in names]
    n_not_whole = sum(row["state"] in NOT_WHOLE for row in rows)
    n_due = sum(row["state"] != "not_due" for row in rows)
    chart = charts.strip(
        names,
        [f"{month:%Y-%m}" for month in months],
        states,
        label="Whether the periods of each month are published, by group of macro series",
        told=NOT_WHOLE,
        legend=MACRO_LEGEND,
    )
    newest = max(row["n_series"] for row in rows)
    caption = (
        f"A mark is a month of a group of series, by what was published until {as_of}: the last {len(months)} months,"
        f" back to {months[0]:%Y-%m}; up to {numbers.count(newest)} series a group."
        f" {numbers.count(n_not_whole)} of {numbers.count(n_due)} that were due are not whole."
    )
    return [Figure("Coverage of macro series", chart, caption, is_wide=True)]


def _not_whole_table(lake: Reader, as_of: date) -> list[Block]:
    rows = lake.read(
        "select dataset, partition, state, n_received, n_expected, reason from analyst.coverage"
        " where state in (select unnest($states)) and (session_date is null or session_date <= $as_of)"
        " order by session_date desc nulls first, dataset, partition",
        states=list(NOT_WHOLE),
        as_of=as_of,
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


def _quarantine_block(rows: Sequence[Row]) -> Block:
    if not rows:
        return Note("No row waits in quarantine: what the vendors sent kept the rules, or was decided on.", "good")
    cells = [
        (
            blocks.text(row["dataset"]),
            blocks.text(row["reason"]),
            blocks.text("let in, with a warning" if row["severity"] == "warn" else "set aside"),
            blocks.number(numbers.count(row["n"])),
            blocks.text(row["newest"]),
        )
        for row in rows[:MOST_ROWS]
    ]
    return Table("Waits in quarantine, kept in analyst.quarantine", ("Dataset", "Why", "How", "Rows", "Newest"), cells)
