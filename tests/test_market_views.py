"""Volatility, price limits and extremes of the market, against pandas and decimal arithmetic written here."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from reports.blocks import Figure, Note, Table
from reports.pages import market as market_page
from warehouse import load, returns
from warehouse.tables import market

N_CODES, N_SESSIONS = 5, 290


@pytest.fixture(scope="module")
def traded(random_market):
    return random_market(n_codes=N_CODES, n_sessions=N_SESSIONS, seed=7, suspended=0.02)


@pytest.fixture
def lake_of_a_year(empty_lake, traded, load_market, load_sessions, stamp):
    """Two hundred and ninety sessions of five securities and an index."""
    days = sorted(set(traded.daily["trade_date"]))
    load_sessions(empty_lake, days)
    load_market(empty_lake, traded)
    level = 3000 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, len(days))))
    before = np.r_[3000.0, level[:-1]]
    index = pd.DataFrame({"ts_code": "000300.SH", "trade_date": days, "close": level, "pre_close": before, "vol": 1.0})
    index = index.assign(open=before, high=np.maximum(level, before), low=np.minimum(level, before))
    rows = pa.Table.from_pandas(index, preserve_index=False)
    partition = load.Partition("000300.SH", days[-1])
    load.load(empty_lake, [load.Load(market.INDEX_DAILY, rows, [partition], "ts_code")], stamp(0))
    returns.update_returns(empty_lake, stamp(1))
    return empty_lake


@pytest.fixture(scope="module")
def frame_of_prices(traded):
    """Adjusted close, log return and volatility of each security's own sessions, by pandas."""
    rows = traded.daily.merge(traded.adj_factor, on=["ts_code", "trade_date"]).sort_values(["ts_code", "trade_date"])
    rows["price"] = rows["close"] * rows["adj_factor"]
    by_code = rows.groupby("ts_code")
    rows["log_return"] = by_code["price"].transform(lambda price: np.log(price).diff())
    rows["volatility"] = by_code["log_return"].transform(lambda r: r.rolling(20).std()) * 252**0.5
    for name in ("max", "min"):
        rows[name] = by_code["price"].transform(lambda price, name=name: getattr(price.rolling(252), name)())
    return rows


def frame(opened, statement):
    return opened.read(statement).to_pandas()


def test_volatility_extremes_and_the_page_are_what_pandas_says(lake_of_a_year, traded, frame_of_prices):
    """One lake for all: to make it takes longer than to ask it."""
    days = frame(lake_of_a_year, "from analyst.market_day order by trade_date")
    index = frame(lake_of_a_year, "from analyst.index_day order by trade_date")
    own = frame(lake_of_a_year, "from analyst.daily_return order by ts_code, trade_date")
    last = max(traded.daily["trade_date"])
    start = date(2023, 12, 20)
    extremes = frame(lake_of_a_year, f"from extremes_between(date '{start}', date '{last}') order by all")

    expected = frame_of_prices.groupby("trade_date")["volatility"].median()
    np.testing.assert_allclose(days["median_volatility_20d_annual"], expected)
    change = np.log(index["close_points"]).diff()
    change[0] = np.log(index["close_points"][0] / 3000)
    np.testing.assert_allclose(index["volatility_20d_annual"], change.rolling(20).std() * 252**0.5)
    np.testing.assert_allclose(own["volatility_20d_annual"], frame_of_prices["volatility"])
    whole = frame_of_prices[frame_of_prices["max"].notna() & (frame_of_prices["trade_date"] >= start)]
    assert list(extremes["ts_code"]) == list(whole["ts_code"])
    assert list(extremes["is_high_252d"]) == list(whole["price"] >= whole["max"])
    assert list(extremes["is_low_252d"]) == list(whole["price"] <= whole["min"])
    assert extremes["is_high_252d"].any() and extremes["is_low_252d"].any()

    section = market_page.section(lake_of_a_year, last)

    table = next(block for block in section.blocks if isinstance(block, Table))
    shown = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    before = index["volatility_20d_annual"].iloc[-251:-1].dropna()
    newest = index["volatility_20d_annual"].iloc[-1]
    assert shown["Volatility of the CSI 300, a year"] == [
        f"{newest:.1%}".replace("%", " %"),
        f"{before.median():.1%}".replace("%", " %"),
        f"{(before < newest).mean():.0%}".replace("%", " %"),
        "250",
    ]
    unusual = next(one for one in section.blocks if isinstance(one, Table) and one.caption.startswith("Most unusual"))
    today = frame_of_prices[frame_of_prices["trade_date"] == last].set_index("ts_code")
    earlier = frame_of_prices[frame_of_prices["trade_date"] < last].groupby("ts_code")["volatility"].last() / 252**0.5
    multiple = ((today["log_return"] - today["log_return"].median()) / earlier).dropna()
    ranked = multiple.reindex(multiple.abs().sort_values(ascending=False).index)
    assert [row[0].text for row in unusual.rows] == list(ranked.index)
    assert [float(row[3].text.exact) for row in unusual.rows] == pytest.approx(list(ranked))
    assert not [block for block in section.blocks if isinstance(block, Note) and "cannot" in block.text]
    titles = [block.title for block in section.blocks if isinstance(block, Figure)]
    assert {"Volatility", "At the price limit", "Highs and lows of 252 sessions", "Amount traded"} <= set(titles)


