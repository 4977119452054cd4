"""An export holds what the lake holds at one snapshot, says what it means, and appears whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime

import duckdb
import filelock
import pandas as pd
import pyarrow.parquet as pq
import pytest

from warehouse import dictionary, errors, export, lake, sql
from warehouse.tables import TABLES, macro

FILLING = (
    """insert into market.daily by name
    select format('{}.SH', 600000 + code) as ts_code, date '2023-01-02' + day::int as trade_date, 10.0 + day as close,
        9.5 as open, 30.0 as high, 9.0 as low, 9.9 as pre_close, 100.0 as vol, 1000.0 + code as amount,
        timestamptz '2023-02-01 10:00:00+00' as retrieved_at, 'load-1' as load_id
    from range(3) as codes (code), range(8) as days (day)""",
    """insert into feature.log_return by name
    select ts_code, trade_date, 0.01 as log_return_1d from market.daily""",
    """insert into macro.series by name
    select 'X' as series_id, 'It''s' as title, '%' as unit, 'M' as frequency, 1::int as transform_code,
        30::int as publication_lag_days, 'g' as group_name, true as is_in_macro_panel, false as is_rolling_window,
        'public' as licence""",
)


def make_lake(folder):
    """A lake with 24 bars of 8 sessions and a series whose title holds a quote."""
    with lake.open_writer(lake.LakeLocation(folder / "lake", memory_limit="1GB", threads=1), holder="test") as opened:
        for statement in FILLING:
            opened.commit(lambda c, statement=statement: c.execute(statement), message="fill")
    return opened.location


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A filled lake for the tests that only read it."""
    return make_lake(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def exported(shared):
    """The whole lake as a file."""
    return export.export_database(shared, shared.path.parent / "out.duckdb")


@pytest.fixture(scope="module")
def folder(shared):
    """The whole lake as a folder."""
    return export.export_parquet(shared, shared.path.parent / "out")


@pytest.fixture
def filled(shared):
    with lake.open_reader(shared) as opened:
        yield opened


@pytest.fixture
def database(exported):
    with duckdb.connect(str(exported.path), read_only=True) as opened:
        opened.execute("set TimeZone = 'UTC'")
        yield opened


def comment_of(column):
    return column.meaning + (f" [{column.unit}]" if column.unit else "")


def test_exported_rows_equal_the_lakes_table_by_table(filled, database):
    for table in TABLES:
        expected = filled.read(f"from {table.full_name} order by all").to_pylist()
        found = database.execute(f"from {table.full_name} order by all").to_arrow_table().to_pylist()
        assert found == expected, table.full_name

    assert database.execute("select count(*) from market.daily").fetchone() == (24,)


def test_every_table_is_in_both_forms_with_as_many_rows(exported, folder):
    assert set(exported.n_rows) == {table.full_name for table in TABLES}
    assert exported.n_rows == folder.n_rows and folder.views == ()
    assert folder.n_rows["market.daily"] == 24


def test_comments_in_the_file_are_what_the_contracts_mean(database):
    expected = {(t.full_name, ""): f"{t.meaning} Source: {t.source}" for t in TABLES}
    expected |= {(t.full_name, c.name): comment_of(c) for t in TABLES for c in t.columns}

    tables = database.execute(
        "select schema_name || '.' || table_name, '', comment from duckdb_tables() where schema_name <> 'main'"
    ).fetchall()
    columns = database.execute(
        "select schema_name || '.' || table_name, column_name, comment from duckdb_columns()"
        " where schema_name not in ('main', 'analyst') and not internal"
    ).fetchall()

    assert {(table, column): comment for table, column, comment in tables + columns} == expected


def test_types_and_null_rules_in_the_file_are_the_contracts(database):
    names = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    expected = {(t.full_name, c.name): (names.get(c.type, c.type), c.nullable) for t in TABLES for c in t.columns}

    found = database.execute(
        "select schema_name || '.' || table_name, column_name, data_type, is_nullable from duckdb_columns()"
        " where schema_name not in ('main', 'analyst') and not internal"
    ).fetchall()

    assert {(table, column): (kind, null) for table, column, kind, null in found} == expected


def test_every_view_answers_as_in_the_lake_when_the_file_has_another_name(filled, exported, tmp_path):
    moved = tmp_path / "moved-elsewhere.duckdb"
    moved.write_bytes(exported.path.read_bytes())

    with duckdb.connect(str(moved), read_only=True) as opened:
        opened.execute("set TimeZone = 'UTC'")
        for name in sql.names("views"):
            found = opened.execute(f"from analyst.{name} order by all").to_arrow_table().to_pylist()
            assert found == filled.read(f"from analyst.{name} order by all").to_pylist(), name
        assert opened.execute("select count(*) from analyst.market_day").fetchone() == (8,)

    assert set(exported.views) == {f"analyst.{name}" for name in sql.names("views")}


def test_every_table_macro_answers_as_in_the_lake(filled, database):
    asked = 0
    for function in dictionary.read_functions(filled):
        if function.is_table and function.parameters == ("as_of",):
            question = f"from {function.name}(date '2023-01-05') order by all"
            found = database.execute(question).to_arrow_table().to_pylist()
            assert found == filled.read(question).to_pylist(), function.name
            asked += len(found)

    assert asked > 0


def test_views_carry_their_header_and_the_units_of_their_columns(database):
    header = database.execute("select comment from duckdb_views() where view_name = 'price_adjusted'").fetchone()[0]
    columns = dict(
        database.execute(
            "select column_name, comment from duckdb_columns() where table_name = 'price_adjusted'"
        ).fetchall()
    )

    assert header.startswith("One row per security and session: raw and back-adjusted prices in CNY")
    assert columns["close_cny"] == "Closing price, unadjusted. [CNY]"
    assert columns["ts_code"] == "Tushare security code, such as 600000.SH."


def test_view_that_reads_a_later_view_and_a_macro_work_without_the_lake(tmp_path):
    location = make_lake(tmp_path)
    with lake.open_writer(location, holder="test") as opened:
        opened.commit(
            lambda c: c.execute("create view analyst.a as select n_bars from analyst.market_day"), message="a"
        )
        opened.commit(
            lambda c: c.execute("create macro bars_until(day) as table from market.daily where trade_date <= day"),
            message="a macro",
        )

    done = export.export_database(location, tmp_path / "out.duckdb")

    with duckdb.connect(str(done.path), read_only=True) as opened:
        assert opened.execute("select count(*) from analyst.a").fetchone() == (8,)
        assert opened.execute("select count(*) from bars_until(date '2023-01-03')").fetchone() == (6,)


def test_export_reads_one_snapshot_when_the_lake_moves_on(tmp_path):
    location = make_lake(tmp_path)
    with lake.open_writer(location, holder="test") as opened:
        before = opened.snapshot
        opened.commit(lambda c: c.execute("delete from market.daily where ts_code = '600000.SH'"), message="gone")
        after = opened.snapshot

    old = export.export_parquet(location, tmp_path / "old", names=["market.daily"], snapshot=before)
    new = export.export_parquet(location, tmp_path / "new", names=["market.daily"])

    assert (old.snapshot, old.n_rows["market.daily"]) == (before, 24)
    assert (new.snapshot, new.n_rows["market.daily"]) == (after, 16)
    assert json.loads((old.path / "manifest.json").read_text())["snapshot"] == before


def test_manifest_says_rows_types_units_and_meanings(folder):
    manifest = json.loads((folder.path / "manifest.json").read_text())

    assert [table["name"] for table in manifest["tables"]] == [table.full_name for table in TABLES]
    for table, described in zip(TABLES, manifest["tables"], strict=True):
        held = pq.read_metadata(folder.path / described["file"])
        assert described["n_rows"] == held.num_rows
        assert [c["name"] for c in described["columns"]] == held.schema.to_arrow_schema().names
        assert [(c["unit"], c["meaning"]) for c in described["columns"]] == [
            (c.unit or "", c.meaning) for c in table.columns
        ]
    guide = (folder.path / "README.txt").read_text()
    assert f"snapshot {folder.snapshot} " in guide and "market/daily.parquet" in guide


def test_parquet_is_read_by_pandas_as_the_lake_reads(filled, folder):
    found = pd.read_parquet(folder.path / "market" / "daily.parquet")

    expected = filled.read("from market.daily").to_pandas()
    keys = ["ts_code", "trade_date"]
    left, right = (f.sort_values(keys, ignore_index=True)[["ts_code", "close", "vol"]] for f in (found, expected))
    pd.testing.assert_frame_equal(left, right)


def test_only_named_tables_are_written_and_a_named_view_becomes_rows(filled, tmp_path):
    names = ["macro.series", "analyst.market_day", "macro.series"]

    done = export.export_database(filled.location, tmp_path / "out.duckdb", names=names)

    with duckdb.connect(str(done.path), read_only=True) as opened:
        kinds = opened.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name <> 'main' order by all"
        ).fetchall()
    assert kinds == [("analyst.market_day",), ("macro.series",)]
    assert done.n_rows == {"macro.series": 1, "analyst.market_day": 8} and done.views == ()


