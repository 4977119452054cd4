"""The simulated vendors speak the vendors' own formats, know nothing of tomorrow, and misbehave as planned."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from datetime import UTC, date, datetime, timedelta

import pytest

from warehouse.sources import faults, market, simulator

LAST = date(2026, 11, 20)
EVENING = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
TOKEN = "the-token"


@pytest.fixture(scope="module")
def vendor():
    truth = market.synthetic_market(n_symbols=24, n_sessions=40)
    with simulator.running(truth, clock=simulator.SimulatedClock(EVENING), token=TOKEN) as running:
        yield running


@pytest.fixture(autouse=True)
def as_new(vendor):
    vendor.clock.set(EVENING)
    vendor.faults.clear()


def ask(vendor, api_name, fields="", *, path=None, token=TOKEN, **params):
    """Tushare's protocol as its documents give it, without our client."""
    body = {"api_name": api_name, "token": token, "params": params, "fields": fields}
    address = f"{vendor.tushare_url}/{api_name}" if path is None else f"{vendor.url}{path}"
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(body).encode()), timeout=5) as reply:
        return json.load(reply)


def csv_of(vendor, series_id):
    with urllib.request.urlopen(f"{vendor.fred_url}/graph/fredgraph.csv?id={series_id}", timeout=5) as reply:
        return reply.read().decode().splitlines()


