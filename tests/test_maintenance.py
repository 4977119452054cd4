"""Maintenance: what a table says stays, what a report reads stays, and nothing in use is ever deleted."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse import data_files, errors, lake, maintenance
from warehouse.tables import market

ROOT = Path(__file__).resolve().parents[1]
KEEP_NOTHING = maintenance.Policy(timedelta(0), timedelta(0), timedelta(0))


def now() -> datetime:
    return datetime.now(UTC)


def long_after() -> datetime:
    """A day on which everything done so far is old."""
    return now() + timedelta(days=2)


def commit(to: lake.Lake, *statements: str) -> int:
    def work(connection: duckdb.DuckDBPyConnection) -> None:
        for statement in statements:
            connection.execute(statement)

    to.commit(work, message="test")
    return to.snapshot


def add_days(to: lake.Lake, n_days: int, n_codes: int = 50, first: str = "2024-12-20") -> None:
    for day in range(n_days):
        commit(
            to,
            f"insert into market.adj_factor select printf('%06d.SH', i), date '{first}' + {day}, 1 + i / 7.0,"
            f" timestamptz '2024-12-20 10:00:00+00', 'load-{day}' from range({n_codes}) as t(i)",
        )


def pin(to: lake.Lake, day: str) -> int:
    snapshot = to.snapshot
    commit(
        to,
        f"insert into ops.run values ('daily/{day}', 'daily', date '{day}', 'ok', '', {snapshot},"
        " timestamptz '2024-12-20 10:00:00+00', null, '1')",
    )
    return snapshot


def names_on_disk(at: lake.LakeLocation) -> set[str]:
    return {path.name for path in (at.path / "data").rglob("*.parquet")}


def live_names(of: lake.Lake) -> set[str]:
    return {
        data_files.name_of(row["path"]) for row in data_files.read_named(of).to_pylist() if row["end_snapshot"] is None
    }


def test_maintenance_merges_small_files_and_changes_no_row(empty_lake: lake.Lake) -> None:
    add_days(empty_lake, 20)
    before = empty_lake.read("select * from market.adj_factor order by all")

    outcome = maintenance.maintain(empty_lake, now(), maintenance.Policy())

    assert (outcome.tables_compacted, outcome.files_before) == ("market.adj_factor", 20)
    assert outcome.files_after == 2, "one file for each of two years"
    assert empty_lake.read("select * from market.adj_factor order by all") == before


def test_merged_rows_lie_by_year_and_within_it_by_security(empty_lake: lake.Lake) -> None:
    add_days(empty_lake, 20)

    maintenance.maintain(empty_lake, now(), maintenance.Policy())

    live = [row for row in data_files.read_named(empty_lake).to_pylist() if row["end_snapshot"] is None]
    assert sorted((row["partition_value"], row["n_rows"]) for row in live) == [("2024", 600), ("2025", 400)]
    for row in live:
        keys = empty_lake.read("select ts_code, trade_date from read_parquet($path)", path=row["path"]).to_pylist()
        assert [tuple(key.values()) for key in keys] == sorted(tuple(key.values()) for key in keys)


def test_dry_run_tells_and_touches_nothing(empty_lake: lake.Lake, location: lake.LakeLocation) -> None:
    add_days(empty_lake, 10)
    before = (empty_lake.snapshot, names_on_disk(location))

    with lake.open_reader(location) as reader:
        outcome = maintenance.maintain(reader, long_after(), KEEP_NOTHING, dry_run=True)

    assert outcome.tables_compacted == "market.adj_factor"
    assert outcome.snapshots_expired == before[0]
    assert (empty_lake.snapshot, names_on_disk(location)) == before


def test_snapshot_of_a_report_outlives_the_others_and_reads_as_before(
    empty_lake: lake.Lake, location: lake.LakeLocation
) -> None:
    add_days(empty_lake, 10)
    pinned = pin(empty_lake, "2024-12-29")
    commit(empty_lake, "delete from market.adj_factor where ts_code < '000040.SH'")
    empty_lake.commit(lambda c: c.execute("update market.adj_factor set adj_factor = 9"), message="all others")
    policy = maintenance.Policy(timedelta(days=30), timedelta(days=3650), timedelta(0))

    maintenance.maintain(empty_lake, now(), policy)
    maintenance.maintain(empty_lake, now() + timedelta(days=31), policy)
    maintenance.maintain(empty_lake, now() + timedelta(days=33), policy)

    snapshots = empty_lake.read("select snapshot_id from ducklake_snapshots('lake')")["snapshot_id"].to_pylist()
    assert pinned in snapshots and len(snapshots) == 2
    with lake.open_reader(location, snapshot=pinned) as past:
        assert past.read_value("select count(*) from market.adj_factor") == 500
        assert past.read_value("select max(adj_factor) from market.adj_factor") == 1 + 49 / 7.0
    assert empty_lake.read_value("select count(*) from market.adj_factor") == 100


def test_snapshot_of_a_report_goes_too_when_its_own_retention_is_over(empty_lake: lake.Lake) -> None:
    add_days(empty_lake, 2)
    pinned = pin(empty_lake, "2024-12-29")
    policy = maintenance.Policy(timedelta(days=30), timedelta(days=100))

    kept_early, _ = maintenance.sort_snapshots(empty_lake, now() + timedelta(days=99), policy)
    kept_late, doomed_late = maintenance.sort_snapshots(empty_lake, now() + timedelta(days=101), policy)

    assert kept_early == [pinned, empty_lake.snapshot]
    assert kept_late == [empty_lake.snapshot] and pinned in doomed_late


def test_file_stays_on_the_day_it_fell_out_of_use(empty_lake: lake.Lake, location: lake.LakeLocation) -> None:
    """DuckLake 1.5.5 forgets the time of day with an SQLite catalog: a grace of hours would be none."""
    add_days(empty_lake, 20)
    small = names_on_disk(location)

    maintenance.maintain(empty_lake, now(), maintenance.Policy(file_grace=timedelta(0)))
    on_the_day = names_on_disk(location)
    at_once = maintenance.Policy(file_grace=timedelta(0))
    with lake.open_reader(location) as reader:
        foreseen = [
            maintenance.maintain(reader, now() + timedelta(days=n), at_once, dry_run=True).unused_files_deleted
            for n in (0, 1)
        ]
    outcome = maintenance.maintain(empty_lake, now() + timedelta(days=1), at_once)

    assert small <= on_the_day
    assert foreseen == [0, 20]
    assert outcome.unused_files_deleted == 20
    assert names_on_disk(location) == live_names(empty_lake)


def test_orphan_is_deleted_when_old_and_left_when_young(empty_lake: lake.Lake, location: lake.LakeLocation) -> None:
    add_days(empty_lake, 2)
    folder = next((location.path / "data").rglob("*.parquet")).parent
    (folder / "young.parquet").write_bytes(b"being written")
    (folder / "old.parquet").write_bytes(b"left by a killed process")
    two_days_ago = now().timestamp() - 2 * 86400
    os.utime(folder / "old.parquet", (two_days_ago, two_days_ago))

    outcome = maintenance.maintain(empty_lake, now(), maintenance.Policy())

    assert outcome.orphans_deleted == 1
    assert (folder / "young.parquet").exists() and not (folder / "old.parquet").exists()


def test_compaction_is_undone_when_it_would_change_a_table(
    empty_lake: lake.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row lost in the merge, as a faulty DuckLake would lose it."""
    add_days(empty_lake, 10)
    before = empty_lake.read("select * from market.adj_factor order by all")
    honest = data_files.fingerprints
    calls = []

    def fingerprints(of: lake.Lake, of_tables: Any, snapshot: int | None = None) -> dict[str, data_files.Fingerprint]:
        calls.append(of_tables)
        # First what everything says, then what the table says after the flush, then after the merge.
        if len(calls) == 3:
            of._connection.execute("delete from market.adj_factor where ts_code = '000007.SH'")
        return honest(of, of_tables, snapshot)

    monkeypatch.setattr(data_files, "fingerprints", fingerprints)

    with pytest.raises(errors.LakeError, match=r"merging files would change market.adj_factor: 500 rows before, 490 a"):
        maintenance.maintain(empty_lake, now(), maintenance.Policy())

    monkeypatch.undo()
    assert empty_lake.read("select * from market.adj_factor order by all") == before
    assert len(live_names(empty_lake)) == 10


