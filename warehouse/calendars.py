"""What a second source says of the exchange's sessions, and under which codes a security was traded.

Invariant: the exchange's own calendar, as the vendor gives it, decides; the second source only contradicts, and the
check `calendar_disagreement` tells. Partner: `warehouse/ledger.py`, which reads both.
"""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa

from warehouse import seeds
from warehouse.tables import market

# The library's name for Shanghai; Shenzhen and Beijing keep the same days.
CALENDAR = "XSHG"
EXCHANGE = "SSE"


def exchange_sessions(start: date, end: date) -> pa.Table:
    """Rows of market.exchange_session from `start` to `end`, as far as the library knows the calendar.

    Returns:
        One row a day, ascending; fewer than asked for when the library ends earlier. It knows the holidays of a year
        once they are announced, and says so by where it ends.
    """
    # Its import takes a second, and only a run that asks for the calendar needs it.
    import exchange_calendars

    known = exchange_calendars.get_calendar(CALENDAR, start=pd.Timestamp(start))
    last = min(end, known.last_session.date())
    open_days = {stamp.date() for stamp in known.sessions}
    days = [start + timedelta(days=number) for number in range((last - start).days + 1)]
    return market.EXCHANGE_SESSION.conform(
        pa.table(
            {
                "exchange": pa.array([EXCHANGE] * len(days), pa.string()),
                "cal_date": pa.array(days, pa.date32()),
                "is_open": pa.array([day in open_days for day in days], pa.bool_()),
            }
        )
    )


def code_changes(bse_mapping: pa.Table) -> pa.Table:
    """Rows of market.code_change: what the vendor tells of Beijing's codes, and what is known besides.

    Args:
        bse_mapping: o_code, n_code.
    """
    rows = {row["old_code"]: row for row in seeds.code_changes().to_pylist()}
    for row in bse_mapping.to_pylist():
        rows[row["o_code"]] = {
            "old_code": row["o_code"],
            "new_code": row["n_code"],
            "change_date": seeds.BEIJING_CHANGE_DATE,
            "source": "bse_mapping",
        }
    ordered = [rows[code] for code in sorted(rows)]
    return market.CODE_CHANGE.conform(pa.Table.from_pylist(ordered, schema=market.CODE_CHANGE.arrow_schema))
