"""Ways in which the market half goes silently wrong, 1 to 9 of the vendors' list; each test's name carries its number.

Every trap is set in the simulated vendors and sprung by a run over real HTTP into a real lake; asserted is what a
person sees: exit status, ledger, alerts, and that good data stays good. Out of scope: index_weight (2) is no table of
Daybook, so only what its traps have in common with index_daily is staged; 8, 10 and 11 are FRED's, see
test_silent_failures_fred.py; the rest is in test_silent_failures_values.py.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from warehouse import errors
from warehouse.sources import http, market, truth, tushare
from warehouse.sources.faults import Fault

pytestmark = pytest.mark.exhaustive

GAP = errors.PartialData.exit_code
WHOLE, DAILY, FACTOR, BASIC = ("ok", ""), "market.daily", "market.adj_factor", "market.daily_basic"


@pytest.fixture(scope="module")
def days(truth30):
    """The two sessions after those that the settled desk knows."""
    return truth30.session_dates[16], truth30.session_dates[17]


def rows_of(of_truth, sheet, day, names):
    """What the vendor knows of a session."""
    table = of_truth.sheets[sheet]
    key = int(truth.compact(day))
    return sorted(table.rows(table.positions(key, key), names))


def with_rows(of_truth, sheet, keep, extra=None):
    """A truth whose sheet has only the rows that `keep(ts_code, trade_date)` says, and some more."""
    columns = of_truth.sheets[sheet].columns
    chosen = np.array([keep(*key) for key in zip(columns["ts_code"], columns["trade_date"], strict=True)])
    kept = {name: values[chosen] for name, values in columns.items()}
    if extra:
        kept = {
            name: np.append(values, np.array([extra.get(name, np.nan)], values.dtype)) for name, values in kept.items()
        }
    return dataclasses.replace(of_truth, sheets={**of_truth.sheets, sheet: truth.sheet_from_columns(kept)})


def calm_code(of_truth, days):
    """A security that trades on some days and on the one before, with nothing planted in it and the same factor."""
    table = of_truth.sheets["adj_factor"]
    planted = {each.ts_code for each in of_truth.anomalies}
    factors = {code: {values[0] for values in table.rows(at, ["adj_factor"])} for code, at in table.by_code.items()}
    bars = {code for day in days for (code,) in rows_of(of_truth, "daily", day, ["ts_code"])}
    return next(code for code in sorted(bars) if code not in planted and len(factors[code]) == 1)


def bars_of(desk, day):
    held = desk.read("select ts_code, close, vol from market.daily where trade_date = $day order by 1", day=day)
    return [tuple(row.values()) for row in held]


@pytest.mark.parametrize("fault", [Fault("empty", "daily"), Fault("status", "daily", status=504)], ids=["empty", "504"])
def test_trap_01_nothing_on_an_open_day_is_a_failure_and_not_a_fact(desk, truth30, days, fault):
    """Tushare's own client gives the same empty frame for both."""
    day = days[0]
    desk.vendor.faults.add(fault)

    first = desk.evening(day)
    state, alerts = desk.ledger(DAILY, day), desk.alerts()
    desk.vendor.faults.clear()
    second = desk.evening(day)

    assert first.exit_code == GAP and "market.daily has nothing" in first.message
    assert state == ("failed", "vendor_error")
    assert alerts == [("missing_day", DAILY, day)]
    assert (second.exit_code, desk.ledger(DAILY, day), desk.alerts()) == (0, WHOLE, [])
    assert bars_of(desk, day) == rows_of(truth30, "daily", day, ["ts_code", "close", "vol"])


def test_trap_01_weekend_is_not_asked_for_and_is_no_gap(desk, days):
    saturday = days[0] - timedelta(days=days[0].weekday()) - timedelta(days=2)

    ran = desk.evening(saturday)

    assert (ran.exit_code, desk.alerts()) == (0, [])
    assert desk.ledger(DAILY, saturday) in (None, ("empty_confirmed", "holiday"))
    asked = desk.read("select params from vendor.reply where endpoint = 'daily'")
    assert f"{saturday:%Y%m%d}" not in "".join(row["params"] for row in asked)


