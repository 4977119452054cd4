"""Ways in which the market half goes silently wrong, 12 to 27 of the vendors' list; a test's name carries its number.

As in test_silent_failures.py, by a run over real HTTP into a real lake. Out of scope: stk_limit (23) is no table of
Daybook, which derives price limits from pre_close; what its cap has in common with other tables is staged. 25 and
26 are in test_silent_failures_secrets.py; 13, 16 and 19 to 22 are FRED's, see test_silent_failures_fred.py.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

import flows
import models
import reports
import warehouse
from flows import clock, steps
from warehouse import errors
from warehouse.sources import http, truth, tushare
from warehouse.sources.faults import Fault

pytestmark = pytest.mark.exhaustive

GAP = errors.PartialData.exit_code
WHOLE, DAILY, FACTOR, BASIC = ("ok", ""), "market.daily", "market.adj_factor", "market.daily_basic"
ROOMS = (flows, models, reports, warehouse)
TOKEN = "planted-token-0925-secret"
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
QUICK = http.Policy(calls=100_000, attempts=1, read_timeout_s=1.0)


@pytest.fixture(scope="module")
def day(truth30):
    """The session after those that the settled desk knows."""
    return truth30.session_dates[16]


def rows_of(of_truth, sheet, day, names):
    """What the vendor knows of a session."""
    table = of_truth.sheets[sheet]
    key = int(truth.compact(day))
    return sorted(table.rows(table.positions(key, key), names))


def sources_of_code():
    """Every module of ours, as text."""
    return {path: path.read_text() for room in ROOMS for path in Path(room.__file__).parent.rglob("*.py")}


@pytest.fixture(scope="module")
def later(truth30):
    """The session after `day`."""
    return truth30.session_dates[17]


def bars_of(desk, day):
    held = desk.read("select ts_code, close, vol from market.daily where trade_date = $day order by 1", day=day)
    return [tuple(row.values()) for row in held]


def test_trap_12_outage_over_one_day_of_a_catch_up_leaves_that_day_and_no_other(desk, truth30, day, later):
    desk.vendor.faults.add(Fault("reset", "daily", partition=truth.compact(day)))

    first = desk.evening(later)
    states = [desk.ledger(DAILY, each) for each in (day, later)]
    alerts = desk.alerts()
    desk.vendor.faults.clear()
    second = desk.evening(later)

    assert first.exit_code == GAP and str(day) in first.message
    assert states == [("failed", "vendor_error"), WHOLE]
    assert ("missing_day", DAILY, day) in alerts
    assert (second.exit_code, desk.alerts()) == (0, [])
    for each in (day, later):
        assert bars_of(desk, each) == rows_of(truth30, "daily", each, ["ts_code", "close", "vol"])


def test_trap_12_dead_vendor_is_given_up_and_each_day_is_one_alert_that_lists_every_table(desk, day, later):
    desk.vendor.faults.add(Fault("status", status=504))

    ran = desk.evening(later)
    ((_, n_requests),) = desk.vendor.faults.hits()
    alerts = desk.alerts()
    (title,) = [one["title"] for one in desk.read("select title from ops.alert where subject_date = $d", d=later)]
    desk.vendor.faults.clear()
    healed = desk.evening(later)

    assert ran.exit_code == GAP and "tushare left a gap" in ran.message
    assert alerts == [("vendor_outage", "tushare", day), ("vendor_outage", "tushare", later)]
    assert all(name in title for name in (DAILY, FACTOR, BASIC, "market.suspend_d", "feature.log_return"))
    assert (healed.exit_code, desk.alerts()) == (0, [])
    # Thirteen calls of two tries each were due; after eight failures in a row only those in flight still go out.
    assert n_requests <= 2 * 8 + 4


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option is deprecated")
@pytest.mark.parametrize("as_str", [True, False], ids=["text as str", "text as object"])
def test_trap_14_facts_do_not_depend_on_how_pandas_types_text(desk, truth30, day, as_str):
    """Text columns are str since pandas 3 and object before; an empty one is object in both."""
    with pd.option_context("future.infer_string", as_str):
        ran = desk.evening(day)

    names = ["ts_code", "close", "pct_chg"]
    held = desk.read(f"select {', '.join(names)} from market.daily where trade_date = $day order by 1", day=day)
    assert (ran.exit_code, desk.alerts()) == (0, [])
    assert [tuple(row.values()) for row in held] == rows_of(truth30, "daily", day, names)


def test_trap_14_nothing_is_computed_by_functions_whose_meaning_pandas_changed():
    """pct_change pads by default before pandas 3 and not since; fillna(method=) is gone."""
    changed = ("pct_change(", "fillna(method", ".append(pd.", "infer_objects(")

    assert {str(path): word for path, text in sources_of_code().items() for word in changed if word in text} == {}


UNITS = {
    # Lots are 100 shares, amounts thousand CNY: every bar of the session is wrong at once.
    "volume in shares": (Fault("late_correction", "daily", column="vol", factor=100.0), "vwap_outside_range", DAILY),
    "amount in CNY": (Fault("late_correction", "daily", column="amount", factor=1000.0), "vwap_outside_range", DAILY),
    "after hours in volume only": (
        Fault("late_correction", "daily", column="vol", factor=1.3),
        "vwap_outside_range",
        DAILY,
    ),
    "pct_chg as a fraction": (
        Fault("late_correction", "daily", column="pct_chg", factor=0.01),
        "pct_chg_disagrees",
        DAILY,
    ),
    "turnover as a fraction": (
        Fault("late_correction", "daily_basic", column="turnover_rate", factor=0.01),
        "turnover_disagrees",
        BASIC,
    ),
    "market value in CNY": (
        Fault("late_correction", "daily_basic", column="circ_mv", factor=10_000.0),
        "turnover_disagrees",
        BASIC,
    ),
    "another close in daily_basic": (
        Fault("late_correction", "daily_basic", column="close", factor=1.01),
        "basic_close_differs",
        BASIC,
    ),
}


@pytest.mark.parametrize(("fault", "rule", "dataset"), UNITS.values(), ids=UNITS)
def test_trap_15_another_unit_is_one_grave_alert_of_the_table(desk, day, fault, rule, dataset):
    desk.vendor.faults.add(dataclasses.replace(fault, partition=truth.compact(day)))

    desk.evening(day)

    alerts = desk.read(
        "select subject, severity, subject_date from ops.alert where state = 'open' and rule = $r", r=rule
    )
    assert alerts == [{"subject": dataset, "severity": "high", "subject_date": day}]


def test_trap_15_after_hours_volume_is_neither_asked_for_nor_taken(scripted, source):
    """Since 2026-07-06 it is in ah_vol and ah_amount, which a vendor may one day send without being asked."""
    names = ["ah_amount", "ts_code", "trade_date", *("open", "high", "low", "close", "pre_close", "change", "pct_chg")]
    row = [5.0, "600000.SH", "20261120", *([10.0] * 5), 0.0, 0.0, 100.0, 100.0, 50.0]
    data = {"fields": [*names, "vol", "amount", "ah_vol"], "items": [row]}
    scripted.will_answer(json.dumps({"code": 0, "msg": "", "data": data}).encode())

    bar = source.fetch_daily(DAY).to_pylist()[0]

    assert "ah_" not in json.loads(scripted.asked[0][1])["fields"]
    assert (bar["vol"], bar["amount"]) == (100.0, 100.0)
    assert "ah_vol" not in bar


def test_trap_17_missing_earnings_are_a_fact_and_no_missing_row(desk, truth30, day):
    """A loss-maker has no price/earnings ratio."""
    ran = desk.evening(day)

    sent = [
        (code, None if pe != pe else pe) for code, pe in rows_of(truth30, "daily_basic", day, ["ts_code", "pe_ttm"])
    ]
    held = desk.read("select ts_code, pe_ttm from market.daily_basic where trade_date = $d order by 1", d=day)
    assert [tuple(row.values()) for row in held] == sent
    assert 0 < sum(pe is None for _, pe in sent) < len(sent)
    assert (ran.exit_code, desk.alerts(), desk.ledger(BASIC, day)) == (0, [], WHOLE)
    assert desk.read("select count(*) as n from ops.quarantine") == [{"n": 0}]


def test_trap_17_amounts_missing_from_the_start_are_null_and_no_alert(open_desk, truth30, day):
    """As in the early 1990s."""
    desk = open_desk(truth30, truth30.session_dates[11])
    desk.vendor.faults.add(Fault("null_column", "daily", column="amount"))

    ran = desk.evening(day)

    totals = desk.read(
        "select count(*) as n, count(amount_cny) as n_amounts, count(volume_shares) as n_volumes"
        " from analyst.price_adjusted"
    )
    assert totals[0]["n"] == totals[0]["n_volumes"] > 0 == totals[0]["n_amounts"]
    assert (ran.exit_code, desk.alerts()) == (0, [])


def test_trap_18_previous_close_and_change_are_the_vendors_own_on_an_ex_rights_day(open_desk, truth30):
    """The library's pro_bar puts the raw previous close there: a dividend looks like a loss."""
    names = ["ts_code", "trade_date", "close", "pre_close", "pct_chg"]
    sheet = truth30.sheets["daily"]
    ex_days = []
    for rows in (sheet.rows(at, names) for at in sheet.by_code.values()):
        ex_days += [b for a, b in itertools.pairwise(rows) if abs(a[2] - b[3]) > 0.005]
    ex_day = next((row for row in ex_days if str(row[1]) > truth.compact(truth30.session_dates[1])), None)
    assert ex_day is not None
    session = datetime.strptime(ex_day[1], "%Y%m%d").date()
    desk = open_desk(truth30, truth30.session_dates[truth30.session_dates.index(session) - 1])

    desk.evening(session)

    held = desk.read(
        "select pre_close, pct_chg from market.daily where ts_code = $c and trade_date = $d", c=ex_day[0], d=session
    )
    computed = desk.read(
        "select log_return_1d from feature.log_return where ts_code = $c and trade_date = $d", c=ex_day[0], d=session
    )
    assert held == [{"pre_close": ex_day[3], "pct_chg": ex_day[4]}]
    assert computed[0]["log_return_1d"] == pytest.approx(math.log1p(ex_day[4] / 100), abs=2e-3)
    assert [path for path, text in sources_of_code().items() if "pro_bar" in text] == []


