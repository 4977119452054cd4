"""Prefect's server, and the worker that runs what falls due: together on loopback, or each in a place of its own.

The server's database lies in Daybook's home, so runs made without a server running are shown by the next one; a server
kept elsewhere is told by `DAYBOOK__PREFECT_API_URL`. Partner: `flows/report_server.py`, which stands beside them under
`daybook serve`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from flows import listening, prefect_api, settings
from warehouse import errors

SERVER_START_S = 90.0
# A run's process is started so long before it is due, so that what it imports is there when it is.
PREFETCH_S = 30.0
DEPLOYMENTS_ASKED = 200
OUR_LOGGERS = "flows,warehouse,models,reports"
LOOPBACK = listening.LOOPBACK
SERVER, WORKER, REPORTS = "server", "worker", "reports"


def prefect_environment(home: Path) -> dict[str, str]:
    """Variables under which Prefect keeps to itself: own database, no telemetry, our loggers forwarded.

    They must be set before Prefect is imported.
    """
    return {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        # Twenty seconds, the default, are too few on a machine that is busy with something else.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_LOGGING_EXTRA_LOGGERS": OUR_LOGGERS,
        # Our loggers also speak outside of runs, where Prefect has nowhere to put it.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "PREFECT_CLI_COLORS": "false",
        # What a server says whose database is away for a moment, or takes no connection in time. A run that asks again
        # goes on, one that does not is lost; at worst an artifact is made twice.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
        # Without it the pages of the UI look for the API at port 4200, whatever port they came from.
        "PREFECT_SERVER_UI_API_URL": "/api",
    }


def server_environment(options: settings.Settings) -> dict[str, str]:
    """Variables of the process of Prefect's server, its database's password among them."""
    own = ",".join(f"http://{host}:{options.prefect_port}" for host in (LOOPBACK, "localhost"))
    return prefect_environment(options.root) | {
        # Prefect copies its pages beside its code otherwise, which a service may not write to.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(options.prefect_path / "ui"),
        # By default a page of any site that is open in a browser here may read the API's answers, and post to it.
        # Neither keeps it from WebSockets, which a password does: docs/security.md.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": own,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        # Five and ten seconds, the defaults, are too few on a machine that is busy with the evening's run.
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        **options.prefect_secrets,
    }


def is_server_up(options: settings.Settings) -> bool:
    """Whether the Prefect server answers that flows are told to."""
    return prefect_api.is_up(f"{options.prefect_api}/health")


def refuse_dead(options: settings.Settings, part: str) -> None:
    """Nothing when a part of `daybook serve` on this machine says that it lives.

    Raises:
        ConfigError: it does not.
    """
    address = {
        SERVER: f"http://{LOOPBACK}:{options.prefect_port}/api/health",
        WORKER: f"http://{LOOPBACK}:{options.worker_port}/health",
        REPORTS: f"http://{LOOPBACK}:{options.reports_port}/healthz",
    }[part]
    if not prefect_api.is_up(address):
        raise errors.ConfigError(f"`{part}` of `daybook serve` does not answer at {address}. Look at its log.")


def refuse_locked_out(options: settings.Settings) -> None:
    """Nothing when the Prefect server takes what this installation asks.

    Raises:
        ConfigError: it does not answer, or asks for another user and password.
    """
    try:
        reason = prefect_api.why_refused(options)
    except prefect_api.UNREACHABLE:
        reason = f"no Prefect server answers at {options.prefect_api}. Start it, or mend DAYBOOK__PREFECT_API_URL."
    if reason:
        raise errors.ConfigError(reason)


def _refuse_server(options: settings.Settings) -> None:
    """Nothing when a Prefect server may listen here."""
    options.refuse_open("Prefect's server", "DAYBOOK__PREFECT_AUTH")
    refuse_taken(options.prefect_port, "DAYBOOK__PREFECT_PORT")


@contextlib.contextmanager
def prefect_server(options: settings.Settings) -> Iterator[str]:
    """A Prefect server on loopback; the address of its UI.

    Raises:
        ConfigError: the port is taken, anybody could enter, or the server does not come up.
    """
    _refuse_server(options)
    make_folder(options.prefect_path)
    log_path = options.prefect_path / "server.log"
    with log_path.open("ab") as log_file:
        process = subprocess.Popen(
            _server_command(options),
            env=os.environ | server_environment(options),
            stdout=log_file,
            stderr=log_file,
        )
        try:
            _wait_until_up(options, process, log_path)
            yield f"http://{LOOPBACK}:{options.prefect_port}"
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def become_server(options: settings.Settings) -> NoReturn:
    """Prefect's server in place of this process, so that whoever started it sees it end.

    Raises:
        ConfigError: the port is taken, or anybody could enter.
    """
    _refuse_server(options)
    make_folder(options.prefect_path)
    os.execve(sys.executable, _server_command(options), os.environ | server_environment(options))


def _server_command(options: settings.Settings) -> list[str]:
    where = ["--host", options.serve_host, "--port", str(options.prefect_port)]
    return [sys.executable, "-m", "prefect", "server", "start", *where]


def make_folder(path: Path) -> None:
    """A folder of the home, where it is not there yet.

    Raises:
        ConfigError: it cannot be made, as where the home is mounted for reading only.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise errors.ConfigError(
            f"the folder {path} is not there and cannot be made: {exc.strerror}. Mend the rights of the home; where it"
            " can only be read, start the worker first, which makes it."
        ) from None