def test_trap_02_index_that_the_vendor_does_not_serve_is_a_failure(open_desk, truth30, days):
    """An alias, an unlicensed index and a code without its exchange all come back empty from the vendor."""
    desk = open_desk(truth30, days[0], index_codes=("000300.SH", "000985.SH", "000300"))

    ran = desk.evening(days[0])

    assert ran.exit_code == GAP
    assert desk.ledger("market.index_daily", "000300.SH") == WHOLE
    assert desk.ledger("market.index_daily", "000985.SH") == ("failed", "vendor_error")
    assert desk.ledger("market.index_daily", "000300") == ("failed", "vendor_error")
    assert [(rule, subject) for rule, subject, _ in desk.alerts()] == [("failed_load", "market.index_daily")]


def test_trap_02_index_with_a_hole_is_partial_and_the_hole_is_named(open_desk, truth30, days):
    sessions = truth30.session_dates
    hole = {truth.compact(day) for day in sessions[13:15]}
    holed = with_rows(truth30, "index_daily", lambda code, day: (code, day in hole) != ("000300.SH", True))
    desk = open_desk(holed, sessions[11])

    desk.evening(days[0])

    assert desk.ledger("market.index_daily", "000300.SH")[0] == "partial"
    assert desk.ledger("market.index_daily", "000001.SH") == WHOLE
    assert desk.alerts() == [("index_gap", "000300.SH", sessions[13])]


def test_trap_03_day_beyond_the_row_cap_is_loaded_whole_by_code_lists(desk, truth30, days):
    """30 securities against a cap of 12: lists of 30, 15 and 7 or 8 codes."""
    desk.vendor.faults.add(Fault("row_cap", "daily", cap=12))

    ran = desk.evening(days[0])

    assert (ran.exit_code, desk.ledger(DAILY, days[0]), desk.alerts()) == (0, WHOLE, [])
    assert bars_of(desk, days[0]) == rows_of(truth30, "daily", days[0], ["ts_code", "close", "vol"])


def test_trap_03_answer_that_stays_cut_is_refused_whole(desk, days):
    desk.vendor.faults.add(Fault("row_cap", "daily", cap=0))

    ran = desk.evening(days[0])

    assert (ran.exit_code, desk.ledger(DAILY, days[0])) == (GAP, ("failed", "truncated"))
    assert desk.alerts() == [("missing_day", DAILY, days[0])]
    assert bars_of(desk, days[0]) == []


def test_trap_04_factor_that_does_not_fit_is_replaced_from_its_history_and_leaves_a_trace(desk, truth30, days):
    code, key = calm_code(truth30, days), truth.compact(days[0])
    wrong = Fault("late_correction", "adj_factor", key, column="adj_factor", factor=1.1, ts_codes=(code,))
    desk.vendor.faults.add(wrong)

    ran = desk.evening(days[0])

    table = truth30.sheets["adj_factor"]
    factor = table.rows(table.by_code[code][:1], ["adj_factor"])[0][0]
    held = desk.read("select distinct adj_factor from market.adj_factor where ts_code = $c", c=code)
    revised = desk.read("select row_key, old_value from ops.revision where column_name = 'adj_factor'")
    assert (ran.exit_code, desk.alerts()) == (0, [])
    assert held == [{"adj_factor": factor}]
    assert [json.loads(row["row_key"])["ts_code"] for row in revised] == [code]
    assert float(revised[0]["old_value"]) == pytest.approx(factor * 1.1)


def test_trap_04_factor_that_is_wrong_at_the_vendor_is_an_alert_and_prices_stay_as_traded(open_desk, truth30, days):
    code, key = calm_code(truth30, days), truth.compact(days[0])
    names = ["ts_code", "trade_date", "adj_factor"]
    (row,) = [row for row in rows_of(truth30, "adj_factor", days[0], names) if row[0] == code]
    bad = with_rows(
        truth30,
        "adj_factor",
        lambda *pair: pair != (code, key),
        dict(zip(names, (*row[:2], row[2] * 1.1), strict=True)),
    )
    desk = open_desk(bad, truth30.session_dates[15])

    desk.evening(days[0])

    prices = desk.read(
        "select close_cny, close_adjusted_cny from analyst.price_adjusted where ts_code = $c and trade_date = $d",
        c=code,
        d=days[0],
    )
    assert desk.alerts() == [("adjustment_misfit", code, days[0])]
    assert bars_of(desk, days[0]) == rows_of(truth30, "daily", days[0], ["ts_code", "close", "vol"])
    assert prices[0]["close_adjusted_cny"] == pytest.approx(prices[0]["close_cny"] * row[2] * 1.1)


REFUSALS = {
    "no permission": (Fault("no_permission", "daily_basic"), "no_permission"),
    "rate limit of an hour": (Fault("rate_limit", "daily_basic", seconds=3600.0), "rate_limited"),
}


