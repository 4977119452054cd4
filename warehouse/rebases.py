"""Which vintages moved a whole series to another base or unit, told apart from ordinary revisions.

A new base year multiplies the history by one ratio, overlaid by what was revised the same day; an ordinary revision
changes some values, each by its own ratio. Invariants: entries follow from the values that stand and can be made
again; an as-of read never mixes bases, because all values of a series as of a day are of one vintage, and `panels.py`
leaves out what stayed behind at an old base. Partners: `vintages.py` and `whole_vintages.py`, which call this.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import date

import duckdb
import pyarrow as pa

from warehouse import sql
from warehouse.tables import macro

log = logging.getLogger(__name__)

LEVEL = "level"

# Fewer values in common may move together by chance.
LEAST_COMMON = 8
# A base year moves a level by several percent, a benchmark revision by tenths of one. Of INDPRO's revisions 1999 to
# 2026 the five rebasings moved it by 2.5 % and more, the largest others by 0.5 % (FRED-MD vintages, 2026-11-21).
LEAST_LOG_RATIO = math.log(1.005)
# Eighty percent of the ratios within half the shift: the rebasing of PCEPI in July 2013, spliced by FRED-MD, has 0.41;
# benchmark revisions without a new base have 0.9 and more.
MOST_RELATIVE_SPREAD = 0.5
# Values near zero may round to what they were.
LEAST_SHARE = 0.9


def update(connection: duckdb.DuckDBPyConnection, series_ids: Sequence[str], first_date: date) -> int:
    """How many rebasings in vintages since a day are entered, after looking at all values anew.

    Args:
        connection: inside the commit that wrote the values.
        series_ids: series to look at; entries of others are left alone.
        first_date: oldest vintage to look at.
    """
    connection.register("touched", pa.table({"series_id": pa.array(sorted(set(series_ids)), pa.string())}))
    connection.execute(
        sql.load("rebase_found"),
        {
            "first_date": first_date,
            "least_common": LEAST_COMMON,
            "least_log_ratio": LEAST_LOG_RATIO,
            "most_relative_spread": MOST_RELATIVE_SPREAD,
            "least_share": LEAST_SHARE,
        },
    )
    names = ", ".join(macro.REBASE.column_names)
    connection.execute(
        "create temp table rebase_gone as select series_id, vintage_date from macro.rebase semi join touched"
        " using (series_id) where kind = $kind and vintage_date >= $first_date"
        " and (series_id, vintage_date) not in (select (series_id, vintage_date) from rebase_found)"
        " union all select r.series_id, r.vintage_date from macro.rebase as r join rebase_found as f"
        " on f.series_id = r.series_id and f.vintage_date = r.vintage_date and f.kind = r.kind"
        " where (r.ratio, r.spread, r.n_common, r.first_observation_date)"
        " is distinct from (f.ratio, f.spread, f.n_common, f.first_observation_date)",
        {"kind": LEVEL, "first_date": first_date},
    )
    connection.execute(
        "delete from macro.rebase as r using rebase_gone as g"
        " where r.kind = $kind and r.series_id = g.series_id and r.vintage_date = g.vintage_date",
        {"kind": LEVEL},
    )
    connection.execute(
        f"insert into macro.rebase select {names} from rebase_found"
        " anti join macro.rebase using (series_id, vintage_date, kind) order by series_id, vintage_date"
    )
    found = connection.execute("select count(*) from rebase_found").fetchone()
    connection.execute("drop table temp.rebase_found")
    connection.execute("drop table temp.rebase_gone")
    connection.unregister("touched")
    n_found = int(found[0]) if found else 0
    if n_found:
        log.info("rebasings found entries=%s since=%s", n_found, first_date)
    return n_found
