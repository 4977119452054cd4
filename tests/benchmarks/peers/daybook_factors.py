"""The same fourteen factors from the lake with Daybook's kernels: python daybook_factors.py LAKE OUT.

The whole way is timed, from the question to the lake to fourteen matrices in memory.
"""

import itertools
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from warehouse import lake, matrices, rolling
from warehouse.tables import market

REPEATS = 5
N = 20


def factors(bars):
    """Fourteen (n_codes, n_sessions) matrices from high, low, close and vol, in the order of the expressions."""
    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "vol"))
    starts = rolling.starts_of_rows(close.shape)
    before = rolling.lag(close, starts, 1)
    # Qlib keeps every input in float32: rounding these alone moves a correlation by 1e-5.
    narrow = [values.astype(np.float32) for values in (close, before, volume, rolling.lag(volume, starts, 1))]
    gain, volume_gain = narrow[0] / narrow[1], np.log(narrow[2] / narrow[3] + np.float32(1))
    log_volume = np.log(narrow[2] + np.float32(1))
    highest, lowest = rolling.highest(high, starts, N), rolling.lowest(low, starts, N)
    slope, r_squared, residual = rolling.trend(close, starts, N, min_count=1)
    any_rise = np.where(close > before, 1.0, 0.0)
    return [
        rolling.mean(close, starts, 5, min_count=1) / close,
        rolling.mean(close, starts, 60, min_count=1) / close,
        rolling.std(close, starts, N, min_count=1) / close,
        highest / close,
        lowest / close,
        rolling.lag(close, starts, N) / close,
        slope / close,
        r_squared,
        residual / close,
        rolling.correlation(close, log_volume, starts, N, min_count=1),
        rolling.quantile(close, starts, N, 0.8, min_count=1) / close,
        (close - lowest) / (highest - lowest + 1e-12),
        rolling.mean(any_rise, starts, N, min_count=1),
        rolling.correlation(gain, volume_gain, starts, N, min_count=1),
    ]


def in_threads(bars, n_threads):
    """The same, for blocks of securities in threads: the kernels leave the interpreter's lock alone."""
    n_codes = len(bars["close"])
    # A block's columns stay in a core's cache.
    edges = np.linspace(0, n_codes, max(n_codes // 25, n_threads) + 1).astype(int)
    blocks = [slice(a, b) for a, b in itertools.pairwise(edges)]
    out = np.empty((14, *bars["close"].shape))

    def work(rows):
        with np.errstate(divide="ignore", invalid="ignore"):
            for number, values in enumerate(factors({name: values[rows] for name, values in bars.items()})):
                out[number, rows] = values

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, blocks))
    return out


def main():
    n_threads = len(os.sched_getaffinity(0))
    started = time.perf_counter()
    in_threads({name: np.ones((1, 30)) for name in ("high", "low", "close", "vol")}, 1)
    kernels_ready_s = time.perf_counter() - started
    whole_s, read_s = [], []
    with lake.open_reader(lake.LakeLocation(Path(sys.argv[1]))) as opened:
        for _ in range(REPEATS):
            started = time.perf_counter()
            axes = matrices.read_axes(opened, market.DAILY)
            bars, has_bar = matrices.read(opened, market.DAILY, ["high", "low", "close", "vol"], axes)
            read_s.append(time.perf_counter() - started)
            out = in_threads(bars, n_threads)
            whole_s.append(time.perf_counter() - started)
    np.savez(sys.argv[2], codes=np.array(axes.codes), values=np.stack([values[has_bar] for values in out], axis=1))
    figures = {"seconds": whole_s, "read_s": read_s}
    print(json.dumps({k: statistics.median(v) for k, v in figures.items()} | {"kernels_ready_s": kernels_ready_s}))


if __name__ == "__main__":
    main()