@pytest.mark.parametrize(("fault", "cause"), REFUSALS.values(), ids=REFUSALS)
def test_trap_05_refusal_is_told_apart_by_its_words_and_stops_nothing_else(desk, days, fault, cause):
    """Both come with code 40203 and HTTP status 200."""
    day = days[0]
    desk.vendor.faults.add(fault)

    first = desk.evening(day)
    states = [desk.ledger(dataset, day) for dataset in (BASIC, DAILY, FACTOR)]
    alerts = desk.alerts()
    desk.vendor.faults.clear()
    second = desk.evening(day)

    assert first.exit_code == GAP and "code 40203" in first.message
    assert states == [("failed", cause), WHOLE, WHOLE]
    assert alerts == [("missing_day", BASIC, day)]
    assert (second.exit_code, desk.ledger(BASIC, day), desk.alerts()) == (0, WHOLE, [])


def test_trap_05_limit_of_an_hour_costs_no_hour_and_no_other_endpoint(scripted):
    """The free account may ask for stock_basic once an hour; each run asks three times."""
    policy = http.Policy(calls=100_000, attempts=2, backoff_s=0.01, read_timeout_s=1.0)
    now = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    source = tushare.TushareSource(
        "a-token", base_url=scripted.url, now=lambda: now, keep=lambda reply: None, policy=policy
    )
    refused = {"code": 40203, "msg": "抱歉，您每小时最多访问该接口1次", "data": None}
    scripted.will_answer(json.dumps(refused).encode())

    for _ in range(10):
        with pytest.raises(errors.RateLimited):
            source.fetch_stock_basic()
    n_asked = len(scripted.asked)
    data = {"fields": ["ts_code", "trade_date", "adj_factor"], "items": [["600000.SH", "20261120", 1.0]]}
    scripted.will_answer(json.dumps({"code": 0, "data": data}).encode())

    assert source.fetch_adj_factor(now.date()).num_rows == 1
    # The first refusal tells the limit; one more call is then allowed, and the others are not even sent.
    assert n_asked == 2


def test_trap_06_security_that_is_gone_counts_for_the_days_on_which_it_was_listed(open_desk, truth30):
    sessions = truth30.session_dates
    code = calm_code(truth30, sessions[11:14])
    gone = sessions[14]
    listings = tuple(
        dataclasses.replace(each, delist_date=gone) if each.ts_code == code else each for each in truth30.listings
    )
    shrunk = dataclasses.replace(truth30, listings=listings)
    for sheet in ("daily", "adj_factor", "daily_basic", "suspend_d"):
        shrunk = with_rows(shrunk, sheet, lambda one, day: one != code or day < truth.compact(gone))
    desk = open_desk(shrunk, sessions[11])

    ran = desk.evening(sessions[16])

    held = desk.read("select trade_date from market.daily where ts_code = $c order by 1", c=code)
    listed = desk.read("select list_status, delist_date from market.stock_basic where ts_code = $c", c=code)
    expected = desk.read("select partition, n_expected from ops.ledger where dataset = 'market.daily' order by 1")
    bars = {str(day): len(rows_of(shrunk, "daily", day, ["ts_code"])) for day in sessions[11:17]}
    assert (ran.exit_code, desk.alerts()) == (0, [])
    assert [row["trade_date"] for row in held] == list(sessions[11:14])
    assert listed == [{"list_status": "D", "delist_date": gone}]
    assert {row["partition"]: row["n_expected"] for row in expected} == bars


def test_trap_06_bar_that_nobody_expected_does_not_make_up_for_one_that_never_came(open_desk, truth30, days):
    """A listing that the vendor's master lacks, as 601313.SH, on a day that lost another security's bar."""
    code, key = calm_code(truth30, days), truth.compact(days[0])
    names = list(truth30.sheets["daily"].columns)
    bar = dict(zip(names, rows_of(truth30, "daily", days[0], names)[0], strict=True)) | {"ts_code": "601313.SH"}
    swapped = with_rows(truth30, "daily", lambda one, day: (one, day) != (code, key), bar)
    for sheet in ("adj_factor", "daily_basic"):
        names = list(truth30.sheets[sheet].columns)
        row = dict(zip(names, rows_of(truth30, sheet, days[0], names)[0], strict=True)) | {"ts_code": "601313.SH"}
        swapped = with_rows(swapped, sheet, lambda one, day: True, row)
    desk = open_desk(swapped, days[0])

    ran = desk.evening(days[0])

    assert ran.exit_code == GAP and f"such as that of {code}" in ran.message
    assert {("row_missing", DAILY, days[0]), ("bar_unknown", "601313.SH", days[0])} <= set(desk.alerts())
    assert "601313.SH" in [ts_code for ts_code, *_ in bars_of(desk, days[0])]


