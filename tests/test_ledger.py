"""What is due: calendar minus ledger, and how many bars a session must have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from warehouse import calendars, derive, errors, lake, ledger, load
from warehouse.tables import market

TUE, WED, THU, FRI = (date(2024, 1, day) for day in (2, 3, 4, 5))


@pytest.fixture
def open_days(
    empty_lake: lake.Lake,
    load_sessions: Callable[[lake.Lake, Sequence[date]], None],
    stamp: Callable[[int], load.Stamp],
) -> lake.Lake:
    load_sessions(empty_lake, [TUE, WED, FRI])
    closed = pa.table({"exchange": ["SSE"], "cal_date": [THU], "is_open": [False]})
    other = pa.table({"exchange": ["SZSE"], "cal_date": [THU], "is_open": [True]})
    rows = pa.concat_tables([closed, other])
    load.load(empty_lake, [load.Load(market.TRADE_CAL, rows, [load.Partition("SSE", FRI)], None)], stamp(1))
    return empty_lake


def test_sessions_are_the_open_days_of_the_exchange(open_days: lake.Lake) -> None:
    assert ledger.read_sessions(open_days, TUE, FRI) == [TUE, WED, FRI]
    assert ledger.read_sessions(open_days, WED, THU) == [WED]
    assert ledger.read_sessions(open_days, THU, THU) == []


def test_latest_session_skips_closed_days(open_days: lake.Lake) -> None:
    assert ledger.read_latest_session(open_days, FRI) == FRI
    assert ledger.read_latest_session(open_days, THU) == WED


@pytest.mark.parametrize("day", [date(2024, 1, 6), date(2024, 1, 1)])
def test_latest_session_refuses_when_the_calendar_does_not_reach(open_days: lake.Lake, day: date) -> None:
    with pytest.raises(errors.ConfigError, match=f"does not reach {day}. Choose a day inside it"):
        ledger.read_latest_session(open_days, day)


def test_due_sessions_are_those_not_whole(
    open_days: lake.Lake, bars: Callable[[str], pa.Table], load_days: Callable[..., pa.Table]
) -> None:
    load_days(open_days, market.DAILY, bars("600000.SH 2024-01-02 10"), n_expected=1)
    load_days(open_days, market.DAILY, bars("600000.SH 2024-01-03 10"), n_expected=2)

    assert ledger.due_sessions(open_days, market.DAILY, [TUE, WED, FRI], FRI) == [WED, FRI]
    assert ledger.due_sessions(open_days, market.ADJ_FACTOR, [TUE], FRI) == [TUE]


@pytest.mark.parametrize(
    ("asked", "today", "is_due"),
    [
        (TUE, TUE, False),
        (TUE, WED, True),
        (WED, WED, False),
        (WED, date(2024, 1, 8), False),
        (WED, date(2024, 1, 9), True),
        (TUE, date(2024, 3, 1), True),
        (date(2024, 1, 9), date(2024, 3, 1), False),
        (date(2024, 2, 1), date(2024, 3, 1), False),
    ],
)
def test_whole_session_is_asked_for_again_the_next_day_and_a_week_later(
    open_days: lake.Lake, bars: Callable[[str], pa.Table], load_days: Callable[..., pa.Table], asked, today, is_due
) -> None:
    load_days(open_days, market.DAILY, bars("600000.SH 2024-01-02 10"), asked_date=asked)

    due = ledger.due_sessions(open_days, market.DAILY, [TUE], today, revisit_days=(1, 7))

    assert due == ([TUE] if is_due else [])


def test_due_sessions_leave_out_what_is_confirmed_empty(
    open_days: lake.Lake, load_days: Callable[..., pa.Table]
) -> None:
    load_days(open_days, market.SUSPEND_D, market.SUSPEND_D.empty(), days=[TUE], may_be_empty=True)

    assert ledger.due_sessions(open_days, market.SUSPEND_D, [TUE, WED], FRI) == [WED]


def test_due_partitions_are_those_not_known_as_of_today(
    empty_lake: lake.Lake, frame: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]
) -> None:
    def pull(key: str, day: date, failure: str = "") -> None:
        rows = frame(market.TRADE_CAL, f"exchange cal_date is_open\n{key} 2024-01-02 true")
        one = load.Load(
            market.TRADE_CAL, rows.slice(0, 0) if failure else rows, [load.Partition(key, day, failure=failure)], None
        )
        load.load(empty_lake, [one], stamp(0))

    pull("A", WED)
    pull("B", THU)
    pull("C", THU, failure="503")

    assert ledger.due_partitions(empty_lake, market.TRADE_CAL, ["A", "B", "C", "D"], WED) == ["C", "D"]
    assert ledger.due_partitions(empty_lake, market.TRADE_CAL, ["A", "B", "C", "D"], THU) == ["A", "C", "D"]


def test_expected_bars_count_the_listed_less_the_suspended(
    empty_lake: lake.Lake, frame: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]
) -> None:
    stocks = frame(
        market.STOCK_BASIC,
        """
        ts_code name list_status list_date delist_date
        OLD     a    L           2000-01-01 -
        NEW     b    L           2024-01-03 -
        GONE    c    D           2000-01-01 2024-01-03
        UNKNOWN d    L           -          -
        """,
    )
    load.load(empty_lake, [load.Load(market.STOCK_BASIC, stocks, [load.Partition("all", FRI)], None)], stamp(0))
    suspensions = frame(
        market.SUSPEND_D,
        """
        ts_code trade_date suspend_timing suspend_type
        OLD     2024-01-03 -              S
        NEW     2024-01-03 09:30-10:00    S
        OLD     2024-01-04 -              R
        ALIEN   2024-01-04 -              S
        """,
    )

    expected = ledger.expected_bars(empty_lake, [TUE, WED, THU], suspensions)

    # Tuesday: OLD, GONE. Wednesday: NEW (a halt of half an hour leaves a bar). Thursday: OLD resumed, NEW.
    assert expected == {TUE: 2, WED: 1, THU: 2}


def test_expected_bars_are_none_when_no_session_is_asked(empty_lake: lake.Lake) -> None:
    assert ledger.expected_bars(empty_lake, [], market.SUSPEND_D.empty()) == {}


def test_security_whose_code_changed_counts_once(
    open_days: lake.Lake, stamp: Callable[[int], load.Stamp], frame: Callable[..., pa.Table]
) -> None:
    """The vendor lists the security under both codes: the old one as gone, the new one with the first list_date."""
    listed = frame(
        market.STOCK_BASIC,
        """ts_code name list_status list_date delist_date
        830001.BJ Old D 2020-01-01 2024-01-05
        920001.BJ New L 2020-01-01 -
        600000.SH Other L 2000-01-01 -""",
    )
    load.load(open_days, [load.Load(market.STOCK_BASIC, listed, [load.Partition("all", FRI)], None)], stamp(2))
    halts = market.SUSPEND_D.empty().select(["ts_code", "trade_date", "suspend_timing", "suspend_type"])

    before = ledger.expected_bars(open_days, [TUE, FRI], halts)
    mapping = pa.table({"o_code": ["830001.BJ"], "n_code": ["920001.BJ"]})
    open_days.commit(
        lambda connection: derive.write_rows(connection, market.CODE_CHANGE, calendars.code_changes(mapping)),
        message="codes",
    )

    assert before == {TUE: 3, FRI: 2}
    assert ledger.expected_bars(open_days, [TUE, FRI], halts) == {TUE: 2, FRI: 2}


def test_day_asked_for_in_vain_is_whole_when_the_calendar_turns_it_into_a_holiday(
    open_days: lake.Lake, load_days: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]
) -> None:
    load_days(open_days, market.DAILY, market.DAILY.empty().drop(["retrieved_at", "load_id"]), days=[FRI], n_expected=2)
    closed = pa.table({"exchange": ["SSE"], "cal_date": [FRI], "is_open": [False]})
    load.load(open_days, [load.Load(market.TRADE_CAL, closed, [load.Partition("SSE", FRI)], None)], stamp(2))
    before = open_days.read("select state, cause from ops.ledger where dataset = 'market.daily'").to_pylist()

    n_closed = ledger.close_holidays(open_days, stamp(3), [market.DAILY], FRI)

    after = open_days.read("select state, cause from ops.ledger where dataset = 'market.daily'").to_pylist()
    assert before == [{"state": "failed", "cause": "vendor_error"}]
    assert n_closed == 1
    assert after == [{"state": "empty_confirmed", "cause": "holiday"}]


def test_both_sources_of_the_calendar_agree_on_every_day_the_vendor_published() -> None:
    """Tushare's own calendar from 2010 to 2026 against the library's."""
    path = Path(__file__).parents[2] / "shared" / "data" / "ashare" / "trade_cal_SSE_2010_2026.csv"
    if not path.exists():
        pytest.skip("needs ../shared/data")
    vendor = pd.read_csv(path, dtype=str)

    other = calendars.exchange_sessions(date(2010, 1, 1), date(2026, 12, 31)).to_pandas()

    assert len(other) == len(vendor) == 6209
    assert other["is_open"].sum() == (vendor["is_open"] == "1").sum()
    assert set(other[other["is_open"]]["cal_date"].astype(str).str.replace("-", "")) == set(
        vendor[vendor["is_open"] == "1"]["cal_date"]
    )
