"""Whatever a vendor sends, each bad answer ends in a ledger state or a quarantine row, and the good rest is loaded."""

from __future__ import annotations

import json
from datetime import date

import pyarrow as pa
import pytest

from flows import ingest, settings, steps
from warehouse import checks, load
from warehouse import lake as lakes
from warehouse.tables import macro, market

DAY, DAY_BEFORE = date(2024, 1, 3), date(2024, 1, 2)
FIELDS = {
    table.name: [column.name for column in table.columns if not column.provenance]
    for table in (market.SUSPEND_D, market.DAILY, market.ADJ_FACTOR, market.DAILY_BASIC)
}
CODES = ("600000.SH", "600001.SH")


def bar(code, close=10.0, day="20240103"):
    return [code, day, close, close, close, close, 10.0, 0.0, 0.0, 100.0, 1000.0]


def basics(code, pe_ttm=12.0):
    return [code, "20240103", 10.0, 1.0, 1.0, pe_ttm, 1.0, 1.0, 1.0, 1.0]


def body(name, rows):
    return json.dumps({"code": 0, "msg": "", "data": {"fields": FIELDS[name], "items": rows}}).encode()


GOOD = {
    "suspend_d": body("suspend_d", []),
    "daily": body("daily", [bar(code) for code in CODES]),
    "adj_factor": body("adj_factor", [[code, "20240103", 1.0] for code in CODES]),
    "daily_basic": body("daily_basic", [basics(code) for code in CODES]),
}


class Desk:
    """A lake that knows the calendar and two securities, and the vendor it asks."""

    def __init__(self, home, scripted):
        self.scripted = scripted
        self.options = settings.read_settings(
            home=home,
            tushare_url=scripted.url,
            fred_url=scripted.url,
            tushare_token="planted",
            vendor_attempts=1,
            tushare_calls_per_minute=1_000_000,
            fred_calls_per_second=1000.0,
            # Whole histories are asked for beside the session, and these answers are told one by one.
            factor_histories_per_day=0,
            _env_file=None,
        )
        self.context = steps.open_context(self.options, "daily", DAY)

    def ingest(self, **answers):
        """The session of `DAY` with some answers instead of the good ones; the ledger's state of each table."""
        told = GOOD | answers
        self.scripted.will_answer(*(told[name] for name in ("suspend_d", "daily", "adj_factor", "daily_basic")))
        ingest.ingest_sessions(self.context, DAY, DAY, lambda what, done, total: None)
        rows = self.read("select dataset, state from ops.ledger where partition = '2024-01-03'")
        return {row["dataset"].removeprefix("market."): row["state"] for row in rows}

    def read(self, statement):
        with lakes.open_reader(self.options.lake) as opened:
            return opened.read(statement).to_pylist()

    def reason(self, dataset="market.daily"):
        return self.read(f"select reason from ops.ledger where dataset = '{dataset}' and partition = '2024-01-03'")[0][
            "reason"
        ]

    def quarantined(self):
        return [(row["rule"], row["row_json"]) for row in self.read("from ops.quarantine order by rule, row_hash")]

    def bars(self):
        return [row["ts_code"] for row in self.read("select ts_code from market.daily order by 1")]


WHOLE = {"suspend_d": "empty_confirmed", "daily": "ok", "adj_factor": "ok", "daily_basic": "ok"}


@pytest.fixture
def desk(tmp_path, scripted, stamp, frame):
    desk = Desk(tmp_path / "home", scripted)
    calendar = pa.table({"exchange": ["SSE"] * 2, "cal_date": [DAY_BEFORE, DAY], "is_open": [True, True]})
    stocks = frame(
        market.STOCK_BASIC,
        "ts_code name list_status list_date\n600000.SH A L 2000-01-04\n600001.SH B L 2000-01-04",
    )
    with desk.context.writer() as lake:
        loads = [
            load.Load(market.TRADE_CAL, calendar, [load.Partition("SSE", DAY)], None),
            load.Load(market.STOCK_BASIC, stocks, [load.Partition("all", DAY)], None),
        ]
        load.load(lake, loads, stamp(0))
    return desk


def test_session_is_whole_when_every_answer_is_good(desk):
    assert desk.ingest() == WHOLE
    assert desk.quarantined() == []


def test_body_that_is_no_json_fails_its_table_and_the_others_are_loaded(desk):
    states = desk.ingest(daily=b"<html>Access Denied</html>")

    assert states == WHOLE | {"daily": "failed"}
    assert "the answer is no JSON" in desk.reason()
    assert desk.read("select count(*) as n from market.adj_factor")[0]["n"] == 2


def test_header_for_another_series_fails_those_asked_for_and_keeps_the_one_it_names(desk):
    desk.scripted.will_answer(b"observation_date,UNRATE\n2023-12-01,3.7\n2024-01-01,3.7\n")

    ingest.ingest_macro(desk.context, lambda what, done, total: None)

    states = desk.read("select partition, state, reason from ops.ledger where dataset = 'macro.observation'")
    assert [row["partition"] for row in states if row["state"] == "ok"] == ["UNRATE"]
    others = [row for row in states if row["partition"] != "UNRATE"]
    assert others and all(row["state"] == "failed" and "UNRATE" in row["reason"] for row in others)
    assert desk.read(f"select distinct series_id from {macro.OBSERVATION.full_name}") == [{"series_id": "UNRATE"}]