def test_trap_06_security_whose_code_changed_is_one_security_and_no_gap(open_desk, truth30):
    """The vendor lists it under the new code only, and keeps the bars of before under the old one."""
    sessions = truth30.session_dates
    old, new, change = calm_code(truth30, sessions[11:17]), "920001.BJ", truth.compact(sessions[14])
    listings = tuple(
        dataclasses.replace(each, ts_code=new) if each.ts_code == old else each for each in truth30.listings
    )
    sheets = dict(truth30.sheets)
    for name in ("daily", "adj_factor", "daily_basic"):
        columns = dict(sheets[name].columns)
        keys = zip(columns["ts_code"], columns["trade_date"], strict=True)
        columns["ts_code"] = np.array(
            [new if (code, day >= change) == (old, True) else code for code, day in keys], object
        )
        sheets[name] = truth.sheet_from_columns(columns)
    changed = dataclasses.replace(truth30, listings=listings, sheets=sheets, code_changes=(("甲", old, new),))
    desk = open_desk(changed, sessions[11])

    ran = desk.evening(sessions[16])

    held = desk.read(
        "select ts_code, count(*) as n from market.daily where ts_code in ($o, $n) group by all order by 1",
        o=old,
        n=new,
    )
    assert (ran.exit_code, desk.alerts()) == (0, [])
    assert {row["ts_code"]: row["n"] for row in held} == {old: 3, new: 3}


def test_trap_06_codes_that_cannot_be_had_are_a_gap_and_those_known_stay(open_desk, truth30):
    changed = dataclasses.replace(truth30, code_changes=(("甲", "831234.BJ", truth30.listings[0].ts_code),))
    days = truth30.session_dates[15:18]
    desk = open_desk(changed, days[0])
    known = "select old_code, source from market.code_change where source = 'bse_mapping'"
    desk.evening(days[0])
    whole, before = desk.ledger("market.code_change", "bse_mapping"), desk.read(known)

    desk.vendor.faults.add(Fault("no_permission", "bse_mapping"))
    refused = desk.evening(days[1])
    of_refusal, alerts = desk.ledger("market.code_change", "bse_mapping"), [rule for rule, *_ in desk.alerts()]
    stayed = desk.read(known)
    desk.vendor.faults.clear()
    mended = desk.evening(days[2])

    assert (whole, len(before)) == (WHOLE, 1)
    assert refused.exit_code == GAP and "market.code_change" in refused.message
    assert (of_refusal, alerts, stayed) == (("partial", "no_permission"), ["failed_load"], before)
    assert (mended.exit_code, desk.ledger("market.code_change", "bse_mapping"), desk.alerts()) == (0, WHOLE, [])


def test_trap_07_holiday_announced_late_is_no_gap_once_the_calendar_says_so(open_desk):
    """In November the vendor shows New Year's Day as open; the notice comes in December."""
    new_year, january = date(2027, 1, 1), date(2027, 1, 4)
    winter = market.synthetic_market(seed=3, n_symbols=20, n_sessions=30, end_date=january)
    day = date(2026, 11, 25)
    desk = open_desk(winter, day)
    said = "select is_open from market.trade_cal where exchange = 'SSE' and cal_date = $d"

    first = desk.evening(day)
    before = desk.read(said, d=new_year)
    desk.evening(january)

    assert first.exit_code == 0
    assert (before, desk.read(said, d=new_year)) == ([{"is_open": True}], [{"is_open": False}])
    assert desk.ledger(DAILY, new_year) is None
    assert desk.ledger(DAILY, january) == WHOLE
    assert [rule for rule, _, _ in desk.alerts() if rule in ("missing_day", "partial_day")] == []


def test_trap_07_order_of_rows_is_irrelevant(desk, truth30, days):
    """The calendar's order was flipped in February 2023; no page says which order a whole-market answer has."""
    desk.vendor.faults.add(Fault("reversed_rows"))

    ran = desk.evening(days[0])

    calendar = desk.read(
        "select cal_date from market.trade_cal where is_open and cal_date <= $d order by 1 desc limit 2", d=days[0]
    )
    assert (ran.exit_code, desk.alerts()) == (0, [])
    assert [row["cal_date"] for row in calendar] == [days[0], truth30.session_dates[15]]
    assert bars_of(desk, days[0]) == rows_of(truth30, "daily", days[0], ["ts_code", "close", "vol"])