def _wait_until_up(options: settings.Settings, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + SERVER_START_S
    while time.monotonic() < deadline and process.poll() is None:
        if is_server_up(options):
            return
        time.sleep(0.3)
    raise errors.ConfigError(
        f"the Prefect server did not come up on port {options.prefect_port}. Its own words are in {log_path}."
    )


def refuse_taken(port: int, variable: str) -> None:
    """Nothing when a port is free.

    Raises:
        ConfigError: another program has it.
    """
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise errors.ConfigError(
                f"port {port} is taken by another program. Stop that, or set {variable} to another port."
            )


def serve_deployments(options: settings.Settings, extra: dict[str, str]) -> None:
    """Offer the deployments and run what falls due, until interrupted.

    Args:
        options: the settings.
        extra: more variables for the flows' processes, such as those of simulated vendors.

    Raises:
        ConfigError: the server does not answer or asks for another password, or the home cannot be written to.
    """
    refuse_locked_out(options)
    # A report server that may only read the home waits for it.
    make_folder(options.reports_path)
    variables = prefect_environment(options.root) | extra | options.prefect_access
    with variables_set(variables):
        import prefect

        from flows import cut_runs, deployments

        cut_runs.end_cut_runs()
        offered = deployments.deployments(paused_schedules(options))
        prefect.serve(*offered, print_starting_message=False, prefetch_seconds=PREFETCH_S)


def paused_schedules(options: settings.Settings) -> set[str]:
    """Names of deployments whose schedule somebody has paused: to offer them again would set it going.

    Raises:
        ConfigError: the server does not tell.
    """
    try:
        offered = prefect_api.ask_patiently(options, "/deployments/filter", {"limit": DEPLOYMENTS_ASKED})
    except prefect_api.UNREACHABLE as exc:
        raise errors.ConfigError(
            f"Prefect's server at {options.prefect_api} does not tell its deployments: {exc}."
        ) from None
    return {one["name"] for one in offered if any(not schedule["active"] for schedule in one["schedules"])}


def life_of_worker(options: settings.Settings) -> dict[str, str]:
    """Variables under which a worker says on loopback whether it asks for work.

    Raises:
        ConfigError: the port is taken.
    """
    refuse_taken(options.worker_port, "DAYBOOK__WORKER_PORT")
    return {
        "PREFECT_RUNNER_SERVER_ENABLE": "true",
        "PREFECT_RUNNER_SERVER_HOST": LOOPBACK,
        "PREFECT_RUNNER_SERVER_PORT": str(options.worker_port),
        # Asked before it first looked for work, it would print a traceback each time.
        "PREFECT_RUNNER_SERVER_LOG_LEVEL": "CRITICAL",
    }


@contextlib.contextmanager
def variables_set(variables: dict[str, str]) -> Iterator[None]:
    """This process's environment with some variables set, as before afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
