"""Tushare's answers become whole tables in the contract's types, or an error that says why; the token stays secret."""

from __future__ import annotations

import copy
import json
import logging
import math
from datetime import UTC, date, datetime, timedelta

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import errors
from warehouse.sources import faults, http, market, simulator, tushare, tushare_reply
from warehouse.tables import market as tables

DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
TOKEN = "planted-token-4711"
QUICK = http.Policy(calls=100_000, attempts=2, backoff_s=0.01, longest_wait_s=0.05, read_timeout_s=0.5)
FIELDS = ("ts_code", "trade_date", "adj_factor")


@pytest.fixture
def kept():
    return []


@pytest.fixture
def source(scripted, kept):
    return tushare.TushareSource(TOKEN, base_url=scripted.url, now=lambda: NOW, keep=kept.append, policy=QUICK)


def answer(items, fields=FIELDS, **rest):
    data = {"fields": list(fields), "items": items} | rest
    return json.dumps({"request_id": "r", "code": 0, "msg": "", "data": data}).encode()


def refusal(code, words):
    return json.dumps({"request_id": "r", "code": code, "msg": words, "data": None}, ensure_ascii=False).encode()


ROW = ["600000.SH", "20261120", 1.5]
GOOD = answer([ROW])


def test_rows_come_in_the_types_of_the_contract(scripted, source):
    scripted.will_answer(GOOD)

    rows = source.fetch_adj_factor(DAY)

    assert rows.to_pylist() == [{"ts_code": "600000.SH", "trade_date": DAY, "adj_factor": 1.5}]
    asked = json.loads(scripted.asked[0][1])
    assert scripted.asked[0][0] == "/adj_factor"
    assert asked["api_name"] == "adj_factor" and asked["params"] == {"trade_date": "20261120"}
    assert asked["fields"] == "ts_code,trade_date,adj_factor"


def test_columns_are_taken_by_name_when_the_vendor_orders_them_otherwise(scripted, source):
    scripted.will_answer(answer([[1.5, "600000.SH", "20261120"]], fields=("adj_factor", "ts_code", "trade_date")))

    assert source.fetch_adj_factor(DAY).to_pylist()[0]["adj_factor"] == 1.5


@pytest.mark.parametrize("name", [["x"], {}, None, 5, "\ud800"], ids=repr)
def test_column_nobody_asked_for_is_left_out_whatever_its_name(scripted, source, name):
    scripted.will_answer(answer([[*ROW, 9]], fields=(*FIELDS, name)))

    assert source.fetch_adj_factor(DAY).column_names == list(FIELDS)


def test_null_and_nan_are_missing_values(scripted, source):
    scripted.will_answer(answer([["600000.SH", "20261120", None], ["600001.SH", "20261120", math.nan]]))

    assert source.fetch_adj_factor(DAY)["adj_factor"].to_pylist() == [None, None]


def test_empty_answer_is_a_table_without_rows_for_the_ledger_to_judge(scripted, source):
    scripted.will_answer(answer([]))

    rows = source.fetch_adj_factor(DAY)

    assert rows.num_rows == 0 and rows.column_names == list(FIELDS)


