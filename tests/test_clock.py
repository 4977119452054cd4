"""One instant, the right day for each market."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from flows import clock
from warehouse import errors


@pytest.mark.parametrize(
    ("instant", "published", "known", "fred"),
    [
        # 16:59 in Shanghai: today's bars are not complete; in Chicago it is 02:59 of the same day.
        ("2026-11-20T08:59:00", date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 20)),
        # 17:00 in Shanghai.
        ("2026-11-20T09:00:00", date(2026, 11, 20), date(2026, 11, 20), date(2026, 11, 20)),
        # 00:30 in Shanghai on the 21st; still the 20th in Chicago.
        ("2026-11-20T16:30:00", date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 20)),
        # 23:59 of the 20th in Chicago daylight time would be 04:59 UTC; in winter it is 05:59.
        ("2026-11-21T05:59:00", date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 20)),
        ("2026-07-21T05:00:00", date(2026, 7, 20), date(2026, 7, 21), date(2026, 7, 21)),
    ],
)
def test_days_follow_each_markets_zone_when_the_instant_is_the_same(instant, published, known, fred):
    now = datetime.fromisoformat(instant).replace(tzinfo=UTC)

    days = (clock.market_date(now), clock.known_date(now), clock.fred_date(now))

    assert days == (published, known, fred)


def test_after_close_is_an_instant_at_which_the_day_is_published():
    day = date(2026, 11, 20)

    assert clock.market_date(clock.after_close(day)) == day


def test_clock_says_what_to_do_when_its_address_does_not_answer():
    with pytest.raises(errors.ConfigError, match=r"cannot be read.*daybook simulate"):
        clock.read_now("http://127.0.0.1:9/clock")


@pytest.mark.parametrize(
    ("hours", "at", "is_in"),
    [
        ("22:00-07:30", "21:59", False),
        ("22:00-07:30", "22:00", True),
        ("22:00-07:30", "00:00", True),
        ("22:00-07:30", "07:30", False),
        ("12:00-13:00", "12:30", True),
        ("12:00-13:00", "13:00", False),
        ("", "03:00", False),
    ],
)
def test_hours_of_the_day_are_shanghais_and_may_cross_midnight(hours, at, is_in):
    now = datetime.fromisoformat(f"2026-11-20T{at}+08:00").astimezone(UTC)

    assert clock.is_within(now, hours) is is_in
