"""The commands that do the work: demo, run, backfill, refit. Partner: `flows/steps.py`."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands import terminal

if TYPE_CHECKING:
    from flows import ingest, settings, steps
    from flows.context import Context


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
        raise terminal.config_error(f"there is no folder {data}. Give --data a folder of vendor data, or leave it out.")
    options = terminal.read_settings()
    simulated = vendors.SimulatedVendors(data.resolve() if data else None, symbols)
    with terminal.progress() as progress:
        outcome = demo_flow.run_demo(options, simulated, days, through_prefect=prefect, progress=progress)
    terminal.print_summary(outcome.home)
    if outcome.gap:
        print(f"\nThe last evening is not whole: {outcome.gap}")
    print(f"\nreport      {outcome.report}")
    print(f"all days    {outcome.report.parent / 'index.html'}")
    print("Prefect UI  `daybook serve --demo`, then http://127.0.0.1:" + f"{options.prefect_port}/runs")
    print(f"try next    daybook --home {outcome.home} status")
    print(f'            daybook --home {outcome.home} sql "from analyst.market_day order by trade_date desc limit 5"')


def run(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day; default the newest published.")
    ] = None,
) -> None:
    """Run the daily flow against the configured vendors, after the evenings that were missed."""
    from flows import steps

    options = terminal.read_settings()
    if options.tushare_token is None:
        print("TUSHARE_TOKEN is not set: running the macro half only.")
    day = as_of.date() if as_of else None
    context = steps.open_context(options, "daily", day)
    day = steps.resolve_as_of(context, day)
    with terminal.progress() as progress:
        if as_of is None:
            steps.catch_up(
                context,
                day,
                lambda missed: _run_daily(options, steps.open_context(options, "daily", missed), missed, progress),
            )
        facts = _run_daily(options, context, day, progress)
    for key, value in facts.items():
        print(f"{key.replace('_', ' '):24} {value}")


def _run_daily(options: settings.Settings, context: Context, day: date, progress: ingest.Progress) -> steps.Facts:
    """Through Prefect when `daybook serve` is up, so that its UI shows the run; else in this process."""
    from flows import serving, steps

    if not serving.is_server_up(options):
        return steps.run_daily(context, day, steps.call_directly(progress))
    serving.refuse_locked_out(options)
    variables = serving.prefect_environment(options.root) | options.prefect_access
    with serving.variables_set(variables | {"DAYBOOK__HOME": str(options.root)}):
        from flows import deployments

        facts: steps.Facts = deployments.daily(as_of=day)
        return facts


def backfill(
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First session.")],
    end: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last session; default newest.")
    ] = None,
) -> None:
    """Load every session that is not whole, and what follows from it."""
    from flows import clock, steps

    options = terminal.read_settings()
    last = end.date() if end else clock.market_date(clock.read_now(options.clock_url))
    context = steps.open_context(options, "backfill", last)
    with terminal.progress() as progress:
        facts = steps.backfill(context, start.date(), last, progress)
    for key, value in facts.items():
        print(f"{key.replace('_', ' '):24} {value}")
    steps.refuse_not_whole(f"the backfill to {last}", facts)


def refit(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day; default the newest published.")
    ] = None,
) -> None:
    """Fit every model again, on what was known by a day."""
    from flows import promoting, scoring, steps

    context = steps.open_context(terminal.read_settings(), "refit", as_of.date() if as_of else None)
    day = steps.resolve_as_of(context, as_of.date() if as_of else None)
    fitted = scoring.refit(context, day)
    decided = promoting.promote(context, day)
    print(
        "\n".join(f"fitted {version}" for version in fitted) or f"Nothing could be fitted as of {day}: too little data."
    )
    for one in decided:
        print(f"{one.model_version} is {one.role}: {one.reason}")
