"""What must another program say to DuckDB to read this lake?

The statements are DuckDB's own, so they are the same for its command line, its Python library and any other client of
the same version. Invariant: the lake is attached READ_ONLY, and no statement carries a password. Partner:
`warehouse/lake.py`, which attaches it for us.
"""

from __future__ import annotations

import duckdb

from warehouse import extensions, instances, statements
from warehouse.lake import LakeLocation, attach_statement, extension_names


def attach_statements(location: LakeLocation) -> list[str]:
    """Statements that load what the lake needs, attach it for reading and make it the default database.

    The extensions come from the wheels beside this Daybook, so nothing is downloaded; they fit one version of DuckDB.

    Args:
        location: where the lake lies.

    Returns:
        Statements without their `;`, in order.
    """
    return [
        *(extensions.load_statement(name) for name in extension_names(location)),
        "set TimeZone = 'UTC'",
        f"set memory_limit = '{location.memory_limit}'",
        *statements.shield(),
        attach_statement(location, ["READ_ONLY"]),
        f"use {instances.ATTACHED}",
    ]


def script(location: LakeLocation) -> str:
    """`attach_statements` as a file that DuckDB reads, with a word on what it is.

    Returns:
        The text, one statement a line.
    """
    head = (
        f"-- Attaches the lake at {location.path} for reading, in DuckDB {duckdb.__version__}.\n"
        "-- Another version of DuckDB: replace each LOAD by INSTALL and LOAD of the extension's name.\n"
    )
    return head + "".join(f"{statement};\n" for statement in attach_statements(location))