def test_trap_23_every_table_of_a_session_is_asked_in_parts_when_it_is_capped(desk, truth30, day):
    for endpoint in ("adj_factor", "daily_basic", "suspend_d"):
        desk.vendor.faults.add(Fault("row_cap", endpoint, cap=12))

    ran = desk.evening(day)

    factors = desk.read("select ts_code, adj_factor from market.adj_factor where trade_date = $d order by 1", d=day)
    assert (ran.exit_code, desk.alerts()) == (0, [])
    assert [tuple(row.values()) for row in factors] == rows_of(truth30, "adj_factor", day, ["ts_code", "adj_factor"])
    assert [desk.ledger(dataset, day) for dataset in (FACTOR, BASIC)] == [WHOLE, WHOLE]


def test_trap_24_column_that_became_all_null_keeps_its_type_and_is_an_alert(desk, day):
    desk.vendor.faults.add(Fault("null_column", "daily_basic", truth.compact(day), column="pe_ttm"))

    desk.evening(day)

    lost = desk.read(
        "select count(*) as n, count(pe_ttm) as n_pe, count(pb) as n_pb from market.daily_basic where trade_date = $d",
        d=day,
    )
    types = {
        kind
        for path in (desk.options.lake.path / "data" / "market" / "daily_basic").rglob("*.parquet")
        for name, kind in parquet_types(desk, path)
        if name == "pe_ttm"
    }
    assert desk.alerts() == [("null_column", "market.daily_basic.pe_ttm", day)]
    assert lost[0]["n"] == lost[0]["n_pb"] > 0 == lost[0]["n_pe"]
    assert types == {"DOUBLE"}


