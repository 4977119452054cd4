"""What of a day goes into its mail, and what stays on the page?

A mail is read once, on the way: it has what a reader acts on, tables by their first rows, and says what else the page
has. Nothing is left out in silence. Partners: `mail.py`, `plain.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reports import charts, numbers, texts
from reports.blocks import Block, Cell, Figure, Listing, Note, Section, Table, Tiles
from reports.charts import Chart, Row

# Painted, where they are there; the last goes first when a mail grows too long.
PICTURED = (
    "Index and the equal-weighted market",
    "Breadth",
    "Macro factors",
    "Information coefficient",
    "Equity factors",
    "Returns of the day",
)
# Figures of which the mail repeats the newest numbers or the ends.
TOLD = ("Dispersion", "Industries")
# Beginnings of the captions of tables to look things up in, not to act on.
LOOKED_UP = (
    "Published values",
    "Groups of",
    "Walk-forward evaluation",
    "Versions behind",
    "Freshness",
    "Corrected or completed",
)
# Too wide for a mail; the page has them.
WIDE_COLUMNS = ("Before, at first", "In standard errors", "Known since", "Last seen", "Runs")
LONGEST_SENTENCE, LONGEST_CELL, LONGEST_LABEL = 400, 200, 60
LONGEST_NAMES = 300
MOST_TILES, MOST_ENDS = 12, 3


@dataclass(frozen=True)
class Shown:
    """A block as the mail has it.

    Args:
        block: shortened.
        key: which block of the day it is.
        n_more: rows or items that are on the page only.
        columns: columns that are on the page only.
    """

    block: Block
    key: str
    n_more: int = 0
    columns: tuple[str, ...] = ()

    def more_words(self) -> str:
        """What the page has more of, as a sentence; empty when that is nothing."""
        if not self.columns:
            return f"{self.n_more:,} more on the page." if self.n_more else ""
        where = f"{self.n_more:,} more on the page" if self.n_more else "On the page"
        return f"{where}, with the columns {'; '.join(self.columns)}."


@dataclass(frozen=True)
class Digest:
    """A section as the mail has it.

    Args:
        anchor: its address inside the page.
        title: its heading.
        shown: its blocks.
        elsewhere: names of blocks that are on the page only.
    """

    anchor: str
    title: str
    shown: Sequence[Shown]
    elsewhere: Sequence[str]


def cut(section: Section, n_rows: int) -> Digest:
    """A section by its first rows.

    Args:
        section: as the page has it.
        n_rows: rows that a table keeps, and items that a list keeps.
    """
    shown, elsewhere = [], []
    for key, block in keyed(section):
        if _is_for_the_page(block):
            elsewhere.append(name_of(block))
        else:
            shown.append(_cut_block(block, key, n_rows))
    return Digest(section.anchor, texts.shortened(section.title, LONGEST_CELL), shown, elsewhere)


def keyed(section: Section) -> Iterator[tuple[str, Block]]:
    """The blocks of a section with what tells them apart, also where two have the same title."""
    for at, block in enumerate(section.blocks, start=1):
        yield f"{section.anchor}-{at}", block


def name_of(block: Block) -> str:
    """What a block is called where it is not shown."""
    if isinstance(block, Table):
        # What follows explains the table to who sees it.
        return texts.shortened(re.split(r" \(|[:;]", block.caption)[0], LONGEST_LABEL)
    return texts.shortened(block.title if isinstance(block, (Figure, Listing)) else "notes", LONGEST_LABEL)


def names(elsewhere: Sequence[str]) -> str:
    """Names in one line, each once."""
    return texts.shortened("; ".join(dict.fromkeys(elsewhere)), LONGEST_NAMES)


def newest(chart: Chart) -> str:
    """The last numbers of a chart over time, the ends of bars, where most values lie; empty for other charts."""
    if chart.tell is None or not chart.rows:
        return ""
    if chart.heads == charts.BIN_HEADS:
        return _fullest(chart)
    if chart.span is None:
        return _ends(chart)
    # The last column of a chart with shaded dates is no line.
    n_lines = sum(key != "shade" for key, _ in chart.legend)
    last = chart.rows[-1]
    said = [
        f"{texts.shortened(head)} {_written(chart, value)}"
        for head, value in zip(chart.heads[1 : n_lines + 1], last[1 : n_lines + 1], strict=True)
    ]
    return f"{str(last[0])[:10]}: {', '.join(said)}"


def _ends(chart: Chart) -> str:
    rows = sorted((row for row in chart.rows if isinstance(row[1], (int, float))), key=lambda row: -float(row[1] or 0))

    def told(some: Sequence[Row]) -> str:
        return ", ".join(f"{texts.shortened(str(name))} {_written(chart, value)}" for name, value, *_ in some)

    if len(rows) <= 2 * MOST_ENDS:
        return told(rows)
    return f"highest {told(rows[:MOST_ENDS])}; lowest {told(rows[: -MOST_ENDS - 1 : -1])}"


def _fullest(chart: Chart) -> str:
    start, end, n_in = max(chart.rows, key=lambda row: float(row[2] or 0))
    n_all = sum(int(row[2] or 0) for row in chart.rows)
    return f"most, {n_in:,} of {n_all:,}, from {_written(chart, start)} to {_written(chart, end)}"


def _written(chart: Chart, value: str | float | None) -> str:
    if chart.tell is None or not isinstance(value, (int, float)):
        return numbers.MISSING
    return chart.tell(float(value))


def _is_for_the_page(block: Block) -> bool:
    if isinstance(block, Figure):
        return block.title not in (*PICTURED, *TOLD)
    return isinstance(block, Table) and block.caption.startswith(LOOKED_UP)


def _cut_block(block: Block, key: str, n_rows: int) -> Shown:
    if isinstance(block, Note):
        return Shown(replace(block, text=texts.shortened(block.text, LONGEST_SENTENCE)), key)
    if isinstance(block, Listing):
        items = [texts.shortened(item, LONGEST_SENTENCE) for item in block.items[:n_rows]]
        title = texts.shortened(block.title, LONGEST_CELL)
        return Shown(replace(block, title=title, items=items), key, len(block.items) - len(items))
    if isinstance(block, Tiles):
        tiles = [
            replace(
                tile,
                label=texts.shortened(tile.label, LONGEST_LABEL),
                value=texts.shortened(tile.value, LONGEST_LABEL),
                note=texts.shortened(tile.note, LONGEST_CELL),
            )
            for tile in block.tiles[:MOST_TILES]
        ]
        return Shown(replace(block, tiles=tiles), key, len(block.tiles) - len(tiles))
    if isinstance(block, Table):
        return _cut_table(block, key, n_rows)
    title, caption = texts.shortened(block.title, LONGEST_CELL), texts.shortened(block.caption, LONGEST_SENTENCE)
    return Shown(replace(block, title=title, caption=caption), key)


def _cut_table(table: Table, key: str, n_rows: int) -> Shown:
    dropped = tuple(head for head in table.columns if head in WIDE_COLUMNS)
    kept = [at for at, head in enumerate(table.columns) if head not in WIDE_COLUMNS]
    rows = [[_cut_cell(row[at]) for at in kept] for row in table.rows[:n_rows]]
    heads = [texts.shortened(table.columns[at], LONGEST_LABEL) for at in kept]
    caption = texts.shortened(table.caption, LONGEST_CELL)
    n_more = len(table.rows) - len(rows)
    return Shown(replace(table, caption=caption, columns=heads, rows=rows), key, n_more, dropped if rows else ())


def _cut_cell(cell: Cell) -> Cell:
    return replace(cell, text=texts.shortened(cell.text, LONGEST_CELL))
