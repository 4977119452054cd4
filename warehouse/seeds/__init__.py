"""Data that is reviewed like code: the FRED series Daybook follows, and codes that changed.

One line of `fred_series.csv` is one series. Lags are usual days from the end of the period to publication; they date
what was published before Daybook began to watch. DCOILWTICO's code is 2, a difference, because its price was negative
on 2020-04-20 and has no logarithm there. `code_changes.csv` holds mergers that kept a listing under a new code and
that the vendor's list of securities passes over (waditu/tushare#927 and #1086).
"""

from __future__ import annotations

import csv
import functools
from datetime import date
from importlib import resources

import pyarrow as pa

from warehouse.contracts import ARROW_TYPES, Table
from warehouse.tables import macro, market

# Beijing's exchange gave all its securities codes that begin with 920 on one day, the first session after the
# National Day holiday (bse_mapping, doc 375, has the codes and not the day).
BEIJING_CHANGE_DATE = date(2025, 10, 9)


@functools.cache
def fred_series() -> pa.Table:
    """Rows of macro.series, in the order of the file.

    Raises:
        ContractViolation: a line does not fit; mend `fred_series.csv`.
    """
    return _read("fred_series.csv", macro.SERIES)


@functools.cache
def code_changes() -> pa.Table:
    """Rows of market.code_change that are known without asking anybody.

    Raises:
        ContractViolation: a line does not fit; mend `code_changes.csv`.
    """
    return _read("code_changes.csv", market.CODE_CHANGE)


def _read(name: str, table: Table) -> pa.Table:
    text = resources.files("warehouse.seeds").joinpath(name).read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    columns = {}
    for column in table.columns:
        words = pa.array([line[column.name] for line in lines], pa.string())
        columns[column.name] = words.cast(ARROW_TYPES[column.type])
    return table.conform(pa.table(columns))
