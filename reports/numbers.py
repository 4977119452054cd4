"""How a number is written, so that it is written the same way everywhere.

A missing value is an en dash; a share of one is written in percent with its sign when it is a change. What is written
carries the number it stands for, so that the page can tell it to programs and have it checked.
"""

from __future__ import annotations

import math
from datetime import date

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
Value = float | int | None
# Sums differ in their last bits with the order of their terms; beyond twelve digits there is no figure, only noise.
EXACT_DIGITS = 12


class Written(str):
    """A number as a reader sees it; `exact` is the number itself, empty when it is missing."""

    exact: str


def written(text: str, value: Value | date) -> Written:
    """A text that carries the number it stands for."""
    made = Written(text)
    made.exact = exact(value)
    return made


def exact(value: Value | date) -> str:
    """A number to twelve significant digits and a date as ISO writes it; empty when it is missing."""
    if value is None or is_missing(value):
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, int) else f"{value:.{EXACT_DIGITS}g}"


def is_missing(value: object) -> bool:
    """Whether there is nothing to write: None or NaN."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def change(value: Value, decimals: int = 2) -> Written:
    """A fraction as a signed percentage, such as +1.25 %."""
    if value is None or is_missing(value):
        return written(MISSING, None)
    return written(_minus(f"{value * 100:+.{decimals}f}") + " %", value)


def share(value: Value, decimals: int = 1) -> Written:
    """A fraction as a percentage, such as 98.6 %."""
    if value is None or is_missing(value):
        return written(MISSING, None)
    return written(_minus(f"{value * 100:.{decimals}f}") + " %", value)


def decimal(value: Value, decimals: int = 2, *, signed: bool = False) -> Written:
    """A number with thousands separators and fixed decimals."""
    if value is None or is_missing(value):
        return written(MISSING, None)
    return written(_minus(f"{value:{'+' if signed else ''},.{decimals}f}"), value)


def count(value: Value) -> Written:
    """A whole number with thousands separators."""
    if value is None or is_missing(value):
        return written(MISSING, None)
    return written(f"{int(value):,}", int(value))


def amount_cny(value: Value) -> Written:
    """An amount of CNY in billions or millions, such as 812.4 bn CNY."""
    if value is None or is_missing(value):
        return written(MISSING, None)
    text = f"{value / 1e9:,.1f} bn CNY" if abs(value) >= 1e9 else f"{value / 1e6:,.1f} m CNY"
    return written(text, value)


def level(value: Value, *, signed: bool = False) -> Written:
    """A published value of any size with six significant digits at most."""
    if value is None or is_missing(value):
        return written(MISSING, None)
    sign = "+" if signed else ""
    return written(_minus(f"{value:{sign},.6g}" if abs(value) < 1e6 else f"{value:{sign},.0f}"), value)


def estimate(value: Value, std_error: Value, *, signed: bool = False) -> Written:
    """What is known no better than its standard error, with the decimals that give the error two significant digits.

    More digits would be noise: a forecast of 6.65656 give or take 0.062 is 6.657. As `level` without an error.

    Source:
        JCGM 100:2008, Guide to the expression of uncertainty in measurement, 7.2.6.
    """
    if std_error is None or is_missing(std_error) or not std_error > 0:
        return level(value, signed=signed)
    decimals = 1 - math.floor(math.log10(std_error))
    return decimal(value, min(max(decimals, 0), EXACT_DIGITS), signed=signed)


def loading(value: Value) -> Written:
    """A weight in a factor of unit length, whose sign matters; of hundreds of securities each has a few hundredths."""
    return decimal(value, 3, signed=True)


def day(value: date | None) -> Written:
    """A date as ISO writes it."""
    return written(MISSING if value is None else value.isoformat(), value)


def _minus(text: str) -> str:
    # What rounds to zero has no sign: -0.00 % says nothing that 0.00 % does not.
    return text.replace("-", MINUS) if any(digit in text for digit in "123456789") else text.lstrip("+-")
