"""Which common factors drive the returns of securities, how stable are they, and which securities move alike?"""

from __future__ import annotations

from datetime import date

import numpy as np

from reports import axes, blocks, charts, numbers, reading
from reports.blocks import Block, Figure, Note, Section, Table
from reports.tracing import Reader, walk

MOST_FACTORS_SHOWN = 4
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
            *walk(lake, _score_figure, version, as_of),
            *walk(lake, _scree_figure, version),
            *walk(lake, _loading_figure, version, as_of),
            *walk(lake, _rotation_table, version),
            *walk(lake, _cluster_table, as_of),
        ),
    )


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
        "Equity factors", chart, "Scores added up over sessions; fit as of " + version[-10:] + ".", is_wide=True
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
        "select a.entity, a.loading as first, b.loading as second, coalesce(c.cluster, 1) as cluster"
        " from analyst.factor_loading as a join analyst.factor_loading as b"
        " on b.model_version = a.model_version and b.entity = a.entity and b.factor = 2"
        " left join analyst.cluster as c on c.model_version = $clusters and c.entity = a.entity"
        " where a.model_version = $version and a.factor = 1 order by a.entity",
        version=version,
        clusters=clusters,
    )
    if not rows.num_rows:
        return [Note("The equity panel has one factor only: there is no second to set against it.")]
    chart = charts.scatter(
        reading.floats(rows, "first"),
        reading.floats(rows, "second"),
        rows["cluster"].to_numpy().astype(np.int64),
        label="Loadings on the first two equity factors, by group",
        names=("factor 1", "factor 2"),
        writes=(lambda v: numbers.decimal(v), lambda v: numbers.decimal(v)),
    )
    return [Figure("Loadings by group", chart, "A point is a security; its colour is its group in the table below.")]


def _rotation_table(lake: Reader, version: str) -> Table:
    rows = lake.read(
        "select factor, explained_variance_ratio, predecessor_correlation from analyst.factor"
        " where model_version = $version order by factor",
        version=version,
    ).to_pylist()
    cells = []
    for row in rows:
        correlation = row["predecessor_correlation"]
        word = "first fit" if correlation is None else "kept" if correlation >= STEADY_CORRELATION else "rotated"
        cells.append(
            (
                blocks.link(str(row["factor"]), "factor", f"equity_pca/{row['factor']}"),
                blocks.number(numbers.share(row["explained_variance_ratio"])),
                blocks.number(numbers.decimal(correlation, 3)),
                blocks.text(word),
            )
        )
    heads = ("Factor", "Share of variance", "Correlation with predecessor", "")
    return Table("Rotation since the last fit", heads, cells)


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
