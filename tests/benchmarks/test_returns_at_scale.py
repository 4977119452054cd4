"""Returns of a whole market's history against pandas, written; and one new day, from committed bars to committed rows.

One run measures both, each in a process of its own, so ratios hold on any machine.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from warehouse import lake, returns
from warehouse.tables import market

pytestmark = pytest.mark.benchmark

N_NEW_DAYS = 5


@pytest.mark.parametrize(("n_codes", "n_sessions"), [(300, 1000), (5000, 5216)], ids=["small", "26 million rows"])
def test_rebuild_and_new_day(
    history, location, tmp_path, in_a_process, load_days, stamp, timed, report, n_codes, n_sessions
):
    given = history(n_codes, n_sessions + N_NEW_DAYS)
    given.fill(location, n_sessions)
    given.write_prices(tmp_path / "prices.parquet", n_sessions)

    peer = in_a_process("pandas_returns.py", tmp_path / "prices.parquet", tmp_path / "pandas.parquet")
    ours = in_a_process("daybook_returns.py", location.path, "200MB")

    new_day_s = []
    with lake.open_writer(location, holder="benchmark") as opened:
        assert_equal(opened, tmp_path / "pandas.parquet", given.codes[:: max(n_codes // 7, 1)])
        for number in range(N_NEW_DAYS):
            daily, factors = given.bars(slice(n_sessions + number, n_sessions + number + 1))
            load_days(opened, market.DAILY, daily, number)
            load_days(opened, market.ADJ_FACTOR, factors, number)
            n_written, seconds = timed(lambda number=number: returns.update_returns(opened, stamp(number)))
            assert n_written == daily.num_rows
            new_day_s.append(seconds)

    report(
        rows=ours["rows"],
        pandas_s=round(peer["seconds"], 2),
        daybook_s=round(ours["seconds"], 2),
        daybook_over_pandas=round(ours["seconds"] / peer["seconds"], 3),
        pandas_cpu_s=round(peer["cpu_s"], 2),
        daybook_cpu_s=round(ours["cpu_s"], 2),
        pandas_peak_gb=round(peer["peak_gb"], 2),
        daybook_peak_gb=round(ours["peak_gb"], 2),
        daybook_kernels_ready_s=round(ours["kernels_ready_s"], 2),
        new_day_median_s=round(float(np.median(new_day_s)), 3),
        new_day_first_s=round(new_day_s[0], 3),
    )


def assert_equal(opened, path, codes):
    """The peer's figures are ours, for some securities."""
    theirs = pd.read_parquet(path, filters=[("ts_code", "in", list(codes))]).reset_index(drop=True)
    ours = opened.read(
        "select * from feature.log_return where ts_code in (select unnest($codes)) order by ts_code, trade_date",
        codes=list(codes),
    )
    assert pc.sum(pc.is_null(ours["log_return_1d"])).as_py() == len(codes)
    for name in ours.column_names[2:]:
        np.testing.assert_allclose(
            ours[name].to_numpy(zero_copy_only=False), theirs[name], rtol=1e-7, atol=1e-11, err_msg=name
        )