DAY = date(2024, 7, 12)
# code, previous close, limit in percent, close: a fen below the upper limit, at it, at the lower one
AT_LIMIT = {
    "600000.SH": ("10.00", 10, "11.00"),
    "600001.SH": ("10.00", 10, "10.99"),
    "600002.SH": ("69.85", 10, "76.84"),
    "600003.SH": ("10.00", 10, "9.00"),
    # Half a fen, rounded up as well.
    "600004.SH": ("10.05", 10, "9.05"),
    "300001.SZ": ("10.00", 20, "11.00"),
    "300002.SZ": ("10.00", 20, "8.00"),
    "688001.SH": ("10.05", 20, "12.06"),
    "920002.BJ": ("10.00", 30, "13.00"),
    "600009.SH": ("10.00", 10, "15.00"),
}


def test_price_limits_are_those_of_the_board_and_the_page_counts_who_closed_at_them(
    empty_lake, load_days, load_sessions, stamp
):
    load_sessions(empty_lake, [date(2024, 7, 11), DAY])
    # 600009.SH is in its second session: it has no limit yet.
    listed = {code: date(2024, 7, 11) if code == "600009.SH" else date(2000, 1, 4) for code in AT_LIMIT}
    stocks = [{"ts_code": c, "name": "A", "list_status": "L", "list_date": day} for c, day in listed.items()]
    partition = load.Partition("all", DAY)
    load.load(empty_lake, [load.Load(market.STOCK_BASIC, pa.Table.from_pylist(stocks), [partition], None)], stamp(0))
    rows = []
    for code, (before, _, close) in AT_LIMIT.items():
        base, price = float(before), float(close)
        facts = {"ts_code": code, "trade_date": DAY, "open": base, "high": max(base, price), "low": min(base, price)}
        rows.append(facts | {"close": price, "pre_close": base, "vol": 1.0, "amount": price / 10})
    bars = pa.Table.from_pylist(rows)
    load_days(empty_lake, market.DAILY, bars)
    keys = bars.select(["ts_code", "trade_date"])
    load_days(empty_lake, market.ADJ_FACTOR, keys.append_column("adj_factor", pa.repeat(1.0, len(rows))))
    returns.update_returns(empty_lake, stamp(1))

    found = empty_lake.read(f"from price_limits_between(date '{DAY}', date '{DAY}')").to_pylist()
    course = market_page._read_course(empty_lake, DAY)

    cent = Decimal("0.01")
    for row in found:
        before, percent, _ = AT_LIMIT[row["ts_code"]]
        share = Decimal(percent) / 100
        assert row["limit_up_cny"] == float((Decimal(before) * (1 + share)).quantize(cent, ROUND_HALF_UP))
        assert row["limit_down_cny"] == float((Decimal(before) * (1 - share)).quantize(cent, ROUND_HALF_UP))
        assert row["limit_fraction"] == share
        assert row["has_limit"] == (row["ts_code"] != "600009.SH")
    assert len(found) == len(AT_LIMIT)
    # At the upper limit: 600000, 600002, 688001, 920002; at the lower one: 600003, 600004 and 300002.
    assert course.limits.to_pylist() == [{"trade_date": DAY, "n_limit_up": 4, "n_limit_down": 3}]
    assert course.of_limits.views == ("main.price_limits_between",)


@pytest.mark.parametrize("is_listed", [True, False])
def test_page_tells_who_is_suspended_since_the_day_and_who_trades_again(
    empty_lake, bars, load_days, load_sessions, stamp, is_listed
):
    mon, tue = date(2024, 1, 8), date(2024, 1, 9)
    load_sessions(empty_lake, [mon, tue])
    rows = bars(f"600001.SH {mon} 10\n600003.SH {mon} 10\n600002.SH {tue} 12\n600003.SH {tue} 11")
    load_days(empty_lake, market.DAILY, rows)
    keys = rows.select(["ts_code", "trade_date"])
    load_days(empty_lake, market.ADJ_FACTOR, keys.append_column("adj_factor", pa.repeat(1.0, 4)))
    returns.update_returns(empty_lake, stamp(1))
    if is_listed:
        out = [("600002.SH", mon, None), ("600009.SH", mon, None), ("600009.SH", tue, None), ("600001.SH", tue, None)]
        out.append(("600003.SH", tue, "09:30-10:00"))
        listed = [dict(zip(("ts_code", "trade_date", "suspend_timing"), one, strict=True)) for one in out]
        load_days(empty_lake, market.SUSPEND_D, pa.Table.from_pylist([one | {"suspend_type": "S"} for one in listed]))

    section = market_page.section(empty_lake, tue)

    notes = [block.text for block in section.blocks if isinstance(block, Note)]
    tables = {block.caption: block for block in section.blocks if isinstance(block, Table)}
    if not is_listed:
        assert f"Which securities are suspended is not known: there is no list of {tue}." in notes
        return
    assert "Suspended for the whole session: 2; for a part of it: 1." in notes
    told = [(row[0].text, row[2].text) for row in tables["Suspended or trading again"].rows]
    assert told == [("600002.SH", "trades again"), ("600001.SH", "suspended")]
