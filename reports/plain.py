"""How does a day read as plain text, in a mail program that shows no more, or in a terminal?

Columns stand below each other where a line can hold them; a wider table has a paragraph a row. Chinese signs take two
columns, as terminals give them. Partner: `digest.py`.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from reports import digest, texts
from reports.blocks import Cell, Listing, Note, Table, Tiles
from reports.digest import Digest, Shown

# What mail programs and terminals show without breaking lines themselves: RFC 5322 advises 78.
WIDTH = 78


def lines(section: Digest) -> list[str]:
    """A section as lines; none where it shows nothing.

    Args:
        section: as the mail has it.
    """
    parts = [part for one in section.shown if (part := list(_block_lines(one)))]
    elsewhere = digest.names(section.elsewhere)
    if elsewhere:
        parts.append(wrapped(f"On the page: {elsewhere}."))
    if not parts:
        return []
    title = wrapped(section.title)
    return [*title, "=" * max(map(columns, title)), *(line for part in parts for line in ("", *part))]


def columns(text: str) -> int:
    """How many columns a text takes."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def _block_lines(shown: Shown) -> Iterator[str]:
    block = shown.block
    if isinstance(block, Note):
        yield from wrapped(block.text)
    elif isinstance(block, Listing):
        yield from wrapped(block.title)
        for item in block.items:
            yield from wrapped(item, "- ")
    elif isinstance(block, Tiles):
        drawn = _grid([[tile.label, tile.value, tile.note] for tile in block.tiles], [False, True, False])
        yield from (line for row in drawn for line in wrapped(row))
    elif isinstance(block, Table):
        yield from wrapped(block.caption)
        yield from _table_lines(block)
    else:
        yield from wrapped(f"{block.title}. {block.caption}")
        yield from wrapped(digest.newest(block.chart))
    yield from wrapped(shown.more_words())


def _table_lines(table: Table) -> Iterator[str]:
    if not table.rows:
        yield "None."
        return
    rows = [[cell.text for cell in row] for row in table.rows]
    is_number = [cell.is_number for cell in table.rows[0]]
    drawn = _grid([list(table.columns), *rows], is_number)
    if max(map(columns, drawn)) <= WIDTH:
        yield from drawn
    else:
        yield from (line for row in table.rows for line in wrapped(_sentence(table.columns, row), "- "))


def _sentence(heads: Sequence[str], row: Sequence[Cell]) -> str:
    """A row that no line can hold: names as they are, numbers with what they are."""
    return "; ".join(
        f"{head} {cell.text}" if head and cell.is_number else cell.text
        for head, cell in zip(heads, row, strict=True)
        if cell.text
    )


def _grid(rows: Sequence[Sequence[str]], is_number: Sequence[bool]) -> list[str]:
    rows = [[_on_one_line(text) for text in row] for row in rows]
    widths = [max(columns(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    drawn = []
    for row in rows:
        cells = []
        for text, width, is_right in zip(row, widths, is_number, strict=True):
            room = " " * (width - columns(text))
            cells.append(room + text if is_right else text + room)
        drawn.append("  ".join(cells).rstrip())
    return drawn


def _on_one_line(text: str) -> str:
    return texts.readable(" ".join(text.split()))


def wrapped(text: str, mark: str = "") -> list[str]:
    """A text in lines of WIDTH columns, what follows the first below its words.

    Args:
        text: the text.
        mark: what stands before it.
    """
    text = _on_one_line(text)
    if columns(text) + len(mark) <= WIDTH:
        return [mark + text] if text else []
    # The standard library counts signs, not columns.
    width = max(WIDTH // 2, WIDTH * len(text) // columns(text))
    return textwrap.wrap(text, width, initial_indent=mark, subsequent_indent=" " * len(mark), break_on_hyphens=False)