RATE = "抱歉，您每分钟最多访问该接口50次，权限的具体详情访问：https://tushare.pro/document/1?doc_id=108。"
REFUSED = {
    "limit per minute": (refusal(40203, RATE), errors.RateLimited),
    "limit per day": (refusal(40203, "抱歉，您每天最多访问该接口20次"), errors.RateLimited),
    "frequency": (refusal(-2001, "频率超限(5次/分钟)"), errors.RateLimited),
    "permission": (refusal(40203, "抱歉，您没有接口访问权限"), errors.NotPermitted),
    "points": (refusal(2002, "积分不足"), errors.NotPermitted),
    "too many hosts": (refusal(-2001, "您的IP数量超限，最大数量为2个！"), errors.NotPermitted),
    "wrong token": (refusal(40101, "您的token不对，请确认。"), errors.BadCredentials),
    "unknown endpoint": (refusal(-2001, "请指定正确的接口名。"), errors.UnexpectedReply),
    "code without words": (refusal(-1, ""), errors.UnexpectedReply),
    "code that is no text": (b'{"code": "\\ud800", "msg": "\\ud800"}', errors.UnexpectedReply),
    "HTML with 200": (b"<html><body>Access Denied</body></html>", errors.VendorUnavailable),
    "nothing": (b"", errors.VendorUnavailable),
    "cut JSON": (GOOD[:-5], errors.IncompleteReply),
    "bytes that are no text": (GOOD.replace(b"600000", b"\xff00000"), errors.IncompleteReply),
    "list": (b"[]", errors.UnexpectedReply),
    "no code": (b'{"data": {"fields": [], "items": []}}', errors.UnexpectedReply),
    "no data": (b'{"code": 0, "data": null}', errors.UnexpectedReply),
    "more to come": (answer([ROW], has_more=True), errors.RowCapReached),
    "row too short": (answer([["600000.SH", "20261120"]]), errors.UnexpectedReply),
    "row too long": (answer([[*ROW, 1]]), errors.UnexpectedReply),
    "column missing": (answer([["600000.SH", "20261120"]], fields=FIELDS[:2]), errors.UnexpectedReply),
    "column twice": (answer([[*ROW, 2]], fields=(*FIELDS, "adj_factor")), errors.UnexpectedReply),
    "another day": (answer([["600000.SH", "20261119", 1.5]]), errors.UnexpectedReply),
    "day that is none": (answer([["600000.SH", "20261199", 1.5]]), errors.UnexpectedReply),
    "word for a number": (answer([["600000.SH", "20261120", "n/a"]]), errors.UnexpectedReply),
    "number as a programmer writes it": (answer([["600000.SH", "20261120", "1_000"]]), errors.UnexpectedReply),
    "truth for a number": (answer([["600000.SH", "20261120", True]]), errors.UnexpectedReply),
    "infinity": (answer([["600000.SH", "20261120", 1e999]]), errors.UnexpectedReply),
    "number for a code": (answer([[600000, "20261120", 1.5]]), errors.UnexpectedReply),
}


@pytest.mark.parametrize(("body", "error"), REFUSED.values(), ids=REFUSED)
def test_answer_that_is_not_the_table_is_refused_with_its_reason(scripted, source, kept, body, error):
    scripted.will_answer(body)

    with pytest.raises(error) as caught:
        source.fetch_adj_factor(DAY)
    assert type(caught.value) is error
    assert b"tushare adj_factor(trade_date=20261120)" in str(caught.value).encode()
    assert kept and kept[0].body == body.replace(TOKEN.encode(), b"***")


def test_day_as_long_as_the_row_cap_is_refused_as_cut_when_nobody_knows_the_codes(scripted, source):
    rows = [[f"{number:06}.SH", "20261120", 1.0] for number in range(tushare_reply.ROW_CAPS["adj_factor"])]
    scripted.will_answer(answer(rows))

    with pytest.raises(errors.RowCapReached, match="6000 rows came and there are more") as caught:
        source.fetch_adj_factor(DAY)

    assert len(scripted.asked) == 1, "the same question would be cut again"
    assert len(caught.value.ts_codes) == 6000


def test_limit_that_the_vendor_tells_is_learned_once(scripted, source, caplog):
    said = "抱歉，您每分钟最多访问该接口2次，权限的具体详情访问：https://tushare.pro/document/1?doc_id=108。"
    refusal = (200, json.dumps({"code": 40203, "msg": said, "data": None}).encode(), {"Retry-After": "0"})
    scripted.will_answer(refusal, answer([ROW]))

    assert source.fetch_adj_factor(DAY).num_rows == 1
    assert "vendor=tushare endpoint=adj_factor calls=2 per_s=60" in caplog.text


LIMITS = {
    "a minute": (RATE, {}, 60.0),
    "an hour": ("抱歉，您每小时最多访问该接口1次", {}, 3600.0),
    "a day": ("抱歉，您每天最多访问该接口20次", {}, 86400.0),
    "a minute, after the number": ("访问接口(daily)频率超限(300次/分钟)", {}, 60.0),
    "no unit": ("抱歉，您访问该接口的频率超限", {}, 60.0),
    "what the header says": (RATE, {"Retry-After": "7"}, 7.0),
}


