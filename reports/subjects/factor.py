"""What is one factor made of, how did it go, and did the refits keep it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reports import axes, blocks, charts, numbers, reading
from reports.blocks import Block, Figure, Note, Section, Source, Table, Tile, Tiles
from reports.pages.equity import STEADY_CORRELATION
from reports.reading import Gathered
from reports.subjects.page import Entry, SubjectPage
from reports.tracing import Reader, Trail

TITLES = {"equity_pca": "Equity factor", "macro_pca": "Macro factor"}
# Scores of a month or a session: fifteen years of one, a year of the other.
CHART_ROWS = {"macro_pca": 180, "equity_pca": 250}
MOST_ROWS = 250
MOST_LOADINGS = 20
MOST_VERSIONS = 30


def read_entries(lake: Reader, as_of: date) -> list[Entry]:
    """Every factor that a version fitted by the day has.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select model_name, factor, max_by(model_version, as_of_date) as newest from analyst.factor"
        " where as_of_date <= $as_of group by model_name, factor order by model_name, factor",
        as_of=as_of,
    ).to_pylist()
    return [
        Entry(
            f"{row['model_name']}/{row['factor']}",
            _title(row["model_name"], row["factor"]),
            (row["model_name"], row["newest"]),
        )
        for row in rows
    ]


def build(lake: Reader, names: Sequence[str], as_of: date) -> Iterator[SubjectPage]:
    """The pages of factors; of one that no version has by the day there is none.

    Raises:
        LakeError: the lake cannot be read.
    """
    if not names:
        return
    refits = _gather_refits(lake, names, as_of)
    newest = {name: refits.of(name)["model_version"][0].as_py() for name in names if refits.of(name).num_rows}
    versions = sorted(set(newest.values()))
    scores = _gather_of_versions(lake, "factor_score", "score_date, score", "score_date", versions)
    loadings = _gather_of_versions(
        lake, "factor_loading", "entity, entity_name, loading, marginal_r2", "abs(loading) desc, entity", versions
    )
    trail = Trail(lake)
    recessions = reading.read_recessions(trail, as_of)
    for name, version in newest.items():
        model_name, _, number = name.rpartition("/")
        is_macro = model_name == "macro_pca"
        title, key = _title(model_name, int(number)), f"{version}/{number}"
        score_rows = scores.of(key).filter(pc.field("score_date") <= pa.scalar(as_of))
        overview: list[Block] = [
            Tiles(_tiles(refits.of(name).slice(0, 1).to_pylist()[0], score_rows), refits.about(version)),
            *_score_figure(
                title,
                score_rows.slice(max(0, score_rows.num_rows - CHART_ROWS.get(model_name, MOST_ROWS))),
                Source((*scores.source.views, *(trail.source.views if is_macro else ())), (version,)),
                recessions if is_macro else None,
            ),
        ]
        yield SubjectPage(
            name,
            title,
            [
                Section("overview", "At a glance", overview),
                Section("loadings", "What it is made of", _loading_blocks(version, loadings.of(key), loadings)),
                Section("refits", "From fit to fit", [_refit_table(refits.of(name), refits.source)]),
            ],
        )


def _gather_refits(lake: Reader, names: Sequence[str], as_of: date) -> Gathered:
    """The versions that have a factor, newest first, under its name."""
    return Gathered(
        lake,
        "select model_name || '/' || factor as name, model_version, eigenvalue, explained_variance_ratio,"
        " predecessor_correlation from analyst.factor where as_of_date <= $as_of"
        " and model_name || '/' || factor in (select unnest($names)) order by name, as_of_date desc",
        "name",
        names=list(names),
        as_of=as_of,
    )


def _gather_of_versions(lake: Reader, view: str, columns: str, order: str, versions: list[str]) -> Gathered:
    """Rows of a view under version and factor, such as `equity_pca/2026-11-20/1`."""
    return Gathered(
        lake,
        f"select model_version || '/' || factor as name, {columns} from analyst.{view}"
        f" where model_version in (select unnest($versions)) order by name, {order}",
        "name",
        versions=versions,
    )


