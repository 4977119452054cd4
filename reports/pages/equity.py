"""Which common factors drive the returns of securities, how stable are they, and which securities move alike?"""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import numpy as np

from reports import axes, blocks, charts, numbers, reading
from reports.blocks import Block, Cell, Figure, Note, Section, Table
from reports.pages import continuity
from reports.tracing import Reader, walk

MOST_FACTORS_SHOWN = 4
RETURN_SESSIONS = 20
N_EXPOSED = 3
MOST_REFITS = 8
# A whole market's points would be a third of a page's size with their names; the drawing looks the same.
MOST_POINTS = 800
N_NAMES = 5
# Below this a refit's factor is another factor, not the old one a little moved.
STEADY_CORRELATION = 0.9


def section(lake: Reader, as_of: date) -> Section:
    """The equity factors.

    Raises:
        LakeError: the lake cannot be read.
    """
    version = reading.read_newest_version(lake, "equity_pca", as_of)
    if version is None:
        note = Note(
            "The equity factors are not fitted yet: they need 60 sessions of returns. `daybook refit` says why."
        )
        return Section("equity", "Equity factors", (note,))
    return Section(
        "equity",
        "Equity factors",
        (
            *walk(lake, _factor_table, version, as_of),
            *walk(lake, continuity.change_table, version, as_of),
            *walk(lake, _score_figure, version, as_of),
            *walk(lake, _exposure_table, version),
            *walk(lake, _scree_figure, version),
            *walk(lake, _loading_figure, version, as_of),
            *walk(lake, _refit_table, as_of),
            *walk(lake, _cluster_table, as_of),
        ),
    )


def _factor_table(lake: Reader, version: str, as_of: date) -> list[Block]:
    """The newest move of each factor: as a score, and as the return of a portfolio that follows it.

    Source:
        Avellaneda and Lee (2010), Quantitative Finance 10(7), on eigenportfolios: weights are loadings over
        volatility. Here their absolute values add up to 1.
    """
    rows = lake.read(
        "with card as (select train_start, train_end from model.model_version where model_version = $version),"
        " spread as (select ts_code, stddev_samp(log_return_1d) as deviation from feature.log_return, card"
        " where trade_date between train_start and train_end group by ts_code),"
        " weight as (select l.factor, l.entity as ts_code, l.loading / s.deviation as weight"
        " from model.factor_loading as l join spread as s on s.ts_code = l.entity"
        " where l.model_version = $version and s.deviation > 0),"
        " moved as (select w.factor, r.trade_date,"
        " sum(w.weight * (exp(r.log_return_1d) - 1)) / sum(abs(w.weight)) as factor_return"
        " from feature.log_return as r join weight as w using (ts_code)"
        " where r.trade_date between $start and $as_of and r.log_return_1d is not null group by w.factor, r.trade_date"
        f" qualify row_number() over (partition by w.factor order by r.trade_date desc) <= {RETURN_SESSIONS}),"
        " returned as (select factor, max(trade_date) as session, max_by(factor_return, trade_date) as of_day,"
        " product(1 + factor_return) - 1 as of_all, count(*) as n_sessions from moved group by factor),"
        " scored as (select factor, max_by(score, score_date) as score, max(score_date) as score_date"
        " from model.factor_score where model_version = $version and score_date <= $as_of group by factor)"
        " select f.factor, f.explained_variance_ratio, f.predecessor_correlation,"
        " s.score / sqrt(f.eigenvalue) as score, s.score_date, r.session, r.of_day, r.of_all, r.n_sessions"
        " from model.factor as f left join scored as s using (factor) left join returned as r using (factor)"
        " where f.model_version = $version order by f.factor",
        version=version,
        start=as_of - reading.days_around(RETURN_SESSIONS),
        as_of=as_of,
    ).to_pylist()
    sessions = [row["session"] for row in rows if row["session"] is not None]
    n_sessions = max((row["n_sessions"] or 0 for row in rows), default=0)
    day = f"Return {max(sessions)}" if sessions else "Return of the day"
    heads = ["Factor", day, f"Return, {n_sessions} sessions", "Score", "Share of variance"]
    heads += ["Correlation with predecessor", ""]
    caption = (
        "Factors: the return is that of the portfolio that follows a factor, each security weighted by loading over"
        " volatility, absolute weights adding up to 1, set anew each session; the score is the newest, in standard"
        " deviations of the factor"
    )
    return [Table(caption, heads, [_factor_cells(row) for row in rows], is_wide=True)]


