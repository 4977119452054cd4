"""What a reader waits while others commit, against a lake at rest; and what opening and fencing cost a writer."""

from __future__ import annotations

import json
import statistics
import time

import pytest

from warehouse import fence, lake, lease

pytestmark = pytest.mark.benchmark

N_READERS, N_COMMITS = 8, 500
PAIR = "insert into macro.release select $name || i, '2024-01-01', '2024-02-01', '2024-02-01' from range(2) as t(i)"
DAY = "insert into macro.release select $name || i, '2024-01-01', '2024-02-01', '2024-02-01' from range(5400) as t(i)"


def report(**figures):
    print(json.dumps(figures))


def milliseconds(seconds):
    return round(statistics.median(seconds) * 1000, 2)


def worst(told):
    return round(max(second for reader in told for second in reader["seconds"]) * 1000)


def test_readers_while_commits_land_against_readers_at_rest(either_location, read_beside, request):
    with lake.open_writer(either_location, holder="benchmark") as opened:
        run = read_beside(either_location, N_READERS)
        took = []

        def commit_all():
            for number in range(N_COMMITS):
                started = time.perf_counter()
                opened.commit(lambda c, n=number: c.execute(PAIR, {"name": f"{n}-"}), message="one")
                took.append(time.perf_counter() - started)

        before = run(lambda: time.sleep(10))
        during = run(commit_all)
        after = run(lambda: time.sleep(10))

    medians = [milliseconds([s for reader in told for s in reader["seconds"]]) for told in (before, during, after)]
    report(
        catalog=either_location.catalog_kind,
        failures=sum(len(reader["failures"]) for reader in during),
        idle_before_ms=medians[0],
        during_ms=medians[1],
        idle_after_ms=medians[2],
        during_over_before=round(medians[1] / medians[0], 2),
        during_over_after=round(medians[1] / medians[2], 2),
        worst_ms=[worst(told) for told in (before, during, after)],
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
