"""What time is it, and what day is that for each market?

The only place that reads a clock. A run reads it once and hands the instant down. A simulator has a clock of its own,
read over HTTP, so that a rehearsal of last week believes it is last week.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from warehouse import errors

SHANGHAI = ZoneInfo("Asia/Shanghai")
# FRED counts its real-time periods in US Central days (fred.stlouisfed.org/docs/api/fred/realtime_period.html).
FRED_ZONE = ZoneInfo("America/Chicago")
NEW_YORK = ZoneInfo("America/New_York")
# Tushare has bars from about 16:00 and the basics by about 17:00 (doc 27, doc 32).
MARKET_PUBLISHED = time(17, 0)


def read_now(clock_url: str = "") -> datetime:
    """The instant, in UTC.

    Args:
        clock_url: address that answers `{"now": "<ISO instant>"}`; empty for this machine's clock.

    Raises:
        ConfigError: the address does not answer, or not with an instant.
    """
    if not clock_url:
        return datetime.now(UTC)
    if not clock_url.startswith(("http://", "https://")):
        raise errors.ConfigError(f"the clock {clock_url!r} is not an http address. Unset DAYBOOK__CLOCK_URL.")
    try:
        with urllib.request.urlopen(clock_url, timeout=10) as reply:
            return datetime.fromisoformat(json.load(reply)["now"]).astimezone(UTC)
    except (urllib.error.URLError, TimeoutError, ValueError, KeyError, TypeError) as exc:
        raise errors.ConfigError(
            f"the clock at {clock_url} cannot be read ({type(exc).__name__}). "
            "Start `daybook simulate`, or unset DAYBOOK__CLOCK_URL to use this machine's."
        ) from exc


def fred_date(now: datetime) -> date:
    """The day it is for FRED."""
    return now.astimezone(FRED_ZONE).date()


def market_date(now: datetime) -> date:
    """The newest day whose market data the vendor has published: today in Shanghai after 17:00, else yesterday."""
    local = now.astimezone(SHANGHAI)
    return local.date() if local.time() >= MARKET_PUBLISHED else local.date() - timedelta(days=1)


def known_date(now: datetime) -> date:
    """The newest day a run can be for: the Shanghai day, whatever the vendor has published of it."""
    return now.astimezone(SHANGHAI).date()


def after_close(day: date) -> datetime:
    """The instant of 18:00 in Shanghai on a day: when the evening run of that day starts."""
    return datetime.combine(day, time(18, 0), SHANGHAI).astimezone(UTC)


def newest_at(now: datetime, time_of_day: str) -> datetime:
    """The newest instant, `now` included, at which it was a time of day in Shanghai.

    Args:
        now: the instant.
        time_of_day: such as `17:30`.
    """
    local = now.astimezone(SHANGHAI)
    today = datetime.combine(local.date(), time.fromisoformat(time_of_day), SHANGHAI)
    return (today if today <= local else today - timedelta(days=1)).astimezone(UTC)


def is_within(now: datetime, hours: str) -> bool:
    """Whether it is between two times of a day in Shanghai, the first included; they may lie on both sides of midnight.

    Args:
        now: the instant.
        hours: such as `22:00-07:30`; empty for never.
    """
    if not hours:
        return False
    first, last = (time.fromisoformat(one) for one in hours.split("-"))
    local = now.astimezone(SHANGHAI).time()
    return first <= local < last if first <= last else local >= first or local < last
