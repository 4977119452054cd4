"""How is a text shown that others wrote? As text: it is never obeyed, and cannot turn the page around it.

Markup is escaped where a text enters the page; here goes what escaping leaves: signs that reverse the reading
direction of what follows, that break a line or that no page may hold. Words that are counted get their number here,
too. Partners: `site.py`, `charts.py`.
"""

from __future__ import annotations

import re

# Control characters, the bidirectional controls of UAX 9, invisible breaks, and halves of characters, which no file in
# UTF-8 can hold.
_UNSHOWN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff\\ud800-\\udfff]"
)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Longer than any listed security's name in Chinese or English; the lake has the rest.
LONGEST_NAME = 48


def readable(text: str) -> str:
    """A text in which what cannot be shown is replaced by a sign that says so."""
    return _UNSHOWN.sub(REPLACEMENT, text) if _UNSHOWN.search(text) else text


def is_chinese(text: str) -> bool:
    """Whether a text is in Chinese: a page in English has to say so, or it is read out as if it were English."""
    return any("\u4e00" <= sign <= "\u9fff" for sign in text) and not any("a" <= sign <= "z" for sign in text)


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """A name that leaves room for the figures beside it."""
    return name if len(name) <= longest else name[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def plural(n: int, word: str) -> str:
    """A word as it stands behind a number of things."""
    return word if n == 1 else f"{word}s"
