"""The data section says what came when, what is overdue, and what was revised, and only what the day knew."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from planting import insert

from reports import tracing
from reports.blocks import Figure, Note, Table
from reports.pages import arrivals, quality, revisions
from warehouse import load, sql
from warehouse.tables import macro as macro_tables
from warehouse.tables import market, ops

# Eight sessions of January 2024; the first is the day of the fixtures' first load, at 18:00 in Shanghai.
SESSIONS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10, 11)]
STILL = date(9999, 12, 31)
PULLED = datetime(2024, 6, 1, tzinfo=UTC)


def came(lake, bars, session, at, asked=None):
    """One bar of a session, received at an instant, first asked for on a day."""
    partition = load.Partition(session.isoformat(), session, asked_date=asked or session)
    one = load.Load(market.DAILY, bars(f"600001.SH {session} 10"), [partition], "trade_date")
    load.load(lake, [one], load.Stamp(f"load-{session}-{at}", at))


def evening(session, hour=18, minute=0):
    """An instant by the market's clock, eight hours before Greenwich's."""
    return datetime(session.year, session.month, session.day, hour - 8, minute, tzinfo=UTC)


@pytest.fixture
def followed_lake(empty_lake, load_sessions, bars):
    """Bars at 18:00 for six evenings; on the seventh at 21:30, and those of the eighth never."""
    load_sessions(empty_lake, SESSIONS)
    for session in SESSIONS[:6]:
        came(empty_lake, bars, session, evening(session))
    came(empty_lake, bars, SESSIONS[6], evening(SESSIONS[6], 21, 30))
    return empty_lake


def test_arrival_is_told_beside_when_it_was_due_and_what_is_usual(followed_lake):
    late, usual, early = (arrivals.read(followed_lake, SESSIONS[at])["market.daily"] for at in (6, 5, 3))

    # Due at 17:00: six evenings an hour after, then four and a half.
    assert (late.after_due, late.usual, late.is_late) == ("4.5 h", 1.0, True)
    assert (usual.after_due, usual.usual, usual.is_late) == ("1.0 h", 1.0, False)
    # Three sessions before are too few to call anything usual.
    assert (early.hours, early.usual, early.session) == (1.0, None, SESSIONS[3])
    assert arrivals.sentence({"market.daily": late}) == (
        "Late: market.daily of 2024-01-10 came 4.5 h after it was due, where 1.0 h is usual."
    )
    assert arrivals.sentence({"market.daily": usual}) == "The newest session came no later than usual."


def test_session_that_came_on_a_later_ones_evening_is_late_by_sessions_and_unknown_before(followed_lake, bars):
    """The eighth was asked for in vain on its evening, and came two days later, on no session's day but after one."""
    session, friday = SESSIONS[7], date(2024, 1, 12)
    calendar = pa.table({"exchange": ["SSE"], "cal_date": [friday], "is_open": [True]})
    one = load.Load(market.TRADE_CAL, calendar, [load.Partition("SSE", friday)], None)
    load.load(followed_lake, [one], load.Stamp("calendar", evening(friday)))
    came(followed_lake, bars, session, evening(friday), asked=session)
    followed_lake.commit(
        lambda c: c.execute(
            "update ops.ledger set first_answered_date = date '2024-01-12' where partition = '2024-01-11'"
        ),
        message="the answer of its own evening was empty",
    )

    on_the_day, afterwards = (arrivals.read(followed_lake, day)["market.daily"] for day in (session, friday))

    assert on_the_day.session == SESSIONS[6]
    assert (afterwards.session, afterwards.after_due, afterwards.is_late) == (session, "1 session", True)
    assert afterwards.hours == pytest.approx(25.0)


