"""With a key, FRED's own account of what was published when replaces estimates and late sightings, and says so."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from flows import ingest_macro, settings, steps
from warehouse import load, seeds, true_vintages, vintages
from warehouse.sources import market_macro, simulator, simulator_fred
from warehouse.sources.faults import Fault
from warehouse.sources.truth import NEVER, MacroSeries, MarketTruth, Prints
from warehouse.tables import macro

FAR = date(9999, 12, 31)
KEY = "abcdefghijklmnopqrstuvwxyz012345"


def day(text):
    return date.fromisoformat(text)


DEC, JAN, FEB, MAR = day("2023-12-01"), day("2024-01-01"), day("2024-02-01"), day("2024-03-01")
HEADER = (
    "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
    " is_rolling_window licence"
)
SERIES = f"""{HEADER}
A t Percent M 1 10 g true false public
ROLL t Index M 1 10 g true true public
"""
# The archive begins on 2024-02-09 and has December already; January appears later and is revised once.
TRUTH = [
    (DEC, 3.0, day("2024-02-09"), FAR),
    (JAN, 4.0, day("2024-02-20"), day("2024-03-07")),
    (JAN, 4.5, day("2024-03-08"), FAR),
    (FEB, 5.0, day("2024-03-08"), FAR),
]
DATES = (day("2024-02-09"), day("2024-02-20"), day("2024-03-08"))


@pytest.fixture
def watched(empty_lake, frame, stamp):
    rows = frame(macro.SERIES, SERIES)
    load.load(empty_lake, [load.Load(macro.SERIES, rows, [load.Partition("all", JAN)], None)], stamp(0))
    return empty_lake


@pytest.fixture
def pull(stamp):
    def run(to, on, values, n, series_id="A"):
        rows = pa.table(
            {
                "series_id": [series_id] * len(values),
                "observation_date": pa.array(list(values), pa.date32()),
                "value": pa.array(list(values.values()), pa.float64()),
            }
        )
        load.load(to, [vintages.observation_load(rows, [load.Partition(series_id, on)], pull_date=on)], stamp(n))

    return run


@pytest.fixture
def tell(stamp):
    """Load true vintages: of all, or those since a day, cut there as the API cuts them."""

    def run(to, truth, dates, n, since=None, series_id="A"):
        rows = [(p, v, max(s, since) if since else s, e) for p, v, s, e in truth if since is None or e >= since]
        columns = dict(
            zip(("observation_date", "value", "realtime_start", "realtime_end"), zip(*rows, strict=True), strict=True)
        )
        arrays = {k: pa.array(c, pa.float64() if k == "value" else pa.date32()) for k, c in columns.items()}
        table = pa.table({"series_id": [series_id] * len(rows), **arrays})
        wanted = tuple(each for each in dates if since is None or each >= since)
        window = true_vintages.Window(since or dates[0], since is None, wanted)
        partitions = [load.Partition(series_id, wanted[-1], asked_date=wanted[-1])]
        return load.load(to, [true_vintages.vintage_load(table, partitions, {series_id: window})], stamp(n))

    return run


def spans(of, series_id="A"):
    rows = of.read(
        "select observation_date, value, realtime_start, realtime_end, is_realtime_estimated from macro.observation"
        " where series_id = $series_id order by all",
        series_id=series_id,
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


# December was published before the archive began: from 2024-01-10 (ten days after its end) its first value stands in.
STANDING = [(DEC, 3.0, day("2024-01-10"), day("2024-02-08"), True), *((*each, False) for each in TRUTH)]


def test_true_vintages_replace_estimates_and_keep_them_as_revisions(watched, pull, tell):
    pull(watched, day("2024-03-20"), {DEC: 3.0, JAN: 4.5, FEB: 5.0}, 1)

    tell(watched, TRUTH, DATES, 2)

    assert spans(watched) == STANDING
    kept = watched.read("select row_key, column_name, old_value from ops.revision order by row_key").to_pylist()
    assert [row["column_name"] for row in kept] == ["*"] * 3
    assert json.loads(kept[1]["old_value"]) == {
        "value": 4.5, "realtime_start": "2024-02-10", "realtime_end": "9999-12-31", "is_realtime_estimated": True,
    }  # fmt: skip


def test_true_vintages_replace_what_was_seen_late(watched, pull, tell):
    pull(watched, day("2024-02-12"), {DEC: 3.0}, 1)
    pull(watched, day("2024-02-22"), {DEC: 3.0, JAN: 4.0}, 2)
    pull(watched, day("2024-03-12"), {DEC: 3.0, JAN: 4.5, FEB: 5.0}, 3)

    tell(watched, TRUTH, DATES, 4)

    assert spans(watched) == STANDING


def test_same_true_vintages_again_write_nothing(watched, pull, tell):
    pull(watched, day("2024-03-20"), {DEC: 3.0, JAN: 4.5, FEB: 5.0}, 1)
    tell(watched, TRUTH, DATES, 2)
    before, n_revisions = watched.snapshot, watched.read_value("select count(*) from ops.revision")

    tell(watched, TRUTH, DATES, 3)
    assert watched.snapshot == before

    # The ledger counts the rows of this answer; what stands is not touched.
    tell(watched, TRUTH, DATES, 4, since=DATES[-1])
    before = watched.snapshot
    tell(watched, TRUTH, DATES, 5, since=DATES[-1])
    assert watched.snapshot == before
    assert spans(watched) == STANDING
    assert watched.read_value("select count(*) from ops.revision") == n_revisions


def test_vintages_told_in_parts_give_what_they_give_at_once(watched, tell):
    early = [(p, v, s, e if e < day("2024-03-07") else FAR) for p, v, s, e in TRUTH if s < DATES[2]]
    tell(watched, early, DATES[:2], 1)
    assert spans(watched)[-1] == (JAN, 4.0, day("2024-02-20"), FAR, False)

    tell(watched, TRUTH, DATES, 2, since=DATES[1])

    assert spans(watched) == STANDING
    # Time went on, and nobody was wrong.
    assert watched.read_value("select count(*) from ops.revision") == 0
    known = watched.read("select vintage_date from macro.vintage order by 1").column(0).to_pylist()
    assert known == list(DATES) and true_vintages.read_known_through(watched) == {"A": DATES[-1]}


def test_macro_asof_gives_each_true_vintage(watched, pull, tell):
    pull(watched, day("2024-03-20"), {DEC: 3.0, JAN: 4.5, FEB: 5.0}, 1)
    tell(watched, TRUTH, DATES, 2)

    for vintage in DATES:
        found = watched.read("select observation_date, value from macro_asof($day) order by 1", day=vintage).to_pylist()
        expected = [(p, v) for p, v, s, e in TRUTH if s <= vintage <= e]
        assert [tuple(row.values()) for row in found] == expected


def test_value_fred_no_longer_mentions_stays(watched, pull, tell):
    old = day("2023-06-01")
    pull(watched, day("2024-03-20"), {old: 1.0, DEC: 3.0, JAN: 4.5, FEB: 5.0}, 1)

    tell(watched, TRUTH, DATES, 2)

    assert spans(watched)[0] == (old, 1.0, day("2023-07-10"), FAR, True)


def test_period_that_a_rolling_window_dropped_stays_open(watched, tell):
    """FRED shows ten years of the series; that an older value is gone is no statement about it."""
    truth = [(DEC, 3.0, day("2024-02-09"), day("2024-03-07")), *TRUTH[1:]]

    tell(watched, truth, DATES, 1, series_id="ROLL")

    assert (DEC, 3.0, day("2024-02-09"), FAR, False) in spans(watched, "ROLL")


def test_withdrawn_value_of_another_series_is_closed(watched, tell):
    truth = [(DEC, 3.0, day("2024-02-09"), day("2024-03-07")), *TRUTH[1:]]

    tell(watched, truth, DATES, 1)

    assert (DEC, 3.0, day("2024-02-09"), day("2024-03-07"), False) in spans(watched)


def test_pull_without_a_key_goes_on_from_true_vintages(watched, pull, tell):
    tell(watched, TRUTH, DATES, 1)

    pull(watched, day("2024-04-09"), {DEC: 3.0, JAN: 4.5, FEB: 5.5, MAR: 6.0}, 2)

    assert spans(watched)[-3:] == [
        (FEB, 5.0, day("2024-03-08"), day("2024-04-08"), False),
        (FEB, 5.5, day("2024-04-09"), FAR, False),
        (MAR, 6.0, day("2024-04-09"), FAR, False),
    ]


MONTHS = tuple(date(2014 + at // 12, at % 12 + 1, 1) for at in range(143))
RELEASED = [market_macro.release_day("M", 12, month) for month in MONTHS]
START = datetime(2024, 6, 3, 20, 0, tzinfo=UTC)


def two_prints(series_id):
    """A series whose every month is revised once, with the next month's release."""
    first = np.array([each.toordinal() for each in RELEASED])
    texts = [f"{100 + at / 10:.1f}" for at in range(len(MONTHS))]
    later = [f"{100.25 + at / 10:.2f}" for at in range(len(MONTHS))]
    return MacroSeries(series_id, MONTHS, (Prints(first, tuple(texts)), Prints(np.r_[first[1:], NEVER], tuple(later))))


