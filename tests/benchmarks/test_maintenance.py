"""What a thousand daily commits cost a reader before and after compaction, beside a lake written in one piece.

The promise: after compaction a full scan costs at most 1.2 of the freshly written lake. One line of JSON is printed.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from warehouse import data_files, lake, maintenance

pytestmark = pytest.mark.benchmark

N_DAYS, N_CODES, N_ROUNDS = 1000, 2000, 9

DAY = """
    insert into market.daily
    select printf('%06d.SH', i), date '2021-01-01' + $day::integer, 10 + hash(i, $day) % 997 / 100.0, 20.0, 9.0,
        10 + hash(i, $day, 1) % 997 / 100.0, 10.0, 0.5, 5.0, (hash(i, $day, 2) % 100003)::double,
        (hash(i, $day, 3) % 1000003)::double, timestamptz '2021-01-01 00:00:00+00', 'load-' || $day
    from range($codes) as t(i)
"""
QUERIES = {
    "full scan": "select sum(open), sum(close), sum(vol), sum(amount), max(ts_code) from market.daily",
    "one security": "select sum(close), count(*) from market.daily where ts_code = '000777.SH'",
    "one day": "select sum(close), count(*) from market.daily where trade_date = date '2022-06-15'",
}


def test_reading_after_a_thousand_daily_commits_and_compaction(new_lake):
    daily, fresh = new_lake(), new_lake()
    with lake.open_writer(daily, holder="benchmark") as opened:
        for day in range(N_DAYS):
            opened.commit(lambda c, day=day: c.execute(DAY, {"day": day, "codes": N_CODES}), message=f"day {day}")
    before = timed_in_turn({"daily": daily})["daily"]
    with lake.open_writer(daily, holder="benchmark") as opened:
        started = time.perf_counter()
        outcome = maintenance.maintain(opened, datetime.now(UTC), maintenance.Policy())
        maintain_s = time.perf_counter() - started
        rows = opened.read("select * from market.daily")
    with lake.open_writer(fresh, holder="benchmark") as opened:

        def write(connection):
            connection.register("all_rows", rows)
            connection.execute("insert into market.daily select * from all_rows order by ts_code, trade_date")

        opened.commit(write, message="all at once")
    after = timed_in_turn({"daily": daily, "fresh": fresh})

    with lake.open_reader(daily) as one, lake.open_reader(fresh) as other:
        said = [data_files.fingerprints(at, [table])[table.full_name] for at in (one, other) for table in TABLES]
    assert said[0] == said[1] and said[0].n_rows == N_DAYS * N_CODES
    ratios = {name: round(after["daily"][name] / after["fresh"][name], 2) for name in QUERIES}
    print(
        json.dumps(
            {
                "rows": N_DAYS * N_CODES,
                "files": [outcome.files_before, outcome.files_after],
                "maintain_s": round(maintain_s, 1),
                "compacted_over_fresh": ratios,
                "uncompacted_over_fresh": {n: round(before[n] / after["fresh"][n], 2) for n in QUERIES},
                "fresh_ms": {name: round(1000 * seconds, 1) for name, seconds in after["fresh"].items()},
            }
        )
    )


TABLES = [table for table in data_files.tables.TABLES if table.full_name == "market.daily"]


def timed_in_turn(lakes):
    """The least seconds of each query in each lake; turn by turn, so that a busy machine is busy for all."""
    seconds = {name: {query: [] for query in QUERIES} for name in lakes}
    for _ in range(N_ROUNDS):
        for name, location in lakes.items():
            with lake.open_reader(location) as opened:
                for query, statement in QUERIES.items():
                    opened.read(statement)
                    started = time.perf_counter()
                    opened.read(statement)
                    seconds[name][query].append(time.perf_counter() - started)
    return {name: {query: min(found) for query, found in of.items()} for name, of in seconds.items()}
