"""Killed, out of space, abandoned by the vendor: a backfill leaves whole days or none, and the next one heals it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flows import ingest, ingest_macro, vendors
from warehouse import errors, lake, seeds
from warehouse.sources import faults, market

pytestmark = pytest.mark.exhaustive

N_SYMBOLS, N_SESSIONS, SEED = 20, 20, 5
# Few sessions a commit, so that there is much to fall between.
SESSIONS_PER_COMMIT = 4
SERIES = ("FEDFUNDS", "GDPC1", "PERMIT", "UNRATE")
TABLES = ("daily", "adj_factor", "daily_basic")
FACTS = ("market", "macro", "feature", "ops")
# The acceptance run tries 100; the suite tries fewer moments every time, at places that differ from run to run.
N_KILLS = int(os.environ.get("DAYBOOK_TEST_BACKFILL_KILLS", "2"))
CHANCE_SEED = int(os.environ.get("DAYBOOK_TEST_SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture(scope="module")
def truth():
    whole = market.synthetic_market(seed=SEED, n_symbols=N_SYMBOLS, n_sessions=N_SESSIONS)
    return dataclasses.replace(whole, macro={name: whole.macro[name] for name in SERIES})


@pytest.fixture(scope="module")
def vendor(truth):
    with vendors.running(truth, vendors.evening_of(truth.session_dates[-1])) as running:
        yield running


@pytest.fixture(autouse=True)
def small_commits(monkeypatch):
    every = seeds.fred_series()
    few = every.filter(pc.is_in(every["series_id"], pa.array(SERIES)))
    monkeypatch.setattr(seeds, "fred_series", lambda: few)
    monkeypatch.setattr(ingest, "SESSIONS_PER_COMMIT", SESSIONS_PER_COMMIT)
    monkeypatch.setattr(ingest_macro, "SERIES_PER_COMMIT", 1)


@pytest.fixture
def backfill(truth):
    """A function that fills a desk's lake with everything there is, or what is missing of it."""
    return lambda desk: desk.backfill(truth.session_dates[0], truth.session_dates[-1])


@pytest.fixture(scope="module")
def facts_at():
    return {}


@pytest.fixture
def facts(facts_of):
    def run(desk):
        with lake.open_reader(desk.options.lake) as opened:
            return facts_of(opened, FACTS)

    return run


@pytest.fixture
def undisturbed(facts_at, tmp_path, desk_at, vendor, backfill, facts):
    """The facts when nothing goes wrong, found out once."""
    if not facts_at:
        desk = desk_at(tmp_path / "undisturbed", vendor)
        backfill(desk)
        facts_at.update(facts(desk))
    return facts_at


def assert_only_whole_days(desk, undisturbed, are_tables_together=True):
    """How many sessions stand; each has all its rows in every table, and its place in the ledger, or nothing at all."""
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(lake.open_reader(desk.options.lake))
        except errors.ConfigError:
            # It died before there was a lake, or while the catalog was made.
            return 0
        names = opened.read("select table_name from duckdb_tables() where schema_name = 'market'")
        # A process may die before the tables are made.
        if not names.num_rows:
            return 0
        n_days = opened.read_value("select count(distinct trade_date) from market.daily")
        for table in TABLES:
            held = Counter(opened.read(f"select trade_date from market.{table}")["trade_date"].to_pylist())
            whole = Counter(row["trade_date"] for row in undisturbed[f"market.{table}"])
            assert held == {day: whole[day] for day in held}, f"market.{table} has a partial day"
            assert len(held) == n_days or not are_tables_together
            n_entered = opened.read_value(
                "select count(*) from ops.ledger where state = 'ok' and dataset = $dataset", dataset=f"market.{table}"
            )
            assert n_entered == len(held)
        return int(n_days)


# What a process of its own must set to be the backfill of this module.
PREAMBLE = f"""
import sys
import pyarrow as pa, pyarrow.compute as pc
from flows import cli, ingest, ingest_macro
from warehouse import seeds
every = seeds.fred_series()
few = every.filter(pc.is_in(every["series_id"], pa.array({SERIES!r})))
seeds.fred_series = lambda: few
ingest.SESSIONS_PER_COMMIT, ingest_macro.SERIES_PER_COMMIT = {SESSIONS_PER_COMMIT}, 1
sys.argv = ["daybook", *sys.argv[1:]]
cli.main()
"""


