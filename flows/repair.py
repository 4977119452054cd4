"""Adjustment factors that were corrected years back: found where they no longer fit, and pulled again whole.

A factor is cumulative, so a correction at one ex-rights day shifts every later one. The evening's pull shows it either
as a value that differs from the stored one, or as a factor that does not fit yesterday's. A correction that leaves the
recent factors alone shows nowhere, so that some histories are compared each day, all of them in turn. Partners:
`flows/ingest.py`, which calls it, and `warehouse/load.py`.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows import asking, clock
from flows.context import Context
from warehouse import ledger, load, sql
from warehouse.lake import Lake
from warehouse.tables import market, ops

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
        span = lake.read("select min(trade_date) as first, max(trade_date) as last from market.adj_factor").to_pylist()
        first, last = span[0]["first"], span[0]["last"]
        if first is None:
            return 0
        asked = _read_suspects(lake, sessions, today)
        n_a_day = context.settings.factor_histories_per_day
        asked += lake.read(sql.load("factor_turn"), today=today, n=n_a_day, asked=asked)["ts_code"].to_pylist()
        stored = _read_stored(lake, asked)
    if not asked:
        return 0
    source, columns = asking.tushare_of(context), ledger.without_provenance(market.ADJ_FACTOR)
    answers = asking.ask(asked, lambda code: source.fetch_adj_factor_history(code, first, last), columns)
    stamp = context.stamp()
    replies = context.archive.drain(stamp.load_id)
    differing = _differing(pa.concat_tables([answer.rows for answer in answers]), stored)
    days = sorted(set(differing["trade_date"].to_pylist()))
    partitions = [load.Partition(day.isoformat(), day) for day in days]
    loads = [load.Load(market.ADJ_FACTOR, differing, partitions, "trade_date", amends=True)] if partitions else []
    with context.writer() as lake:
        loads += _compared(lake, answers, stored, today)
        if loads:
            load.load(lake, [*loads[:-1], dataclasses.replace(loads[-1], replies=replies)], stamp)
        else:
            load.keep_replies(lake, replies)
    if differing.num_rows:
        codes = sorted(set(differing["ts_code"].to_pylist()))
        log.warning(
            "factors were corrected by the vendor rows=%s from=%s securities=%s", len(differing), days[0], codes
        )
    return int(differing.num_rows)


def _read_suspects(lake: Lake, sessions: list[date], today: date) -> list[str]:
    recent = ledger.read_sessions(lake, today - timedelta(days=LOOKED_BACK_DAYS), today)
    looked_at = sorted({*sessions, *recent})
    if not looked_at:
        return []
    rows = lake.read(
        sql.load("factor_suspects").format(misfit=sql.load("checks/adjustment_misfit")),
        sessions=looked_at,
        start_date=looked_at[0],
        as_of=max(today, looked_at[-1]),
        today=today,
    )
    suspects = rows["ts_code"].to_pylist()
    if len(suspects) > MOST_HISTORIES:
        log.warning(
            "more factors do not fit than are pulled again suspects=%s pulled=%s", len(suspects), MOST_HISTORIES
        )
    return suspects[:MOST_HISTORIES]


def _read_stored(lake: Lake, codes: list[str]) -> pa.Table:
    return lake.read(
        "select ts_code, trade_date, adj_factor as stored_factor from market.adj_factor"
        " where ts_code in (select unnest($codes))",
        codes=codes,
    )


def _compared(lake: Lake, answers: Sequence[asking.Answer], stored: pa.Table, today: date) -> list[load.Load]:
    """Which histories were compared, and why others could not be: silence would pass for agreement.

    A second run of a day that compares some of them again has nothing to add.
    """
    known = set(stored["ts_code"].unique().to_pylist())
    broken = {answer.key: answer for answer in answers if answer.failure or _lacks_all(answer, known)}
    failure, cause = "", ""
    if broken:
        first = next(iter(broken.values()))
        why = first.failure or "the vendor sent no row, though there are factors of it in the lake"
        failure = f"{len(broken)} of {len(answers)} histories could not be compared, such as {first.key}: {why}"
        cause = first.cause or "vendor_error"
    held = lake.read("select ts_code from ops.factor_history where compared_date = $today", today=today)
    new = sorted({answer.key for answer in answers} - set(broken) - set(held["ts_code"].to_pylist()))
    is_said = not failure and not ledger.due_partitions(lake, ops.FACTOR_HISTORY, ["all"], today)
    if is_said and not new:
        return []
    rows = pa.table({"ts_code": pa.array(new, pa.string()), "compared_date": pa.array([today] * len(new), pa.date32())})
    partition = load.Partition("all", today, may_be_empty=True, failure=failure, cause=cause, asked_date=today)
    return [load.Load(ops.FACTOR_HISTORY, rows, [partition], None, merge=_enter_compared, amends=is_said)]


def _lacks_all(answer: asking.Answer, known: set[str]) -> bool:
    return not answer.rows.num_rows and answer.key in known


def _enter_compared(connection: Any, one: load.Load, stamp: load.Stamp) -> None:
    name = one.table.full_name
    connection.execute(f"delete from {name} as t using accepted as a where t.ts_code = a.ts_code")
    connection.execute(f"insert into {name} by name select ts_code, compared_date from accepted order by ts_code")


def _differing(rows: pa.Table, stored: pa.Table) -> pa.Table:
    """Those of `rows` whose stored factor is another one."""
    met = rows.join(stored, ["ts_code", "trade_date"], join_type="inner")
    return met.filter(pc.not_equal(met["adj_factor"], met["stored_factor"])).select(rows.column_names)
