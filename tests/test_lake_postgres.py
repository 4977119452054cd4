"""A lake whose catalog is on PostgreSQL: set by settings alone, honest when it is not there, silent about its password.

What a lake does is tried on both catalogs in `test_lake.py` and `test_lease.py`; here is what only a server can get
wrong.
"""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import doctor, settings
from warehouse import errors, instances, lake, storage, tables

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def variables(postgres: Any, postgres_location: lake.LakeLocation, tmp_path: Path) -> dict[str, str]:
    """What an operator sets."""
    return {
        "DAYBOOK__HOME": str(tmp_path),
        "DAYBOOK__LAKE_CATALOG": postgres_location.catalog,
        "DAYBOOK__LAKE_CATALOG_PASSWORD": postgres.password,
    }


def everything_told(exc: BaseException) -> str:
    return "".join(traceback.format_exception(exc))


def test_settings_alone_put_the_catalog_on_postgres(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, postgres_location: lake.LakeLocation
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    location = settings.read_settings().lake

    with lake.open_writer(location, holder="test") as opened:
        n_tables = opened.read_value("select count(*) from duckdb_tables() where database_name = 'lake'")

    with storage.connected(postgres_location) as session:
        row = session.execute("select count(*) from ducklake_table where end_snapshot is null").fetchone()
    assert row == (n_tables,)
    assert not list(location.path.rglob("*.sqlite"))


def test_command_answers_from_postgres(
    variables: dict[str, str], postgres_location: lake.LakeLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with lake.open_writer(settings.read_settings().lake, holder="test"):
        pass

    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "sql", "select 'version-' || value as answer from ops.property"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"version-{tables.SCHEMA_VERSION}" in done.stdout
    assert variables["DAYBOOK__LAKE_CATALOG_PASSWORD"] not in done.stdout + done.stderr


@pytest.mark.parametrize("opened_with", ["open_reader", "exists"])
def test_empty_database_is_no_lake(postgres_location: lake.LakeLocation, opened_with: str) -> None:
    if opened_with == "exists":
        assert not postgres_location.exists
        return

    with (
        pytest.raises(errors.ConfigError, match=r"there is no lake at postgres:host=.* Make one with `daybook"),
        lake.open_reader(postgres_location),
    ):
        pass

    with storage.connected(postgres_location) as session:
        assert session.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone() == (0,)


def test_lake_exists_when_it_was_made(postgres_location: lake.LakeLocation) -> None:
    with lake.open_writer(postgres_location, holder="test"):
        pass

    assert postgres_location.exists


def test_views_and_comments_are_those_of_a_file_catalog(
    postgres_location: lake.LakeLocation, location: lake.LakeLocation
) -> None:
    questions = (
        "select schema_name, table_name, comment from duckdb_tables() where database_name = 'lake' order by all",
        "select schema_name, view_name, comment from duckdb_views() where database_name = 'lake' order by all",
        "select schema_name, table_name, column_name, data_type, is_nullable, comment from duckdb_columns()"
        " where database_name = 'lake' order by all",
    )
    told = []

    for at in (postgres_location, location):
        with lake.open_writer(at, holder="test"):
            pass
        with lake.open_reader(at) as reader:
            told.append([reader.read(question).to_pylist() for question in questions])

    on_server, in_file = told
    assert on_server == in_file


def breakages(postgres: Any, location: lake.LakeLocation) -> dict[str, lake.LakeLocation]:
    other = dataclasses.replace
    return {
        "wrong password": other(location, catalog_password=postgres.password + "-wrong"),
        "no such database": other(location, catalog=f"postgres:{postgres.conninfo('nowhere')}"),
        "no such server": other(location, catalog="postgres:host=/nowhere dbname=lake"),
        "nonsense": other(location, catalog="postgres:=;"),
    }


@pytest.mark.parametrize("what", ["wrong password", "no such database", "no such server", "nonsense"])
@pytest.mark.parametrize("opener", [lake.open_reader, lambda at: lake.open_writer(at, holder="test")])
def test_password_is_in_no_error_and_no_log(
    postgres: Any,
    postgres_location: lake.LakeLocation,
    what: str,
    opener: Callable[[lake.LakeLocation], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = breakages(postgres, postgres_location)[what]

    with pytest.raises(errors.ConfigError, match=r"cannot be reached: .*Check that the server runs") as caught:
        opener(broken).__enter__()

    shown = everything_told(caught.value) + caplog.text + repr(broken)
    assert postgres.password not in shown


def test_password_is_in_nothing_an_analyst_can_ask(postgres: Any, postgres_location: lake.LakeLocation) -> None:
    with lake.open_writer(postgres_location, holder="test"):
        pass

    with lake.open_reader(postgres_location) as reader:
        answers = [
            reader.read(question).to_pylist()
            for question in (
                "from duckdb_secrets()",
                "from duckdb_databases()",
                "from duckdb_settings()",
                "from ducklake_options('lake')",
                "from duckdb_logs()",
            )
        ]
        with pytest.raises(errors.LakeError) as refused:
            reader.read("select * from postgres_query('__ducklake_metadata_lake', 'nonsense')")

    assert postgres.password not in str(answers) + everything_told(refused.value)


def test_password_in_an_error_becomes_stars(postgres: Any, postgres_location: lake.LakeLocation) -> None:
    with lake.open_writer(postgres_location, holder="test"):
        pass

    with lake.open_reader(postgres_location) as reader, pytest.raises(errors.LakeError) as refused:
        reader.read(f"select nowhere.'{postgres.password}'")

    assert postgres.password not in everything_told(refused.value)
    assert storage.STARS in str(refused.value)


def test_refused_secret_shows_none_of_its_words() -> None:
    needs = instances.Needs((), "256MB", Path("tmp"), ("create secret s (type nonsense, password 'planted-4711')",))

    with pytest.raises(errors.ConfigError, match="DuckDB refused the secret s") as caught:
        instances.connection(needs).__enter__()

    assert "planted-4711" not in everything_told(caught.value) + repr(needs)


@pytest.mark.parametrize(
    "catalog",
    [
        "postgres:dbname=lake password=planted-4711",
        "postgres:dbname=lake PASSWORD = 'planted-4711'",
        "postgres:postgresql://daybook:planted-4711@db.example/lake",
    ],
)
def test_password_is_refused_in_the_address(catalog: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK__LAKE_CATALOG", catalog)

    with pytest.raises(errors.ConfigError, match=r"holds a password.*DAYBOOK__LAKE_CATALOG_PASSWORD") as caught:
        settings.read_settings()

    assert "planted" not in everything_told(caught.value)
    with pytest.raises(errors.ConfigError, match="holds a password"):
        lake.LakeLocation(Path("lake"), catalog=catalog)


def test_catalog_of_unknown_kind_is_refused() -> None:
    with pytest.raises(errors.ConfigError, match=r"catalog 'mysql:db=lake' is of no known kind\. Write `sqlite:`"):
        lake.LakeLocation(Path("lake"), catalog="mysql:db=lake")


def test_doctor_says_what_is_there(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    options = settings.read_settings()

    before = doctor._lake(options)
    with lake.open_writer(options.lake, holder="test"):
        pass
    after = doctor._lake(options)

    assert (before.found, before.is_good) == ("none yet", None)
    assert after.is_good and after.found.endswith("0 bars")
    assert variables["DAYBOOK__LAKE_CATALOG_PASSWORD"] not in str(doctor.effective_settings(options))
