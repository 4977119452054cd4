"""The commands that look back: report, site and status. Partners: `flows/overview.py`, `flows/publishing.py`."""

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


class SiteAction(enum.StrEnum):
    """What `daybook site` does."""

    build = "build"


def report(
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day; default the last one run.")] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Check every figure of this page instead; exit 17 if one differs.")
    ] = None,
    form: Annotated[
        Form,
        typer.Option("--format", help="A page, a mail, a PDF printed by Chromium, or every figure on standard output."),
    ] = Form.HTML,
    is_open: Annotated[bool, typer.Option("--open", help="Show it in the browser too.")] = False,
) -> None:
    """Build a day's report again, from the snapshot its run published, or check the figures of one."""
    from flows import browsers, publishing, steps

    if is_open and (verify is not None or form is Form.JSON):
        raise terminal.config_error("there is no page to open with --verify or --format json. Leave --open out.")
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
    if form is Form.JSON:
        print(publishing.read_figures(publishing.rebuild(context, day)))
        return
    write = {Form.MAIL: publishing.write_mail, Form.PDF: publishing.write_pdf, Form.HTML: publishing.rebuild}[form]
    path = write(context, day)
    print(path)
    if is_open:
        browsers.show(path)


def site(action: Annotated[SiteAction, typer.Argument(help="What to do.")]) -> None:
    """Build every page again from the lake: days, securities, models, factors, alerts, lists, index, dictionary."""
    from flows import publishing, steps

    context = steps.open_context(terminal.read_settings(), "daily")
    with terminal.progress() as progress:
        built = publishing.build_site(context, progress)
    for sentence in built.left:
        print(sentence)
    print(f"{built.n_days} days and {built.n_beside} pages beside them, from {built.index}")


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
