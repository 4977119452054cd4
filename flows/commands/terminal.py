"""What every command shares: the options given before it, the settings they lead to, and how things are shown."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from flows import ingest, settings

UNFOLDED_WIDTH = 400
# What `daybook --home ...` was given, for the command that follows.
OPTIONS: dict[str, Any] = {}


def read_settings() -> settings.Settings:
    """The settings, with what was given before the command."""
    from flows import settings

    return settings.read_settings(**OPTIONS)


def print_version(wanted: bool) -> None:
    """Print the version and leave, where it was asked for."""
    from flows import settings

    if wanted:
        print(settings.code_version())
        raise typer.Exit


def config_error(message: str) -> Exception:
    """The error that a command raises for a wrong argument."""
    from warehouse import errors

    return errors.ConfigError(message)


def wait_for_interrupt() -> None:
    """Return when the process is asked to stop."""
    stop = threading.Event()
    # SIGINT too: a shell starts background commands with it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


@contextlib.contextmanager
def progress() -> Iterator[ingest.Progress]:
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


def print_summary(home: Path) -> None:
    """Print the few figures that a demo ends with."""
    from flows import overview, settings
    from warehouse import lake

    with lake.open_reader(settings.read_settings(home=home).lake) as opened:
        for title, rows in overview.read_summary(opened).items():
            print_table(rows, title)


def print_table(rows: pa.Table, title: str) -> None:
    """Print rows as a table, folded only where a terminal has an edge."""
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
