"""The parts of `deploy/` at work together as their files say, on a real PostgreSQL, without containers.

Each runs with the commands and variables of the compose file, without capabilities and on a read-only root file system
where this machine lets a test arrange that, and as the image's user where that user may read this interpreter.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest
import yaml

from flows import prefect_api, vendors

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
PYTHONPATH = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
SERVICES = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
ROLES = str(DEPLOY / "postgres" / "roles.sql")
PASSWORDS = {name: f"planted '{name}'" for name in ("prefect_password", "lake_writer_password", "lake_reader_password")}
DOORS = {name: f"desk:planted-{name}" for name in ("prefect_auth", "reports_auth")}
IMAGE_USER = 10001
# Everything read-only but the folders that are named before the command; no rights beyond the user's own.
LOCKED_UP = """
set -eu
mount --make-rprivate /
writable=
while [ "$1" != -- ]; do
    mount --bind "$1" "$1"
    [ "$2" = rw ] || mount -o remount,bind,ro "$1"
    writable="$writable $1"
    shift 2
done
shift
awk '{ print $2 }' /proc/self/mounts | while read -r place; do
    case "$place $writable " in /proc*|/sys*|/dev*) continue ;; esac
    case " $writable " in *" $place "*) continue ;; esac
    mount -o remount,bind,ro "$place" || true
done
if touch /usr/daybook-probe 2>/dev/null; then echo "the root is not read-only" >&2; exit 99; fi
exec setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups --no-new-privs \\
    --inh-caps=-all --bounding-set=-all "$@"
"""


def user_of_processes():
    """The image's user, where it may read this interpreter and these files; else this process's own."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return os.geteuid()
    # A shell between them, because the first program is still started with the rights of before.
    switched = ["setpriv", f"--reuid={IMAGE_USER}", f"--regid={IMAGE_USER}", "--clear-groups", "sh", "-c"]
    tried = [*switched, '"$0" -c "import flows.cli"', sys.executable]
    done = subprocess.run(tried, cwd="/", env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    return os.geteuid() if done.returncode else IMAGE_USER


class Parts:
    """Processes of the parts, started as the compose file says."""

    def __init__(self, folder, variables):
        self.folder, self.variables, self.processes, self.logs = folder, variables, {}, contextlib.ExitStack()
        self.is_locked_up = os.geteuid() == 0 and shutil.which("unshare") and shutil.which("setpriv")

    def environment(self, part):
        given = {name: self.here(str(value)) for name, value in SERVICES[part]["environment"].items()}
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("DAYBOOK", "PREFECT"))}
        places = {name: str(self.folder / "tmp") for name in ("HOME", "TMPDIR", "NUMBA_CACHE_DIR")}
        return (
            plain | places | {"PYTHONPATH": PYTHONPATH, "PYTHONDONTWRITEBYTECODE": "1"} | given | self.variables(part)
        )

    def here(self, value):
        """A value of the compose file with this machine's addresses."""
        value = value.replace("host=db", f"host=127.0.0.1 port={self.ports['db']}")
        value = re.sub(r"^db$", "127.0.0.1", value).replace("5432", str(self.ports["db"]))
        return value.replace("server:4200", f"127.0.0.1:{self.ports['server']}")

    def command(self, part, line):
        called = [sys.executable, "-m", *line]
        if not self.is_locked_up:
            return called
        home = [str(self.folder / "home"), "ro" if part == "reports" else "rw"]
        locked_up = f"USER_ID={self.folder.joinpath('home').stat().st_uid}\n{LOCKED_UP}"
        return ["unshare", "--mount", "sh", "-c", locked_up, "sh", *home, str(self.folder / "tmp"), "rw", "--", *called]

    def start(self, part):
        log = self.logs.enter_context((self.folder / f"{part}.log").open("w"))
        self.processes[part] = subprocess.Popen(
            self.command(part, ["flows.cli", *SERVICES[part]["command"]]),
            env=self.environment(part),
            cwd=self.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.wait_for(lambda: self.check(part) == 0, f"{part} to pass its health check")

    def check(self, part):
        """The health check of the compose file; every process must be there still."""
        for name, process in self.processes.items():
            assert process.poll() is None, (self.folder / f"{name}.log").read_text()
        line = SERVICES[part]["healthcheck"]["test"][2:]
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *line], env=self.environment(part), capture_output=True, check=False
        )
        return done.returncode

    def wait_for(self, is_so, what, seconds=180):
        deadline = time.monotonic() + seconds
        while not is_so():
            logs = {path.name: path.read_text()[-3000:] for path in self.folder.glob("*.log")}
            assert time.monotonic() < deadline, f"waited for {what}: {logs}"
            time.sleep(0.5)

    def stop(self, part):
        process = self.processes.pop(part)
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(timeout=60)
        finally:
            process.kill()

    def ask(self, path, **body):
        return prefect_api.ask(f"http://127.0.0.1:{self.ports['server']}/api", path, body, auth=DOORS["prefect_auth"])

    def read(self, path, auth=DOORS["reports_auth"]):
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports['reports']}{path}")
        if auth:
            request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def run(self, deployment, **parameters):
        """A run of a deployment, ended; the name of its state."""
        found = {one["name"]: one["id"] for one in self.ask("/deployments/filter")}
        made = self.ask(f"/deployments/{found[deployment]}/create_flow_run", parameters=parameters)
        ids = {"id": {"any_": [made["id"]]}}
        self.wait_for(lambda: self.ask("/flow_runs/filter", flow_runs=ids)[0]["end_time"], f"{deployment} to end")
        state = self.ask("/flow_runs/filter", flow_runs=ids)[0]["state"]
        return state["name"], state["message"]


