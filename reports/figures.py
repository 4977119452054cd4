"""Which figures does a page show, under which names, and how does a reader take a chart's numbers along?

A figure's name is its address on the page: section, block, row and column, such as
`market/best-of-the-day/600001.SH/1-session`. The page carries the names as attributes and once more as a list.
Partners: `template.html`, `proof.py`.
"""

from __future__ import annotations

import csv
import functools
import io
import re
import urllib.parse

from reports import numbers, texts
from reports.blocks import Data
from reports.charts import Chart

_NO_NAME = re.compile(r"[^\w.+-]+")
CSV_PREFIX = "data:text/csv;charset=utf-8,"
# A chart's numbers are for drawing it again: eight digits are finer than any screen.
CSV_DIGITS = 8
# A site of thousands of pages asks for the same words and dates on each of them.
MOST_KEPT = 8192
# `urllib.parse.quote` looks at one byte after the other; nearly all of a chart's numbers need one sign changed.
_QUOTED = str.maketrans({sign: urllib.parse.quote(chr(sign), safe=" ,:+/()-") for sign in range(128)})


@functools.lru_cache(MOST_KEPT)
def slug(text: str) -> str:
    """A text as a part of a name: letters, digits, dots, signs and hyphens only.

    >>> slug("20 sessions"), slug("600001.SH"), slug("../../etc")
    ('20-sessions', '600001.SH', 'etc')
    """
    return _NO_NAME.sub("-", text).strip("-.") or "none"


@functools.lru_cache(MOST_KEPT)
def key(title: str) -> str:
    """What a block's title says before its details, as the block's name.

    >>> key("Best forecasts by ridge, made after 2026-11-20")
    'best forecasts by ridge'
    """
    return re.split(r"[,:(]", title)[0].strip().lower()


class Namer:
    """Names of a page, each given once: a second figure of the same address is numbered."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}
        self.values: dict[str, str] = {}

    def __call__(self, *parts: object, shown: str = "") -> str:
        """A name of its own, kept with the exact value of what is shown.

        Args:
            parts: section, block, row, column.
            shown: what the reader sees; a `Written` number is kept exactly.
        """
        name = "/".join(slug(str(part)) for part in parts)
        count = self._given[name] = self._given.get(name, 0) + 1
        name = name if count == 1 else f"{name}~{count}"
        self.values[name] = value_of(shown)
        return name


def value_of(shown: str) -> str:
    """The exact value behind what is shown; the text itself where it is no number."""
    return shown.exact if isinstance(shown, numbers.Written) else str(shown)


def exact_of(shown: str) -> str:
    """The exact value behind what is shown, empty where it is no number of its own."""
    return shown.exact if isinstance(shown, numbers.Written) else ""


def csv_link(chart: Chart | Data) -> str:
    """A chart's numbers, or all rows of a table, as an address that is the file: it needs no server and no script."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(chart.heads)
    for row in chart.rows:
        writer.writerow([_csv_value(value) for value in row])
    text = stream.getvalue()
    quoted = text.translate(_QUOTED) if text.isascii() else urllib.parse.quote(text, safe=" ,:+/()-")
    return CSV_PREFIX + quoted


@functools.lru_cache(MOST_KEPT)
def _csv_text(value: str) -> str:
    value = texts.readable(value)
    # A spreadsheet would run what begins like a formula.
    return "'" + value if value[:1] in ("=", "+", "-", "@", "\t") else value


def _csv_value(value: str | float | None) -> str:
    if isinstance(value, str):
        return _csv_text(value)
    if isinstance(value, int):
        return str(value)
    return "" if value is None else f"{value:.{CSV_DIGITS}g}"


def csv_rows(link: str) -> list[list[str]]:
    """The rows of such an address, heads first.

    Raises:
        ValueError: it is no such address.
    """
    if not link.startswith(CSV_PREFIX):
        raise ValueError(f"the address {link[:40]!r} holds no CSV. Give one that `csv_link` made.")
    return list(csv.reader(io.StringIO(urllib.parse.unquote(link.removeprefix(CSV_PREFIX)))))
