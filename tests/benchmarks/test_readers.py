"""What a reader waits while others commit, against a lake at rest; and what opening and fencing cost a writer."""

from __future__ import annotations

import json
import statistics
import time

import pytest

from warehouse import fence, lake, lease

pytestmark = pytest.mark.benchmark

N_READERS, N_COMMITS, N_TURNS = 8, 500, 10
PAIR = "insert into macro.release select $name || i, '2024-01-01', '2024-02-01', '2024-02-01' from range(2) as t(i)"
DAY = "insert into macro.release select $name || i, '2024-01-01', '2024-02-01', '2024-02-01' from range(5400) as t(i)"


# The sessions' ten largest moves of a year, asked four times a second.
QUESTION = (
    "select count(*) from (select trade_date, max(abs(close / pre_close - 1)) as move from market.daily"
    " group by trade_date order by move desc limit 10)"
)
PAUSE_S = 0.25
YEAR = (
    "insert into market.daily by name select (600000 + code)::varchar || '.SH' as ts_code,"
    " date '2024-01-01' + day::integer as trade_date, p as open, p as high, p as low, p as close, p as pre_close,"
    " 1.0 as vol, now() as retrieved_at, 'benchmark' as load_id"
    " from (select code, day, 10 + random() as p from range(5400) as a(code), range(250) as b(day))"
)


def report(**figures):
    print(json.dumps(figures))


def milliseconds(seconds):
    return round(statistics.median(seconds) * 1000, 2)


def worst(told):
    return round(max(second for reader in told for second in reader["seconds"]) * 1000)


@pytest.mark.parametrize("gap_s", [0.1, 0.0], ids=["ten commits a second", "commits without a pause"])
def test_readers_while_commits_land_against_readers_at_rest(either_location, read_beside, gap_s):
    """In turns, because what else the machine does changes within a minute.

    A backfill commits every few seconds. Without a pause the writer takes one of the cores all the time, and what is
    measured is the readers' share of the other.
    """
    at_rest, beside, took, failures = [], [], [], 0
    with lake.open_writer(either_location, holder="benchmark") as opened:
        opened.commit(lambda c: c.execute(YEAR), message="a year of bars")
        run = read_beside(either_location, N_READERS, QUESTION, PAUSE_S)

        def commit_some(turn):
            for number in range(N_COMMITS // N_TURNS):
                name = f"{turn}-{number}-"
                started = time.perf_counter()
                opened.commit(lambda c, name=name: c.execute(PAIR, {"name": name}), message="one")
                took.append(time.perf_counter() - started)
                time.sleep(gap_s)

        for turn in range(N_TURNS):
            at_rest += run(lambda: time.sleep(3))
            told = run(lambda turn=turn: commit_some(turn))
            failures += sum(len(reader["failures"]) for reader in told)
            beside += told

    medians = [milliseconds([s for reader in told for s in reader["seconds"]]) for told in (at_rest, beside)]
    report(
        catalog=either_location.catalog_kind,
        commits=len(took),
        gap_s=gap_s,
        failures=failures,
        at_rest_ms=medians[0],
        beside_commits_ms=medians[1],
        beside_over_rest=round(medians[1] / medians[0], 2),
        worst_ms=[worst(told) for told in (at_rest, beside)],
        commit_ms=milliseconds(took),
    )


def test_taking_the_lake_and_fencing_its_commits(either_location, monkeypatch):
    parts = {"lock": [], "take_over": []}
    with lake.open_writer(either_location, holder="benchmark"):
        pass
    for name, module, function in (("lock", lease, "locked"), ("take_over", fence, "take_over")):
        monkeypatch.setattr(module, function, timing(getattr(module, function), parts[name]))
    opening, commits = [], []

    for number in range(20):
        started = time.perf_counter()
        with lake.open_writer(either_location, holder=f"benchmark-{number}") as opened:
            opening.append(time.perf_counter() - started)
            started = time.perf_counter()
            opened.commit(lambda c, n=number: c.execute(DAY, {"name": f"{n}-"}), message="a day")
            commits.append(time.perf_counter() - started)

    report(
        catalog=either_location.catalog_kind,
        open_ms=milliseconds(opening),
        of_which_lock_ms=milliseconds(parts["lock"]),
        of_which_take_over_ms=milliseconds(parts["take_over"]),
        commit_of_a_day_ms=milliseconds(commits),
    )


def timing(function, seconds):
    """The function, or the entering of its context, timed."""

    class Entered:
        def __init__(self, inner):
            self.inner = inner

        def __enter__(self):
            started = time.perf_counter()
            result = self.inner.__enter__()
            seconds.append(time.perf_counter() - started)
            return result

        def __exit__(self, *exc_info):
            return self.inner.__exit__(*exc_info)

    def timed(*arguments):
        started = time.perf_counter()
        result = function(*arguments)
        if hasattr(result, "__enter__") and not isinstance(result, str):
            return Entered(result)
        seconds.append(time.perf_counter() - started)
        return result

    return timed
