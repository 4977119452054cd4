"""Whole vintages go into the lake and come out again, each exactly as published."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from warehouse import errors, fredmd, lake, load, whole_vintages
from warehouse.whole_vintages import Vintage

pytestmark = pytest.mark.exhaustive


JAN, FEB, MAR = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)
FILE = """sasdate,RPI,S&P 500
Transform:,5,2
1/1/2020,10,3.5
2/1/2020,,3.25

"""


def vintage(name, table, archive="FREDMD"):
    """A vintage from `{series: {period: value}}`; a period that only some series have is a blank in the others."""
    dates = sorted({period for values in table.values() for period in values})
    values = np.array([[table[name].get(period, np.nan) for name in table] for period in dates], float)
    series = tuple(f"{archive}:{each}" for each in table)
    return Vintage(name, fredmd.known_date(name), series, np.array(dates, "datetime64[D]"), values)


def as_of(of, day, archive="FREDMD"):
    rows = of.read(
        "select split_part(series_id, ':', 2), observation_date, value from macro_asof($day)"
        " where starts_with(series_id, $archive || ':') order by all",
        day=day,
        archive=archive,
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


def spans(of, archive):
    rows = of.read(
        "select split_part(series_id, ':', 2), observation_date, value, realtime_start, realtime_end"
        " from macro.archived_observation where starts_with(series_id, $archive || ':') order by all",
        archive=archive,
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


TABLES = {
    "2020-03": {"A": {JAN: 1.0, FEB: 2.0}, "B": {JAN: 5.0, FEB: 6.0}},
    "2020-04": {"A": {JAN: 1.0, FEB: 2.5, MAR: 3.0}},
    "2020-05": {"A": {JAN: 1.0, FEB: 2.5, MAR: 3.0}, "B": {JAN: 5.0, FEB: 6.0, MAR: 7.0}},
}
FIRST, REVISED, BACK = (vintage(name, table) for name, table in TABLES.items())


@pytest.fixture(scope="module")
def archive_lake(tmp_path_factory):
    """All published vintages, read and loaded once."""
    place = lake.LakeLocation(tmp_path_factory.mktemp("fredmd") / "lake", memory_limit="1GB", threads=1)
    with lake.open_writer(place, holder="test") as opened:
        yield opened


@pytest.fixture(scope="module")
def filled(archive_lake, vendor_data):
    stamp = load.Stamp("all", datetime(2026, 3, 1, tzinfo=UTC))
    path = vendor_data / "fredmd" / "fred_md_all_vintages.parquet"
    entries = whole_vintages.load_vintages(archive_lake, fredmd.read_vintages(path), stamp)
    assert entries.num_rows == 271
    return archive_lake


@pytest.fixture(scope="module")
def shared_lake(tmp_path_factory):
    """One lake for many examples, each in an archive of its own: making a lake is slow."""
    place = lake.LakeLocation(tmp_path_factory.mktemp("examples") / "lake", memory_limit="1GB", threads=1)
    with lake.open_writer(place, holder="test") as opened:
        yield opened, itertools.count()


@pytest.fixture(scope="module")
def published(vendor_data):
    """The same file as pandas reads it, by vintage."""
    rows = pd.read_parquet(vendor_data / "fredmd" / "fred_md_all_vintages.parquet")
    rows["sasdate"] = pd.to_datetime(rows["sasdate"])
    return {name: group.drop(columns="vintage").set_index("sasdate") for name, group in rows.groupby("vintage")}


def test_every_published_vintage_comes_back_cell_by_cell(filled, published):
    assert len(published) == 271
    for name, frame in published.items():
        rows = filled.read(
            "select series_id[8:] as series_id, observation_date, value from macro_asof($day) order by all",
            day=fredmd.known_date(name),
        )

        # A column blank throughout is a series the vintage did not have.
        expected = frame.dropna(axis="columns", how="all").sort_index(axis="columns")
        n_dates, n_series = expected.shape
        assert rows.num_rows == expected.size, name
        assert (
            rows["series_id"].take(pa.array(range(0, rows.num_rows, n_dates))).to_pylist() == expected.columns.tolist()
        ), name
        dates = rows["observation_date"].to_numpy().reshape(n_series, n_dates)
        assert (dates == expected.index.to_numpy().astype("datetime64[D]")).all(), name
        values = rows["value"].to_numpy(zero_copy_only=False).reshape(n_series, n_dates)
        np.testing.assert_array_equal(values.T, expected.to_numpy(), err_msg=name)


def test_payrolls_of_september_2008_read_as_they_were_revised(filled):
    known = {
        "2008-10-31": 137_318,
        "2008-11-30": 137_139,
        "2008-12-31": 137_020,
        "2009-10-31": 136_732,
        "2026-02-28": 136_760,
        # The day before a vintage is known, the one before it stands.
        "2008-11-29": 137_318,
    }
    for day, value in known.items():
        found = filled.read_value(
            "select value from macro_asof($day) where series_id = 'FREDMD:PAYEMS'"
            " and observation_date = date '2008-09-01'",
            day=date.fromisoformat(day),
        )

        assert found == value, day


def test_original_monthly_file_says_what_the_collection_says(tmp_path, published, vendor_data):
    (tmp_path / "2015-05.csv").write_bytes((vendor_data / "fredmd" / "fred_md_2015-05_original.csv").read_bytes())

    (one,) = fredmd.read_vintages(tmp_path / "2015-05.csv")

    found = pd.DataFrame(one.values, pd.DatetimeIndex(one.dates), [name.removeprefix("FREDMD:") for name in one.series])
    expected = published["2015-05"].dropna(axis="columns", how="all")[found.columns]
    pd.testing.assert_frame_equal(found, expected, check_names=False, check_freq=False, check_index_type=False)
    assert one.transform_codes["FREDMD:CPIAUCSL"] == 6


def test_monthly_file_is_read_with_its_codes_and_blanks(tmp_path):
    (tmp_path / "2020-03.csv").write_text(FILE)

    (one,) = fredmd.read_vintages(tmp_path)

    assert (one.name, one.vintage_date) == ("2020-03", date(2020, 3, 31))
    assert one.series == ("FREDMD:RPI", "FREDMD:S&P 500")
    assert one.dates.astype(str).tolist() == ["2020-01-01", "2020-02-01"]
    np.testing.assert_array_equal(one.values, [[10, 3.5], [np.nan, 3.25]])
    assert one.transform_codes == {"FREDMD:RPI": 5, "FREDMD:S&P 500": 2}


BAD_FILES = {
    "another header": ("date,RPI\n1/1/2020,1\n", "line 1: the header"),
    "a series twice": ("sasdate,RPI,RPI\n1/1/2020,1,2\n", "line 1: a series has no name"),
    "a short row": ("sasdate,RPI,X\n1/1/2020,1\n", "line 2: 2 fields, the header has 3"),
    "a word for a number": ("sasdate,RPI\n1/1/2020,one\n", "line 2: could not convert"),
    "a day that is none": ("sasdate,RPI\n2/30/2020,1\n", "line 2: '2/30/2020' is no date"),
    "a month twice": ("sasdate,RPI\n1/1/2020,1\n1/1/2020,2\n", "has a month twice"),
    "an infinite value": ("sasdate,RPI\n1/1/2020,inf\n", "infinite value"),
}


@pytest.mark.parametrize(("text", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_file_that_is_no_vintage_is_refused_with_its_line(tmp_path, text, words):
    (tmp_path / "2020-03.csv").write_text(text)

    with pytest.raises(errors.ContractViolation, match=words) as caught:
        list(fredmd.read_vintages(tmp_path))
    assert "2020-03" in str(caught.value) and "Nothing was stored" in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "notes.txt", "2020-13.csv"])
def test_place_without_a_vintage_is_refused(tmp_path, name):
    if name != "absent":
        (tmp_path / name).write_text(FILE)

    with pytest.raises(errors.ConfigError, match=r"does not exist|holds no vintage"):
        list(fredmd.read_vintages(tmp_path / name))


def test_cell_absent_from_the_next_vintage_is_closed_and_may_come_back(empty_lake, stamp):
    whole_vintages.load_vintages(empty_lake, [FIRST, REVISED, BACK], stamp(1))

    assert as_of(empty_lake, date(2020, 3, 31)) == [("A", JAN, 1.0), ("A", FEB, 2.0), ("B", JAN, 5.0), ("B", FEB, 6.0)]
    assert as_of(empty_lake, date(2020, 4, 29)) == as_of(empty_lake, date(2020, 3, 31))
    assert as_of(empty_lake, date(2020, 4, 30)) == [("A", JAN, 1.0), ("A", FEB, 2.5), ("A", MAR, 3.0)]
    assert ("B", MAR, 7.0) in as_of(empty_lake, date(2020, 5, 31))
    assert as_of(empty_lake, date(2020, 3, 30)) == []


def test_blank_is_told_from_a_series_that_is_not_there(empty_lake, stamp):
    gap = vintage("2020-03", {"A": {JAN: 1.0, FEB: 2.0}, "B": {FEB: 6.0}})

    whole_vintages.load_vintages(empty_lake, [gap], stamp(1))

    assert as_of(empty_lake, date(2020, 3, 31)) == [("A", JAN, 1.0), ("A", FEB, 2.0), ("B", JAN, None), ("B", FEB, 6.0)]


def test_vintages_loaded_in_any_order_give_the_same_spans(empty_lake, stamp):
    """Each order goes into an archive of its own."""
    loaded = []
    for number, order in enumerate(itertools.permutations(TABLES)):
        for name in order:
            one = vintage(name, TABLES[name], f"ORDER{number}")
            whole_vintages.load_vintages(empty_lake, [one], stamp(number))
        loaded.append(spans(empty_lake, f"ORDER{number}"))

    assert all(each == loaded[0] for each in loaded)
    # A: January once, February twice, March once; B: January and February twice, as it was away, March once.
    assert len(loaded[0]) == 9


def test_vintages_loaded_again_write_nothing(empty_lake, stamp):
    whole_vintages.load_vintages(empty_lake, [FIRST, REVISED], stamp(1))
    before = empty_lake.snapshot

    entries = whole_vintages.load_vintages(empty_lake, [REVISED, FIRST], stamp(2))

    assert empty_lake.snapshot == before and entries.num_rows == 0


def test_vintage_that_now_says_something_else_keeps_what_it_said(empty_lake, stamp):
    whole_vintages.load_vintages(empty_lake, [FIRST, REVISED, BACK], stamp(1))
    mended = vintage("2020-04", {"A": {JAN: 1.0, FEB: 2.25, MAR: 3.0}})

    whole_vintages.load_vintages(empty_lake, [mended], stamp(2))

    assert as_of(empty_lake, date(2020, 4, 30)) == [("A", JAN, 1.0), ("A", FEB, 2.25), ("A", MAR, 3.0)]
    assert ("A", FEB, 2.5) in as_of(empty_lake, date(2020, 5, 31))
    kept = empty_lake.read("select partition, old_value, new_value from ops.revision").to_pylist()
    assert kept == [{"partition": "FREDMD:2020-04", "old_value": "2.5", "new_value": "2.25"}]


def test_ledger_has_a_row_per_vintage_with_its_cells(empty_lake, stamp):
    entries = whole_vintages.load_vintages(empty_lake, [FIRST, REVISED], stamp(1)).to_pylist()

    assert [(row["partition"], row["state"], row["n_received"], row["through_date"]) for row in entries] == [
        ("FREDMD:2020-03", "ok", 4, date(2020, 3, 31)),
        ("FREDMD:2020-04", "ok", 3, date(2020, 4, 30)),
    ]


def test_vintages_of_two_archives_or_of_one_day_are_refused(empty_lake, stamp):
    other = Vintage("2020-04", date(2020, 4, 30), ("FREDQD:A",), FIRST.dates, FIRST.values[:, :1])

    with pytest.raises(errors.ContractViolation, match="belong to 2 archives"):
        whole_vintages.load_vintages(empty_lake, [FIRST, other], stamp(1))
    with pytest.raises(errors.ContractViolation, match="are both of 2020-03-31"):
        whole_vintages.load_vintages(empty_lake, [FIRST, FIRST], stamp(1))


CELLS = st.dictionaries(
    st.sampled_from("AB"),
    st.dictionaries(st.sampled_from([JAN, FEB]), st.sampled_from([1.0, 2.0]), min_size=1),
    min_size=1,
)


@settings(max_examples=10, phases=[Phase.generate])
@given(tables=st.lists(CELLS, min_size=4, max_size=4), order=st.permutations(range(4)), cut=st.integers(1, 3))
def test_each_vintage_is_read_back_whatever_they_say_and_however_they_come(shared_lake, stamp, tables, order, cut):
    """The oracle is the vintages themselves; two batches, so that one is fitted between known neighbours."""
    opened, numbers = shared_lake
    archive = f"EXAMPLE{next(numbers)}"
    vintages = [vintage(f"2020-{month + 1:02}", table, archive) for month, table in enumerate(tables)]

    whole_vintages.load_vintages(opened, [vintages[at] for at in order[:cut]], stamp(1))
    whole_vintages.load_vintages(opened, [vintages[at] for at in order[cut:]], stamp(2))

    for one, table in zip(vintages, tables, strict=True):
        periods = sorted({period for values in table.values() for period in values})
        expected = [(name, p, table[name].get(p)) for name in sorted(table) for p in periods]
        assert as_of(opened, one.vintage_date, archive) == expected
    held = spans(opened, archive)
    # A span ends only where something changes.
    assert not [(a, b) for a, b in itertools.pairwise(held) if a[:3] == b[:3] and b[3] == a[4] + timedelta(days=1)]