def _factor_cells(row: dict[str, Any]) -> list[Cell]:
    correlation = row["predecessor_correlation"]
    word = "first fit" if correlation is None else "kept" if correlation >= STEADY_CORRELATION else "rotated"
    return [
        blocks.link(str(row["factor"]), "factor", f"equity_pca/{row['factor']}"),
        blocks.number(numbers.change(row["of_day"]), blocks.tone_of(row["of_day"])),
        blocks.number(numbers.change(row["of_all"]), blocks.tone_of(row["of_all"])),
        blocks.number(numbers.decimal(row["score"], 1, signed=True)),
        blocks.number(numbers.share(row["explained_variance_ratio"])),
        blocks.number(numbers.decimal(correlation, 3)),
        blocks.text(word),
    ]


def _exposure_table(lake: Reader, version: str) -> list[Block]:
    """The securities that go most with a factor, and those that go most against it or least with it."""
    rows = lake.read(
        "select l.factor, l.entity, l.entity_name, l.loading * sqrt(f.eigenvalue) as exposure,"
        " row_number() over (partition by l.factor order by l.loading desc, l.entity) as from_top,"
        " row_number() over (partition by l.factor order by l.loading, l.entity) as from_bottom"
        " from analyst.factor_loading as l join analyst.factor as f using (model_version, factor)"
        f" where l.model_version = $version and l.factor <= {MOST_FACTORS_SHOWN}"
        f" qualify least(from_top, from_bottom) <= {N_EXPOSED} order by l.factor, from_top",
        version=version,
    ).to_pylist()
    cells = []
    for factor in dict.fromkeys(row["factor"] for row in rows):
        held = [row for row in rows if row["factor"] == factor]
        top = [row for row in held if row["from_top"] <= N_EXPOSED]
        bottom = [row for row in reversed(held) if row["from_bottom"] <= N_EXPOSED]
        cells += [
            [blocks.link(f"{factor}", "factor", f"equity_pca/{factor}"), *_exposed(high), *_exposed(low)]
            for high, low in zip(top, bottom, strict=True)
        ]
    if not cells:
        return []
    heads = ("Factor", "Highest", "Name", "Exposure", "Lowest", "Name", "Exposure")
    caption = "Largest exposures: the correlation of a security's returns with the factor's scores over the fit"
    return [Table(caption, heads, cells, is_wide=True)]


def _exposed(row: dict[str, Any]) -> list[Cell]:
    return [
        blocks.link(row["entity"], "security"),
        blocks.name(row["entity_name"]),
        blocks.number(numbers.decimal(row["exposure"], signed=True)),
    ]


def _score_figure(lake: Reader, version: str, as_of: date) -> Figure:
    rows = lake.read(
        "select factor, score_date, score from analyst.factor_score where model_version = $version"
        f" and score_date <= $as_of and factor <= {MOST_FACTORS_SHOWN} order by score_date, factor",
        version=version,
        as_of=as_of,
    )
    dates, factors, scores = reading.matrix(rows, "score_date", "factor", "score")
    path = np.cumsum(np.nan_to_num(scores), axis=0)
    lines = [charts.Line(f"factor {name}", path[:, at]) for at, name in enumerate(factors)]
    chart = charts.line_chart(
        dates,
        lines,
        label="Cumulated equity factor scores",
        write=lambda v: numbers.decimal(v, 0),
        tell=lambda v: numbers.decimal(v, 1, signed=True),
        zero=True,
        width=axes.WIDE,
    )
    return Figure(
        "Equity factors",
        chart,
        "Scores added up over sessions, fit as of "
        f"{version[-10:]}. A session's score is its standardised returns times loadings: the sign and the order of"
        " moves, not a return.",
        is_wide=True,
    )


def _scree_figure(lake: Reader, version: str) -> Figure:
    rows = lake.read(
        "select factor, explained_variance_ratio from analyst.factor where model_version = $version order by factor",
        version=version,
    )
    ratio = reading.floats(rows, "explained_variance_ratio")
    chart = charts.columns(
        [str(value) for value in rows["factor"].to_pylist()],
        ratio,
        label="Share of variance by equity factor",
        write=lambda v: numbers.share(v, 0),
    )
    return Figure("Scree", chart, f"Share of the return panel's variance; together {numbers.share(ratio.sum())}.")


