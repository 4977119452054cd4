"""What was published, and which common factors and regimes does it add up to?"""

from __future__ import annotations

from datetime import date
from typing import Any

from reports import axes, blocks, charts, numbers, reading, texts
from reports.blocks import Block, Cell, Figure, Note, Section, Table
from reports.pages import continuity, outlook
from reports.tracing import Reader, walk

MOST_FACTORS_SHOWN = 3
CHART_MONTHS = 180
REGIME_MONTHS = 120
MOST_RELEASES = 40
N_MOVERS = 5
RELEASE_HEADS = (
    "Series",
    "What",
    "Period",
    "Came",
    "Forecast",
    "Surprise",
    "In standard errors",
    "Before",
    "Before, at first",
    "Unit",
    "Known since",
)


def section(lake: Reader, as_of: date) -> Section:
    """The macro half.

    Raises:
        LakeError: the lake cannot be read.
    """
    version = reading.read_newest_version(lake, "macro_pca", as_of)
    shown = [*walk(lake, _release_blocks, as_of), *walk(lake, _value_table, as_of, version)]
    shown += [*walk(lake, outlook.outlook_blocks, as_of), *walk(lake, outlook.news_blocks, as_of)]
    if version is None:
        shown.append(Note("The macro factors are not fitted yet: too few months are known. `daybook refit` says why."))
        return Section("macro", "Macro", shown)
    shown += walk(lake, _score_figure, version, as_of)
    shown += walk(lake, continuity.change_table, version, as_of)
    for build in (_move_table, _scree_figure, _loading_figure):
        shown += walk(lake, build, version)
    shown += walk(lake, _regime_figures, as_of)
    return Section("macro", "Macro", shown)


def _release_blocks(lake: Reader, as_of: date) -> list[Block]:
    """What was published for the first time since the report before, beside what had been expected."""
    since = reading.read_day_before(lake, as_of)
    if since is None:
        return [Note("This is the first day there is: no release can be told from what was known before.")]
    rows = lake.read(
        "select * from analyst.macro_release where release_date > $since and release_date <= $as_of"
        # The most surprising first; then those that nobody had forecast.
        " order by abs(surprise_std_errors) desc nulls last, series_id, observation_date desc",
        since=since,
        as_of=as_of,
    ).to_pylist()
    n_revised = lake.read_value(
        "select count(*) from analyst.macro_vintage as v where v.realtime_start > $since and v.realtime_start <= $as_of"
        " and not v.is_realtime_estimated and v.value is not null and exists (from analyst.macro_vintage as earlier"
        " where earlier.series_id = v.series_id and earlier.observation_date = v.observation_date"
        " and earlier.realtime_end + 1 = v.realtime_start)",
        since=since,
        as_of=as_of,
    )
    revised = (
        f" {numbers.count(n_revised)} {texts.plural(n_revised, 'value')} published before {_were(n_revised)} revised."
    )
    if not rows:
        return [Note(f"No weekly, monthly or quarterly series had a release since {since}." + revised)]
    n_foretold = sum(row["forecast"] is not None for row in rows)
    said = f"{len(rows)} {texts.plural(len(rows), 'release')} since {since}." + revised
    if n_foretold < len(rows):
        said += (
            f" {numbers.count(len(rows) - n_foretold)} had no forecast: none of that period was stored before the day"
            " of the release, or the series has moved to another base since."
        )
    if len(rows) > MOST_RELEASES:
        said += f" The table has the {MOST_RELEASES} most surprising."
    caption = "Releases (forecast: from the series' own past, made at the refit before; before: as known that day)"
    cells = [_release_cells(row) for row in rows[:MOST_RELEASES]]
    return [Note(said), Table(caption, RELEASE_HEADS, cells, is_wide=True)]


def _release_cells(row: dict[str, Any]) -> tuple[Cell, ...]:
    estimated = " (est.)" if row["is_release_date_estimated"] else ""
    return (
        blocks.text(row["series_id"]),
        blocks.text(row["title"]),
        blocks.number(numbers.day(row["observation_date"])),
        blocks.number(numbers.level(row["first_value"])),
        blocks.number(numbers.estimate(row["forecast"], row["std_error"])),
        blocks.number(numbers.estimate(row["surprise"], row["std_error"], signed=True)),
        blocks.number(numbers.decimal(row["surprise_std_errors"], 1, signed=True)),
        blocks.number(numbers.level(row["previous_value"])),
        blocks.number(numbers.level(row["previous_first_value"])),
        blocks.text(row["unit"]),
        blocks.number(numbers.day(row["release_date"]) + estimated),
    )


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


