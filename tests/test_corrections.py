"""What vendors complete and correct after a session's evening: asked for again, corrected in place, and told."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from flows import clock, ingest, settings, steps, vendors
from warehouse import lake, returns
from warehouse.sources import faults, market
from warehouse.sources import truth as sources_truth

N_SYMBOLS, N_SESSIONS = 24, 24


@pytest.fixture(scope="module")
def truth():
    return market.synthetic_market(seed=5, n_symbols=N_SYMBOLS, n_sessions=N_SESSIONS)


@pytest.fixture(scope="module")
def vendor(truth):
    with vendors.running(truth, vendors.evening_of(truth.session_dates[-1])) as running:
        yield running


@pytest.fixture
def desk(tmp_path, vendor, truth):
    """The market half of an evening's work, in a home of its own."""
    vendor.faults.clear()
    known = {
        name.removeprefix("DAYBOOK__").lower(): value for name, value in vendors.environment(vendor, tmp_path).items()
    }
    known["index_codes"] = tuple(json.loads(known["index_codes"]))
    options = settings.read_settings(**(known | {"vendor_attempts": 1, "_env_file": None}))
    return Desk(options, vendor, truth.session_dates[0])


class Desk:
    def __init__(self, options, vendor, first):
        self.options, self.vendor, self.first = options, vendor, first

    def evening(self, day, at=None):
        """Ingest sessions up to `day` at its evening, or at another instant."""
        self.vendor.clock.set(at or vendors.evening_of(day))
        context = steps.open_context(self.options, "daily", day)
        ingest.ingest_reference(context)
        rows = ingest.ingest_sessions(context, self.first, day, steps.no_progress)
        with context.writer() as opened:
            returns.update_returns(opened, context.stamp())
        return rows

    def read(self, statement, **params):
        with lake.open_reader(self.options.lake) as opened:
            return opened.read(statement, **params).to_pylist()

    def returns_of(self, ts_code):
        rows = self.read("select * from feature.log_return where ts_code = $code order by trade_date", code=ts_code)
        return [(row["trade_date"], row["log_return_1d"]) for row in rows]


def asked(rows):
    return sorted({row["partition"] for row in rows.to_pylist()})


def test_session_is_asked_for_again_the_next_day_and_a_week_later_and_then_no_more(desk, truth):
    desk.first = truth.session_dates[-1]
    desk.options = desk.options.model_copy(update={"factor_histories_per_day": 0})
    first, day = desk.first, timedelta(days=1)

    asked_on = [asked(desk.evening(first, vendors.evening_of(first + number * day))) for number in range(10)]

    assert [bool(sessions) for sessions in asked_on] == [True, True] + [False] * 5 + [True] + [False] * 2


def test_bar_corrected_overnight_is_corrected_with_its_returns_and_the_old_value_is_kept(desk, truth):
    one, two = truth.session_dates[4:6]
    ts_code = truth.ts_codes[0]
    desk.vendor.faults.replace(
        [faults.Fault("late_correction", endpoint="daily", ts_codes=(ts_code,), column="amount")]
    )
    desk.evening(one)
    wrong = desk.read("select amount from market.daily where ts_code = $c and trade_date = $d", c=ts_code, d=one)
    desk.vendor.faults.clear()

    desk.evening(two)

    right = desk.read("select amount from market.daily where ts_code = $c and trade_date = $d", c=ts_code, d=one)
    kept = desk.read("select * from ops.revision where column_name = 'amount' and row_key like $c", c=f"%{ts_code}%")
    last = max(kept, key=lambda row: row["partition"])
    assert wrong[0]["amount"] == pytest.approx(1.1 * right[0]["amount"], rel=1e-6)
    assert (float(last["old_value"]), float(last["new_value"])) == (wrong[0]["amount"], right[0]["amount"])
    assert last["revised_date"] == two


