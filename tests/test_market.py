"""The synthetic market keeps the laws of a real one, except where its answer key says that it does not."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from warehouse.sources import market, market_names

N_SYMBOLS, N_SESSIONS = 60, 120


@pytest.fixture(scope="module")
def truth():
    return market.synthetic_market(seed=5, n_symbols=N_SYMBOLS, n_sessions=N_SESSIONS)


def frame_of(truth, name):
    return pd.DataFrame(dict(truth.sheets[name].columns))


@pytest.fixture(scope="module")
def bars(truth):
    """Every bar beside its factor and the bar before it of the same security."""
    rows = frame_of(truth, "daily").merge(frame_of(truth, "adj_factor"), on=["ts_code", "trade_date"])
    rows = rows.sort_values(["ts_code", "trade_date"])
    for name in ("close", "adj_factor"):
        rows[f"{name}_before"] = rows.groupby("ts_code")[name].shift()
    planted = {(each.ts_code, f"{each.trade_date:%Y%m%d}"): each.kind for each in truth.anomalies}
    keys = zip(rows["ts_code"], rows["trade_date"], strict=True)
    rows["kind"] = [planted.get(key, "") for key in keys]
    return rows


def test_same_seed_gives_the_same_market_and_another_seed_another():
    one, same, other = (
        market.synthetic_market(seed=seed, n_symbols=20, n_sessions=20).sheets["daily"].columns["close"].tolist()
        for seed in (1, 1, 2)
    )

    assert one == same
    assert one != other


def test_listed_less_suspended_is_who_has_a_bar_on_every_session(truth):
    daily, suspended = truth.sheets["daily"], truth.sheets["suspend_d"]
    for day in truth.session_dates:
        key = int(f"{day:%Y%m%d}")
        listed = {
            each.ts_code
            for each in truth.listings
            if each.list_date <= day and (each.delist_date is None or day < each.delist_date)
        }
        # A resumption has type R; a halt within the day has its hours in suspend_timing.
        whole_day = (suspended.date_keys == key) & (suspended.columns["suspend_type"] == "S")
        whole_day &= np.array([timing is None for timing in suspended.columns["suspend_timing"].tolist()], dtype=bool)

        assert listed - set(suspended.columns["ts_code"][whole_day]) == set(
            daily.columns["ts_code"][daily.date_keys == key]
        ), day


def test_bars_are_in_order_but_where_the_key_says_otherwise(bars):
    is_ordered = (bars["low"] <= bars[["open", "close"]].min(axis=1)) & (
        bars["high"] >= bars[["open", "close"]].max(axis=1)
    )

    assert set(bars.loc[~is_ordered, "kind"]) == {"price_order"}


def test_percent_change_is_what_the_prices_say_but_where_the_key_says_otherwise(bars):
    implied = 100 * (bars["close"] / bars["pre_close"] - 1)
    is_off = (implied - bars["pct_chg"]).abs() > 0.01

    assert set(bars.loc[is_off, "kind"]) == {"pct_chg_mismatch"}


def test_factors_imply_the_previous_close_but_where_the_key_says_otherwise(bars):
    """close[t-1] x factor[t-1] / factor[t] is pre_close[t], to half a fen and the factor's last digit."""
    implied = bars["close_before"] * bars["adj_factor_before"] / bars["adj_factor"]
    is_off = (implied - bars["pre_close"]).abs() > 0.0051

    assert set(bars.loc[is_off, "kind"]) == {"adj_factor_misfit"}


def test_ex_rights_days_are_there_to_be_adjusted_for(bars):
    is_ex = (bars["pre_close"] - bars["close_before"]).abs() > 0.011

    assert is_ex.sum() > N_SYMBOLS / 4


def test_every_kind_of_anomaly_stands_in_the_last_two_sessions(truth):
    last_two = {each.kind for each in truth.anomalies if each.trade_date in truth.session_dates[-2:]}

    assert last_two == {*market.LAST_DAY_KINDS, *market.DAY_BEFORE_KINDS}


def test_planted_factors_explain_the_returns_they_were_made_from(truth, bars):
    """R2 of each security's log returns on the planted factors, by least squares."""
    bars = bars.assign(log_return=np.log(bars["close"] / bars["pre_close"]))
    panel = bars.pivot(index="trade_date", columns="ts_code", values="log_return")
    whole = panel.loc[:, panel.notna().all()]
    factors = np.column_stack([np.ones(len(panel)), truth.factor_returns])
    fitted = factors @ np.linalg.lstsq(factors, whole.to_numpy(), rcond=None)[0]
    r2 = 1 - ((whole - fitted) ** 2).sum() / ((whole - whole.mean()) ** 2).sum()

    assert whole.shape[1] > N_SYMBOLS / 2
    assert r2.median() > 0.35


def test_macro_series_show_nothing_before_its_release_and_are_revised_later(truth):
    payrolls = truth.macro["PAYEMS"]
    newest = truth.session_dates[-1]

    history = [payrolls.csv_at(date(newest.year, month, 1)).decode().splitlines() for month in (3, 9)]

    assert len(history[1]) == len(history[0]) + 6
    changed = [a for a, b in zip(*history, strict=False) if a != b]
    assert 1 <= len(changed) <= 3


def test_market_as_large_as_the_real_one_has_every_code_once():
    codes = market_names.draw_securities(np.random.default_rng(1), 5_400).ts_codes

    assert len(set(codes)) == 5_400


@pytest.mark.parametrize("sizes", [{"n_symbols": 20_000}, {"n_symbols": 5}, {"n_sessions": 5}, {"n_sessions": 100_000}])
def test_market_of_a_size_that_cannot_be_had_is_refused(sizes):
    with pytest.raises(ValueError, match="Ask for"):
        market.synthetic_market(**sizes)
