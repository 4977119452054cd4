"""What should be there, minus what is: the sessions and series that still have to be loaded.

The calendar comes from the exchange's table, never from the dates seen in data. Work is derived at each run, so a
nightly run, a backfill and the catch-up after downtime are the same code. Partner: `warehouse/load.py`, which writes
the ledger.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from warehouse import errors
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


def due_sessions(lake: Lake, table: Table, sessions: list[date]) -> list[date]:
    """Those of `sessions` whose partition of `table` is not whole, oldest first."""
    whole = lake.read(
        "select partition from ops.ledger where dataset = $dataset and state in ('ok', 'empty_confirmed')",
        dataset=table.full_name,
    )
    held = set(whole.column(0).to_pylist())
    return [session for session in sessions if session.isoformat() not in held]


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

    Args:
        lake: holds `market.stock_basic`.
        sessions: the days asked about.
        suspensions: rows of suspend_d for these days (ts_code, trade_date, suspend_timing, suspend_type).

    Returns:
        A count for every session.

    Raises:
        LakeError: the lake cannot be read.
    """
    listed = lake.read(
        """
        with day as (select unnest($sessions) as trade_date)
        select day.trade_date, s.ts_code
        from day join market.stock_basic as s
            on s.list_date <= day.trade_date and (s.delist_date is null or s.delist_date > day.trade_date)
        """,
        sessions=sessions,
    )
    suspended = {
        (row["trade_date"], row["ts_code"])
        for row in suspensions.to_pylist()
        if row["suspend_type"] == "S" and row["suspend_timing"] is None
    }
    counts = dict.fromkeys(sessions, 0)
    for trade_date, ts_code in zip(listed["trade_date"].to_pylist(), listed["ts_code"].to_pylist(), strict=True):
        counts[trade_date] += (trade_date, ts_code) not in suspended
    return counts
