"""The `daybook` command: parse, build settings, call a step, show what came of it.

The only place that prints. Heavy libraries are imported inside the commands that need them, so that `--help` is quick.
An error Daybook foresaw is one line on stderr and an exit status by its class; anything else is our bug and shows its
traceback.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from flows import ingest, settings, steps
    from flows.context import Context

app = typer.Typer(
    name="daybook",
    help="A quant desk's daily book: FRED and Tushare in, factors, forecasts, reports and alerts out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
UNFOLDED_WIDTH = 400
_options: dict[str, Any] = {}


class Form(enum.StrEnum):
    """How rows of a query are shown."""

    table = "table"
    csv = "csv"
    json = "json"


@app.callback()
def _common(
    home: Annotated[Path | None, typer.Option(help="Folder of everything Daybook keeps.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to stderr.")] = False,
) -> None:
    _options.clear()
    if home is not None:
        _options["home"] = home
    # Our loggers pass INFO on for Prefect; on the terminal the handler decides.
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.INFO if verbose else logging.ERROR)
    logging.basicConfig(handlers=[handler], format="%(asctime)s %(name)s: %(message)s")


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="Folder of real vendor data; default a synthetic market.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Evenings to run.")] = 2,
    symbols: Annotated[int | None, typer.Option(min=20, help="Securities to serve.")] = None,
    prefect: Annotated[bool, typer.Option(help="Run the evenings through Prefect, so that its UI shows them.")] = True,
) -> None:
    """Run the whole house on simulated vendors: no key, no network."""
    from flows import demo as demo_flow
    from flows import vendors

    if data is not None and not data.is_dir():
        raise _config_error(f"there is no folder {data}. Give --data a folder of vendor data, or leave it out.")
    options = _settings()
    simulated = vendors.SimulatedVendors(data.resolve() if data else None, symbols)
    with _progress() as progress:
        outcome = demo_flow.run_demo(options, simulated, days, through_prefect=prefect, progress=progress)
    print(f"report      {outcome.report}")
    print(f"all days    {outcome.report.parent / 'index.html'}")
    print("Prefect UI  `daybook serve --demo`, then http://127.0.0.1:" + f"{options.prefect_port}/runs")
    print(f"try next    daybook --home {outcome.home} status")
    print(f'            daybook --home {outcome.home} sql "from analyst.market_day order by trade_date desc limit 5"')
    print()
    _print_summary(outcome.home)
    if outcome.gap:
        print(f"\nThe last evening is not whole: {outcome.gap}")


@app.command()
def run(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day; default the newest published.")
    ] = None,
) -> None:
    """Run the daily flow against the configured vendors."""
    from flows import steps

    options = _settings()
    if options.tushare_token is None:
        print("TUSHARE_TOKEN is not set: running the macro half only.")
    day = as_of.date() if as_of else None
    context = steps.open_context(options, "daily", day)
    day = steps.resolve_as_of(context, day)
    with _progress() as progress:
        facts = _run_daily(options, context, day, progress)
    for key, value in facts.items():
        print(f"{key.replace('_', ' '):24} {value}")


def _run_daily(options: settings.Settings, context: Context, day: date, progress: ingest.Progress) -> steps.Facts:
    """Through Prefect when `daybook serve` is up, so that its UI shows the run; else in this process."""
    from flows import serving, settings, steps

    if not serving.is_server_up(options):
        return steps.run_daily(context, day, steps.call_directly(progress))
    variables = serving.prefect_environment(options.root) | {"PREFECT_API_URL": serving.api_url(options)}
    with settings.variables_set(variables | {"DAYBOOK__HOME": str(options.root)}):
        from flows import deployments

        facts: steps.Facts = deployments.daily(as_of=day)
        return facts


@app.command()
def backfill(
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First session.")],
    end: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last session; default newest.")
    ] = None,
) -> None:
    """Load every session that is not whole, and what follows from it."""
    from flows import clock, steps

    options = _settings()
    last = end.date() if end else clock.market_date(clock.read_now(options.clock_url))
    context = steps.open_context(options, "backfill", last)
    with _progress() as progress:
        facts = steps.backfill(context, start.date(), last, progress)
    for key, value in facts.items():
        print(f"{key.replace('_', ' '):24} {value}")
    n_not_whole = facts.get("sessions_not_whole", 0) + facts["series_not_whole"]
    if n_not_whole:
        from warehouse import errors

        raise errors.PartialData(
            f"the backfill to {last} left {n_not_whole} partitions not whole. See `daybook status`, and run it again."
        )


@app.command()
def refit(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day; default the newest published.")
    ] = None,
) -> None:
    """Fit every model again, on what was known by a day."""
    from flows import scoring, steps

    context = steps.open_context(_settings(), "refit", as_of.date() if as_of else None)
    day = steps.resolve_as_of(context, as_of.date() if as_of else None)
    fitted = scoring.refit(context, day)
    print(
        "\n".join(f"fitted {version}" for version in fitted) or f"Nothing could be fitted as of {day}: too little data."
    )


@app.command()
def report(
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day; default the last one run.")] = None,
) -> None:
    """Build a day's report again, from the snapshot its run published."""
    from flows import publishing, steps

    options = _settings()
    context = steps.open_context(options, "daily", as_of.date() if as_of else None)
    day = as_of.date() if as_of else None
    if day is None:
        with context.reader() as lake:
            day = lake.read_value("select max(as_of_date) from ops.run where flow = 'daily' and snapshot is not null")
    if day is None:
        raise _config_error("no run has published a report yet. Run `daybook run` first.")
    print(publishing.rebuild(context, day))


