"""What the benchmarks share: a clock, a line of JSON, and years of bars laid straight into a lake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse import lake
from warehouse.tables import market, ops

ROOT = Path(__file__).resolve().parents[2]
SESSIONS_A_FILE = 244
INSTALL_LIMIT_S = 900


class History:
    """Back-adjusted prices of many securities over many sessions, and the lake and the file they are written to.

    Loading through the audit is another benchmark's subject; here bars go into the lake as compaction leaves them: a
    file a year, sorted by security and session.
    """

    def __init__(self, n_codes, n_sessions, seed=1):
        rng = np.random.default_rng(seed)
        self.codes = np.array([f"{600000 + n}.SH" for n in range(n_codes)])
        self.sessions = np.array(pd.bdate_range("2005-01-03", periods=n_sessions), "datetime64[D]")
        shape = (n_codes, n_sessions)
        self.close = np.empty(shape)
        self.factor = np.empty(shape)
        for row in range(n_codes):
            self.close[row] = np.round(10 * np.exp(np.cumsum(rng.normal(0, 0.02, n_sessions)).clip(-4, 4)), 2)
            self.factor[row] = np.cumprod(np.where(rng.random(n_sessions) < 0.002, 1.1, 1.0))
        # A security in twenty is suspended for a season at some time.
        self.has_bar = np.ones(shape, bool)
        for row in np.flatnonzero(rng.random(n_codes) < 0.05):
            at = rng.integers(0, n_sessions)
            self.has_bar[row, at : at + 60] = False

    def bars(self, columns):
        """Rows of market.daily and market.adj_factor for some sessions, sorted by security and session."""
        has_bar = self.has_bar[:, columns]
        row, column = np.nonzero(has_bar)
        key = {"ts_code": pa.array(self.codes[row]), "trade_date": pa.array(self.sessions[columns][column])}
        close = self.close[:, columns][has_bar]
        prices = {name: close for name in ("open", "high", "low", "close", "pre_close")}
        daily = pa.table({**key, **prices, "vol": np.full(len(close), 100.0), "amount": close * 1000.0})
        return daily, pa.table({**key, "adj_factor": self.factor[:, columns][has_bar]})

    def fill(self, location, n_sessions, *, with_turnover=False):
        """Make a lake of the first sessions, with the ledger rows that loading them would have left."""
        with lake.open_writer(location, holder="benchmark") as opened:
            for at in range(0, n_sessions, SESSIONS_A_FILE):
                columns = slice(at, min(at + SESSIONS_A_FILE, n_sessions))
                bars = dict(zip((market.DAILY, market.ADJ_FACTOR), self.bars(columns), strict=True))
                if with_turnover:
                    bars[market.DAILY_BASIC] = self._turnover(bars[market.DAILY])
                opened.commit(lambda c, columns=columns, bars=bars: self._insert(c, columns, bars), message="bars")

    @staticmethod
    def _turnover(daily):
        """Rows of market.daily_basic for the bars: a rate between 0 and 5 percent that moves with the price."""
        rate = daily["close"].to_numpy() % 5.0
        return daily.select(["ts_code", "trade_date", "close"]).append_column("turnover_rate", [rate])

    def _insert(self, connection, columns, bars):
        stamped = ", timestamptz '2026-01-01 00:00:00Z' as retrieved_at, 'benchmark' as load_id from rows_in"
        for table, rows in bars.items():
            connection.register("rows_in", rows)
            connection.execute(f"insert into {table.full_name} by name select *{stamped}")
            connection.unregister("rows_in")
            days = [str(day) for day in self.sessions[columns]]
            entries = pa.table({"partition": days, "n": self.has_bar[:, columns].sum(axis=0)})
            connection.register("entries", entries)
            connection.execute(
                f"insert into {ops.LEDGER.full_name} by name select $dataset as dataset, partition, 'ok' as state,"
                " partition::date as through_date, n as n_received, 0 as n_quarantined,"
                " hash(partition) as content_hash, '' as reason, '' as cause, 1 as n_attempts, 'benchmark' as load_id,"
                " timestamptz '2026-01-01 00:00:00Z' as loaded_at from entries",
                {"dataset": table.full_name},
            )
            connection.unregister("entries")

    def write_prices(self, path, n_sessions):
        """One Parquet file of ts_code, trade_date and back-adjusted price, sorted: what a peer likes best."""
        schema = pa.schema({"ts_code": pa.string(), "trade_date": pa.date32(), "price": pa.float64()})
        with pq.ParquetWriter(path, schema) as writer:
            for at in range(0, len(self.codes), 250):
                rows = slice(at, at + 250)
                has_bar = self.has_bar[rows, :n_sessions]
                row, column = np.nonzero(has_bar)
                price = (self.close[rows, :n_sessions] * self.factor[rows, :n_sessions])[has_bar]
                days = pa.array(self.sessions[column])
                writer.write_table(pa.table([pa.array(self.codes[rows][row]), days, price], schema=schema))


@pytest.fixture
def history():
    """A function that makes a `History`."""
    return History


@pytest.fixture
def report():
    """Prints figures as a line of JSON."""
    return lambda **figures: print(json.dumps(figures))


@pytest.fixture
def timed():
    """A function that gives a result and the seconds it took."""

    def run(work):
        started = time.perf_counter()
        result = work()
        return result, time.perf_counter() - started

    return run


@pytest.fixture
def in_a_process():
    """A function that runs a script of `peers/` in a process of its own and gives the figures it prints.

    A process of its own, so that its memory is measured and nothing is warm.
    """

    def run(script, *arguments, python=sys.executable, **environment):
        path = Path(__file__).parent / "peers" / script
        done = subprocess.run(
            [str(python), str(path), *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        assert not done.returncode, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def peer_python():
    """A function that gives Python of an environment that has some packages; made with uv when it is not there yet."""

    def make(name, packages):
        environment = Path(os.environ.get("DAYBOOK_BENCH_CACHE", tempfile.gettempdir())) / f"daybook-bench-{name}"
        python = environment / "bin" / "python"
        if (environment / ".ready").exists():
            return python
        uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
        if uv is None:
            pytest.skip(f"uv, which would make the environment for {name}, is not installed")
        steps = (
            [uv, "venv", "--quiet", "--clear", "--python", ">=3.11,<3.13", str(environment)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *packages],
        )
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
            if done.returncode:
                pytest.skip(f"{name} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
        (environment / ".ready").touch()
        return python

    return make
