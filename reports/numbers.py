"""How a number is written, so that it is written the same way everywhere.

A missing value is an en dash; a share of one is written in percent with its sign when it is a change.
"""

from __future__ import annotations

import math
from datetime import date

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
Value = float | int | None


def is_missing(value: object) -> bool:
    """Whether there is nothing to write: None or NaN."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def change(value: Value, decimals: int = 2) -> str:
    """A fraction as a signed percentage, such as +1.25 %."""
    if value is None or is_missing(value):
        return MISSING
    return _minus(f"{value * 100:+.{decimals}f}") + " %"


def share(value: Value, decimals: int = 1) -> str:
    """A fraction as a percentage, such as 98.6 %."""
    if value is None or is_missing(value):
        return MISSING
    return _minus(f"{value * 100:.{decimals}f}") + " %"


def decimal(value: Value, decimals: int = 2, *, signed: bool = False) -> str:
    """A number with thousands separators and fixed decimals."""
    if value is None or is_missing(value):
        return MISSING
    return _minus(f"{value:{'+' if signed else ''},.{decimals}f}")


def count(value: Value) -> str:
    """A whole number with thousands separators."""
    if value is None or is_missing(value):
        return MISSING
    return f"{int(value):,}"


def amount_cny(value: Value) -> str:
    """An amount of CNY in billions or millions, such as 812.4 bn CNY."""
    if value is None or is_missing(value):
        return MISSING
    return f"{value / 1e9:,.1f} bn CNY" if abs(value) >= 1e9 else f"{value / 1e6:,.1f} m CNY"


def level(value: Value) -> str:
    """A published value of any size with six significant digits at most."""
    if value is None or is_missing(value):
        return MISSING
    return _minus(f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}")


def day(value: date | None) -> str:
    """A date as ISO writes it."""
    return MISSING if value is None else value.isoformat()


def _minus(text: str) -> str:
    # What rounds to zero has no sign: -0.00 % says nothing that 0.00 % does not.
    return text.replace("-", MINUS) if any(digit in text for digit in "123456789") else text.lstrip("+-")
