"""Prefect's server and its schedules, on loopback.

The server's database lies in Daybook's home, so runs made without a server running are shown by the next one. Partner:
`flows/report_server.py`, which stands beside it under `daybook serve`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from flows import settings
from warehouse import errors

SERVER_START_S = 90.0
OUR_LOGGERS = "flows,warehouse,models,reports"


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
        # Without it the pages of the UI look for the API at port 4200, whatever port they came from.
        "PREFECT_SERVER_UI_API_URL": "/api",
    }


def api_url(options: settings.Settings) -> str:
    """Address of the Prefect API that `daybook serve` starts."""
    return f"http://127.0.0.1:{options.prefect_port}/api"


def is_server_up(options: settings.Settings) -> bool:
    """Whether the Prefect server of `daybook serve` answers."""
    try:
        with urllib.request.urlopen(f"{api_url(options)}/health", timeout=1.0) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


@contextlib.contextmanager
def prefect_server(options: settings.Settings) -> Iterator[str]:
    """A Prefect server on loopback; the address of its UI.

    Raises:
        ConfigError: the port is taken, or the server does not come up.
    """
    refuse_taken(options.prefect_port, "DAYBOOK__PREFECT_PORT")
    variables = os.environ | prefect_environment(options.root)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    options.prefect_path.mkdir(parents=True, exist_ok=True)
    log_path = options.prefect_path / "server.log"
    with log_path.open("ab") as log_file:
        process = subprocess.Popen(
            [*command, "--port", str(options.prefect_port)], env=variables, stdout=log_file, stderr=log_file
        )
        try:
            _wait_until_up(options, process, log_path)
            yield f"http://127.0.0.1:{options.prefect_port}"
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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
    """
    variables = prefect_environment(options.root) | extra | {"PREFECT_API_URL": api_url(options)}
    with settings.variables_set(variables):
        import prefect

        from flows import deployments

        prefect.serve(*deployments.deployments(), print_starting_message=False)
