"""The commands an analyst uses: the lake by SQL, read-only, while flows write."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from flows.commands import terminal


class Form(enum.StrEnum):
    """How rows of a query are shown."""

    table = "table"
    csv = "csv"
    json = "json"


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
