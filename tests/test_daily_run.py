"""The daily run against simulated vendors over real HTTP: whole, repeatable, and never silently short."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from flows import ingest, routing, settings, steps, vendors
from reports.alerts import MOST_ALERTS
from warehouse import errors, lake
from warehouse.sources import faults, market

TOKEN = vendors.SIMULATED_TOKEN
# Too few sessions for equity factors and forecasts, so that no network is fitted; those have their own tests.
N_SYMBOLS, N_SESSIONS = 30, 30
SCHEMAS = ("market", "macro", "feature", "model", "ops")


def no_progress(what, done, total):
    pass


@pytest.fixture(scope="module")
def truth():
    return market.synthetic_market(seed=3, n_symbols=N_SYMBOLS, n_sessions=N_SESSIONS)


@pytest.fixture(scope="module")
def vendor(truth):
    with vendors.running(truth, vendors.evening_of(truth.session_dates[-1])) as running:
        yield running


@pytest.fixture(autouse=True)
def no_fault_left_over(vendor):
    yield
    vendor.faults.clear()


@dataclasses.dataclass
class Desk:
    """A home of its own and the vendors it talks to."""

    options: settings.Settings
    vendor: object

    def run(self, day):
        self.vendor.clock.set(vendors.evening_of(day))
        context = steps.open_context(self.options, "daily", day)
        return steps.run_daily(context, steps.resolve_as_of(context, day), steps.call_directly(no_progress))

    def backfill(self, start, end):
        self.vendor.clock.set(vendors.evening_of(end))
        return steps.backfill(steps.open_context(self.options, "backfill", end), start, end, no_progress)

    def read(self, statement, **params):
        with lake.open_reader(self.options.lake) as opened:
            return opened.read(statement, **params).to_pylist()


def desk_at(home, vendor, truth, **overrides):
    known = {name.removeprefix("DAYBOOK__").lower(): value for name, value in vendors.environment(vendor, home).items()}
    known["index_codes"] = tuple(json.loads(known["index_codes"]))
    known |= {"history_start": truth.session_dates[0], "vendor_attempts": 2, "_env_file": None}
    return Desk(settings.read_settings(**(known | overrides)), vendor)


@pytest.fixture
def new_desk(tmp_path, vendor, truth):
    """A function that opens a desk with an empty lake."""
    count = iter(range(100))

    def make(**overrides):
        return desk_at(tmp_path / f"home-{next(count)}", vendor, truth, **overrides)

    return make


@pytest.fixture(scope="module")
def evening_before(tmp_path_factory, vendor, truth):
    """A desk that has run on the session before the last, and a copy of its home to go back to."""
    folder = tmp_path_factory.mktemp("desk")
    desk = desk_at(folder / "home", vendor, truth)
    desk.run(truth.session_dates[-2])
    shutil.copytree(folder / "home", folder / "kept")
    return desk


@pytest.fixture
def back_to_evening_before(evening_before):
    """A function that takes the desk back to the session before the last."""
    home = evening_before.options.root

    def go():
        shutil.rmtree(home)
        shutil.copytree(home.parent / "kept", home)

    return go


@pytest.fixture
def desk(evening_before, back_to_evening_before):
    """The desk as it stood after the session before the last."""
    back_to_evening_before()
    return evening_before


def facts_at(desk, facts_of, schemas=SCHEMAS):
    """Every fact of a desk's lake, provenance aside; alerts and ledger included."""
    with lake.open_reader(desk.options.lake) as opened:
        return facts_of(opened, schemas)


@pytest.fixture
def facts(facts_of):
    return lambda desk, schemas=SCHEMAS: facts_at(desk, facts_of, schemas)


@pytest.fixture
def undisturbed(desk, truth, facts, request, back_to_evening_before):
    """The facts of the last session when nothing goes wrong; the desk is back on the evening before."""
    kept = request.config.stash.setdefault(UNDISTURBED, {})
    if not kept:
        desk.run(truth.session_dates[-1])
        kept.update(facts(desk))
        back_to_evening_before()
    return kept


