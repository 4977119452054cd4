"""What do the pages about one thing each have in common: a title, sections, and a line in their kind's list?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from reports import blocks, numbers
from reports.blocks import Cell, Section
from reports.tracing import Reader


@dataclass(frozen=True)
class Entry:
    """A line of a kind's list.

    Args:
        name: of the subject.
        title: what the line shows and leads with.
        words: what stands beside it, one a column.
        is_settled: whether its page can no longer change, so that an evening need not write it again.
    """

    name: str
    title: str
    words: tuple[str, ...]
    is_settled: bool = False


@dataclass(frozen=True)
class SubjectPage:
    """What the page of one thing shows."""

    name: str
    title: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class Kind:
    """A kind of thing that has pages.

    Args:
        name: as in `blocks.Subject`.
        title: of its list.
        columns: headings of the words in its list.
        read_entries: which there are on a day.
        build: the pages of those named, in their order; what is not there on the day is left out.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    read_entries: Callable[[Reader, date], list[Entry]]
    build: Callable[[Reader, Sequence[str], date], Iterator[SubjectPage]]


def cell_of(value: object) -> Cell:
    """A value of any type as a table shows it."""
    if value is None:
        return blocks.number(numbers.level(None))
    if isinstance(value, bool):
        return blocks.text("yes" if value else "no")
    if isinstance(value, int):
        return blocks.number(numbers.count(value))
    if isinstance(value, float):
        return blocks.number(numbers.level(value))
    if isinstance(value, date):
        return blocks.number(numbers.day(value))
    return blocks.name(str(value))
