"""The few kinds of thing a section of the report is made of.

A page function returns these and knows no HTML; the template knows no data. Partner: `template.html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from reports import numbers, texts
from reports.charts import Chart, Row


@dataclass(frozen=True)
class Source:
    """What a block was read from.

    Args:
        views: names of views and tables, in the order in which they were asked.
        versions: model versions they were asked for.
        file: a desk's own file behind it with the digest of its text; empty for blocks of Daybook's.
    """

    views: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    file: str = ""


@dataclass(frozen=True)
class Subject:
    """Something that has a page of its own.

    Args:
        kind: `security`, `model`, `factor` or `alert`.
        name: ts_code, model version, model name and factor number such as `equity_pca/1`, or fingerprint.
    """

    kind: str
    name: str


@dataclass(frozen=True)
class Lead:
    """Words of a sentence that lead somewhere.

    Args:
        words: as they stand in the sentence.
        about: what has the page they lead to, or the anchor of a section of the same page.
    """

    words: str
    about: Subject | str


class Linked(str):
    """A sentence of which some words lead somewhere; where nothing can be followed it is the sentence alone."""

    leads: tuple[Lead, ...]


@dataclass(frozen=True)
class Tile:
    """A key figure of the first screen.

    Args:
        label: what it is.
        value: the figure as written.
        note: one line below it.
        tone: `up`, `down` or empty; a sign in the value says the same to who sees no colour.
        spark: a small chart, or None.
    """

    label: str
    value: str
    note: str = ""
    tone: str = ""
    spark: Chart | None = None


@dataclass(frozen=True)
class Tiles:
    """Key figures side by side."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]
    source: Source | None = None


@dataclass(frozen=True)
class Figure:
    """A chart with its title and what it says.

    Args:
        title: what is shown.
        chart: the picture and the numbers it draws.
        caption: how to read it, with its unit.
        is_wide: whether it takes the whole width.
        source: what it was read from.
    """

    kind: ClassVar[str] = "figure"
    title: str
    chart: Chart
    caption: str
    is_wide: bool = False
    source: Source | None = None


@dataclass(frozen=True)
class Cell:
    """A table's cell; numbers stand right, `tone` is `up`, `down` or empty, `about` has a page that it leads to."""

    text: str
    is_number: bool = False
    tone: str = ""
    about: Subject | None = None


@dataclass(frozen=True)
class Data:
    """Rows to take along as CSV, where a table shows the first of them only.

    Args:
        heads: what the columns are.
        rows: names and numbers, None where there is none.
    """

    heads: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """A table with its caption; every row has one cell a column.

    Args:
        caption: what is shown.
        columns: headings.
        rows: cells.
        is_wide: whether it takes the whole width.
        source: what it was read from.
        data: all rows as CSV where these are the first of many; None where the table is whole.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    is_wide: bool = False
    source: Source | None = None
    data: Data | None = None


@dataclass(frozen=True)
class Note:
    """A sentence: something to know, or why a section is empty.

    Args:
        text: the sentence.
        tone: `warn` when something is wrong, `good` when all is well, or empty.
        source: what it was read from.
    """

    kind: ClassVar[str] = "note"
    text: str
    tone: str = ""
    source: Source | None = None


@dataclass(frozen=True)
class Listing:
    """Sentences under a heading, such as what changed since yesterday."""

    kind: ClassVar[str] = "listing"
    title: str
    items: Sequence[str]
    source: Source | None = None


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


def linked(sentence: str, *leads: Lead) -> Linked:
    """A sentence with the words in it that lead somewhere, in the order in which they stand."""
    made = Linked(sentence)
    made.leads = leads
    return made


def text(value: str) -> Cell:
    """A cell of words."""
    return Cell(value)


def link(value: str, kind: str, name: str | None = None) -> Cell:
    """A cell of words that leads to the page of what it names."""
    return Cell(value, about=Subject(kind, value if name is None else name))


def name(value: str | None) -> Cell:
    """A cell of a name that a vendor gave, as long as a table can bear; missing when there is none."""
    return Cell(texts.shortened(value) if value else numbers.MISSING)


def number(value: str, tone: str = "") -> Cell:
    """A cell of a number, already written."""
    return Cell(value, True, tone)


def tone_of(value: float | None) -> str:
    """`up` above zero, `down` below, empty at zero or when missing."""
    if value is None or value == 0 or value != value:
        return ""
    return "up" if value > 0 else "down"
