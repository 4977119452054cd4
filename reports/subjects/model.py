"""What is one fitted version: its settings, its training window, its metrics, what was decided, and what came of it?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from reports import blocks, charts, numbers, reading, texts
from reports.blocks import Block, Cell, Figure, Note, Section, Source, Table
from reports.pages import forecasts, skill
from reports.reading import Gathered
from reports.subjects import fit
from reports.subjects.page import Entry, SubjectPage
from reports.tracing import Memory, Reader, walk

# A version that plays no part and is older than this gets no new outcome, which comes five sessions after a forecast:
# its page stays as it is.
SETTLED_DAYS = 21
ACTIVE = ("champion", "challenger", "held")
NAIVE = "zero"
MOST_ROWS = 12
LONGEST_SETTING = 160


def read_entries(lake: Reader, as_of: date) -> list[Entry]:
    """Every version fitted by the day, newest first.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "with part as (select model_version, max_by(role, (as_of_date, decision)) as role from analyst.version_role"
        " where as_of_date <= $as_of group by model_version)"
        " select model_version, model_name, as_of_date, coalesce(role, '') as role,"
        " as_of_date = max(as_of_date) over (partition by model_name order by model_name) as is_newest"
        " from analyst.model_card left join part using (model_version)"
        " where as_of_date <= $as_of order by as_of_date desc, model_name",
        as_of=as_of,
    ).to_pylist()
    oldest = as_of - timedelta(days=SETTLED_DAYS)
    return [
        Entry(
            row["model_version"],
            row["model_version"],
            (row["model_name"], row["as_of_date"].isoformat(), row["role"]),
            is_settled=row["as_of_date"] < oldest and row["role"] not in ACTIVE and not row["is_newest"],
        )
        for row in rows
    ]


@dataclass(frozen=True)
class _Known:
    """What is asked once about all versions wanted."""

    cards: Gathered
    decisions: Gathered
    metrics: Gathered
    naive: Gathered
    outcomes: Gathered
    coefficients: Gathered
    factors: Gathered
    groups: Gathered
    curves: Gathered
    importance: Gathered
    next_values: Gathered


def build(lake: Reader, names: Sequence[str], as_of: date) -> Iterator[SubjectPage]:
    """The pages of versions; of one that was not fitted by the day there is none.

    Raises:
        LakeError: the lake cannot be read.
    """
    if not names:
        return
    known = _read_known(lake, list(names), as_of)
    for name in names:
        for card in known.cards.of(name).to_pylist():
            yield SubjectPage(name, name, _sections(lake, card, known))


def _read_known(lake: Reader, names: list[str], as_of: date) -> _Known:
    def gather(view: str, columns: str, order: str, *, of: list[str] = names, day: str = "as_of_date") -> Gathered:
        return Gathered(
            lake,
            f"select model_version, {columns} from analyst.{view} where model_version in (select unnest($names))"
            f" and {day} <= $as_of order by model_version, {order}",
            "model_version",
            names=of,
            as_of=as_of,
        )

    metrics = "fold, test_start, test_end, metric, value"
    sizes = "eigenvalue, explained_variance_ratio, predecessor_correlation"
    worth = "n_rows, r2_against_naive, rank_ic, nominal_coverage, realised_coverage"
    return _Known(
        cards=gather("model_card", "* exclude (model_version)", "as_of_date"),
        decisions=gather("version_role", "decision, as_of_date, role, reason, decided_by", "decision desc"),
        metrics=gather("evaluation", metrics, "fold, metric"),
        naive=gather(
            "evaluation", metrics, "fold, metric", of=sorted({f"{NAIVE}/{name.split('/')[-1]}" for name in names})
        ),
        outcomes=gather("forecast_outcome", f"forecast_date, {worth}", "forecast_date", day="known_date"),
        coefficients=gather(
            "coefficient", "term, estimate, std_error, t_statistic", "abs(t_statistic) desc nulls last, term"
        ),
        factors=gather("factor", f"factor, {sizes}", "factor"),
        groups=gather("cluster", "cluster, entity, entity_name", "cluster, entity"),
        curves=gather("learning_curve", fit.CURVE_COLUMNS, "epoch"),
        importance=gather("importance", fit.IMPORTANCE_COLUMNS, "loss_increase desc, term"),
        next_values=Gathered(lake, fit.NEXT_VALUES, "model_version", names=names, as_of=as_of),
    )