def test_short_row_fails_its_table_and_the_others_are_loaded(desk):
    states = desk.ingest(daily=body("daily", [bar("600000.SH"), bar("600001.SH")[:-2]]))

    assert states == WHOLE | {"daily": "failed"}
    assert "a row does not have 11 values" in desk.reason()


def test_duplicated_key_is_set_aside_and_the_good_rest_is_loaded(desk):
    rows = [bar("600000.SH"), bar("600001.SH"), bar("600001.SH", 11.0)]

    states = desk.ingest(daily=body("daily", rows))

    assert states == WHOLE
    assert desk.bars() == ["600000.SH"]
    assert [rule for rule, _ in desk.quarantined()] == ["key_unique", "key_unique"]


def test_negative_price_is_set_aside_and_the_good_rest_is_loaded(desk):
    desk.ingest(daily=body("daily", [bar("600000.SH"), bar("600001.SH", -1.0)]))

    assert desk.bars() == ["600000.SH"]
    assert [rule for rule, _ in desk.quarantined()] == ["price_positive"]
    assert '"close":-1.0' in desk.quarantined()[0][1]


def test_bar_of_a_day_to_come_never_enters_and_the_others_are_loaded(desk):
    """By session the vendor is asked for one day, and an answer that holds another is not what was asked for."""
    states = desk.ingest(daily=body("daily", [bar("600000.SH"), bar("600001.SH", day="20991231")]))

    assert states == WHOLE | {"daily": "failed"}
    assert "the answer holds trade_date 2099-12-31" in desk.reason()
    assert desk.bars() == []


def test_row_of_a_day_to_come_is_set_aside_where_a_span_was_asked_for(empty_lake, frame, stamp):
    rows = frame(
        market.INDEX_DAILY,
        "ts_code trade_date open high low close pre_close vol\n"
        "000300.SH 2024-01-03 1 1 1 1 1 1\n000300.SH 2099-12-31 1 1 1 1 1 1",
    )
    one = load.Load(market.INDEX_DAILY, rows, [load.Partition("000300.SH", DAY, 1)], "ts_code")

    entry = load.load(empty_lake, [one], stamp(0)).to_pylist()[0]

    assert (entry["state"], entry["n_quarantined"]) == ("ok", 1)
    assert empty_lake.read("select rule from ops.quarantine").to_pylist() == [{"rule": "not_in_future"}]
    assert empty_lake.read_value("select max(trade_date) from market.index_daily") == DAY


def test_needed_column_that_became_all_null_fails_its_table_with_every_row_kept_aside(desk):
    rows = [[code, "20240103", None] for code in CODES]

    states = desk.ingest(adj_factor=body("adj_factor", rows))

    assert states == WHOLE | {"adj_factor": "failed"}
    assert desk.reason("market.adj_factor") == "every row that came was set aside"
    assert [rule for rule, _ in desk.quarantined()] == ["not_null", "not_null"]


def test_column_that_may_be_missing_and_became_all_null_is_loaded_and_a_finding(desk, frame, stamp):
    """The vendor may have nothing to say (no valuation was published on 2023-12-11): the rest of the row is good."""
    many = [f"{600000 + number}.SH" for number in range(12)]
    lines = "\n".join(f"{code} 2024-01-02 10 12" for code in many)
    before = frame(market.DAILY_BASIC, f"ts_code trade_date close pe_ttm\n{lines}")
    with desk.context.writer() as lake:
        one = load.Load(market.DAILY_BASIC, before, [load.Partition("2024-01-02", DAY_BEFORE)], "trade_date")
        load.load(lake, [one], stamp(1))

    states = desk.ingest(daily_basic=body("daily_basic", [basics(code, None) for code in many]))

    assert states == WHOLE
    with desk.context.reader() as lake:
        found = [row for row in checks.find(lake, DAY).to_pylist() if row["rule"] == "null_column"]
    assert [(row["subject"], row["subject_date"]) for row in found] == [("market.daily_basic.pe_ttm", DAY)]


def test_column_that_changed_type_fails_its_table_and_the_others_are_loaded(desk):
    states = desk.ingest(daily=body("daily", [bar("600000.SH", "ten"), bar("600001.SH", "ten")]))

    assert states == WHOLE | {"daily": "failed"}
    assert "cannot be read as DOUBLE" in desk.reason()


def test_table_that_failed_is_whole_once_the_answer_is_good(desk):
    desk.ingest(daily=b"<html>")
    desk.scripted.will_answer(GOOD["daily"])

    ingest.ingest_sessions(desk.context, DAY, DAY, lambda what, done, total: None)

    assert desk.bars() == list(CODES)
    assert len(desk.scripted.asked) == 1