@app.command()
def status(
    code: Annotated[str | None, typer.Argument(help="A ts_code or series_id, for what is known about it.")] = None,
) -> None:
    """What is known to what date, gaps, last runs, open alerts."""
    from flows import overview
    from warehouse import lake

    options = _settings()
    with lake.open_reader(options.lake) as opened:
        tables = overview.read_code(opened, code) if code else overview.read_overview(opened)
    for title, rows in tables.items():
        if rows.num_rows:
            _print_table(rows, title)
        else:
            print(f"{title}: none")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; the analyst's views are in schema `analyst`.")],
    form: Annotated[Form, typer.Option("--format", help="How the rows are shown.")] = Form.table,
) -> None:
    """Ask the lake, read-only, while flows write."""
    from warehouse import lake

    with lake.open_reader(_settings().lake) as opened:
        rows = opened.read(query)
    if form is Form.csv:
        print(rows.to_pandas().to_csv(index=False), end="")
    elif form is Form.json:
        print(rows.to_pandas().to_json(orient="records", date_format="iso", force_ascii=False))
    else:
        _print_table(rows, f"{rows.num_rows} rows")


@app.command()
def simulate(
    data: Annotated[Path | None, typer.Option(help="Folder of real vendor data; default a synthetic market.")] = None,
    symbols: Annotated[int | None, typer.Option(min=20, help="Securities to serve.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 0,
    at: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Evening the clock stands at.")] = None,
) -> None:
    """Run the simulated vendors until interrupted, and print the variables that point Daybook at them."""
    from flows import vendors

    if data is not None and not data.is_dir():
        raise _config_error(f"there is no folder {data}. Give --data a folder of vendor data, or leave it out.")
    truth = vendors.SimulatedVendors(data.resolve() if data else None, symbols).truth()
    day = at.date() if at else truth.session_dates[-1]
    with vendors.running(truth, vendors.evening_of(day), port=port) as running:
        for name, value in vendors.environment(running, _settings().root).items():
            print(f"export {name}={value}", flush=True)
        _wait_for_interrupt()


@app.command()
def serve(
    demo: Annotated[bool, typer.Option("--demo", help="Serve the demo's home, its vendors simulated.")] = False,
) -> None:
    """Start Prefect's server, its schedules and the reports on loopback, until interrupted."""
    from flows import demo as demo_flow
    from flows import serving
    from flows import settings as environment

    options = _settings()
    with contextlib.ExitStack() as stack:
        extra = {"DAYBOOK__HOME": str(options.root)}
        if demo:
            extra = stack.enter_context(demo_flow.simulated_home(options))
            stack.enter_context(environment.variables_set(extra))
            _options.clear()
            options = _settings()
        ui = stack.enter_context(serving.prefect_server(options))
        reports = stack.enter_context(serving.report_server(options))
        print(f"Prefect UI  {ui}\nreports     {reports}\nStop with Ctrl-C.", flush=True)
        serving.serve_deployments(options, extra)


@app.command()
def doctor(
    env_template: Annotated[bool, typer.Option("--env-template", help="Print every variable for a .env file.")] = False,
) -> None:
    """Look whether this installation can do its work: versions, extensions, paths, keys, vendors."""
    from flows import doctor as examination

    if env_template:
        print(examination.environment_template())
        return
    options = _settings()
    facts = examination.examine(options)
    for fact in facts:
        mark = {True: "ok ", False: "BAD", None: "   "}[fact.is_good]
        print(f"{mark} {fact.topic:26} {fact.found}" + (f"\n    -> {fact.advice}" if fact.is_good is False else ""))
    print("\nsettings")
    for variable, value, origin in examination.effective_settings(options):
        print(f"    {variable:36} {value}  ({origin})")
    n_bad = sum(fact.is_good is False for fact in facts)
    if n_bad:
        raise _config_error(f"{n_bad} of {len(facts)} things need attention; each line marked BAD says what to do.")


def _settings() -> settings.Settings:
    from flows import settings

    return settings.read_settings(**_options)


def _config_error(message: str) -> Exception:
    from warehouse import errors

    return errors.ConfigError(message)


def _wait_for_interrupt() -> None:
    stop = threading.Event()
    # SIGINT too: a shell starts background commands with it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


@contextlib.contextmanager
def _progress() -> Iterator[ingest.Progress]:
    """A progress bar on stderr; one line a topic when stderr is not a terminal."""
    from rich import console, progress

    screen = console.Console(stderr=True)
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=screen) as bar:
        tasks: dict[str, progress.TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks or (bar.tasks[tasks[what]].finished and done < total):
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def _print_summary(home: Path) -> None:
    from flows import overview, settings
    from warehouse import lake

    with lake.open_reader(settings.read_settings(home=home).lake) as opened:
        for title, rows in overview.read_summary(opened).items():
            _print_table(rows, title)


def _print_table(rows: pa.Table, title: str) -> None:
    from rich import console, table

    shown = table.Table(title=title, title_justify="left", header_style="bold")
    for name in rows.column_names:
        shown.add_column(name, overflow="fold")
    for row in rows.to_pylist():
        shown.add_row(
            *(
                "-" if value is None else _number(value) if isinstance(value, float) else str(value)
                for value in row.values()
            )
        )
    # Only a terminal has an edge to fold at.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else UNFOLDED_WIDTH
    console.Console(soft_wrap=False, width=width).print(shown)


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"


def main() -> None:
    """Run the command; exit 0, 2 for a wrong command line, or by the error's class (see `warehouse/errors.py`)."""
    from warehouse import errors

    try:
        status = app(standalone_mode=False)
    except typer.Abort:
        print("daybook: interrupted.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except typer.TyperException as exc:
        _exit_usage(exc)
    except KeyboardInterrupt:
        print("daybook: interrupted.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except errors.DaybookError as exc:
        print(f"daybook: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    sys.exit(status if isinstance(status, int) else 0)


def _exit_usage(exc: typer.TyperException) -> None:
    """One line about a wrong command line; the help itself when nothing was asked."""
    message = " ".join(exc.format_message().split()) if hasattr(exc, "format_message") else str(exc)
    context = getattr(exc, "ctx", None)
    if type(exc).__name__ == "NoArgsIsHelpError" and context is not None:
        print(context.get_help())
        sys.exit(0)
    print(f"daybook: {message} See `{context.command_path if context else 'daybook'} --help`.", file=sys.stderr)
    sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
