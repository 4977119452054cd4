"""What stands in the documents to be done by hand: files, changes of files, and commands.

A listing follows a paragraph whose last file in backquotes is its own; a change shows its place by lines that are
there already. Partner: `tests/test_guides.py`.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PARAGRAPH = r"((?:^[^\n`]*(?:`[^`\n]+`[^\n`]*)*\n)+)"
LISTING = re.compile(PARAGRAPH + r"\n```(diff|python|toml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`([\w./-]+\.(?:py|sql|csv|toml))`")
INLINE = re.compile(r"(?<!`)`((?:\.venv/bin/)?daybook(?: [^`]+)?)`(?!`)")
SCHEMA_VERSION = re.compile(r"^SCHEMA_VERSION = (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Listing:
    """A file that a document shows whole, or a change of one."""

    path: str
    kind: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command line of a document's `console` or `sh` block, continued lines joined and the comment left out."""

    document: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words a shell would see."""
        return shlex.split(self.text)


def listings(text: str) -> list[Listing]:
    """Every listing of a document, in its order."""
    return [Listing(FILE.findall(before)[-1], kind, held) for before, kind, held in LISTING.findall(text)]


def commands(path: Path) -> list[Command]:
    """Every command of a document, in its order; a line that only sets variables is one too."""
    found = []
    for kind, block in FENCE.findall(path.read_text(encoding="utf-8")):
        if kind not in ("console", "sh"):
            continue
        waiting = ""
        for line in block.splitlines():
            waiting = f"{waiting}\n{line}" if waiting else line
            if waiting.endswith("\\"):
                waiting = waiting[:-1].rstrip()
                continue
            try:
                words = shlex.split(waiting, comments=True)
            except ValueError:
                continue
            if words:
                found.append(Command(path.name, _without_comment(waiting, words)))
            waiting = ""
        if waiting:
            raise ValueError(f"{path.name}: a quote or a line is not closed: {waiting!r}")
    return found


def mentions(path: Path) -> list[Command]:
    """Every `daybook ...` in a document's running text and tables."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return [Command(path.name, found) for found in INLINE.findall(text)]


def _without_comment(line: str, words: list[str]) -> str:
    """The line up to the comment that follows its words, if one does."""
    for found in re.finditer(r"\s#", line):
        with contextlib.suppress(ValueError):
            if shlex.split(line[: found.start()]) == words:
                return line[: found.start()].rstrip()
    return line


def apply(listing: Listing, tree: Path) -> None:
    """Put a listing into a tree: a whole file is written, a change is made where its other lines stand.

    Raises:
        ValueError: the lines that show the place are not there, or are there twice.
    """
    target = tree / listing.path
    if listing.kind != "diff":
        target.write_text(listing.text, encoding="utf-8")
        return
    text = target.read_text(encoding="utf-8")
    for hunk in re.split(r"^@@\n", listing.text, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
        after = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
        if text.count(f"\n{before}") != 1:
            raise ValueError(f"{listing.path}: found {text.count(before)} times, not once:\n{before}")
        text = text.replace(f"\n{before}", f"\n{after}")
    target.write_text(text, encoding="utf-8")


def renumbered(text: str, tree: Path) -> str:
    """A document's changes, with the schema version that the tree has in place of the one of the day it was written."""
    stands = SCHEMA_VERSION.search((tree / "warehouse" / "tables" / "__init__.py").read_text(encoding="utf-8"))
    before = re.search(r"^-SCHEMA_VERSION = (\d+)$", text, re.MULTILINE)
    if stands is None or before is None:
        raise ValueError("no schema version is changed")
    old, new = int(before[1]), int(stands[1])
    for position in (1, 0):
        written = rf"^([+-]SCHEMA_VERSION = |\+    ){old + position}(?=$|: )"
        text = re.sub(written, rf"\g<1>{new + position}", text, flags=re.MULTILINE)
    return text