def test_factor_history_corrected_years_back_is_pulled_again_whole(desk, truth):
    """The vendor scales one security's factors; only the newest session is due, and it does not fit the stored ones."""
    desk.options = desk.options.model_copy(update={"revisit_days": (), "factor_histories_per_day": 0})
    ts_code = truth.ts_codes[1]
    one, two = truth.session_dates[-2:]
    desk.evening(one)
    before = desk.returns_of(ts_code)
    stored = desk.read("select adj_factor from market.adj_factor where ts_code = $c order by trade_date", c=ts_code)
    scaled = faults.Fault(
        "late_correction", endpoint="adj_factor", ts_codes=(ts_code,), column="adj_factor", factor=1.05
    )
    desk.vendor.faults.replace([scaled])

    desk.evening(two)

    now = desk.read("select adj_factor from market.adj_factor where ts_code = $c order by trade_date", c=ts_code)
    assert len(now) == len(stored) + 1
    assert [row["adj_factor"] for row in now[:-1]] == pytest.approx(
        [1.05 * row["adj_factor"] for row in stored], rel=1e-6
    )
    # A constant factor changes no return, and so does not the correction.
    assert [value for _, value in desk.returns_of(ts_code)[1 : len(before)]] == pytest.approx(
        [value for _, value in before[1:]], abs=1e-6
    )
    states = desk.read("select distinct state from ops.ledger where dataset = 'market.adj_factor'")
    assert states == [{"state": "ok"}]
    known = desk.read(
        "select adj_factor from adj_factor_asof($one) where ts_code = $c order by trade_date", one=one, c=ts_code
    )
    assert known == stored


def test_one_old_factor_corrected_alone_is_found_when_its_turn_comes(desk, truth):
    """Nothing recent shows it, and its session is asked for no more."""
    n_listed, n_a_day = len(truth.listings), 10
    desk.options = desk.options.model_copy(update={"revisit_days": (), "factor_histories_per_day": n_a_day})
    *_, one = evenings = truth.session_dates[-4:]
    desk.evening(evenings[0])
    ts_code, day = truth.ts_codes[1], truth.session_dates[3]
    sheet = truth.sheets["adj_factor"]
    is_old = (sheet.columns["ts_code"] == ts_code) & (sheet.columns["trade_date"] == f"{day:%Y%m%d}")
    factors = np.where(is_old, sheet.columns["adj_factor"] * 1.5, sheet.columns["adj_factor"])
    corrected = sources_truth.sheet_from_columns({**sheet.columns, "adj_factor": factors})
    told = "select adj_factor from market.adj_factor where ts_code = $c and trade_date = $d"
    returned = dict(desk.returns_of(ts_code))
    before = desk.read(told, c=ts_code, d=day)[0]["adj_factor"]

    served = dataclasses.replace(truth, sheets={**truth.sheets, "adj_factor": corrected})
    with vendors.running(served, vendors.evening_of(one)) as later:
        desk.vendor = later
        desk.options = desk.options.model_copy(update={"tushare_url": later.tushare_url, "clock_url": later.clock_url})
        for evening in evenings[1:]:
            desk.evening(evening)

    assert is_old.sum() == 1 and n_listed <= 3 * n_a_day
    assert desk.read(told, c=ts_code, d=day)[0]["adj_factor"] == pytest.approx(1.5 * before)
    changed = desk.read("select row_key, column_name from ops.revision where dataset = 'market.adj_factor'")
    assert [(json.loads(row["row_key"])["ts_code"], row["column_name"]) for row in changed] == [(ts_code, "adj_factor")]
    now = dict(desk.returns_of(ts_code))
    moved = [now[at] - returned[at] for at in truth.session_dates[3:5]]
    assert moved == pytest.approx([math.log(1.5), -math.log(1.5)])


def test_day_pulled_before_it_is_published_says_so_and_is_whole_in_the_evening(desk, truth):
    day = truth.session_dates[3]
    noon = datetime(day.year, day.month, day.day, 4, 0, tzinfo=UTC)
    assert clock.market_date(noon) < day

    desk.evening(day, noon)
    early = desk.read(
        "select state, cause from ops.ledger where dataset = 'market.daily' and partition = $d", d=str(day)
    )
    desk.evening(day)
    late = desk.read(
        "select state, cause from ops.ledger where dataset = 'market.daily' and partition = $d", d=str(day)
    )

    assert early == [{"state": "failed", "cause": "not_yet_published"}]
    assert late == [{"state": "ok", "cause": ""}]


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("no_permission", "no_permission"),
        ("rate_limit", "rate_limited"),
        ("truncate", "truncated"),
        ("status", "vendor_error"),
        ("empty", "vendor_error"),
    ],
)
def test_day_without_a_row_says_why(desk, truth, kind, cause):
    day = truth.session_dates[0]
    desk.vendor.faults.replace([faults.Fault(kind, endpoint="daily", partition=f"{day:%Y%m%d}", seconds=0.01)])

    desk.evening(day)

    found = desk.read("select state, cause, reason from ops.ledger where dataset = 'market.daily'")
    assert [(row["state"], row["cause"]) for row in found] == [("failed", cause)]
    assert len(found[0]["reason"]) > 20


