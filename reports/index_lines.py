"""What does the index of all days draw, and hand out as a file? The key figures, from the facts beside each page.

Partner: `site.py`, which reads the facts and writes the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reports import axes, charts, figures, numbers

# Newest days in the small charts of the index: a session each, four years.
MOST_SPARK_DAYS = 1000


def spark(label: str, rows: Sequence[dict[str, Any]], at: int) -> charts.Chart | None:
    """A column of the index as a line, oldest day first."""
    shown = rows[MOST_SPARK_DAYS - 1 :: -1] if len(rows) > MOST_SPARK_DAYS else rows[::-1]
    values = np.array([_exact(row["cells"][at]) for row in shown])
    days = [row["as_of"] for row in shown]
    return charts.sparkline(values, label=f"{label}, {len(values)} days", dates=days)


def csv_link(labels: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Every figure of the index as a file, oldest day first; one file, as its lines share their days."""
    held = tuple(
        (row["as_of"], row["state"], *axes.present(np.array([_exact(cell) for cell in row["cells"]])))
        for row in reversed(rows)
    )
    return figures.csv_link(charts.Chart("", ("day", "state", *labels), held))


def _exact(cell: dict[str, str]) -> float:
    """The number behind a cell; facts of older versions have none."""
    return float(cell.get("exact") or "nan")


def by_label(tiles: list[dict[str, str]], labels: list[str]) -> list[dict[str, str]]:
    """A day's tiles in the order of the labels; a tile that the day does not have is told as missing."""
    held = {tile["label"].split(",")[0]: tile for tile in tiles}
    nothing = {"value": numbers.MISSING, "tone": ""}
    return [held.get(label, nothing) for label in labels]
