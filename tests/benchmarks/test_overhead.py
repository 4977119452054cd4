"""What an evening costs beyond its work: the start of a process, imports, Prefect.

Every step has its work done already, so that hardly anything but the cost is left. Promised: under 15 s for a run in a
process of its own, under 5 s for one of `daybook serve`, from the moment it was due. One line of JSON is printed.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from flows import prefect_api, vendors

pytestmark = pytest.mark.benchmark

COLD_LIMIT_S, SERVED_LIMIT_S = 15.0, 5.0
STEP = re.compile(r"^(\S+ \S+) flows\.steps: step (starts|ended) step=(\w+)", re.MULTILINE)
AUTH = "desk:planted-4720-overhead"


@pytest.fixture
def command(desk, free_port):
    """The `daybook` of a desk that has run: its command line and its environment."""
    variables = vendors.environment(desk.vendor, desk.options.root) | {
        "DAYBOOK__PREFECT_AUTH": AUTH,
        "DAYBOOK__HISTORY_START": str(desk.options.history_start),
        "DAYBOOK__PREFECT_PORT": str(free_port()),
        "DAYBOOK__REPORTS_PORT": str(free_port()),
    }
    return [sys.executable, "-m", "flows.cli", "--verbose"], os.environ | variables


def told(text):
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f")


def run_alone(command):
    """Seconds of a `daybook run`, of its steps, and of processor time."""
    line, environment = command
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*line, "run"], env=environment, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    moments = {(step, what): told(when) for when, what, step in STEP.findall(done.stderr)}
    steps = {step for step, _ in moments}
    assert len(moments) == 10
    work = sum((moments[step, "ended"] - moments[step, "starts"]).total_seconds() for step in steps)
    return wall, work, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextlib.contextmanager
def serving(command):
    """`daybook serve`, and a function that asks its Prefect server."""
    line, environment = command
    api = f"http://127.0.0.1:{environment['DAYBOOK__PREFECT_PORT']}/api"

    def ask(path, **body):
        return prefect_api.ask(api, path, body, auth=AUTH)

    process = subprocess.Popen([*line, "serve"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if len(ask("/deployments/filter")) == 7:
                    break
            time.sleep(0.5)
        yield ask
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)


def moment(text):
    return datetime.fromisoformat(text)


def ended_run(ask, is_it):
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            for run in ask("/flow_runs/filter"):
                if is_it(run) and run["end_time"]:
                    assert run["state_name"] == "Completed", run["state"]["message"]
                    return run
        time.sleep(1)
    raise AssertionError("the run has not ended")


def work_of(ask, run):
    """Seconds of the five tasks of a run."""
    tasks = ask("/task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    assert len(tasks) == 5
    return sum((moment(one["end_time"]) - moment(one["start_time"])).total_seconds() for one in tasks)


def test_evening_with_nothing_to_do(command, report):
    run_alone(command)
    alone_s, alone_work_s, alone_cpu_s = run_alone(command)
    with serving(command) as ask:
        due = datetime.now(UTC) + timedelta(seconds=60)
        (evening,) = (one["id"] for one in ask("/deployments/filter") if one["name"] == "evening")
        planned = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
        made = ask(f"/deployments/{evening}/create_flow_run", state=planned)
        served = ended_run(ask, lambda run: run["id"] == made["id"])
        served_work_s = work_of(ask, served)
        started = time.perf_counter()
        line, environment = command
        subprocess.run([*line, "run"], env=environment, capture_output=True, check=True)
        told_s = time.perf_counter() - started
        told_work_s = work_of(ask, ended_run(ask, lambda run: run["deployment_id"] is None))

    late_s = (moment(served["start_time"]) - moment(served["expected_start_time"])).total_seconds()
    served_s = (moment(served["end_time"]) - moment(served["expected_start_time"])).total_seconds()
    report(
        cold_s=round(alone_s - alone_work_s, 2),
        cold_cpu_s=round(alone_cpu_s, 2),
        cold_work_s=round(alone_work_s, 2),
        cold_through_prefect_s=round(told_s - told_work_s, 2),
        cold_limit_s=COLD_LIMIT_S,
        serve_s=round(served_s - served_work_s, 2),
        serve_late_s=round(late_s, 2),
        serve_work_s=round(served_work_s, 2),
        serve_limit_s=SERVED_LIMIT_S,
        load=round(os.getloadavg()[0], 1),
    )
