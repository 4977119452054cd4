"""A number is written the same way everywhere, and a missing one as a dash."""

from __future__ import annotations

import math
from datetime import date

import pytest

from reports import numbers

WRITTEN = {
    "change": (numbers.change, 0.01254, "+1.25 %"),
    "fall": (numbers.change, -0.07, "\N{MINUS SIGN}7.00 %"),
    "no change": (numbers.change, -0.000001, "0.00 %"),
    "share": (numbers.share, 0.9864, "98.6 %"),
    "decimal": (numbers.decimal, 12345.678, "12,345.68"),
    "count": (numbers.count, 1234, "1,234"),
    "billions": (numbers.amount_cny, 812.44e9, "812.4 bn CNY"),
    "millions": (numbers.amount_cny, 3.2e6, "3.2 m CNY"),
    "level": (numbers.level, 23586.542, "23,586.5"),
    "large level": (numbers.level, 159593000.0, "159,593,000"),
    "loading": (numbers.loading, 0.05678, "+0.057"),
    "day": (numbers.day, date(2026, 11, 20), "2026-11-20"),
}


@pytest.mark.parametrize(("write", "value", "text"), WRITTEN.values(), ids=WRITTEN)
def test_number_is_written_with_its_unit(write, value, text):
    assert write(value) == text


@pytest.mark.parametrize(
    "write", [numbers.change, numbers.share, numbers.decimal, numbers.count, numbers.amount_cny, numbers.level]
)
@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_missing_number_is_a_dash(write, nothing):
    assert write(nothing) == numbers.MISSING


@pytest.mark.parametrize(
    ("value", "std_error", "text"),
    [
        (6.65656, 0.0623, "6.657"),
        (-0.0165643, 0.0623, "\N{MINUS SIGN}0.017"),
        (223438.81, 10432.0, "223,439"),
        (4.1687, 0.12, "4.17"),
        (3.5, None, "3.5"),
        (3.5, 0.0, "3.5"),
        (None, 0.1, numbers.MISSING),
    ],
)
def test_estimate_has_the_decimals_that_its_error_bears(value, std_error, text):
    """GUM 7.2.6: an uncertainty has two significant digits, and the estimate ends where they do."""
    written = numbers.estimate(value, std_error)

    assert written == text
    assert written.exact == numbers.exact(value)