def control(vendor, path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{vendor.url}/_control/{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=5) as reply:
        return json.load(reply)


def items(answer):
    return [dict(zip(answer["data"]["fields"], row, strict=True)) for row in answer["data"]["items"]]


@pytest.mark.parametrize("path", [None, "/"], ids=["/dataapi/daily", "/"])
def test_tushare_answers_under_both_of_its_addresses(vendor, path):
    answer = ask(vendor, "daily", path=path, trade_date="20261120")

    assert (answer["code"], answer["msg"]) == (0, "")
    assert answer["data"]["fields"][:3] == ["ts_code", "trade_date", "open"]
    assert answer["data"]["has_more"] is False
    assert {row["trade_date"] for row in items(answer)} == {"20261120"}


def test_tushare_sends_the_fields_asked_for_in_that_order_and_drops_unknown_ones(vendor):
    answer = ask(vendor, "daily", "close,ts_code,nonsense", trade_date="20261120")

    assert answer["data"]["fields"] == ["close", "ts_code"]


def test_tushare_sends_hidden_columns_of_stock_basic_only_when_asked(vendor):
    assert "list_status" not in ask(vendor, "stock_basic")["data"]["fields"]
    assert "list_status" in ask(vendor, "stock_basic", "ts_code,list_status")["data"]["fields"]


def test_tushare_lists_those_still_listed_unless_asked_for_the_others(vendor):
    gone = {each.ts_code for each in vendor.truth.listings if each.delist_date and each.delist_date <= LAST}

    assert gone
    assert gone.isdisjoint(row["ts_code"] for row in items(ask(vendor, "stock_basic")))
    assert gone == {row["ts_code"] for row in items(ask(vendor, "stock_basic", list_status="D"))}


def test_tushare_pages_by_limit_and_offset_and_says_when_there_is_more(vendor):
    first = ask(vendor, "daily", trade_date="20261120", limit=10)
    rest = ask(vendor, "daily", trade_date="20261120", limit=6000, offset=10)

    assert first["data"]["has_more"] is True and len(first["data"]["items"]) == 10
    whole = ask(vendor, "daily", trade_date="20261120")
    assert first["data"]["items"] + rest["data"]["items"] == whole["data"]["items"]


REFUSED = {
    "wrong token": (("daily",), {"token": "another"}, 40101),
    "unknown endpoint": (("nonsense",), {}, -2001),
    "date that is none": (("daily",), {"trade_date": "2026-11-20"}, -2001),
    "index without its code": (("index_daily",), {}, -2001),
}


@pytest.mark.parametrize(("arguments", "params", "code"), REFUSED.values(), ids=REFUSED)
def test_tushare_refuses_with_http_200_and_a_code(vendor, arguments, params, code):
    answer = ask(vendor, *arguments, **params)

    assert answer["code"] == code and answer["data"] is None and answer["msg"]


def test_calendar_beyond_this_year_takes_every_weekday_for_open_until_december(vendor):
    """Holidays are announced late in the year before; until then the vendor's calendar is a guess."""
    new_year = {"start_date": "20270101", "end_date": "20270101"}

    guessed = items(ask(vendor, "trade_cal", **new_year))
    vendor.clock.set(datetime(2026, 12, 20, 10, 0, tzinfo=UTC))
    announced = items(ask(vendor, "trade_cal", **new_year))

    assert (guessed[0]["is_open"], announced[0]["is_open"]) == (1, 0)


@pytest.mark.parametrize("table", ["daily", "adj_factor", "daily_basic", "suspend_d"])
def test_nothing_of_a_later_day_is_shown(vendor, table):
    past = vendor.truth.session_dates[-10]
    vendor.clock.set(datetime(past.year, past.month, past.day, 10, 0, tzinfo=UTC))

    rows = items(ask(vendor, table, start_date="20200101", end_date="20301231"))

    assert rows or table == "suspend_d"
    assert max((row["trade_date"] for row in rows), default="0") <= f"{past:%Y%m%d}"


def test_fred_answers_whole_history_with_its_header_and_404_for_the_unknown(vendor):
    lines = csv_of(vendor, "UNRATE")

    assert lines[0] == "observation_date,UNRATE" and lines[1].startswith("1990-01-01,")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        csv_of(vendor, "NOSUCH")


def test_fred_shows_a_release_from_the_morning_of_its_day_in_its_own_zone(vendor):
    """A day of T10Y2Y is out on the next business day at 07:30 Central, 13:30 UTC in winter."""
    vendor.clock.set(datetime(2026, 11, 19, 13, 29, tzinfo=UTC))
    before = csv_of(vendor, "T10Y2Y")[-1]
    vendor.clock.set(datetime(2026, 11, 19, 13, 30, tzinfo=UTC))
    after = csv_of(vendor, "T10Y2Y")[-1]

    assert (before[:10], after[:10]) == ("2026-11-17", "2026-11-18")


def test_clock_is_read_and_set_by_other_processes(vendor):
    control(vendor, "clock", {"now": "2026-11-18T10:00:00+00:00"})

    assert vendor.clock.now() == datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
    assert control(vendor, "clock") == {"now": "2026-11-18T10:00:00+00:00"}


@pytest.mark.parametrize(
    ("path", "body"), [("clock", {"now": "noon"}), ("clock", {}), ("faults", [{"kind": "nonsense"}])]
)
def test_control_refuses_what_makes_no_sense(vendor, path, body):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        control(vendor, path, body)


def test_clock_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        simulator.SimulatedClock(datetime(2026, 11, 20))


def test_faults_are_planned_counted_and_lifted_over_http(vendor):
    control(vendor, "faults", [{"kind": "status", "endpoint": "daily", "status": 503, "times": 1}])

    with pytest.raises(urllib.error.HTTPError, match="503"):
        ask(vendor, "daily", trade_date="20261120")
    assert ask(vendor, "daily", trade_date="20261120")["code"] == 0
    assert control(vendor, "faults")[0]["n_hits"] == 1
    assert control(vendor, "faults", method="DELETE") == []


def test_fault_hits_its_endpoint_and_partition_only(vendor):
    vendor.faults.add(faults.Fault("empty", endpoint="daily", partition="20261120"))

    assert items(ask(vendor, "daily", trade_date="20261120")) == []
    assert items(ask(vendor, "daily", trade_date="20261119"))
    assert items(ask(vendor, "adj_factor", trade_date="20261120"))


def test_partial_market_keeps_its_share_and_the_same_rows_each_time(vendor):
    whole = items(ask(vendor, "daily", trade_date="20261120"))
    vendor.faults.add(faults.Fault("partial_market", endpoint="daily", share=0.5))

    one, two = (items(ask(vendor, "daily", trade_date="20261120")) for _ in range(2))

    assert one == two and len(one) == len(whole) // 2


def test_late_correction_changes_the_rows_named_and_no_others(vendor):
    before = {row["ts_code"]: row["close"] for row in items(ask(vendor, "daily", trade_date="20261120"))}
    code = next(iter(before))
    vendor.faults.add(faults.Fault("late_correction", endpoint="daily", ts_codes=(code,), column="close", factor=2.0))

    after = {row["ts_code"]: row["close"] for row in items(ask(vendor, "daily", trade_date="20261120"))}

    assert after == before | {code: pytest.approx(2 * before[code])}


def test_fault_with_a_chance_hits_about_that_share_and_the_same_requests_each_time():
    def hits():
        plan = faults.FaultPlan([faults.Fault("status", probability=0.3, seed=4)])
        return [bool(plan.match("daily", None)) for _ in range(1000)]

    assert hits() == hits()
    assert sum(hits()) == pytest.approx(300, abs=60)


def test_misspelt_fault_is_refused_at_once():
    with pytest.raises(ValueError, match="html_200"):
        faults.Fault("html200")


CUT = {
    "truncate": None,
    "short_length": http.client.IncompleteRead,
    "chunk_cut": http.client.IncompleteRead,
    "reset": ConnectionResetError,
}


@pytest.mark.parametrize(("kind", "error"), CUT.items(), ids=CUT)
def test_connection_breaks_as_planned(vendor, kind, error):
    whole = "\n".join(csv_of(vendor, "UNRATE")).encode()
    vendor.faults.add(faults.Fault(kind, endpoint="fredgraph.csv", cut_at=40))
    connection = http.client.HTTPConnection("127.0.0.1", int(vendor.url.rsplit(":", 1)[1]), timeout=5)
    try:
        if error is None:
            connection.request("GET", "/graph/fredgraph.csv?id=UNRATE")
            assert connection.getresponse().read() == whole[:40]
        else:
            with pytest.raises(error):
                connection.request("GET", "/graph/fredgraph.csv?id=UNRATE")
                connection.getresponse().read()
    finally:
        connection.close()


def test_two_simulators_run_side_by_side(vendor):
    clock = simulator.SimulatedClock(EVENING - timedelta(days=1))
    with simulator.running(vendor.truth, clock=clock) as other:
        assert other.url != vendor.url
        assert control(other, "clock") != control(vendor, "clock")
        assert ask(other, "daily", token="any", trade_date="20261119")["code"] == 0


def test_truth_is_told_with_its_answer_key(vendor):
    told = control(vendor, "truth")

    assert told["n_sessions"] == 40 and told["last_session"] == "2026-11-20"
    assert {each["kind"] for each in told["anomalies"]} == {each.kind for each in vendor.truth.anomalies}
