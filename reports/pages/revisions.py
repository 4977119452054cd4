"""What did vendors correct, complete or revise, and which of it is large?

Corrections of the market are named by security while they are few, and counted always; revisions of macro series are
measured in each series' own usual steps, so that a tenth of a point of unemployment is not lost behind a thousand
billions of money. Partners: `quality.py`; `analyst.revision`, `warehouse/sql/macro_revised.sql`.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from reports import blocks, numbers, texts
from reports.blocks import Block, Cell, Note, Table
from reports.tracing import Reader
from warehouse import sql

MOST_ROWS = 12
# More corrected values than these are no longer read one by one.
MOST_NAMED = 12
MARKET_DAYS, MACRO_DAYS = 7, 14

Row = dict[str, Any]


def market_blocks(lake: Reader, as_of: date) -> list[Block]:
    """What vendors corrected or completed: how much of it ever, and what of late by security.

    Args:
        lake: the snapshot.
        as_of: day of the report.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select dataset, column_name, count(*) as n, count(*) filter (where revised_date = $as_of) as n_today,"
        " max(partition) as newest from analyst.revision where revised_date <= $as_of"
        f" group by dataset, column_name order by n_today desc, n desc, dataset, column_name limit {MOST_ROWS}",
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return [Note("No stored value has been corrected by a vendor.", "good")]
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
    counted = Table("Corrected or completed by a vendor, old values in analyst.revision", heads, cells)
    return [counted, *_named(lake, as_of)]


def _named(lake: Reader, as_of: date) -> list[Block]:
    """The last days' corrections one by one, where they are few; the largest relative to the value first."""
    rows = lake.read(
        "select dataset, partition, row_key, column_name, old_value, new_value, revised_date from analyst.revision"
        " where dataset like 'market.%' and revised_date > $since and revised_date <= $as_of"
        " order by abs(try_cast(new_value as double) / nullif(try_cast(old_value as double), 0) - 1) desc nulls last,"
        f" dataset, partition, row_key, column_name, revision_no limit {MOST_NAMED + 1}",
        since=as_of - timedelta(days=MARKET_DAYS),
        as_of=as_of,
    ).to_pylist()
    if not rows or len(rows) > MOST_NAMED:
        return []
    cells = [
        (
            _security(row["row_key"]),
            blocks.text(row["dataset"]),
            blocks.text(row["partition"]),
            blocks.text("whole row, came late" if row["column_name"] == "*" else row["column_name"]),
            blocks.number(_value(row["old_value"])),
            blocks.number(_value(row["new_value"])),
            blocks.number(numbers.day(row["revised_date"])),
        )
        for row in rows
    ]
    heads = ("Security", "Dataset", "Of", "Column", "Before", "Now", "Known since")
    return [Table(f"Corrections of the market, of the last {MARKET_DAYS} days", heads, cells, is_wide=True)]


def _security(row_key: str) -> Cell:
    try:
        code = json.loads(row_key).get("ts_code")
    except (ValueError, AttributeError):
        code = None
    return blocks.link(str(code), "security") if code else blocks.name(row_key)


def _value(stored: str | None) -> str:
    """A value that the lake kept as text, as a number where it is one."""
    try:
        return numbers.level(float(stored)) if stored is not None else numbers.MISSING
    except ValueError:
        return texts.shortened(str(stored))


def macro_blocks(lake: Reader, as_of: date) -> list[Block]:
    """Macro series revised of late, the largest revision by the series' own standard first; nothing without series.

    Args:
        lake: the snapshot.
        as_of: day of the report.

    Raises:
        LakeError: the lake cannot be read.
    """
    since = as_of - timedelta(days=MACRO_DAYS)
    rows = lake.read(sql.load("macro_revised"), as_of=as_of, since=since).to_pylist()
    if not rows:
        return [Note(f"No value of a macro series was revised in the {MACRO_DAYS} days up to {as_of}.")]
    cells = [
        (
            blocks.text(row["series_id"]),
            blocks.name(row["title"]),
            blocks.number(numbers.day(row["observation_date"])),
            blocks.number(numbers.level(row["value_before"])),
            blocks.number(numbers.level(row["value_after"])),
            blocks.text(row["unit"]),
            blocks.text("another base or unit") if row["is_rebased"] else blocks.number(_steps(row["n_steps"])),
            blocks.number(numbers.count(row["n_revised"])),
            blocks.number(numbers.day(row["revised_date"])),
        )
        for row in rows[:MOST_ROWS]
    ]
    more = f", the largest {MOST_ROWS} of {numbers.count(len(rows))}" if len(rows) > MOST_ROWS else ""
    caption = (
        f"Revised macro series{more} (each by its most revised value of the last {MACRO_DAYS} days; a usual step: the"
        " median move from period to period, of 60)"
    )
    heads = ("Series", "What", "Period", "Before", "Now", "Unit", "In usual steps", "Values revised", "Known since")
    return [Table(caption, heads, cells, is_wide=True)]


def _steps(value: float | None) -> numbers.Written:
    return numbers.decimal(value, 1)
