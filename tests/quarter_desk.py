"""A desk of real processes under a simulated clock: Prefect's server on PostgreSQL, a worker, the report server.

Time is stepped from one fire of the deployments' own schedules, as the server has them, to the next; at each the
simulator's clock is set and the deployment's run started, as Prefect's scheduler would. Parts can be killed and started
again in the middle of a run. Partners: `test_quarter.py`, `faulty_vendors.py`, `postgres_cluster.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import postgres_cluster
from prefect.server.schemas.schedules import CronSchedule

from flows import clock, prefect_api, settings, vendors
from warehouse import lake
from warehouse.sources.simulator import RunningSimulator

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("server", "worker", "reports")
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
CUT = "CUT"
START_WITHIN_S = 600.0
RUN_WITHIN_S = 7200.0
# A service manager waits before it starts again what died; systemd's unit here says 30.
RESTART_AFTER_S = 1.0
DATABASES = {"prefect": "prefect_of_the_desk", "lake": "lake_of_the_desk"}


@dataclass(frozen=True)
class Fire:
    """One instant at which a deployment's schedule starts it."""

    at: datetime
    flow: str
    deployment_id: str

    @property
    def day(self) -> date:
        """Shanghai's."""
        return self.at.astimezone(clock.SHANGHAI).date()


@dataclass
class Ended:
    """How a run ended: Prefect's type of its state, or CUT when the worker was killed under it.

    `cpu_s` are seconds of processors that the run's own process took; 0 where the worker was another one afterwards.
    """

    fire: Fire
    state: str
    message: str
    seconds: float
    cpu_s: float = 0.0
    disaster: str = ""

    def __str__(self) -> str:
        words = f"{self.state:9} {self.seconds:6} {self.disaster} {self.message[:160]}"
        return f"{self.fire.at:%Y-%m-%d %H:%M} {self.fire.flow:9} {words}"


@dataclass(frozen=True)
class Disaster:
    """What happens to a part in the middle of a run.

    Args:
        what: `kill worker`, `restart server` or `restart postgres`.
        share: of the usual length of such a run after which it happens.
    """

    what: str
    share: float