def test_unknown_table_is_refused_with_those_there_are(filled, tmp_path):
    with pytest.raises(errors.ConfigError, match=r"no market\.dayly.*market\.daily"):
        export.export_database(filled.location, tmp_path / "out.duckdb", names=["market.dayly"])

    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("write", [export.export_database, export.export_parquet])
def test_own_export_is_replaced_unasked(filled, tmp_path, write):
    first = write(filled.location, tmp_path / "out", names=["macro.series"])
    second = write(filled.location, tmp_path / "out", names=["macro.series", "market.daily"])

    assert (len(first.n_rows), len(second.n_rows)) == (1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_foreign_file_is_kept_unless_forced(filled, tmp_path):
    place = tmp_path / "theses.duckdb"
    with duckdb.connect(str(place)) as opened:
        opened.execute("create table years_of_work as select 42 as answer")
    before = place.read_bytes()

    with pytest.raises(errors.ConfigError, match="no export made"):
        export.export_database(filled.location, place)
    kept = place.read_bytes()
    export.export_database(filled.location, place, names=["macro.series"], force=True)

    assert kept == before != place.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["theses.duckdb"]


def test_folder_to_which_somebody_added_a_file_is_kept_unless_forced(filled, tmp_path):
    place = export.export_parquet(filled.location, tmp_path / "out", names=["market.daily"]).path
    (place / "market" / "notes.txt").write_text("mine")

    with pytest.raises(errors.ConfigError, match="no export made"):
        export.export_parquet(filled.location, place)
    kept = (place / "market" / "notes.txt").read_text()
    export.export_parquet(filled.location, place, names=["market.daily"], force=True)

    assert kept == "mine"
    assert not (place / "market" / "notes.txt").exists()


@pytest.mark.parametrize("place", ["lake", "lake/data", "."])
def test_lake_is_never_overwritten(shared, place):
    with pytest.raises(errors.ConfigError, match="lake's folder"):
        export.export_parquet(shared, shared.path.parent / place, force=True)

    assert (shared.path / "catalog.sqlite").exists()


def test_kind_of_the_place_must_fit(filled, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()

    with pytest.raises(errors.ConfigError, match="is a folder"):
        export.export_database(filled.location, tmp_path / "folder", force=True)
    with pytest.raises(errors.ConfigError, match="is a file"):
        export.export_parquet(filled.location, tmp_path / "file", force=True)


def test_missing_folder_and_missing_snapshot_are_setting_errors(filled, tmp_path):
    with pytest.raises(errors.ConfigError, match="Make its folder"):
        export.export_database(filled.location, tmp_path / "no" / "such" / "out.duckdb")
    with pytest.raises(errors.ConfigError, match="snapshot"):
        export.export_database(filled.location, tmp_path / "out.duckdb", snapshot=99_999)

    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("write", [export.export_database, export.export_parquet])
def test_old_export_stays_when_the_new_one_fails(tmp_path, write):
    location = make_lake(tmp_path)
    place = write(location, tmp_path / "out", names=["macro.series"]).path
    for file in (location.path / "data" / "market").rglob("*.parquet"):
        file.unlink()

    with pytest.raises(errors.LakeError, match="left nothing"):
        write(location, place, names=["macro.series", "market.daily"])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "out"]
    if place.is_dir():
        assert pq.read_metadata(place / "macro" / "series.parquet").num_rows == 1
    else:
        with duckdb.connect(str(place), read_only=True) as opened:
            assert opened.execute("select count(*) from macro.series").fetchone() == (1,)


def test_second_export_to_the_same_place_is_refused_while_the_first_runs(filled, tmp_path):
    beside = tmp_path / ".out.partial"
    beside.mkdir()

    with filelock.FileLock(beside / "lock"), pytest.raises(errors.ConfigError, match="another process"):
        export.export_parquet(filled.location, tmp_path / "out")

    assert beside.exists() and not (tmp_path / "out").exists()


def test_killed_export_leaves_no_half_file_and_the_next_clears_up(filled, tmp_path):
    script = (
        "import sys, pathlib; from warehouse import lake, export\n"
        "print('begin', flush=True)\n"
        "location, to = lake.LakeLocation(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])\n"
        "export.export_parquet(location, to)"
    )
    command = [sys.executable, "-c", script, str(filled.location.path), str(tmp_path / "out")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ) as process:
        process.stdout.readline()
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.partial/new/out/*/*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)

    left = [path.name for path in tmp_path.iterdir()]
    done = export.export_parquet(filled.location, tmp_path / "out", names=["macro.series"])

    assert left == [".out.partial"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert done.n_rows == {"macro.series": 1}


def test_dates_and_instants_keep_their_meaning(database):
    first = database.execute("select min(trade_date), min(retrieved_at) from market.daily").fetchone()

    assert first[0] == date(2023, 1, 2)
    assert first[1] == datetime(2023, 2, 1, 10, tzinfo=UTC)


def test_file_says_which_snapshot_it_is_of(filled, database):
    found = database.execute(
        "select distinct snapshot from main.daybook_export union all"
        " select count(*) from main.daybook_export where kind = 'table'"
    ).fetchall()

    assert found == [(filled.snapshot,), (len(TABLES),)]
    assert macro.SERIES.full_name in {
        name for (name,) in database.execute("select full_name from main.daybook_export").fetchall()
    }
    with lake.open_reader(filled.location, snapshot=filled.snapshot) as pinned:
        at = pinned.read_value("select max(snapshot_time) from ducklake_snapshots('lake')")
    assert database.execute("select max(snapshot_at) from main.daybook_export").fetchone() == (at,)


@pytest.mark.parametrize("to", ["parquet", "parquet/market", "catalogs/c.sqlite", "catalogs"])
def test_lake_that_lies_in_several_places_is_not_overwritten_even_by_force(tmp_path, to):
    (tmp_path / "catalogs").mkdir()
    location = lake.LakeLocation(
        tmp_path / "lock",
        catalog=f"sqlite:{tmp_path / 'catalogs' / 'c.sqlite'}",
        data_path=f"{tmp_path / 'parquet'}/",
        memory_limit="1GB",
    )
    many = "insert into macro.release select 'a' || i, '2024-01-01', '2024-02-01', '2024-02-01' from range(100) as t(i)"
    with lake.open_writer(location, holder="test") as opened:
        opened.commit(lambda connection: connection.execute(many), message="many")
    export_to = export.export_database if to.endswith(".sqlite") else export.export_parquet

    with pytest.raises(errors.ConfigError, match="Nothing was written"):
        export_to(location, tmp_path / to, force=True)

    with lake.open_reader(location) as reader:
        assert reader.read_value("select count(*) from macro.release") == 100
