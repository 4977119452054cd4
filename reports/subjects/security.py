"""What is known about one security: how it did, what is forecast for it, what moves it, and what was wrong with it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from reports import axes, blocks, charts, numbers, reading, texts
from reports.blocks import Block, Figure, Note, Section, Source, Table, Tile, Tiles
from reports.reading import Gathered
from reports.subjects.page import Entry, SubjectPage
from reports.tracing import Reader, Trail

# Four hundred days hold the 250 sessions of a chart, whatever the holidays.
CHART_DAYS = 400
TABLE_SESSIONS = 10
MOST_FACTORS_SHOWN = 12
MOST_ROWS = 12
# How many securities' prices are asked for at once: 250 rows each.
CHUNK = 400


@dataclass(frozen=True)
class _Known:
    """What is asked once about all securities wanted."""

    market: pa.Table
    market_source: Source
    facts: Gathered
    forecasts: Gathered
    loadings: Gathered
    clusters: Gathered
    alerts: Gathered
    troubles: Gathered


def read_entries(lake: Reader, as_of: date) -> list[Entry]:
    """Every security that has a bar on or before the day, by code.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select ts_code, any_value(name) as name, any_value(industry) as industry from analyst.daily_return"
        " where trade_date <= $as_of group by ts_code order by ts_code",
        as_of=as_of,
    ).to_pylist()
    return [Entry(row["ts_code"], _title(row), (row["industry"] or numbers.MISSING,)) for row in rows]


def build(lake: Reader, names: Sequence[str], as_of: date) -> Iterator[SubjectPage]:
    """The pages of securities; of one that has no bar by the day there is none.

    Raises:
        LakeError: the lake cannot be read.
    """
    if not names:
        return
    known = _read_known(lake, names, as_of)
    for start in range(0, len(names), CHUNK):
        chunk = list(names[start : start + CHUNK])
        bars = _gather_bars(lake, chunk, as_of)
        for name in chunk:
            facts = known.facts.of(name).to_pylist()
            if facts:
                yield SubjectPage(name, _title(facts[0]), _sections(name, facts[0], bars, known))


def _title(row: dict[str, Any]) -> str:
    return f"{row['ts_code']} {texts.shortened(row['name'])}" if row["name"] else row["ts_code"]


def _gather_bars(lake: Reader, names: list[str], as_of: date) -> Gathered:
    return Gathered(
        lake,
        "select p.ts_code, p.trade_date, p.close_cny, p.close_adjusted_cny, p.amount_cny, p.turnover_fraction,"
        " r.simple_return_1d, r.simple_return_20d, r.simple_return_252d, r.volatility_20d_annual, r.drawdown_252d"
        " from analyst.price_adjusted as p left join analyst.daily_return as r using (ts_code, trade_date)"
        " where p.ts_code in (select unnest($names)) and p.trade_date between $start and $as_of"
        " order by p.ts_code, p.trade_date",
        "ts_code",
        names=names,
        start=as_of - timedelta(days=CHART_DAYS),
        as_of=as_of,
    )


def _read_known(lake: Reader, names: Sequence[str], as_of: date) -> _Known:
    wanted = list(names)
    market = Trail(lake)
    days = market.read(
        "select trade_date, mean_return from analyst.market_day where trade_date between $start and $as_of"
        " order by trade_date",
        start=as_of - timedelta(days=CHART_DAYS),
        as_of=as_of,
    )
    return _Known(
        market=days,
        market_source=market.source,
        facts=_gather_facts(lake, wanted, as_of),
        forecasts=_gather_forecasts(lake, wanted, as_of),
        loadings=_gather_model(lake, "equity_pca", "factor_loading", "factor, loading, marginal_r2", as_of),
        clusters=_gather_model(lake, "equity_cluster", "cluster", "cluster", as_of),
        alerts=Gathered(
            lake,
            "select subject, fingerprint, severity, title, state, subject_date, n_seen from analyst.alert"
            " where subject in (select unnest($names)) and least(first_seen_date, subject_date) <= $as_of"
            " order by subject, state = 'resolved', subject_date desc, fingerprint",
            "subject",
            names=wanted,
            as_of=as_of,
        ),
        troubles=_gather_troubles(lake, wanted, as_of),
    )