class Desk:
    """The processes of a desk.

    Args:
        folder: of their home and logs.
        cluster: keeps Prefect's database and the lake's catalog.
        simulator: the vendors and the clock.
        free_port: tells a port nobody listens at.
        variables: more settings of the worker and the report server.
    """

    def __init__(
        self,
        folder: Path,
        cluster: postgres_cluster.Cluster,
        simulator: RunningSimulator,
        free_port: Callable[[], int],
        variables: Mapping[str, str],
    ) -> None:
        self.folder, self.cluster, self.simulator = folder, cluster, simulator
        self.ports = {part: free_port() for part in PARTS}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.runs: list[Ended] = []
        self.n_unasked_restarts = 0
        self._counted = (0, 0.0)
        self._variables = dict(variables)
        self._logs = contextlib.ExitStack()
        with cluster.server.connected() as session:
            for name in DATABASES.values():
                session.execute(f"create database {name}")

    @property
    def options(self) -> settings.Settings:
        """The worker's settings, for whoever looks into its lake."""
        server = self.cluster.server
        return settings.read_settings(
            home=self.folder / "home",
            clock_url=self.simulator.clock_url,
            lake_catalog=f"postgres:{server.conninfo(DATABASES['lake'])}",
            lake_catalog_password=server.password,
            _env_file=None,
        )

    def environment(self, part: str) -> dict[str, str]:
        """Variables of a part."""
        server = self.cluster.server
        others = ("DAYBOOK", "PREFECT", "PYTHONDONTWRITEBYTECODE")
        known = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        known |= {"PYTHONPATH": str(ROOT), "DAYBOOK__HOME": str(self.folder / "home")}
        known |= {f"DAYBOOK__{name}_PORT": str(self.ports[name.lower()]) for name in ("WORKER", "REPORTS")}
        known |= {"DAYBOOK__PREFECT_PORT": str(self.ports["server"])}
        if part == "server":
            return known | {
                "PREFECT_SERVER_DATABASE_DRIVER": "postgresql+asyncpg",
                "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
                "PREFECT_SERVER_DATABASE_PORT": str(server.port),
                "PREFECT_SERVER_DATABASE_USER": "daybook",
                "PREFECT_SERVER_DATABASE_NAME": DATABASES["prefect"],
                "DAYBOOK__PREFECT_DATABASE_PASSWORD": server.password,
                # It goes by the machine's clock; this desk's schedules are followed by the simulator's.
                "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
                "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
                "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
                "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
            }
        known |= vendors.environment(self.simulator, self.folder / "home")
        return known | {
            "DAYBOOK__PREFECT_API_URL": f"http://127.0.0.1:{self.ports['server']}/api",
            "DAYBOOK__LAKE_CATALOG": f"postgres:{server.conninfo(DATABASES['lake'])}",
            "DAYBOOK__LAKE_CATALOG_PASSWORD": server.password,
            # The usual ten seconds between a run's creation and its start are most of a run here.
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            **self._variables,
        }

    def start(self, part: str) -> None:
        """Start a part, and return when its health check says that it lives."""
        log = self._logs.enter_context((self.folder / f"{part}.log").open("ab"))
        self.processes[part] = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "serve", "--only", part],
            env=self.environment(part),
            cwd=self.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        address = {"server": "/api/health", "worker": "/health", "reports": "/healthz"}[part]
        deadline = time.monotonic() + START_WITHIN_S
        while not answers(f"http://127.0.0.1:{self.ports[part]}{address}"):
            assert self.processes[part].poll() is None and time.monotonic() < deadline, self.words_of(part)
            time.sleep(0.2)

    def words_of(self, part: str) -> str:
        """The end of a part's log."""
        return (self.folder / f"{part}.log").read_text(errors="replace")[-4000:]

    def kill(self, part: str) -> None:
        """End a part and all that it started, as a machine that loses power or a cluster that evicts it does."""
        process = self.processes.pop(part)
        for process_id in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        process.wait()

    def stop(self, part: str) -> int:
        """Ask a part to end; its exit status."""
        process = self.processes.pop(part)
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.processes[part] = process
            self.kill(part)
            return -signal.SIGKILL

    def close(self) -> None:
        """End whatever runs, the worker first."""
        for part in reversed(PARTS):
            if part in self.processes:
                self.stop(part)
        self._logs.close()

    def supervise(self) -> None:
        """Start again what ended by itself, as a service manager would."""
        for part in PARTS:
            if part in self.processes and self.processes[part].poll() is not None:
                print(f"{part} ended by itself: {self.words_of(part)}", flush=True)
                self.n_unasked_restarts += 1
                self.start(part)

    def ask(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        """The answer of Prefect's server, which may be away for a while."""
        address, sent = f"http://127.0.0.1:{self.ports['server']}/api", None if method == "GET" else body or {}
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            try:
                return prefect_api.ask(address, path, sent)
            except prefect_api.UNREACHABLE as exc:
                is_refused = isinstance(exc, urllib.error.HTTPError) and exc.code < HTTPStatus.INTERNAL_SERVER_ERROR
                assert not is_refused and time.monotonic() < deadline, f"{path}: {exc}: {self.words_of('server')}"
                time.sleep(0.5)

    def next_fires(self, after: datetime) -> list[Fire]:
        """The deployments that start next, by the schedules that the server has; all at one instant."""
        found = []
        for one in self.ask("/deployments/filter"):
            for schedule in one["schedules"]:
                if schedule["active"]:
                    at = next_of(schedule["schedule"]["cron"], schedule["schedule"]["timezone"], after)
                    flow = self._names[one["flow_id"]]
                    found.append(Fire(at, flow, one["id"]))
        first = min(fire.at for fire in found)
        return sorted((fire for fire in found if fire.at == first), key=lambda fire: fire.flow)

    def fires_through(self, last: date, flow: str) -> Iterator[Fire]:
        """Every start by the schedules from now on, in order of time, through a flow's start of Shanghai's day.

        The schedules are read anew after each: a worker that was started again has put its own there.
        """
        now = self.simulator.clock.now()
        while True:
            for fire in self.next_fires(now):
                now = fire.at
                assert fire.day <= last, f"no schedule started {flow} on {last}"
                yield fire
                if (fire.flow, fire.day) == (flow, last):
                    return

    def run_by_hand(self, flow: str, **parameters: Any) -> Ended:
        """Start a flow that no schedule starts, and wait for its end."""
        one = next(one for one in self.ask("/deployments/filter") if self._names[one["flow_id"]] == flow)
        return self.run(Fire(self.simulator.clock.now(), flow, one["id"]), parameters=parameters)

    @property
    def _names(self) -> dict[str, str]:
        return {one["id"]: one["name"] for one in self.ask("/flows/filter")}

    def run(self, fire: Fire, disaster: Disaster | None = None, parameters: Mapping[str, Any] | None = None) -> Ended:
        """Start a deployment's run at its instant, and wait for its end."""
        self.supervise()
        self.simulator.clock.set(fire.at)
        started = time.monotonic()
        self._count_processors()
        made = self.ask(f"/deployments/{fire.deployment_id}/create_flow_run", {"parameters": parameters or {}})
        ended = Ended(fire, "", "", 0.0, disaster=disaster.what if disaster else "")
        if disaster:
            self._strike(disaster, fire, made["id"])
        if disaster and disaster.what == "kill worker":
            ended.state = CUT
        while not ended.state:
            assert time.monotonic() < started + RUN_WITHIN_S, f"{fire} does not end: {self.words_of('worker')}"
            self.supervise()
            state = self.ask(f"/flow_runs/{made['id']}", method="GET")["state"]
            if state["type"] in ENDED:
                ended.state, ended.message = state["type"], state["message"] or ""
            else:
                time.sleep(0.2)
        ended.seconds = round(time.monotonic() - started, 2)
        self.runs.append(ended)
        return ended

    def _count_processors(self) -> None:
        """Enter what the last run's process took, which ends a while after its run does."""
        worker = self.processes["worker"].pid
        taken = cpu_of_children(worker)
        if self.runs and self._counted[0] == worker:
            self.runs[-1].cpu_s = round(taken - self._counted[1], 2)
        self._counted = (worker, taken)

    def _strike(self, disaster: Disaster, fire: Fire, run_id: str) -> None:
        """Wait until the run is in its midst, and do it."""
        usual = [run.seconds for run in self.runs if run.fire.flow == fire.flow and not run.disaster]
        while self.ask(f"/flow_runs/{run_id}", method="GET")["state"]["type"] != "RUNNING":
            time.sleep(0.1)
        time.sleep(disaster.share * (statistics.median(usual) if usual else 4.0))
        if disaster.what == "kill worker":
            self.kill("worker")
            time.sleep(RESTART_AFTER_S)
            self.start("worker")
        elif disaster.what == "restart server":
            self.stop("server")
            time.sleep(RESTART_AFTER_S)
            self.start("server")
        else:
            self.cluster.stop()
            time.sleep(RESTART_AFTER_S)
            self.cluster.start()

    def wait_until_quiet(self, within_s: float = 600.0) -> None:
        """Return when nothing waits or runs: automations start runs of their own."""
        deadline = time.monotonic() + within_s
        while self.count_runs("SCHEDULED", "PENDING", "RUNNING"):
            assert time.monotonic() < deadline, f"runs do not end: {self.words_of('worker')}"
            time.sleep(1.0)

    def count_runs(self, *types: str) -> int:
        """Runs on the server whose state is of these types."""
        return int(self.ask("/flow_runs/count", {"flow_runs": {"state": {"type": {"any_": list(types)}}}}))

    def read(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        """Rows of the desk's lake."""
        with lake.open_reader(self.options.lake) as opened:
            return opened.read(statement, **params).to_pylist()

    def memory_bytes(self) -> dict[str, int]:
        """Resident memory of the processes that live long; a run's own process is none of them."""
        return {part: memory_of(process.pid)["Rss"] for part, process in self.processes.items()}

    def lake_bytes(self) -> dict[str, int]:
        """Bytes of the files that some snapshot names, of those that wait to be deleted, and of the catalog.

        Who fell out of use stays for half a day of the machine's time, for readers: here nothing is deleted in the end.
        """
        with self.cluster.server.connected(DATABASES["lake"]) as session:
            row = session.execute(
                "select (select coalesce(sum(file_size_bytes), 0) from ducklake_data_file)"
                " + (select coalesce(sum(file_size_bytes), 0) from ducklake_delete_file),"
                " pg_database_size(current_database())"
            ).fetchone()
        assert row is not None
        held = sum(file.stat().st_size for file in (self.options.lake.path / "data").rglob("*") if file.is_file())
        return {"files": int(row[0]), "waiting": held - int(row[0]), "catalog": int(row[1])}


@contextlib.contextmanager
def running_desk(
    folder: Path, simulator: RunningSimulator, free_port: Callable[[], int], variables: Mapping[str, str]
) -> Iterator[Desk]:
    """A desk whose three parts live until the block ends."""
    initdb = postgres_cluster.find_initdb()
    assert initdb is not None, "PostgreSQL is not installed: initdb is missing"
    with postgres_cluster.running(initdb, free_port()) as cluster:
        desk = Desk(folder, cluster, simulator, free_port, variables)
        try:
            for part in PARTS:
                desk.start(part)
            yield desk
        finally:
            desk.close()


def next_of(cron: str, timezone: str, after: datetime) -> datetime:
    """The first instant after another at which a schedule fires, by the class with which Prefect's scheduler asks."""
    start = (after + timedelta(minutes=1)).astimezone(ZoneInfo(timezone))
    return asyncio.run(CronSchedule(cron=cron, timezone=timezone).get_dates(1, start))[0].astimezone(UTC)


def answers(address: str) -> bool:
    """Whether something says that it lives."""
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, TimeoutError):
        return False


def descendants(process_id: int) -> list[int]:
    """Processes that a process started, and those that they did: flows run in sessions of their own."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything.
            fields = place.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(place.parent.name))
    found = list(children.get(process_id, []))
    for child in found:
        found.extend(children.get(child, []))
    return found


def memory_of(process_id: int) -> dict[str, int]:
    """Bytes of memory of a process: `Rss` resident, `Pss` with shared pages in shares, `Anonymous` without files."""
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()[1:]
    found = {name: int(words.split()[0]) * 1024 for name, _, words in (line.partition(":") for line in lines)}
    return {name: found[name] for name in ("Rss", "Pss", "Anonymous")}


def cpu_of_children(process_id: int) -> float:
    """Seconds of processors that the ended children of a process took."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def summary_of(runs: list[Ended]) -> dict[str, Any]:
    """Runs by flow and how they ended, with the median seconds."""
    found: dict[str, Any] = {}
    for flow in sorted({run.fire.flow for run in runs}):
        of_flow = [run for run in runs if run.fire.flow == flow]
        states = {state: sum(run.state == state for run in of_flow) for state in sorted({r.state for r in of_flow})}
        medians = {
            "median_s": statistics.median(run.seconds for run in of_flow),
            "median_cpu_s": statistics.median([run.cpu_s for run in of_flow if run.cpu_s] or [0.0]),
        }
        found[flow] = states | medians
    return found


def as_json(facts: Mapping[str, Any]) -> str:
    """Facts on one line."""
    return json.dumps(facts, default=lambda one: dataclasses.asdict(one) if dataclasses.is_dataclass(one) else str(one))