def parquet_types(desk, path):
    rows = desk.read("select name, type from parquet_schema($path)", path=str(path))
    return [(row["name"], row["type"]) for row in rows]


def test_trap_24_column_that_must_not_be_null_is_set_aside_with_its_rows(desk, truth30, day):
    desk.vendor.faults.add(Fault("null_column", "daily", truth.compact(day), column="close"))

    ran = desk.evening(day)

    n_bars = len(rows_of(truth30, "daily", day, ["ts_code"]))
    aside = desk.read("select rule, count(*) as n from ops.quarantine where dataset = 'market.daily' group by all")
    assert (ran.exit_code, desk.ledger(DAILY, day)[0]) == (GAP, "failed")
    assert ("missing_day", DAILY, day) in desk.alerts()
    assert aside == [{"rule": "not_null", "n": n_bars}]
    assert desk.ledger(FACTOR, day) == WHOLE


@pytest.fixture
def source(scripted):
    return tushare.TushareSource(TOKEN, base_url=scripted.url, now=lambda: NOW, keep=lambda reply: None, policy=QUICK)


ZONES = ("UTC", "America/Los_Angeles", "Pacific/Kiritimati")


@pytest.fixture(params=ZONES)
def host_zone(request, monkeypatch):
    """This machine's zone for one test."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


# Instant in UTC, the newest published day, Shanghai's day, Chicago's day.
INSTANTS = [
    # 07:30 in Shanghai: yesterday's market is the newest; it is still yesterday in Chicago.
    ("2026-11-19T23:30:00+00:00", date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 19)),
    # 00:30 in Shanghai.
    ("2026-11-19T16:30:00+00:00", date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 19)),
    # 18:00 in Shanghai, 04:00 in Chicago.
    ("2026-11-20T10:00:00+00:00", date(2026, 11, 20), date(2026, 11, 20), date(2026, 11, 20)),
    # 23:30 in Chicago: tomorrow afternoon in Shanghai.
    ("2026-11-21T05:30:00+00:00", date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 20)),
]


@pytest.mark.parametrize(("instant", "published", "shanghai", "chicago"), INSTANTS, ids=[one[0] for one in INSTANTS])
def test_trap_27_days_are_those_of_the_vendors_whatever_the_machines_zone(
    host_zone, instant, published, shanghai, chicago
):
    now = datetime.fromisoformat(instant)

    assert (clock.market_date(now), clock.known_date(now), clock.fred_date(now)) == (published, shanghai, chicago)


def test_trap_27_run_before_eight_in_the_morning_in_beijing_loads_the_right_session(desk, truth30, day, host_zone):
    """07:30 in Shanghai is 23:30 of the day before in UTC."""
    morning = datetime.combine(truth30.session_dates[17], datetime.min.time(), UTC).replace(hour=0)
    at = morning - pd.Timedelta(minutes=30).to_pytimedelta()
    desk.vendor.clock.set(at)

    context = steps.open_context(desk.options, "daily")
    ran = desk.evening(steps.resolve_as_of(context, None), at)

    asked = desk.read("select distinct params from vendor.reply where endpoint = 'daily' order by 1")
    last = max(json.loads(row["params"])["trade_date"] for row in asked)
    assert context.run_id == f"daily/{day}"
    assert last == truth.compact(day)
    assert (ran.exit_code, desk.ledger(DAILY, day), desk.alerts()) == (0, WHOLE, [])
