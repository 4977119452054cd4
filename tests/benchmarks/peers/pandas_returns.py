"""Returns, volatility and drawdown as pandas users write them: python pandas_returns.py PRICES.parquet OUT.parquet."""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd
from memory import peak_gb

started = time.perf_counter()
frame = pd.read_parquet(sys.argv[1])
frame["log_price"] = np.log(frame["price"])
by_code = frame.groupby("ts_code", sort=False)
rows = frame[["ts_code", "trade_date"]].copy()
for window in (1, 5, 20, 60, 252):
    rows[f"log_return_{window}d"] = by_code["log_price"].diff(window)
one_day = rows.groupby("ts_code", sort=False)["log_return_1d"]
rows["volatility_20d"] = one_day.rolling(20).std().to_numpy()
high = by_code["price"].rolling(252, min_periods=1).max().to_numpy()
rows["drawdown_252d"] = frame["price"] / high - 1
rows.to_parquet(sys.argv[2], index=False)
ended = time.perf_counter()
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": ended - started, "cpu_s": used.ru_utime + used.ru_stime, "peak_gb": peak_gb()}))
