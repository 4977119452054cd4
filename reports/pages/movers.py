"""Which industries and securities moved, which of them unusually for themselves, and who is halted?

Part of the market's section. Partner: `market.py`.
"""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from typing import Any

from reports import blocks, charts, numbers, reading
from reports.blocks import Block, Cell, Figure, Note, Table
from reports.tracing import Reader

N_MOVERS = 8
MOST_INDUSTRIES = 12
MOST_HALTS = 12
# Calendar days in which a volatility from before the day is looked for; one that was suspended longer has none.
VOLATILITY_DAYS = timedelta(days=60)
MOVER_HEADS = ("Code", "Name", "1 session", "Own volatilities", "20 sessions")


def industry_figure(lake: Reader, session: date) -> Figure:
    """The mean return of every industry, the best and the worst of them drawn.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select industry, mean_return, n_bars from analyst.industry_day where trade_date = $session"
        " and mean_return is not null order by mean_return desc, industry",
        session=session,
    )
    names, sizes = rows["industry"].to_pylist(), rows["n_bars"].to_pylist()
    means = reading.floats(rows, "mean_return")
    chart = charts.bars(
        [f"{name} ({numbers.count(n)})" for name, n in zip(names, sizes, strict=True)],
        means,
        label="Mean return by industry",
        write=numbers.change,
        most=MOST_INDUSTRIES,
    )
    held = tuple(zip(names, means.tolist(), sizes, strict=True))
    chart = dataclasses.replace(chart, heads=("industry", "mean return", "securities"), rows=held)
    extent = (
        f"the best and worst of {rows.num_rows}, all in the CSV"
        if rows.num_rows > MOST_INDUSTRIES
        else f"all {rows.num_rows}"
    )
    return Figure("Industries", chart, f"Equal-weighted one-day simple return, number of securities; {extent}.")


def security_blocks(lake: Reader, session: date) -> list[Block]:
    """Every security's day: how returns are spread, who moved most, and who moved most for what it is used to.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "with before as (select ts_code, arg_max(volatility_20d, trade_date) as volatility from analyst.daily_return"
        " where trade_date >= $start and trade_date < $session and volatility_20d > 0 group by ts_code)"
        " select r.ts_code, r.name, r.simple_return_1d, r.simple_return_20d,"
        " (ln(1 + r.simple_return_1d) - median(ln(1 + r.simple_return_1d)) over (partition by r.trade_date))"
        " / before.volatility as own_volatilities"
        " from analyst.daily_return as r left join before using (ts_code) where r.trade_date = $session"
        " and r.simple_return_1d is not null order by r.simple_return_1d desc, r.ts_code",
        start=session - VOLATILITY_DAYS,
        session=session,
    )
    chart = charts.histogram(
        reading.floats(rows, "simple_return_1d"),
        label="Distribution of one-day returns",
        write=lambda v: numbers.change(v, 1),
        tell=numbers.change,
    )
    held = rows.to_pylist()
    # Of equal returns the lower code stands first, on both lists.
    worst = sorted(held, key=lambda row: (row["simple_return_1d"], row["ts_code"]))
    unusual = sorted(
        (row for row in held if row["own_volatilities"] is not None),
        key=lambda row: (-abs(row["own_volatilities"]), row["ts_code"]),
    )
    shown: list[Block] = [
        Figure("Returns of the day", chart, f"One-day simple returns of {numbers.count(rows.num_rows)} securities."),
        Table("Best of the day", MOVER_HEADS, [_mover_cells(row) for row in held[:N_MOVERS]]),
        Table("Worst of the day", MOVER_HEADS, [_mover_cells(row) for row in worst[:N_MOVERS]]),
    ]
    if unusual:
        caption = (
            "Most unusual (own volatilities: log return less the market's median, over the deviation of the 20 before)"
        )
        shown.append(Table(caption, MOVER_HEADS, [_mover_cells(row) for row in unusual[:N_MOVERS]]))
    return shown


def _mover_cells(row: dict[str, Any]) -> tuple[Cell, ...]:
    return (
        blocks.link(row["ts_code"], "security"),
        blocks.name(row["name"]),
        blocks.number(numbers.change(row["simple_return_1d"]), blocks.tone_of(row["simple_return_1d"])),
        blocks.number(numbers.decimal(row["own_volatilities"], 1, signed=True)),
        blocks.number(numbers.change(row["simple_return_20d"], 1), blocks.tone_of(row["simple_return_20d"])),
    )


def halt_blocks(lake: Reader, session: date) -> list[Block]:
    """Who does not trade since the day, and who trades again.

    Raises:
        LakeError: the lake cannot be read.
    """
    held = lake.read(
        "select trade_date, trade_date::varchar in (select partition from ops.ledger where dataset = 'market.suspend_d'"
        " and state in ('ok', 'empty_confirmed')) as is_held from analyst.market_day where trade_date <= $session"
        " order by trade_date desc limit 2",
        session=session,
    )["is_held"].to_pylist()
    if not held or not held[0]:
        return [Note(f"Which securities are suspended is not known: there is no list of {session}.")]
    is_compared = len(held) == 2 and held[1]
    rows = lake.read(
        "with listed as (select ts_code, trade_date = $session as is_today, suspend_timing is null as is_whole"
        " from market.suspend_d where suspend_type = 'S' and trade_date in ($session, (select max(trade_date)"
        " from market.daily where trade_date >= $start and trade_date < $session))),"
        " each as (select ts_code, bool_or(is_today and is_whole) as is_out,"
        " bool_or(not is_today and is_whole) as was_out, bool_or(is_today and not is_whole) as is_halted"
        " from listed group by ts_code)"
        " select each.*, stock.name, r.simple_return_1d, r.ts_code is not null as has_bar, each.ts_code in"
        " (select ts_code from feature.log_return where trade_date >= $start and trade_date <= $session) as has_page"
        " from each left join market.stock_basic as stock using (ts_code) left join analyst.daily_return as r"
        " on r.ts_code = each.ts_code and r.trade_date = $session order by each.ts_code",
        start=session - VOLATILITY_DAYS,
        session=session,
    ).to_pylist()
    shown = [row for row in rows if row["is_out"] != row["was_out"] and (row["is_out"] or row["has_bar"])]
    n_out, n_halted = (sum(row[name] for row in rows) for name in ("is_out", "is_halted"))
    said = f"Suspended for the whole session: {numbers.count(n_out)}; for a part of it: {numbers.count(n_halted)}."
    if not is_compared:
        return [Note(f"{said} Since when is not known: there is no list of the session before.")]
    if not shown:
        return [Note(f"{said} Nobody is suspended since today, and nobody trades again.")]
    shown.sort(key=lambda row: (row["is_out"], -abs(row["simple_return_1d"] or 0.0), row["ts_code"]))
    cells = [
        (
            blocks.link(row["ts_code"], "security") if row["has_page"] else blocks.text(row["ts_code"]),
            blocks.name(row["name"]),
            blocks.text("suspended" if row["is_out"] else "trades again"),
            blocks.number(numbers.change(row["simple_return_1d"]), blocks.tone_of(row["simple_return_1d"])),
        )
        for row in shown[:MOST_HALTS]
    ]
    more = f", {MOST_HALTS} of {numbers.count(len(shown))}" if len(shown) > MOST_HALTS else ""
    heads = ("Code", "Name", "Since today", "1 session")
    return [Note(said), Table(f"Suspended or trading again{more}", heads, cells)]