UNDISTURBED = pytest.StashKey()


def test_run_adds_no_row_and_changes_no_value_when_run_twice(desk, truth, facts):
    desk.run(truth.session_dates[-1])
    before = facts(desk)
    page = (desk.options.reports_path / f"{truth.session_dates[-1]}.html").read_text()

    desk.run(truth.session_dates[-1])

    assert facts(desk) == before
    assert without_build_line((desk.options.reports_path / f"{truth.session_dates[-1]}.html").read_text()) == (
        without_build_line(page)
    )


def without_build_line(page):
    return "\n".join(line for line in page.splitlines() if "snapshot" not in line.lower())


@pytest.mark.exhaustive
def test_days_one_by_one_leave_the_same_data_as_one_backfill(new_desk, truth, facts):
    sessions = truth.session_dates
    slow, fast = new_desk(), new_desk()
    slow.backfill(sessions[0], sessions[-3])
    for day in sessions[-2:]:
        slow.run(day)

    fast.backfill(sessions[0], sessions[-1])

    kept = ("market.", "feature.log_return", "feature.feature")
    one_by_one = {name: rows for name, rows in facts(slow, ("market", "feature")).items() if name.startswith(kept)}
    at_once = {name: rows for name, rows in facts(fast, ("market", "feature")).items() if name.startswith(kept)}
    assert one_by_one == at_once


FAULTS = {
    "HTTP 500": {"kind": "status", "status": 500},
    "HTTP 429": {"kind": "status", "status": 429},
    "rate limit in words": {"kind": "rate_limit", "seconds": 0.05},
    "cut body": {"kind": "truncate", "cut_at": 300},
    "HTML with 200": {"kind": "html_200"},
    "empty frame": {"kind": "empty"},
    "partial market": {"kind": "partial_market", "share": 0.6},
}


def of_schemas(facts, *schemas):
    return {name: rows for name, rows in facts.items() if name.split(".")[0] in schemas}


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_run_over_a_market_fault_is_never_green_and_heals_when_it_is_lifted(
    desk, truth, facts, fault, undisturbed, caplog
):
    day = truth.session_dates[-1]
    caplog.set_level(logging.DEBUG)
    desk.vendor.faults.add(faults.Fault(endpoint="daily", **fault))

    with pytest.raises(errors.PartialData, match=f"the run for {day} finished with gaps") as caught:
        desk.run(day)
    ledger = desk.read(
        "select state, reason from ops.ledger where dataset = 'market.daily' and partition = $p", p=str(day)
    )
    alerts = desk.read("select rule from ops.alert where state = 'open' and subject = 'market.daily'")
    run = desk.read("select state from ops.run where run_id = $r", r=f"daily/{day}")
    desk.vendor.faults.clear()
    desk.run(day)

    assert ledger[0]["state"] in ("failed", "partial") and ledger[0]["reason"]
    assert alerts and alerts[0]["rule"] in ("missing_day", "partial_day")
    assert run == [{"state": "degraded"}]
    assert desk.read("select * from ops.alert where state = 'open' and subject = 'market.daily'") == []
    assert of_schemas(facts(desk), "market", "feature") == of_schemas(undisturbed, "market", "feature")
    assert TOKEN not in "".join(chained_texts(caught.value)) + caplog.text
    assert files_with(desk.options.root, TOKEN) == []