@pytest.fixture
def vendors():
    names = seeds.fred_series()["series_id"].to_pylist()
    plain = {name: two_prints(name) for name in names}
    plain["GDP"] = dataclasses.replace(plain["GDP"], has_vintages=False)
    plain["INDPRO"] = market_macro.rebased(plain["INDPRO"], day("2024-06-20"), 0.8, "Index 2030=100")
    truth = MarketTruth("macro", (day("2024-06-03"),), (), {}, (), {}, plain)
    with simulator.running(truth, clock=simulator.SimulatedClock(START), fred_key=KEY) as running:
        yield running


@pytest.fixture
def run_on(vendors, tmp_path):
    """Ingest on a day, with or without the key; the clock goes on."""

    def run(on, *, key):
        vendors.clock.set(simulator_fred.instant_of(on) + timedelta(hours=5))
        options = settings.read_settings(
            home=tmp_path / "home",
            clock_url=vendors.clock_url,
            fred_url=vendors.fred_url,
            fred_api_url=vendors.fred_api_url,
            fred_api_key=KEY if key else None,
            fred_calls_per_second=1000.0,
            vendor_attempts=1,
            lake_memory_limit="1GB",
        )
        context = steps.open_context(options, "macro", on)
        return ingest_macro.ingest_macro(context, steps.no_progress), context

    return run