def test_nothing_is_deleted_when_a_file_in_use_is_among_the_doomed(
    empty_lake: lake.Lake, location: lake.LakeLocation
) -> None:
    """ducklake#527 and ducklake#815, staged: the catalog lists a live file for deletion."""
    add_days(empty_lake, 3)
    live = next(row for row in data_files.read_named(empty_lake).to_pylist())
    relative = live["path"].removeprefix(str(location.path / "data") + "/")
    empty_lake._connection.execute(
        f"insert into {data_files.CATALOG}.ducklake_files_scheduled_for_deletion values (1, '{relative}', 1,"
        " '2020-01-01 00:00:00+00')"
    )
    before = names_on_disk(location)

    with pytest.raises(
        errors.LakeError, match=r"would delete 1 files that the catalog still names.*market\.adj_factor"
    ):
        maintenance.maintain(empty_lake, now(), maintenance.Policy())

    assert names_on_disk(location) == before
    assert empty_lake.read_value("select count(*) from market.adj_factor") == 150


def test_rows_inside_the_catalog_become_files_when_there_are_many(
    empty_lake: lake.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "INLINED_ROWS_WORTH_FLUSHING", 30)
    for number in range(8):
        add_days(empty_lake, 1, n_codes=5, first=f"2024-12-{10 + number}")
    pinned = pin(empty_lake, "2024-12-20")
    commit(empty_lake, "delete from market.adj_factor where ts_code = '000003.SH'")
    before = empty_lake.read("select * from market.adj_factor order by all")

    outcome = maintenance.maintain(empty_lake, now(), maintenance.Policy())

    assert outcome.tables_compacted == "market.adj_factor"
    assert len(live_names(empty_lake)) >= 1
    assert empty_lake.read("select * from market.adj_factor order by all") == before
    assert empty_lake.read_value(f"select count(*) from market.adj_factor at (version => {pinned})") == 40


