"""How fast the core is here: rows a second, and ratios within one run. Nothing is judged; a line of JSON is printed."""

from __future__ import annotations

import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from models import pca
from warehouse import features, lake, returns
from warehouse.tables import market

pytestmark = pytest.mark.benchmark

N_CODES, N_SESSIONS = 300, 1000


def report(**figures):
    print(json.dumps(figures))


def timed(work):
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def test_load_returns_and_features_of_a_market(new_lake, random_market, load_market, stamp):
    # The kernels' machine code is made or loaded before the clock starts.
    with lake.open_writer(new_lake(), holder="benchmark") as opened:
        load_market(opened, random_market(2, 3))
        returns.update_returns(opened, stamp(1))
        features.update_features(opened, stamp(2))
    rows = random_market(N_CODES, N_SESSIONS, suspended=0.01)
    before, last = rows.sessions[:-1], rows.sessions[-1:]
    with lake.open_writer(new_lake(), holder="benchmark") as opened:
        _, load_s = timed(lambda: load_market(opened, rows.of_sessions(before)))
        n_returns, returns_s = timed(lambda: returns.update_returns(opened, stamp(1)))
        _, features_s = timed(lambda: features.update_features(opened, stamp(2)))
        load_market(opened, rows.of_sessions(last), 3)
        _, day_s = timed(lambda: (returns.update_returns(opened, stamp(4)), features.update_features(opened, stamp(5))))

    report(
        bars=n_returns,
        load_rows_per_s=round(3 * n_returns / load_s),
        returns_rows_per_s=round(n_returns / returns_s),
        features_rows_per_s=round(n_returns / features_s),
        full_over_one_day=round((returns_s + features_s) / day_s, 1),
    )


def test_load_again_against_load_first(new_lake, random_market, load_days):
    bars = pa.Table.from_pandas(random_market(N_CODES, 60).daily, preserve_index=False)
    with lake.open_writer(new_lake(), holder="benchmark") as opened:
        _, first_s = timed(lambda: load_days(opened, market.DAILY, bars))
        _, again_s = timed(lambda: load_days(opened, market.DAILY, bars, 1))

    report(rows=bars.num_rows, first_over_again=round(first_s / again_s, 2))


@pytest.mark.parametrize("shape", [(1000, 300), (500, 3000)])
def test_factors_of_a_panel_with_holes(shape):
    rng = np.random.default_rng(1)
    panel = rng.normal(size=(shape[0], 4)) @ rng.normal(size=(4, shape[1])) + rng.normal(size=shape)
    panel[rng.random(shape) < 0.02] = np.nan

    _, seconds = timed(lambda: pca.FactorPCA(n_factors=4).fit(panel))

    report(shape=shape, cells_per_s=round(panel.size / seconds))


def test_commit_of_a_single_row(new_lake, stamp, load_days, random_market):
    rows = random_market(2, 20)
    with lake.open_writer(new_lake(), holder="benchmark") as opened:
        daily = pa.Table.from_pandas(rows.daily, preserve_index=False)
        seconds = []
        for number, day in enumerate(rows.sessions):
            one = daily.filter(pc.equal(daily["trade_date"], pa.scalar(day)))
            if one.num_rows:
                seconds.append(timed(lambda one=one, number=number: load_days(opened, market.DAILY, one, number))[1])

    report(commits=len(seconds), median_s=round(float(np.median(seconds)), 4))