@pytest.mark.parametrize(("words", "headers", "seconds"), LIMITS.values(), ids=LIMITS)
def test_limit_waits_for_its_unit_of_time_unless_the_vendor_says_otherwise(scripted, source, words, headers, seconds):
    scripted.will_answer((200, refusal(40203, words), headers))

    with pytest.raises(errors.RateLimited) as caught:
        source.fetch_adj_factor(DAY)
    assert caught.value.retry_after_s == seconds
    assert len(scripted.asked) == 1


def test_stock_basic_asks_for_listed_delisted_and_paused(scripted, source):
    names = [column.name for column in tables.STOCK_BASIC.columns if not column.provenance]

    def of(code, status):
        held = {"ts_code": code, "list_status": status, "list_date": "20000101", "name": "n"}
        return answer([[held.get(name) for name in names]], fields=names)

    scripted.will_answer(of("600000.SH", "L"), of("600001.SH", "D"), answer([], fields=names))

    rows = source.fetch_stock_basic()

    assert rows["ts_code"].to_pylist() == ["600000.SH", "600001.SH"]
    asked = [json.loads(body)["params"]["list_status"] for _, body, _ in scripted.asked]
    assert asked == ["L", "D", "P"]


def test_stock_basic_without_one_listed_security_is_refused(scripted, source):
    names = [column.name for column in tables.STOCK_BASIC.columns if not column.provenance]
    scripted.will_answer(answer([], fields=names))

    with pytest.raises(errors.IncompleteReply, match="no security is listed"):
        source.fetch_stock_basic()


def test_index_without_its_exchange_is_refused_before_anything_is_asked(scripted, source):
    scripted.will_answer(GOOD)

    with pytest.raises(errors.UnexpectedReply, match=r"000300\.SH"):
        source.fetch_index_daily("000300", DAY, DAY)
    assert scripted.asked == []


def test_empty_token_is_refused_before_anything_is_asked():
    with pytest.raises(errors.BadCredentials, match="TUSHARE_TOKEN"):
        tushare.TushareSource("  ", now=lambda: NOW, keep=lambda reply: None)


def test_token_is_in_the_request_and_nowhere_else(scripted, source, kept, caplog):
    scripted.will_answer(refusal(40101, f"您的token {TOKEN} 不对"))
    caplog.set_level(logging.DEBUG)

    with pytest.raises(errors.BadCredentials) as caught:
        source.fetch_adj_factor(DAY)

    assert json.loads(scripted.asked[0][1])["token"] == TOKEN
    shown = [str(caught.value), repr(caught.value), repr(source), repr(vars(source)), caplog.text, repr(kept)]
    assert not [text for text in shown if TOKEN in text]
    assert TOKEN not in repr(copy.copy(source))


def test_token_with_a_line_end_is_sent_without_it_and_hidden_when_the_vendor_quotes_the_request(scripted, kept):
    """A token read from a file ends in a line end, which JSON escapes: the echo would differ from the secret."""
    source = tushare.TushareSource(f"{TOKEN}\n", base_url=scripted.url, now=lambda: NOW, keep=kept.append, policy=QUICK)
    scripted.will_answer(refusal(-1, json.dumps({"asked": TOKEN})))

    with pytest.raises(errors.VendorError) as caught:
        source.fetch_adj_factor(DAY)

    assert json.loads(scripted.asked[0][1])["token"] == TOKEN
    assert TOKEN not in str(caught.value) and TOKEN not in repr(kept)


def test_deep_copy_is_refused_without_posting_the_token(scripted, source):
    """The library's own client takes `__deepcopy__` for an endpoint, and posts the token there."""
    scripted.will_answer(GOOD)

    for made in (source, source._api):
        with pytest.raises(TypeError):
            copy.deepcopy(made)
    assert scripted.asked == []


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(10**20), 10**20) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["fields", "items", "x"]), inner),
    max_leaves=12,
)
bodies = (
    st.binary(max_size=120)
    | st.fixed_dictionaries({"code": st.sampled_from([0, "0", 40203, None, False]), "data": json_like}).map(
        lambda each: json.dumps(each).encode()
    )
    | st.lists(st.lists(json_like, min_size=3, max_size=3), max_size=3).map(answer)
    | st.tuples(json_like, json_like).map(lambda extra: answer([[*ROW, extra[0]]], fields=(*FIELDS, extra[1])))
)


