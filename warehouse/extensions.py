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
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    for folder in spec.submodule_search_locations or [] if spec else []:
        file = Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if file.exists():
            connection.execute(f"load '{file}'")
            return
    try:
        connection.execute(f"install {name}")
        connection.execute(f"load {name}")
    except duckdb.Error as exc:
        raise errors.ConfigError(
            f"DuckDB {duckdb.__version__} has no extension {name}: there is no wheel for it and it cannot be "
            f"downloaded. Install duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}."
        ) from exc