def test_trap_07_calendar_with_holes_is_refused_and_the_old_one_stands(desk, days):
    """A session that the calendar lacks would never be asked for, and nobody would miss it."""
    desk.vendor.faults.add(Fault("partial_market", "trade_cal", share=0.9))

    ran = desk.evening(days[0])

    assert ran.exit_code == GAP and "trade_cal" in ran.message
    assert [(rule, subject) for rule, subject, _ in desk.alerts()] == [("failed_load", "market.trade_cal")]
    assert desk.ledger(DAILY, days[0]) == WHOLE


def test_trap_07_session_that_the_vendor_calls_closed_is_contradicted(open_desk, truth30, days):
    wrong = dataclasses.replace(truth30, calendar={**truth30.calendar, days[0]: False})
    desk = open_desk(wrong, truth30.session_dates[15])

    ran = desk.evening(days[0])

    assert ran.exit_code == GAP
    assert ("calendar_disagreement", "SSE", days[0]) in desk.alerts()


def test_trap_09_day_asked_for_before_it_is_published_says_so_and_heals(desk, days):
    day = days[0]

    early = desk.evening(day, datetime(day.year, day.month, day.day, 7, 30, tzinfo=UTC))
    state = desk.ledger(DAILY, day)
    evening = desk.evening(day)

    # 07:30 UTC is 15:30 in Shanghai, half an hour after the close; suspensions and factors come in the morning.
    assert early.exit_code == GAP
    assert state == ("failed", "not_yet_published")
    assert (evening.exit_code, desk.ledger(DAILY, day), desk.alerts()) == (0, WHOLE, [])


def test_trap_09_half_a_market_is_partial_until_the_rest_has_come(desk, truth30, days):
    desk.vendor.faults.add(Fault("partial_market", "daily", share=0.6))

    first = desk.evening(days[0])
    state, alerts, n_bars = desk.ledger(DAILY, days[0]), desk.alerts(), len(bars_of(desk, days[0]))
    desk.vendor.faults.clear()
    second = desk.evening(days[1])

    assert first.exit_code == GAP and "rows" in first.message
    assert state[0] == "partial" and ("partial_day", DAILY, days[0]) in alerts
    assert 0 < n_bars < len(rows_of(truth30, "daily", days[0], ["ts_code"]))
    assert (second.exit_code, desk.ledger(DAILY, days[0]), desk.alerts()) == (0, WHOLE, [])
    assert bars_of(desk, days[0]) == rows_of(truth30, "daily", days[0], ["ts_code", "close", "vol"])


def test_trap_09_provisional_figures_are_replaced_the_next_evening_and_kept(desk, truth30, days):
    """Whole by count, and yet not final: only asking again can tell."""
    code = calm_code(truth30, days)
    key = truth.compact(days[0])
    desk.vendor.faults.add(Fault("late_correction", "daily", key, column="vol", factor=0.999, ts_codes=(code,)))
    desk.evening(days[0])
    provisional = dict((one, vol) for one, _, vol in bars_of(desk, days[0]))[code]
    desk.vendor.faults.clear()

    ran = desk.evening(days[1])

    revised = desk.read("select row_key, old_value, new_value from ops.revision where column_name = 'vol'")
    final = dict((one, vol) for one, _, vol in rows_of(truth30, "daily", days[0], ["ts_code", "close", "vol"]))[code]
    assert (ran.exit_code, desk.alerts()) == (0, [])
    assert bars_of(desk, days[0]) == rows_of(truth30, "daily", days[0], ["ts_code", "close", "vol"])
    assert [(float(row["old_value"]), float(row["new_value"])) for row in revised] == [(provisional, final)]


def test_trap_09_day_that_is_spoiled_when_it_is_asked_for_again_is_an_alert_with_the_old_values(desk, truth30, days):
    """The evening after, the vendor sends every volume of a whole, good session one tenth higher."""
    good, key = truth30.session_dates[15], truth.compact(truth30.session_dates[15])
    desk.vendor.faults.add(Fault("late_correction", "daily", key, column="vol", factor=1.1))

    desk.evening(days[0])

    old = desk.read("select old_value from ops.revision where column_name = 'vol'")
    assert ("mass_revision", DAILY, good) in desk.alerts()
    assert sorted(float(row["old_value"]) for row in old) == sorted(
        vol for (vol,) in rows_of(truth30, "daily", good, ["vol"])
    )
