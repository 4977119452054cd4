"""Is what a page says still what the lake says?

Two pages are read back and compared name by name: one as it was received, one built anew from the snapshot it names.
Whatever differs is named; what belongs to no figure, such as the style, is named by its section. Partner: `figures.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

from reports.figures import csv_rows, slug

VOID_TAGS = {"meta", "link", "br", "img", "input", "hr"}
DATA = "/data"
VERSION_NAME = "trace/code-version"
_CSV_LINK = re.compile(r" href=(data:text/csv.*?)(?: download=.*)?>")


@dataclass(frozen=True)
class Difference:
    """One figure that is not what the lake says.

    Args:
        name: of the figure, or of the section whose text differs.
        found: what the page says.
        expected: what the lake says, empty when it has no such figure.
    """

    name: str
    found: str
    expected: str


@dataclass(frozen=True)
class Page:
    """A page read back.

    Args:
        pieces: what stands under each name, as texts and tags in order.
        listed: the page's own list of exact values.
        trace: where the page says it comes from.
    """

    pieces: dict[str, tuple[str, ...]]
    listed: dict[str, str]
    trace: dict[str, str | int]


class _Reader(HTMLParser):
    """Gives every text and tag to the innermost element that has a name."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: dict[str, list[str]] = {}
        self._open: list[tuple[str, str]] = [("", "page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element opens."""
        held = dict(attrs)
        name = held.get("data-figure") or (f"{held['id']}/text" if tag == "section" and held.get("id") else "")
        if tag in ("style", "script", "head"):
            name = "page/" + (held.get("id") or tag)
        if tag not in VOID_TAGS:
            self._open.append((tag, name or self._open[-1][1]))
        self._add("<" + tag + "".join(f" {key}={value}" for key, value in attrs) + ">", name or self._open[-1][1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content."""
        self._add("<" + tag + "".join(f" {key}={value}" for key, value in attrs) + "/>", self._open[-1][1])

    def handle_endtag(self, tag: str) -> None:
        """An element closes."""
        while len(self._open) > 1:
            opened, _ = self._open.pop()
            if opened == tag:
                return

    def handle_data(self, data: str) -> None:
        """Text between elements."""
        self._add(data, self._open[-1][1])

    def handle_comment(self, data: str) -> None:
        """A comment."""
        self._add(f"<!--{data}-->", self._open[-1][1])

    def _add(self, piece: str, name: str) -> None:
        if piece.strip():
            self.pieces.setdefault(name, []).append(piece)


def read_page(text: str) -> Page:
    """A page's names, list and trace.

    Raises:
        ValueError: the text is not a page of a day, or its list is damaged.
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    pieces = {name: tuple(held) for name, held in reader.pieces.items()}
    own = "".join(piece for piece in pieces.pop("page/figures", ()) if not piece.startswith("<script"))
    if not own:
        raise ValueError("it has no list of figures: it is no page of a day, or was made before pages had one")
    try:
        held = json.loads(own)
        return Page(pieces, dict(held["figures"]), dict(held["trace"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise ValueError(f"its list of figures is damaged: {exc}") from None


def compare(found: Page, expected: Page) -> list[Difference]:
    """What a page says differently from the page built anew, in the order of the page.

    Args:
        found: the page as it was received.
        expected: the page built from the lake. When another version of Daybook built the page received, only figures
            that both know are compared: the words around them may have changed between versions.
    """
    is_same_version = _version(found) in ("", _version(expected))
    differences: list[Difference] = []
    for name in dict.fromkeys([*found.pieces, *expected.pieces]):
        here, there = found.pieces.get(name), expected.pieces.get(name)
        if not is_same_version:
            if not (here and there and name in expected.listed) or name == VERSION_NAME:
                continue
            here, there = _texts(here), _texts(there)
        if here == there:
            continue
        differences += _differences(name, here or (), there or ())
    for name in dict.fromkeys([*found.listed, *expected.listed]):
        listed, computed = found.listed.get(name), expected.listed.get(name)
        if listed != computed and (is_same_version or (listed and computed and name != VERSION_NAME)):
            differences.append(Difference(f"{name} (in the page's list)", listed or "", computed or ""))
    differences += [
        Difference(f"trace/{key} (in the page's list)", str(value), str(expected.trace.get(key, "")))
        for key, value in found.trace.items()
        if value != expected.trace.get(key) and (is_same_version or key != "code_version")
    ]
    return differences


def _version(page: Page) -> str:
    """The version that built a page; empty where its list, its trace and its words disagree."""
    said = {str(page.trace.get("code_version")), page.listed.get(VERSION_NAME, "")}
    said.add("".join(_texts(page.pieces.get(VERSION_NAME, ()))))
    return said.pop() if len(said) == 1 else ""


def _texts(pieces: Sequence[str]) -> tuple[str, ...]:
    return tuple(piece for piece in pieces if not piece.startswith("<"))


def _differences(name: str, here: Sequence[str], there: Sequence[str]) -> Iterator[Difference]:
    links = _csv_link_of(here), _csv_link_of(there)
    if all(links) and (rows := list(_row_differences(name.removesuffix(DATA), *map(csv_rows, links)))):
        yield from rows
        return
    at = next((at for at, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(here), len(there)) if at is None else at
    yield Difference(name, _piece(here, at), _piece(there, at))


def _csv_link_of(pieces: Sequence[str]) -> str:
    found = _CSV_LINK.search(pieces[0]) if pieces else None
    return found[1] if found else ""


def _row_differences(name: str, here: list[list[str]], there: list[list[str]]) -> Iterator[Difference]:
    heads = there[0] if there else []
    for at in range(max(len(here), len(there))):
        left, right = (rows[at] if at < len(rows) else [] for rows in (here, there))
        for column in range(max(len(left), len(right))):
            found, expected = (row[column] if column < len(row) else "" for row in (left, right))
            if found != expected:
                head = heads[column] if column < len(heads) else str(column)
                row = right[0] if right else str(at)
                yield Difference(f"{name}{DATA}/{slug(row)}/{slug(head)}", found, expected)


def _piece(pieces: Sequence[str], at: int) -> str:
    return pieces[at] if at < len(pieces) else ""
