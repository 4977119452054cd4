"""What came, when, and how long after it was due: the sessions of the market, and the releases of macro series.

A desk sees when it received something, not when the vendor had it: so how late a session came is told beside what is
usual for this desk, and is missing, with the reason, where nobody was asking at the time. Invariant: nothing that came
after the day is known on its page. Partners: `quality.py`; `analyst.arrival`, `warehouse/sql/macro_overdue.sql`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from reports import blocks, numbers, reading, texts
from reports.blocks import Block, Note, Table
from reports.tracing import Reader
from warehouse import sql

USUAL_SESSIONS, FEWEST_SESSIONS = 20, 5
# A run that begins later than on other evenings is no delay of the vendor's.
TOLERATED_HOURS = 2.0
MACRO = "macro.observation"
BY_SESSION = ("market.daily", "market.adj_factor", "market.daily_basic", "market.suspend_d")
MOST_OVERDUE = 12

Row = dict[str, Any]


@dataclass(frozen=True)
class Arrival:
    """When the newest session of a dataset came, as the day knew it.

    Args:
        session: the session; None when none has come.
        at: instant at which the first of its rows was received.
        hours: after it was due; None when that cannot be told.
        n_sessions: sessions that had begun since when it came.
        usual: the median of `hours` over up to 20 sessions before; None when fewer than five are known.
        reason: why `hours` is missing, empty when it is not.
    """

    session: date | None
    at: datetime | None
    hours: float | None
    n_sessions: int
    usual: float | None
    reason: str

    @property
    def is_late(self) -> bool:
        """Whether it came on a later session's day, or hours later than usual."""
        if self.hours is None:
            return False
        return self.n_sessions > 0 or (self.usual is not None and self.hours > self.usual + TOLERATED_HOURS)

    @property
    def after_due(self) -> numbers.Written:
        """How long after it was due, in sessions where it took one or more, else in hours; missing when unknown."""
        if self.hours is None:
            return numbers.written(numbers.MISSING, None)
        if self.n_sessions:
            return numbers.written(f"{self.n_sessions} {texts.plural(self.n_sessions, 'session')}", self.n_sessions)
        return in_hours(self.hours)


def in_hours(value: float | None) -> numbers.Written:
    """Hours with one decimal; missing when there are none."""
    return numbers.written(f"{numbers.decimal(value, 1)} h", value) if value is not None else numbers.decimal(None)


