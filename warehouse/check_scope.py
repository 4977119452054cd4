"""Which sessions do the checks have to look at?

The newest ones, and every one whose rows changed since it was looked at: a backfill of years is looked at whole, once,
and the evening after looks at a few days again. Invariant: a session counts as looked at only in the commit that
records what was found there. Partner: `warehouse/checks.py`.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import pyarrow as pa

from warehouse import derive, sql
from warehouse.lake import Lake
from warehouse.tables import ops

# The newest sessions, looked at every evening: what securities and calendar say of them may still change.
WINDOW_SESSIONS = 5
# Each span costs a pass over the tables, so that sessions near each other are looked at together, and far apart ones
# too when they would make more spans than this.
MOST_SPANS = 8
LEAST_GAP = timedelta(days=30)
MOST_GAP = timedelta(days=366)
# A year of the whole market is some 1.3 million bars.
MOST_DAYS_A_PASS = 366
# Old troubles are looked at again in turn, so many an evening: what may end them without touching their session, such
# as a corrected listing, is rare.
MOST_OLD_TROUBLES = 20


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Days from `first` to `last`, both included."""

    first: date
    last: date

    def holds(self, day: date) -> bool:
        """Whether the day is one of them."""
        return self.first <= day <= self.last

    def pieces(self) -> tuple[Span, ...]:
        """The same days in pieces of at most a year, which a check can look at within the lake's memory."""
        firsts = range(self.first.toordinal(), self.last.toordinal() + 1, MOST_DAYS_A_PASS)
        lasts = [min(first + MOST_DAYS_A_PASS - 1, self.last.toordinal()) for first in firsts]
        return tuple(
            Span(date.fromordinal(first), date.fromordinal(last)) for first, last in zip(firsts, lasts, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """What the checks of a run look at.

    Args:
        recent: the newest sessions.
        spans: days every check of sessions looks at, oldest first, disjoint.
        troubles: older days with an open alert and what lies between them, by rule, which that rule looks at again.
        unseen_since: the oldest day that no daily run has looked at to its end, or the first of the newest sessions.
        since: the oldest day on which a row was set aside that nobody has looked at.
        fresh: the sessions that count as looked at once what was found is recorded (trade_date, input_hash).
    """

    recent: Span
    spans: tuple[Span, ...]
    troubles: Mapping[str, tuple[Span, ...]]
    unseen_since: date
    since: date
    fresh: pa.Table

    def of_rule(self, rule: str) -> tuple[Span, ...]:
        """The days that a check of sessions looks at, a pass over the tables each."""
        return tuple(piece for span in (*self.troubles.get(rule, ()), *self.spans) for piece in span.pieces())


def read(lake: Lake, as_of: date, rules: Sequence[str]) -> Scope:
    """What a run's checks have to look at.

    Args:
        lake: the lake.
        as_of: last day looked at.
        rules: the checks of sessions.

    Raises:
        LakeError: the lake cannot be read.
    """
    recent = _recent(lake, as_of)
    fresh = lake.read(sql.load("checks_due"), as_of=as_of)
    changed = [day for day in fresh["trade_date"].to_pylist() if not recent.holds(day)]
    older = gathered(changed)
    following = [day for span in older for day in _following(lake, span, as_of)]
    spans = gathered([*changed, *(day for day in following if not recent.holds(day))], recent)
    since = lake.read_value(
        "select min(coalesce(try_cast(partition as date), rejected_at::date)) from ops.quarantine"
        " where state = 'pending'"
        " and rejected_at >= coalesce((select max(checked_at) from ops.checked_session), '-infinity'::timestamptz)"
    )
    last_run: date | None = lake.read_value(
        "select max(as_of_date) from ops.run"
        " where flow = 'daily' and state in ('ok', 'degraded') and as_of_date < $as_of",
        as_of=as_of,
    )
    return Scope(
        recent,
        spans,
        _troubles(lake, rules, spans),
        min(recent.first, last_run or recent.first),
        min([spans[0].first] if since is None else [spans[0].first, since]),
        # A later session may have its bar before in a changed one, and is not looked at now.
        fresh if _is_newest(lake, as_of) else fresh.slice(0, 0),
    )


def gathered(days: Iterable[date], recent: Span | None = None, gap: timedelta = LEAST_GAP) -> tuple[Span, ...]:
    """Disjoint spans that hold all the days and the newest ones, oldest first; at most `MOST_SPANS` of them.

    Args:
        days: in any order.
        recent: the newest ones.
        gap: days no further apart than this are in one span.
    """
    wanted = sorted({Span(day, day) for day in days} | ({recent} if recent else set()))
    while True:
        spans: list[Span] = []
        for span in wanted:
            if spans and span.first - spans[-1].last <= gap:
                spans[-1] = Span(spans[-1].first, max(spans[-1].last, span.last))
            else:
                spans.append(span)
        if len(spans) <= MOST_SPANS:
            return tuple(spans)
        gap *= 2


def mark_looked_at(connection: duckdb.DuckDBPyConnection, scope: Scope, checked_at: object) -> None:
    """Record that what changed was looked at.

    Args:
        connection: inside the commit that records what was found.
        scope: what was looked at.
        checked_at: the run's instant.
    """
    if scope.fresh.num_rows:
        instants = pa.array([checked_at] * scope.fresh.num_rows, pa.timestamp("us", tz="UTC"))
        derive.write_rows(connection, ops.CHECKED_SESSION, scope.fresh.append_column("checked_at", instants))


def _recent(lake: Lake, as_of: date) -> Span:
    first: date | None = lake.read_value(
        "select min(cal_date) from (select distinct cal_date from market.trade_cal"
        " where exchange = 'SSE' and is_open and cal_date <= $as_of order by cal_date desc limit $n_sessions)",
        as_of=as_of,
        n_sessions=WINDOW_SESSIONS,
    )
    return Span(first or as_of, as_of)


def _following(lake: Lake, span: Span, as_of: date) -> list[date]:
    """The days of each security's first bar after a span: they are compared with the bar before.

    Most are the next session; after a suspension they may be months later.
    """
    rows = lake.read(
        "select distinct next_date from ("
        "select min(trade_date) as next_date from market.daily where trade_date > $last and trade_date <= $as_of"
        " and ts_code in (select ts_code from market.daily where trade_date between $first and $last)"
        " group by ts_code) order by next_date",
        first=span.first,
        last=span.last,
        as_of=as_of,
    )
    return rows["next_date"].to_pylist()


def _troubles(lake: Lake, rules: Sequence[str], spans: Sequence[Span]) -> dict[str, tuple[Span, ...]]:
    """Days of open alerts outside the spans, those looked at longest ago first, by rule."""
    outside = " and ".join(f"subject_date not between date '{s.first}' and date '{s.last}'" for s in spans)
    rows = lake.read(
        "select rule, subject_date from ops.alert where state <> 'resolved' and rule in (select unnest($rules))"
        f" and subject_date < $last and {outside}"
        " group by rule, subject_date order by min(last_seen_date), subject_date, rule limit $most",
        rules=list(rules),
        last=spans[-1].last,
        most=MOST_OLD_TROUBLES,
    ).to_pylist()
    by_rule = itertools.groupby(sorted((row["rule"], row["subject_date"]) for row in rows), key=lambda pair: pair[0])
    return {rule: between([day for _, day in pairs], spans) for rule, pairs in by_rule}


def between(days: Sequence[date], spans: Sequence[Span]) -> tuple[Span, ...]:
    """Spans that hold older days, and no day of the spans that are looked at anyway.

    Checks read a year before the days they judge, so that days of one year cost less together than each alone.
    """
    lasts = [span.last for span in spans]
    found: list[Span] = []
    for _, alike in itertools.groupby(sorted(days), key=lambda day: bisect.bisect_left(lasts, day)):
        found += gathered(alike, gap=MOST_GAP)
    return tuple(found)


def _is_newest(lake: Lake, as_of: date) -> bool:
    later = lake.read_value(
        "select count(*) from ops.ledger where dataset = 'market.daily' and content_hash <> 0 and partition > $as_of",
        as_of=as_of.isoformat(),
    )
    return not later