def _gather_facts(lake: Reader, names: list[str], as_of: date) -> Gathered:
    return Gathered(
        lake,
        "select r.ts_code, s.name, s.industry, s.market, s.list_date, s.delist_date, r.first_date, r.last_date,"
        " (select max(trade_date) from analyst.daily_return where trade_date <= $as_of) as session"
        " from (select ts_code, min(trade_date) as first_date, max(trade_date) as last_date"
        " from analyst.daily_return where trade_date <= $as_of group by ts_code) as r"
        " left join market.stock_basic as s using (ts_code)"
        " where r.ts_code in (select unnest($names)) order by r.ts_code",
        "ts_code",
        names=names,
        as_of=as_of,
    )


def _gather_forecasts(lake: Reader, names: list[str], as_of: date) -> Gathered:
    return Gathered(
        lake,
        "select ts_code, model_name, max_by(model_version, (forecast_date, model_version)) as model_version,"
        " max_by(role, (forecast_date, model_version)) as role, max(forecast_date) as forecast_date,"
        " max_by(forward_return_5d, (forecast_date, model_version)) as forward_return_5d,"
        " max_by(lower, (forecast_date, model_version)) as lower,"
        " max_by(upper, (forecast_date, model_version)) as upper from analyst.forecast"
        " where ts_code in (select unnest($names)) and forecast_date <= $as_of"
        " group by ts_code, model_name order by ts_code, model_name",
        "ts_code",
        names=names,
        as_of=as_of,
    )


def _gather_model(lake: Reader, model_name: str, view: str, columns: str, as_of: date) -> Gathered:
    """What the newest version of a model says about each security."""
    return Gathered(
        lake,
        f"select entity, {columns} from analyst.{view} where model_version = $version order by entity, {columns}",
        "entity",
        version=reading.read_newest_version(lake, model_name, as_of),
    )


def _gather_troubles(lake: Reader, names: list[str], as_of: date) -> Gathered:
    """What vendors corrected and what was set aside, by security, dataset and column or rule."""
    return Gathered(
        lake,
        "with told as (select row_key->>'$.ts_code' as ts_code, dataset, column_name as what, 'corrected' as how,"
        " partition from analyst.revision where revised_date <= $as_of"
        " union all select row_json->>'$.ts_code', dataset, rule, case state when 'pending' then 'set aside'"
        " else state end, partition from analyst.quarantine)"
        " select ts_code, dataset, what, how, count(*) as n, max(partition) as newest from told"
        " where ts_code in (select unnest($names)) group by all order by ts_code, n desc, dataset, what, how",
        "ts_code",
        names=names,
        as_of=as_of,
    )


def _sections(name: str, facts: dict[str, Any], bars: Gathered, known: _Known) -> list[Section]:
    rows = bars.of(name)
    shown = [
        Section("overview", "At a glance", _overview(facts, rows, bars.source, known.facts.source)),
        Section("price", "Price", _price_blocks(name, rows, bars.source, known)),
        Section("forecasts", "Forecasts", [_forecast_table(known.forecasts.of(name), known.forecasts.source)]),
        Section("factors", "Factors", list(_factor_blocks(name, known))),
        Section("data", "Data", [_alert_table(name, known.alerts), _trouble_table(name, known.troubles)]),
    ]
    return [section for section in shown if section.blocks]


