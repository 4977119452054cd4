"""Data that is reviewed like code: the FRED series Daybook follows.

One line of `fred_series.csv` is one series. Lags are usual days from the end of the period to publication; they date
what was published before Daybook began to watch. DCOILWTICO's code is 2, a difference, because its price was negative
on 2020-04-20 and has no logarithm there.
"""

from __future__ import annotations

import csv
import functools
from importlib import resources

import pyarrow as pa

from warehouse.contracts import ARROW_TYPES
from warehouse.tables import macro

NAME = "fred_series.csv"


@functools.cache
def fred_series() -> pa.Table:
    """Rows of macro.series, in the order of the file.

    Raises:
        ContractViolation: a line does not fit; mend `fred_series.csv`.
    """
    text = resources.files("warehouse.seeds").joinpath(NAME).read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    columns = {}
    for column in macro.SERIES.columns:
        words = pa.array([line[column.name] for line in lines], pa.string())
        columns[column.name] = words.cast(ARROW_TYPES[column.type])
    return macro.SERIES.conform(pa.table(columns))