def read(lake: Reader, as_of: date) -> dict[str, Arrival]:
    """When the newest session of each dataset pulled by session came.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select a.dataset, a.session_date, a.arrived_at, a.hours_after_due, a.unknown_because,"
        " (select count(*) from market.trade_cal as c where c.exchange = 'SSE' and c.is_open"
        " and c.cal_date > a.session_date and c.cal_date <= a.arrived_date) as n_sessions"
        " from analyst.arrival as a where a.session_date between $start and $as_of and a.arrived_date <= $as_of"
        " order by a.dataset, a.session_date desc",
        start=as_of - reading.days_around(USUAL_SESSIONS + 1),
        as_of=as_of,
    ).to_pylist()
    return {name: _newest([row for row in rows if row["dataset"] == name]) for name in BY_SESSION}


def _newest(rows: Sequence[Row]) -> Arrival:
    if not rows:
        return Arrival(None, None, None, 0, None, "no rows of late")
    row, *before = rows
    known = [one["hours_after_due"] for one in before[:USUAL_SESSIONS] if one["hours_after_due"] is not None]
    usual = statistics.median(known) if len(known) >= FEWEST_SESSIONS else None
    return Arrival(
        row["session_date"], row["arrived_at"], row["hours_after_due"], row["n_sessions"], usual, row["unknown_because"]
    )


def read_macro(lake: Reader, as_of: date) -> datetime | None:
    """The instant at which the newest macro value was received, None when there is none.

    Raises:
        LakeError: the lake cannot be read.
    """
    found: datetime | None = lake.read_value(
        "select max(retrieved_at) from macro.observation where realtime_start <= $as_of and retrieved_at < $end",
        as_of=as_of,
        end=reading.end_of(as_of),
    )
    return found


def sentence(arrivals: Mapping[str, Arrival]) -> str:
    """What came late, in one sentence."""
    late = [f"{name} of {one.session} came {_told(one)}" for name, one in arrivals.items() if one.is_late]
    if late:
        return f"Late: {'; '.join(late)}."
    known = [one for one in arrivals.values() if one.hours is not None]
    if any(one.usual is not None for one in known):
        return "The newest session came no later than usual."
    if known:
        return "The newest session came on its day; what is usual is not known yet."
    reasons = [one.reason for one in arrivals.values() if one.session and one.reason]
    return f"How late the newest session came is not known ({reasons[0]})." if reasons else ""


def _told(one: Arrival) -> str:
    usual = f", where {in_hours(one.usual)} is usual" if one.usual is not None else ""
    return f"{one.after_due} after it was due{usual}"


def freshness_table(rows: Sequence[Row], arrivals: Mapping[str, Arrival], macro_at: datetime | None) -> Table:
    """What is known of each dataset, to which day, and when the newest came.

    Args:
        rows: dataset, newest_date, n_partitions, n_not_ok.
        arrivals: as `read` gives them.
        macro_at: as `read_macro` gives it.
    """
    cells = []
    for row in rows:
        arrival = arrivals.get(row["dataset"])
        came, after_due, usual, reason = numbers.MISSING, numbers.decimal(None), numbers.decimal(None), ""
        if arrival is not None:
            came = _clock(arrival.at, reading.SHANGHAI)
            after_due, usual, reason = arrival.after_due, in_hours(arrival.usual), arrival.reason
            if not reason and arrival.usual is None:
                reason = "too few sessions known"
        elif row["dataset"] == MACRO:
            came, reason = _clock(macro_at, reading.US_CENTRAL, " in Chicago"), "by series, below"
        cells.append(
            (
                blocks.text(row["dataset"]),
                blocks.number(numbers.day(row["newest_date"])),
                blocks.number(came),
                blocks.number(after_due),
                blocks.number(usual),
                blocks.number(numbers.count(row["n_partitions"])),
                blocks.number(numbers.count(row["n_not_ok"])),
                blocks.text(reason),
            )
        )
    heads = ("Dataset", "Known to", "Newest came", "After due", "Usual", "Partitions", "Not whole", "Not known because")
    return Table(
        "Freshness (Shanghai's time; a session is due at 17:00, other data at no hour; came: first received here)",
        heads,
        cells,
        is_wide=True,
    )


def _clock(instant: datetime | None, zone: Any, words: str = "") -> str:
    if instant is None:
        return numbers.MISSING
    local = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M}{words}"


def read_overdue(lake: Reader, as_of: date) -> list[Row]:
    """Macro series whose next period should have been published by the day and was not, the longest overdue first.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(sql.load("macro_overdue"), as_of=as_of).to_pylist()


def overdue_block(rows: Sequence[Row], *, has_macro: bool) -> Block | None:
    """Those series with what is usual for them; None where no series is followed."""
    if not has_macro:
        return None
    if not rows:
        return Note("No macro release is overdue: none is later than its series has been before.", "good")
    cells = [
        (
            blocks.text(row["series_id"]),
            blocks.name(row["title"]),
            blocks.number(numbers.day(row["newest_date"])),
            blocks.number(numbers.day(row["next_date"])),
            blocks.number(numbers.day(row["due_date"])),
            blocks.number(numbers.count(row["days_overdue"])),
            blocks.number(numbers.count(row["usual_lag_days"])),
            blocks.text(f"last {row['n_measured']} releases" if row["n_measured"] else "declared, too few seen"),
        )
        for row in rows[:MOST_OVERDUE]
    ]
    more = f", the longest {MOST_OVERDUE} of {numbers.count(len(rows))}" if len(rows) > MOST_OVERDUE else ""
    heads = ("Series", "What", "Newest period", "Next period", "Due", "Days overdue", "Usual lag, days", "Lag from")
    return Table(f"Overdue macro releases{more}", heads, cells, is_wide=True)