def _overview(facts: dict[str, Any], rows: pa.Table, source: Source, facts_source: Source) -> list[Block]:
    shown: list[Block] = []
    session, last = facts["session"], facts["last_date"]
    if last < session:
        why = (
            f"It was delisted on {facts['delist_date']}."
            if facts["delist_date"] and facts["delist_date"] <= session
            else "It may be suspended."
        )
        shown.append(Note(f"No bar since {last}; the newest session is {session}. {why}", "warn", facts_source))
    if rows.num_rows:
        shown.append(Tiles(_tiles(rows), source))
    cells = [
        (blocks.text("Industry"), blocks.name(facts["industry"])),
        (blocks.text("Board"), blocks.name(facts["market"])),
        (blocks.text("Listed since"), blocks.text(numbers.day(facts["list_date"]))),
        (blocks.text("Bars from"), blocks.text(numbers.day(facts["first_date"]))),
        (blocks.text("Bars to"), blocks.text(numbers.day(last))),
    ]
    shown.append(Table("What it is", ("", "As the vendor says today"), cells, source=facts_source))
    return shown


def _tiles(rows: pa.Table) -> list[Tile]:
    newest = rows.slice(rows.num_rows - 1).to_pylist()[0]
    prices = reading.floats(rows, "close_adjusted_cny")
    day = newest["trade_date"]
    return [
        Tile(
            "Close, CNY",
            numbers.decimal(newest["close_cny"]),
            f"{day}, {numbers.change(newest['simple_return_1d'])}",
            blocks.tone_of(newest["simple_return_1d"]),
            charts.sparkline(
                prices[-60:],
                label="Back-adjusted close, last 60 sessions",
                dates=rows["trade_date"].to_pylist()[-60:],
                write=numbers.decimal,
            ),
        ),
        *(
            Tile(label, numbers.change(newest[column], 1), "simple return", blocks.tone_of(newest[column]))
            for label, column in (("20 sessions", "simple_return_20d"), ("252 sessions", "simple_return_252d"))
        ),
        Tile("Volatility", numbers.share(newest["volatility_20d_annual"]), "a year, of the last 20 sessions"),
        Tile("Below its high", numbers.change(newest["drawdown_252d"], 1), "of 252 sessions"),
        Tile(
            "Traded",
            numbers.amount_cny(newest["amount_cny"]),
            f"{numbers.share(newest['turnover_fraction'], 2)} of the float",
        ),
    ]


def _price_blocks(name: str, rows: pa.Table, source: Source, known: _Known) -> list[Block]:
    if rows.num_rows < 2:
        return [Note("Fewer than two bars in the last year: there is no line to draw.", source=source)]
    dates = rows["trade_date"].to_pylist()
    prices = reading.floats(rows, "close_adjusted_cny")
    known_prices = prices[np.isfinite(prices)]
    if not len(known_prices):
        return [
            Note("Its adjustment factors are missing: prices of different days cannot be compared.", "warn", source)
        ]
    of_day = dict(
        zip(known.market["trade_date"].to_pylist(), reading.floats(known.market, "mean_return").tolist(), strict=True)
    )
    # The market's days between two bars count too: a suspension is time that passes.
    market = np.nan_to_num(np.array([of_day[day] for day in of_day if day >= dates[0]]))
    growth = dict(zip((day for day in of_day if day >= dates[0]), np.cumprod(1 + market).tolist(), strict=True))
    first = growth.get(dates[0], 1.0)
    lines = [
        charts.Line(name, prices / known_prices[0]),
        charts.Line("equal-weighted market", np.array([growth.get(day, np.nan) / first for day in dates])),
    ]
    chart = charts.line_chart(
        dates, lines, label=f"{name} and the market, first day = 1", write=lambda v: f"{v:.2f}", width=axes.WIDE
    )
    turnover = charts.line_chart(
        dates,
        [charts.Line("turnover", reading.floats(rows, "turnover_fraction"))],
        label=f"Share of the float of {name} traded",
        write=lambda v: numbers.share(v, 1),
        zero=True,
    )
    both = Source(tuple(dict.fromkeys((*source.views, *known.market_source.views))))
    return [
        Figure(
            "Growth beside the market",
            chart,
            f"Back-adjusted close since {dates[0]}, start = 1, and the equal-weighted market.",
            is_wide=True,
            source=both,
        ),
        Figure("Turnover", turnover, "Share of the float traded, by session.", source=source),
        _session_table(rows, source),
    ]


