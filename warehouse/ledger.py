"""What should be there, minus what is: the sessions and series that still have to be loaded.

The calendar comes from the exchange's table, never from the dates seen in data. Work is derived at each run, so a
nightly run, a backfill and the catch-up after downtime are the same code. Partner: `warehouse/load.py`, which writes
the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse import errors, load, sql
from warehouse.contracts import Table
from warehouse.lake import Lake

EXCHANGE = "SSE"


def read_sessions(lake: Lake, start: date, end: date) -> list[date]:
    """The exchange's sessions from `start` to `end`, both included, ascending.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select cal_date from market.trade_cal where exchange = $exchange and is_open"
        " and cal_date between $start and $end order by cal_date",
        exchange=EXCHANGE,
        start=start,
        end=end,
    )
    return rows.column(0).to_pylist()


def read_latest_session(lake: Lake, on_or_before: date) -> date:
    """The last session on or before a day.

    Raises:
        ConfigError: the calendar does not reach that day.
    """
    found: date | None = lake.read_value(
        "select max(cal_date) from market.trade_cal where exchange = $exchange and is_open and cal_date <= $day"
        " and exists (from market.trade_cal where exchange = $exchange and cal_date >= $day)",
        exchange=EXCHANGE,
        day=on_or_before,
    )
    if found is None:
        raise errors.ConfigError(
            f"the trading calendar in the lake does not reach {on_or_before}. "
            "Choose a day inside it, or load it first with `daybook backfill`."
        )
    return found


def due_sessions(
    lake: Lake, table: Table, sessions: list[date], today: date, revisit_days: Sequence[int] = ()
) -> list[date]:
    """Those of `sessions` whose partition of `table` is not whole, or is to be asked for again, oldest first.

    Args:
        lake: the lake.
        table: pulled by session.
        sessions: the days that could be due.
        today: Shanghai's day.
        revisit_days: calendar days after a session on which, or at the first chance afterwards, it is asked for again:
            vendors complete and correct a day after its evening.

    Returns:
        Sessions, ascending. One asked for after its last revisit day is never due again.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select cast(partition as date) as session, coalesce(asked_date, through_date) as asked_date from ops.ledger"
        " where dataset = $dataset and state in ('ok', 'empty_confirmed')",
        dataset=table.full_name,
    )
    asked = dict(zip(rows["session"].to_pylist(), rows["asked_date"].to_pylist(), strict=True))

    def is_due(session: date) -> bool:
        if session not in asked:
            return True
        revisits = (session + timedelta(days=days) for days in revisit_days)
        return any(asked[session] < revisit <= today for revisit in revisits)

    return [session for session in sorted(sessions) if is_due(session)]


def due_partitions(lake: Lake, table: Table, keys: list[str], today: date) -> list[str]:
    """Those of `keys` not yet known, whole, as of `today`; for tables pulled as one piece a day."""
    whole = lake.read(
        "select partition from ops.ledger where dataset = $dataset and state in ('ok', 'empty_confirmed')"
        " and through_date >= $today",
        dataset=table.full_name,
        today=today,
    )
    held = set(whole.column(0).to_pylist())
    return [key for key in keys if key not in held]


def expected_bars(lake: Lake, sessions: list[date], suspensions: pa.Table) -> dict[date, int]:
    """How many bars each session must have: securities listed that day, less those suspended all day.

    A security whose code changed is one security, whichever of its codes the vendor lists it under.

    Args:
        lake: holds `market.stock_basic` and `market.code_change`.
        sessions: the days asked about.
        suspensions: rows of suspend_d for these days (ts_code, trade_date, suspend_timing, suspend_type).

    Returns:
        A count for every session.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(sql.load("expected_bars"), sessions=sessions, **_columns_of_halts(suspensions))
    return dict(zip(rows["trade_date"].to_pylist(), rows["n_expected"].to_pylist(), strict=True))


def _columns_of_halts(suspensions: pa.Table) -> dict[str, list[Any]]:
    """Suspensions of a whole day as two lists, to be bound by name."""
    whole_day = suspensions.filter(
        pc.and_(pc.equal(suspensions["suspend_type"], "S"), pc.is_null(suspensions["suspend_timing"]))
    )
    return {"halted_codes": whole_day["ts_code"].to_pylist(), "halted_days": whole_day["trade_date"].to_pylist()}


def read_codes(lake: Lake) -> list[str]:
    """Every code that could have a bar: listed at any time, changed, or seen in the newest bars; ascending.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select ts_code from market.stock_basic union select old_code from market.code_change"
        " union select new_code from market.code_change"
        " union select ts_code from market.daily where trade_date = (select max(trade_date) from market.daily)"
        " order by 1"
    )
    return rows["ts_code"].to_pylist()


def close_holidays(lake: Lake, stamp: load.Stamp, tables: Sequence[Table], asked_date: date) -> int:
    """How many partitions in vain asked for turned out to be holidays, and are whole now.

    The calendar of coming months shows every weekday as open until the holidays are announced, and an exchange may
    close on short notice.

    Raises:
        LakeError: the lake cannot be written.
    """
    rows = lake.read(
        "select l.dataset, l.partition, l.through_date from ops.ledger as l"
        " join market.trade_cal as c on c.exchange = $exchange and c.cal_date = l.through_date and not c.is_open"
        " where l.dataset in (select unnest($datasets)) and l.state in ('failed', 'missing') order by all",
        exchange=EXCHANGE,
        datasets=[table.full_name for table in tables],
    ).to_pylist()
    loads = []
    for table in tables:
        partitions = [
            load.Partition(
                row["partition"], row["through_date"], may_be_empty=True, cause="holiday", asked_date=asked_date
            )
            for row in rows
            if row["dataset"] == table.full_name
        ]
        if partitions:
            loads.append(load.Load(table, without_provenance(table), partitions, "trade_date"))
    if loads:
        load.load(lake, loads, stamp)
    return len(rows)


def without_provenance(table: Table) -> pa.Table:
    """No rows, in the columns that a source gives."""
    names = [column.name for column in table.columns if not column.provenance]
    return table.empty().select(names)
