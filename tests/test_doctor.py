"""`daybook doctor` names what is wrong with a set-up before the night does; each is broken here for real."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import subprocess
import sys

import pytest
import tenacity

from flows import doctor, prefect_api, probes, settings, vendors
from warehouse import extensions, lake
from warehouse.sources import market, simulator

TOKEN, KEY = "planted-secret-4711", "abcdefghijklmnopqrstuvwxyz012345"


@pytest.fixture(scope="module")
def vendor():
    truth = market.synthetic_market(seed=3, n_symbols=20, n_sessions=21)
    clock = simulator.SimulatedClock(vendors.evening_of(truth.session_dates[-1]))
    with simulator.running(truth, clock=clock, token=TOKEN, fred_key=KEY) as running:
        yield running


@pytest.fixture
def options(vendor, tmp_path, free_port):
    """A function that gives the settings of an installation where all is well, but for what is overridden."""

    def make(**overrides):
        known = {
            "home": tmp_path / "home",
            "clock_url": vendor.clock_url,
            "fred_url": vendor.fred_url,
            "fred_api_url": vendor.fred_api_url,
            "tushare_url": vendor.tushare_url,
            "tushare_token": TOKEN,
            "fred_api_key": KEY,
            "prefect_port": free_port(),
            "reports_port": free_port(),
            "_env_file": None,
        }
        return settings.read_settings(**(known | overrides))

    return make


def wrong(facts):
    """What needs attention, by topic: how it is and what to do."""
    return {fact.topic: f"{fact.found} {fact.advice}" for fact in facts if fact.is_good is False}


def bad(options):
    """What the doctor finds wrong."""
    return wrong(doctor.examine(options))


def test_nothing_is_bad_where_all_is_well(options):
    assert bad(options()) == {}


def test_missing_keys_are_named_and_are_no_fault(options):
    found = {fact.topic: fact for fact in doctor.examine(options(tushare_token=None, fred_api_key=None))}

    assert found["TUSHARE_TOKEN"].is_good is None and "only the macro half" in found["TUSHARE_TOKEN"].found
    assert found["FRED_API_KEY"].is_good is None and "without it" in found["FRED_API_KEY"].found


def test_wrong_keys_are_named_and_not_shown(options):
    found = bad(options(tushare_token="wrong-4712", fred_api_key="f" * 32))

    assert set(found) == {"TUSHARE_TOKEN", "FRED_API_KEY"}
    assert "refused by Tushare" in found["TUSHARE_TOKEN"] and "refused by FRED" in found["FRED_API_KEY"]
    assert "wrong-4712" not in str(found) and "f" * 32 not in str(found)


def test_wrong_clock_is_named(options, scripted):
    """The vendor's server says in its header which time it is."""
    scripted.server.RequestHandlerClass.date_time_string = lambda self, timestamp=None: "Fri, 20 Nov 2020 10:00:00 GMT"
    scripted.will_answer(b"observation_date,UNRATE\n2020-09-01,7.8\n2020-10-01,6.9\n")

    found = bad(options(clock_url="", fred_url=scripted.url, tushare_token=None, fred_api_key=None))

    assert set(found) == {"clock beside the vendors'"}
    assert "ahead of fred" in found["clock beside the vendors'"]


def test_clock_of_the_machine_goes_with_that_of_a_vendor(options, scripted):
    scripted.will_answer(b"observation_date,UNRATE\n2020-09-01,7.8\n2020-10-01,6.9\n")

    found = {fact.topic: fact for fact in doctor.examine(options(clock_url="", fred_url=scripted.url))}

    assert found["clock beside the vendors'"].is_good is True


def test_folder_that_cannot_be_written_to_is_named(options):
    found = bad(options(home="/proc/daybook"))

    assert "cannot be written to" in found["home's rights"] and "DAYBOOK__HOME" in found["home's rights"]


def test_full_disk_is_named(options, small_disk):
    assert "free" in bad(options(home=small_disk / "home"))["home"]


def test_lake_of_another_version_is_named(options):
    here = options()
    with lake.open_writer(here.lake, holder="test") as opened:
        opened.commit(lambda c: c.execute("update ops.property set value = '1'"), message="as version 1 left it")
    older = bad(here)
    with lake.open_writer(here.lake, holder="test") as opened:
        opened.commit(
            lambda c: c.execute("update ops.property set value = '999' where name = 'schema_version'"), message="newer"
        )
    newer = bad(here)

    assert "schema version 1" in older["lake"] and "daybook maintain" in older["lake"]
    assert "schema version 999" in newer["lake"] and "Install the newer Daybook" in newer["lake"]


