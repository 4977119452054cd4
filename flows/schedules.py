"""When does each flow run by itself? One table, and a desk's own hours instead of the usual ones.

A schedule is a cron of five fields and the zone it is told in: markets and vendors keep local hours, and two of the
zones change theirs in March and autumn. Partner: `flows/deployments.py`, which hands them to Prefect.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import cronsim

NEVER = "never"
# Any instant does: what fires at all fires within the four years between two leap days, eight around 2100.
SOME_INSTANT = datetime(2096, 3, 1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a flow starts.

    Args:
        cron: minute, hour, day of the month, month, day of the week.
        timezone: the zone whose clock the cron means.
    """

    cron: str
    timezone: str


# The evening run starts after daily_basic is out (about 17:00); FRED's morning releases are at 8:30 to 10:00; nobody
# writes at 3:30, after the morning macro run of New York (22:30 or 23:30 in Shanghai); messages are tried again off the
# full hour, when the others start.
USUAL: dict[str, Schedule] = {
    "daily": Schedule("30 17 * * 1-5", "Asia/Shanghai"),
    "macro": Schedule("30 10 * * 1-5", "America/New_York"),
    "refit": Schedule("0 9 * * 6", "Asia/Shanghai"),
    "maintain": Schedule("30 3 * * *", "Asia/Shanghai"),
    "alerts": Schedule("50 * * * *", "UTC"),
}


def schedules(own: Mapping[str, str]) -> dict[str, Schedule | None]:
    """The schedule of each flow; None for one that never starts by itself.

    Args:
        own: a desk's hours by flow, such as `0 18 * * 1-5 Asia/Shanghai`, or `never`.

    Raises:
        ValueError: no such flow, a cron that is none or never fires, a zone that is unknown.
    """
    unknown = sorted(set(own) - set(USUAL))
    if unknown:
        raise ValueError(f"there is no flow {unknown[0]!r} with a schedule; choose from {', '.join(USUAL)}")
    return {flow: _read(flow, own[flow]) if flow in own else usual for flow, usual in USUAL.items()}


def _read(flow: str, text: str) -> Schedule | None:
    if text.strip() == NEVER:
        return None
    *fields, timezone = text.split() or [""]
    if len(fields) != 5:
        raise ValueError(
            f"{flow}: {text!r} is no schedule; write five fields of a cron and a zone, such as"
            f" '0 18 * * 1-5 Asia/Shanghai', or {NEVER}"
        )
    try:
        zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{flow}: there is no time zone {timezone!r}; write one such as Asia/Shanghai") from None
    cron = " ".join(fields)
    try:
        next(cronsim.CronSim(cron, SOME_INSTANT))
    except cronsim.CronSimError as exc:
        raise ValueError(f"{flow}: the cron {cron!r} is none, or never fires: {exc}") from None
    except StopIteration:
        raise ValueError(f"{flow}: the cron {cron!r} never fires") from None
    return Schedule(cron, timezone)