def _sections(lake: Reader, card: dict[str, Any], known: _Known) -> list[Section]:
    version = card["model_version"]
    metrics = known.metrics.of(version)
    found = [
        Section(
            "overview",
            "What it is",
            [
                *_role_note(version, known.decisions),
                _fact_table(card, known.cards.about(version)),
                _setting_table(card, known.cards.about(version)),
            ],
        ),
        Section("learning", "How it learned", fit.learning_blocks(version, known.curves)),
        Section("metrics", "What it was worth when tested", _metric_table(version, known)),
        Section(
            "skill", "Where it had not seen the answer", _skill_blocks(lake, version) if _is_forecast(metrics) else []
        ),
        Section("importance", "What its forecasts live on", fit.importance_blocks(version, known.importance)),
        Section("live", "What its published forecasts were worth", _outcome_blocks(version, known.outcomes)),
        Section(
            "inside",
            "What it found",
            [
                *_coefficient_table(version, known.coefficients),
                *_factor_blocks(version, known.factors),
                *_group_table(version, known.groups),
                *fit.next_value_table(version, known.next_values),
            ],
        ),
        Section("decisions", "Decisions", _decision_table(version, known.decisions)),
    ]
    return [section for section in found if section.blocks]


def _is_forecast(metrics: pa.Table) -> bool:
    """Whether it was tested by walk-forward; factors and groups are not."""
    return "rmse" in metrics["metric"].to_pylist()


def _role_note(version: str, decisions: Gathered) -> list[Block]:
    for row in decisions.of(version).slice(0, 1).to_pylist():
        tone = {"champion": "good", "held": "warn", "refused": "warn"}.get(row["role"], "")
        said = f"It is {row['role']} since {row['as_of_date']}: {row['reason']}"
        return [Note(said, tone, decisions.about(version))]
    return []


def _fact_table(card: dict[str, Any], source: Source) -> Table:
    facts: list[tuple[str, Cell]] = [
        ("Model", blocks.text(card["model_name"])),
        ("Fitted as of", blocks.text(numbers.day(card["as_of_date"]))),
        ("Trained from", blocks.text(numbers.day(card["train_start"]))),
        ("Trained to", blocks.text(numbers.day(card["train_end"]))),
        ("Rows", blocks.text(numbers.count(card["n_rows"]))),
        ("Rows left out", blocks.text(numbers.count(card["n_rows_dropped"]))),
        ("Converged", blocks.text("yes" if card["is_converged"] else "no")),
        ("May score the market", blocks.text("yes" if card["is_champion"] else "no")),
        ("Data snapshot of the fit", blocks.text(numbers.count(card["snapshot"]))),
        ("Fitted by Daybook", blocks.text(card["code_version"])),
        ("Digest of its files", blocks.text(card["files_sha256"][:16] or numbers.MISSING)),
    ]
    return Table("The fit", ("", "Value"), [(blocks.text(label), cell) for label, cell in facts], source=source)


def _setting_table(card: dict[str, Any], source: Source) -> Block:
    try:
        params = json.loads(card["params"] or "{}")
    except ValueError:
        params = None
    if not isinstance(params, dict):
        return Note("Its settings cannot be read: they are no JSON. Fit it again with `daybook refit`.", "warn", source)
    if not params:
        return Note("It has no settings of its own.", source=source)
    cells = [(blocks.text(name), _setting(value)) for name, value in sorted(params.items())]
    return Table("Settings", ("", "Value"), cells, source=source)


def _setting(value: Any) -> Cell:
    if isinstance(value, bool) or value is None:
        return blocks.text({True: "yes", False: "no", None: numbers.MISSING}[value])
    if isinstance(value, (int, float)):
        # Not rounded, and without separators: a seed of 20261120 is to be copied.
        return blocks.text(numbers.written(f"{value:.12g}" if isinstance(value, float) else str(value), value))
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return blocks.text(said if len(said) <= LONGEST_SETTING else said[: LONGEST_SETTING - 1] + "…")


def _metric_table(version: str, known: _Known) -> list[Block]:
    rows = known.metrics.of(version).to_pylist()
    if not rows:
        return []
    name, _, day = version.partition("/")
    naive = {row["metric"]: row["value"] for row in known.naive.of(f"{NAIVE}/{day}").to_pylist() if row["fold"] == 0}
    is_beside_naive = bool(naive) and name != NAIVE and _is_forecast(known.metrics.of(version))
    spans = {
        row["fold"]: f"fold {row['fold']}, {row['test_start']:%Y-%m} to {row['test_end']:%Y-%m}"
        if row["fold"]
        else "all"
        for row in rows
    }
    held = {(row["fold"], row["metric"]): row["value"] for row in rows}
    cells = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        cell = [blocks.text(metric)]
        cell += [blocks.number(forecasts.written_metric(metric, held.get((fold, metric)))) for fold in spans]
        if is_beside_naive:
            cell.append(blocks.number(forecasts.written_metric(metric, naive.get(metric))))
        cells.append(cell)
    heads = ["Metric", *spans.values(), *(["naive, all"] if is_beside_naive else [])]
    return [Table("Metrics", heads, cells, is_wide=True, source=known.metrics.about(version))]