def test_arrival_says_why_it_is_not_known(followed_lake, bars):
    """A backfill asks later, files were never asked for, and rows of a session written anew have a new instant."""
    monday = SESSIONS[4]
    came(followed_lake, bars, date(2024, 1, 12), evening(date(2024, 1, 15)), asked=date(2024, 1, 15))
    rows = bars("600001.SH 2024-01-16 10")
    part = load.Partition("2024-01-16", date(2024, 1, 16))
    stamp = load.Stamp("file", evening(date(2024, 1, 16)))
    load.load(followed_lake, [load.Load(market.DAILY, rows, [part], "trade_date")], stamp)
    followed_lake.commit(
        lambda c: c.execute(
            "update market.daily set retrieved_at = timestamptz '2024-01-20 10:00:00+00' where trade_date = $day",
            {"day": monday},
        ),
        message="written anew",
    )

    rows = followed_lake.read(
        "select session_date, hours_after_due, unknown_because from analyst.arrival where dataset = 'market.daily'"
    ).to_pylist()

    told = {row["session_date"]: (row["hours_after_due"], row["unknown_because"]) for row in rows}
    assert told[date(2024, 1, 12)] == (None, "first asked for later")
    assert told[date(2024, 1, 16)] == (None, "came from files")
    assert told[monday] == (None, "written anew since")
    assert told[SESSIONS[0]] == (pytest.approx(1.0), "")


def test_section_begins_with_what_is_whole_and_late_and_names_its_views(followed_lake):
    section = tracing.read_section(followed_lake, quality.section, SESSIONS[6])

    assert section.blocks[0].text == (
        "8 of 8 partitions are whole; nothing waits in quarantine."
        " Late: market.daily of 2024-01-10 came 4.5 h after it was due, where 1.0 h is usual."
    )
    assert section.blocks[0].tone == "" and "analyst.arrival" in section.blocks[0].source.views
    (fresh,) = (block for block in section.blocks if isinstance(block, Table) and block.caption.startswith("Fresh"))
    daily = next(row for row in fresh.rows if row[0].text == "market.daily")
    assert [cell.text for cell in daily[1:5]] == ["2024-01-10", "2024-01-10 21:30", "4.5 h", "1.0 h"]
    assert {"analyst.coverage", "analyst.arrival"} <= set(fresh.source.views)


def series(name, frequency="M", lag=10, group="prices"):
    return {
        "series_id": name,
        "title": f"{name} in words",
        "unit": "percent",
        "frequency": frequency,
        "transform_code": 1,
        "publication_lag_days": lag,
        "group_name": group,
        "is_in_macro_panel": False,
        "is_rolling_window": False,
        "licence": "public",
    }


def observation(name, day, value, start, end=STILL, is_estimated=False):
    return {
        "series_id": name,
        "observation_date": day,
        "value": value,
        "realtime_start": start,
        "realtime_end": end,
        "is_realtime_estimated": is_estimated,
        "retrieved_at": PULLED,
        "load_id": "test",
    }


def month_ends(months):
    return [(month + pd.offsets.MonthEnd(0)).date() for month in months]


def test_release_is_overdue_when_it_is_later_than_ever_before_and_due_by_its_usual_lag(empty_lake):
    """Eight months came 10 to 17 days after their ends; the ninth is overdue from the 18th day on."""
    months = pd.date_range("2023-04-01", periods=8, freq="MS")
    lags = [10, 12, 17, 11, 10, 13, 12, 11]
    released = [end + timedelta(days=lag) for end, lag in zip(month_ends(months), lags, strict=True)]
    rows = [observation("CPI", month.date(), 1.0, day) for month, day in zip(months, released, strict=True)]
    insert(empty_lake, macro_tables.SERIES, [series("CPI", lag=99)])
    # It comes in the end, and an old day does not know of it.
    insert(empty_lake, macro_tables.OBSERVATION, [*rows, observation("CPI", date(2023, 12, 1), 1.0, date(2024, 2, 9))])

    on_last, overdue, at_last = (
        arrivals.read_overdue(empty_lake, date(2023, 12, 31) + timedelta(days=days)) for days in (17, 18, 40)
    )

    assert on_last == [] and at_last == []
    (row,) = overdue
    due = date(2023, 12, 31) + timedelta(days=int(np.ceil(np.median(lags))))
    assert (row["next_date"], row["due_date"], row["n_measured"]) == (date(2023, 12, 1), due, 8)
    assert row["days_overdue"] == (date(2024, 1, 18) - due).days == 6
    shown = arrivals.overdue_block(overdue, has_macro=True)
    assert [cell.text for cell in shown.rows[0][2:]] == [
        "2023-11-01",
        "2023-12-01",
        "2024-01-12",
        "6",
        "12",
        "last 8 releases",
    ]


