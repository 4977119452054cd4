"""Features: closed forms, pandas as a second opinion, and day by day equal to all at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from warehouse import feature_series, features, lake, load, returns, sql
from warehouse.tables import feature, feature_list

ROOT = Path(__file__).resolve().parents[1]
FIRST = date(2000, 1, 1)
FLAT = dict.fromkeys((*feature_list.BAR_COLUMNS, *feature_list.BASIC_COLUMNS), 1.0)


def test_every_statistic_and_series_a_feature_names_is_there() -> None:
    asked = {name for one in feature_list.FEATURES for name in one.of}

    assert {one.statistic for one in feature_list.FEATURES} == set(feature_series.STATISTICS)
    assert asked <= {one.name for one in feature_list.SERIES}
    assert len({one.name for one in feature_list.FEATURES}) == len(feature_list.FEATURES)


def test_days_are_due_by_the_index_that_features_read() -> None:
    assert f"ts_code = '{feature_list.MARKET_INDEX}'" in sql.load("derived_inputs")


@pytest.fixture(scope="module")
def inputs(random_market: Callable[..., Any]) -> pd.DataFrame:
    """What compute_features reads, made with compute_returns from a random market with suspensions."""
    given = random_market(n_codes=7, n_sessions=130, seed=3, suspended=0.1, ranging=True)
    basic = given.daily_basic.drop(columns="close")
    frame = given.daily.merge(given.adj_factor).merge(basic).sort_values(["ts_code", "trade_date"])
    frame["price"] = frame["close"] * frame["adj_factor"]
    computed = returns.compute_returns(
        pa.Table.from_pandas(frame[["ts_code", "trade_date", "price"]], preserve_index=False)
    ).to_pandas()
    return computed.merge(frame[["ts_code", "trade_date", *feature_list.BAR_COLUMNS, *feature_list.BASIC_COLUMNS]])


@pytest.fixture(scope="module")
def index(inputs: pd.DataFrame) -> dict[date, float]:
    """Log returns of an index that has no value on every seventh session."""
    days = sorted(inputs["trade_date"].unique())
    drawn = np.random.default_rng(8).normal(0.0, 0.01, len(days))
    return {day: float(value) for at, (day, value) in enumerate(zip(days, drawn, strict=True)) if at % 7}


def compute(frame: pd.DataFrame, first: date = FIRST, index: dict[date, float] | None = None) -> pd.DataFrame:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return features.compute_features(table, first, index).to_pandas()


def wide(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.pivot(index="trade_date", columns="ts_code", values=column)


def by_window(values: pd.DataFrame, fewest: int, window: int, work: Callable[[Any], float]) -> pd.DataFrame:
    """A figure of the values present in each window, one window after the other."""
    out = pd.DataFrame(np.nan, index=values.index, columns=values.columns)
    for code in values.columns:
        for at in range(len(values)):
            seen = values[code].iloc[max(at - window + 1, 0) : at + 1].dropna()
            if len(seen) >= fewest:
                out.loc[values.index[at], code] = work(seen)
    return out


def outer_spread(log_return: pd.DataFrame, key: pd.DataFrame) -> pd.Series:
    """Mean return of the upper less that of the lower 30 % by the session before's key."""
    found = pd.Series(np.nan, index=log_return.index)
    for before, day in zip(log_return.index, log_return.index[1:], strict=False):
        known = key.loc[before].dropna().sort_values()
        n_outer = int(0.3 * (len(known) - 1)) + 1
        if len(known) > 1:
            of_day = log_return.loc[day]
            found[day] = of_day[known.index[-n_outer:]].mean() - of_day[known.index[:n_outer]].mean()
    return found


def least_squares(y: pd.DataFrame, regressors: list[pd.Series]) -> list[pd.DataFrame]:
    """Slopes, and last the standard error, of numpy's least squares over 60 sessions with at least 30."""
    out = [pd.DataFrame(np.nan, index=y.index, columns=y.columns) for _ in range(len(regressors) + 1)]
    for code in y.columns:
        table = pd.concat([y[code], *regressors], axis=1).to_numpy()
        for at in range(len(table)):
            seen = table[max(at - 59, 0) : at + 1]
            seen = seen[np.isfinite(seen).all(axis=1)]
            if len(seen) >= 30:
                design = np.column_stack([np.ones(len(seen)), seen[:, 1:]])
                slopes, rest, *_ = np.linalg.lstsq(design, seen[:, 0], rcond=None)
                error = float(np.sqrt(rest[0] / (len(seen) - design.shape[1])))
                for to, value in zip(out, [*slopes[1:], error], strict=True):
                    to.loc[y.index[at], code] = value
    return out