def test_second_run_finds_nothing_to_do(empty_lake: lake.Lake) -> None:
    add_days(empty_lake, 20)
    maintenance.maintain(empty_lake, now(), maintenance.Policy())
    snapshot = empty_lake.snapshot

    outcome = maintenance.maintain(empty_lake, now(), maintenance.Policy())

    assert outcome.tables_compacted == "" and empty_lake.snapshot == snapshot


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
def test_every_kept_snapshot_reads_as_before_over_rounds_of_writes_and_maintenance(
    empty_lake: lake.Lake, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Small and large inserts, deletes and updates, against a plain DuckDB table that gets the same statements."""
    monkeypatch.setattr(maintenance, "FILES_WORTH_MERGING", 2)
    monkeypatch.setattr(maintenance, "INLINED_ROWS_WORTH_FLUSHING", 5)
    rng = random.Random(seed)
    oracle = duckdb.connect()
    oracle.execute("set TimeZone = 'UTC'")
    oracle.execute(market.ADJ_FACTOR.ddl().replace("market.adj_factor", "t"))
    truths: dict[int, list[tuple[Any, ...]]] = {}

    def write(statement: str, number: int) -> None:
        oracle.execute(statement.format(table="t"))
        snapshot = commit(empty_lake, statement.format(table="market.adj_factor"))
        truths[snapshot] = oracle.execute("select ts_code, trade_date, adj_factor from t order by all").fetchall()
        if rng.random() < 0.3:
            pin(empty_lake, f"20{10 + seed}-01-{number % 28 + 1:02d}")

    for number in range(24):
        day = f"date '2024-11-01' + {number * 5}"
        statement = rng.choice(
            [
                "insert into {table} select printf('%06d', i), " + day + ", i + 0.5, '2024-01-01 00:00:00+00', 'l'"
                " from range(" + rng.choice(["8", "60"]) + ") as s(i)",
                f"delete from {{table}} where ts_code < '{rng.randrange(20):06d}' and trade_date < {day}",
                f"update {{table}} set adj_factor = adj_factor + 1 where ts_code = '{rng.randrange(30):06d}'",
            ]
        )
        write(statement, number)
        if number % 6 == 5:
            policy = maintenance.Policy(timedelta(days=1), timedelta(days=3650), timedelta(0))
            maintenance.maintain(empty_lake, now() + timedelta(days=2), policy)

    kept = empty_lake.read("select snapshot_id from ducklake_snapshots('lake')")["snapshot_id"].to_pylist()
    compared = [snapshot for snapshot in kept if snapshot in truths]
    assert len(compared) >= 3
    for snapshot in compared:
        found = empty_lake._connection.execute(
            f"select ts_code, trade_date, adj_factor from market.adj_factor at (version => {snapshot}) order by all"
        ).fetchall()
        assert found == truths[snapshot]


@pytest.mark.exhaustive
def test_eight_readers_are_never_refused_while_maintenance_runs(
    empty_lake: lake.Lake, location: lake.LakeLocation
) -> None:
    add_days(empty_lake, 30)
    n_rows = empty_lake.read_value("select count(*) from market.adj_factor")
    failures: list[BaseException] = []
    n_reads = [0] * 8
    is_done = threading.Event()
    are_open = threading.Barrier(9)

    def read_on(number: int) -> None:
        try:
            with lake.open_reader(location) as reader:
                are_open.wait(60)
                # Without a pause eight readers leave two cores nothing for the maintenance they are to meet.
                while not is_done.wait(0.1):
                    found = reader.read("select count(*) as n, sum(adj_factor) as s from market.adj_factor")
                    assert found["n"][0].as_py() == n_rows
                    n_reads[number] += 1
        except BaseException as exc:
            failures.append(exc)
            raise

    threads = [threading.Thread(target=read_on, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    are_open.wait(60)
    policy = maintenance.Policy(timedelta(0), timedelta(0), timedelta(0))
    try:
        for days in (0, 1, 2):
            add_rows = f"insert into macro.release values ('s{days}', '2024-01-01', '2024-02-01', '2024-02-01')"
            commit(empty_lake, add_rows)
            maintenance.maintain(empty_lake, now() + timedelta(days=days), policy)
    finally:
        is_done.set()
        for thread in threads:
            thread.join(60)

    assert failures == []
    assert all(n > 0 for n in n_reads)


KILLED = textwrap.dedent(
    """
    import os, pathlib, signal, sys, threading
    from datetime import UTC, datetime, timedelta
    from warehouse import lake, maintenance
    with lake.open_writer(lake.LakeLocation(pathlib.Path(sys.argv[1])), holder="doomed") as opened:
        threading.Timer(float(sys.argv[2]), lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
        none = timedelta(0)
        for days in range(1, 100):
            maintenance.maintain(opened, datetime.now(UTC) + timedelta(days=days), maintenance.Policy(none, none, none))
            opened.commit(lambda c: c.execute(
                "insert into market.adj_factor select printf('%06d.SH', i), date '2030-01-01', 1,"
                " timestamptz '2024-12-20 10:00:00+00', 'late' from range(50) as t(i)"), message="late")
            opened.commit(lambda c: c.execute("delete from market.adj_factor where load_id = 'late'"), message="gone")
    """
)


@pytest.mark.exhaustive
def test_killed_maintenance_leaves_every_row_and_the_next_one_ends(location: lake.LakeLocation) -> None:
    with lake.open_writer(location, holder="test") as opened:
        add_days(opened, 30)
        before = opened.read("select * from market.adj_factor order by all")

    for delay in (0.05, 0.2, 0.35, 0.6):
        command = [sys.executable, "-c", KILLED, str(location.path), str(delay)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
        with lake.open_reader(location) as reader:
            found = reader.read("select * from market.adj_factor where load_id <> 'late' order by all")
            assert found == before
            assert data_files.names_of(data_files.read_named(reader)) <= names_on_disk(location)

    with lake.open_writer(location, holder="heir", wait_s=5) as opened:
        maintenance.maintain(opened, now() + timedelta(days=200), KEEP_NOTHING)
        maintenance.maintain(opened, now() + timedelta(days=202), KEEP_NOTHING)
        found = opened.read("select * from market.adj_factor where load_id <> 'late' order by all")
        assert found == before
        assert names_on_disk(location) == live_names(opened)
