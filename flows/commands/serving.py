"""The commands that stay up, and the one that looks whether they can: simulate, serve, doctor."""

from __future__ import annotations

import contextlib
import enum
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import terminal


class Part(enum.Enum):
    """What `daybook serve` is made of, as a command line names it."""

    SERVER = "server"
    WORKER = "worker"
    REPORTS = "reports"


def simulate(
    data: Annotated[Path | None, typer.Option(help="Folder of real vendor data; default a synthetic market.")] = None,
    symbols: Annotated[int | None, typer.Option(min=20, help="Securities to serve.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 0,
    at: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Evening the clock stands at.")] = None,
) -> None:
    """Run the simulated vendors until interrupted, and print the variables that point Daybook at them."""
    from flows import vendors

    if data is not None and not data.is_dir():
        raise terminal.config_error(f"there is no folder {data}. Give --data a folder of vendor data, or leave it out.")
    truth = vendors.SimulatedVendors(data.resolve() if data else None, symbols).truth()
    day = at.date() if at else truth.session_dates[-1]
    with vendors.running(truth, vendors.evening_of(day), port=port) as running:
        for name, value in vendors.environment(running, terminal.read_settings().root).items():
            print(f"export {name}={value}", flush=True)
        terminal.wait_for_interrupt()


def serve(
    demo: Annotated[bool, typer.Option("--demo", help="Serve the demo's home, its vendors simulated.")] = False,
    only: Annotated[Part | None, typer.Option(help="Serve one part, where each has a place of its own.")] = None,
) -> None:
    """Start Prefect's server, its schedules and the reports on loopback, until interrupted.

    With DAYBOOK__PREFECT_API_URL a server that is kept elsewhere is used, and none is started.
    """
    from flows import demo as demo_flow
    from flows import report_server, serving

    if demo and only:
        raise terminal.config_error("--demo serves all parts. Leave --only out.")
    options = terminal.read_settings()
    if only is Part.SERVER:
        serving.become_server(options)
    with contextlib.ExitStack() as stack:
        extra = {"DAYBOOK__HOME": str(options.root)}
        if demo:
            extra = stack.enter_context(demo_flow.simulated_home(options)) | {"DAYBOOK__PREFECT_API_URL": ""}
            stack.enter_context(serving.variables_set(extra))
            terminal.OPTIONS.clear()
            options = terminal.read_settings()
        ui = options.prefect_api.removesuffix("/api")
        if only is None and not options.prefect_api_url:
            ui = stack.enter_context(serving.prefect_server(options))
        print(f"Prefect UI  {ui}", flush=True)
        if only is not Part.WORKER:
            print(f"reports     {stack.enter_context(report_server.report_server(options))}", flush=True)
        print("Stop with Ctrl-C.", flush=True)
        if only is Part.REPORTS:
            terminal.wait_for_interrupt()
            return
        serving.serve_deployments(options, extra | (serving.life_of_worker(options) if only else {}))


def doctor(
    env_template: Annotated[bool, typer.Option("--env-template", help="Print every variable for a .env file.")] = False,
    alive: Annotated[Part | None, typer.Option(help="Only ask whether this part of `serve` lives here.")] = None,
) -> None:
    """Look whether this installation can do its work: versions, extensions, paths, keys, vendors."""
    if alive:
        from flows import serving

        serving.refuse_dead(terminal.read_settings(), alive.value)
        print(f"{alive.value}: alive")
        return
    from flows import doctor as examination

    if env_template:
        print(examination.environment_template())
        return
    options = terminal.read_settings()
    facts = examination.examine(options)
    for fact in facts:
        mark = {True: "ok ", False: "BAD", None: "   "}[fact.is_good]
        print(f"{mark} {fact.topic:26} {fact.found}" + (f"\n    -> {fact.advice}" if fact.is_good is False else ""))
    print("\nsettings that are not the default (`--env-template` prints all)")
    for variable, value, origin in examination.effective_settings(options):
        if origin != "default":
            print(f"    {variable:36} {value}")
    n_bad = sum(fact.is_good is False for fact in facts)
    if n_bad:
        raise terminal.config_error(
            f"{n_bad} of {len(facts)} things need attention; each line marked BAD says what to do."
        )
