"""Table macros: what was known on a day, wherever the lake is in use."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from warehouse import extensions, lake, load, macros, sql, vintages
from warehouse.tables import macro

OBSERVATIONS = """series_id observation_date value realtime_start realtime_end is_realtime_estimated
A 2024-01-01 1.0 2024-02-10 2024-03-09 true
A 2024-01-01 1.1 2024-03-10 9999-12-31 false
A 2024-02-01 - 2024-03-10 9999-12-31 false
B 2024-01-01 7.0 2024-04-01 9999-12-31 false
"""
KNOWN = {
    "2024-02-09": [],
    "2024-02-10": [("A", date(2024, 1, 1), 1.0, True)],
    "2024-03-09": [("A", date(2024, 1, 1), 1.0, True)],
    "2024-03-10": [("A", date(2024, 1, 1), 1.1, False), ("A", date(2024, 2, 1), None, False)],
    "2024-04-01": [
        ("A", date(2024, 1, 1), 1.1, False),
        ("A", date(2024, 2, 1), None, False),
        ("B", date(2024, 1, 1), 7.0, False),
    ],
}
QUERY = "select series_id, observation_date, value, is_realtime_estimated from macro_asof($day) order by all"


@pytest.fixture
def filled_lake(empty_lake, frame, stamp):
    rows = frame(macro.OBSERVATION, OBSERVATIONS)
    partitions = [load.Partition(name, date(2024, 4, 1)) for name in "AB"]
    load.load(empty_lake, [load.Load(macro.OBSERVATION, rows, partitions, "series_id")], stamp(1))
    return empty_lake


def known(of, day):
    return [tuple(row.values()) for row in of.read(QUERY, day=day).to_pylist()]


@pytest.mark.parametrize("day", KNOWN)
def test_macro_asof_gives_the_value_published_that_day(filled_lake, day):
    assert known(filled_lake, date.fromisoformat(day)) == KNOWN[day]


def test_macro_asof_takes_a_day_as_text_too(filled_lake):
    assert known(filled_lake, "2024-02-10") == KNOWN["2024-02-10"]


def test_macro_asof_does_not_tell_when_a_value_was_to_be_revised(filled_lake):
    names = filled_lake.read("from macro_asof(date '2024-02-10')").column_names

    assert "realtime_end" not in names


def test_reader_and_a_bare_duckdb_have_the_macro(filled_lake, location):
    with lake.open_reader(location) as reader:
        of_reader = known(reader, "2024-03-10")
    with duckdb.connect() as bare:
        for name in ("ducklake", "sqlite_scanner"):
            extensions.load_extension(bare, name)
        bare.execute(f"attach 'ducklake:{location.catalog_address}' as desk (read_only)")
        bare.execute("use desk")
        of_bare = bare.execute(QUERY, {"day": "2024-03-10"}).fetchall()

    assert of_reader == of_bare == KNOWN["2024-03-10"]


def test_changed_macro_is_made_again_when_the_lake_is_opened(location):
    with lake.open_writer(location, holder="test") as opened:
        opened.commit(
            lambda connection: [
                connection.execute("create or replace macro main.macro_asof(as_of) as table select 1 as old"),
                connection.execute("update ops.property set value = 'other' where name = 'views_digest'"),
            ],
            message="an older macro",
        )

    with lake.open_writer(location, holder="test") as opened:
        assert opened.read("from macro_asof(date '2024-01-01')").column_names[0] == "series_id"


def test_every_macro_is_documented_and_installed(empty_lake):
    installed = empty_lake.read(
        "select distinct function_name from duckdb_functions() where function_type = 'table_macro'"
        " and database_name = 'lake' order by 1"
    )

    assert installed.column(0).to_pylist() == sql.names("macros") and len(macros.texts()) == installed.num_rows


def test_nothing_known_later_reaches_macro_asof(filled_lake):
    """Deleting everything known after a day leaves what the day knew."""
    days = [date.fromisoformat(day) for day in KNOWN]
    before = {day: known(filled_lake, day) for day in days}

    for day in reversed(days):
        filled_lake.commit(
            lambda connection, day=day: connection.execute(
                "delete from macro.observation where realtime_start > $day", {"day": day}
            ),
            message=f"forget what came after {day}",
        )
        assert known(filled_lake, day) == before[day]


def test_values_pulled_day_by_day_stand_as_of_each_day(empty_lake, frame, stamp):
    series = frame(
        macro.SERIES,
        "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
        " is_rolling_window licence\nA a Percent M 1 10 g true false public",
    )
    load.load(empty_lake, [load.Load(macro.SERIES, series, [load.Partition("all", date(2024, 1, 1))], None)], stamp(0))
    for n, (day, value) in enumerate({"2024-02-20": 3.5, "2024-03-15": 3.4}.items(), start=1):
        rows = frame(macro.OBSERVATION, f"series_id observation_date value\nA 2024-01-01 {value}")
        pulled = date.fromisoformat(day)
        one = vintages.observation_load(rows, [load.Partition("A", pulled)], pull_date=pulled)
        load.load(empty_lake, [one], stamp(n))

    found = {day: known(empty_lake, day) for day in ("2024-02-09", "2024-03-14", "2024-03-15")}

    january = date(2024, 1, 1)
    assert found == {
        "2024-02-09": [],
        "2024-03-14": [("A", january, 3.5, True)],
        "2024-03-15": [("A", january, 3.4, False)],
    }