@given(bodies)
@settings(max_examples=400)
def test_any_bytes_are_a_table_or_a_vendor_error(body):
    reply = http.Reply("tushare", "adj_factor", {}, 200, body, {}, NOW)
    try:
        rows = tushare_reply.table_from_frame(
            tushare_reply.read_frame(reply, FIELDS), tables.ADJ_FACTOR, "tushare adj_factor()"
        )
    except errors.VendorError:
        return

    assert rows.column_names == list(FIELDS)
    assert all(value is None or math.isfinite(value) for value in rows["adj_factor"].to_pylist())


@pytest.fixture(scope="module")
def vendor():
    truth = market.synthetic_market(n_symbols=30, n_sessions=30)
    with simulator.running(truth, clock=simulator.SimulatedClock(NOW), token=TOKEN) as running:
        yield running


@pytest.fixture
def simulated(vendor, kept):
    vendor.faults.clear()
    vendor.clock.set(NOW)
    return tushare.TushareSource(
        TOKEN, base_url=vendor.tushare_url, now=vendor.clock.now, keep=kept.append, policy=QUICK
    )


# What the client makes of each way in which a connection or an answer goes wrong.
OUTCOMES = {
    "bad_token": errors.BadCredentials,
    "chunk_cut": errors.IncompleteReply,
    "html_200": errors.VendorUnavailable,
    "no_permission": errors.NotPermitted,
    "rate_limit": errors.RateLimited,
    "reset": errors.VendorUnavailable,
    "row_cap": errors.RowCapReached,
    "short_length": errors.IncompleteReply,
    "status": errors.VendorUnavailable,
    "trickle": errors.VendorUnavailable,
    "truncate": errors.IncompleteReply,
    "wrong_series": errors.UnexpectedReply,
}


@pytest.mark.parametrize(("kind", "error"), OUTCOMES.items(), ids=OUTCOMES)
def test_trouble_on_the_line_has_its_own_error_and_passes_with_it(vendor, simulated, kind, error):
    seconds = 0.6 if kind == "trickle" else 0.01
    vendor.faults.replace([faults.Fault(kind, endpoint="daily", seconds=seconds, cap=10)])

    with pytest.raises(error):
        simulated.fetch_daily(DAY)


@pytest.mark.parametrize("kind", sorted(set(OUTCOMES) - {"bad_token", "no_permission", "row_cap", "wrong_series"}))
def test_trouble_that_passes_is_healed_by_the_second_try(vendor, simulated, kind):
    whole = simulated.fetch_daily(DAY)
    seconds = 0.6 if kind == "trickle" else 0.01
    vendor.faults.replace([faults.Fault(kind, endpoint="daily", seconds=seconds, cap=10, times=1)])

    assert simulated.fetch_daily(DAY).equals(whole)


@pytest.mark.parametrize("cap", [2, 7, 19])
def test_market_beyond_the_row_cap_is_whole_when_asked_for_by_codes(vendor, simulated, cap, monkeypatch):
    """The vendor cuts every answer at the cap, those to lists of codes too, down to single codes."""
    whole = simulated.fetch_daily(DAY)
    monkeypatch.setattr(tushare, "CODES_A_CALL", 8)
    vendor.faults.replace([faults.Fault("row_cap", endpoint="daily", cap=cap)])

    rows = simulated.fetch_daily(DAY, whole["ts_code"].to_pylist())

    assert rows.num_rows > cap
    assert rows.sort_by("ts_code").equals(whole.sort_by("ts_code"))


def test_security_known_from_the_cut_answer_alone_is_not_forgotten(vendor, simulated):
    whole = simulated.fetch_daily(DAY)
    known = whole["ts_code"].to_pylist()
    vendor.faults.replace([faults.Fault("row_cap", endpoint="daily", cap=len(known) - 1)])
    newest = known[0]

    rows = simulated.fetch_daily(DAY, [code for code in known if code != newest])

    assert newest in rows["ts_code"].to_pylist()


