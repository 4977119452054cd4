"""What Tushare knows that the lake does not yet: fetched, and loaded whole.

Invariants: work is calendar minus ledger, so a nightly run, a backfill and the catch-up after downtime are this same
code; vendors are asked outside the writer's lock; whatever a vendor did wrong ends in a ledger row, never in a gap
nobody knows of. Partners: `ingest_macro.py` for FRED, `warehouse/sources/`, `warehouse/load.py`, `warehouse/ledger.py`.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from flows import asking, clock, repair
from flows import ingest_macro as macro_half
from flows.context import Context
from warehouse import calendars, derive, ledger, load, seeds
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.tables import market

log = logging.getLogger(__name__)

SESSION_TABLES = (market.DAILY, market.ADJ_FACTOR, market.DAILY_BASIC, market.SUSPEND_D)
# A commit costs about half a second and leaves one file a table: sessions are committed in groups of this many. A
# process killed in between asks for at most that many again, which is about a minute of a vendor's patience.
SESSIONS_PER_COMMIT = 60
# trade_cal is asked from the first session that A-shares ever had, so that any backfill finds its calendar.
CALENDAR_START = date(1990, 12, 19)
CALENDAR_AHEAD_DAYS = 40

Progress = Callable[[str, int, int], None]
T = TypeVar("T")


def ingest_macro(context: Context, progress: Progress) -> pa.Table:
    """The ledger rows of every macro series that was due today.

    Raises:
        LakeError: the lake cannot be written.
    """
    return macro_half.ingest_macro(context, progress)


def ingest_reference(context: Context) -> pa.Table:
    """The ledger rows of calendar, securities and changed codes, when they were due today.

    Raises:
        LakeError: the lake cannot be written.
    """
    source = asking.tushare_of(context)
    today = clock.known_date(context.now)
    horizon = today + timedelta(days=CALENDAR_AHEAD_DAYS)
    fetches: dict[str, tuple[Table, Callable[[], pa.Table]]] = {
        ledger.EXCHANGE: (market.TRADE_CAL, lambda: source.fetch_trade_cal(CALENDAR_START, horizon)),
        "all": (market.STOCK_BASIC, source.fetch_stock_basic),
        "bse_mapping": (market.CODE_CHANGE, lambda: calendars.code_changes(source.fetch_bse_mapping())),
    }
    results = []
    with context.writer() as lake:
        due = [key for key, (table, _) in fetches.items() if ledger.due_partitions(lake, table, [key], today)]
    for key in due:
        table, fetch = fetches[key]
        answer = asking.ask([key], _ignoring_key(fetch), ledger.without_provenance(table))[0]
        stamp = context.stamp()
        replies = context.archive.drain(stamp.load_id)
        answer = _with_what_is_missing(context, table, answer)
        partition = load.Partition(key, today, failure=answer.failure, cause=answer.cause, asked_date=today)
        if key == due[-1]:
            # Before the last entry in the ledger: a run cut after it would find nothing due, and this missing.
            _follow_calendar(context, horizon)
        with context.writer() as lake:
            results.append(load.load(lake, [load.Load(table, answer.rows, [partition], None, replies)], stamp))
    with context.writer() as lake:
        n_closed = ledger.close_holidays(lake, context.stamp(), SESSION_TABLES, today)
    if n_closed:
        log.warning("days asked for in vain turned out to be holidays partitions=%s", n_closed)
    return _concat(results)


def _with_what_is_missing(context: Context, table: Table, answer: asking.Answer) -> asking.Answer:
    """The answer, and why it is not whole though the vendor refused nothing."""
    missing = ""
    if table is market.STOCK_BASIC and not answer.failure:
        missing = _survivors_only(answer.rows)
    if table is market.CODE_CHANGE and not answer.failure:
        missing = _nobody_moved(context, answer.rows)
    if missing:
        answer = dataclasses.replace(answer, failure=missing, cause="truncated")
    if table is market.CODE_CHANGE and answer.failure:
        # What is known without asking anybody; what was told before stays as well.
        answer = dataclasses.replace(answer, rows=seeds.code_changes())
    return answer


def _survivors_only(rows: pa.Table) -> str:
    """Why the securities that came are not all there ever were; empty when nothing shows it.

    An empty list is an answer to any single question, but there have been delisted securities since 1999: without them
    the market of past years consists of those that survived, and no count of bars would tell.
    """
    if pc.any(pc.equal(rows["list_status"], "D")).as_py():
        return ""
    return (
        "tushare stock_basic(list_status=D): no security is delisted, so that years past would hold only survivors. "
        "What came was stored; run again later, and ask the vendor if it stays."
    )


def _nobody_moved(context: Context, rows: pa.Table) -> str:
    """Why the changed codes that came are not all; empty when nothing shows it.

    Every security that Beijing listed before its change of codes has an old one and a new one.
    """
    changed_on = seeds.BEIJING_CHANGE_DATE
    if pc.any(pc.equal(rows["source"], "bse_mapping")).as_py() or clock.known_date(context.now) < changed_on:
        return ""
    with context.reader() as lake:
        n_listed = lake.read_value(
            "select count(*) from market.stock_basic where ts_code like '%.BJ' and list_date < $day", day=changed_on
        )
    if not n_listed:
        return ""
    return (
        f"tushare bse_mapping(): no code, though Beijing listed {n_listed} securities before its change of codes. "
        "Those known so far stay; run again later, and ask the vendor if it stays."
    )


def _follow_calendar(context: Context, horizon: date) -> None:
    """What goes with the calendar: its second source."""
    sessions = calendars.exchange_sessions(CALENDAR_START, horizon)
    with context.writer() as lake:
        lake.commit(
            lambda connection: derive.write_rows(connection, market.EXCHANGE_SESSION, sessions),
            message="exchange sessions",
        )


def ingest_indices(context: Context, start: date, end: date) -> pa.Table:
    """The ledger rows of the indices that were due.

    Raises:
        LakeError: the lake cannot be written.
    """
    source = asking.tushare_of(context)
    results = []
    with context.writer() as lake:
        due = _due_indices(lake, list(context.settings.index_codes), start, end)
        n_sessions = len(ledger.read_sessions(lake, start, end))
    if due and n_sessions:
        columns = ledger.without_provenance(market.INDEX_DAILY)
        answers = asking.ask(due, lambda code: source.fetch_index_daily(code, start, end), columns)
        asked_date = clock.known_date(context.now)
        partitions = [
            load.Partition(
                answer.key, end, n_sessions, failure=answer.failure, cause=answer.cause, asked_date=asked_date
            )
            for answer in answers
        ]
        rows = pa.concat_tables([answer.rows for answer in answers])
        stamp = context.stamp()
        one = load.Load(market.INDEX_DAILY, rows, partitions, "ts_code", context.archive.drain(stamp.load_id))
        with context.writer() as lake:
            results.append(load.load(lake, [one], stamp))
    return _concat(results)


def _due_indices(lake: Lake, codes: list[str], start: date, end: date) -> list[str]:
    """Indices not known through `end`, or not back to `start`."""
    due = set(ledger.due_partitions(lake, market.INDEX_DAILY, codes, end))
    first = ledger.read_sessions(lake, start, end)[:1]
    held = lake.read("select ts_code, min(trade_date) as first_date from market.index_daily group by ts_code")
    first_date = dict(zip(held["ts_code"].to_pylist(), held["first_date"].to_pylist(), strict=True))
    return [code for code in codes if code in due or (first and first_date.get(code, first[0]) > first[0])]


def ingest_sessions(context: Context, start: date, end: date, progress: Progress) -> pa.Table:
    """The ledger rows of every session from `start` to `end` that was not whole or is asked for again, oldest first.

    Raises:
        LakeError: the lake cannot be written.
    """
    with context.reader() as lake:
        sessions = ledger.read_sessions(lake, start, end)
        due = sorted({day for table in SESSION_TABLES for day in _due(context, lake, table, sessions)})
    results = []
    for group in _groups(due, SESSIONS_PER_COMMIT):
        results.append(_load_sessions(context, group))
        progress("sessions", due.index(group[-1]) + 1, len(due))
    repair.repair_factors(context, due)
    return _concat(results)


def _due(context: Context, lake: Lake, table: Table, sessions: list[date]) -> list[date]:
    today = clock.known_date(context.now)
    return ledger.due_sessions(lake, table, sessions, today, context.settings.revisit_days)


def _load_sessions(context: Context, group: list[date]) -> pa.Table:
    """All tables of some sessions in one commit, so that a bar never stands without its factor."""
    source = asking.tushare_of(context)
    fetches = {
        market.SUSPEND_D: source.fetch_suspend_d,
        market.DAILY: source.fetch_daily,
        market.ADJ_FACTOR: source.fetch_adj_factor,
        market.DAILY_BASIC: source.fetch_daily_basic,
    }
    with context.reader() as lake:
        due = {table: _due(context, lake, table, group) for table in fetches}
        codes = ledger.read_codes(lake)
        held = lake.read(
            "select ts_code, trade_date, suspend_timing, suspend_type from market.suspend_d"
            " where trade_date in (select unnest($group))",
            group=group,
        )
        answers = {
            table: asking.ask(
                [day.isoformat() for day in due[table]], _by_date(fetch, codes), ledger.without_provenance(table)
            )
            for table, fetch in fetches.items()
        }
        suspensions = pa.concat_tables([held, *(answer.rows for answer in answers[market.SUSPEND_D])])
        expected = ledger.expected_bars(lake, group, suspensions)
    stamp = context.stamp()
    replies = context.archive.drain(stamp.load_id)
    loads: list[load.Load] = []
    for table, of_table in answers.items():
        if of_table:
            partitions = [_session_partition(context, table, answer, expected) for answer in of_table]
            rows = pa.concat_tables([answer.rows for answer in of_table])
            loads.append(load.Load(table, rows, partitions, "trade_date", None if loads else replies))
    with context.writer() as lake:
        return load.load(lake, loads, stamp)


def _session_partition(
    context: Context, table: Table, answer: asking.Answer, expected: dict[date, int]
) -> load.Partition:
    """What the ledger shall say of one session of one table."""
    session = date.fromisoformat(answer.key)
    cause = answer.cause
    if not answer.rows.num_rows and not answer.failure and session > clock.market_date(context.now):
        cause = "not_yet_published"
    may_be_empty = table is market.SUSPEND_D
    n_expected = None if may_be_empty else expected[session]
    return load.Partition(
        answer.key,
        session,
        n_expected,
        may_be_empty=may_be_empty,
        failure=answer.failure,
        cause=cause,
        asked_date=clock.known_date(context.now),
        n_required=n_expected and n_expected - int(n_expected * context.settings.missing_bars_fraction),
    )


def _ignoring_key(fetch: Callable[[], pa.Table]) -> Callable[[str], pa.Table]:
    return lambda key: fetch()


def _by_date(fetch: Callable[[date, Sequence[str]], pa.Table], codes: Sequence[str]) -> Callable[[str], pa.Table]:
    return lambda key: fetch(date.fromisoformat(key), codes)


def _groups(items: list[T], size: int) -> list[list[T]]:
    return [items[first : first + size] for first in range(0, len(items), size)]


def _concat(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables) if tables else pa.table({"state": pa.array([], pa.string())})


def count_not_whole(rows: pa.Table) -> int:
    """How many of some ledger rows are not whole."""
    if not rows.num_rows:
        return 0
    return int(pc.sum(pc.invert(pc.is_in(rows["state"], pa.array(load.WHOLE_STATES)))).as_py())
