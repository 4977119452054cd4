"""The few kinds of thing a section of the report is made of.

A page function returns these and knows no HTML; the template knows no data. Partner: `template.html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Tile:
    """A key figure of the first screen.

    Args:
        label: what it is.
        value: the figure as written.
        note: one line below it.
        tone: `up`, `down` or empty; a sign in the value says the same to who sees no colour.
        spark: a small chart, as SVG, or empty.
    """

    label: str
    value: str
    note: str = ""
    tone: str = ""
    spark: str = ""


@dataclass(frozen=True)
class Tiles:
    """Key figures side by side."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Figure:
    """A chart with its title and what it says.

    Args:
        title: what is shown.
        svg: the chart.
        caption: how to read it, with unit and source.
        is_wide: whether it takes the whole width.
    """

    kind: ClassVar[str] = "figure"
    title: str
    svg: str
    caption: str
    is_wide: bool = False


@dataclass(frozen=True)
class Cell:
    """A table's cell; numbers stand right, `tone` is `up`, `down` or empty."""

    text: str
    is_number: bool = False
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption; every row has one cell a column.

    Args:
        caption: what is shown.
        columns: headings.
        rows: cells.
        is_wide: whether it takes the whole width.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    is_wide: bool = False


@dataclass(frozen=True)
class Note:
    """A sentence: something to know, or why a section is empty.

    Args:
        text: the sentence.
        tone: `warn` when something is wrong, `good` when all is well, or empty.
    """

    kind: ClassVar[str] = "note"
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Listing:
    """Sentences under a heading, such as what changed since yesterday."""

    kind: ClassVar[str] = "listing"
    title: str
    items: Sequence[str]


Block = Tiles | Figure | Table | Note | Listing


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Args:
        anchor: its address inside the page.
        title: its heading.
        blocks: what it shows, in order.
    """

    anchor: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def text(value: str) -> Cell:
    """A cell of words."""
    return Cell(value)


def number(value: str, tone: str = "") -> Cell:
    """A cell of a number, already written."""
    return Cell(value, True, tone)


def tone_of(value: float | None) -> str:
    """`up` above zero, `down` below, empty at zero or when missing."""
    if value is None or value == 0 or value != value:
        return ""
    return "up" if value > 0 else "down"
