"""The commands an analyst uses: sql, shell, export. All read one lake while flows write to it; none can change it."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import prompt, terminal


class Form(enum.StrEnum):
    """How rows of a query are shown."""

    table = "table"
    csv = "csv"
    json = "json"


class Prompt(enum.StrEnum):
    """Whose prompt is shown."""

    auto = "auto"
    duckdb = "duckdb"
    daybook = "daybook"


class Kind(enum.StrEnum):
    """What an export is made of."""

    duckdb = "duckdb"
    parquet = "parquet"


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; the analyst's views are in schema `analyst`.")],
    form: Annotated[Form, typer.Option("--format", help="How the rows are shown.")] = Form.table,
) -> None:
    """Ask the lake, read-only, while flows write."""
    from warehouse import lake, statements

    statements.refuse_unless_one_select(query)
    with lake.open_reader(terminal.read_settings().lake) as opened:
        rows = opened.read(query)
    if form is Form.csv:
        print(rows.to_pandas().to_csv(index=False), end="")
    elif form is Form.json:
        print(rows.to_pandas().to_json(orient="records", date_format="iso", force_ascii=False))
    else:
        terminal.print_table(rows, f"{rows.num_rows} rows")


def shell(
    whose: Annotated[
        Prompt, typer.Option("--prompt", help="DuckDB's own prompt, Daybook's small one, or the first that works.")
    ] = Prompt.auto,
    print_attach: Annotated[
        bool, typer.Option("--print-attach", help="Print the statements that attach this lake, for any DuckDB client.")
    ] = False,
) -> None:
    """A prompt over the lake, read-only; statements may be piped in."""
    from warehouse import attaching, lake

    options = terminal.read_settings()
    if print_attach:
        print(prompt.attach_script(options.lake), end="")
        return
    program, version = (None, "") if whose is Prompt.daybook else prompt.find_duckdb()
    if program and version == attaching.DUCKDB_VERSION:
        status = prompt.run_duckdb(program, prompt.attach_script(options.lake))
        raise typer.Exit(status)
    if whose is Prompt.duckdb:
        found = f"{program} is version {version or 'unknown'}" if program else "no duckdb was found"
        raise terminal.config_error(
            f"{found}, and the lake's extensions fit {attaching.DUCKDB_VERSION} only. Install that version of DuckDB's "
            "command line, or leave --prompt out."
        )
    if program and sys.stdin.isatty():
        print(f"{program} is not version {attaching.DUCKDB_VERSION}: this is Daybook's own prompt.", file=sys.stderr)
    if sys.stdin.isatty():
        print(prompt.HELP, file=sys.stderr)
    with lake.open_reader(options.lake) as opened:
        prompt.converse(opened, options.root / "shell_history")


def export(
    to: Annotated[Path, typer.Option(help="File that ends in .duckdb, or folder for --format parquet.")],
    kind: Annotated[
        Kind | None, typer.Option("--format", help="One DuckDB file or a Parquet folder; default by the name.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table or view, such as market.daily; repeatable.")
    ] = None,
    snapshot: Annotated[int | None, typer.Option(help="Snapshot of the lake to read; default the newest.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite even what no export made.")] = False,
) -> None:
    """Write the lake, or some of its tables, for tools that know no DuckLake."""
    from warehouse import export as exporting

    if kind is None and to.suffix != ".duckdb":
        raise terminal.config_error(
            f"{to} does not end in .duckdb. Nothing was written; say --format parquet for a folder, or --format duckdb."
        )
    write = exporting.export_parquet if kind is Kind.parquet else exporting.export_database
    done = write(terminal.read_settings().lake, to, names=table or (), snapshot=snapshot, force=force)
    views = f" and {len(done.views)} views" if done.views else ""
    print(
        f"{done.path}: snapshot {done.snapshot}, {sum(done.n_rows.values()):,} rows in {len(done.n_rows)} tables{views}"
    )