MACRO_FAULTS = ("cut body", "HTML with 200")


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", MACRO_FAULTS)
def test_run_over_a_macro_fault_is_never_green_and_heals_when_it_is_lifted(desk, truth, facts, fault, undisturbed):
    day = truth.session_dates[-1]
    desk.vendor.faults.add(faults.Fault(endpoint="fredgraph.csv", partition="UNRATE", **FAULTS[fault]))

    with pytest.raises(errors.PartialData, match="UNRATE"):
        desk.run(day)
    held = desk.read("select state from ops.ledger where dataset = 'macro.observation' and partition = 'UNRATE'")
    alerts = desk.read("select title from ops.alert where state = 'open' and rule = 'failed_load'")
    desk.vendor.faults.clear()
    desk.run(day)

    assert held == [{"state": "partial"}]
    assert len(alerts) == 1 and "UNRATE" in alerts[0]["title"]
    assert desk.read("select * from ops.alert where state = 'open' and rule = 'failed_load'") == []
    assert of_schemas(facts(desk), "macro") == of_schemas(undisturbed, "macro")


def test_run_pulls_the_macro_half_when_no_token_is_set(new_desk, truth, caplog):
    desk = new_desk(tushare_token=None)

    with caplog.at_level(logging.WARNING):
        facts = desk.run(truth.session_dates[-1])

    assert facts["macro_series"] == 48
    assert "no TUSHARE_TOKEN is set: only the macro half runs" in caplog.text
    assert desk.read("select count(*) as n from market.daily") == [{"n": 0}]
    assert desk.read("select state, message from ops.run")[0]["message"].startswith("macro half only")


def test_missed_evenings_are_caught_up_when_the_next_run_comes(new_desk, truth):
    sessions = truth.session_dates
    desk = new_desk()
    desk.run(sessions[-3])

    desk.run(sessions[-1])

    held = desk.read("select distinct trade_date from market.daily order by 1")
    assert [row["trade_date"] for row in held] == list(sessions)


def test_wrong_token_stops_the_market_half_with_one_reason_and_is_written_nowhere(new_desk, truth, caplog):
    planted = "planted-token-0815-secret"
    desk = new_desk(tushare_token=planted)

    with caplog.at_level(logging.DEBUG), pytest.raises(errors.DaybookError) as caught:
        desk.run(truth.session_dates[-1])

    assert planted not in caplog.text
    assert planted not in "".join(chained_texts(caught.value))
    assert files_with(desk.options.root, planted) == []


def chained_texts(exc):
    while exc is not None:
        yield f"{exc!r} {exc} {vars(exc)}"
        exc = exc.__cause__ or exc.__context__


def files_with(folder, text):
    needles = (text.encode(), text[::-1].encode())
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            if path.suffix == ".gz":
                import gzip

                body = gzip.decompress(body)
            found += [str(path) for needle in needles if needle in body]
    return found


def test_new_alerts_are_sent_once_to_the_channel_that_is_configured(
    evening_before, back_to_evening_before, truth, scripted, mail_server
):
    back_to_evening_before()
    scripted.will_answer(b"ok")
    addresses = (
        f"json://{scripted.url.removeprefix('http://')}/hook",
        f"mailto://127.0.0.1:{mail_server.port}?from=daybook@desk.example&to=quant@desk.example&mode=insecure",
    )
    options = evening_before.options.model_copy(update={"alert_channels": routing.read(addresses)})
    desk = Desk(options, evening_before.vendor)

    desk.run(truth.session_dates[-1])
    sent = [json.loads(body) for _, body, _ in scripted.asked]
    desk.run(truth.session_dates[-1])

    open_alerts = desk.read("select title, delivered_at from ops.alert where state = 'open'")
    assert open_alerts and all(alert["delivered_at"] for alert in open_alerts)
    assert len(sent) == 1 and len(scripted.asked) == 1
    message = sent[0]["message"]
    n_told = sum(alert["title"] in message for alert in open_alerts)
    assert n_told == min(len(open_alerts), MOST_ALERTS)
    assert n_told == len(open_alerts) or f"and {len(open_alerts) - n_told} more, all in the report." in message
    # The mail carries the day, as `daybook report --format mail` writes it.
    (mail,) = mail_server.taken
    (attached,) = mail.iter_attachments()
    day = attached.get_content()
    assert mail.get_body(("plain",)).get_content().split() == message.split()
    assert day["Subject"].startswith(f"Daybook {truth.session_dates[-1]}: ")
    assert "Open alerts" in day.get_body(("html",)).get_content()


