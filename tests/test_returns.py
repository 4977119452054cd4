"""Returns: closed forms, pandas as a second opinion, a real ex-dividend day, and day by day equal to all at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from warehouse import lake, load, returns
from warehouse.tables import feature, market

WINDOWS = feature.LOG_RETURN_WINDOWS


def prices(**by_code: list[float | None]) -> pa.Table:
    """One price a day for each security, from 2024-01-01 on."""
    rows = [
        (code, date(2024, 1, 1) + timedelta(days=n), price)
        for code in sorted(by_code)
        for n, price in enumerate(by_code[code])
    ]
    return pa.table(
        {
            "ts_code": pa.array([row[0] for row in rows], pa.string()),
            "trade_date": pa.array([row[1] for row in rows], pa.date32()),
            "price": pa.array([row[2] for row in rows], pa.float64()),
        }
    )


def column(rows: pa.Table, name: str) -> np.ndarray:
    return rows[name].to_numpy(zero_copy_only=False)


def test_log_return_is_the_log_of_the_price_ratio() -> None:
    rows = returns.compute_returns(prices(A=[100.0, 110.0, 99.0, 99.0, 108.9, 121.0]))

    one_day = column(rows, "log_return_1d")
    assert np.isnan(one_day[0])
    np.testing.assert_allclose(one_day[1:], np.log([1.1, 0.9, 1.0, 1.1, 121.0 / 108.9]), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(column(rows, "log_return_5d")[5], np.log(1.21), rtol=1e-12)
    assert np.isnan(column(rows, "log_return_5d")[:5]).all()
    assert rows["log_return_20d"].null_count == 6


def test_volatility_of_a_price_that_alternates_has_a_closed_form() -> None:
    """Twenty returns of +r and -r in turn: mean 0, sum of squares 20 r^2, divided by 19."""
    alternating = [100.0 if n % 2 == 0 else 100.0 * np.exp(0.01) for n in range(21)]

    volatility = column(returns.compute_returns(prices(A=alternating)), "volatility_20d")

    assert np.isnan(volatility[:20]).all()
    np.testing.assert_allclose(volatility[20], 0.01 * np.sqrt(20.0 / 19.0), rtol=1e-12)


def test_volatility_is_zero_when_the_price_stands_still() -> None:
    volatility = column(returns.compute_returns(prices(A=[7.0] * 25)), "volatility_20d")

    assert (volatility[20:] == 0.0).all()


def test_drawdown_is_measured_from_the_high_of_252_sessions() -> None:
    rows = returns.compute_returns(prices(A=[200.0, *[100.0] * 251, 100.0, 80.0]))

    drawdown = column(rows, "drawdown_252d")
    assert drawdown[0] == 0.0
    assert drawdown[251] == -0.5  # the high of the first session is 251 sessions back: still inside
    assert drawdown[252] == 0.0
    np.testing.assert_allclose(drawdown[253], -0.2, rtol=1e-12)


def test_securities_do_not_touch_each_other() -> None:
    rows = returns.compute_returns(prices(A=[10.0, 20.0], B=[1.0, 2.0, 1.0]))

    assert rows["ts_code"].to_pylist() == ["A", "A", "B", "B", "B"]
    assert [value is None for value in rows["log_return_1d"].to_pylist()] == [True, False, True, False, False]
    np.testing.assert_allclose(column(rows, "log_return_1d")[4], -np.log(2.0), rtol=1e-12)


def test_a_missing_price_leaves_missing_returns_and_no_more() -> None:
    rows = returns.compute_returns(prices(A=[10.0, None, 20.0, 40.0]))

    assert [value is None for value in rows["log_return_1d"].to_pylist()] == [True, True, True, False]
    assert rows["drawdown_252d"].to_pylist() == [0.0, None, 0.0, 0.0]


def test_no_price_gives_no_row() -> None:
    assert returns.compute_returns(prices()).num_rows == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_returns_equal_pandas_on_random_prices_of_uneven_length(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = {"A": 300, "B": 1, "C": 21, "D": 260, "E": 253}
    given = prices(**{c: list(10 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))) for c, n in lengths.items()})

    rows = returns.compute_returns(given)

    frame = given.to_pandas()
    by_code = frame.assign(log_price=np.log(frame["price"])).groupby("ts_code")
    for window in WINDOWS:
        np.testing.assert_allclose(
            column(rows, f"log_return_{window}d"), by_code["log_price"].diff(window), rtol=1e-9, atol=1e-13
        )
    one_day = by_code["log_price"].diff()
    volatility = one_day.groupby(frame["ts_code"]).rolling(20).std().to_numpy()
    np.testing.assert_allclose(column(rows, "volatility_20d"), volatility, rtol=1e-8)
    high = by_code["price"].rolling(252, min_periods=1).max().to_numpy()
    np.testing.assert_allclose(column(rows, "drawdown_252d"), frame["price"] / high - 1, rtol=1e-12, atol=1e-15)


PATHS = st.lists(st.floats(min_value=0.01, max_value=1e4), min_size=2, max_size=70)


@hypothesis.given(path=PATHS, factor=st.floats(min_value=1e-3, max_value=1e3))
def test_a_constant_multiple_of_the_factor_changes_no_return(path: list[float], factor: float) -> None:
    plain = returns.compute_returns(prices(A=list(path)))
    scaled = returns.compute_returns(prices(A=[price * factor for price in path]))

    for name in plain.column_names[2:]:
        np.testing.assert_allclose(column(scaled, name), column(plain, name), rtol=1e-9, atol=1e-12)


@hypothesis.given(path=PATHS)
def test_log_returns_add_up_to_the_log_of_the_price_ratio(path: list[float]) -> None:
    rows = returns.compute_returns(prices(A=list(path)))

    total = np.nansum(column(rows, "log_return_1d"))
    np.testing.assert_allclose(total, np.log(path[-1] / path[0]), rtol=1e-9, atol=1e-10)
    for window in (5, 20, 60):
        one_day = pd.Series(column(rows, "log_return_1d"))
        np.testing.assert_allclose(
            column(rows, f"log_return_{window}d"), one_day.rolling(window).sum(), rtol=1e-7, atol=1e-9
        )


@hypothesis.given(path=PATHS, later=PATHS)
def test_later_prices_change_no_earlier_bit(path: list[float], later: list[float]) -> None:
    short = returns.compute_returns(prices(A=list(path)))
    long = returns.compute_returns(prices(A=[*path, *later]))

    assert long.slice(0, len(path)).equals(short)


def test_update_adjusts_for_ex_rights_and_skips_suspensions(
    empty_lake: lake.Lake,
    bars: Callable[[str], pa.Table],
    frame: Callable[..., pa.Table],
    load_days: Callable[..., pa.Table],
    stamp: Callable[[int], load.Stamp],
) -> None:
    """X halves its price and doubles its factor: no return. Y is suspended on the 3rd: its return spans two days."""
    days = "X 2024-01-02 10\nX 2024-01-03 5\nX 2024-01-04 6\nY 2024-01-02 8\nY 2024-01-04 10"
    factors = "X 2024-01-02 1\nX 2024-01-03 2\nX 2024-01-04 2\nY 2024-01-02 3\nY 2024-01-03 3\nY 2024-01-04 3"
    load_days(empty_lake, market.DAILY, bars(days))
    load_days(empty_lake, market.ADJ_FACTOR, frame(market.ADJ_FACTOR, f"ts_code trade_date adj_factor\n{factors}"))

    n_written = returns.update_returns(empty_lake, stamp(1))

    rows = empty_lake.read("select * from feature.log_return order by ts_code, trade_date")
    assert n_written == 5
    assert [f"{code} {day}" for code, day in zip(*rows.select([0, 1]).to_pydict().values(), strict=True)] == [
        "X 2024-01-02",
        "X 2024-01-03",
        "X 2024-01-04",
        "Y 2024-01-02",
        "Y 2024-01-04",
    ]
    expected = [np.nan, 0.0, np.log(1.2), np.nan, np.log(1.25)]
    np.testing.assert_allclose(column(rows, "log_return_1d"), expected, rtol=1e-12, atol=1e-15)


def test_a_bar_without_a_factor_has_a_row_without_a_return(
    empty_lake: lake.Lake,
    bars: Callable[[str], pa.Table],
    frame: Callable[..., pa.Table],
    load_days: Callable[..., pa.Table],
    stamp: Callable[[int], load.Stamp],
) -> None:
    load_days(empty_lake, market.DAILY, bars("X 2024-01-02 10\nX 2024-01-03 11"))
    factors = frame(market.ADJ_FACTOR, "ts_code trade_date adj_factor\nX 2024-01-02 1")
    load_days(empty_lake, market.ADJ_FACTOR, factors)
    returns.update_returns(empty_lake, stamp(1))
    assert empty_lake.read("select log_return_1d from feature.log_return").column(0).to_pylist() == [None, None]

    factors = frame(market.ADJ_FACTOR, "ts_code trade_date adj_factor\nX 2024-01-03 1")
    load_days(empty_lake, market.ADJ_FACTOR, factors, n=2)
    n_written = returns.update_returns(empty_lake, stamp(3))

    assert n_written == 1
    late = empty_lake.read_value("select log_return_1d from feature.log_return where trade_date = date '2024-01-03'")
    assert late == pytest.approx(np.log(1.1), rel=1e-12)


def test_update_writes_nothing_when_nothing_changed(
    empty_lake: lake.Lake,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    assert returns.update_returns(empty_lake, stamp(0)) == 0
    load_market(empty_lake, random_market(n_sessions=5))
    assert returns.update_returns(empty_lake, stamp(1)) > 0
    before = empty_lake.snapshot

    assert returns.update_returns(empty_lake, stamp(2)) == 0
    assert empty_lake.snapshot == before


def test_update_ignores_a_day_whose_bars_failed(
    empty_lake: lake.Lake, load_days: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]
) -> None:
    load_days(empty_lake, market.DAILY, market.DAILY.empty(), days=[date(2024, 1, 2)], failure="503")

    assert returns.update_returns(empty_lake, stamp(1)) == 0
    assert empty_lake.read_value("select count(*) from ops.ledger where dataset = 'feature.log_return'") == 0


def test_day_by_day_equals_all_at_once_to_the_last_bit(
    new_lake: Callable[[], lake.LakeLocation],
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    """Also with a session that comes late, and with corrections of an old price and an old factor."""
    given = random_market(n_codes=4, n_sessions=270, seed=5, suspended=0.02)
    old = given.sessions[:265]
    late = old.pop(200)
    wrong = type(given)(given.daily.copy(), given.adj_factor.copy(), given.daily_basic)
    wrong.daily.loc[wrong.daily["trade_date"] == old[100], ["open", "high", "low", "close"]] *= 1.5
    wrong.adj_factor.loc[wrong.adj_factor["trade_date"] == old[30], "adj_factor"] *= 1.01
    new_days = [given.of_sessions([day]) for day in given.sessions[265:]]
    corrections = [given.of_sessions([day]) for day in (late, old[100], old[30])]

    def replayed(parts: list[Any]) -> pa.Table:
        with lake.open_writer(new_lake(), holder="test") as opened:
            for number, part in enumerate(parts):
                load_market(opened, part, number)
                returns.update_returns(opened, stamp(number))
            return opened.read("select * from feature.log_return order by ts_code, trade_date")

    before_correction = replayed([wrong.of_sessions(old), *new_days])
    piecewise = replayed([wrong.of_sessions(old), *new_days, *corrections])

    at_once = replayed([given])
    assert at_once.num_rows == len(given.daily)
    new = at_once.filter(pc.greater_equal(at_once["trade_date"], given.sessions[265]))
    assert new["log_return_252d"].null_count < new.num_rows
    assert piecewise.equals(at_once)
    # Compared apart, because a correction computes the later days again and would heal what they got wrong.
    assert before_correction.equals(replayed([wrong.of_sessions([*old, *given.sessions[265:]])]))


def test_a_new_day_writes_only_its_own_rows(
    empty_lake: lake.Lake,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    given = random_market(n_codes=4, n_sessions=30, suspended=0.0)
    load_market(empty_lake, given.of_sessions(given.sessions[:-1]))
    returns.update_returns(empty_lake, stamp(0))

    load_market(empty_lake, given.of_sessions(given.sessions[-1:]), 1)

    assert returns.update_returns(empty_lake, stamp(1)) == 4


def test_a_new_day_reaches_back_over_a_suspension_longer_than_what_is_read_at_first(
    new_lake: Callable[[], lake.LakeLocation],
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    """One security was suspended for 120 sessions, one is new, one is back on the last day, one always traded."""
    n_sessions = returns.HISTORY_SESSIONS + 200
    whole = random_market(n_codes=4, n_sessions=n_sessions, seed=8, suspended=0.0)
    sessions = whole.sessions
    gone = {
        "600000.SH": sessions[-150:-30],
        "600001.SH": sessions[:-60],
        "600002.SH": sessions[-200:-1],
        "600003.SH": [],
    }
    given = type(whole)(
        *(
            rows[[day not in gone[code] for code, day in zip(rows["ts_code"], rows["trade_date"], strict=True)]]
            for rows in (whole.daily, whole.adj_factor, whole.daily_basic)
        )
    )

    def returned(parts: list[Any]) -> pa.Table:
        with lake.open_writer(new_lake(), holder="test") as opened:
            for number, part in enumerate(parts):
                load_market(opened, part, number)
                returns.update_returns(opened, stamp(number))
            return opened.read("select * from feature.log_return order by ts_code, trade_date")

    piecewise = returned([given.of_sessions(sessions[:-2]), *(given.of_sessions([day]) for day in sessions[-2:])])

    assert piecewise.equals(returned([given]))
    on_last_day = piecewise.filter(pc.equal(piecewise["trade_date"], sessions[-1])).to_pydict()
    assert on_last_day["ts_code"] == list(gone)
    assert [value is None for value in on_last_day["log_return_252d"]] == [False, True, False, False]


def test_icbc_ex_dividend_day_has_the_vendor_return(
    empty_lake: lake.Lake,
    load_days: Callable[..., pa.Table],
    stamp: Callable[[int], load.Stamp],
    vendor_data: Path,
) -> None:
    """601398.SH goes ex dividend on 2024-07-16. The vendor's pct_chg already allows for it; raw closes do not."""
    raw = pd.read_csv(vendor_data / "ashare" / "daily_601398.SH_2024.csv")
    raw["trade_date"] = pd.to_datetime(raw["trade_date"].astype(str)).dt.date
    raw = raw[market.DAILY.empty().select([c for c in market.DAILY.fact_names]).column_names]
    factors = pd.read_parquet(vendor_data / "ashare" / "adj_factor_csi300_derived.parquet")
    factors["trade_date"] = pd.to_datetime(factors["trade_date"].astype(str)).dt.date
    factors = factors[(factors["ts_code"] == "601398.SH") & factors["trade_date"].isin(raw["trade_date"])]
    load_days(empty_lake, market.DAILY, pa.Table.from_pandas(raw, preserve_index=False))
    load_days(
        empty_lake,
        market.ADJ_FACTOR,
        pa.Table.from_pandas(factors[["ts_code", "trade_date", "adj_factor"]], preserve_index=False),
    )

    returns.update_returns(empty_lake, stamp(1))

    rows = empty_lake.read(
        "select trade_date, simple_return_1d, pct_chg, close, lag(close) over (order by trade_date) as last_close"
        " from analyst.daily_return join market.daily using (ts_code, trade_date) order by trade_date"
    ).to_pandas()
    ex_day = rows[rows["trade_date"].astype(str) == "2024-07-16"].iloc[0]
    # pct_chg has four decimals in percent at best; the factor is derived from prices rounded to a fen (0.09 %).
    assert ex_day["simple_return_1d"] == pytest.approx(ex_day["pct_chg"] / 100, abs=1e-3)
    assert abs(ex_day["close"] / ex_day["last_close"] - 1 - ex_day["pct_chg"] / 100) > 0.02
    np.testing.assert_allclose(rows["simple_return_1d"][1:], rows["pct_chg"][1:] / 100, atol=1e-3)
