"""SQL statements, one per file, named after what they fill or ask.

`views/` is the analysts' interface, `checks/` asks for rows that are wrong, and statements used by a module of the
same name stand beside this file.
"""

from __future__ import annotations

import itertools
from importlib import resources


def load(name: str) -> str:
    """The text of the statement `name`, such as `views/price_adjusted`.

    Raises:
        FileNotFoundError: no such statement is packaged.
    """
    return resources.files("warehouse.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def names(folder: str) -> list[str]:
    """Names of the statements in a folder, sorted."""
    entries = resources.files("warehouse.sql").joinpath(folder).iterdir()
    return sorted(entry.name.removesuffix(".sql") for entry in entries if entry.name.endswith(".sql"))


def header(statement: str) -> str:
    """The leading comment of a statement on one line: what an analyst is told about it."""
    lines = itertools.takewhile(lambda line: line.startswith("--"), statement.splitlines())
    return " ".join(line.removeprefix("--").strip() for line in lines)
