"""Every feature of a whole market's history, and of one new day, beside the returns they are computed from.

One run measures pandas' returns, ours, and the features, each in a process of its own, so ratios hold on any machine.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from warehouse import features, lake, returns
from warehouse.tables import feature, market

pytestmark = pytest.mark.benchmark

N_NEW_DAYS = 5


@pytest.mark.parametrize(("n_codes", "n_sessions"), [(300, 1000), (5000, 5216)], ids=["small", "26 million rows"])
def test_features_beside_returns(
    history, location, tmp_path, in_a_process, load_days, stamp, timed, report, n_codes, n_sessions
):
    given = history(n_codes, n_sessions + N_NEW_DAYS)
    given.fill(location, n_sessions, basics=True)
    given.write_prices(tmp_path / "prices.parquet", n_sessions)

    peer = in_a_process("pandas_returns.py", tmp_path / "prices.parquet", tmp_path / "pandas.parquet")
    of_returns = in_a_process("daybook_returns.py", location.path, "200MB")
    ours = in_a_process("daybook_features.py", location.path, "200MB")

    new_day_s = []
    with lake.open_writer(location, holder="benchmark") as opened:
        assert_equal(opened, given, slice(0, n_sessions))
        for number in range(N_NEW_DAYS):
            day = slice(n_sessions + number, n_sessions + number + 1)
            daily, factors = given.bars(day)
            for table, rows in (
                (market.DAILY, daily),
                (market.ADJ_FACTOR, factors),
                (market.DAILY_BASIC, given.basics(day)),
            ):
                load_days(opened, table, rows, number)
            returns.update_returns(opened, stamp(number))
            n_written, seconds = timed(lambda number=number: features.update_features(opened, stamp(number)))
            assert n_written == daily.num_rows
            new_day_s.append(seconds)

    n_features, n_returns = len(feature.FEATURE_NAMES), len(feature.LOG_RETURN.columns) - 2
    report(
        rows=ours["rows"],
        features=n_features,
        pandas_returns_s=round(peer["seconds"], 2),
        returns_s=round(of_returns["seconds"], 2),
        features_s=round(ours["seconds"], 2),
        features_over_pandas_returns=round(ours["seconds"] / peer["seconds"], 2),
        a_value_over_pandas_returns=round(ours["seconds"] / n_features / (peer["seconds"] / n_returns), 2),
        pandas_returns_cpu_s=round(peer["cpu_s"], 2),
        returns_cpu_s=round(of_returns["cpu_s"], 2),
        features_cpu_s=round(ours["cpu_s"], 2),
        pandas_returns_peak_gb=round(peer["peak_gb"], 2),
        returns_peak_gb=round(of_returns["peak_gb"], 2),
        features_peak_gb=round(ours["peak_gb"], 2),
        features_kernels_ready_s=round(ours["kernels_ready_s"], 2),
        new_day_median_s=round(float(np.median(new_day_s)), 3),
        new_day_first_s=round(new_day_s[0], 3),
    )


def assert_equal(opened, given, columns):
    """Four features by pandas, for some securities."""
    for code in given.codes[:: max(len(given.codes) // 5, 1)]:
        at = int(np.searchsorted(given.codes, code))
        price = pd.Series(np.where(given.has_bar[at], given.close[at] * given.factor[at], np.nan)[columns])
        own = np.log(price.dropna()).diff().reindex(price.index)
        expected = {
            "reversal_1d": -own,
            "volatility_60d": own.rolling(60, min_periods=30).std(),
            "skewness_60d": own.rolling(60, min_periods=30).skew(),
            "max_return_20d": own.rolling(20, min_periods=10).max(),
        }
        ours = opened.read(
            f"select {', '.join(expected)} from feature.feature where ts_code = $code order by trade_date", code=code
        )
        for name, series in expected.items():
            found = ours[name].to_numpy(zero_copy_only=False)
            np.testing.assert_allclose(found, series[price.notna()], rtol=1e-6, atol=1e-8, err_msg=f"{code} {name}")