READER = """
import sys, time
from pathlib import Path
from warehouse import lake
location, stop = lake.LakeLocation(Path(sys.argv[1])), Path(sys.argv[2])
n = 0
views = ("price_adjusted", "daily_return", "market_day", "coverage", "freshness", "macro_latest")
while not stop.exists():
    with lake.open_reader(location) as opened:
        for view in views:
            opened.read(f"select count(*) from analyst.{view}")
            n += 1
print(n)
"""


@pytest.mark.exhaustive
def test_second_process_reads_without_an_error_while_a_backfill_commits(new_desk, truth, tmp_path, monkeypatch):
    desk = new_desk()
    monkeypatch.setattr(ingest, "SESSIONS_PER_COMMIT", 2)
    desk.backfill(truth.session_dates[0], truth.session_dates[1])
    stop = tmp_path / "stop"
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(desk.options.lake.path), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        desk.backfill(truth.session_dates[0], truth.session_dates[-1])
    finally:
        stop.touch()
        out, err = reader.communicate(timeout=60)

    assert err == ""
    assert int(out) >= 6


# The acceptance run tries 20; the suite tries fewer moments every time, at places that differ from run to run.
N_KILLS = int(os.environ.get("DAYBOOK_TEST_KILLS", "2"))
# A process spends about the first third of its time on imports, where there is nothing to break.
FIRST_SHARE = 0.3


@pytest.fixture
def run_command(desk, truth):
    """`daybook run` of the last session as a process of its own."""
    names = ("home", "clock_url", "tushare_url", "fred_url", "index_codes", "history_start")
    values = {name: getattr(desk.options, name) for name in names}
    values["index_codes"] = json.dumps(values["index_codes"])
    limits = {"tushare_calls_per_minute": vendors.FAST_CALLS_PER_MINUTE, "fred_calls_per_second": 1000.0}
    environment = os.environ | {f"DAYBOOK__{name.upper()}": str(value) for name, value in (values | limits).items()}
    environment["TUSHARE_TOKEN"] = TOKEN
    command = [sys.executable, "-m", "flows.cli", "run", "--as-of", str(truth.session_dates[-1])]
    desk.vendor.clock.set(vendors.evening_of(truth.session_dates[-1]))
    return lambda: subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.exhaustive
def test_killed_run_leaves_the_same_lake_as_an_undisturbed_one_when_run_again(
    desk, truth, facts, run_command, record_property, back_to_evening_before
):
    seed = int(os.environ.get("DAYBOOK_TEST_SEED", random.SystemRandom().randrange(10**6)))
    record_property("seed", seed)
    chance = random.Random(seed)
    started = time.monotonic()
    quiet = run_command()
    assert quiet.wait() == 0, quiet.stderr.read()
    seconds = time.monotonic() - started
    undisturbed = facts(desk)

    outcomes = []
    for _ in range(N_KILLS):
        back_to_evening_before()
        moment = chance.uniform(FIRST_SHARE, 1.0) * seconds
        process = run_command()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        was_running = process.poll() is None
        os.kill(process.pid, signal.SIGKILL) if was_running else None
        process.wait()
        process.stderr.close()
        desk.run(truth.session_dates[-1])
        outcomes.append((round(moment / seconds, 2), was_running, facts(desk) == undisturbed))
    quiet.stderr.close()
    print(f"seed {seed}, moments as a share of {seconds:.1f} s, whether running, whether equal: {outcomes}")

    assert all(is_equal for _, _, is_equal in outcomes), outcomes
    assert sum(was_running for _, was_running, _ in outcomes) > 0.5 * N_KILLS or N_KILLS < 5
