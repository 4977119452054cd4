"""Who is on the market is known whole: a bar that no list explains, and a list without the delisted, are alerts."""

from __future__ import annotations

import dataclasses
from datetime import date

import pandas as pd
import pyarrow as pa
import pytest

from warehouse import checks, derive, errors, load
from warehouse.sources.faults import Fault
from warehouse.tables import market

DAYS = [date(2024, 7, 11), date(2024, 7, 12)]
LISTS = "ts_code name list_status list_date delist_date\n"
LISTS += "600000.SH A L 2000-01-04 -\n600001.SH B D 1998-01-22 2009-12-29\n600003.SH C P 1999-08-06 -\n"
LISTS += "920799.BJ E L 2020-07-27 -"


@pytest.fixture
def load_lists(frame, stamp):
    def run(lake, rows):
        rows = frame(market.STOCK_BASIC, rows) if isinstance(rows, str) else rows
        load.load(lake, [load.Load(market.STOCK_BASIC, rows, [load.Partition("all", DAYS[-1])], None)], stamp(0))

    return run


def unknown(lake, as_of=DAYS[-1]):
    return [row for row in checks.find(lake, as_of).to_pylist() if row["rule"] == "bar_unknown"]


def test_bar_is_found_when_no_list_knows_its_code(empty_lake, load_lists, load_days, bars):
    load_lists(empty_lake, LISTS)
    # 601313.SH has another code now, which no list knows either.
    changes = (("830799.BJ", "920799.BJ", "bse_mapping"), ("601313.SH", "601360.SH", "seed"))
    rows = pa.Table.from_pylist(
        [{"old_code": old, "new_code": new, "change_date": DAYS[1], "source": source} for old, new, source in changes]
    )
    empty_lake.commit(lambda connection: derive.write_rows(connection, market.CODE_CHANGE, rows), message="codes")
    known = ("600000.SH", "600001.SH", "600003.SH", "830799.BJ", "920799.BJ")
    text = "\n".join(f"{code} {day} 10" for day in DAYS for code in (*known, "999999.SH", "601313.SH"))

    load_days(empty_lake, market.DAILY, bars(text))

    found = unknown(empty_lake)
    assert [(row["subject"], row["subject_date"], row["severity"]) for row in found] == [
        ("601313.SH", DAYS[0], "high"),
        ("999999.SH", DAYS[0], "high"),
    ]
    assert '"n_bars":2' in found[1]["evidence"]
    assert empty_lake.read(found[1]["evidence_sql"])["trade_date"].to_pylist() == DAYS


def test_many_unknown_securities_are_one_finding_about_the_list(empty_lake, load_lists, load_days, bars):
    load_lists(empty_lake, LISTS)

    load_days(empty_lake, market.DAILY, bars("\n".join(f"{600100 + n}.SH {DAYS[0]} 10" for n in range(21))))

    assert [(row["subject"], row["subject_date"]) for row in unknown(empty_lake)] == [("market.daily", DAYS[0])]


def test_every_bar_of_a_real_market_day_is_of_a_known_security(empty_lake, load_lists, load_days, vendor_data):
    listed = pd.read_csv(vendor_data / "ashare" / "stock_basic_20250404.csv", dtype=str)
    days = pd.to_datetime(listed["list_date"], format="%Y%m%d").dt.date
    rows = listed[["ts_code", "name"]].assign(list_status="L", list_date=days)
    load_lists(empty_lake, pa.Table.from_pandas(rows, preserve_index=False))
    daily = pd.read_csv(vendor_data / "ashare" / "daily_full_market_20250403.csv", dtype={"ts_code": str})
    names = ["ts_code", "open", "high", "low", "close", "pre_close", "change", "pct_chg", "vol", "amount"]
    day = date(2025, 4, 3)

    load_days(empty_lake, market.DAILY, pa.Table.from_pandas(daily[names].assign(trade_date=day), preserve_index=False))

    assert empty_lake.read_value("select count(*) from market.daily") == 5393
    assert unknown(empty_lake, day) == []


def test_list_without_the_delisted_is_partial_and_an_alert_until_it_comes_whole(open_desk, truth30):
    first, second = truth30.session_dates[11:13]
    survivors = tuple(each for each in truth30.listings if each.delist_date is None)
    desk = open_desk(dataclasses.replace(truth30, listings=survivors), first)
    whole = open_desk(truth30, first)

    ran = desk.evening(first)
    without, alerts = desk.ledger("market.stock_basic", "all"), desk.alerts()
    desk.options = whole.options.model_copy(update={"home": desk.options.home})
    desk.vendor = whole.vendor
    healed = desk.evening(second)

    assert ran.exit_code == errors.PartialData.exit_code
    assert "no security is delisted" in ran.message
    assert without == ("partial", "truncated")
    assert [alert for alert in alerts if alert[0] == "failed_load"] == [("failed_load", "market.stock_basic", first)]
    assert desk.read("select count(*) as n from market.stock_basic where list_status = 'L'")[0]["n"] > 0
    assert "stock_basic" not in healed.message
    assert desk.ledger("market.stock_basic", "all") == ("ok", "")


def test_checks_tolerate_as_many_missing_bars_as_the_settings_say(open_desk, truth30):
    """Two of some 29 bars never come: no gap for a desk that allows one in ten."""
    day = truth30.session_dates[11]
    desk = open_desk(truth30, day, missing_bars_fraction=0.1)
    desk.vendor.faults.replace([Fault("partial_market", endpoint="daily", share=0.94)])

    ran = desk.evening(day)

    n_missing = desk.read("select n_expected - n_received as n from ops.ledger where dataset = 'market.daily'")[0]["n"]
    assert n_missing > 0
    assert [rule for rule, subject, _ in desk.alerts() if subject == "market.daily"] == ["bar_missing"]
    assert (ran.exit_code, desk.ledger("market.daily", day)) == (0, ("ok", ""))
