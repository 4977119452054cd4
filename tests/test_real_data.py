"""Real figures through the real lake: what the exchange published is what Daybook computes."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from warehouse import returns
from warehouse.tables import market

BANK = "601398.SH"
EX_DIVIDEND = date(2024, 7, 16)


@pytest.fixture
def bank_lake(empty_lake, load_days, stamp, vendor_data):
    """Industrial and Commercial Bank in 2024, bars and factors as the vendor's files have them."""
    for table, pattern in ((market.DAILY, "daily_csi300_*.parquet"), (market.ADJ_FACTOR, "adj_factor_*.parquet")):
        rows = pd.read_parquet(next((vendor_data / "ashare").glob(pattern)), filters=[("ts_code", "==", BANK)])
        rows["trade_date"] = pd.to_datetime(rows["trade_date"]).dt.date
        rows = rows[rows["trade_date"].map(lambda day: day.year == 2024)]
        load_days(empty_lake, table, pa.Table.from_pandas(rows, preserve_index=False))
    returns.update_returns(empty_lake, stamp(1))
    return empty_lake


def test_returns_of_a_year_agree_with_the_percent_change_the_vendor_sent(bank_lake):
    rows = bank_lake.read(
        "select r.trade_date, r.simple_return_1d, bar.pct_chg / 100 as published from analyst.daily_return as r"
        " join market.daily as bar using (ts_code, trade_date) where r.simple_return_1d is not null order by 1"
    ).to_pandas()

    # pct_chg has four decimals of a percent; the factors of the file are derived from prices in whole fen.
    assert len(rows) == 241
    np.testing.assert_allclose(rows["simple_return_1d"], rows["published"], atol=2e-6)


def test_dividend_makes_no_false_jump(bank_lake):
    row = bank_lake.read(
        "select r.simple_return_1d, bar.close / before.close - 1 as raw from analyst.daily_return as r"
        " join market.daily as bar using (ts_code, trade_date)"
        " join market.daily as before on before.trade_date = date '2024-07-15' where r.trade_date = $day",
        day=EX_DIVIDEND,
    ).to_pylist()[0]

    assert row["raw"] == pytest.approx(-0.05)
    assert row["simple_return_1d"] == pytest.approx(0.0, abs=1e-6)