@pytest.fixture
def start_backfill(truth, vendor):
    """A function that starts `daybook backfill` as a process of its own."""

    def start(desk):
        first, last = truth.session_dates[0], truth.session_dates[-1]
        vendor.clock.set(vendors.evening_of(last))
        environment = os.environ | vendors.environment(vendor, desk.options.root)
        command = [sys.executable, "-c", PREAMBLE, "backfill", "--from", str(first), "--to", str(last)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    return start


def test_killed_backfill_never_leaves_a_partial_day_and_resumes_to_the_same_lake(
    tmp_path, desk_at, vendor, truth, facts, undisturbed, start_backfill, backfill, record_property
):
    record_property("seed", CHANCE_SEED)
    chance = random.Random(CHANCE_SEED)
    quiet_desk = desk_at(tmp_path / "quiet", vendor)
    quiet = start_backfill(quiet_desk)
    until(lambda: quiet_desk.options.lake.exists or quiet.poll() is not None)
    began = time.monotonic()
    assert quiet.wait() == 0, quiet.stderr.read()
    quiet.stderr.close()
    seconds = time.monotonic() - began

    outcomes = []
    for number in range(N_KILLS):
        desk = desk_at(tmp_path / f"killed-{number}", vendor)
        process = start_backfill(desk)
        # Before there is a lake there is nothing to break.
        until(lambda desk=desk, process=process: desk.options.lake.exists or process.poll() is not None)
        moment = chance.uniform(0.0, 1.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment * seconds)
        was_running = process.poll() is None
        if was_running:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        n_days = assert_only_whole_days(desk, undisturbed)
        backfill(desk)
        outcomes.append((round(moment, 2), was_running, n_days, facts(desk) == undisturbed))
        shutil.rmtree(desk.options.root)
    print(
        f"seed {CHANCE_SEED}; moments as shares of {seconds:.1f} s, whether running, days there, whether equal:"
        f" {outcomes}"
    )

    assert all(is_equal for *_, is_equal in outcomes), outcomes
    assert sum(was_running for _, was_running, _, _ in outcomes) > 0.5 * N_KILLS or N_KILLS < 5


@pytest.mark.parametrize("share", (0.1, 0.5, 0.9))
def test_full_disk_stops_the_backfill_with_a_reason_and_the_next_one_ends_the_same(
    small_disk, tmp_path, desk_at, vendor, truth, facts, undisturbed, backfill, share
):
    roomy = desk_at(tmp_path / "roomy", vendor)
    backfill(roomy)
    n_bytes = sum(path.stat().st_size for path in roomy.options.root.rglob("*") if path.is_file())
    desk = desk_at(small_disk / "home", vendor)
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(bytes(free - int(share * n_bytes)))

    with pytest.raises(errors.DaybookError) as caught:
        backfill(desk)

    print(f"with room for {share:.0%} of {n_bytes} bytes: {caught.value}")
    ballast.unlink()
    assert_only_whole_days(desk, undisturbed)
    backfill(desk)
    assert facts(desk) == undisturbed


# A vendor that can be ended for good in mid-answer, as a process of its own; it prints its address.
ANSWERING = f"""
import dataclasses, json, sys, time
from flows import vendors
from warehouse.sources import market
whole = market.synthetic_market(seed={SEED}, n_symbols={N_SYMBOLS}, n_sessions={N_SESSIONS})
truth = dataclasses.replace(whole, macro={{name: whole.macro[name] for name in {SERIES!r}}})
with vendors.running(truth, vendors.evening_of(truth.session_dates[-1])) as running:
    print(running.url, flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def vendor_process():
    process = subprocess.Popen([sys.executable, "-c", ANSWERING], stdout=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def asked_of(url, method="GET", body=None):
    request = urllib.request.Request(f"{url}/_control/faults", method=method, data=body)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


@pytest.mark.parametrize("endpoint", ("daily", "suspend_d", "fredgraph.csv"))
def test_vendor_gone_in_mid_answer_leaves_whole_days_and_a_ledger_that_says_so(
    tmp_path, desk_at, vendor, truth, facts, undisturbed, backfill, endpoint
):
    day = truth.session_dates[N_SESSIONS // 2]
    partition = "PERMIT" if endpoint == "fredgraph.csv" else f"{day:%Y%m%d}"
    slow = faults.Fault("trickle", endpoint, partition, seconds=2.0)
    desk = desk_at(tmp_path / "home", vendor)
    with vendor_process() as (process, url):
        # The clock stays with the vendor that lives on: a machine's own clock does not go away either.
        leaving = desk_at(tmp_path / "home", vendor, tushare_url=f"{url}/dataapi", fred_url=url, vendor_attempts=1)
        asked_of(url, "POST", json.dumps([dataclasses.asdict(slow)]).encode())
        said: dict[str, object] = {}
        working = threading.Thread(target=lambda: said.update(backfill(leaving)))
        working.start()
        until(lambda: asked_of(url)[0]["n_hits"] > 0)
        process.kill()
        working.join()

    assert said["sessions_not_whole"] or said["series_not_whole"]
    # A vendor may go between the bars of a session and its factors: these are then failed, and say so.
    assert_only_whole_days(desk, undisturbed, are_tables_together=False)
    not_whole = desk.read("select reason from ops.ledger where state not in ('ok', 'empty_confirmed')")
    assert not_whole and all(row["reason"] for row in not_whole)
    backfill(desk)
    assert facts(desk) == undisturbed


def until(is_so, within_s=60.0):
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Stopped(BaseException):
    """What no handler expects."""


def test_backfill_stopped_after_any_of_its_commits_resumes_to_the_same_lake(
    tmp_path, desk_at, vendor, facts, undisturbed, backfill, monkeypatch
):
    commit = lake.Lake.commit
    differing = {}
    for most in range(1, 40):
        made = itertools.count(1)

        def counted(self, work, *, message, made=made, most=most):
            done = commit(self, work, message=message)
            if next(made) >= most:
                raise Stopped(message)
            return done

        desk = desk_at(tmp_path / f"stopped-{most}", vendor)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(lake.Lake, "commit", counted)
                backfill(desk)
        except Stopped as stopped:
            backfill(desk)
            found = facts(desk)
            names = [name for name in undisturbed if found[name] != undisturbed[name]]
            if names:
                differing[f"{most}: {stopped}"] = names
        else:
            break
        finally:
            shutil.rmtree(desk.options.root)

    assert differing == {}
    assert most > 10
