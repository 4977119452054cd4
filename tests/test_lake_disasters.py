"""What a lake looks like after a SIGKILL at any moment, and on a disk that is full: whole commits, nothing else."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from warehouse import errors, lake

pytestmark = pytest.mark.exhaustive

N_KILLS = 12
ROWS_PER_COMMIT = 30
SOME = "insert into macro.release select $name || hash(i), '2024-01-01', '2024-02-01', '2024-02-01' from range($n) t(i)"

# Starting Python costs a second, forking a process that has not opened the lake yet a thousandth.
NURSERY = """
def commit_on(start):
    with lake.open_writer(location, holder=f"victim from {start}", wait_s=60) as opened:
        for number in range(start, start + 1000):
            def work(connection):
                connection.execute("insert into macro.release select $number || '-' || i, '2024-01-01', '2024-02-01',"
                                   " '2024-02-01' from range(ROWS) as t(i)", {"number": number})
                connection.execute("insert into ops.mark values ($number)", {"number": number})
            opened.commit(work, message=str(number))
            print(f"committed {number}", flush=True)

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        commit_on(int(line))
    print(f"started {child}", flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def put(into: lake.Lake, name: str, n: int) -> None:
    into.commit(lambda connection: connection.execute(SOME, {"name": name, "n": n}), message=name)


def count(of: lake.Lake) -> int:
    return int(of.read_value("select count(*) from macro.release"))


@pytest.mark.slow
def test_lake_holds_a_prefix_of_the_commits_when_the_writer_is_killed_at_any_moment(
    either_location: lake.LakeLocation, start_child: Callable[..., subprocess.Popen[str]]
) -> None:
    rng = random.Random(20261121)
    nursery = start_child(either_location, NURSERY.replace("ROWS", str(ROWS_PER_COMMIT)))
    assert nursery.stdout.readline() == "ready\n"
    next_commit = 0
    with lake.open_writer(either_location, holder="maker") as opened:
        opened.commit(lambda connection: connection.execute("create table ops.mark (number int)"), message="mark")

    for _ in range(N_KILLS):
        acknowledged = kill_at_random(nursery, next_commit, rng)
        with lake.open_writer(either_location, holder="survivor", wait_s=30) as opened:
            commits = held_commits(opened)
        assert commits == list(range(len(commits)))
        # What was acknowledged is there; of what was not, at most the one under way.
        assert acknowledged <= len(commits) <= acknowledged + 1
        next_commit = len(commits)

    assert next_commit > N_KILLS


def kill_at_random(nursery: subprocess.Popen[str], start: int, rng: random.Random) -> int:
    """Have commits made from `start` on, kill at a moment within a few of them; how many there are for certain."""
    nursery.stdin.write(f"{start}\n")
    nursery.stdin.flush()
    victim = 0
    acknowledged = start
    n_lines, delay_s = rng.randint(1, 4), rng.uniform(0.0, 0.15)
    while n_lines:
        word, number = nursery.stdout.readline().split()
        if word == "started":
            victim = int(number)
        else:
            acknowledged, n_lines = int(number) + 1, n_lines - 1
    if not victim:
        victim = int(nursery.stdout.readline().split()[1])
    time.sleep(delay_s)
    os.kill(victim, signal.SIGKILL)
    while (line := nursery.stdout.readline()) != "ended\n":
        if line.startswith("committed "):
            acknowledged = int(line.split()[1]) + 1
    return acknowledged


def held_commits(of: lake.Lake) -> list[int]:
    """Numbers of the commits that are there; each with all of its rows in both tables."""
    rows = of.read(
        "select split_part(series_id, '-', 1)::int as number, count(*) as n from macro.release"
        " group by all order by all"
    ).to_pylist()
    assert all(row["n"] == ROWS_PER_COMMIT for row in rows)
    marks = of.read("select number from ops.mark order by all")
    numbers = [row["number"] for row in rows]
    assert marks.column(0).to_pylist() == numbers
    return numbers


@pytest.fixture
def small_disk(mount_disk: Callable[[int], Path]) -> Path:
    """A file system of six megabytes."""
    return mount_disk(6)


def fill(disk: Path, free_bytes: int) -> Path:
    """A file that leaves just so much of a disk."""
    ballast = disk / "ballast"
    found = os.statvfs(disk)
    ballast.write_bytes(bytes(max(0, found.f_bavail * found.f_frsize - free_bytes)))
    return ballast


@pytest.mark.parametrize("free_bytes", [0, 16_384, 40_960, 100_000, 200_000, 300_000])
def test_commit_leaves_nothing_when_the_disk_fills_up_midway(small_disk: Path, free_bytes: int) -> None:
    location = lake.LakeLocation(small_disk / "lake", memory_limit="1GB", threads=1)
    with lake.open_writer(location, holder="test") as opened:
        put(opened, "before", 100)
        ballast = fill(small_disk, free_bytes)

        with pytest.raises(
            errors.LakeError, match=r"'big' failed, nothing was written: .*disk is full; free some spac"
        ):
            put(opened, "big", 20_000)

        ballast.unlink()
        with lake.open_reader(location) as reader:
            assert count(reader) == 100
        put(opened, "big", 20_000)
        assert count(opened) == 20_100


def test_catalog_stays_whole_when_the_disk_fills_up_under_it(small_disk: Path) -> None:
    """Few rows are kept inside the catalog, so here it is SQLite's own file that finds no room."""
    location = lake.LakeLocation(small_disk / "lake", memory_limit="1GB", threads=1)
    n_commits = 0
    with lake.open_writer(location, holder="test") as opened:
        put(opened, "before", 10)
        ballast = fill(small_disk, 150_000)

        with pytest.raises(errors.LakeError, match=r"nothing was written: .*disk is full; free some space"):
            while n_commits < 500:
                put(opened, f"small-{n_commits}", 10)
                n_commits += 1

        assert n_commits > 0
        ballast.unlink()
        with lake.open_reader(location) as reader:
            assert count(reader) == 10 + 10 * n_commits
        put(opened, "again", 10)

    with lake.open_writer(location, holder="heir") as opened:
        assert count(opened) == 20 + 10 * n_commits


def test_lock_says_so_when_the_disk_is_full(small_disk: Path) -> None:
    location = lake.LakeLocation(small_disk / "lake", memory_limit="1GB", threads=1)
    ballast = fill(small_disk, 0)

    with (
        pytest.raises(errors.LakeError, match=r"writer\.lock cannot be taken: .*free some space"),
        lake.open_writer(location, holder="test"),
    ):
        pass

    ballast.unlink()
    with lake.open_writer(location, holder="test", wait_s=1) as opened:
        put(opened, "now", 10)