@pytest.mark.parametrize(
    ("frequency", "newest", "due"),
    [
        # Lag of 5 days declared; grace of 7, 7, 15 and 30 days before a series counts as overdue.
        ("D", date(2024, 1, 5), date(2024, 1, 8) + timedelta(days=5)),
        ("W", date(2024, 1, 5), date(2024, 1, 12) + timedelta(days=6 + 5)),
        ("M", date(2024, 1, 1), date(2024, 2, 29) + timedelta(days=5)),
        ("Q", date(2023, 10, 1), date(2024, 3, 31) + timedelta(days=5)),
    ],
)
def test_series_without_seen_releases_is_overdue_by_its_declared_lag_and_grace(empty_lake, frequency, newest, due):
    grace = {"M": 15, "Q": 30}.get(frequency, 7)
    insert(empty_lake, macro_tables.SERIES, [series("X", frequency, lag=5)])
    insert(empty_lake, macro_tables.OBSERVATION, [observation("X", newest, 1.0, newest, is_estimated=True)])

    last, first = (arrivals.read_overdue(empty_lake, due + timedelta(days=grace + more)) for more in (0, 1))

    assert last == []
    assert [(row["due_date"], row["days_overdue"], row["n_measured"]) for row in first] == [(due, grace + 1, 0)]


def test_calendar_of_macro_tells_whole_months_from_partial_missing_and_those_not_due(empty_lake):
    """Two monthly series and a quarterly one, as known on 20 April 2024, with a lag of 10 days and grace beside."""
    months = [date(2024, month, 1) for month in (1, 2, 3)]
    rows = [observation("A", month, 1.0, date(2024, 4, 10)) for month in months[:2]]
    rows += [observation("B", months[0], 1.0, date(2024, 4, 10)), observation("B", months[1], 2.0, date(2024, 5, 9))]
    rows += [observation("C", date(2023, 10, 1), 1.0, date(2024, 1, 30))]
    rows += [observation("D", months[0], 1.0, date(2024, 2, 9)), observation("D", months[1], None, date(2024, 3, 9))]
    groups = {"A": "prices", "B": "prices", "C": "output", "D": "money"}
    kinds = {"C": "Q"}
    insert(empty_lake, macro_tables.SERIES, [series(name, kinds.get(name, "M"), group=groups[name]) for name in groups])
    insert(empty_lake, macro_tables.OBSERVATION, rows)

    found = empty_lake.read(sql.load("macro_coverage"), as_of=date(2024, 4, 20), n_months=4).to_pylist()

    states = {(row["group_name"], row["month_date"].month): row["state"] for row in found}
    # February's B was due on 25 March and came in May. March is due on 25 April, the first quarter on 10 May.
    assert [states["prices", month] for month in (1, 2, 3, 4)] == ["ok", "partial", "not_due", "not_due"]
    assert [states["output", month] for month in (1, 2, 3)] == ["not_due"] * 3
    assert [states["money", month] for month in (1, 2)] == ["ok", "empty_confirmed"]
    (figure,) = quality._macro_figure(empty_lake, date(2024, 4, 20))
    assert "<title>prices, 2024-02: partial</title>" in figure.chart.svg
    later = empty_lake.read(sql.load("macro_coverage"), as_of=date(2024, 5, 11), n_months=5).to_pylist()
    states = {(row["group_name"], row["month_date"].month): row["state"] for row in later}
    assert states["prices", 2] == "ok" and states["prices", 3] == states["output", 3] == "missing"