def second_opinion(inputs: pd.DataFrame, index: dict[date, float]) -> dict[str, pd.DataFrame]:
    """Every feature from pandas, scipy and numpy, straight from its definition."""
    table = {name: wide(inputs, name) for name in inputs.columns if name not in ("ts_code", "trade_date")}
    r, cny = table["log_return_1d"], table["amount"] * 1000.0
    turnover = table["turnover_rate"] / 100.0
    log_cny, float_value = np.log(cny), np.log(cny / turnover)
    overnight = np.log(table["open"] / table["pre_close"])
    market = pd.Series(index).reindex(r.index).fillna(r.mean(axis=1))
    size = -outer_spread(r, float_value)
    value = outer_spread(r, 1.0 / table["pe_ttm"])
    beta, residual = least_squares(r, [market])
    _, size_beta, value_beta, factor_residual = least_squares(r, [market, size, value])
    ranges = np.log(table["high"] / table["low"]) ** 2
    return {
        "momentum_252d_20d": table["log_return_252d"] - table["log_return_20d"],
        "momentum_60d": table["log_return_60d"],
        "reversal_1d": -r,
        "reversal_5d": -table["log_return_5d"],
        "reversal_20d": -table["log_return_20d"],
        "volatility_20d": table["volatility_20d"],
        "volatility_60d": r.rolling(60, min_periods=30).std(),
        "downside_volatility_60d": r.clip(upper=0.0).pow(2).rolling(60, min_periods=30).mean() ** 0.5,
        "skewness_60d": by_window(r, 30, 60, lambda seen: stats.skew(seen, bias=False)),
        "max_return_20d": r.rolling(20, min_periods=10).max(),
        "drawdown_252d": table["drawdown_252d"],
        "turnover_fraction_20d": turnover.rolling(20, min_periods=10).mean(),
        "amihud_20d": (r.abs() / (cny / 1e8)).rolling(20, min_periods=10).mean(),
        "range_volatility_20d": (ranges.rolling(20, min_periods=10).mean() / (4 * np.log(2))) ** 0.5,
        "gap_1d": overnight,
        "gap_20d": overnight.rolling(20, min_periods=10).mean(),
        "volume_trend_20d": by_window(
            log_cny, 10, 20, lambda seen: stats.linregress(log_cny.index.get_indexer(seen.index), seen).slope
        ),
        "price_volume_correlation_20d": pd.DataFrame(
            {code: r[code].rolling(20, min_periods=10).corr(log_cny[code].where(r[code].notna())) for code in r}
        ),
        "beta_60d": beta,
        "residual_volatility_60d": residual,
        "size_beta_60d": size_beta,
        "value_beta_60d": value_beta,
        "factor_residual_volatility_60d": factor_residual,
        "log_float_value": float_value,
        "book_to_price": 1.0 / table["pb"],
        "earnings_to_price": 1.0 / table["pe_ttm"],
        "sales_to_price": 1.0 / table["ps_ttm"],
    }


def test_features_equal_a_second_opinion(inputs: pd.DataFrame, index: dict[date, float]) -> None:
    expected = second_opinion(inputs, index)

    rows = compute(inputs, index=index)

    assert set(expected) == set(feature.FEATURE_NAMES), "a new feature needs a second opinion"
    has_row = wide(inputs, "amount").notna()
    for name, table in expected.items():
        found = wide(rows, name)
        np.testing.assert_allclose(found.where(has_row), table.where(has_row), rtol=1e-7, atol=1e-12, err_msg=name)
        if name != "momentum_252d_20d":
            assert found.notna().to_numpy().any(), name