def _title(model_name: str, factor: int) -> str:
    return f"{TITLES.get(model_name, model_name)} {factor}"


def _tiles(row: dict[str, Any], scores: pa.Table) -> list[Tile]:
    kept = row["predecessor_correlation"]
    tiles = [
        Tile("Share of variance", numbers.share(row["explained_variance_ratio"]), f"by {row['model_version']}"),
        Tile("Eigenvalue", numbers.decimal(row["eigenvalue"])),
        Tile(
            "Kept by the last refit",
            numbers.decimal(kept, 3),
            "first fit" if kept is None else "correlation with the factor before",
        ),
    ]
    if scores.num_rows:
        values = reading.floats(scores, "score")
        tiles.append(
            Tile(
                "Newest score",
                numbers.decimal(float(values[-1]), signed=True),
                f"{scores['score_date'][-1].as_py()}, standard deviations",
                spark=charts.sparkline(
                    values[-60:],
                    label="Last 60 scores",
                    dates=scores["score_date"].to_pylist()[-60:],
                    write=lambda v: numbers.decimal(v, signed=True),
                ),
            )
        )
    return tiles


def _score_figure(title: str, scores: pa.Table, source: Source, recessions: set[str] | None) -> list[Block]:
    """The scores of a month with recessions, or those of a session added up, for which there are none."""
    if scores.num_rows < 2:
        return []
    dates, values = scores["score_date"].to_pylist(), reading.floats(scores, "score")
    is_macro = recessions is not None
    shaded = reading.recession_shade(dates, recessions or set())
    chart = charts.line_chart(
        dates,
        [charts.Line(title, values if is_macro else np.cumsum(np.nan_to_num(values)))],
        label=f"{title} over time",
        write=lambda v: numbers.decimal(v, 1 if is_macro else 0),
        zero=True,
        width=axes.WIDE,
        shaded=shaded,
    )
    caption = (
        "Score by month, in standard deviations of the panel."
        if is_macro
        else "Scores added up over sessions, so that a day's move is the step."
    )
    caption += reading.RECESSION_WORDS if shaded else ""
    return [Figure("Score over time", chart, caption, is_wide=True, source=source)]


def _loading_blocks(version: str, found: pa.Table, loadings: Gathered) -> list[Block]:
    rows = found.slice(0, MOST_LOADINGS)
    source = loadings.about(version)
    if not rows.num_rows:
        return [Note(f"{version} keeps no loadings of it.", source=source)]
    chart = charts.bars(
        rows["entity"].to_pylist(),
        reading.floats(rows, "loading"),
        label="Largest loadings",
        write=numbers.loading,
        tones=("pos", "neg"),
    )
    is_equity = version.startswith("equity")
    cells = [
        (
            blocks.link(row["entity"], "security") if is_equity else blocks.text(row["entity"]),
            blocks.name(row["entity_name"]),
            blocks.number(numbers.loading(row["loading"])),
            blocks.number(numbers.share(row["marginal_r2"])),
        )
        for row in rows.to_pylist()
    ]
    heads = ("Code" if is_equity else "Series", "Name", "Loading", "Share of its variance")
    caption = f"Weight in the unit-length factor, the largest of {found.num_rows}; its sign is kept from fit to fit."
    return [
        Figure("Largest loadings", chart, caption, source=source),
        Table("Where it weighs most", heads, cells, source=source),
    ]


def _refit_table(rows: pa.Table, source: Source) -> Table:
    cells = []
    for row in rows.slice(0, MOST_VERSIONS).to_pylist():
        kept = row["predecessor_correlation"]
        word = "first fit" if kept is None else "kept" if kept >= STEADY_CORRELATION else "rotated"
        cells.append(
            (
                blocks.link(row["model_version"], "model"),
                blocks.number(numbers.share(row["explained_variance_ratio"])),
                blocks.number(numbers.decimal(kept, 3)),
                blocks.text(word),
            )
        )
    heads = ("Version", "Share of variance", "Correlation with predecessor", "")
    return Table("Versions that have it, newest first", heads, cells, is_wide=True, source=source)
