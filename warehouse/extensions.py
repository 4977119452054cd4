"""DuckDB's extensions, from the wheels they were installed with.

Invariant: nothing is downloaded at run time as long as the wheels of this DuckDB version are there; DuckDB checks their
signature when they are loaded. Partner: `warehouse/lake.py`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from warehouse import errors


def try_extension(name: str) -> None:
    """Load an extension into a database of its own, to see whether it can be.

    Raises:
        ConfigError: as `load_extension`.
    """
    with duckdb.connect() as connection:
        load_extension(connection, name)


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load a DuckDB extension from its wheel, so that no download happens at run time.

    Args:
        connection: where to load it.
        name: `ducklake`, `sqlite_scanner`, `postgres_scanner` or `httpfs`.

    Raises:
        ConfigError: neither a wheel for this DuckDB nor DuckDB's own store has it.
    """
    if _file(name):
        connection.execute(load_statement(name))
        return
    try:
        connection.execute(f"install {name}")
        connection.execute(f"load {name}")
    except duckdb.Error as exc:
        raise errors.ConfigError(
            f"DuckDB {duckdb.__version__} has no extension {name}: there is no wheel for it and it cannot be "
            f"downloaded. Install duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}."
        ) from exc


def load_statement(name: str) -> str:
    """The statement that loads an extension: from its wheel, or by name from DuckDB's own store where there is none."""
    file = _file(name)
    quoted = str(file).replace("'", "''")
    return f"load '{quoted}'" if file else f"load {name}"


def _file(name: str) -> Path | None:
    """The extension inside its wheel, None when no wheel for this DuckDB is installed."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    files = [
        Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        for folder in (spec.submodule_search_locations or [] if spec else [])
    ]
    return next((file for file in files if file.exists()), None)
