"""Features: closed forms, pandas as a second opinion, and day by day equal to all at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from warehouse import features, lake, load, returns
from warehouse.tables import feature

FIRST = date(2000, 1, 1)


@pytest.fixture
def inputs(random_market: Callable[..., Any]) -> pd.DataFrame:
    """What compute_features reads, made with compute_returns from a random market with suspensions."""
    given = random_market(n_codes=6, n_sessions=130, seed=3, suspended=0.1)
    frame = given.daily.merge(given.adj_factor).merge(given.daily_basic).sort_values(["ts_code", "trade_date"])
    frame["price"] = frame["close"] * frame["adj_factor"]
    computed = returns.compute_returns(
        pa.Table.from_pandas(frame[["ts_code", "trade_date", "price"]], preserve_index=False)
    ).to_pandas()
    return computed.merge(frame[["ts_code", "trade_date", "amount", "turnover_rate"]])


def compute(frame: pd.DataFrame, first: date = FIRST) -> pd.DataFrame:
    return features.compute_features(pa.Table.from_pandas(frame, preserve_index=False), first).to_pandas()


def wide(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.pivot(index="trade_date", columns="ts_code", values=column)


def test_momentum_and_reversal_are_sums_of_returns(inputs: pd.DataFrame) -> None:
    rows = compute(inputs)

    np.testing.assert_array_equal(rows["reversal_5d"], -inputs["log_return_5d"])
    np.testing.assert_array_equal(rows["momentum_60d"], inputs["log_return_60d"])
    np.testing.assert_array_equal(rows["momentum_252d_20d"], inputs["log_return_252d"] - inputs["log_return_20d"])
    np.testing.assert_array_equal(rows["volatility_20d"], inputs["volatility_20d"])
    np.testing.assert_array_equal(rows["drawdown_252d"], inputs["drawdown_252d"])


def test_turnover_equals_the_pandas_rolling_mean(inputs: pd.DataFrame) -> None:
    rows = compute(inputs)

    expected = (wide(inputs, "turnover_rate") / 100).rolling(20, min_periods=10).mean()
    actual = wide(rows, "turnover_fraction_20d")
    has_row = wide(inputs, "turnover_rate").notna()
    np.testing.assert_allclose(actual.where(has_row), expected.where(has_row), rtol=1e-9)


def test_illiquidity_equals_the_pandas_rolling_mean(inputs: pd.DataFrame) -> None:
    rows = compute(inputs)

    impact = inputs.assign(impact=inputs["log_return_1d"].abs() / (inputs["amount"] / 1e5))
    expected = wide(impact, "impact").rolling(20, min_periods=10).mean()
    has_row = wide(inputs, "amount").notna()
    np.testing.assert_allclose(wide(rows, "amihud_20d").where(has_row), expected.where(has_row), rtol=1e-9)


def test_beta_equals_pandas_covariance_over_variance(inputs: pd.DataFrame) -> None:
    rows = compute(inputs)

    log_return = wide(inputs, "log_return_1d")
    market_return = log_return.mean(axis=1)
    for code in log_return.columns:
        y = log_return[code]
        x = market_return.where(y.notna())
        expected = y.rolling(60, min_periods=30).cov(x) / x.rolling(60, min_periods=30).var()
        has_row = wide(inputs, "amount")[code].notna()
        np.testing.assert_allclose(wide(rows, "beta_60d")[code][has_row], expected[has_row], rtol=1e-7)


def test_betas_average_to_one_when_every_security_always_trades(random_market: Callable[..., Any]) -> None:
    """The market is the mean of the securities, so the mean of the slopes on it is 1."""
    given = random_market(n_codes=5, n_sessions=80, suspended=0.0)
    price = pa.Table.from_pandas(
        given.daily.assign(price=given.daily["close"])[["ts_code", "trade_date", "price"]], preserve_index=False
    )
    frame = returns.compute_returns(price).to_pandas().assign(amount=1e5, turnover_rate=1.0)

    betas = wide(compute(frame), "beta_60d").iloc[-1]

    assert betas.mean() == pytest.approx(1.0, abs=1e-12)
    assert betas.std() > 0.01


def test_units_by_hand() -> None:
    """A return of 1 % on 200 million CNY is 0.005 per 100 million; a turnover rate of 2 percent is 0.02."""
    days = [stamp.date() for stamp in pd.bdate_range("2024-01-01", periods=20)]
    frame = pd.DataFrame({"ts_code": "A", "trade_date": days, "amount": 2e5, "turnover_rate": 2.0})
    for name in (*(f"log_return_{w}d" for w in feature.LOG_RETURN_WINDOWS), "volatility_20d", "drawdown_252d"):
        frame[name] = -0.01

    last = compute(frame).iloc[-1]

    assert last["amihud_20d"] == pytest.approx(0.005, rel=1e-12)
    assert last["turnover_fraction_20d"] == pytest.approx(0.02, rel=1e-12)


def test_windows_need_half_of_their_sessions(inputs: pd.DataFrame) -> None:
    rows = compute(inputs[inputs["ts_code"] == "600000.SH"])

    n_before = rows["turnover_fraction_20d"].notna().to_numpy().argmax()
    assert n_before == 9
    # The first return belongs to the second session.
    assert rows["beta_60d"].notna().to_numpy().argmax() == 30


def test_no_trading_value_leaves_the_session_out_of_illiquidity(inputs: pd.DataFrame) -> None:
    silent = inputs.copy()
    silent.loc[silent.index[-5:], "amount"] = 0.0
    missing = inputs.copy()
    missing.loc[missing.index[-5:], "amount"] = np.nan

    np.testing.assert_array_equal(compute(silent)["amihud_20d"], compute(missing)["amihud_20d"])
    assert np.isfinite(compute(silent)["amihud_20d"].iloc[-1])


def test_only_rows_from_the_first_day_wanted_are_returned(inputs: pd.DataFrame) -> None:
    first = sorted(inputs["trade_date"].unique())[100]

    rows = compute(inputs, first)

    everything = compute(inputs)
    pd.testing.assert_frame_equal(rows, everything[everything["trade_date"] >= first].reset_index(drop=True))


def test_day_by_day_equals_all_at_once_to_the_last_bit(
    new_lake: Callable[[], lake.LakeLocation],
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    """With three sessions missing for a while, a corrected price, and turnover that comes after its bar."""
    given = random_market(n_codes=5, n_sessions=110, seed=9)
    old = given.sessions[:104]
    late = [old.pop(n) for n in (95, 80, 70)]
    wrong = type(given)(given.daily.copy(), given.adj_factor, given.daily_basic)
    wrong.daily.loc[wrong.daily["trade_date"] == old[50], ["open", "high", "low", "close"]] *= 1.5
    new_days = [given.of_sessions([day]) for day in given.sessions[104:]]
    no_turnover = type(given)(new_days[0].daily, new_days[0].adj_factor, new_days[0].daily_basic.iloc[:0])
    parts = [
        wrong.of_sessions(old),
        no_turnover,
        *new_days[1:],
        new_days[0],
        given.of_sessions([late[0]]),
        given.of_sessions(late[1:]),
        given.of_sessions([old[50]]),
    ]
    read = "select * from feature.feature order by ts_code, trade_date"

    def rebuilt(rows: Any) -> pa.Table:
        with lake.open_writer(new_lake(), holder="test") as fresh:
            load_market(fresh, rows)
            returns.update_returns(fresh, stamp(0))
            features.update_features(fresh, stamp(0))
            return fresh.read(read)

    with lake.open_writer(new_lake(), holder="test") as opened:
        for number, part in enumerate(parts):
            load_market(opened, part, number)
            returns.update_returns(opened, stamp(number))
            features.update_features(opened, stamp(number))
            if number == 7:
                holed = opened.read(read)
        piecewise = opened.read(read)

    at_once = rebuilt(given)
    assert at_once.num_rows == len(given.daily)
    assert at_once["beta_60d"].null_count < at_once.num_rows
    assert piecewise.equals(at_once)
    assert holed.equals(rebuilt(wrong.of_sessions([*old, *given.sessions[104:]])))


def test_features_wait_for_their_returns(
    empty_lake: lake.Lake,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    given = random_market(n_sessions=6, suspended=0.0)
    load_market(empty_lake, given)

    too_early = features.update_features(empty_lake, stamp(1))
    returns.update_returns(empty_lake, stamp(2))
    in_time = features.update_features(empty_lake, stamp(3))

    assert (too_early, in_time) == (0, len(given.daily))


def test_update_writes_nothing_when_nothing_changed(
    empty_lake: lake.Lake,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    load_market(empty_lake, random_market(n_sessions=5))
    returns.update_returns(empty_lake, stamp(1))
    features.update_features(empty_lake, stamp(1))
    before = empty_lake.snapshot

    assert features.update_features(empty_lake, stamp(2)) == 0
    assert empty_lake.snapshot == before


def test_a_changed_volume_alone_changes_only_what_reads_it(
    empty_lake: lake.Lake,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    given = random_market(n_codes=2, n_sessions=25, suspended=0.0)
    load_market(empty_lake, given)
    returns.update_returns(empty_lake, stamp(1))
    features.update_features(empty_lake, stamp(1))
    before = empty_lake.read_value("select count(*) from feature.log_return")
    corrected = type(given)(given.daily.assign(amount=given.daily["amount"] * 2), given.adj_factor, given.daily_basic)

    load_market(empty_lake, corrected.of_sessions(given.sessions[-1:]), 2)

    assert returns.update_returns(empty_lake, stamp(3)) == 0
    assert features.update_features(empty_lake, stamp(3)) == 2
    assert empty_lake.read_value("select count(*) from feature.log_return") == before
