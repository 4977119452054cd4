"""Table macros: what was known on a day, asked for by that day.

`from macro_asof(date '2020-03-31')` works wherever the lake is in use, DuckDB's own prompt included: DuckLake keeps
macros in its catalog (tried with DuckDB 1.5.5). Their tables are bound in the database in use, so `use lake` comes
first. Invariant: a macro's text is `sql/macros/<name>.sql`, and a lake opened for writing has every one of them.
Partner: `lake.py`, which installs them beside the views.
"""

from __future__ import annotations

import duckdb

from warehouse import sql

FOLDER = "macros"


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every macro, or make it again; inside a commit, the lake in use.

    Raises:
        duckdb.Error: the statement does not fit the tables.
    """
    for name in sql.names(FOLDER):
        connection.execute(sql.load(f"{FOLDER}/{name}"))


def texts() -> list[str]:
    """The statements, so that a changed one is noticed."""
    return [sql.load(f"{FOLDER}/{name}") for name in sql.names(FOLDER)]