def test_revisions_are_ordered_by_each_series_own_steps_and_only_known_ones_are_shown(empty_lake):
    """Money moves by 100 a month and is revised by 50; the rate moves by 0.1 and is revised by 0.3."""
    months = [month.date() for month in pd.date_range("2023-01-01", periods=10, freq="MS")]
    first, revised = date(2023, 12, 1), date(2024, 1, 9)
    moves = {"MONEY": (100.0, 50.0), "RATE": (0.1, 0.3)}
    rows = []
    for name, (step, change) in moves.items():
        values = [1000.0 + step * at for at in range(10)]
        rows += [observation(name, day, value, first) for day, value in zip(months[:-1], values[:-1], strict=True)]
        rows.append(observation(name, months[-1], values[-1], first, revised - timedelta(days=1)))
        rows.append(observation(name, months[-1], values[-1] + change, revised))
    insert(empty_lake, macro_tables.SERIES, [series(name) for name in moves])
    insert(empty_lake, macro_tables.OBSERVATION, rows)

    (table,) = revisions.macro_blocks(empty_lake, revised)
    (silent,) = revisions.macro_blocks(empty_lake, revised - timedelta(days=1))

    assert [row[0].text for row in table.rows] == ["RATE", "MONEY"]
    # The step before the revised value is 0.1 + 0.3 and 100 + 50; the median of nine steps is not moved by it.
    assert [row[6].text for row in table.rows] == ["3.0", "0.5"]
    assert [cell.text for cell in table.rows[1][2:5]] == ["2023-10-01", "1,900", "1,950"]
    assert isinstance(silent, Note) and "was revised in the 14 days up to 2024-01-08" in silent.text


def test_move_to_another_base_is_named_and_not_measured(empty_lake):
    day, revised = date(2023, 11, 1), date(2024, 1, 9)
    rows = [observation("X", day, 100.0, date(2023, 12, 9), revised - timedelta(days=1))]
    insert(empty_lake, macro_tables.SERIES, [series("X")])
    insert(empty_lake, macro_tables.OBSERVATION, [*rows, observation("X", day, 250.0, revised)])
    rebase = dict.fromkeys(macro_tables.REBASE.column_names) | {"series_id": "X", "vintage_date": revised}
    insert(
        empty_lake,
        macro_tables.REBASE,
        [rebase | {"kind": "level", "ratio": 2.5, "n_common": 1, "old_text": "", "new_text": "", "load_id": "test"}],
    )

    (table,) = revisions.macro_blocks(empty_lake, revised)

    assert table.rows[0][6].text == "another base or unit"


@pytest.mark.parametrize(("n_values", "is_named"), [(3, True), (13, False)])
def test_corrections_of_the_market_are_named_by_security_while_they_are_few(empty_lake, n_values, is_named):
    """The largest change relative to the value comes first."""
    blank = dict.fromkeys(ops.REVISION.column_names, "x") | {"dataset": "market.daily", "column_name": "close"}
    blank |= {"partition": "2024-01-09", "revision_no": 1, "revised_date": date(2024, 1, 10)}
    rows = [
        blank
        | {
            "row_key": f'{{"ts_code": "60000{at:02}.SH"}}',
            "old_value": "10.0",
            "new_value": str(10 + at / 10),
            "revised_at": datetime(2024, 1, 10, 10, tzinfo=UTC),
        }
        for at in range(1, n_values + 1)
    ]
    insert(empty_lake, ops.REVISION, rows)

    counted, *named = revisions.market_blocks(empty_lake, date(2024, 1, 10))

    assert [cell.text for cell in counted.rows[0][:4]] == ["market.daily.close", "corrected", *[str(n_values)] * 2]
    assert bool(named) is is_named
    if is_named:
        first = named[0].rows[0]
        assert [cell.text for cell in first[:1]] == ["6000003.SH"] and first[0].about.kind == "security"
        assert [cell.text for cell in first[3:6]] == ["close", "10", "10.3"]


def test_calendar_says_how_far_back_it_goes_and_explains_every_mark(followed_lake):
    (coverage,) = (block for block in quality.section(followed_lake, SESSIONS[6]).blocks if isinstance(block, Figure))

    assert "the last 7 sessions, back to 2024-01-02. 0 of 7 are not whole." in coverage.caption
    assert all(f">{words}</text>" in coverage.chart.svg for _, words in quality.LEGEND)