def _loading_figure(lake: Reader, version: str, as_of: date) -> list[Block]:
    clusters = reading.read_newest_version(lake, "equity_cluster", as_of)
    rows = lake.read(
        "select a.entity, a.entity_name, a.loading as first, b.loading as second, coalesce(c.cluster, 1) as cluster"
        " from analyst.factor_loading as a join analyst.factor_loading as b"
        " on b.model_version = a.model_version and b.entity = a.entity and b.factor = 2"
        " left join analyst.cluster as c on c.model_version = $clusters and c.entity = a.entity"
        " where a.model_version = $version and a.factor = 1 order by a.entity",
        version=version,
        clusters=clusters,
    )
    if not rows.num_rows:
        return [Note("The equity panel has one factor only: there is no second to set against it.")]
    every = -(-rows.num_rows // MOST_POINTS)
    drawn = rows.take(np.arange(0, rows.num_rows, every))
    chart = charts.scatter(
        reading.floats(drawn, "first"),
        reading.floats(drawn, "second"),
        drawn["cluster"].to_numpy().astype(np.int64),
        label="Loadings on the first two equity factors, by group",
        names=("factor 1", "factor 2"),
        writes=(lambda v: numbers.decimal(v), lambda v: numbers.decimal(v)),
    )
    named = zip(drawn["entity"].to_pylist(), drawn["entity_name"].to_pylist(), chart.rows, strict=True)
    chart = dataclasses.replace(
        chart, heads=("ts_code", "name", *chart.heads), rows=tuple((code, name, *row) for code, name, row in named)
    )
    points = "A point is a security" if every == 1 else f"A point is a security, 1 of {every} of {rows.num_rows:,}"
    return [Figure("Loadings by group", chart, f"{points}; its colour is its group in the table below.")]


def _refit_table(lake: Reader, as_of: date) -> Table:
    """What each of the last refits explained, and how far it turned from the one before."""
    rows = lake.read(
        "select f.model_version, count(*) as n_factors,"
        " max(f.explained_variance_ratio) filter (where f.factor = 1) as first_share,"
        " sum(f.explained_variance_ratio) as share, min(f.predecessor_correlation) as least_kept, max(e.value) as angle"
        " from analyst.factor as f left join analyst.evaluation as e on e.model_version = f.model_version"
        " and e.metric = 'subspace_angle' and e.fold = 0 where f.model_name = 'equity_pca' and f.as_of_date <= $as_of"
        f" group by f.model_version, f.as_of_date order by f.as_of_date desc limit {MOST_REFITS}",
        as_of=as_of,
    ).to_pylist()
    cells = [
        (
            blocks.link(row["model_version"], "model"),
            blocks.number(numbers.count(row["n_factors"])),
            blocks.number(numbers.share(row["first_share"])),
            blocks.number(numbers.share(row["share"])),
            blocks.number(numbers.decimal(row["least_kept"], 3)),
            blocks.number(_degrees(row["angle"])),
        )
        for row in rows
    ]
    heads = ("Version", "Factors", "Share of the first", "Share of all", "Least kept factor", "Space turned by")
    caption = (
        "Explained share over the last refits: of the panel's variance; a factor is kept as far as its scores go with"
    )
    caption += " its predecessor's"
    return Table(caption, heads, cells, is_wide=True)


def _degrees(angle: float | None) -> str:
    return numbers.MISSING if angle is None else f"{numbers.decimal(np.degrees(angle), 1)}\N{DEGREE SIGN}"


def _cluster_table(lake: Reader, as_of: date) -> list[Block]:
    version = reading.read_newest_version(lake, "equity_cluster", as_of)
    if version is None:
        return [Note("Groups of securities are not fitted yet.")]
    rows = lake.read(
        "select c.cluster, count(*) as n, list(c.entity_name order by c.entity) as names,"
        " mode(s.industry order by s.industry) as industry"
        " from analyst.cluster as c left join analyst.daily_return as s"
        " on s.ts_code = c.entity and s.trade_date = (select max(trade_date) from analyst.daily_return"
        " where trade_date <= $as_of) where c.model_version = $version group by c.cluster order by c.cluster",
        version=version,
        as_of=as_of,
    ).to_pylist()
    silhouette = lake.read_value(
        "select value from analyst.evaluation where model_version = $version and metric = 'silhouette'",
        version=version,
    )
    cells = [
        (
            blocks.number(str(row["cluster"])),
            blocks.number(numbers.count(row["n"])),
            blocks.name(row["industry"]),
            blocks.text(", ".join(row["names"][:N_NAMES])),
        )
        for row in rows
    ]
    caption = f"Groups of securities by K-means on their loadings; mean silhouette {numbers.decimal(silhouette)}"
    return [Table(caption, ("Group", "Securities", "Most frequent industry", "For example"), cells, is_wide=True)]