def test_missing_extension_is_named(options, monkeypatch, tmp_path):
    """No wheel for it, and nowhere to download it from."""
    monkeypatch.setattr(extensions, "_file", lambda name: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert "duckdb-extension-ducklake" in bad(options())["extension ducklake"]


def test_ports_that_others_have_are_named(options):
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
            one.listen()
        ports = [one.getsockname()[1] for one in (first, second)]

        found = bad(options(prefect_port=ports[0], reports_port=ports[1]))

    assert "DAYBOOK__PREFECT_PORT" in found["port of Prefect's server"]
    assert "DAYBOOK__REPORTS_PORT" in found["port of the reports"]


def test_server_that_is_busy_for_a_moment_is_asked_again(options, scripted, monkeypatch):
    """Prefect answers 503 while its SQLite file is locked; one that stays so is named."""
    monkeypatch.setattr(prefect_api.ask_patiently.retry, "wait", tenacity.wait_none())
    here = options(prefect_port=scripted.server.server_address[1])
    busy, ours = (503, b"{}"), {"version": settings.code_version()}
    version, token = json.dumps(importlib.metadata.version("prefect")).encode(), b'{"token": "any"}'
    before = (b"true", version, version)

    scripted.will_answer(*before, token, busy, token, busy, token, json.dumps([ours]).encode())
    asked_again = probes.ports(here)
    scripted.will_answer(*before, token, busy)
    never = probes.ports(here)

    assert [fact.is_good for fact in asked_again] == [True, True]
    assert [fact.is_good for fact in never] == [True, False] and "does not tell" in never[1].found


def test_worker_of_another_version_is_named(options, scripted):
    here = options(prefect_port=scripted.server.server_address[1])
    version, offered = json.dumps(importlib.metadata.version("prefect")).encode(), b'[{"version": "2025.3"}]'

    scripted.will_answer(b"true", version, version, b'{"token": "any"}', offered)
    daybook = wrong(probes.ports(here))
    scripted.will_answer(b"true", b'"3.0.0"', b'"3.0.0"', b'{"token": "any"}', offered)
    both = wrong(probes.ports(here))

    assert set(daybook) == {"version of the worker"} and "offered by Daybook 2025.3" in daybook["version of the worker"]
    assert "the server is Prefect 3.0.0" in both["version of the server"] and "version of the worker" in both


def test_server_that_asks_nobody_though_it_should_is_named(options, scripted):
    here = options(prefect_port=scripted.server.server_address[1], prefect_auth="desk:planted-4716")
    version = json.dumps(importlib.metadata.version("prefect")).encode()

    scripted.will_answer(b"true", version, version, version, b'{"token": "any"}', b"[]")
    found = wrong(probes.ports(here))

    assert "asks nobody for a password" in found["Prefect server"] and "planted-4716" not in str(found)


def test_servers_open_to_everybody_are_named(options):
    beyond = {"serve_host": "0.0.0.0"}
    auth = {"prefect_auth": "desk:planted-4716", "reports_auth": "desk:planted-4717"}

    found = bad(options(**beyond))

    assert set(found) == {"door of Prefect's server", "door of the reports"}
    assert all("DAYBOOK__SERVE_OPEN=true" in told for told in found.values())
    assert probes.doors(options(**beyond, **auth)) == probes.doors(options(**beyond, serve_open=True)) == []


def test_postgresql_that_is_down_is_named(options, free_port):
    port = free_port()

    found = bad(options(lake_catalog=f"postgres:host=127.0.0.1 port={port} dbname=lake"))

    assert "cannot be reached" in found["lake"] and "Check that the server runs" in found["lake"]


def test_library_of_another_version_is_named(options, monkeypatch):
    installed = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: {"fastapi": "0.200.0"}.get(name, installed(name)))

    assert "0.200.0, wanted is" in bad(options())["fastapi"]


def test_vendor_that_does_not_answer_is_named(options, free_port):
    gone = f"http://127.0.0.1:{free_port()}"

    found = bad(options(fred_url=gone, tushare_url=gone))

    assert set(found) == {"FRED", "TUSHARE_TOKEN"} and gone in found["FRED"]


def test_command_prints_a_line_for_each_fault_and_ends_with_their_number(options, vendor):
    here = options()
    variables = vendors.environment(vendor, here.root) | {"TUSHARE_TOKEN": "wrong-4712"}
    variables |= {"DAYBOOK__PREFECT_PORT": str(here.prefect_port), "DAYBOOK__REPORTS_PORT": str(here.reports_port)}

    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "doctor"], env=os.environ | variables, capture_output=True, text=True
    )

    assert done.returncode == 10 and "1 of " in done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("BAD")] == ["TUSHARE_TOKEN"]
