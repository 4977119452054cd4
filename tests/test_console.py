"""What a data engineer sees in Prefect's UI after some days: each page says what it must, and is kept as a picture.

    DAYBOOK_PICTURES=docs/console python -m pytest -m exhaustive tests/test_console.py

makes the pictures of docs/operations.md anew; without the variable they are made and let go.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import pytest

from flows import prefect_api, vendors
from warehouse.sources import market
from warehouse.sources.faults import Fault

pytestmark = pytest.mark.exhaustive

LARGEST_PICTURE = 150_000
# The text of what lies within the picture.
PICTURED = """() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const told = [], range = document.createRange();
    while (walker.nextNode()) {
        range.selectNode(walker.currentNode);
        const box = range.getBoundingClientRect();
        if (box.width && box.bottom > 0 && box.top < innerHeight) told.push(walker.currentNode.data);
    }
    return told.join("\\n");
}"""
FREQUENT = {"DAYBOOK__FORECAST_MODELS": '["ols"]', "DAYBOOK__FORECAST_FOLDS": "1", "DAYBOOK__VENDOR_ATTEMPTS": "1"}


@pytest.fixture(scope="module")
def truth():
    """Enough sessions for factors of the market."""
    return market.synthetic_market(seed=3, n_symbols=40, n_sessions=100)


class Console:
    """`daybook serve` with a past: a backfill, a refit, an evening, one over missing data, and one that heals it."""

    def __init__(self, address, vendor, home):
        self.address, self.vendor, self.home, self.runs = address, vendor, home, {}

    def ask(self, path, **body):
        for _ in range(60):
            with contextlib.suppress(urllib.error.HTTPError):
                return prefect_api.ask(f"{self.address}/api", path, body)
            time.sleep(1)
        raise AssertionError(f"{path} is not answered")

    def deployments(self):
        try:
            return {one["name"]: one["id"] for one in self.ask("/deployments/filter")}
        except OSError:
            return {}

    def run(self, deployment, **parameters):
        """A run of a deployment, ended, as the server tells it."""
        path = f"/deployments/{self.deployments()[deployment]}/create_flow_run"
        made = self.ask(path, parameters=parameters)
        while True:
            (run,) = self.ask("/flow_runs/filter", flow_runs={"id": {"any_": [made["id"]]}})
            if run["end_time"]:
                self.runs[run["name"]] = run
                return run
            time.sleep(1)


@pytest.fixture(scope="module")
def console(truth, free_port, tmp_path_factory):
    home, port = tmp_path_factory.mktemp("desk"), free_port()
    days = truth.session_dates
    with vendors.running(truth, vendors.evening_of(days[-4])) as vendor:
        variables = vendors.environment(vendor, home) | FREQUENT | {"DAYBOOK__HISTORY_START": str(days[0])}
        variables |= {"DAYBOOK__PREFECT_PORT": str(port), "DAYBOOK__REPORTS_PORT": str(free_port())}
        log = (home / "serve.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "serve"], env=os.environ | variables, stdout=log, stderr=log
        )
        made = Console(f"http://127.0.0.1:{port}", vendor, home)
        try:
            while len(made.deployments()) < 7:
                assert process.poll() is None, (home / "serve.log").read_text()
                time.sleep(1)
            live(made, days)
            yield made
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=120)
            log.close()


def live(made, days):
    made.run("by-hand", start=str(days[0]), end=str(days[-4]))
    made.run("weekly")
    for day in days[-3:]:
        made.vendor.clock.set(vendors.evening_of(day))
        if day == days[-2]:
            made.vendor.faults.add(Fault("empty", "daily"))
        made.run("evening")
        made.vendor.faults.clear()
    made.run("morning")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    wanted = os.environ.get("DAYBOOK_PICTURES")
    return Path(wanted).resolve() if wanted else tmp_path_factory.mktemp("pictures")


@pytest.fixture
def seen(console, browser, pictures):
    """A function that opens a page of the UI, waits until it shows some words, keeps a picture, and gives its text."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, timezone_id="Asia/Shanghai", locale="en-GB")
    page = context.new_page()

    def look(name, path, *words, height=860):
        page.set_viewport_size({"width": 1280, "height": height})
        page.goto(f"{console.address}{path}")
        for word in words:
            page.get_by_text(word).first.wait_for(timeout=60_000)
        # Lines and bars are drawn by and by.
        page.wait_for_timeout(2500)
        pictures.mkdir(exist_ok=True)
        target = pictures / f"{name}.png"
        page.screenshot(path=target)
        pictured = page.evaluate(PICTURED)
        assert target.stat().st_size < LARGEST_PICTURE
        # Nothing of the machine it was made on.
        assert not any(one in pictured for one in (str(console.home), str(Path.home()), socket.gethostname()))
        return page.inner_text("body")

    yield look
    context.close()