def _session_table(rows: pa.Table, source: Source) -> Table:
    newest = rows.slice(max(0, rows.num_rows - TABLE_SESSIONS)).to_pylist()[::-1]
    cells = [
        (
            blocks.text(numbers.day(row["trade_date"])),
            blocks.number(numbers.decimal(row["close_cny"])),
            blocks.number(numbers.change(row["simple_return_1d"]), blocks.tone_of(row["simple_return_1d"])),
            blocks.number(numbers.amount_cny(row["amount_cny"])),
            blocks.number(numbers.share(row["turnover_fraction"], 2)),
        )
        for row in newest
    ]
    heads = ("Session", "Close, CNY", "1 session", "Traded", "Of the float")
    return Table("Last sessions", heads, cells, source=source)


def _forecast_table(rows: pa.Table, source: Source) -> Block:
    if not rows.num_rows:
        return Note("No model has scored it: it lacks history, or forecasts are not fitted yet.", source=source)
    cells = [
        (
            blocks.link(row["model_version"], "model"),
            blocks.text(row["role"] or numbers.MISSING),
            blocks.number(numbers.day(row["forecast_date"])),
            blocks.number(numbers.change(row["forward_return_5d"]), blocks.tone_of(row["forward_return_5d"])),
            blocks.number(f"{numbers.change(row['lower'], 1)} to {numbers.change(row['upper'], 1)}"),
        )
        for row in rows.to_pylist()
    ]
    heads = ("Version", "Part", "Made after", "Forecast", "90 % interval")
    caption = "Newest forecasts: log return over 5 sessions in excess of the market's mean"
    return Table(caption, heads, cells, is_wide=True, source=source)


def _factor_blocks(name: str, known: _Known) -> Iterator[Block]:
    rows = known.loadings.of(name).slice(0, MOST_FACTORS_SHOWN).to_pylist()
    if not rows:
        yield Note("It is not in the panel of the equity factors.", source=known.loadings.source)
        return
    cells = [
        (
            blocks.link(f"factor {row['factor']}", "factor", f"equity_pca/{row['factor']}"),
            blocks.number(numbers.loading(row["loading"])),
            blocks.number(numbers.share(row["marginal_r2"])),
        )
        for row in rows
    ]
    heads = ("Factor", "Loading", "Share of its variance")
    yield Table("Equity factors", heads, cells, source=known.loadings.source)
    group = known.clusters.of(name).to_pylist()
    if group:
        yield Note(
            f"It is in group {group[0]['cluster']} of the securities that move alike.", "", known.clusters.source
        )


def _alert_table(name: str, alerts: Gathered) -> Block:
    rows = alerts.of(name)
    if not rows.num_rows:
        return Note("No alert was ever about it.", "good", alerts.source)
    cells = [
        (
            blocks.text(row["severity"]),
            blocks.link(row["title"], "alert", row["fingerprint"]),
            blocks.text(row["state"]),
            blocks.number(numbers.day(row["subject_date"])),
            blocks.number(numbers.count(row["n_seen"])),
        )
        for row in rows.slice(0, MOST_ROWS).to_pylist()
    ]
    more = f", {MOST_ROWS} of {rows.num_rows}" if rows.num_rows > MOST_ROWS else ""
    heads = ("Severity", "What", "State", "Day", "Seen")
    return Table(f"Alerts{more}", heads, cells, is_wide=True, source=alerts.source)


def _trouble_table(name: str, troubles: Gathered) -> Block:
    rows = troubles.of(name).slice(0, MOST_ROWS).to_pylist()
    if not rows:
        return Note("No value of it was corrected, and no row set aside.", "good", troubles.source)
    cells = [
        (
            blocks.text(f"{row['dataset']}.{row['what']}" if row["what"] != "*" else f"{row['dataset']}, whole row"),
            blocks.text(row["how"]),
            blocks.number(numbers.count(row["n"])),
            blocks.text(row["newest"]),
        )
        for row in rows
    ]
    return Table("Corrected or set aside", ("What", "How", "Times", "Newest"), cells, source=troubles.source)