def test_market_beyond_the_row_cap_is_loaded_whole(desk, truth):
    day = truth.session_dates[0]
    tables = ("daily", "adj_factor", "daily_basic", "suspend_d")
    desk.vendor.faults.replace([faults.Fault("row_cap", endpoint=name, cap=9) for name in tables])

    desk.evening(day)

    found = desk.read("select dataset, state, n_received from ops.ledger where partition = $d order by 1", d=str(day))
    n_bars = desk.read("select count(*) as n from market.daily")[0]["n"]
    assert n_bars > 9
    assert all(row["state"] in ("ok", "empty_confirmed") for row in found)


def test_missing_bar_within_the_tolerance_is_named_and_beyond_it_the_day_is_partial(desk, truth):
    day = truth.session_dates[0]
    desk.options = desk.options.model_copy(update={"missing_bars_fraction": 0.1})
    desk.vendor.faults.replace([faults.Fault("partial_market", endpoint="daily", share=0.92)])
    desk.evening(day)
    tolerated = desk.read("select state, n_expected - n_received as n from ops.ledger where dataset = 'market.daily'")

    desk.options = desk.options.model_copy(update={"missing_bars_fraction": 0.0, "home": desk.options.home / "strict"})
    desk.evening(day)
    strict = desk.read("select state from ops.ledger where dataset = 'market.daily'")

    assert tolerated[0]["state"] == "ok" and tolerated[0]["n"] > 0
    assert strict == [{"state": "partial"}]


def test_session_of_a_typhoon_becomes_a_holiday_when_the_calendar_says_so(desk, truth):
    """The vendor's calendar shows a day as open, has no bar for it, and corrects the calendar the day after."""
    day, after = truth.session_dates[2], truth.session_dates[3]
    empty = [
        faults.Fault("empty", endpoint=name, partition=f"{day:%Y%m%d}")
        for name in ("daily", "adj_factor", "daily_basic")
    ]
    desk.vendor.faults.replace(empty)
    desk.evening(day)
    assert desk.read("select state from ops.ledger where dataset = 'market.daily' and partition = $d", d=str(day)) == [
        {"state": "failed"}
    ]

    corrected = dataclasses.replace(truth, calendar={**truth.calendar, day: False})
    with vendors.running(corrected, vendors.evening_of(after)) as later:
        desk.vendor = later
        desk.options = desk.options.model_copy(
            update={"tushare_url": later.tushare_url, "fred_url": later.fred_url, "clock_url": later.clock_url}
        )
        desk.evening(after)

    found = desk.read("select dataset, state, cause from ops.ledger where partition = $d order by 1", d=str(day))
    assert {(row["state"], row["cause"]) for row in found if row["dataset"] != "market.suspend_d"} == {
        ("empty_confirmed", "holiday")
    }


def test_nothing_is_written_when_the_same_evening_runs_twice(desk, truth):
    day = truth.session_dates[5]
    desk.evening(day)
    before = desk.read("select count(*) as n, max(snapshot_id) as last from ducklake_snapshots('lake')")

    desk.evening(day)

    assert desk.read("select count(*) as n, max(snapshot_id) as last from ducklake_snapshots('lake')") == before


def test_beijing_codes_are_known_from_the_day_of_the_change(desk, truth):
    assert date(2025, 10, 9) in truth.calendar or truth.session_dates[0] > date(2025, 10, 9)
    desk.evening(truth.session_dates[0])

    rows = desk.read("select old_code, new_code, source from market.code_change order by 1")

    assert {row["old_code"] for row in rows} == {"000022.SZ", "601313.SH"}
