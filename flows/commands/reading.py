"""The commands that look back: status and report. Partners: `flows/overview.py`, `flows/publishing.py`."""

from __future__ import annotations

import enum
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import terminal


class Form(enum.StrEnum):
    """What a report can be had as."""

    HTML = "html"
    MAIL = "mail"
    PDF = "pdf"
    JSON = "json"


def report(
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day; default the last one run.")] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Check every figure of this page instead; exit 17 if one differs.")
    ] = None,
    form: Annotated[
        Form,
        typer.Option("--format", help="A page, a mail, a PDF printed by Chromium, or every figure on standard output."),
    ] = Form.HTML,
) -> None:
    """Build a day's report again, from the snapshot its run published, or check the figures of one."""
    from flows import publishing, steps

    options = terminal.read_settings()
    if verify is not None:
        n_figures = publishing.prove(options, verify)
        print(f"{n_figures} figures of {verify} are what the lake says")
        return
    context = steps.open_context(options, "daily", as_of.date() if as_of else None)
    day = as_of.date() if as_of else None
    if day is None:
        with context.reader() as lake:
            day = lake.read_value("select max(as_of_date) from ops.run where flow = 'daily' and snapshot is not null")
    if day is None:
        raise terminal.config_error("no run has published a report yet. Run `daybook run` first.")
    if form is Form.MAIL:
        print(publishing.write_mail(context, day))
    elif form is Form.PDF:
        print(publishing.write_pdf(context, day))
    elif form is Form.JSON:
        print(publishing.read_figures(publishing.rebuild(context, day)))
    else:
        print(publishing.rebuild(context, day))


def status(
    code: Annotated[str | None, typer.Argument(help="A ts_code or series_id, for what is known about it.")] = None,
) -> None:
    """What is known to what date, gaps, last runs, open alerts."""
    from flows import overview
    from warehouse import lake

    options = terminal.read_settings()
    with lake.open_reader(options.lake) as opened:
        tables = overview.read_code(opened, code) if code else overview.read_overview(opened)
    for title, rows in tables.items():
        if rows.num_rows:
            terminal.print_table(rows, title)
        else:
            print(f"{title}: none")
