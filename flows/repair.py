"""Adjustment factors that were corrected years back: found where they no longer fit, and pulled again whole.

A factor is cumulative, so a correction at one ex-rights day shifts every later one. The evening's pull shows it either
as a value that differs from the stored one, or as a factor that does not fit yesterday's. Partners: `flows/ingest.py`,
which calls it, and `warehouse/load.py`.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta

import pyarrow as pa

from flows import asking, clock
from flows.context import Context
from warehouse import ledger, load, sql
from warehouse.lake import Lake
from warehouse.tables import market

log = logging.getLogger(__name__)

# More than this many at once is no correction but a vendor in trouble; `adjustment_misfit` shows the rest.
MOST_HISTORIES = 200
# A run that died after its load, before it came here, leaves a misfit that the next must find though it has nothing of
# those days to load.
LOOKED_BACK_DAYS = 30


def repair_factors(context: Context, sessions: list[date]) -> int:
    """How many stored factors were corrected, because those of `sessions` did not fit them.

    Args:
        context: the run.
        sessions: days just loaded; those of the last month are looked at as well.

    Raises:
        LakeError: the lake cannot be read or written.
    """
    today = clock.known_date(context.now)
    with context.reader() as lake:
        recent = ledger.read_sessions(lake, today - timedelta(days=LOOKED_BACK_DAYS), today)
        looked_at = sorted({*sessions, *recent})
        if not looked_at:
            return 0
        suspects = lake.read(sql.load("factor_suspects"), sessions=looked_at, today=today)["ts_code"].to_pylist()
        span = lake.read("select min(trade_date) as first, max(trade_date) as last from market.adj_factor").to_pylist()
    if len(suspects) > MOST_HISTORIES:
        log.warning(
            "more factors do not fit than are pulled again suspects=%s pulled=%s", len(suspects), MOST_HISTORIES
        )
        suspects = suspects[:MOST_HISTORIES]
    if not suspects:
        return 0
    source, (first, last) = asking.tushare_of(context), (span[0]["first"], span[0]["last"])
    columns = ledger.without_provenance(market.ADJ_FACTOR)
    answers = asking.ask(suspects, lambda code: source.fetch_adj_factor_history(code, first, last), columns)
    stamp = context.stamp()
    replies = context.archive.drain(stamp.load_id)
    with context.writer() as lake:
        rows = _differing(lake, pa.concat_tables([answer.rows for answer in answers]), suspects)
        days = sorted(set(rows["trade_date"].to_pylist()))
        partitions = [load.Partition(day.isoformat(), day) for day in days]
        if partitions:
            one = load.Load(market.ADJ_FACTOR, rows, partitions, "trade_date", replies, amends=True)
            load.load(lake, [one], stamp)
        else:
            load.keep_replies(lake, replies)
    if rows.num_rows:
        log.warning(
            "factors were corrected by the vendor rows=%s from=%s securities=%s", rows.num_rows, days[0], suspects
        )
    return rows.num_rows


def _differing(lake: Lake, rows: pa.Table, codes: list[str]) -> pa.Table:
    """Those of `rows` whose stored factor is another one."""
    stored = lake.read(
        "select ts_code, trade_date, adj_factor from market.adj_factor where ts_code in (select unnest($codes))",
        codes=codes,
    )
    held = {
        (ts_code, trade_date): factor
        for ts_code, trade_date, factor in zip(*(column.to_pylist() for column in stored.columns), strict=True)
    }
    keys = zip(rows["ts_code"].to_pylist(), rows["trade_date"].to_pylist(), rows["adj_factor"].to_pylist(), strict=True)
    is_other = [(code, day) in held and held[code, day] != factor for code, day, factor in keys]
    return rows.filter(pa.array(is_other, pa.bool_()))