def truth_asof(series, on):
    """What FRED showed at the end of a day, by the other endpoint, whose bytes are written by other code."""
    lines = series.csv_at(on).decode().splitlines()[1:]
    return {day(line[:10]): float(line[11:]) for line in lines}


def test_key_that_arrives_later_brings_the_true_history_and_facts(vendors, run_on):
    start = START.date()
    run_on(start, key=False)

    entries, context = run_on(start, key=True)

    assert entries.num_rows == 48 and set(entries["state"].to_pylist()) == {"ok"}
    with context.reader() as opened:
        for on in (RELEASED[30], RELEASED[100], RELEASED[100] - timedelta(days=1), start):
            found = opened.read(
                "select observation_date, value from macro_asof($on) where series_id = 'UNRATE'", on=on
            ).to_pylist()
            expected = truth_asof(vendors.truth.macro["UNRATE"], on)
            assert {row["observation_date"]: row["value"] for row in found} == expected
        assert (
            opened.read_value(
                "select count(*) from macro.observation where is_realtime_estimated and series_id <> 'GDP'"
                " and realtime_end = date '9999-12-31' and series_id <> 'SP500'"
            )
            == 0
        )
        assert opened.read_value("select count(*) from ops.revision where column_name = '*'") > 47 * 100
        # FRED keeps no vintages of this one: it is still watched day by day.
        assert opened.read_value(
            "select bool_and(is_realtime_estimated) from macro.observation where series_id = 'GDP'"
        )
        assert opened.read_value("select count(*) from macro.series_fact where fact_name = 'units'") == 48

    before = snapshot_of(context)
    again, context = run_on(start, key=True)
    assert again.num_rows == 0 and rows_changed_since(context, before) == 0


def snapshot_of(context):
    with context.reader() as opened:
        return opened.read_value("select count(*) from macro.observation"), opened.read_value(
            "select count(*) from ops.revision"
        )


def rows_changed_since(context, before):
    return sum(abs(a - b) for a, b in zip(snapshot_of(context), before, strict=True))


@pytest.mark.exhaustive
def test_days_told_one_by_one_equal_all_at_once_and_a_rebase_shows(vendors, run_on, tmp_path):
    days = [START.date(), day("2024-06-13"), day("2024-06-20"), day("2024-07-15")]
    for on in days:
        _, context = run_on(on, key=True)
    query = "select * exclude (retrieved_at, load_id) from macro.observation order by all"
    with context.reader() as opened:
        step_by_step = opened.read(query).to_pylist()
        rebases = opened.read(
            "select series_id, vintage_date, kind, old_text, new_text from macro.rebase order by kind"
        ).to_pylist()
    (tmp_path / "home").rename(tmp_path / "before")

    _, context = run_on(days[-1], key=True)

    with context.reader() as opened:
        at_once = opened.read(query).to_pylist()
    for rows in (step_by_step, at_once):
        rows[:] = [row for row in rows if row["series_id"] != "GDP"]
    assert step_by_step == at_once
    assert [tuple(row.values()) for row in rebases] == [
        ("INDPRO", day("2024-06-20"), "level", None, None),
        ("INDPRO", day("2024-06-20"), "units", "Index", "Index 2030=100"),
    ]


def test_vintages_that_come_cut_leave_the_series_as_it_was_with_a_reason(vendors, run_on):
    start = START.date()
    run_on(start, key=True)
    vendors.faults.add(Fault("row_cap", "fred/series/observations", partition="UNRATE", cap=5))

    entries, context = run_on(day("2024-06-13"), key=True)

    states = {row["partition"]: (row["state"], row["reason"]) for row in entries.to_pylist()}
    assert states["UNRATE"][0] == "partial" and "IncompleteReply" in states["UNRATE"][1]
    assert states["PAYEMS"][0] == "ok"
    with context.reader() as opened:
        through = true_vintages.read_known_through(opened)
    assert through["UNRATE"] < through["PAYEMS"] == day("2024-06-12")