@pytest.fixture
def folder():
    """One that another user may enter."""
    made = Path(tempfile.mkdtemp(prefix="daybook-parts-"))
    made.chmod(0o755)
    user = user_of_processes()
    for name in ("home", "tmp", "secrets"):
        (made / name).mkdir()
        if os.geteuid() == 0:
            os.chown(made / name, user, user)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def parts(folder, postgres, free_port, truth30):
    ports = {name: free_port() for name in ("server", "worker", "reports")} | {"db": postgres.port}
    for name, word in PASSWORDS.items():
        (folder / "secrets" / name).write_text(word)
    subprocess.run(
        ["psql", "-X", "-q", "-d", postgres.conninfo("postgres"), "-v", f"secrets={folder / 'secrets'}", "-f", ROLES],
        env=os.environ | {"PGPASSWORD": postgres.password},
        check=True,
    )
    with contextlib.ExitStack() as stack:
        vendor = stack.enter_context(vendors.running(truth30, vendors.evening_of(truth30.session_dates[16])))
        simulated = vendors.environment(vendor, folder / "home")
        token = simulated.pop("DAYBOOK__TUSHARE_TOKEN", None) or simulated.pop("TUSHARE_TOKEN")

        def variables(part):
            secrets = folder / "secrets" / part
            secrets.mkdir(exist_ok=True)
            for one in SERVICES[part]["secrets"]:
                source, target = (one, one) if isinstance(one, str) else (one["source"], one["target"])
                (secrets / target).write_text((PASSWORDS | DOORS).get(source, token))
            own = {f"DAYBOOK__{name}_PORT": str(ports[name]) for name in ("worker", "reports")}
            own |= {"DAYBOOK__PREFECT_PORT": str(ports["server"]), "DAYBOOK__SECRETS_DIR": str(secrets)}
            own |= {"DAYBOOK__HISTORY_START": str(truth30.session_dates[11])}
            return (simulated if part == "worker" else {}) | own | {"DAYBOOK__HOME": str(folder / "home")}

        made = Parts(folder, variables)
        made.ports = ports
        yield made
        for part in list(made.processes):
            made.processes[part].send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                made.processes[part].wait(timeout=30)
            made.processes[part].kill()
        made.logs.close()
    with postgres.connected() as session:
        for database in ("daybook", "prefect"):
            session.execute(f"drop database {database} with (force)")
        for role in ("prefect", "daybook_writer", "daybook_reader"):
            session.execute(f"drop role {role}")


def test_parts_of_the_compose_file_do_the_work_together(parts, postgres, truth30):
    for part in ("server", "worker", "reports"):
        parts.start(part)
    ended, message = parts.run("by-hand", start=str(truth30.session_dates[14]), end=str(truth30.session_dates[15]))

    with psycopg.connect(postgres.conninfo("prefect"), password=postgres.password) as session:
        n_runs = session.execute("select count(*) from flow_run where state_type = 'COMPLETED'").fetchone()[0]
    status, figures = parts.read("/metrics")

    assert ended == "Completed", message
    assert n_runs >= 1
    assert parts.read("/readyz") == (200, "ready\n")
    assert (parts.read("/healthz", auth="")[0], parts.read("/metrics", auth="")[0]) == (200, 401)
    assert status == 200 and "daybook_lake_up 1.0" in figures
    assert 'daybook_dataset_partitions{dataset="market.daily",state="ok"} 2.0' in figures
    assert {part: parts.stop(part) for part in ("reports", "worker")} == {"reports": 0, "worker": 0}
    for log in parts.folder.glob("*.log"):
        assert not any(word in log.read_text() for word in (*PASSWORDS.values(), "planted-prefect", "planted-reports"))


def test_flows_for_workers_run_on_a_worker_of_prefect(parts):
    parts.start("server")
    environment = parts.environment("worker") | {
        "PREFECT_API_URL": f"http://127.0.0.1:{parts.ports['server']}/api",
        "PREFECT_API_AUTH_STRING": DOORS["prefect_auth"],
        "PREFECT_HOME": str(parts.folder / "tmp"),
    }

    def prefect(*line):
        subprocess.run([sys.executable, "-m", "prefect", *line], cwd=ROOT, env=environment, check=True)

    prefect("--no-prompt", "work-pool", "create", "daybook", "--type", "process")
    prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deploy/prefect.yaml")
    automations = {one["name"]: one["trigger"]["posture"] for one in parts.ask("/automations/filter")}
    worker = subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "daybook"],
        cwd=parts.folder,
        env=environment,
        stdout=parts.logs.enter_context((parts.folder / "pool.log").open("w")),
        stderr=subprocess.STDOUT,
    )
    try:
        ended, message = parts.run("morning")
    finally:
        worker.send_signal(signal.SIGINT)
        worker.wait(timeout=60)

    assert ended == "Completed", message
    assert automations == {
        "daybook: a run failed": "Reactive",
        "daybook: a run is late": "Proactive",
        "daybook: an alert of high severity": "Reactive",
    }
