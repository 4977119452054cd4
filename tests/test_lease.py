"""One writer at a time, on a file and on a server; and one that was overtaken in its sleep commits nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable

import duckdb
import psycopg
import pytest

from warehouse import errors, fence, instances, lake, lease, storage

INSERT = "insert into macro.release values (?, date '2024-01-01', date '2024-02-01', date '2024-02-01')"

SLEEPER = """
pauses = []
with lake.open_writer(location, holder="sleeper") as opened:
    def put(connection, name, pause=False):
        connection.execute("insert into macro.release select $name || i, '2024-01-01', '2024-02-01', '2024-02-01'"
                           " from range(3) as t(i)", {"name": name})
        # A commit that met a lock is repeated whole; the pause is not.
        if pause and not pauses:
            pauses.append(1)
            print("paused", flush=True)
            sys.stdin.readline()
    opened.commit(lambda connection: put(connection, "before"), message="before")
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        opened.commit(lambda connection: put(connection, "after", PAUSE), message="after")
    except errors.LakeBusy as exc:
        print(exc, flush=True)
    else:
        print("committed", flush=True)
"""


def put(into: lake.Lake, *names: str) -> None:
    into.commit(lambda connection: [connection.execute(INSERT, [name]) for name in names], message="put")


def names_in(of: lake.Lake) -> list[str]:
    return of.read("select series_id from macro.release order by all").column(0).to_pylist()


def take_lock_away(location: lake.LakeLocation) -> None:
    """What a network file system or an operator may do to a lock whose holder is alive."""
    if location.catalog_file is not None:
        (location.path / "writer.lock").unlink()
        return
    with storage.connected(location) as session:
        row = session.execute("select pg_terminate_backend(session_pid) from daybook_writer").fetchone()
    assert row == (True,)


def say(child: subprocess.Popen[str], line: str = "go") -> None:
    child.stdin.write(line + "\n")
    child.stdin.flush()


@pytest.mark.parametrize("is_inside", [False, True], ids=["between_commits", "inside_a_commit"])
def test_writer_cannot_commit_when_it_was_overtaken_while_paused(
    either_location: lake.LakeLocation, start_child: Callable[..., subprocess.Popen[str]], is_inside: bool
) -> None:
    child = start_child(either_location, SLEEPER.replace("PAUSE", str(is_inside)))
    assert child.stdout.readline() == "ready\n"
    if is_inside:
        say(child)
        assert child.stdout.readline() == "paused\n"
    os.kill(child.pid, signal.SIGSTOP)
    take_lock_away(either_location)

    with lake.open_writer(either_location, holder="heir", wait_s=10) as heir:
        put(heir, "heir-1")
        say(child)
        os.kill(child.pid, signal.SIGCONT)
        told = child.stdout.readline()
        assert child.wait(30) == 0
        put(heir, "heir-2")

    assert "commit 'after' was refused, nothing was written: another writer has taken over the lake at " in told
    assert told.endswith("Run again.\n")
    with lake.open_reader(either_location) as reader:
        assert names_in(reader) == ["before0", "before1", "before2", "heir-1", "heir-2"]


def test_writer_goes_on_when_its_lock_was_lost_but_nobody_took_over(either_location: lake.LakeLocation) -> None:
    with lake.open_writer(either_location, holder="lonely") as opened:
        take_lock_away(either_location)

        put(opened, "still")

        assert names_in(opened) == ["still"]


def test_overtaken_writer_leaves_the_note_of_its_heir(location: lake.LakeLocation) -> None:
    heirs = lease.Holder.here("heir")
    with lease.locked(location, lease.Holder.here("first"), 1):
        take_lock_away(location)
        with lease.locked(location, heirs, 1):
            (location.path / "writer.json").write_text(json.dumps(dataclasses.asdict(heirs)))
            note = (location.path / "writer.json").read_text()

    assert json.loads(note)["holder"] == "heir"
    assert not (location.path / "writer.json").exists()


def test_every_writer_gets_a_token_of_its_own(either_location: lake.LakeLocation) -> None:
    for name in ("a", "b", "c"):
        with lake.open_writer(either_location, holder=name) as opened:
            put(opened, name)

    with lake.open_reader(either_location) as reader:
        rows = reader.read(
            "select commit_extra_info as token from ducklake_snapshots('lake')"
            " where commit_message = 'put' order by snapshot_id"
        )
    tokens = [json.loads(row["token"]) for row in rows.to_pylist()]
    assert [token["writer_epoch"] for token in tokens] == [1, 2, 3]
    assert len({token["lease"] for token in tokens}) == 3


def test_token_stays_void_when_a_backup_brought_its_epoch_back(postgres_location: lake.LakeLocation) -> None:
    with lake.open_writer(postgres_location, holder="before") as opened:
        old = opened._token
    with storage.connected(postgres_location) as session:
        session.execute("update daybook_writer set epoch = 0, token = ''")

    with lake.open_writer(postgres_location, holder="after") as opened:
        assert json.loads(opened._token)["writer_epoch"] == json.loads(old)["writer_epoch"]
        opened._token = old
        with pytest.raises(errors.LakeBusy, match="was refused"):
            put(opened, "void")


def test_program_without_a_lease_cannot_commit(either_location: lake.LakeLocation) -> None:
    with lake.open_writer(either_location, holder="owner") as opened:
        put(opened, "ours")

    at = either_location
    with instances.connection(instances.Needs(at.extensions, "256MB", at.path, at.secret_statements)) as connection:
        secret = "" if at.catalog_file else f" (meta_secret '{storage.CATALOG_SECRET}')"
        connection.execute(f"attach 'ducklake:{at.catalog_address}' as lake{secret}")
        with pytest.raises(duckdb.Error, match=fence.REFUSAL):
            connection.execute(INSERT.replace("macro.", "lake.macro."), ["theirs"])

    with lake.open_reader(at) as reader:
        assert names_in(reader) == ["ours"]


def test_fence_is_built_in_a_lake_that_has_none(either_location: lake.LakeLocation) -> None:
    with lake.open_writer(either_location, holder="older") as opened:
        put(opened, "kept")
    unfence(either_location)

    with lake.open_writer(either_location, holder="newer") as opened:
        opened._token = '{"writer_epoch": 0}'
        with pytest.raises(errors.LakeBusy, match="was refused"):
            put(opened, "void")
        assert names_in(opened) == ["kept"]


def unfence(location: lake.LakeLocation) -> None:
    """As a lake was before there was a fence."""
    if location.catalog_file is None:
        with storage.connected(location) as session:
            session.execute("drop trigger daybook_fence on ducklake_snapshot_changes")
            session.execute("drop table daybook_writer")
        return
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript('drop trigger daybook_fence')"
    subprocess.run(["python3", "-c", script, str(location.catalog_file)], check=True)


def test_second_writer_is_told_the_holder(either_location: lake.LakeLocation) -> None:
    wanted = rf"is being written by first \(process {os.getpid()} on .+\).*; waited 0\.2 s\. Run again when it has"
    with (
        lake.open_writer(either_location, holder="first"),
        pytest.raises(errors.LakeBusy, match=wanted),
        lake.open_writer(either_location, holder="second", wait_s=0.2),
    ):
        pass


def test_second_writer_is_told_the_session_when_the_first_has_not_written_its_row(
    postgres_location: lake.LakeLocation,
) -> None:
    with (
        lease.locked(postgres_location, lease.Holder("first", 42, "there"), 1),
        pytest.raises(
            errors.LakeBusy,
            match=r"written by daybook first \(process 42 on there\), PostgreSQL session \d+; waited 0 s",
        ),
        lease.locked(postgres_location, lease.Holder.here("second"), 0),
    ):
        pass


def test_lock_is_free_when_its_holder_was_killed(
    either_location: lake.LakeLocation, start_child: Callable[..., subprocess.Popen[str]]
) -> None:
    script = SLEEPER.replace("PAUSE", "False")
    child = start_child(either_location, script)
    assert child.stdout.readline() == "ready\n"

    child.kill()

    with lake.open_writer(either_location, holder="heir", wait_s=10) as opened:
        assert names_in(opened) == ["before0", "before1", "before2"]


def test_commits_of_two_processes_at_once_are_all_there(
    either_location: lake.LakeLocation, start_child: Callable[..., subprocess.Popen[str]]
) -> None:
    script = """
        sys.stdin.readline()
        for number in range(5):
            with lake.open_writer(location, holder=f"NAME-{number}", wait_s=60) as opened:
                opened.commit(lambda c: c.execute("insert into macro.release select 'NAME-' || $n || '-' || i,"
                    " '2024-01-01', '2024-02-01', '2024-02-01' from range(40) as t(i)", {"n": number}), message="one")
        """
    children = [start_child(either_location, script.replace("NAME", name)) for name in ("left", "right")]

    for child in children:
        say(child)

    assert [child.wait(120) for child in children] == [0, 0]
    with lake.open_reader(either_location) as reader:
        wanted = [f"{name}-{number}-{i}" for name in ("left", "right") for number in range(5) for i in range(40)]
        assert names_in(reader) == sorted(wanted)


def test_second_process_fails_with_the_holders_name_when_it_does_not_wait(
    either_location: lake.LakeLocation, start_child: Callable[..., subprocess.Popen[str]]
) -> None:
    script = """
        try:
            with lake.open_writer(location, holder="second", wait_s=0.1):
                print("opened")
        except errors.LakeBusy as exc:
            print(exc)
        """
    with lake.open_writer(either_location, holder="daily/2026-11-20") as opened:
        child = start_child(either_location, script)
        told, _ = child.communicate(timeout=60)
        put(opened, "sound")

    assert f"is being written by daily/2026-11-20 (process {os.getpid()} on " in told


def test_taking_over_waits_for_a_commit_and_defeats_one_that_began_before_on_postgres(
    postgres_location: lake.LakeLocation,
) -> None:
    """The two halves of the race, at the server: neither may end with an old token committed after a new one."""
    with lake.open_writer(postgres_location, holder="first"):
        pass
    commit = (
        "insert into ducklake_snapshot_changes (snapshot_id, changes_made, commit_extra_info)"
        " values (%s, '', (select token from daybook_writer))"
    )
    rising = "update daybook_writer set epoch = epoch + 1"
    with storage.connected(postgres_location) as writer, storage.connected(postgres_location) as heir:
        heir.execute("set lock_timeout = '200ms'")

        writer.execute("begin isolation level repeatable read")
        writer.execute(commit, [1001])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            heir.execute(rising)
        writer.execute("commit")

        writer.execute("begin isolation level repeatable read")
        writer.execute("select epoch from daybook_writer")
        heir.execute(rising)
        with pytest.raises(psycopg.errors.SerializationFailure):
            writer.execute(commit, [1002])
        writer.execute("rollback")


def test_waiting_writer_gets_its_turn_on_postgres(postgres_location: lake.LakeLocation) -> None:
    order: list[str] = []
    is_open, may_end = threading.Event(), threading.Event()

    def first() -> None:
        with lake.open_writer(postgres_location, holder="first"):
            is_open.set()
            may_end.wait(10)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    is_open.wait(30)
    threading.Timer(0.2, may_end.set).start()
    with lake.open_writer(postgres_location, holder="second", wait_s=20):
        order.append("second")
    thread.join(10)

    assert order == ["first", "second"]