def _skill_blocks(lake: Reader, version: str) -> list[Block]:
    lake, labels = Memory(lake), {version: version.split("/")[0]}
    return [
        *walk(lake, skill.skill_figures, version),
        *walk(lake, skill.ic_figures, labels),
        *walk(lake, skill.spread_blocks, labels),
    ]


def _outcome_blocks(version: str, outcomes: Gathered) -> list[Block]:
    rows, source = outcomes.of(version), outcomes.about(version)
    if not rows.num_rows:
        return []
    shown: list[Block] = []
    if rows.num_rows > 1:
        chart = charts.line_chart(
            rows["forecast_date"].to_pylist(),
            [charts.Line("rank IC", reading.floats(rows, "rank_ic"))],
            label="Information coefficient of published forecasts",
            write=lambda v: numbers.decimal(v),
            zero=True,
        )
        caption = "Spearman correlation across securities of a day's forecasts and what came."
        shown.append(Figure("Published forecasts", chart, caption, source=source))
    cells = [
        (
            blocks.text(numbers.day(row["forecast_date"])),
            blocks.number(numbers.count(row["n_rows"])),
            blocks.number(numbers.change(row["r2_against_naive"])),
            blocks.number(numbers.decimal(row["rank_ic"], 4)),
            blocks.number(f"{numbers.share(row['realised_coverage'])} of {numbers.share(row['nominal_coverage'])}"),
        )
        for row in rows.slice(max(0, rows.num_rows - MOST_ROWS)).to_pylist()[::-1]
    ]
    heads = ("Made after", "Securities", "R² against naive", "IC", "Inside the interval")
    return [*shown, Table("Newest outcomes", heads, cells, source=source)]


def _coefficient_table(version: str, coefficients: Gathered) -> list[Block]:
    rows = coefficients.of(version).to_pylist()
    if not rows:
        return []
    cells = [
        (
            blocks.text(row["term"]),
            blocks.number(numbers.decimal(row["estimate"], 5, signed=True)),
            blocks.number(numbers.decimal(row["std_error"], 5)),
            blocks.number(numbers.decimal(row["t_statistic"], 2, signed=True)),
        )
        for row in rows
    ]
    heads = ("Term", "Estimate", "Standard error", "t")
    return [Table("Coefficients on standardised features", heads, cells, source=coefficients.about(version))]


def _factor_blocks(version: str, factors: Gathered) -> list[Block]:
    rows, source = factors.of(version), factors.about(version)
    if not rows.num_rows:
        return []
    name = version.split("/")[0]
    cells = [
        (
            blocks.link(f"factor {row['factor']}", "factor", f"{name}/{row['factor']}"),
            blocks.number(numbers.decimal(row["eigenvalue"])),
            blocks.number(numbers.share(row["explained_variance_ratio"])),
            blocks.number(numbers.decimal(row["predecessor_correlation"], 3)),
        )
        for row in rows.to_pylist()
    ]
    ratio = reading.floats(rows, "explained_variance_ratio")
    scree = charts.columns(
        [str(factor) for factor in rows["factor"].to_pylist()],
        ratio,
        label=f"Share of variance by factor of {version}",
        write=lambda v: numbers.share(v, 0),
    )
    heads = ("Factor", "Eigenvalue", "Share of variance", "Correlation with predecessor")
    caption = f"Share of the panel's variance by factor; together {numbers.share(ratio.sum())}."
    return [Table("Factors", heads, cells, source=source), Figure("Scree", scree, caption, source=source)]


def _group_table(version: str, groups: Gathered) -> list[Block]:
    members: dict[int, list[dict[str, Any]]] = {}
    for row in groups.of(version).to_pylist():
        members.setdefault(row["cluster"], []).append(row)
    if not members:
        return []
    cells = [
        (
            blocks.text(f"group {cluster}"),
            blocks.number(numbers.count(len(rows))),
            blocks.text(f"{rows[0]['entity']} to {rows[-1]['entity']}"),
            blocks.text(", ".join(texts.shortened(row["entity_name"]) for row in rows[:MOST_ROWS])),
        )
        for cluster, rows in members.items()
    ]
    heads = ("Group", "Members", "From", "For example")
    return [Table("Groups by size", heads, cells, is_wide=True, source=groups.about(version))]


def _decision_table(version: str, decisions: Gathered) -> list[Block]:
    rows = decisions.of(version).to_pylist()
    if not rows:
        return []
    cells = [
        (
            blocks.text(numbers.day(row["as_of_date"])),
            blocks.text(row["role"]),
            blocks.text(row["reason"]),
            blocks.text(row["decided_by"]),
        )
        for row in rows
    ]
    heads = ("Day", "Part", "Why", "By")
    return [Table("Decisions, newest first", heads, cells, is_wide=True, source=decisions.about(version))]
