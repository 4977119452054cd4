"""How fast rows come in here: a market day from a vendor's answers, and years from files. A line of JSON is printed."""

from __future__ import annotations

import json
import statistics
import time
from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import pytest

from warehouse import files, lake, load
from warehouse.sources import http, tushare
from warehouse.tables import market

pytestmark = pytest.mark.benchmark

N_CODES, N_HISTORY, N_DAYS = 5400, 60, 20
TABLES = (market.DAILY, market.ADJ_FACTOR, market.DAILY_BASIC)
FIRST_DAY = date(2024, 1, 2)


def report(**figures):
    print(json.dumps(figures))


def answers_of(day, rng):
    """The bodies Tushare would send for a session: daily, adj_factor and daily_basic of every security."""
    codes = [f"{600000 + n}.SH" for n in range(N_CODES)]
    close = np.round(rng.uniform(5, 50, N_CODES), 2).tolist()
    noise = np.round(rng.uniform(1, 1e6, (8, N_CODES)), 3).tolist()
    text = f"{day:%Y%m%d}"
    columns = {
        "daily": [codes, [text] * N_CODES, close, close, close, close, close, *noise[:4]],
        "adj_factor": [codes, [text] * N_CODES, noise[0]],
        "daily_basic": [codes, [text] * N_CODES, close, *noise[:7]],
    }
    bodies = {}
    for table in TABLES:
        fields = [column.name for column in table.columns if not column.provenance]
        items = list(zip(*columns[table.name], strict=True))
        bodies[table.name] = json.dumps({"code": 0, "msg": "", "data": {"fields": fields, "items": items}}).encode()
    return bodies


def test_market_day_from_answers_to_snapshot(new_lake, scripted, stamp):
    """Asked over HTTP, parsed, judged, committed: the lake already holds 60 days, and is opened as a run opens it."""
    rng = np.random.default_rng(1)
    location = new_lake()
    source = tushare.TushareSource(
        "token",
        base_url=scripted.url,
        now=lambda: datetime.now(UTC),
        keep=lambda reply: None,
        policy=http.Policy(calls=1_000_000),
    )
    fetches = {
        market.DAILY: source.fetch_daily,
        market.ADJ_FACTOR: source.fetch_adj_factor,
        market.DAILY_BASIC: source.fetch_daily_basic,
    }

    def one_day(number):
        day = FIRST_DAY + timedelta(days=number)
        bodies = answers_of(day, rng)
        scripted.will_answer(*(bodies[table.name] for table in TABLES))
        started = time.perf_counter()
        partition = load.Partition(day.isoformat(), day, N_CODES)
        loads = [load.Load(table, fetch(day), [partition], "trade_date") for table, fetch in fetches.items()]
        fetched = time.perf_counter()
        with lake.open_writer(location, holder="benchmark") as opened:
            entries = load.load(opened, loads, stamp(number))
        assert set(entries["state"].to_pylist()) == {"ok"}
        return fetched - started, time.perf_counter() - started

    for number in range(N_HISTORY):
        one_day(number)
    seconds = [one_day(N_HISTORY + number) for number in range(N_DAYS)]

    report(
        market_day_median_s=round(statistics.median(total for _, total in seconds), 4),
        of_it_answers_s=round(statistics.median(fetched for fetched, _ in seconds), 4),
        slowest_s=round(max(total for _, total in seconds), 4),
        rows=3 * N_CODES,
        days=N_DAYS,
    )


@pytest.mark.parametrize("n_days", [250])
def test_files_against_a_bare_insert(new_lake, tmp_path, stamp, n_days):
    """Years of bars from a Parquet file, read, judged and committed, beside the same rows put into a plain table."""
    path = tmp_path / "bars.parquet"
    duckdb.sql(
        f"select (600000 + code)::varchar || '.SH' as ts_code, strftime(date '2020-01-02' + day::integer, '%Y%m%d')"
        " as trade_date, price as open, price + 0.1 as high, price - 0.1 as low, price as close, price as pre_close,"
        " 0.0 as change, 0.0 as pct_chg, volume as vol, volume as amount from (select code, day,"
        " round(5 + random() * 40, 2) as price, round(random() * 1e6, 2) as volume"
        f" from range({N_CODES}) as a(code), range({n_days}) as b(day)) order by ts_code, trade_date"
    ).write_parquet(str(path))
    with duckdb.connect(str(tmp_path / "plain.duckdb")) as plain:
        started = time.perf_counter()
        plain.execute(f"create table bars as from '{path}'")
        plain.execute("checkpoint")
        bare_s = time.perf_counter() - started

    with lake.open_writer(new_lake(), holder="benchmark") as opened:
        started = time.perf_counter()
        loaded = files.load_files(opened, "daily", [path], known_date=date(2026, 1, 1), stamp=stamp(0))
        first_s = time.perf_counter() - started
        started = time.perf_counter()
        files.load_files(opened, "daily", [path], known_date=date(2026, 1, 1), stamp=stamp(1))
        again_s = time.perf_counter() - started

    report(
        rows=loaded.n_rows,
        rows_per_s=round(loaded.n_rows / first_s),
        over_bare_insert=round(first_s / bare_s, 2),
        first_over_again=round(first_s / again_s, 2),
    )
