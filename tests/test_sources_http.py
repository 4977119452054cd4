"""Vendors are asked politely, retried with sense, given up in time, and every answer is captured first."""

from __future__ import annotations

import gzip
import socketserver
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import requests

from warehouse import errors
from warehouse.sources import http

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
QUICK = http.Policy(calls=1000, attempts=3, backoff_s=0.01, longest_wait_s=0.2, read_timeout_s=0.5, call_deadline_s=1.0)
SECRET = "planted-secret-0815"


@pytest.fixture
def kept():
    return []


@pytest.fixture
def call(scripted, kept):
    """Ask the scripted vendor once through a transport; a transport is made when none is given."""

    def run(policy=QUICK, transport=None, read=lambda reply: reply.body):
        chosen = transport or transport_of(scripted, kept, policy)
        return chosen.call(requests.Request("GET", f"{scripted.url}/x"), {"endpoint": "x", "day": "20261120"}, read)

    return run


def transport_of(scripted, kept, policy=QUICK, secret=""):
    return http.Transport("vendor", policy=policy, now=lambda: NOW, keep=kept.append, secret=secret)


class RawVendor:
    """A vendor on loopback that writes the bytes it is told to, in parts, and hangs up."""

    def __init__(self):
        self.parts, self.gap_s, self.n_asked = (b"",), 0.0, 0
        vendor = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline().strip():
                    pass
                vendor.n_asked += 1
                for part in vendor.parts:
                    try:
                        self.request.sendall(part)
                    except OSError:
                        return
                    time.sleep(vendor.gap_s)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def will_write(self, *parts, gap_s=0.0):
        self.parts, self.gap_s = parts, gap_s


