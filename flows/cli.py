"""The `daybook` command: parse, call a command, turn an error into one line and an exit status.

The commands themselves are in `flows/commands/`, one module a kind; only they print. Heavy libraries are imported
inside the commands that need them, so that `--help` is quick. An error Daybook foresaw is one line on stderr and an
exit status by its class; anything else is our bug and shows its traceback.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import (
    alerting,
    analysing,
    detecting,
    estimating,
    keeping,
    loading,
    modelling,
    reading,
    running,
    serving,
    terminal,
    vintages,
)

app = typer.Typer(
    name="daybook",
    help="A quant desk's daily book: FRED and Tushare in, factors, forecasts, reports and alerts out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130

# In the order of the help.
COMMANDS = (
    running.demo,
    running.run,
    running.backfill,
    running.refit,
    loading.load,
    vintages.load_vintages,
    loading.quarantine,
    loading.rule,
    reading.report,
    reading.site,
    reading.status,
    alerting.alerts,
    analysing.sql,
    analysing.shell,
    analysing.export,
    modelling.models,
    estimating.factors,
    estimating.forecast_study,
    detecting.detect,
    keeping.maintain,
    keeping.verify,
    keeping.backup,
    keeping.restore,
    serving.simulate,
    serving.serve,
    serving.doctor,
)


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=terminal.print_version)
    ] = False,
    home: Annotated[Path | None, typer.Option(help="Folder of everything Daybook keeps.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to stderr.")] = False,
) -> None:
    terminal.OPTIONS.clear()
    if home is not None:
        terminal.OPTIONS["home"] = home
    # Our loggers pass INFO on for Prefect; on the terminal the handler decides.
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.INFO if verbose else logging.ERROR)
    logging.basicConfig(handlers=[handler], format="%(asctime)s %(name)s: %(message)s")


for command in COMMANDS:
    app.command()(command)


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
    except RuntimeError as exc:
        # How DuckDB hands on a Ctrl-C.
        if not isinstance(exc.__cause__, KeyboardInterrupt):
            raise
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
    stop = "" if message.endswith((".", "?", "!")) else "."
    print(f"daybook: {message}{stop} See `{context.command_path if context else 'daybook'} --help`.", file=sys.stderr)
    sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
