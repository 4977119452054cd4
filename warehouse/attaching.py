"""What must another program say to DuckDB to read this lake?

The statements are DuckDB's own, so they are the same for its command line, its Python library and any other client of
the same version. Invariant: the lake is attached READ_ONLY, behind the shield of `warehouse/statements.py`. Partner:
`warehouse/lake.py`, which attaches it for us.
"""

from __future__ import annotations

import duckdb

from warehouse import extensions, instances, statements
from warehouse.lake import CATALOG_BUSY_TIMEOUT_MS, LakeLocation, data_options

# The version our extensions fit.
DUCKDB_VERSION = duckdb.__version__


def script(location: LakeLocation) -> str:
    """Statements that load what a lake needs, attach it for reading and make it the default database.

    The extensions come from the wheels beside this Daybook, so nothing is downloaded; they fit one version of DuckDB.

    Args:
        location: where the lake lies.

    Returns:
        The text of a file that DuckDB reads, one statement a line.
    """
    is_sqlite = location.catalog_file is not None
    options = ["READ_ONLY", *data_options(location, is_reader=True)]
    options += [f"META_BUSY_TIMEOUT {CATALOG_BUSY_TIMEOUT_MS}"] if is_sqlite else []
    address = f"ducklake:{location.catalog_address}".replace("'", "''")
    lines = [
        *(extensions.load_statement(name) for name in location.extensions),
        "set TimeZone = 'UTC'",
        f"set memory_limit = '{location.memory_limit}'",
        *((f"set threads = {location.threads}",) if location.threads else ()),
        *statements.shield(),
        f"attach '{address}' as {instances.ATTACHED} ({', '.join(options)})",
        f"use {instances.ATTACHED}",
    ]
    head = (
        f"-- Attaches the lake at {location.path} for reading, in DuckDB {DUCKDB_VERSION}.\n"
        "-- Another version of DuckDB needs its own extensions: INSTALL ducklake, INSTALL sqlite, and LOAD them.\n"
    )
    if location.secret_statements:
        head += "-- Password and keys are not in here: set PGPASSWORD, and run CREATE SECRET (TYPE s3, ...) first.\n"
    return head + "".join(f"{line};\n" for line in lines)