def test_betas_average_to_one_when_every_security_always_trades(random_market: Callable[..., Any]) -> None:
    """The market is the mean of the securities, so the mean of the slopes on it is 1."""
    given = random_market(n_codes=5, n_sessions=80, suspended=0.0)
    price = pa.Table.from_pandas(
        given.daily.assign(price=given.daily["close"])[["ts_code", "trade_date", "price"]], preserve_index=False
    )
    frame = returns.compute_returns(price).to_pandas().assign(**FLAT)

    betas = wide(compute(frame), "beta_60d").iloc[-1]

    assert betas.mean() == pytest.approx(1.0, abs=1e-12)
    assert betas.std() > 0.01


def test_units_by_hand() -> None:
    """A return of 1 % on 200 million CNY is 0.005 per 100 million; a turnover rate of 2 percent is 0.02."""
    days = [stamp.date() for stamp in pd.bdate_range("2024-01-01", periods=20)]
    frame = pd.DataFrame({"ts_code": "A", "trade_date": days, **FLAT, "amount": 2e5, "turnover_rate": 2.0})
    for name in (*(f"log_return_{w}d" for w in feature.LOG_RETURN_WINDOWS), "volatility_20d", "drawdown_252d"):
        frame[name] = -0.01

    last = compute(frame).iloc[-1]

    assert last["amihud_20d"] == pytest.approx(0.005, rel=1e-12)
    assert last["turnover_fraction_20d"] == pytest.approx(0.02, rel=1e-12)
    # 200 million CNY are 2 % of 10 billion.
    assert last["log_float_value"] == pytest.approx(np.log(1e10), rel=1e-12)
    assert last["volume_trend_20d"] == pytest.approx(0.0, abs=1e-12)


def test_windows_need_half_of_their_sessions(inputs: pd.DataFrame) -> None:
    rows = compute(inputs[inputs["ts_code"] == "600000.SH"])

    n_before = rows["turnover_fraction_20d"].notna().to_numpy().argmax()
    assert n_before == 9
    # The first return belongs to the second session.
    assert rows["beta_60d"].notna().to_numpy().argmax() == 30
    assert rows["max_return_20d"].notna().to_numpy().argmax() == 10


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


def test_a_day_needs_no_more_history_than_the_longest_window(inputs: pd.DataFrame, index: dict[date, float]) -> None:
    days = sorted(inputs["trade_date"].unique())
    first = days[100]
    recent = inputs[inputs["trade_date"] >= days[100 - feature_list.HISTORY_SESSIONS]]

    pd.testing.assert_frame_equal(compute(recent, first, index), compute(inputs, first, index), check_exact=True)


def test_history_worked_through_by_years_gives_the_same_bits(
    new_lake: Callable[[], lake.LakeLocation],
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Windows of January reach into the year before, which was read and written before."""
    given = random_market(n_codes=5, n_sessions=300, seed=12, ranging=True)
    found = []
    for most_cells in (features.MOST_CELLS, 1):
        monkeypatch.setattr(features, "MOST_CELLS", most_cells)
        with lake.open_writer(new_lake(), holder="test") as opened:
            load_market(opened, given)
            returns.update_returns(opened, stamp(0))
            features.update_features(opened, stamp(0))
            found.append(opened.read("from feature.feature order by ts_code, trade_date"))

    assert found[0]["trade_date"].to_pylist()[0].year + 1 == found[0]["trade_date"].to_pylist()[-1].year
    assert found[1].equals(found[0])


def test_day_by_day_equals_all_at_once_to_the_last_bit(
    new_lake: Callable[[], lake.LakeLocation],
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    """With three sessions missing for a while, a corrected price, and turnover that comes after its bar."""
    given = random_market(n_codes=5, n_sessions=110, seed=9, ranging=True)
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
    empty = {name for name in feature.FEATURE_NAMES if at_once[name].null_count == at_once.num_rows}
    assert empty == {"momentum_252d_20d"}
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


def test_docs_table_is_the_list() -> None:
    """`docs/features.md` is written by hand but for its two tables, which are these."""
    said = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    rows = [
        f"| `{one.name}` | {one.meaning} | {one.unit} | {', '.join(f'`{name}`' for name in one.of)} | {one.source} |"
        for one in feature_list.FEATURES
    ]
    of_series = [
        f"| `{one.name}` | {one.meaning} | {', '.join(f'`{column}`' for column in one.columns)} |"
        for one in feature_list.SERIES
        if one.columns != (f"feature.log_return.{one.name}",)
    ]

    assert "\n".join(rows) in said
    assert "\n".join(of_series) in said