def test_index_history_beyond_the_row_cap_is_whole_when_halved(vendor, simulated):
    start = DAY - timedelta(days=60)
    whole = simulated.fetch_index_daily("000300.SH", start, DAY)
    vendor.faults.replace([faults.Fault("row_cap", endpoint="index_daily", cap=7)])

    rows = simulated.fetch_index_daily("000300.SH", start, DAY)

    assert rows.num_rows > 14
    assert rows.sort_by("trade_date").equals(whole.sort_by("trade_date"))


def test_listed_securities_beyond_the_row_cap_are_whole_when_asked_for_by_exchange(vendor, simulated):
    whole = simulated.fetch_stock_basic()
    listed = whole.filter(pc.equal(whole["list_status"], "L"))["ts_code"].to_pylist()
    largest = max(sum(code.endswith(suffix) for code in listed) for suffix in ("SH", "SZ"))
    assert largest < len(listed)
    vendor.faults.replace([faults.Fault("row_cap", endpoint="stock_basic", cap=largest)])

    rows = simulated.fetch_stock_basic()

    assert rows.sort_by("ts_code").equals(whole.sort_by("ts_code"))


CALENDARS = {
    "day missing": ([(16, 1), (17, 1), (19, 1), (20, 1)], "days are missing after 2026-11-17"),
    "cut at the end": ([(16, 1), (17, 1), (18, 1), (19, 1)], "it ends on 2026-11-19"),
    "open and closed": ([(16, 1), (17, 1), (18, 1), (18, 0), (19, 1), (20, 1)], "a day is both open and closed"),
    "neither": ([(16, 1), (17, 1), (18, None), (19, 1), (20, 1)], "a day is both open and closed, or neither"),
}


@pytest.mark.parametrize(("days", "reason"), CALENDARS.values(), ids=CALENDARS)
def test_calendar_that_would_hide_a_session_is_refused(scripted, source, days, reason):
    fields = ("exchange", "cal_date", "is_open", "pretrade_date")
    scripted.will_answer(answer([["SSE", f"202611{day}", is_open, None] for day, is_open in days], fields=fields))

    with pytest.raises(errors.IncompleteReply, match=reason):
        source.fetch_trade_cal(date(2026, 11, 16), date(2026, 11, 20))


def test_calendar_may_end_with_the_year_before_the_next_is_announced(scripted, source):
    fields = ("exchange", "cal_date", "is_open", "pretrade_date")
    days = [["SSE", f"202612{day}", 1, None] for day in (30, 31)]
    scripted.will_answer(answer(days, fields=fields))

    assert source.fetch_trade_cal(date(2026, 12, 30), date(2027, 1, 20)).num_rows == 2


def test_row_of_a_day_that_was_not_asked_for_is_refused(scripted, source):
    scripted.will_answer(answer([ROW, ["600000.SH", "20261121", 1.5]]))

    with pytest.raises(errors.UnexpectedReply, match="holds 2026-11-21, asked was 2026-11-16 to 2026-11-20"):
        source.fetch_adj_factor_history("600000.SH", date(2026, 11, 16), DAY)


def test_every_fault_of_the_simulator_is_tried_here_or_changes_facts_only():
    facts_only = {
        "delay",
        "duplicate_rows",
        "empty",
        "late_correction",
        "null_column",
        "old_csv",
        "partial_market",
        "reversed_rows",
    }

    assert set(OUTCOMES) | facts_only == faults.KINDS


@pytest.mark.parametrize("status_at", ["15:59", "16:01"])
def test_bars_of_today_are_there_after_the_close_only(vendor, simulated, status_at):
    """16:00 in Shanghai is 08:00 UTC."""
    hour, minute = map(int, status_at.split(":"))
    vendor.clock.set(datetime(2026, 11, 20, hour - 8, minute, tzinfo=UTC))

    n_rows = simulated.fetch_daily(DAY).num_rows

    assert (n_rows > 0) == (status_at == "16:01")
