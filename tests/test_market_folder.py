"""A folder of real figures is served as it is, its suspensions completed, its dated copies as earlier prints."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from warehouse import errors
from warehouse.sources import market_folder

DAYS = ("20240102", "20240103", "20240104")


@pytest.fixture
def folder(tmp_path):
    """Three sessions: 600001.SH trades on all, 600002.SH pauses on the second, 600003.SH is listed on the last."""
    ashare, fred = tmp_path / "data" / "ashare", tmp_path / "data" / "fred"
    (fred / "snapshots").mkdir(parents=True)
    ashare.mkdir()
    keys = [("600001.SH", day) for day in DAYS] + [
        ("600002.SH", DAYS[0]),
        ("600002.SH", DAYS[2]),
        ("600003.SH", DAYS[2]),
    ]
    bars = pd.DataFrame(keys, columns=["ts_code", "trade_date"])
    prices = ("open", "high", "low", "close", "pre_close", "change", "pct_chg", "vol", "amount")
    bars.assign(**dict.fromkeys(prices, 10.0)).to_parquet(ashare / "daily_x.parquet")
    with_pause = pd.concat([bars, pd.DataFrame([("600002.SH", DAYS[1])], columns=bars.columns)])
    with_pause.assign(adj_factor=1.0).to_parquet(ashare / "adj_factor_x.parquet")
    with_pause.assign(close=10.0, turnover_rate=1.0, pe_ttm=8.0, pb=1.0, ps_ttm=1.0).to_parquet(
        ashare / "daily_basic_x.parquet"
    )
    index = pd.DataFrame({"ts_code": "000300.SH", "trade_date": list(DAYS), "close": 3000.0})
    index.to_csv(ashare / "index_daily_000300.SH.csv", index=False)
    calendar = pd.DataFrame({"exchange": "SSE", "cal_date": [*DAYS, "20240106"], "is_open": [1, 1, 1, 0]})
    calendar.to_csv(ashare / "trade_cal_x.csv", index=False)
    stocks = "ts_code,symbol,name,area,industry,cnspell,market,list_date,act_name,act_ent_type\n"
    stocks += "600001.SH,600001,One,A,Bank,one,Main,19990101,,\n600002.SH,600002,Two,A,Bank,two,Main,19990101,,\n"
    (ashare / "stock_basic_20250404.csv").write_text(stocks)
    (fred / "PAYEMS.csv").write_text(
        "observation_date,PAYEMS\n2023-10-01,159000\n2023-11-01,159100\n2023-12-01,159200\n"
    )
    (fred / "snapshots" / "PAYEMS_asof_2024-01-10.csv").write_text(
        "observation_date,PAYEMS\n2023-11-01,159150.0\n2023-12-01,159200.0\n"
    )
    return tmp_path / "data"


def test_pauses_are_completed_from_the_bars_that_are_missing(folder):
    truth = market_folder.folder_market(folder)

    suspended = truth.sheets["suspend_d"]
    assert list(zip(suspended.columns["ts_code"], suspended.date_keys, strict=True)) == [("600002.SH", 20240103)]
    assert truth.sheets["daily_basic"].date_keys.tolist() == sorted(truth.sheets["daily"].date_keys.tolist())


def test_security_that_is_gone_is_not_suspended_for_ever(folder):
    (folder / "ashare" / "stock_basic_with_delisted_20250404.csv").write_text(
        "ts_code,name,list_status,list_date,delist_date\n600009.SH,Gone,D,19990101,20051231\n"
    )

    truth = market_folder.folder_market(folder)

    assert "600009.SH" in {each.ts_code for each in truth.listings}
    assert "600009.SH" not in truth.sheets["suspend_d"].columns["ts_code"].tolist()


def test_security_without_an_entry_is_listed_since_its_first_bar(folder):
    listings = {each.ts_code: each for each in market_folder.folder_market(folder).listings}

    assert listings["600003.SH"].list_date == date(2024, 1, 4)
    assert listings["600001.SH"].list_date == date(1999, 1, 1)


def test_dated_copy_is_the_first_print_until_the_day_after_it(folder):
    payrolls = market_folder.folder_market(folder).macro["PAYEMS"]

    on_the_day, after = (payrolls.csv_at(date(2024, 1, day)).decode() for day in (10, 11))

    assert on_the_day.splitlines()[1:] == ["2023-10-01,159000", "2023-11-01,159150", "2023-12-01,159200"]
    assert after.splitlines()[1:] == ["2023-10-01,159000", "2023-11-01,159100", "2023-12-01,159200"]


def test_fewer_securities_are_the_first_by_code(folder):
    assert list(market_folder.folder_market(folder, n_symbols=2).ts_codes) == ["600001.SH", "600002.SH"]


@pytest.mark.parametrize("gone", ["ashare", "ashare/daily_x.parquet", "ashare/trade_cal_x.csv"])
def test_folder_that_lacks_something_is_refused_with_its_name(folder, gone):
    (folder / gone).rename(folder.parent / "elsewhere")

    with pytest.raises(errors.ConfigError) as caught:
        market_folder.folder_market(folder)
    assert str(folder) in str(caught.value)


def test_real_figures_are_served_unchanged(vendor_data):
    truth = market_folder.folder_market(vendor_data, n_symbols=20)

    rows = pd.DataFrame(dict(truth.sheets["daily"].columns))
    bank = rows[(rows["ts_code"] == "601398.SH") & (rows["trade_date"] == "20240716")].iloc[0]
    published = pd.read_csv(vendor_data / "ashare" / "daily_601398.SH_2024.csv", dtype={"trade_date": str})
    expected = published[published["trade_date"] == "20240716"].iloc[0]
    assert len(truth.ts_codes) == 20 and len(truth.session_dates) == 1273
    assert [bank[name] for name in ("close", "pre_close", "vol")] == [
        expected[name] for name in ("close", "pre_close", "vol")
    ]
    assert len(truth.macro) == 48
