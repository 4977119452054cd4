"""Instances are lent to one user at a time, come back clean, and are not hoarded."""

from __future__ import annotations

import dataclasses
import itertools
import threading

import duckdb
import pytest

from warehouse import instances

LIMITS = itertools.count(101)


@pytest.fixture
def needs(tmp_path):
    """Needs that no other test has."""
    return instances.Needs((), f"{next(LIMITS)}MB", tmp_path / "tmp")


def spill_folder(connection):
    return connection.execute("select current_setting('temp_directory')").fetchone()[0]


def test_next_user_finds_no_temporary_table_and_nothing_attached(needs, tmp_path):
    with instances.connection(needs) as lent:
        lent.execute("create temp table left_over as select 1")
        lent.execute(f"attach '{tmp_path / 'file.duckdb'}' as {instances.ATTACHED}")
        lent.execute(f"use {instances.ATTACHED}")

    with instances.connection(needs) as lent:
        tables = lent.execute("select table_name from duckdb_tables()").fetchall()
        databases = lent.execute("select database_name from duckdb_databases() where not internal").fetchall()

    assert tables == [] and databases == [("memory",)]


def test_two_users_at_once_do_not_see_each_others_lake(needs, tmp_path):
    with instances.connection(needs) as one, instances.connection(needs) as two:
        one.execute(f"attach '{tmp_path / 'one.duckdb'}' as {instances.ATTACHED}")
        two.execute(f"attach '{tmp_path / 'two.duckdb'}' as {instances.ATTACHED}")
        paths = {
            connection.execute("select path from duckdb_databases() where database_name = 'lake'").fetchone()
            for connection in (one, two)
        }

    assert len(paths) == 2


def test_instance_spills_where_its_next_user_says(needs, tmp_path):
    with instances.connection(needs):
        pass
    elsewhere = dataclasses.replace(needs, temp_directory=tmp_path / "elsewhere")

    with instances.connection(elsewhere) as lent:
        assert spill_folder(lent) == str(tmp_path / "elsewhere")
    assert len([kept for kept, _ in instances._idle if kept == needs]) == 1


def test_instance_that_has_spilled_is_not_lent_to_spill_elsewhere(needs, tmp_path):
    with instances.connection(needs) as lent:
        lent.execute("create table large as select i, md5(i::varchar) as word from range(4000000) as t(i)")
        assert lent.execute("select count(*) from duckdb_temporary_files()").fetchone()[0]
    elsewhere = dataclasses.replace(needs, temp_directory=tmp_path / "elsewhere")

    with instances.connection(elsewhere) as lent:
        assert spill_folder(lent) == str(tmp_path / "elsewhere")
        assert lent.execute("select count(*) from duckdb_tables()").fetchone()[0] == 0


def test_instance_is_not_lent_again_after_its_user_failed(needs):
    def fail():
        with instances.connection(needs) as lent:
            lent.execute("select broken")

    with pytest.raises(duckdb.BinderException):
        fail()

    assert not [kept for kept, _ in instances._idle if kept == needs]


def test_no_more_are_kept_than_are_useful(needs):
    def use(barrier):
        with instances.connection(needs) as lent:
            lent.execute("select 1")
            barrier.wait(timeout=10)

    barrier = threading.Barrier(instances.MOST_IDLE + 3)
    threads = [threading.Thread(target=use, args=(barrier,)) for _ in range(barrier.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(instances._idle) <= instances.MOST_IDLE
