"""A vendor that is down is one alert that lists what it touched, ends by itself, and comes back as its own."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pytest

from warehouse import checks, load, outages, vintages
from warehouse.tables import macro, market

DAYS = [date(2024, 7, day) for day in (8, 9, 10)]
TABLES = ("market.daily", "market.adj_factor", "market.daily_basic", "market.suspend_d")
N_LISTED = 5000
RULES = ["missing_day", "partial_day", "failed_load", outages.RULE]


@pytest.fixture
def lake(empty_lake, load_sessions, stamp, monkeypatch):
    """Three sessions, 5,000 listed securities, and no rows; only the checks of completeness are run."""
    monkeypatch.setattr(checks, "CHECKS", [check for check in checks.CHECKS if check.rule in RULES])
    load_sessions(empty_lake, DAYS)
    codes = [f"{600000 + n}.SH" for n in range(N_LISTED)]
    stocks = {"ts_code": codes, "name": codes, "list_status": ["L"] * N_LISTED, "list_date": [DAYS[0]] * N_LISTED}
    one = load.Load(market.STOCK_BASIC, pa.table(stocks), [load.Partition("all", DAYS[0])], None)
    load.load(empty_lake, [one], stamp(0))
    return empty_lake


@pytest.fixture
def load_whole(bars, stamp):
    """Load one bar with all that belongs to it for a day; `without` leaves tables out."""

    def run(lake, day, without=()):
        rows = bars(f"600000.SH {day} 10")
        keys = rows.select(["ts_code", "trade_date"])
        nothing = market.SUSPEND_D.empty().select(["ts_code", "trade_date", "suspend_timing", "suspend_type"])
        tables = {
            market.DAILY: rows,
            market.ADJ_FACTOR: keys.append_column("adj_factor", pa.array([1.0])),
            market.DAILY_BASIC: keys.append_column("close", rows["close"]),
            market.SUSPEND_D: nothing,
        }
        partition = load.Partition(day.isoformat(), day, may_be_empty=True)
        wanted = {table: values for table, values in tables.items() if table.full_name not in without}
        load.load(lake, [load.Load(table, rows, [partition], "trade_date") for table, rows in wanted.items()], stamp(0))

    return run


def evening(lake, day):
    """What a run finds and records; the alerts that stand."""
    checks.record(lake, outages.gathered(lake, checks.find(lake, day)), RULES, day)
    return lake.read(
        "select rule, subject, subject_date, title, evidence from ops.alert where state <> 'resolved' order by all"
    ).to_pylist()


def named(alerts):
    return [(row["rule"], row["subject"], row["subject_date"]) for row in alerts]


def lives(lake):
    rows = lake.read(
        "select event from analyst.alert_change where rule = $rule order by changed_date", rule=outages.RULE
    )
    return rows["event"].to_pylist()


def test_outage_of_a_day_over_5000_securities_is_one_alert_that_lists_what_it_touched(lake, load_whole):
    load_whole(lake, DAYS[0])

    (alert,) = evening(lake, DAYS[1])

    assert named([alert]) == [("vendor_outage", "tushare", DAYS[1])]
    assert alert["title"] == (
        "tushare left a gap with the session of 2024-07-09, 5,000 securities, in market.adj_factor, market.daily,"
        " market.daily_basic, market.suspend_d; feature.feature, feature.log_return wait for them"
    )
    assert all(f'"{table}": "{table} has nothing for the session' in alert["evidence"] for table in TABLES)


def test_outage_resolves_itself_after_the_backfill_and_the_next_one_is_another(lake, load_whole):
    load_whole(lake, DAYS[0])
    evening(lake, DAYS[1])
    load_whole(lake, DAYS[1])

    after = evening(lake, DAYS[2])
    changes = lives(lake)

    assert named(after) == [("vendor_outage", "tushare", DAYS[2])]
    assert changes == ["opened", "resolved", "opened"]


def test_same_day_gone_again_reopens_its_alert(lake, load_whole):
    load_whole(lake, DAYS[0])
    evening(lake, DAYS[1])
    load_whole(lake, DAYS[1])
    whole = evening(lake, DAYS[1])
    lake.commit(
        lambda c: c.execute("update ops.ledger set state = 'failed' where partition = $p", {"p": str(DAYS[1])}),
        message="the vendor took the day back",
    )

    again = evening(lake, DAYS[1])

    assert (whole, named(again)) == ([], [("vendor_outage", "tushare", DAYS[1])])
    assert lake.read_value("select count(*) from ops.alert where rule = 'vendor_outage'") == 1


def test_outage_that_heals_table_by_table_stays_one_alert(lake, load_whole):
    load_whole(lake, DAYS[0])
    evening(lake, DAYS[1])
    load_whole(lake, DAYS[1], without=("market.daily_basic",))

    (alert,) = evening(lake, DAYS[1])

    assert named([alert]) == [("vendor_outage", "tushare", DAYS[1])]
    assert "in market.daily_basic; feature.feature waits for them" in alert["title"]


def test_one_late_table_is_no_outage(lake, load_whole):
    load_whole(lake, DAYS[0])
    load_whole(lake, DAYS[1], without=("market.daily_basic",))

    assert named(evening(lake, DAYS[1])) == [("missing_day", "market.daily_basic", DAYS[1])]


@pytest.mark.exhaustive
def test_gap_that_stands_alone_is_not_resolved_by_an_outage(lake, load_whole):
    """Three tables go missing after the first one was told of."""
    load_whole(lake, DAYS[0])
    load_whole(lake, DAYS[1], without=("market.daily_basic",))
    evening(lake, DAYS[1])
    lake.commit(
        lambda c: c.execute("update ops.ledger set state = 'failed' where partition = $p", {"p": str(DAYS[1])}),
        message="the vendor took the day back",
    )

    assert named(evening(lake, DAYS[1])) == [
        ("missing_day", "market.daily_basic", DAYS[1]),
        ("vendor_outage", "tushare", DAYS[1]),
    ]


SERIES = ("DFF", "DGS10", "T10Y2Y", "VIXCLS")
MACRO_RULES = ["failed_load", "stale_series", outages.RULE]
KNOWN = date(2024, 7, 5)


@pytest.fixture
def macro_lake(empty_lake, frame, stamp, monkeypatch):
    """Four daily series, whole through a Friday; a function that pulls some of them well and the others not at all."""
    monkeypatch.setattr(checks, "CHECKS", [check for check in checks.CHECKS if check.rule in MACRO_RULES])
    heads = (
        "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
        " is_rolling_window licence"
    )
    lines = "".join(f"\n{name} t Percent D 1 1 g false false public" for name in SERIES)
    load.load(
        empty_lake,
        [load.Load(macro.SERIES, frame(macro.SERIES, heads + lines), [load.Partition("all", KNOWN)], None)],
        stamp(0),
    )
    count = iter(range(1, 100))

    def pull(day, failing=()):
        for name in SERIES:
            fails = name in failing
            partition = load.Partition(name, day, failure="VendorUnavailable: gone" if fails else "")
            n_days = 0 if fails else (day - date(2024, 7, 1)).days + 1
            rows = {
                "series_id": [name] * n_days,
                "observation_date": [date(2024, 7, 1) + timedelta(days=at) for at in range(n_days)],
                "value": [float(at) for at in range(n_days)],
            }
            schema = macro.OBSERVATION.arrow_schema
            table = pa.table({key: pa.array(values, schema.field(key).type) for key, values in rows.items()})
            load.load(empty_lake, [vintages.observation_load(table, [partition], pull_date=day)], stamp(next(count)))

    pull(KNOWN)
    return empty_lake, pull


def macro_evening(lake, day):
    checks.record(lake, outages.gathered(lake, checks.find(lake, day)), MACRO_RULES, day)
    return lake.read(
        "select rule, subject, subject_date, title, evidence from ops.alert where state <> 'resolved' order by all"
    ).to_pylist()


def test_series_that_cannot_be_pulled_are_one_outage_also_when_they_go_stale(macro_lake):
    lake, pull = macro_lake
    first, later = KNOWN + timedelta(days=3), KNOWN + timedelta(days=30)
    pull(first, failing=SERIES)

    (alert,) = macro_evening(lake, first)
    pull(later, failing=SERIES)
    (still,) = macro_evening(lake, later)

    assert named([alert]) == named([still]) == [("vendor_outage", "fred", alert["subject_date"])]
    assert "no answer for 4 series" in alert["title"] and "overdue" not in alert["title"]
    assert still["title"].endswith("overdue by now: DFF, DGS10, T10Y2Y, VIXCLS")

    pull(later)
    assert macro_evening(lake, later) == []


def test_one_series_that_fails_and_one_that_is_late_are_no_outage(macro_lake):
    lake, pull = macro_lake
    later = KNOWN + timedelta(days=30)
    pull(later, failing=("DFF",))

    found = named(macro_evening(lake, later))

    assert [(rule, subject) for rule, subject, _ in found] == [
        ("failed_load", "macro.observation"),
        ("stale_series", "DFF"),
    ]


def test_outage_is_told_beside_a_series_that_failed_before_and_keeps_its_day_while_it_heals(macro_lake):
    lake, pull = macro_lake
    first, second, third = (KNOWN + timedelta(days=days) for days in (3, 4, 5))
    pull(first, failing=("DFF",))
    assert [alert[:2] for alert in named(macro_evening(lake, first))] == [("failed_load", "macro.observation")]

    pull(second, failing=SERIES)
    both = named(macro_evening(lake, second))
    pull(third, failing=("DGS10", "VIXCLS"))
    healing = named(macro_evening(lake, third))
    pull(third)

    assert [alert[:2] for alert in both] == [("failed_load", "macro.observation"), ("vendor_outage", "fred")]
    assert both[1] in healing
    assert macro_evening(lake, third) == []