def _value_table(lake: Reader, as_of: date, version: str | None) -> Block:
    # Not from macro_latest: what was published after the day, or has been revised since, is not the day's.
    rows = lake.read(
        "select series_id, any_value(title) as title, any_value(unit) as unit,"
        " max(observation_date) as observation_date,"
        " arg_max(value, observation_date, 2) as newest_two,"
        " arg_max(realtime_start, observation_date) as realtime_start,"
        " arg_max(is_realtime_estimated, observation_date) as is_realtime_estimated"
        " from analyst.macro_vintage where realtime_start <= $as_of and realtime_end >= $as_of and value is not null"
        " and ($version is null or series_id in"
        " (select entity from analyst.factor_loading where model_version = $version))"
        " group by series_id order by series_id",
        version=version,
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return Note("No macro series is loaded yet. Run `daybook run`; FRED needs no key.", "warn")
    cells = [
        (
            blocks.text(row["series_id"]),
            blocks.text(row["title"]),
            blocks.number(numbers.level(row["newest_two"][0])),
            blocks.number(numbers.level(row["newest_two"][1] if len(row["newest_two"]) > 1 else None)),
            blocks.text(row["unit"]),
            blocks.number(numbers.day(row["observation_date"])),
            blocks.number(numbers.day(row["realtime_start"]) + (" (est.)" if row["is_realtime_estimated"] else "")),
        )
        for row in rows
    ]
    heads = ("Series", "What", "Newest", "Before", "Unit", "Period", "Known since")
    return Table("Published values (est. = usual publication lag, not observed)", heads, cells, is_wide=True)


def _score_figure(lake: Reader, version: str, as_of: date) -> Figure:
    rows = lake.read(
        "select factor, score_date, score from analyst.factor_score where model_version = $version"
        f" and factor <= {MOST_FACTORS_SHOWN} order by score_date, factor",
        version=version,
    )
    dates, factors, scores = reading.matrix(rows, "score_date", "factor", "score")
    lines = [charts.Line(f"factor {name}", scores[-CHART_MONTHS:, at]) for at, name in enumerate(factors)]
    months = dates[-CHART_MONTHS:]
    shaded = reading.recession_shade(months, reading.read_recessions(lake, as_of))
    chart = charts.line_chart(
        months,
        lines,
        label="Macro factor scores",
        write=lambda v: numbers.decimal(v, 1),
        tell=lambda v: numbers.decimal(v, signed=True),
        zero=True,
        width=axes.WIDE,
        shaded=shaded,
    )
    caption = "Scores by month, in standard deviations of the panel." + (reading.RECESSION_WORDS if shaded else "")
    return Figure("Macro factors", chart, caption, is_wide=True)


def _move_table(lake: Reader, version: str) -> Block:
    """The series behind the last step of the first factors, and what all others add."""
    rows = lake.read(
        "select * from analyst.factor_move where model_version = $version"
        f" and factor <= {MOST_FACTORS_SHOWN} order by factor, abs(contribution) desc, entity",
        version=version,
    ).to_pylist()
    if not rows:
        return Note("What moved the factors is not known: they were fitted before Daybook kept it.")
    cells: list[tuple[Cell, ...]] = []
    for factor in dict.fromkeys(row["factor"] for row in rows):
        own = [row for row in rows if row["factor"] == factor]
        for row in own[:N_MOVERS]:
            cells.append(
                (
                    blocks.text(f"factor {factor}"),
                    blocks.text(row["entity"] + (" (completed)" if row["is_completed"] else "")),
                    blocks.name(row["entity_name"]),
                    blocks.number(numbers.decimal(row["step"], signed=True)),
                    blocks.number(numbers.loading(row["loading"])),
                    blocks.number(numbers.decimal(row["contribution"], signed=True)),
                )
            )
        whole = sum(row["contribution"] for row in own)
        rest = sum(row["contribution"] for row in own[N_MOVERS:])
        for words, value in ((f"{len(own) - N_MOVERS} others", rest), ("the whole step", whole)):
            if len(own) > N_MOVERS or words == "the whole step":
                empty = blocks.number("")
                cells.append(
                    (
                        blocks.text(f"factor {factor}"),
                        blocks.text(words),
                        blocks.text(""),
                        empty,
                        empty,
                        blocks.number(numbers.decimal(value, signed=True)),
                    )
                )
    heads = ("Factor", "Series", "What", "Step", "Loading", "Adds")
    caption = f"What moved the factors in {rows[0]['score_date']:%Y-%m} (standard deviations; adds = step x loading)"
    return Table(caption, heads, cells, is_wide=True)


def _scree_figure(lake: Reader, version: str) -> Figure:
    rows = lake.read(
        "select factor, explained_variance_ratio from analyst.factor where model_version = $version order by factor",
        version=version,
    )
    ratio = reading.floats(rows, "explained_variance_ratio")
    chart = charts.columns(
        [str(value) for value in rows["factor"].to_pylist()],
        ratio,
        label="Share of variance by macro factor",
        write=lambda v: numbers.share(v, 0),
    )
    return Figure("Scree", chart, f"Share of the panel's variance by factor; together {numbers.share(ratio.sum())}.")


def _loading_figure(lake: Reader, version: str) -> Figure:
    rows = lake.read(
        "select entity, factor, loading from analyst.factor_loading where model_version = $version"
        " and factor <= 6 order by entity, factor",
        version=version,
    )
    names, factors, loadings = reading.matrix(rows, "entity", "factor", "loading")
    chart = charts.heat_map(
        names,
        [f"F{name}" for name in factors],
        loadings,
        label="Loadings of the macro series",
        write=numbers.loading,
    )
    return Figure("Loadings", chart, "Weight of each series in each unit-length factor.")


def _regime_figures(lake: Reader, as_of: date) -> list[Block]:
    version = reading.read_newest_version(lake, "macro_regime", as_of)
    if version is None:
        return [Note("Macro regimes are not fitted yet.")]
    rows = lake.read(
        f"select entity, cluster from analyst.cluster where model_version = $version order by entity desc"
        f" limit {REGIME_MONTHS}",
        version=version,
    ).sort_by("entity")
    silhouette = lake.read_value(
        "select value from analyst.evaluation where model_version = $version and metric = 'silhouette'",
        version=version,
    )
    months, regimes = rows["entity"].to_pylist(), rows["cluster"].to_pylist()
    kinds = sorted(set(regimes))
    states = [[f"c{kind}" if regime == kind else "none" for regime in regimes] for kind in kinds]
    names = [f"regime {kind}" for kind in kinds]
    chart = charts.strip(names, [month[:7] for month in months], states, label="Macro regime by month")
    caption = (
        f"K-means on the factor scores, numbered by size; mean silhouette {numbers.decimal(silhouette)}."
        f" {months[-1][:7]} is in regime {regimes[-1]}."
    )
    return [Figure("Regimes", chart, caption, is_wide=True)]