def test_runs_are_named_by_flow_and_day_and_say_how_they_ended(console, seen, truth):
    days = truth.session_dates
    names = {f"daily-{day}": state for day, state in zip(days[-3:], ("Completed", "Failed", "Completed"), strict=True)}
    names |= {f"backfill-{days[0]}-to-{days[-4]}": "Completed", f"refit-{days[-4]}": "Completed"}

    text = seen("runs", "/runs", f"daily-{days[-1]}", height=1100)

    assert {name: console.runs[name]["state_name"] for name in names} == names
    assert all(name in text for name in list(names)[:3])


def test_run_shows_its_five_steps_with_their_tables(console, seen, truth):
    run = console.runs[f"daily-{truth.session_dates[-1]}"]

    text = seen("run", f"/runs/flow-run/{run['id']}", run["name"], "5 Task runs")

    assert "Completed" in text and "daybook-due" in text


def artifacts_of(console, day):
    """What an evening left, by key."""
    run = console.runs[f"daily-{day}"]
    return {one["key"]: one for one in console.ask("/artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}})}


@pytest.mark.parametrize(
    ("name", "session", "words"),
    [
        ("coverage", -2, ("market.daily", "macro.observation", "the vendor sent no row")),
        ("factors", -1, ("equity_pca", "macro_pca")),
    ],
)
def test_tables_say_what_the_lake_holds(console, seen, truth, name, session, words):
    found = artifacts_of(console, truth.session_dates[session])[f"daybook-{name}"]

    seen(name, f"/artifacts/artifact/{found['id']}", *words, height=700)


def test_evening_over_missing_data_leads_to_its_report_too(console, truth):
    run = console.runs[f"daily-{truth.session_dates[-2]}"]

    link = artifacts_of(console, truth.session_dates[-2])["daybook-report"]

    assert f"/{truth.session_dates[-2]}.html" in link["data"] and "missing" in link["description"]
    # What was wrong stands in one line, without the code's own.
    logs = console.ask("/logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}}, limit=200)
    assert any("market.daily has nothing for the session" in one["message"] for one in logs)
    assert not any("Traceback" in one["message"] for one in logs)


def test_schedules_are_told_in_words_and_can_be_switched(console, seen):
    text = seen("schedules", f"/deployments/deployment/{console.deployments()['evening']}", "At 05:30 PM", height=700)

    assert "Monday through" in text and "daily" in text


def test_automations_are_there(seen):
    text = seen("automations", "/automations", "daybook: a run failed")

    assert "daybook: a run is late" in text and "daybook: an alert of high severity" in text


def test_events_tell_of_assets_and_what_they_were_made_of(console, seen):
    made = {"event": {"name": ["prefect.asset.materialization.succeeded"]}}
    found = console.ask("/events/filter", filter=made, limit=50)["events"]
    report = next(one for one in found if one["resource"]["prefect.resource.id"] == "report://daybook/daily")
    day = report["occurred"][:10]

    seen("events", f"/events/event/{day}/{report['id']}", "report://daybook/daily")

    assert json.dumps(report["related"]).count('"asset"') == 5
