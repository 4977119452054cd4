"""The lake: commits whole or absent, readers that never wait, one writer, comments for analysts.

Everything that is not about files is tried twice: with the catalog in an SQLite file, and on a PostgreSQL server.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from warehouse import attaching, data_files, errors, lake, sql, tables
from warehouse.tables import market

ROOT = Path(__file__).resolve().parents[1]

DAY = date(2024, 1, 2)
INSERT = "insert into macro.release values (?, date '2024-01-01', date '2024-02-01', date '2024-02-01')"


on_sqlite = pytest.mark.parametrize("location", ["sqlite"], indirect=True)


@pytest.fixture(params=["sqlite", "postgres"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> lake.LakeLocation:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_location")
    return lake.LakeLocation(tmp_path / "lake", memory_limit="1GB", threads=1)


def count(of: lake.Lake) -> int:
    return int(of.read_value("select count(*) from macro.release"))


def executing(*statements: str) -> Callable[[duckdb.DuckDBPyConnection], None]:
    def work(connection: duckdb.DuckDBPyConnection) -> None:
        for statement in statements:
            connection.execute(statement)

    return work


def put(into: lake.Lake, *names: str) -> None:
    def work(connection: duckdb.DuckDBPyConnection) -> None:
        for name in names:
            connection.execute(INSERT, [name])

    into.commit(work, message=", ".join(names))


def test_commit_returns_the_result_and_leaves_one_snapshot(empty_lake: lake.Lake) -> None:
    before = empty_lake.snapshot

    def work(connection: duckdb.DuckDBPyConnection) -> str:
        connection.execute(INSERT, ["test-1"])
        connection.execute(INSERT, ["test-2"])
        return "done"

    result = empty_lake.commit(work, message="two rows")

    assert result == "done"
    assert empty_lake.snapshot == before + 1
    newest = empty_lake.read(
        "select author, commit_message from ducklake_snapshots('lake') order by snapshot_id desc limit 1"
    )
    assert newest.to_pylist() == [{"author": "daybook", "commit_message": "two rows"}]


def test_commit_leaves_nothing_when_work_raises_midway(empty_lake: lake.Lake) -> None:
    before = empty_lake.snapshot

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(INSERT, ["test-1"])
        raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        empty_lake.commit(work, message="half")

    assert count(empty_lake) == 0
    assert empty_lake.snapshot == before
    put(empty_lake, "test-2")
    assert count(empty_lake) == 1


def test_commit_leaves_nothing_when_a_statement_is_refused(empty_lake: lake.Lake) -> None:
    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(INSERT, ["test-1"])
        connection.execute(INSERT, [None])

    with pytest.raises(errors.LakeError, match=r"commit 'bad' failed, nothing was written: .*NOT NULL"):
        empty_lake.commit(work, message="bad")

    assert count(empty_lake) == 0


@on_sqlite
def test_commit_drops_temporary_tables_when_work_raises(empty_lake: lake.Lake) -> None:
    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("create temp table scratch as select 1 as x")
        raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        empty_lake.commit(work, message="half")

    empty_lake.commit(executing("create temp table scratch as select 2 as x"), message="again")
    assert empty_lake.read_value("select x from temp.scratch") == 2


def test_commit_writes_no_snapshot_when_work_changes_nothing(empty_lake: lake.Lake) -> None:
    before = empty_lake.snapshot

    empty_lake.commit(executing("select 1"), message="nothing")

    assert empty_lake.snapshot == before


def test_commit_is_repeated_whole_when_the_catalog_is_locked(empty_lake: lake.Lake) -> None:
    tries = []

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(INSERT, ["test-1"])
        tries.append(1)
        if len(tries) < 3:
            raise duckdb.TransactionException("database is locked")

    empty_lake.commit(work, message="patient")

    assert len(tries) == 3
    assert count(empty_lake) == 1


@on_sqlite
def test_commit_says_busy_when_the_catalog_stays_locked(empty_lake: lake.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake, "COMMIT_ATTEMPTS", 2)

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        raise duckdb.TransactionException("database is locked")

    with pytest.raises(errors.LakeBusy, match=r"stayed locked over 2 tries\. Nothing was written\. Look for"):
        empty_lake.commit(work, message="patient")


@on_sqlite
def test_read_raises_lake_error_with_the_query_when_it_cannot_run(empty_lake: lake.Lake) -> None:
    with pytest.raises(errors.LakeError, match=r"query failed: .*nowhere.* Query: select \* from nowhere"):
        empty_lake.read("select * from nowhere")


@on_sqlite
def test_read_value_is_none_when_there_is_no_row(empty_lake: lake.Lake) -> None:
    assert empty_lake.read_value("select name from ops.property where name = $name", name="absent") is None


@on_sqlite
def test_reader_refuses_when_there_is_no_lake(location: lake.LakeLocation) -> None:
    with (
        pytest.raises(errors.ConfigError, match=r"there is no lake at .*\. Make one with"),
        lake.open_reader(location),
    ):
        pass

    assert not location.path.exists()


def test_reader_cannot_write(empty_lake: lake.Lake, location: lake.LakeLocation) -> None:
    with lake.open_reader(location) as reader, pytest.raises(errors.LakeError, match="read-only"):
        put(reader, "test-1")

    assert count(empty_lake) == 0


def test_reader_sees_only_committed_rows_while_the_writer_works(
    empty_lake: lake.Lake, location: lake.LakeLocation
) -> None:
    seen = []

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(INSERT, ["test-1"])
        with lake.open_reader(location) as reader:
            seen.append(count(reader))

    empty_lake.commit(work, message="slow")

    with lake.open_reader(location) as reader:
        assert [*seen, count(reader)] == [0, 1]


def test_reader_is_never_refused_and_sees_whole_commits_while_the_writer_commits(
    empty_lake: lake.Lake, location: lake.LakeLocation
) -> None:
    """Every commit adds two rows, so an odd count would be half a commit.

    A read that meets the catalog's lock sleeps for a second, as SQLite does in DuckDB's build, so few reads may fit.
    """
    counts: list[int] = []
    is_open = threading.Event()
    is_done = threading.Event()

    def read_on() -> None:
        with lake.open_reader(location) as reader:
            is_open.set()
            while not is_done.is_set():
                counts.append(count(reader))

    thread = threading.Thread(target=read_on)
    thread.start()
    is_open.wait(10)
    try:
        for number in range(15):
            put(empty_lake, f"test-{number}-a", f"test-{number}-b")
    finally:
        is_done.set()
        thread.join(timeout=30)

    with lake.open_reader(location) as reader:
        assert count(reader) == 30
    assert counts
    assert all(found % 2 == 0 for found in counts)
    assert counts == sorted(counts)


@on_sqlite
def test_reader_in_another_process_sees_what_was_committed(empty_lake: lake.Lake, location: lake.LakeLocation) -> None:
    put(empty_lake, "test-1")
    script = textwrap.dedent(
        """
        import pathlib, sys
        from warehouse import lake
        with lake.open_reader(lake.LakeLocation(pathlib.Path(sys.argv[1]))) as reader:
            print(reader.read_value("select count(*) from macro.release"))
        """
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(location.path)], capture_output=True, text=True, cwd=ROOT, check=True
    )

    assert done.stdout.strip() == "1"


def test_reader_stays_on_its_snapshot_when_pinned(empty_lake: lake.Lake, location: lake.LakeLocation) -> None:
    put(empty_lake, "test-1")
    pinned = empty_lake.snapshot
    put(empty_lake, "test-2")

    with lake.open_reader(location, snapshot=pinned) as past, lake.open_reader(location) as newest:
        assert (past.snapshot, count(past)) == (pinned, 1)
        assert (newest.snapshot, count(newest)) == (pinned + 1, 2)


def test_reader_refuses_when_the_snapshot_does_not_exist(empty_lake: lake.Lake, location: lake.LakeLocation) -> None:
    with (
        pytest.raises(errors.ConfigError, match=r"cannot be opened: .*Check the path and the snapshot"),
        lake.open_reader(location, snapshot=10_000),
    ):
        pass


@on_sqlite
def test_second_writer_is_told_the_holder_when_it_waited_long_enough(
    empty_lake: lake.Lake, location: lake.LakeLocation
) -> None:
    with (
        pytest.raises(errors.LakeBusy, match=r"is being written by test \(process \d+ on .+\); waited 0\.2 s"),
        lake.open_writer(location, holder="second", wait_s=0.2),
    ):
        pass

    put(empty_lake, "test-1")
    assert count(empty_lake) == 1


@on_sqlite
def test_second_writer_gets_its_turn_when_the_first_ends(location: lake.LakeLocation) -> None:
    order = []
    is_open = threading.Event()
    may_end = threading.Event()

    def first() -> None:
        with lake.open_writer(location, holder="first") as opened:
            is_open.set()
            may_end.wait(10)
            put(opened, "test-1")
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    is_open.wait(10)
    threading.Timer(0.2, may_end.set).start()
    with lake.open_writer(location, holder="second", wait_s=20) as opened:
        order.append("second")
        n_seen = count(opened)
    thread.join(timeout=10)

    assert order == ["first", "second"]
    assert n_seen == 1


@on_sqlite
def test_writer_opens_when_the_process_before_it_was_killed(location: lake.LakeLocation) -> None:
    script = textwrap.dedent(
        """
        import os, pathlib, signal, sys
        from warehouse import lake
        with lake.open_writer(lake.LakeLocation(pathlib.Path(sys.argv[1])), holder="doomed") as opened:
            def work(connection):
                connection.execute("insert into macro.release values ('a', '2024-01-01', '2024-02-01', '2024-02-01')")
                os.kill(os.getpid(), signal.SIGKILL)
            opened.commit(work, message="never")
        """
    )
    done = subprocess.run([sys.executable, "-c", script, str(location.path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert json.loads((location.path / "writer.json").read_text())["holder"] == "doomed"

    with lake.open_writer(location, holder="heir", wait_s=5) as opened:
        assert count(opened) == 0
        put(opened, "test-2")
        assert count(opened) == 1

    assert not (location.path / "writer.json").exists()


def test_writer_refuses_when_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with (
        pytest.raises(errors.ConfigError, match="cannot make the lake's folder"),
        lake.open_writer(lake.LakeLocation(tmp_path / "file" / "lake"), holder="test"),
    ):
        pass


@pytest.mark.parametrize("opener", [lambda at: lake.open_writer(at, holder="old"), lake.open_reader])
def test_lake_is_refused_when_written_by_a_newer_daybook(
    location: lake.LakeLocation, opener: Callable[[lake.LakeLocation], object]
) -> None:
    with lake.open_writer(location, holder="newer") as opened:
        opened.commit(
            executing("update ops.property set value = '99' where name = 'schema_version'"), message="upgrade"
        )

    with pytest.raises(errors.LakeTooNew, match="has schema version 99, this Daybook knows"), opener(location):  # type: ignore[attr-defined]
        pass


def test_opening_again_writes_nothing(location: lake.LakeLocation) -> None:
    with lake.open_writer(location, holder="first") as opened:
        before = opened.snapshot

    with lake.open_writer(location, holder="second") as opened:
        assert opened.snapshot == before


def test_lake_of_an_older_shape_takes_rows_in_columns_it_got_later(
    location: lake.LakeLocation, bars: Callable[[str], pa.Table], load_days: Callable[..., pa.Table]
) -> None:
    """A column that is added stands last in the lake, wherever the contract has it."""
    added = {
        "ops.quarantine": ("severity", "state", "decided_by", "decision_reason", "decided_at"),
        "ops.ledger": ("cause", "first_asked_date"),
    }
    with lake.open_writer(location, holder="old") as opened:
        older = [f"alter table {table} drop column {name}" for table, names in added.items() for name in names]
        older.append("update ops.property set value = '1' where name = 'schema_version'")
        opened.commit(executing(*older), message="an older shape")

    with lake.open_writer(location, holder="new") as opened:
        load_days(opened, market.DAILY, bars("600000.SH 2024-01-02 -10\n600001.SH 2024-01-02 10"), asked_date=DAY)
        aside = opened.read("select rule, severity, state, decided_by from ops.quarantine").to_pylist()
        entry = opened.read("select state, cause, first_asked_date, n_attempts from ops.ledger").to_pylist()

    assert aside == [{"rule": "price_positive", "severity": "reject", "state": "pending", "decided_by": None}]
    assert entry == [{"state": "ok", "cause": "", "first_asked_date": DAY, "n_attempts": 1}]


def test_views_are_made_again_when_their_text_changed(location: lake.LakeLocation) -> None:
    with lake.open_writer(location, holder="old") as opened:
        older = (
            "create or replace view analyst.freshness as select 1 as stale",
            "update ops.property set value = 'other' where name = 'views_digest'",
        )
        opened.commit(executing(*older), message="an older definition")

    with lake.open_writer(location, holder="new") as opened:
        assert "newest_date" in opened.read("select * from analyst.freshness").column_names


def test_every_table_and_view_exists_with_its_comment(empty_lake: lake.Lake) -> None:
    found_tables = dict(
        zip(
            *empty_lake.read(
                "select schema_name || '.' || table_name as name, comment from duckdb_tables()"
                " where database_name = 'lake'"
            )
            .to_pydict()
            .values(),
            strict=True,
        )
    )
    found_views = empty_lake.read(
        "select view_name, comment from duckdb_views() where database_name = 'lake' and schema_name = 'analyst'"
    ).to_pylist()
    units = empty_lake.read_value(
        "select comment from duckdb_columns() where database_name = 'lake' and schema_name = 'market'"
        " and table_name = 'daily' and column_name = 'vol'"
    )

    for table in tables.TABLES:
        assert found_tables[table.full_name].startswith(table.meaning)
    assert sorted(view["view_name"] for view in found_views) == sql.names("views")
    assert all(view["comment"] and view["comment"].startswith("One row per") for view in found_views)
    assert units.endswith("[lots of 100 shares]")


def test_lake_needs_no_path_of_its_own_when_catalog_and_data_are_elsewhere(tmp_path: Path) -> None:
    location = lake.LakeLocation(
        tmp_path / "lock", catalog=f"sqlite:{tmp_path / 'c.sqlite'}", data_path=f"{tmp_path / 'parquet'}/"
    )

    with lake.open_writer(location, holder="test") as opened:
        many = (
            "insert into macro.release"
            " select 'test-' || i, date '2024-01-01', date '2024-02-01', date '2024-02-01' from range(100) as t(i)"
        )
        opened.commit(executing(many), message="many")

    with lake.open_reader(location) as reader:
        assert count(reader) == 100
    assert list((tmp_path / "parquet").rglob("*.parquet"))


MANY = "insert into macro.release select {name} || i, '2024-01-01', '2024-02-01', '2024-02-01' from range(100) as t(i)"


def test_lake_that_was_moved_is_read_written_and_counted_where_it_is(tmp_path: Path) -> None:
    """Moved, or mounted at another place: by DuckLake's own ways the catalog would go on reading the old one."""
    old, new = lake.LakeLocation(tmp_path / "old"), lake.LakeLocation(tmp_path / "new")
    with lake.open_writer(old, holder="test") as opened:
        opened.commit(executing(MANY.format(name="'before-'")), message="before")

    (tmp_path / "old").rename(tmp_path / "new")

    with lake.open_writer(new, holder="test") as opened:
        opened.commit(executing(MANY.format(name="'after-'")), message="after")
    with lake.open_reader(new) as reader:
        named, stored = data_files.read_named(reader), data_files.read_stored(reader)
        assert count(reader) == 200
    with duckdb.connect() as elsewhere:
        elsewhere.execute(attaching.script(new))
        assert elsewhere.sql("select count(*) from macro.release").fetchall() == [(200,)]
    assert set(named["path"].to_pylist()) == set(stored["path"].to_pylist())
    assert all(path.startswith(str(tmp_path / "new")) for path in stored["path"].to_pylist())
    assert not (tmp_path / "old").exists()
