"""Checks find planted trouble and nothing else; alerts open, count, resolve and come back by themselves."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from warehouse import checks, load
from warehouse.tables import macro, market

DAYS = [date(2024, 7, day) for day in (8, 9, 10, 11, 12)]
AS_OF = DAYS[-1]


@pytest.fixture
def market_lake(empty_lake, load_sessions, stamp, frame):
    """Five sessions on the calendar and two securities listed for long."""
    load_sessions(empty_lake, DAYS)
    stocks = frame(
        market.STOCK_BASIC,
        "ts_code name list_status list_date\n600000.SH A L 2000-01-04\n300001.SZ B L 2010-01-04",
    )
    load.load(empty_lake, [load.Load(market.STOCK_BASIC, stocks, [load.Partition("all", AS_OF)], None)], stamp(0))
    return empty_lake


@pytest.fixture
def load_whole(load_days, frame, bars):
    """Load a flat bar, factor, basics and no suspension for some days; `lines` replaces the bars."""

    def run(lake, days=DAYS, lines=None, factors=None, **facts):
        text = lines or "\n".join(f"{code} {day} 10" for day in days for code in ("600000.SH", "300001.SZ"))
        rows = bars(text) if isinstance(text, str) else text
        load_days(lake, market.DAILY, rows, days=days, **facts)
        keys = rows.select(["ts_code", "trade_date"])
        factor = factors or [1.0] * rows.num_rows
        load_days(lake, market.ADJ_FACTOR, keys.append_column("adj_factor", pa.array(factor)), days=days)
        load_days(lake, market.DAILY_BASIC, keys.append_column("close", rows["close"]), days=days)
        nothing = market.SUSPEND_D.empty().select(["ts_code", "trade_date", "suspend_timing", "suspend_type"])
        load_days(lake, market.SUSPEND_D, nothing, days=days, may_be_empty=True)

    return run


def found(lake, as_of=AS_OF):
    rows = checks.find(lake, as_of).to_pylist()
    return [(row["rule"], row["subject"], row["subject_date"]) for row in rows]


def test_every_check_finds_nothing_when_the_lake_is_whole(market_lake, load_whole):
    load_whole(market_lake)

    assert found(market_lake) == []


def test_missing_day_names_table_and_session_when_a_day_was_never_loaded(market_lake, load_whole):
    load_whole(market_lake, [DAYS[0], DAYS[1], DAYS[3], DAYS[4]])

    assert {one for one in found(market_lake) if one[0] == "missing_day"} == {
        ("missing_day", table, DAYS[2])
        for table in ("market.daily", "market.adj_factor", "market.daily_basic", "market.suspend_d")
    }


def test_missing_day_finds_an_old_gap_when_newer_days_are_whole(market_lake, load_whole, load_sessions):
    old = [date(2024, 1, 2), date(2024, 1, 3)]
    load_sessions(market_lake, [*old, *DAYS])
    load_whole(market_lake, [old[0], *DAYS])

    assert ("missing_day", "market.daily", old[1]) in found(market_lake)


def test_missing_day_is_found_when_the_vendor_sent_an_empty_frame(market_lake, load_whole, load_days):
    load_whole(market_lake, DAYS[:-1])
    load_days(market_lake, market.DAILY, market.DAILY.empty(), days=[AS_OF])

    assert ("missing_day", "market.daily", AS_OF) in found(market_lake)


def test_partial_day_is_found_when_fewer_bars_came_than_are_listed(market_lake, load_whole):
    load_whole(market_lake, n_expected=3)

    assert [one for one in found(market_lake) if one[0] == "partial_day"] == [
        ("partial_day", "market.daily", day) for day in DAYS
    ]


def test_failed_load_is_one_finding_when_a_vendor_fails_for_many_series(market_lake, load_whole, stamp):
    load_whole(market_lake)
    partitions = [load.Partition(f"S{n}", AS_OF, failure="VendorUnavailable: no answer") for n in range(40)]
    empty = macro.OBSERVATION.empty()
    load.load(market_lake, [load.Load(macro.OBSERVATION, empty, partitions, "series_id")], stamp(1))

    rows = checks.find(market_lake, AS_OF).to_pylist()

    assert [(row["rule"], row["subject"]) for row in rows] == [("failed_load", "macro.observation")]
    assert "S0 and 39 more failed: VendorUnavailable: no answer" in rows[0]["title"]


def bar(code, day, prices, pct_chg):
    opening, high, low, close, pre_close = prices
    return {
        "ts_code": code,
        "trade_date": day,
        "open": opening,
        "high": high,
        "low": low,
        "close": close,
        "pre_close": pre_close,
        "change": round(close - pre_close, 4),
        "pct_chg": pct_chg,
        "vol": 100.0,
        # Thousand CNY of 100 lots at the middle of the bar.
        "amount": (low + high) / 2 * 10,
    }


@pytest.mark.parametrize(
    ("prices", "pct_chg", "rule"),
    [
        # 10.00 -> 10.50 is +5.00 %; the vendor says 4.00 %.
        ((10.0, 10.5, 10.0, 10.5, 10.0), 4.0, "pct_chg_disagrees"),
        # The main board's limit on 10.00 is 11.00.
        ((10.0, 11.01, 10.0, 11.01, 10.0), 10.1, "price_limit_broken"),
        ((10.0, 10.0, 8.99, 9.5, 10.0), -5.0, "price_limit_broken"),
        # Close before 10.00, factor unchanged: pre_close must be 10.00, not 9.50.
        ((9.5, 9.5, 9.5, 9.5, 9.5), 0.0, "adjustment_misfit"),
        # The low lies above the close.
        ((10.0, 10.2, 10.1, 10.05, 10.0), 0.5, "bar_order"),
    ],
)
def test_bad_bar_is_found_by_its_own_rule_when_planted(market_lake, load_whole, prices, pct_chg, rule):
    flat = [bar(code, day, (10.0,) * 5, 0.0) for day in DAYS[:-1] for code in ("600000.SH", "300001.SZ")]
    last = [bar("300001.SZ", AS_OF, (10.0,) * 5, 0.0), bar("600000.SH", AS_OF, prices, pct_chg)]
    rows = pa.Table.from_pylist([*flat, *last])

    load_whole(market_lake, lines=rows)

    assert found(market_lake) == [(rule, "600000.SH", AS_OF)]


@pytest.mark.parametrize(
    ("code", "high"), [("600000.SH", 11.0), ("300001.SZ", 12.0)], ids=["main board 10 %", "ChiNext 20 %"]
)
def test_price_limit_is_not_broken_when_a_bar_touches_it(market_lake, load_whole, code, high):
    other = "300001.SZ" if code == "600000.SH" else "600000.SH"
    rows = [bar(one, day, (10.0,) * 5, 0.0) for day in DAYS for one in (code, other)]
    touched = bar(code, AS_OF, (10.0, high, 10.0, high, 10.0), (high / 10 - 1) * 100)
    rows = [touched if (row["ts_code"], row["trade_date"]) == (code, AS_OF) else row for row in rows]

    load_whole(market_lake, lines=pa.Table.from_pylist(rows))

    assert found(market_lake) == []


def test_adjustment_fits_when_an_ex_rights_day_halves_the_price_and_doubles_the_factor(market_lake, load_whole):
    before = [bar(code, day, (10.0,) * 5, 0.0) for day in DAYS[:-1] for code in ("600000.SH", "300001.SZ")]
    after = [bar("600000.SH", AS_OF, (5.0,) * 5, 0.0), bar("300001.SZ", AS_OF, (10.0,) * 5, 0.0)]

    load_whole(market_lake, lines=pa.Table.from_pylist([*before, *after]), factors=[1.0] * 8 + [2.0, 1.0])

    assert found(market_lake) == []


@pytest.mark.parametrize(("pre_close", "is_found"), [(9.5, True), (10.0, False)])
def test_adjustment_is_checked_when_a_security_comes_back_after_years(
    market_lake, load_whole, load_sessions, pre_close, is_found
):
    long_ago = DAYS[0] - timedelta(days=900)
    load_sessions(market_lake, [long_ago, *DAYS])
    rows = [bar("300001.SZ", day, (10.0,) * 5, 0.0) for day in (long_ago, *DAYS)]
    rows += [bar("600000.SH", long_ago, (10.0,) * 5, 0.0), bar("600000.SH", AS_OF, (pre_close,) * 5, 0.0)]

    load_whole(market_lake, [long_ago, *DAYS], lines=pa.Table.from_pylist(rows))

    assert (("adjustment_misfit", "600000.SH", AS_OF) in found(market_lake)) == is_found


def flat(days=DAYS, **last):
    """Flat bars at 10 CNY of both securities; `last` changes the newest bar of 600000.SH."""
    rows = [bar(code, day, (10.0,) * 5, 0.0) for day in days for code in ("300001.SZ", "600000.SH")]
    return [*rows[:-1], rows[-1] | last]


@pytest.mark.parametrize(
    "last",
    [
        # 100 lots at 10 CNY are 100 thousand CNY.
        {"vol": 10_000.0},
        {"amount": 100_000.0},
        {"amount": 10.0},
        {"vol": 0.0},
        # A third more volume than turnover: trades after hours in one of the two only.
        {"vol": 133.0},
    ],
    ids=["shares", "CNY", "ten thousand CNY", "turnover without volume", "after hours in one"],
)
def test_bar_is_found_when_turnover_over_volume_is_no_price_of_the_session(market_lake, load_whole, last):
    load_whole(market_lake, lines=pa.Table.from_pylist(flat(**last)))

    assert found(market_lake) == [("vwap_outside_range", "600000.SH", AS_OF)]


@pytest.mark.parametrize("last", [{"amount": None}, {"vol": 0.0, "amount": 0.0}, {"vol": 0.01, "amount": 0.01}])
def test_bar_without_turnover_is_no_finding(market_lake, load_whole, last):
    """Amounts of the early 1990s are missing; a single share at 10 CNY is 0.01 thousand CNY, rounded from anything."""
    load_whole(market_lake, lines=pa.Table.from_pylist(flat(**last)))

    assert found(market_lake) == []


def basics(code="600000.SH", day=AS_OF, **values):
    return pa.Table.from_pylist([{"ts_code": code, "trade_date": day} | values])


# 100 lots at 10 CNY of a float worth 2,000 ten thousand CNY: 100 x 10 / 2,000 = 0.5 %.
BASIC_ROWS = {
    "whole": ({"close": 10.0, "turnover_rate": 0.5, "circ_mv": 2000.0}, []),
    "closes a fen apart": ({"close": 10.01}, ["basic_close_differs"]),
    "no close": ({"close": None}, []),
    "fraction for percent": ({"close": 10.0, "turnover_rate": 0.005, "circ_mv": 2000.0}, ["turnover_disagrees"]),
    "CNY for ten thousand": ({"close": 10.0, "turnover_rate": 0.5, "circ_mv": 2e7}, ["turnover_disagrees"]),
}


@pytest.mark.parametrize(("values", "rules"), BASIC_ROWS.values(), ids=BASIC_ROWS)
def test_basics_are_compared_with_the_bar_they_describe(market_lake, load_whole, load_days, values, rules):
    load_whole(market_lake)

    load_days(market_lake, market.DAILY_BASIC, basics(**values), n=1)

    assert found(market_lake) == [(rule, "600000.SH", AS_OF) for rule in rules]


def test_row_missing_is_found_when_an_unknown_bar_makes_up_the_count(market_lake, load_whole):
    """Two bars came where two are expected, but one is of a security that nobody lists."""
    rows = [row for row in flat() if (row["ts_code"], row["trade_date"]) != ("300001.SZ", AS_OF)]
    rows.append(bar("999999.SH", AS_OF, (10.0,) * 5, 0.0))

    load_whole(market_lake, lines=pa.Table.from_pylist(rows), n_expected=2)

    assert found(market_lake) == [("row_missing", "market.daily", AS_OF), ("bar_unknown", "999999.SH", AS_OF)]


@pytest.mark.parametrize("table", [market.ADJ_FACTOR, market.DAILY_BASIC], ids=lambda table: table.name)
def test_row_missing_is_found_when_a_bar_has_no_factor_or_no_basics(market_lake, load_whole, load_days, table):
    load_whole(market_lake, DAYS[:-1])
    load_days(market_lake, market.DAILY, pa.Table.from_pylist(flat([AS_OF])))
    nothing = market.SUSPEND_D.empty().select(["ts_code", "trade_date", "suspend_timing", "suspend_type"])
    load_days(market_lake, market.SUSPEND_D, nothing, days=[AS_OF], may_be_empty=True)
    for one in (market.ADJ_FACTOR, market.DAILY_BASIC):
        codes = ["600000.SH", "000001.SZ"] if one is table else ["600000.SH", "300001.SZ"]
        value = {"adj_factor": 1.0} if one is market.ADJ_FACTOR else {"close": 10.0}
        load_days(market_lake, one, pa.concat_tables([basics(code, **value) for code in codes]), n_expected=2)

    assert found(market_lake) == [("row_missing", table.full_name, AS_OF), ("bar_incomplete", "300001.SZ", AS_OF)]


def test_row_set_aside_is_found_until_a_good_row_comes(market_lake, load_whole, load_days, frame):
    load_whole(market_lake)
    factors = "ts_code trade_date adj_factor\n300001.SZ {day} 1\n600000.SH {day} {factor}"
    day = date(2024, 7, 15)

    load_days(market_lake, market.ADJ_FACTOR, frame(market.ADJ_FACTOR, factors.format(day=day, factor=-1)), n=1)
    before = [row for row in checks.find(market_lake, day).to_pylist() if row["rule"] == "row_set_aside"]
    load_days(market_lake, market.ADJ_FACTOR, frame(market.ADJ_FACTOR, factors.format(day=day, factor=1)), n=2)

    assert [(row["subject"], row["subject_date"]) for row in before] == [
        ("market.adj_factor 2024-07-15 factor_positive", day)
    ]
    assert "1 row set aside, such as 600000.SH: the factor is zero or negative" in before[0]["title"]
    assert "row_set_aside" not in [rule for rule, *_ in found(market_lake, day)]


def test_many_bad_bars_of_one_session_are_one_grave_finding(empty_lake, load_sessions, load_days):
    load_sessions(empty_lake, [AS_OF])
    rows = [bar(f"{600000 + n}.SH", AS_OF, (10.0,) * 5, 0.0) | {"vol": 10_000.0} for n in range(21)]
    load_days(empty_lake, market.DAILY, pa.Table.from_pylist(rows))

    findings = [row for row in checks.find(empty_lake, AS_OF).to_pylist() if row["rule"] == "vwap_outside_range"]

    assert [(row["subject"], row["severity"]) for row in findings] == [("market.daily", "high")]
    assert findings[0]["title"].startswith("market.daily 2024-07-12: 21 rows break the rule, the first: 600000.SH")


# A session per line: rows, then how many of them have a value; the column counts as lost in the last one or not.
COLUMNS = {
    "all null": ([(10, 8), (10, 8), (10, 0)], True),
    "nearly all null": ([(10, 8), (10, 8), (10, 3)], True),
    "half as many": ([(10, 8), (10, 8), (10, 4)], False),
    "never had any": ([(10, 0), (10, 0), (10, 0)], False),
    "few rows, half as many": ([(9, 8), (9, 8), (9, 3)], False),
    "few rows, none left": ([(9, 8), (9, 8), (9, 0)], True),
    "first session": ([(10, 0)], False),
}


@pytest.mark.parametrize(("sessions", "is_found"), COLUMNS.values(), ids=COLUMNS)
def test_null_column_is_found_when_a_column_lost_its_values(
    empty_lake, load_sessions, load_days, monkeypatch, sessions, is_found
):
    monkeypatch.setattr(checks, "CHECKS", [check for check in checks.CHECKS if check.rule == "null_column"])
    days = DAYS[-len(sessions) :]
    load_sessions(empty_lake, days)
    rows = [
        {"ts_code": f"{600000 + n}.SH", "trade_date": day, "close": 10.0, "pe_ttm": 5.0 if n < n_values else None}
        for day, (n_rows, n_values) in zip(days, sessions, strict=True)
        for n in range(n_rows)
    ]
    load_days(empty_lake, market.DAILY_BASIC, pa.Table.from_pylist(rows))

    subjects = [row for row in found(empty_lake) if row[0] == "null_column"]

    assert subjects == ([("null_column", "market.daily_basic.pe_ttm", AS_OF)] if is_found else [])


def test_null_column_finds_the_outage_of_2023_12_11_in_the_real_figures_and_nothing_else(
    empty_lake, load_sessions, load_days, vendor_data
):
    """pe_ttm, pb and ps_ttm are NULL for every security of that session."""
    rows = pd.read_parquet(vendor_data / "ashare" / "daily_basic_csi300_partial.parquet")
    rows["trade_date"] = pd.to_datetime(rows["trade_date"]).dt.date
    rows = rows[rows["trade_date"].between(date(2023, 11, 1), date(2023, 12, 15))]
    names = ["ts_code", "trade_date", "close", "turnover_rate", "pe_ttm", "pb", "ps_ttm"]
    load_sessions(empty_lake, sorted(rows["trade_date"].unique()))
    load_days(empty_lake, market.DAILY_BASIC, pa.Table.from_pandas(rows[names], preserve_index=False))

    lost = [one[1:] for one in found(empty_lake, date(2023, 12, 15)) if one[0] == "null_column"]

    day = date(2023, 12, 11)
    assert lost == [(f"market.daily_basic.{name}", day) for name in ("pb", "pe_ttm", "ps_ttm")]


def finding(subject="600000.SH", evidence="{}"):
    return pa.Table.from_pylist(
        [
            {
                "rule": "pct_chg_disagrees",
                "severity": "medium",
                "subject": subject,
                "subject_date": DAYS[0],
                "title": "t",
                "action": "a",
                "evidence": evidence,
                "evidence_sql": "select 1",
            }
        ],
        schema=checks.FINDING_SCHEMA,
    )


NOTHING = checks.FINDING_SCHEMA.empty_table()
RULES = ["pct_chg_disagrees"]


def test_alert_is_counted_once_a_day_when_the_same_trouble_is_found_again(empty_lake):
    checks.record(empty_lake, finding(), RULES, DAYS[0])
    snapshot = empty_lake.snapshot

    checks.record(empty_lake, finding(), RULES, DAYS[0])
    same_day = empty_lake.snapshot
    alert = checks.record(empty_lake, finding(), RULES, DAYS[1]).to_pylist()[0]

    assert same_day == snapshot
    assert (alert["n_seen"], alert["first_seen_date"], alert["last_seen_date"]) == (2, DAYS[0], DAYS[1])


def test_alert_resolves_itself_when_the_trouble_is_gone_and_reopens_when_it_returns(empty_lake):
    checks.record(empty_lake, finding(), RULES, DAYS[0])
    after = checks.record(empty_lake, NOTHING, RULES, DAYS[1])
    resolved = empty_lake.read_value("select resolved_date from ops.alert")

    again = checks.record(empty_lake, finding(), RULES, DAYS[2]).to_pylist()[0]

    assert after.num_rows == 0
    assert resolved == DAYS[1]
    assert (again["state"], again["resolved_date"], again["n_seen"]) == ("open", None, 2)


def test_alert_stays_open_when_its_rule_was_not_run(empty_lake):
    checks.record(empty_lake, finding(), RULES, DAYS[0])

    standing = checks.record(empty_lake, NOTHING, ["another_rule"], DAYS[1])

    assert standing.num_rows == 1


def test_alert_of_a_later_day_is_untouched_when_an_earlier_day_is_run_again(empty_lake):
    checks.record(empty_lake, finding(), RULES, DAYS[3])
    snapshot = empty_lake.snapshot

    checks.record(empty_lake, NOTHING, RULES, DAYS[1])

    assert empty_lake.snapshot == snapshot


def test_fingerprint_differs_when_any_part_differs():
    same = checks.fingerprint("r", "s", DAYS[0])

    others = {checks.fingerprint(*parts) for parts in (("q", "s", DAYS[0]), ("r", "t", DAYS[0]), ("r", "s", DAYS[1]))}

    assert same == checks.fingerprint("r", "s", DAYS[0])
    assert same not in others and len(others) == 3
