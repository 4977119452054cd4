"""Ways in which FRED's figures go wrong without a word, each staged; numbers as in the list of known failures."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flows import clock, ingest_macro, settings, steps
from models import transforms
from warehouse import errors, load, panels, seeds, vintages
from warehouse.sources import fred, fred_api, http, market_macro, simulator, simulator_fred
from warehouse.sources.faults import Fault
from warehouse.sources.truth import MacroSeries, MarketTruth, Prints
from warehouse.tables import macro

KEY = "abcdefghijklmnopqrstuvwxyz012345"
START = datetime(2024, 6, 3, 20, 0, tzinfo=UTC)
QUICK = http.Policy(calls=1000, attempts=2, backoff_s=0.01, longest_wait_s=0.05)
N_DAYS = 4100
DAYS = tuple(date(2013, 1, 1) + timedelta(days=at) for at in range(N_DAYS))
# As many vintages as days, and each day's value revised once, three days later.
FIRST = Prints(np.array([each.toordinal() + 1 for each in DAYS]), tuple(f"{at % 9}.5" for at in range(N_DAYS)))
SECOND = Prints(np.array([each.toordinal() + 3 for each in DAYS]), tuple(f"{at % 9}.25" for at in range(N_DAYS)))
MONTHS = tuple(date(2014 + at // 12, at % 12 + 1, 1) for at in range(125))


def monthly(series_id):
    released = np.array([market_macro.release_day("M", 12, month).toordinal() for month in MONTHS])
    return MacroSeries(series_id, MONTHS, (Prints(released, tuple(f"{100 + at}.0" for at in range(len(MONTHS)))),))


@pytest.fixture(scope="module")
def vendors():
    series = {name: monthly(name) for name in seeds.fred_series()["series_id"].to_pylist()}
    series["DFF"] = MacroSeries("DFF", DAYS, (FIRST, SECOND))
    series["SP500"] = dataclasses.replace(MacroSeries("SP500", DAYS, (FIRST,)), rolling_years=10)
    truth = MarketTruth("macro", (START.date(),), (), {}, (), {}, series)
    with simulator.running(truth, clock=simulator.SimulatedClock(START), fred_key=KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def as_new(vendors):
    vendors.clock.set(START)
    vendors.faults.clear()


@pytest.fixture
def api(vendors):
    return fred_api.FredApiSource(
        KEY, base_url=vendors.fred_api_url, now=lambda: START, keep=lambda reply: None, policy=QUICK
    )


@pytest.fixture
def ingest(vendors, tmp_path):
    def run(instant=START, *, key=False):
        vendors.clock.set(instant)
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
        context = steps.open_context(options, "macro", instant.date())
        return ingest_macro.ingest_macro(context, steps.no_progress), context

    return run


@pytest.fixture
def pull(frame, stamp):
    def run(to, on, values, n, series_id="UNRATE", frequency="M"):
        rows = frame(
            macro.SERIES,
            "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
            f" is_rolling_window licence\n{series_id} t Percent {frequency} 2 6 g true false public",
        )
        load.load(to, [load.Load(macro.SERIES, rows, [load.Partition("all", on)], None)], stamp(n))
        table = pa.table(
            {
                "series_id": [series_id] * len(values),
                "observation_date": pa.array(list(values), pa.date32()),
                "value": pa.array(list(values.values()), pa.float64()),
            }
        )
        one = vintages.observation_load(table, [load.Partition(series_id, on)], pull_date=on)
        load.load(to, [one], stamp(n + 1))

    return run


def test_trap_08_value_revised_later_is_read_as_it_was_known(empty_lake, pull):
    period, first, second = date(2023, 8, 1), date(2023, 9, 8), date(2023, 10, 6)
    # Another month is known first, so that nothing is estimated.
    pull(empty_lake, date(2023, 8, 10), {date(2023, 7, 1): 3.5}, 1)
    pull(empty_lake, first, {date(2023, 7, 1): 3.5, period: 3.8}, 3)
    pull(empty_lake, second, {date(2023, 7, 1): 3.5, period: 3.7}, 5)

    seen = {
        day: empty_lake.read_value(
            "select value from macro_asof($day) where observation_date = $period", day=day, period=period
        )
        for day in (first - timedelta(days=1), first, second - timedelta(days=1), second)
    }

    assert list(seen.values()) == [None, 3.8, 3.8, 3.7]


def test_trap_10_month_never_published_leaves_a_hole_and_shifts_no_change(empty_lake, pull):
    values = {date(2025, month, 1): float(month) for month in range(1, 13)}
    values[date(2025, 10, 1)] = None
    pull(empty_lake, date(2026, 1, 20), values, 1)

    read = panels.read_macro_values(empty_lake, date(2026, 1, 20))
    levels = read["value"].to_numpy(zero_copy_only=False)
    changes = transforms.apply_transform(levels, 2)

    assert read["observation_date"].to_pylist() == list(values)
    # The change of November is not taken against September.
    assert np.isnan(changes[[9, 10]]).all() and changes[11] == 1.0


def test_trap_11_vintage_download_is_complete_when_the_cap_is_met(api, vendors):
    found = api.fetch_vintages("DFF")

    # A vintage on every day from the first release to the last revision, far above the 2,000 of one answer.
    assert len(found.dates) == N_DAYS + 2 > 2 * fred_api.MOST_VINTAGES
    rows = found.rows
    assert rows.num_rows == 2 * N_DAYS
    lengths = rows["realtime_end"].to_numpy() - rows["realtime_start"].to_numpy()
    # The first print of each day stood for two days and the second stands; no edge of a part shows.
    assert (lengths[::2] == np.timedelta64(1, "D")).all() and (lengths[1::2] > np.timedelta64(10**6, "D")).all()
    whole = dict(zip(rows["observation_date"].to_pylist()[1::2], rows["value"].to_pylist()[1::2], strict=True))
    lines = vendors.truth.macro["DFF"].csv_at(START.date()).decode().splitlines()[1:]
    assert whole == {date.fromisoformat(line[:10]): float(line[11:]) for line in lines}


def test_trap_13_header_that_fred_renamed_is_read_and_another_series_is_not(vendors):
    source = fred.FredSource(base_url=vendors.fred_url, now=lambda: START, keep=lambda reply: None, policy=QUICK)
    today = source.fetch_observations("UNRATE")

    vendors.faults.add(Fault("old_csv", "fredgraph.csv"))
    before = source.fetch_observations("UNRATE")

    assert before.equals(today)
    vendors.faults.add(Fault("wrong_series", "fredgraph.csv", series_id="PAYEMS"))
    with pytest.raises(errors.UnexpectedReply, match="PAYEMS"):
        source.fetch_observations("UNRATE")


def test_trap_16_both_clients_of_two_runs_start_no_more_than_two_calls_a_second(vendors, tmp_path):
    options = settings.read_settings(
        home=tmp_path / "home",
        clock_url=vendors.clock_url,
        fred_url=vendors.fred_url,
        fred_api_url=vendors.fred_api_url,
        fred_api_key=KEY,
    )
    runs = [steps.open_context(options, flow, START.date()) for flow in ("macro", "backfill")]
    begun = time.monotonic()

    for _ in range(2):
        for run in runs:
            run.fred.fetch_observations("UNRATE")
            run.fred_api.fetch_facts("UNRATE")

    # Eight calls, half a second apart; clients or runs that count for themselves would need half of that.
    assert time.monotonic() - begun >= 3.4


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("html_200"), "VendorUnavailable"),
        (Fault("wrong_series", series_id="PAYEMS"), "UnexpectedReply"),
        (Fault("truncate", cut_at=-2), "IncompleteReply"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_trap_19_page_of_html_another_series_or_a_cut_number_is_no_data(ingest, vendors, fault, reason):
    vendors.faults.add(dataclasses.replace(fault, endpoint="fredgraph.csv", partition="UNRATE"))

    entries, context = ingest()

    states = {row["partition"]: (row["state"], row["reason"]) for row in entries.to_pylist()}
    assert states["UNRATE"][0] == "failed" and reason in states["UNRATE"][1] and states["PAYEMS"][0] == "ok"
    with context.reader() as opened:
        assert opened.read_value("select count(*) from macro.observation where series_id = 'UNRATE'") == 0


def test_trap_20_quarterly_series_thins_out_no_monthly_one(empty_lake, pull):
    months = [date(2022 + at // 12, at % 12 + 1, 1) for at in range(24)]
    pull(empty_lake, date(2024, 3, 1), {month: 1.0 + at for at, month in enumerate(months)}, 1)
    quarters = {month: 100.0 + at for at, month in enumerate(months[::3])}
    pull(empty_lake, date(2024, 3, 1), quarters, 3, series_id="GDPC1", frequency="Q")

    values = panels.read_macro_values(empty_lake, date(2024, 3, 1))
    panel, _ = panels.align_by_knowledge(values, date(2024, 3, 1), min_share=0.1)

    # An outer join and a dropna would leave eight rows, one a quarter.
    column = panel.data[:, panel.names.index("UNRATE")]
    assert np.isfinite(column).sum() >= 23 and (np.diff(panel.dates.astype("datetime64[M]")).astype(int) == 1).all()


def test_trap_21_rolling_window_deletes_no_history(ingest):
    _, context = ingest()
    with context.reader() as opened:
        query = (
            "select min(observation_date) as first_date, count(*) as n from macro_asof($day) where series_id = 'SP500'"
        )
        before = opened.read(query, day=START.date()).to_pylist()[0]

    later = START + timedelta(days=40)
    for key in (False, True):
        _, context = ingest(later, key=key)
        with context.reader() as opened:
            after = opened.read(query, day=later.date()).to_pylist()[0]

        # The vendor now begins forty days later; the lake still begins where it did.
        assert after["first_date"] == before["first_date"] == date(2014, 6, 3)
        assert after["n"] >= before["n"]


def test_trap_22_oil_below_zero_is_kept_and_differenced_without_a_logarithm(empty_lake, pull):
    days = {date(2020, 4, 17): 18.31, date(2020, 4, 20): -36.98, date(2020, 4, 21): 8.91}
    pull(empty_lake, date(2020, 5, 5), days, 1, series_id="DCOILWTICO", frequency="D")

    stored = empty_lake.read("select value from macro_asof(date '2020-05-05') order by observation_date")
    series = seeds.fred_series()
    line = series.filter(pc.equal(series["series_id"], "DCOILWTICO")).to_pylist()[0]

    assert stored.column(0).to_pylist() == list(days.values())
    assert line["transform_code"] in (1, 2, 3)
    assert np.isfinite(transforms.apply_transform(stored.column(0).to_numpy(), line["transform_code"])[1:]).all()


def test_trap_27_day_is_us_centrals_when_the_host_is_already_a_day_ahead(vendors, api, ingest):
    # 03:00 UTC is already the 4th in London and Shanghai, and still the 3rd in Chicago.
    early = datetime(2024, 6, 4, 3, 0, tzinfo=UTC)
    assert clock.fred_date(early) == date(2024, 6, 3) and clock.known_date(early) == date(2024, 6, 4)
    vendors.clock.set(early)

    with pytest.raises(errors.UnexpectedReply, match="can not be after today's date"):
        api._fetch_span("UNRATE", "2024-06-04", "2024-06-04")
    entries, context = ingest(early, key=True)

    assert set(entries["state"].to_pylist()) == {"ok"}
    assert set(entries["through_date"].to_pylist()) == {date(2024, 6, 3)}
    with context.reader() as opened:
        newest = opened.read_value("select max(realtime_start) from macro.observation")
    assert newest <= date(2024, 6, 3)
    assert simulator_fred.CENTRAL.key == "America/Chicago"


def test_trap_19_history_without_one_value_is_refused_and_the_values_stay(ingest, vendors):
    """It was believed once, and for a day a series of twelve years had no past."""
    _, context = ingest()
    query = "select observation_date, value from macro.observation where series_id = 'UNRATE' order by all"
    with context.reader() as opened:
        before = opened.read(query)

    vendors.faults.add(Fault("null_column", "fredgraph.csv", "UNRATE", times=None))
    entries, context = ingest(START + timedelta(days=1))

    told = {row["partition"]: (row["state"], row["reason"]) for row in entries.to_pylist()}
    assert told["UNRATE"][0] == "partial" and "has a value" in told["UNRATE"][1]
    with context.reader() as opened:
        assert opened.read(query) == before


def test_trap_19_answer_cut_at_a_line_is_refused_as_often_as_it_comes(ingest, vendors):
    """Whole lines, so that nothing but what is known tells; refused once, it must not be believed the next time."""
    _, context = ingest()
    query = "select count(*) from macro.observation where series_id = $name and realtime_end = date '9999-12-31'"
    with context.reader() as opened:
        before = {name: opened.read_value(query, name=name) for name in ("UNRATE", "SP500")}

    # Three lines of a month, twenty of a day.
    vendors.faults.add(Fault("truncate", "fredgraph.csv", "UNRATE", times=None, cut_at=-3 * len("2024-04-01,223.0\n")))
    vendors.faults.add(Fault("truncate", "fredgraph.csv", "SP500", times=None, cut_at=-20 * len("2024-04-01,4.5\n")))
    for days in (1, 2, 3):
        entries, context = ingest(START + timedelta(days=days))

        told = {row["partition"]: (row["state"], row["reason"]) for row in entries.to_pylist()}
        for name in before:
            assert told[name][0] == "partial" and "are known" in told[name][1], (days, name, told[name])
    with context.reader() as opened:
        assert {name: opened.read_value(query, name=name) for name in before} == before