@pytest.fixture
def raw():
    vendor = RawVendor()
    thread = threading.Thread(target=vendor.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield vendor
    vendor.server.shutdown()
    thread.join()
    vendor.server.server_close()


def ask_raw(raw, kept, policy=QUICK):
    asked = requests.Request("GET", f"{raw.url}/x")
    return transport_of(raw, kept, policy).call(asked, {"endpoint": "x"}, lambda reply: reply.body)


RETRIED = {
    "500": ((500, b""), errors.VendorUnavailable),
    "503": ((503, b""), errors.VendorUnavailable),
    "408": ((408, b""), errors.VendorUnavailable),
    "423": ((423, b""), errors.VendorUnavailable),
    "429": ((429, b""), errors.RateLimited),
}
NOT_RETRIED = {
    "400": ((400, b""), errors.UnexpectedReply),
    "401": ((401, b""), errors.NotPermitted),
    "403": ((403, b""), errors.NotPermitted),
    "404": ((404, b""), errors.UnexpectedReply),
    "redirect elsewhere": ((307, b"", {"Location": "http://127.0.0.1:1/"}), errors.UnexpectedReply),
}


@pytest.mark.parametrize(("answer", "error"), RETRIED.values(), ids=RETRIED)
def test_call_is_tried_again_and_heals_when_the_status_may_pass(scripted, call, answer, error):
    scripted.will_answer(answer, b"data")

    assert call() == b"data"
    assert len(scripted.asked) == 2


@pytest.mark.parametrize(("answer", "error"), RETRIED.values(), ids=RETRIED)
def test_call_gives_up_after_its_attempts_when_the_status_stays(scripted, call, answer, error):
    scripted.will_answer(answer)

    with pytest.raises(error, match=r"vendor x\(day=20261120\)"):
        call()
    assert len(scripted.asked) == QUICK.attempts


@pytest.mark.parametrize(("answer", "error"), NOT_RETRIED.values(), ids=NOT_RETRIED)
def test_call_fails_at_once_when_asking_again_cannot_help(scripted, call, answer, error):
    scripted.will_answer(answer, b"data")

    with pytest.raises(error):
        call()
    assert len(scripted.asked) == 1


def test_wait_that_the_vendor_asks_for_is_kept(scripted, call):
    scripted.will_answer((429, b"", {"Retry-After": "0.1"}), b"data")

    assert call() == b"data"
    assert scripted.asked[1][2] - scripted.asked[0][2] >= 0.1


def test_call_is_given_up_at_once_when_the_vendor_asks_for_more_patience_than_there_is(scripted, call):
    scripted.will_answer((429, b"", {"Retry-After": "3600"}), b"data")

    with pytest.raises(errors.RateLimited) as caught:
        call()
    assert caught.value.retry_after_s == 3600
    assert len(scripted.asked) == 1


SAID = {
    "seconds": ("120", 120.0),
    "a date": ((NOW + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 90.0),
    "a date that is past": ((NOW - timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 0.0),
    "less than nothing": ("-5", 0.0),
    "no time": ("soon", None),
    "no date": ("Fri, 32 Foo 2026 10:00:00 GMT", None),
    "date without a zone": ("Fri, 20 Nov 2026 10:00:00 -0000", None),
}


@pytest.mark.parametrize(("text", "seconds"), SAID.values(), ids=SAID)
def test_seconds_to_wait_are_read_from_each_form_a_vendor_may_use(text, seconds):
    reply = http.Reply("vendor", "x", {}, 429, b"", {"retry-AFTER": text}, NOW)

    assert http.retry_after(reply) == seconds


def test_waits_between_tries_double(scripted, call):
    scripted.will_answer((500, b""))

    with pytest.raises(errors.VendorUnavailable):
        call(http.Policy(calls=1000, attempts=3, backoff_s=0.05))

    first, second, third = (at for _, _, at in scripted.asked)
    assert second - first >= 0.05 and third - second >= 0.1


def test_every_answer_is_kept_good_or_bad_before_it_is_judged(scripted, call, kept):
    scripted.will_answer((500, b"broken"), b"data")

    call()

    assert [(reply.status, reply.body) for reply in kept] == [(500, b"broken"), (200, b"data")]
    assert kept[0].params == {"day": "20261120"} and kept[0].retrieved_at == NOW
    assert len({reply.reply_id for reply in kept}) == 2


def test_vendor_is_given_up_after_failures_in_a_row_and_names_the_first_cause(scripted, kept):
    policy = http.Policy(calls=1000, attempts=1, backoff_s=0.01, breaker_failures=3)
    transport = transport_of(scripted, kept, policy)
    scripted.will_answer((500, b""), (503, b""))

    def ask():
        transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, lambda reply: reply)

    for _ in range(3):
        with pytest.raises(errors.VendorUnavailable):
            ask()
    with pytest.raises(errors.VendorUnavailable, match=r"given up for this run.*HTTP 500"):
        ask()
    assert len(scripted.asked) == 3


def test_success_between_failures_keeps_the_vendor(scripted, kept):
    transport = transport_of(scripted, kept, http.Policy(calls=1000, attempts=1, breaker_failures=2))
    scripted.will_answer((500, b""), b"", (500, b""), b"")

    outcomes = []
    for _ in range(4):
        try:
            transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, lambda reply: reply)
            outcomes.append("ok")
        except errors.VendorUnavailable:
            outcomes.append("failed")

    assert outcomes == ["failed", "ok", "failed", "ok"]


def test_dead_vendor_costs_its_budget_of_seconds_and_no_more(scripted, kept):
    transport = transport_of(
        scripted, kept, http.Policy(calls=1000, attempts=2, backoff_s=0.05, source_deadline_s=0.01)
    )
    scripted.will_answer((500, b""))

    for _ in range(5):
        with pytest.raises(errors.VendorUnavailable):
            transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, lambda reply: reply)

    assert len(scripted.asked) == 2


def test_refused_token_stops_every_later_call(scripted, kept):
    transport = transport_of(scripted, kept)
    scripted.will_answer(b"")

    def refuse(reply):
        raise errors.BadCredentials("the token is wrong")

    for _ in range(3):
        with pytest.raises(errors.BadCredentials, match="the token is wrong"):
            transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, refuse)

    assert len(scripted.asked) == 1


def test_refused_token_is_the_cause_named_even_after_other_failures(scripted, kept):
    transport = transport_of(scripted, kept, http.Policy(calls=1000, attempts=1))
    scripted.will_answer((500, b""), b"")

    def refuse(reply):
        raise errors.BadCredentials("the token is wrong")

    for expected in (errors.VendorUnavailable, errors.BadCredentials, errors.BadCredentials):
        with pytest.raises(expected):
            transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, refuse)

    assert len(scripted.asked) == 2


OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
BROKEN = {
    "shorter than its length": (OK + b"Content-Length: 9\r\n\r\ndata", errors.IncompleteReply),
    "chunk cut": (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata", errors.IncompleteReply),
    "chunk without a length": (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\ndata", errors.IncompleteReply),
    "chunk of negative length": (OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\ndata", errors.IncompleteReply),
    "not what it is packed as": (OK + b"Content-Encoding: gzip\r\n\r\ndata", errors.IncompleteReply),
    "two lengths": (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\ndata", errors.VendorUnavailable),
    "no HTTP": (b"data\r\n\r\n", errors.VendorUnavailable),
    "hung up": (b"", errors.VendorUnavailable),
}


@pytest.mark.parametrize(("answer", "error"), BROKEN.values(), ids=BROKEN)
def test_answer_broken_on_the_line_is_tried_again_and_never_used(raw, kept, answer, error):
    raw.will_write(answer)

    with pytest.raises(error, match="vendor x"):
        ask_raw(raw, kept)
    assert raw.n_asked == QUICK.attempts and kept == []


@pytest.mark.parametrize("framing", ["", "Content-Length: 60\r\n"], ids=["to the end", "with a length"])
def test_answer_that_trickles_is_given_up_at_its_deadline(raw, kept, framing):
    """Every wait is shorter than the read time-out, so only the deadline of the whole body can end it."""
    raw.will_write(OK + framing.encode() + b"\r\n", *[b"12345"] * 12, gap_s=0.1)
    begun = time.monotonic()

    with pytest.raises(errors.VendorUnavailable, match="no answer came"):
        ask_raw(raw, kept, http.Policy(calls=1000, attempts=1, read_timeout_s=0.5, call_deadline_s=0.3))
    assert time.monotonic() - begun < 0.9


def test_packed_answer_comes_whole_however_it_is_split(raw, kept):
    packed = gzip.compress(b"data" * 1000)
    raw.will_write(OK + b"Content-Encoding: gzip\r\n\r\n", packed[:5], packed[5:11], packed[11:], gap_s=0.01)

    assert ask_raw(raw, kept) == b"data" * 1000
    assert kept[0].body == b"data" * 1000


@pytest.mark.parametrize("location", ["http://[", "\xff", "http://[::1%]/"])
def test_redirect_that_cannot_be_read_is_an_answer_like_any_other(scripted, call, kept, location):
    scripted.will_answer((302, b"", {"Location": location}))

    with pytest.raises(errors.UnexpectedReply, match="HTTP 302"):
        call()
    assert kept[0].status == 302


def test_nobody_there_is_an_unavailable_vendor_without_the_secret_in_any_link_of_the_chain(kept):
    transport = http.Transport("vendor", policy=QUICK, now=lambda: NOW, keep=kept.append, secret=SECRET)
    request = requests.Request("POST", "http://127.0.0.1:1/x", json={"token": SECRET})

    with pytest.raises(errors.VendorUnavailable) as caught:
        transport.call(request, {"endpoint": "x"}, lambda reply: reply)

    exc = caught.value
    while exc is not None:
        assert SECRET not in f"{exc!r} {exc} {vars(exc)}"
        exc = exc.__cause__ or exc.__context__


def test_secret_that_the_vendor_echoes_is_replaced_before_it_is_kept(scripted, kept):
    transport = transport_of(scripted, kept, secret=SECRET)
    scripted.will_answer((200, f"your token is {SECRET}".encode(), {"X-Token": SECRET}))

    body = transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, lambda reply: reply.body)

    assert SECRET.encode() not in body and SECRET.encode() not in kept[0].body
    assert SECRET not in repr(transport) and SECRET not in repr(kept)


def test_pause_one_thread_was_told_of_holds_the_others_back(scripted, kept):
    transport = transport_of(scripted, kept, http.Policy(calls=1000, attempts=2, backoff_s=0.01))
    scripted.will_answer((429, b"", {"Retry-After": "0.3"}), b"data")
    bodies = []

    def ask():
        bodies.append(
            transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, lambda reply: reply.body)
        )

    told = threading.Thread(target=ask)
    told.start()
    while not kept:
        time.sleep(0.005)
    time.sleep(0.05)
    ask()
    told.join()

    assert bodies == [b"data", b"data"]
    refused, *later = (at for _, _, at in scripted.asked)
    assert len(later) == 2 and min(later) - refused >= 0.3


def test_refusals_of_single_names_do_not_give_the_vendor_up(scripted, kept):
    transport = transport_of(scripted, kept, http.Policy(calls=1000, attempts=1, breaker_failures=2))
    scripted.will_answer((404, b""), (404, b""), (404, b""), b"data")

    for _ in range(3):
        with pytest.raises(errors.UnexpectedReply):
            transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, lambda reply: reply)

    assert transport.call(requests.Request("GET", scripted.url), {"endpoint": "x"}, lambda reply: reply.body) == b"data"
