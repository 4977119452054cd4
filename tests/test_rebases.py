"""A vintage that moves a whole series is told apart from one that revises some of it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from warehouse import fredmd, load, panels, vintages, whole_vintages
from warehouse.tables import macro
from warehouse.whole_vintages import Vintage

FIRST_PULL, SECOND_PULL = date(2024, 3, 20), date(2024, 4, 20)
MONTHS = [date(2020 + n // 12, n % 12 + 1, 1) for n in range(48)]
# One series per kind of change: values before, and what the next pull says of them.
LEVEL = np.round(100.0 * np.exp(0.002 * np.arange(48)), 3)
NOISE = np.random.default_rng(1).normal(size=48)


@pytest.fixture
def pull(frame, stamp):
    def run(to, day, values, n, rolling=()):
        header = (
            "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
            " is_rolling_window licence"
        )
        lines = [f"{name} t index M 5 10 g true {str(name in rolling).lower()} public" for name in values]
        rows = frame(macro.SERIES, "\n".join([header, *lines]))
        load.load(to, [load.Load(macro.SERIES, rows, [load.Partition("all", day)], None)], stamp(n))
        flat = [(name, period, value) for name, by in values.items() for period, value in by.items()]
        names, periods, numbers = zip(*flat, strict=True)
        rows = pa.table({"series_id": names, "observation_date": periods, "value": pa.array(numbers, pa.float64())})
        partitions = [load.Partition(name, day) for name in values]
        load.load(to, [vintages.observation_load(rows, partitions, pull_date=day)], stamp(n + 1))

    return run


def history(values, months=MONTHS):
    return dict(zip(months, np.asarray(values).tolist(), strict=True))


def entries(of):
    rows = of.read("select series_id, vintage_date, kind, ratio, n_common, first_observation_date from macro.rebase")
    return {row["series_id"]: row for row in rows.to_pylist()}


CHANGES = {
    "a new base year": (LEVEL * 0.8, True),
    "another unit": (LEVEL / 1000, True),
    "a new base year and a revision of the last year": (np.r_[LEVEL[:36] * 0.8, LEVEL[36:] * 0.81], True),
    "a revision of the last year": (np.r_[LEVEL[:36], LEVEL[36:] * 1.02], False),
    "a revision of all values, each by its own": (LEVEL * np.exp(0.01 * NOISE), False),
    "a benchmark revision of a tenth of a percent": (LEVEL * 1.001, False),
    "nothing": (LEVEL, False),
}


@pytest.mark.parametrize(("after", "is_rebase"), CHANGES.values(), ids=CHANGES)
def test_whole_level_that_moves_by_one_ratio_is_a_rebase_and_a_revision_is_not(empty_lake, pull, after, is_rebase):
    pull(empty_lake, FIRST_PULL, {"A": history(LEVEL)}, 1)

    pull(empty_lake, SECOND_PULL, {"A": history(after)}, 3)

    found = entries(empty_lake)
    assert bool(found) is is_rebase
    if is_rebase:
        assert found["A"]["vintage_date"] == SECOND_PULL and found["A"]["n_common"] == 48
        assert found["A"]["ratio"] == pytest.approx(float(np.median(after / LEVEL)))


def test_same_pull_again_enters_no_second_rebase(empty_lake, pull):
    pull(empty_lake, FIRST_PULL, {"A": history(LEVEL)}, 1)
    pull(empty_lake, SECOND_PULL, {"A": history(LEVEL * 0.8)}, 3)
    before = empty_lake.snapshot

    pull(empty_lake, SECOND_PULL, {"A": history(LEVEL * 0.8)}, 5)

    assert len(entries(empty_lake)) == 1 and empty_lake.read_value("select count(*) from macro.rebase") == 1
    assert empty_lake.snapshot == before


def test_rebase_taken_back_the_same_day_is_no_entry(empty_lake, pull):
    pull(empty_lake, FIRST_PULL, {"A": history(LEVEL)}, 1)
    pull(empty_lake, SECOND_PULL, {"A": history(LEVEL * 0.8)}, 3)

    pull(empty_lake, SECOND_PULL, {"A": history(LEVEL)}, 5)

    assert entries(empty_lake) == {}


def test_values_as_of_a_day_are_of_one_base_on_either_side_of_a_rebase(empty_lake, pull):
    pull(empty_lake, FIRST_PULL, {"A": history(LEVEL)}, 1)
    pull(empty_lake, SECOND_PULL, {"A": history(LEVEL * 0.8)}, 3)

    for day, level in ((SECOND_PULL - timedelta(days=1), LEVEL), (SECOND_PULL, LEVEL * 0.8)):
        values = panels.read_macro_values(empty_lake, day)["value"].to_numpy()

        np.testing.assert_allclose(np.diff(np.log(values)), np.diff(np.log(level)), atol=1e-12)


def test_values_that_a_rolling_window_left_at_the_old_base_stay_but_do_not_reach_a_panel(empty_lake, pull):
    pull(empty_lake, FIRST_PULL, {"A": history(LEVEL)}, 1, rolling=("A",))

    pull(empty_lake, SECOND_PULL, {"A": history(LEVEL[24:] * 0.8, MONTHS[24:])}, 3, rolling=("A",))

    assert entries(empty_lake)["A"]["first_observation_date"] == MONTHS[24]
    assert empty_lake.read_value("select count(*) from macro_asof($day)", day=SECOND_PULL) == 48
    of_panel = panels.read_macro_values(empty_lake, SECOND_PULL)
    assert of_panel["observation_date"].to_pylist() == MONTHS[24:]
    # Before the rebase was known nothing is left out.
    assert panels.read_macro_values(empty_lake, SECOND_PULL - timedelta(days=1)).num_rows == 48


def test_whole_vintages_show_their_rebasings_too(empty_lake, stamp):
    months = np.array(MONTHS, "datetime64[D]")
    values = {"2024-01": LEVEL, "2024-02": LEVEL * 1.25, "2024-03": LEVEL * 1.25}
    chain = [Vintage(n, fredmd.known_date(n), ("FREDMD:A",), months, v[:, None]) for n, v in values.items()]

    whole_vintages.load_vintages(empty_lake, chain, stamp(1))

    found = entries(empty_lake)["FREDMD:A"]
    assert (found["vintage_date"], found["kind"]) == (date(2024, 2, 29), "level")
    assert found["ratio"] == pytest.approx(1.25)


def test_base_years_of_real_series_are_found_where_the_agencies_changed_them(empty_lake, stamp, vendor_data):
    """The Federal Reserve's G.17 moved to 1997, 2002, 2007, 2012 and 2017 = 100, BEA's to 2005, 2009, 2012, 2017.

    The collection has no vintage from October 2021 to March 2023, nor from May to November 2023.
    """
    wanted = ("FREDMD:INDPRO", "FREDMD:PCEPI")
    chain = []
    for one in fredmd.read_vintages(vendor_data / "fredmd" / "fred_md_all_vintages.parquet"):
        at = [one.series.index(name) for name in wanted if name in one.series]
        chain.append(
            Vintage(one.name, one.vintage_date, tuple(one.series[n] for n in at), one.dates, one.values[:, at])
        )

    whole_vintages.load_vintages(empty_lake, chain, stamp(1))

    rows = empty_lake.read("select series_id, vintage_date from macro.rebase order by all").to_pylist()
    found = {name: [f"{r['vintage_date']:%Y-%m}" for r in rows if r["series_id"] == name] for name in wanted}
    assert found == {
        "FREDMD:INDPRO": ["2002-12", "2005-11", "2010-06", "2015-07", "2021-05"],
        "FREDMD:PCEPI": ["2009-08", "2013-08", "2018-07", "2023-12"],
    }
