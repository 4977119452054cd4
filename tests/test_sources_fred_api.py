"""FRED's API gives whole vintages or an error that says why, whatever FRED does, and the key is nowhere."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import errors
from warehouse.sources import archive, fred, fred_api, http, market_macro, simulator, simulator_fred
from warehouse.sources.faults import Fault
from warehouse.sources.truth import NEVER, MacroSeries, MarketTruth, Prints

KEY = "abcdefghijklmnopqrstuvwxyz012345"
TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
QUICK = http.Policy(calls=1000, attempts=2, backoff_s=0.01, longest_wait_s=0.05)
PATIENT = http.Policy(calls=1000, attempts=2, backoff_s=0.01, longest_wait_s=5.0)


def day(text):
    return date.fromisoformat(text)


def prints(*published):
    """Prints from `{period: (release day, text)}`, one mapping a print."""
    periods = sorted({period for each in published for period in each})
    rows = []
    for each in published:
        released = [each[p][0].toordinal() if p in each else NEVER for p in periods]
        rows.append(Prints(np.array(released), tuple(each[p][1] if p in each else "" for p in periods)))
    return tuple(periods), tuple(rows)


JAN, FEB, MAR = day("2026-01-01"), day("2026-02-01"), day("2026-03-01")
PERIODS, PRINTS = prints(
    {JAN: (day("2026-02-06"), "100"), FEB: (day("2026-03-06"), "101"), MAR: (day("2026-04-03"), "")},
    {JAN: (day("2026-03-06"), "100.5"), MAR: (day("2026-05-01"), "-3.25")},
)
MONTHLY = MacroSeries("MONTHLY", PERIODS, PRINTS)
# By hand from the prints above.
SPELLS = [
    (JAN, 100.0, day("2026-02-06"), day("2026-03-05")),
    (JAN, 100.5, day("2026-03-06"), date.max),
    (FEB, 101.0, day("2026-03-06"), date.max),
    (MAR, None, day("2026-04-03"), day("2026-04-30")),
    (MAR, -3.25, day("2026-05-01"), date.max),
]


def daily(n_days, series_id="DAILY"):
    """A value a day, each published the day after and the whole history revised on the last."""
    days = tuple(day("2015-01-01") + timedelta(days=at) for at in range(n_days))
    numbers = np.array([each.toordinal() + 1 for each in days])
    first = Prints(numbers, tuple(f"{at % 7}.5" for at in range(n_days)))
    return MacroSeries(series_id, days, (first,))


SERIES = {
    "MONTHLY": MONTHLY,
    "DAILY": daily(4100),
    "UNARCHIVED": dataclasses.replace(MONTHLY, series_id="UNARCHIVED", has_vintages=False),
    "REBASED": market_macro.rebased(
        dataclasses.replace(MONTHLY, series_id="REBASED"), day("2026-06-01"), 2.0, "Index 2020=100"
    ),
}
TRUTH = MarketTruth("api", (TODAY,), (), {}, (), {}, SERIES)


@pytest.fixture(scope="module")
def vendors():
    with simulator.running(TRUTH, clock=simulator.SimulatedClock(NOW), fred_key=KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def well(vendors):
    """Every test begins with a vendor that behaves."""
    vendors.faults.clear()
    vendors.clock.set(NOW)


@pytest.fixture
def kept():
    return []


@pytest.fixture
def source(vendors, kept):
    return fred_api.FredApiSource(KEY, base_url=vendors.fred_api_url, now=lambda: NOW, keep=kept.append, policy=QUICK)


def rows_of(vintages):
    names = ("observation_date", "value", "realtime_start", "realtime_end")
    return [tuple(row[name] for name in names) for row in vintages.rows.to_pylist()]


def test_every_value_comes_with_the_days_on_which_it_was_the_published_one(source):
    found = source.fetch_vintages("MONTHLY")

    assert rows_of(found) == SPELLS
    assert found.dates == (
        day("2026-02-06"), day("2026-03-06"), day("2026-04-03"), day("2026-05-01"),
    )  # fmt: skip
    assert found.rows["series_id"].to_pylist() == ["MONTHLY"] * 5


def test_vintages_since_a_day_are_cut_at_it_and_leave_out_what_was_over(source):
    found = source.fetch_vintages("MONTHLY", since=day("2026-04-03"))

    cut = day("2026-04-03")
    assert rows_of(found) == [(p, v, max(s, cut), e) for p, v, s, e in SPELLS if e >= cut]
    assert found.dates == (day("2026-04-03"), day("2026-05-01"))


def test_vintages_beyond_the_cap_come_in_parts_that_join_without_a_seam(source, kept):
    found = source.fetch_vintages("DAILY")

    n = 4100
    assert len(found.dates) == n and found.rows.num_rows == n
    assert rows_of(found)[0] == (day("2015-01-01"), 0.5, day("2015-01-02"), date.max)
    assert set(found.rows["realtime_end"].to_pylist()) == {date.max}
    asked = [reply.params for reply in kept if reply.endpoint == "series/observations"]
    spans = [(one["realtime_start"], one["realtime_end"]) for one in asked]
    # 4,100 vintages in parts of at most 2,000; each begins the day after the one before it ended.
    assert len(spans) == 3 and spans[0][0] == "2015-01-02" and spans[-1][1] == "9999-12-31"
    assert all(day(a[1]) + timedelta(days=1) == day(b[0]) for a, b in itertools.pairwise(spans))


def test_simulated_vendor_refuses_more_vintages_than_the_cap_and_clips_at_the_edges(vendors):
    """What the client has to live with, asked for without it."""
    whole = {"series_id": "DAILY", "api_key": KEY, "file_type": "json"}
    url = f"{vendors.fred_api_url}/series/observations"

    refused = requests.get(url, {**whole, "realtime_start": "1776-07-04", "realtime_end": "9999-12-31"}, timeout=20)
    clipped = requests.get(
        url, {**whole, "series_id": "MONTHLY", "realtime_start": "2026-03-10", "realtime_end": "2026-04-10"}, timeout=20
    ).json()

    assert refused.status_code == 400
    assert "There are 4100 vintage dates" in refused.json()["error_message"]
    assert clipped["observations"][0] == {
        "realtime_start": "2026-03-10", "realtime_end": "2026-04-10", "date": "2026-01-01", "value": "100.5",
    }  # fmt: skip
    assert clipped["observations"][-1]["value"] == "." and clipped["count"] == 3


def test_pages_are_put_together_and_counted(source, monkeypatch):
    monkeypatch.setattr(fred_api, "MOST_ROWS", 2)
    monkeypatch.setattr(fred_api, "MOST_DATES", 3)

    assert rows_of(source.fetch_vintages("MONTHLY")) == SPELLS


def test_facts_are_those_of_the_day(source, vendors):
    def units():
        facts = {row["fact_name"]: row["value"] for row in source.fetch_facts("REBASED").to_pylist()}
        assert set(facts) == set(fred_api.FACTS) and facts["frequency"] == "Monthly"
        return facts["units"], facts["last_updated"]

    after = units()
    vendors.clock.set(simulator_fred.instant_of(day("2026-05-31")))
    before = units()

    # 2026-06-01 is in summer, five hours behind UTC.
    assert after == ("Index 2020=100", "2026-06-01 07:46:10-05")
    assert before == ("Index", "2026-05-01 07:46:10-05")


def test_series_without_an_archive_is_told_from_one_that_does_not_exist(source):
    with pytest.raises(errors.NotArchived, match=r"does not exist in ALFRED.*watched day by day"):
        source.fetch_vintages("UNARCHIVED")
    with pytest.raises(errors.UnexpectedReply, match=r"The series does not exist.*mend fred_series\.csv"):
        source.fetch_vintages("NOSUCH")


def test_wrong_key_is_bad_credentials_and_is_not_shown(vendors, kept):
    wrong = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz99"
    source = fred_api.FredApiSource(
        wrong, base_url=vendors.fred_api_url, now=lambda: NOW, keep=kept.append, policy=QUICK
    )

    with pytest.raises(errors.BadCredentials, match=r"not registered.*check FRED_API_KEY") as caught:
        source.fetch_vintages("MONTHLY")
    assert wrong not in str(caught.value) and wrong not in repr(source)


def test_key_is_in_no_log_message_reply_or_archive(source, vendors, kept, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    vendors.faults.add(Fault("status", "fred/series/vintagedates", status=500, times=1), Fault("reset", "fred/series"))

    source.fetch_vintages("MONTHLY")
    with pytest.raises(errors.VendorError) as caught:
        source.fetch_facts("MONTHLY")
    store = archive.Archive(tmp_path)
    for reply in kept:
        store.keep(reply)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.gz"))

    assert "GET /fred/series" in caplog.text and KEY not in caplog.text
    assert KEY not in str(caught.value) and KEY not in repr(caught.value.__context__)
    assert kept and all(KEY not in repr(reply) for reply in kept)
    assert KEY not in str(store.drain("load").to_pylist()) and KEY.encode() not in stored


MISBEHAVIOUR = {
    "423, locked": (Fault("status", status=423), errors.VendorUnavailable, "HTTP 423"),
    "500": (Fault("status", status=500), errors.VendorUnavailable, "HTTP 500"),
    "504": (Fault("status", status=504), errors.VendorUnavailable, "HTTP 504"),
    "403": (Fault("status", status=403), errors.NotPermitted, "HTTP 403"),
    "404": (Fault("status", status=404), errors.UnexpectedReply, "HTTP 404"),
    "HTML with 200": (Fault("html_200"), errors.VendorUnavailable, "no data"),
    "cut JSON": (Fault("truncate", cut_at=-20), errors.IncompleteReply, "no whole JSON"),
    "a length that is not kept": (Fault("short_length", cut_at=50), errors.IncompleteReply, "cut short"),
    "a reset": (Fault("reset"), errors.VendorUnavailable, "no answer came"),
    "fewer rows than counted": (Fault("row_cap", cap=2), errors.IncompleteReply, "2 of"),
    "no rows": (Fault("empty"), errors.IncompleteReply, "0 of"),
    "rows without one value": (Fault("null_column"), errors.IncompleteReply, "none of which has a value"),
    "rows twice": (Fault("duplicate_rows", cap=2), errors.IncompleteReply, "rows from 0 on came"),
    "a key it no longer knows": (Fault("bad_token"), errors.BadCredentials, "not registered"),
}


@pytest.mark.parametrize(("fault", "kind", "words"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_misbehaviour_is_refused_with_its_reason(vendors, source, fault, kind, words):
    vendors.faults.add(dataclasses.replace(fault, endpoint="fred/series/observations"))

    with pytest.raises(kind, match=words) as caught:
        source.fetch_vintages("MONTHLY")
    assert "MONTHLY" in str(caught.value)


@pytest.mark.parametrize(
    "fault", [Fault("status", status=503, times=1), Fault("html_200", times=1), Fault("reset", times=1)]
)
def test_passing_trouble_is_waited_out(vendors, source, fault):
    vendors.faults.add(dataclasses.replace(fault, endpoint="fred/series/observations"))

    assert rows_of(source.fetch_vintages("MONTHLY")) == SPELLS


def test_too_many_requests_wait_for_twenty_seconds_unless_fred_says_how_long():
    def refused(headers):
        reply = http.Reply("fred", "series", {"series_id": "A"}, 429, b"", headers, NOW)
        with pytest.raises(errors.RateLimited, match="too many requests") as caught:
            fred_api.refuse_answer(reply)
        return caught.value.retry_after_s

    assert refused({}) == 20.0
    assert refused({"Retry-After": "35"}) == 35.0


def test_error_in_xml_is_understood_too():
    words = b"Bad Request.  The value for variable api_key is not registered."
    body = b'<?xml version="1.0"?><error code="400" message="' + words + b'"/>'
    reply = http.Reply("fred", "series", {"series_id": "A"}, 400, body, {}, NOW)

    with pytest.raises(errors.BadCredentials, match="not registered"):
        fred_api.refuse_answer(reply)


def test_both_clients_of_fred_share_one_limit(vendors, kept, tmp_path):
    one_in_a_while = dataclasses.replace(PATIENT, calls=1, per_s=0.2)
    common = {"now": lambda: NOW, "keep": kept.append, "policy": one_in_a_while, "shared_limits": tmp_path / "fred"}
    plain = fred.FredSource(base_url=vendors.fred_url, **common)
    of_api = fred_api.FredApiSource(KEY, base_url=vendors.fred_api_url, **common)
    begun = datetime.now(UTC)

    plain.fetch_observations("MONTHLY")
    of_api.fetch_facts("MONTHLY")
    plain.fetch_observations("MONTHLY")
    of_api.fetch_facts("MONTHLY")

    assert datetime.now(UTC) - begun >= timedelta(seconds=0.6)


def table(*rows):
    periods, values, starts, ends = zip(*rows, strict=True)
    kinds = {"value": pa.float64()}
    columns = dict(zip(fred_api.COLUMNS, (periods, values, starts, ends), strict=True))
    return pa.table({name: pa.array(column, kinds.get(name, pa.date32())) for name, column in columns.items()})


def test_value_left_open_that_a_later_one_replaces_ends_where_that_begins():
    rows = table((JAN, 1.0, JAN, date.max), (JAN, 2.0, FEB, date.max))

    found = fred_api.joined(rows).to_pylist()

    assert [(row["value"], row["realtime_end"]) for row in found] == [(1.0, day("2026-01-31")), (2.0, date.max)]


def test_two_values_from_the_same_day_on_are_refused():
    with pytest.raises(errors.UnexpectedReply, match="two values for 2026-01-01"):
        fred_api.joined(table((JAN, 1.0, JAN, FEB), (JAN, 2.0, JAN, MAR)))


HISTORY = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([None, 1.0, 2.0])), min_size=1, max_size=8)


@given(history=HISTORY, edges=st.sets(st.integers(1, 300), max_size=6))
@settings(max_examples=200)
def test_history_cut_at_any_edges_is_joined_to_what_it_was(history, edges):
    """The oracle is the history before it was cut."""
    whole, start = [], day("2026-01-01")
    for n_days, value in history:
        end = start + timedelta(days=n_days - 1)
        if whole and whole[-1][1] == value:
            whole[-1] = (*whole[-1][:3], end)
        else:
            whole.append((JAN, value, start, end))
        start = end + timedelta(days=1)
    cuts = sorted({day("2026-01-01") + timedelta(days=at) for at in edges})
    pieces = []
    for period, value, first, last in whole:
        bounds = [first, *(cut for cut in cuts if first < cut <= last), last + timedelta(days=1)]
        pieces += [(period, value, a, b - timedelta(days=1)) for a, b in itertools.pairwise(bounds)]

    found = fred_api.joined(table(*pieces[::-1]))

    assert [tuple(row.values()) for row in found.to_pylist()] == whole


@given(
    st.binary(max_size=100)
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
        lambda value: json.dumps({"count": 1, "offset": 0, "observations": value, "realtime_start": "a"}).encode()
    )
)
@settings(max_examples=200)
def test_any_bytes_are_observations_or_a_vendor_error(body):
    reply = http.Reply("fred", "series/observations", {"series_id": "A"}, 200, body, {}, NOW)

    with pytest.raises(errors.VendorError, match="fred series/observations"):
        fred_api._observation_reader("2026-01-01", "9999-12-31", 0)(reply)
