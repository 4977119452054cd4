"""Qlib's headline work: fourteen rolling factors from daily bars of 800 stocks, 2007 to 2020, beside Qlib itself.

Qlib comes into an environment of its own, in a cache folder, and gets the same figures in its own files, as float32;
the expressions are from its Alpha158, without the operators it runs in Python, which would flatter us. The lake holds
the same float32 figures, as doubles. Both give the same numbers to 1e-6, which is checked; for that the inputs of the
two correlations are rounded to float32 where Qlib rounds them, which alone would move a correlation by 1e-5.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from warehouse import lake

pytestmark = pytest.mark.benchmark

# Its disk caches keep their locks in a Redis, here one inside the process, and their tables in HDF5.
PACKAGES = ("pyqlib==0.9.7", "fakeredis[lua]", "tables")

EXPRESSIONS = {
    "MA5": "Mean($close, 5)/$close",
    "MA60": "Mean($close, 60)/$close",
    "STD20": "Std($close, 20)/$close",
    "MAX20": "Max($high, 20)/$close",
    "MIN20": "Min($low, 20)/$close",
    "ROC20": "Ref($close, 20)/$close",
    "BETA20": "Slope($close, 20)/$close",
    "RSQR20": "Rsquare($close, 20)",
    "RESI20": "Resi($close, 20)/$close",
    "CORR20": "Corr($close, Log($volume+1), 20)",
    "QTLU20": "Quantile($close, 20, 0.8)/$close",
    "RSV20": "($close-Min($low, 20))/(Max($high, 20)-Min($low, 20)+1e-12)",
    "CNTP20": "Mean($close>Ref($close, 1), 20)",
    "CORD20": "Corr($close/Ref($close, 1), Log($volume/Ref($volume, 1)+1), 20)",
}
N_CODES, FIRST, LAST = 800, "2007-01-01", "2020-12-31"


@pytest.fixture(scope="module")
def qlib_python(peer_python):
    """Python of an environment that has Qlib."""
    return peer_python("qlib", PACKAGES)


@pytest.fixture
def market_bars():
    """Open, high, low, close and volume as float32, by name, (n_codes, n_sessions)."""
    rng = np.random.default_rng(3)
    sessions = np.array(pd.bdate_range(FIRST, LAST), "datetime64[D]")
    shape = (N_CODES, len(sessions))
    close = 10 * np.exp(np.cumsum(rng.normal(0, 0.015, shape), axis=1))
    swing = np.abs(rng.normal(0, 0.01, shape))
    bars = {
        "open": close * (1 + rng.normal(0, 0.005, shape)),
        "high": close * (1 + 2 * swing),
        "low": close * (1 - 2 * swing),
        "close": close,
        "volume": np.exp(rng.normal(12, 0.6, shape)),
    }
    return sessions, {name: values.astype(np.float32) for name, values in bars.items()}


def write_for_qlib(folder, sessions, bars):
    """Qlib's own files: a calendar, a list of instruments, and per instrument and field a start and float32 values."""
    for name in ("calendars", "instruments", "features"):
        (folder / name).mkdir(parents=True)
    days = [str(day) for day in sessions]
    (folder / "calendars" / "day.txt").write_text("\n".join(days) + "\n")
    names = [f"SH{600000 + n}" for n in range(N_CODES)]
    (folder / "instruments" / "all.txt").write_text("".join(f"{n}\t{days[0]}\t{days[-1]}\n" for n in names))
    for row, name in enumerate(names):
        place = folder / "features" / name.lower()
        place.mkdir()
        for field, values in bars.items():
            np.r_[np.float32(0), values[row]].astype("<f4").tofile(place / f"{field}.day.bin")


def write_to_lake(location, sessions, bars):
    """The same figures in market.daily, as compaction leaves them: a file a year, sorted by security."""
    codes = np.array([f"{600000 + n}.SH" for n in range(N_CODES)])
    years = sessions.astype("datetime64[Y]")
    with lake.open_writer(location, holder="benchmark") as opened:

        def work(connection):
            for year in np.unique(years):
                at = years == year
                rows = {name: values[:, at].ravel().astype(np.float64) for name, values in bars.items()}
                rows |= {"vol": rows.pop("volume"), "pre_close": rows["close"]}
                key = {"ts_code": np.repeat(codes, at.sum()), "trade_date": np.tile(sessions[at], N_CODES)}
                connection.register("rows_in", pa.table({**key, **rows}))
                connection.execute(
                    "insert into market.daily by name select *, timestamptz '2026-01-01 00:00:00Z' as retrieved_at,"
                    " 'benchmark' as load_id from rows_in"
                )
                connection.unregister("rows_in")

        opened.commit(work, message="bars")


def test_fourteen_factors(qlib_python, market_bars, location, tmp_path, in_a_process, report):
    sessions, bars = market_bars
    write_for_qlib(tmp_path / "qlib", sessions, bars)
    write_to_lake(location, sessions, bars)
    (tmp_path / "expressions.json").write_text(json.dumps(EXPRESSIONS))

    def qlib(cache):
        arguments = tmp_path / "qlib", tmp_path / "expressions.json", cache, tmp_path / f"{cache}.npz"
        return in_a_process("qlib_factors.py", *arguments, python=qlib_python)

    engine, disk, simple = qlib("none"), qlib("disk"), qlib("simple")
    ours = in_a_process("daybook_factors.py", location.path, tmp_path / "ours.npz")

    worst, share_missing = differences(np.load(tmp_path / "ours.npz"), np.load(tmp_path / "none.npz"))
    assert max(worst.values()) < 1e-6, worst
    # Qlib takes a correlation for missing when either side's deviation is below 2e-5; we when it is nothing.
    assert share_missing < 1e-6
    report(
        values=engine["rows"] * len(EXPRESSIONS),
        qlib_engine_s=round(engine["seconds"], 2),
        qlib_disk_caches_warm_s=round(disk["seconds"], 2) if all(disk["caches"]) else None,
        qlib_pickle_of_the_answer_warm_s=round(simple["seconds"], 2),
        daybook_s=round(ours["seconds"], 3),
        daybook_read_s=round(ours["read_s"], 3),
        daybook_kernels_ready_s=round(ours["kernels_ready_s"], 2),
        qlib_engine_over_daybook=round(engine["seconds"] / ours["seconds"], 1),
        qlib_disk_caches_over_daybook=round(disk["seconds"] / ours["seconds"], 1),
        worst_difference=max(worst.values()),
        share_missing_on_one_side=share_missing,
    )


def differences(ours, theirs):
    """The largest difference of each factor, absolute below 1 and relative above; and the share only one side has."""
    assert len(ours["codes"]) == len(theirs["codes"]) == N_CODES
    a, b = ours["values"], theirs["values"].astype(np.float64)
    out = {}
    for number, name in enumerate(EXPRESSIONS):
        x, y = a[:, number], b[:, number]
        differs = np.abs(x - y) / np.maximum(np.abs(y), 1.0)
        out[name] = float(np.nanmax(differs))
    return out, float(np.mean(np.isnan(a) != np.isnan(b)))
