"""Bars that are another's, that do not move, or that no exchange could have made, each planted by hand."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from warehouse import checks, load
from warehouse.tables import market

DAYS = [date(2024, 7, day) for day in (8, 9, 10, 11, 12)]
AS_OF = DAYS[-1]
PRICES = ("open", "high", "low", "close", "pre_close")


def bar(code, day, prices, vol=100.0):
    """A bar whose change, percent and amount follow from its prices; it trades at the middle of its range."""
    _, high, low, close, pre_close = prices
    change, pct_chg = round(close - pre_close, 4), round((close / pre_close - 1) * 100, 4)
    facts = {"change": change, "pct_chg": pct_chg, "vol": vol, "amount": round(vol * (low + high) / 20, 3)}
    return {"ts_code": code, "trade_date": day} | dict(zip(PRICES, prices, strict=True)) | facts


def five_days():
    """Bars of 600000.SH that rise from 10.00 to 10.60 and close at 10.50, and of 300001.SZ between 19.50 and 20.50."""
    closes = [10.0, 10.2, 10.3, 10.4, 10.6, 10.5]
    rows = []
    for day, before, close in zip(DAYS, closes, closes[1:], strict=False):
        prices = (before, max(before, close), min(before, close), close, before)
        rows.append(bar("300001.SZ", day, (20.0, 20.5, 19.5, 20.0, 20.0), vol=70.0 + day.day))
        rows.append(bar("600000.SH", day, prices, vol=100.0 + day.day))
    return rows


@pytest.fixture
def find_in(empty_lake, load_sessions, load_days, stamp):
    """A function that loads bars with all that belongs to them, and gives what the checks find."""

    def run(rows, *, name="A", list_date=date(2000, 1, 4), basics=(), days=DAYS, as_of=AS_OF, sessions=None):
        load_sessions(empty_lake, sessions or days)
        codes = sorted({row["ts_code"] for row in rows})
        entries = [{"ts_code": code, "name": name, "list_status": "L", "list_date": list_date} for code in codes]
        stocks = pa.Table.from_pylist(entries)
        load.load(empty_lake, [load.Load(market.STOCK_BASIC, stocks, [load.Partition("all", as_of)], None)], stamp(0))
        bars = pa.Table.from_pylist(rows)
        load_days(empty_lake, market.DAILY, bars, days=days)
        keys = bars.select(["ts_code", "trade_date"])
        load_days(empty_lake, market.ADJ_FACTOR, keys.append_column("adj_factor", pa.repeat(1.0, len(rows))), days=days)
        basic = pa.Table.from_pylist(list(basics)) if basics else keys.append_column("close", bars["close"])
        load_days(empty_lake, market.DAILY_BASIC, basic, days=days)
        nothing = market.SUSPEND_D.empty().select(["ts_code", "trade_date", "suspend_timing", "suspend_type"])
        load_days(empty_lake, market.SUSPEND_D, nothing, days=days, may_be_empty=True)
        return checks.find(empty_lake, as_of).to_pylist()

    return run


def keys_of(findings):
    return {(row["rule"], row["subject"], row["subject_date"]) for row in findings}


def test_five_sound_days_have_no_finding(find_in):
    assert find_in(five_days()) == []


def from_row(at, names):
    return lambda rows: rows[-1].update({name: rows[at][name] for name in names})


SPOILT = {
    # Every price is the previous close of 10.60, while 112 lots change hands: 112 x 10.60 / 10 = 118.72.
    "flat at the previous close": (
        lambda rows: rows[-1].update(dict.fromkeys(PRICES, 10.6) | {"change": 0.0, "pct_chg": 0.0, "amount": 118.72}),
        {"bar_frozen"},
    ),
    # 10.40 to 10.60 again, after a close of 10.60.
    "the prices of the day before": (
        lambda rows: rows[-1].update({"open": 10.4, "low": 10.4, "close": 10.6, "change": 0.0, "pct_chg": 0.0}),
        {"bar_frozen"},
    ),
    "the volume of the day before": (from_row(-3, ("vol", "amount")), {"bar_repeated"}),
    "the volume of the neighbour": (from_row(-2, ("vol", "amount")), {"bar_copied", "vwap_outside_range"}),
    "the prices of the neighbour": (
        from_row(-2, (*PRICES, "change", "pct_chg")),
        {"bar_copied", "vwap_outside_range", "adjustment_misfit"},
    ),
    "all of the neighbour": (
        from_row(-2, (*PRICES, "change", "pct_chg", "vol", "amount")),
        {"bar_copied", "adjustment_misfit"},
    ),
    # 10.50 after 10.60 is -0.10.
    "a change that is none": (lambda rows: rows[-1].update(change=0.1), {"change_disagrees"}),
}


@pytest.mark.parametrize(("spoil", "rules"), SPOILT.values(), ids=SPOILT)
def test_bar_that_is_not_its_own_is_found_and_its_neighbour_is_not(find_in, spoil, rules):
    rows = five_days()
    spoil(rows)

    assert keys_of(find_in(rows)) == {(rule, "600000.SH", AS_OF) for rule in rules}


def test_two_stocks_with_the_same_prices_are_no_copy_when_both_fit_their_past(find_in):
    rows = [bar(code, day, (10.0, 10.2, 9.9, 10.0, 10.0), vol) for day in DAYS for code, vol in pairs(day)]

    assert find_in(rows) == []


def pairs(day):
    return (("300001.SZ", 70.0 + day.day), ("600000.SH", 100.0 + day.day))


def test_stock_locked_at_its_limit_is_not_frozen(find_in):
    rows = [bar("600000.SH", DAYS[0], (11.0,) * 4 + (10.0,)), bar("600000.SH", DAYS[1], (12.1,) * 4 + (11.0,))]

    assert find_in(rows, days=DAYS[:2], as_of=DAYS[1]) == []


# vol 100 lots x 10 CNY / float: 0.5 % of 20,000 lots; a hundredfold of both is 10,000 lots at the same price.
@pytest.mark.parametrize(
    ("times", "rules"), [(1.0, set()), (100.0, {"volume_slip"}), (0.1, {"volume_slip"}), (8.0, set())]
)
def test_volume_and_amount_that_slip_together_are_found_by_the_turnover_rate(find_in, times, rules):
    rows = [bar("600000.SH", day, (10.0, 10.1, 9.9, 10.0, 10.0), 100.0 + day.day) for day in DAYS]
    basics = [
        {"ts_code": "600000.SH", "trade_date": row["trade_date"], "close": 10.0, "turnover_rate": row["vol"] / 200}
        for row in rows
    ]
    rows[-1].update(vol=rows[-1]["vol"] * times, amount=round(rows[-1]["amount"] * times, 3))

    assert keys_of(find_in(rows, basics=basics)) == {(rule, "600000.SH", AS_OF) for rule in rules}


def test_bar_of_a_closed_day_is_found(empty_lake, find_in, load_days, stamp):
    saturday = date(2024, 7, 6)
    closed = pa.table({"exchange": ["SSE"], "cal_date": [saturday], "is_open": [False]})
    load.load(empty_lake, [load.Load(market.TRADE_CAL, closed, [load.Partition("SSE", AS_OF)], None)], stamp(0))
    stray = bar("600000.SH", saturday, (10.0, 10.1, 9.9, 10.0, 10.0), 99.0)
    load_days(empty_lake, market.DAILY, pa.Table.from_pylist([stray]))
    monday = date(2024, 7, 8)

    # The window opens on the fifth session before: the stray day lies in it when there is one more.
    found = keys_of(find_in(five_days(), sessions=[date(2024, 7, 5), *DAYS[:4]], days=DAYS[:4], as_of=DAYS[3]))

    assert ("bar_on_closed_day", "600000.SH", saturday) in found
    assert ("bar_on_closed_day", "600000.SH", monday) not in found


LONG_AGO = date(1999, 1, 4)
LIMITS = {
    # code, session, list date, high on a previous close of 10.00, whether it breaks the limit
    "main board 10 %": ("600000.SH", date(2024, 7, 12), LONG_AGO, 11.01, True),
    "ChiNext 20 % since August 2020": ("300001.SZ", date(2020, 8, 24), LONG_AGO, 12.0, False),
    "ChiNext 10 % before": ("300001.SZ", date(2020, 8, 21), LONG_AGO, 11.01, True),
    "ChiNext's newest codes": ("302132.SZ", date(2025, 3, 3), LONG_AGO, 12.0, False),
    "STAR 20 %": ("688001.SH", date(2024, 7, 12), LONG_AGO, 12.01, True),
    "Beijing 30 %": ("920002.BJ", date(2024, 7, 12), LONG_AGO, 13.0, False),
    "Beijing beyond": ("920002.BJ", date(2024, 7, 12), LONG_AGO, 13.01, True),
    "second day of a listing with registration": ("600000.SH", date(2024, 7, 12), date(2024, 7, 11), 15.0, False),
    "second day of a listing before it": ("600000.SH", date(2023, 3, 3), date(2023, 3, 2), 11.01, True),
    "first day of a listing before it": ("600000.SH", date(2023, 3, 3), date(2023, 3, 3), 14.4, False),
}


def test_limit_price_of_half_a_fen_is_rounded_up(find_in):
    """69.85 x 1.1 = 76.835: the exchange let 002459.SZ trade at 76.84 on 2022-04-27."""
    rows = [bar("002459.SZ", AS_OF, (70.0, 76.84, 68.0, 76.84, 69.85))]

    assert find_in(rows, days=[AS_OF]) == []


@pytest.mark.parametrize(("code", "day", "list_date", "high", "is_broken"), LIMITS.values(), ids=LIMITS)
def test_price_limit_is_that_of_the_board_on_the_day(find_in, code, day, list_date, high, is_broken):
    rows = [bar(code, day, (10.0, high, 10.0, 10.0, 10.0))]
    before = [list_date] if list_date != LONG_AGO and list_date != day else []

    found = find_in(rows, list_date=list_date, days=[day], as_of=day, sessions=[*before, day])

    assert (("price_limit_broken", code, day) in keys_of(found)) == is_broken


def special(n_beyond, n=40):
    """Bars of ST securities: some rise by 6 % during the day, the others by 5 %, their limit."""
    codes = [f"{600100 + number}.SH" for number in range(n)]
    highs = [10.6] * n_beyond + [10.5] * (n - n_beyond)
    return [
        bar(code, AS_OF, (10.0, high, 9.9, 10.0, 10.0), 100.0 + at)
        for at, (code, high) in enumerate(zip(codes, highs, strict=True))
    ]


# One in forty is a fault; when twelve rise by 6 % the exchange has another limit.
@pytest.mark.parametrize(("n_beyond", "n_found"), [(0, 0), (1, 1), (12, 0)])
def test_limit_of_st_is_five_percent_unless_many_go_beyond_it(find_in, n_beyond, n_found):
    found = find_in(special(n_beyond), name="*ST A", days=[AS_OF])

    assert len([row for row in found if row["rule"] == "price_limit_broken"]) == n_found


def test_limit_of_st_is_ten_percent_while_the_name_was_another(empty_lake, find_in, stamp):
    """Seven months later the list says ST; on the day it did not."""
    find_in(special(1, n=1), days=[AS_OF])
    renamed = pa.Table.from_pylist(
        [{"ts_code": "600100.SH", "name": "*ST A", "list_status": "L", "list_date": date(2000, 1, 4)}]
    )
    partition = load.Partition("all", date(2024, 9, 1))
    load.load(empty_lake, [load.Load(market.STOCK_BASIC, renamed, [partition], None)], stamp(24 * 240))

    assert "price_limit_broken" not in {row["rule"] for row in checks.find(empty_lake, AS_OF).to_pylist()}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        # 100 lots at 10 CNY: 10,000 shares, or 100,000 CNY.
        ({"vol": 10_000.0}, "as if vol were in shares"),
        ({"amount": 100_000.0}, "as if amount were in CNY"),
        ({"vol": 10_000.0, "amount": 100_000.0}, "as if vol were in shares and amount in CNY"),
        # 100 lots at 20 CNY are 200 thousand CNY; swapped, 200 lots for 100 thousand are 5 CNY.
        ({**dict.fromkeys(PRICES, 20.0), "vol": 200.0, "amount": 100.0}, "as if vol and amount were swapped"),
    ],
)
def test_title_names_the_unit_or_the_swap_that_would_fit(find_in, changed, words):
    rows = [bar("600000.SH", AS_OF, (10.0,) * 5) | changed]

    titles = [row["title"] for row in find_in(rows, days=[AS_OF]) if row["rule"] == "vwap_outside_range"]

    assert len(titles) == 1
    assert titles[0].endswith(words)
