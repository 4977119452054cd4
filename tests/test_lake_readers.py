"""Analysts query in their own processes while the writer commits: none is refused, all see whole commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from warehouse import lake

pytestmark = pytest.mark.exhaustive

N_READERS, ROWS_PER_COMMIT = 8, 2
# A server serves readers and writers by design, so fewer commits show it.
N_COMMITS = {"sqlite": 500, "postgres": 100}
PAIR = "insert into macro.release select $name || i, '2024-01-01', '2024-02-01', '2024-02-01' from range(2) as t(i)"


@pytest.mark.slow
def test_eight_readers_meet_no_error_while_hundreds_of_commits_land(
    either_location: lake.LakeLocation, read_beside: Callable[..., Callable[..., list[dict[str, Any]]]]
) -> None:
    n_commits = N_COMMITS[either_location.catalog_kind]
    with lake.open_writer(either_location, holder="test") as opened:
        run = read_beside(either_location, N_READERS)

        def commit_all() -> None:
            for number in range(n_commits):
                opened.commit(lambda c, n=number: c.execute(PAIR, {"name": f"{n}-"}), message=f"commit {number}")

        told = run(commit_all)

    assert [reader["failures"] for reader in told] == [[]] * N_READERS
    for reader in told:
        counts = reader["counts"]
        assert len(counts) > 1
        assert counts == sorted(counts)
        assert all(0 <= seen <= n_commits * ROWS_PER_COMMIT and seen % ROWS_PER_COMMIT == 0 for seen in counts)
    with lake.open_reader(either_location) as after:
        assert after.read_value("select count(*) from macro.release") == n_commits * ROWS_PER_COMMIT


@pytest.mark.slow
def test_readers_that_come_and_go_meet_no_error_while_writers_do(
    location: lake.LakeLocation, read_beside: Callable[..., Callable[..., list[dict[str, Any]]]]
) -> None:
    """Opening and closing is when SQLite's write-ahead log is made and removed, under an exclusive lock."""
    with lake.open_writer(location, holder="maker"):
        pass
    run = read_beside(location, 2)
    seen = []

    def come_and_go() -> None:
        for number in range(20):
            with lake.open_writer(location, holder=f"writer-{number}") as opened:
                opened.commit(lambda c, n=number: c.execute(PAIR, {"name": f"{n}-"}), message=f"commit {number}")
            with lake.open_reader(location) as reader:
                seen.append(reader.read_value("select count(*) from macro.release"))

    told = run(come_and_go)

    assert [reader["failures"] for reader in told] == [[], []]
    assert seen == [ROWS_PER_COMMIT * (number + 1) for number in range(20)]
