"""Is the day whole, what changed since the session before, and what are the key figures?"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from reports import blocks, charts, numbers, reading
from reports.blocks import Lead, Listing, Note, Section, Subject, Tile, Tiles
from reports.pages import anomalies, changes
from reports.tracing import Reader, walk
from warehouse import checks, outages
from warehouse.tables import ops

SPARK_SESSIONS = 60
MARKET_INDEX = changes.MARKET_INDEX
DATA = Lead("Data", "data")


def section(lake: Reader, as_of: date) -> Section:
    """The first screen.

    Raises:
        LakeError: the lake cannot be read.
    """
    session = reading.read_session(lake, as_of)
    before = reading.read_day_before(lake, as_of)
    shown = (
        *walk(lake, _status, as_of, session),
        *walk(lake, _look, as_of),
        *walk(lake, _listing, as_of, before),
        *walk(lake, _tiles, as_of, session),
    )
    return Section("overview", "Today", shown)


def _listing(lake: Reader, as_of: date, before: date | None) -> Listing:
    return Listing(f"Since {numbers.day(before)}" if before else "So far", changes.read(lake, as_of, before))


def _tiles(lake: Reader, as_of: date, session: date | None) -> Tiles:
    tiles = [
        *_market_tiles(lake, session),
        *_factor_tile(lake, as_of),
        _coverage_tile(lake, session),
        _alert_tile(lake, as_of),
    ]
    return Tiles(tuple(tile for tile in tiles if tile is not None))


def _status(lake: Reader, as_of: date, session: date | None) -> Note:
    gaps = lake.read(
        "select title, fingerprint from analyst.alert where state = 'open'"
        " and rule in (select unnest($rules)) and least(first_seen_date, subject_date) <= $as_of"
        " order by title, fingerprint",
        as_of=as_of,
        rules=[*checks.COMPLETENESS_RULES, outages.RULE],
    ).to_pylist()
    if gaps:
        more = f" And {len(gaps) - 1} more, see Data." if len(gaps) > 1 else ""
        return Note(blocks.linked(f"Not whole: {gaps[0]['title']}.{more}", _lead(gaps[0]), DATA), "warn")
    n_older = lake.read_value(
        "select count(*) from analyst.coverage where state not in ('ok', 'empty_confirmed')"
        " and (session_date is null or session_date < $as_of)",
        as_of=as_of,
    )
    whole = "All data expected by today is here."
    if n_older:
        said = "partition is" if n_older == 1 else "partitions are"
        whole = f"All data expected today is here; of earlier days {numbers.count(n_older)} {said} not whole, see Data."
    if session is None:
        return Note(
            "No market data is loaded: this report has the macro half only. Set TUSHARE_TOKEN for the other.", "warn"
        )
    if session < as_of:
        whole = f"{whole} The newest session is {session}; {as_of} had no bars to give."
    return Note(blocks.linked(whole, DATA) if n_older else whole, "good")


def _lead(alert: dict[str, Any]) -> Lead:
    return Lead(alert["title"], Subject("alert", alert["fingerprint"]))


def _look(lake: Reader, as_of: date) -> Note:
    """What the data says that somebody should see: whole data may hold a trouble."""
    rows = lake.read(
        "select title, severity, fingerprint from analyst.alert where state = 'open'"
        " and least(first_seen_date, subject_date) <= $as_of"
        # The gravest first, of these the newest stands for all.
        f" order by {ops.GRAVEST_FIRST}, first_seen_date desc, rule, subject",
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return Note("Nothing needs a look: no alert is open.", "good")
    n_high = sum(row["severity"] == "high" for row in rows)
    are = "1 alert is" if len(rows) == 1 else f"{numbers.count(len(rows))} alerts are"
    if n_high:
        words = "is of high severity:" if n_high == 1 else "are of high severity, such as:"
        told = f"Needs a look: {are} open, {numbers.count(n_high)} {words}"
    else:
        told = f"{are} open, none of high severity, such as:"
    leads = (_lead(rows[0]), Lead("Anomalies", anomalies.ANCHOR))
    return Note(blocks.linked(f"{told} {rows[0]['title']}. See Anomalies.", *leads), "warn" if n_high else "")


def _index_tile(lake: Reader, session: date) -> list[Tile]:
    index = lake.read(
        "select trade_date, close_points, simple_return_1d from analyst.index_day"
        " where ts_code = $index and trade_date <= $session"
        f" order by trade_date desc limit {SPARK_SESSIONS}",
        index=MARKET_INDEX,
        session=session,
    )
    if not index.num_rows:
        return []
    now = index.slice(0, 1).to_pylist()[0]
    level = reading.floats(index, "close_points")[::-1]
    return [
        Tile(
            f"CSI 300 ({MARKET_INDEX})",
            numbers.decimal(now["close_points"]),
            numbers.change(now["simple_return_1d"]),
            blocks.tone_of(now["simple_return_1d"]),
            charts.sparkline(
                level,
                label="CSI 300, last 60 sessions",
                dates=index["trade_date"].to_pylist()[::-1],
                write=numbers.decimal,
            ),
        )
    ]


def _market_tiles(lake: Reader, session: date | None) -> list[Tile]:
    if session is None:
        return []
    days = lake.read(
        "select * from analyst.market_day where trade_date between $start and $session"
        f" order by trade_date desc limit {SPARK_SESSIONS}",
        start=session - reading.days_around(SPARK_SESSIONS),
        session=session,
    ).sort_by("trade_date")
    today = days.slice(days.num_rows - 1).to_pylist()[0]
    tiles = _index_tile(lake, session)
    growth = (1 + reading.floats(days, "mean_return")).cumprod()
    dates = days["trade_date"].to_pylist()
    tiles.append(
        Tile(
            "Mean return, equal-weighted",
            numbers.change(today["mean_return"]),
            f"median {numbers.change(today['median_return'])}",
            blocks.tone_of(today["mean_return"]),
            charts.sparkline(
                growth, label="Equal-weighted growth, last 60 sessions", dates=dates, write=numbers.decimal
            ),
        )
    )
    tiles.append(
        Tile(
            "Up / down",
            f"{numbers.count(today['n_up'])} / {numbers.count(today['n_down'])}",
            f"{numbers.count(today['n_unchanged'])} unchanged, {numbers.count(today['n_bars'])} priced",
            blocks.tone_of(today["n_up"] - today["n_down"]),
            charts.sparkline(
                reading.floats(days, "n_up"), label="Securities up, last 60 sessions", dates=dates, write=numbers.count
            ),
        )
    )
    amounts = reading.floats(days, "amount_cny")
    before = amounts[:-1][np.isfinite(amounts[:-1])]
    ratio = amounts[-1] / before.mean() - 1 if len(before) else None
    tiles.append(
        Tile(
            "Traded",
            numbers.amount_cny(today["amount_cny"]),
            f"{numbers.change(ratio, 0)} against the mean of the {len(before)} before",
            spark=charts.sparkline(
                amounts, label="Amount traded, last 60 sessions", dates=dates, write=numbers.amount_cny
            ),
        )
    )
    return tiles


def _factor_tile(lake: Reader, as_of: date) -> list[Tile]:
    version = reading.read_newest_version(lake, "macro_pca", as_of)
    if version is None:
        return []
    rows = lake.read(
        "select score_date, score from analyst.factor_score where model_version = $version and factor = 1"
        " order by score_date",
        version=version,
    )
    scores = reading.floats(rows, "score")
    step = scores[-1] - scores[-2] if len(scores) > 1 else None
    return [
        Tile(
            f"Macro factor 1, {rows['score_date'][rows.num_rows - 1].as_py():%Y-%m}",
            numbers.decimal(float(scores[-1]), signed=True),
            f"{numbers.decimal(step, signed=True)} on the month",
            spark=charts.sparkline(
                scores[-SPARK_SESSIONS:],
                label="Macro factor 1, last 60 months",
                dates=rows["score_date"].to_pylist()[-SPARK_SESSIONS:],
                write=lambda v: numbers.decimal(v, signed=True),
            ),
        )
    ]


def _coverage_tile(lake: Reader, session: date | None) -> Tile | None:
    if session is None:
        return None
    rows = lake.read(
        "select n_received, n_expected, coverage_fraction, n_quarantined from analyst.coverage"
        " where dataset = 'market.daily' and session_date = $session",
        session=session,
    ).to_pylist()
    if not rows:
        return None
    row = rows[0]
    return Tile(
        "Bars received",
        numbers.share(row["coverage_fraction"]),
        f"{numbers.count(row['n_received'])} of {numbers.count(row['n_expected'])},"
        f" {numbers.count(row['n_quarantined'])} set aside",
    )


def _alert_tile(lake: Reader, as_of: date) -> Tile:
    row = lake.read(
        "select count(*) as n_open, count(*) filter (where severity = 'high') as n_high from analyst.alert"
        " where state = 'open' and least(first_seen_date, subject_date) <= $as_of",
        as_of=as_of,
    ).to_pylist()[0]
    return Tile("Open alerts", numbers.count(row["n_open"]), f"{numbers.count(row['n_high'])} of high severity")
