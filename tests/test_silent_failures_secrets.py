"""Ways in which a token leaves or a request slips, 25 and 26 of the vendors' list; names of tests carry the number."""

from __future__ import annotations

import copy
import gzip
import inspect
import logging
import pickle
from datetime import UTC, date, datetime

import cloudpickle
import pytest

from flows import deployments, steps
from warehouse import errors
from warehouse.sources import http, tushare

TOKEN = "planted-token-0925-secret"
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
QUICK = http.Policy(calls=100_000, attempts=1, read_timeout_s=1.0)


@pytest.fixture(scope="module")
def day(truth30):
    return truth30.session_dates[16]


@pytest.fixture
def source(scripted):
    return tushare.TushareSource(TOKEN, base_url=scripted.url, now=lambda: NOW, keep=lambda reply: None, policy=QUICK)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_trap_25_token_does_not_follow_a_redirect(scripted, source, status):
    """307 and 308 post the body, and with it the token, to wherever they point."""
    scripted.will_answer((status, b"", {"Location": f"{scripted.url}/elsewhere"}))

    with pytest.raises(errors.UnexpectedReply, match=f"HTTP {status}"):
        source.fetch_daily(DAY)
    assert [path for path, _, _ in scripted.asked] == ["/daily"]


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps, cloudpickle.dumps])
def test_trap_25_client_cannot_be_carried_elsewhere(scripted, source, copied):
    """Prefect, Dask and multiprocessing pickle what they are handed; the library's client would post the token."""
    for carried in (source, source._api):
        with pytest.raises(TypeError, match="holds a secret"):
            copied(carried)
    assert scripted.asked == []


def test_trap_25_context_of_a_run_can_neither_be_pickled_nor_shows_the_token(open_desk, truth30, day):
    desk = open_desk(truth30, day, tushare_token=TOKEN)
    context = steps.open_context(desk.options, "daily", day)

    with pytest.raises(TypeError, match="hold secrets"):
        cloudpickle.dumps(context)
    assert TOKEN not in repr(context) + str(context) + repr(vars(context))


def test_trap_25_token_goes_to_no_proxy_and_to_no_file(scripted, monkeypatch, tmp_path):
    proxy = tmp_path / "home"
    proxy.mkdir()
    monkeypatch.setenv("HOME", str(proxy))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, scripted.url)
    monkeypatch.delenv("no_proxy", raising=False)
    scripted.will_answer(b"{}")

    # A port of the reserved block on loopback: nobody answers there, so only a proxy could have.
    away = tushare.TushareSource(
        TOKEN, base_url="http://127.0.0.1:9", now=lambda: NOW, keep=lambda reply: None, policy=QUICK
    )
    with pytest.raises(errors.VendorUnavailable):
        away.fetch_daily(DAY)

    assert scripted.asked == []
    assert list(proxy.rglob("*")) == []


def test_trap_25_no_flow_takes_a_secret_as_a_parameter():
    """Prefect stores parameters in clear."""
    offered = [deployments.daily, deployments.macro, deployments.refit, deployments.backfill, deployments.alerts]

    names = {name for flow in offered for name in inspect.signature(flow.fn).parameters}

    assert names <= {"as_of", "start", "end"}


def test_trap_25_token_is_in_no_file_and_no_log_after_a_run_that_was_refused(open_desk, truth30, day, caplog):
    caplog.set_level(logging.DEBUG)
    desk = open_desk(truth30, day, tushare_token=TOKEN)

    ran = desk.evening(day)

    found = [path for path in desk.options.root.rglob("*") if path.is_file() and TOKEN.encode() in readable(path)]
    assert ran.exit_code != 0
    assert found == []
    assert TOKEN not in caplog.text + ran.message


def readable(path):
    body = path.read_bytes()
    return gzip.decompress(body) if path.suffix == ".gz" else body


def test_trap_26_arguments_cannot_slip_and_a_misspelt_endpoint_is_no_request(scripted, source):
    """The first positional argument of pro.daily is `fields`; any attribute of the client is an endpoint."""
    scripted.will_answer(b"{}")

    with pytest.raises((TypeError, ValueError, errors.DaybookError)):
        source.fetch_daily("000001.SZ")
    for owner in (source, source._api):
        with pytest.raises(AttributeError):
            _ = owner.dailyy
    assert scripted.asked == []
