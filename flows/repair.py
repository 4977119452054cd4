"""Adjustment factors that were corrected years back: found where they no longer fit, and pulled again whole.

A factor is cumulative, so a correction at one ex-rights day shifts every later one. The evening's pull shows it either
as a value that differs from the stored one, or as a factor that does not fit yesterday's. A correction that leaves the
recent factors alone shows nowhere, so that some histories are compared each day, all of them in turn. Partners:
`flows/ingest.py`, which calls it, and `warehouse/load.py`.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

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
    """How many stored factors were corrected, because others did not fit them or their turn had come.

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
        asked = _read_suspects(lake, looked_at, today)
        # A run that had nothing to load comes after one that had, and would ask for the same again.
        in_turn = _read_in_turn(lake, context.settings.factor_histories_per_day, today) if sessions else []
        span = lake.read("select min(trade_date) as first, max(trade_date) as last from market.adj_factor").to_pylist()
    if len(asked) > MOST_HISTORIES:
        log.warning("more factors do not fit than are pulled again suspects=%s pulled=%s", len(asked), MOST_HISTORIES)
        asked = asked[:MOST_HISTORIES]
    asked += [code for code in in_turn if code not in asked]
    if not asked or span[0]["first"] is None:
        return 0
    source, (first, last) = asking.tushare_of(context), (span[0]["first"], span[0]["last"])
    columns = ledger.without_provenance(market.ADJ_FACTOR)
    answers = asking.ask(asked, lambda code: source.fetch_adj_factor_history(code, first, last), columns)
    stamp = context.stamp()
    replies = context.archive.drain(stamp.load_id)
    with context.writer() as lake:
        rows = _differing(lake, pa.concat_tables([answer.rows for answer in answers]), asked)
        days = sorted(set(rows["trade_date"].to_pylist()))
        partitions = [load.Partition(day.isoformat(), day) for day in days]
        if partitions:
            one = load.Load(market.ADJ_FACTOR, rows, partitions, "trade_date", replies, amends=True)
            load.load(lake, [one], stamp)
        else:
            load.keep_replies(lake, replies)
    if rows.num_rows:
        log.warning("factors were corrected by the vendor rows=%s from=%s securities=%s", rows.num_rows, days[0], asked)
    return rows.num_rows


def _read_suspects(lake: Lake, sessions: list[date], today: date) -> list[str]:
    statement = sql.load("factor_suspects").format(misfit=sql.load("checks/adjustment_misfit"))
    rows = lake.read(statement, sessions=sessions, start_date=sessions[0], as_of=max(today, sessions[-1]), today=today)
    return rows["ts_code"].to_pylist()


def _read_in_turn(lake: Lake, n_per_day: int, today: date) -> list[str]:
    """The securities whose turn it is: each comes once in as many sessions as their number takes."""
    codes = lake.read("select ts_code from market.stock_basic order by ts_code")["ts_code"].to_pylist()
    n_sessions = len(ledger.read_sessions(lake, date.min, today))
    n = min(n_per_day, len(codes))
    return [codes[(n_sessions * n + at) % len(codes)] for at in range(n)]


def _differing(lake: Lake, rows: pa.Table, codes: list[str]) -> pa.Table:
    """Those of `rows` whose stored factor is another one."""
    stored = lake.read(
        "select ts_code, trade_date, adj_factor as stored_factor from market.adj_factor"
        " where ts_code in (select unnest($codes))",
        codes=codes,
    )
    met = rows.join(stored, ["ts_code", "trade_date"], join_type="inner")
    return met.filter(pc.not_equal(met["adj_factor"], met["stored_factor"])).select(rows.column_names)
