"""Which securities are forecast to do well, and what were such forecasts worth where they had not seen the answer?"""

from __future__ import annotations

from datetime import date

from reports import blocks, charts, numbers, reading
from reports.blocks import Block, Cell, Figure, Note, Section, Table
from reports.pages import contest, deciles, skill
from reports.tracing import Memory, Reader, walk

NAIVE = reading.NAIVE
# Versions whose skill is drawn point by point: the champion and the best challenger.
MOST_DRAWN = 2
# Lines of one picture that can be told apart by their dashes.
MOST_LINES = 6
# Coefficients that one picture has room for.
MOST_TERMS = 14
SIGNIFICANT = 0.05
# By whether the squared error is below the naive forecast's, and whether that is more than chance.
VERDICTS = {
    (True, True): "{} clearly beats the naive forecast of no excess return",
    (True, False): "{} is ahead of the naive forecast of no excess return, but not by more than chance could give",
    (False, True): "{} is clearly worse than the naive forecast of no excess return",
    (False, False): "{} does not beat the naive forecast of no excess return",
}
METRIC_HEADS = {
    "rmse": "RMSE",
    "r2_oos": "R² against naive",
    "rank_ic_mean": "Mean IC",
    "rank_ic_t": "t of IC",
    "hit_rate": "Right sign",
    "dm_p_value": "p (Diebold-Mariano)",
    "interval_coverage": "Inside 90 % interval",
}


def section(lake: Reader, as_of: date) -> Section:
    """The forecasts.

    Raises:
        LakeError: the lake cannot be read.
    """
    lake = Memory(lake)
    fitted = reading.read_forecasters(lake, as_of)
    if not fitted:
        note = Note(
            "Forecasts are not fitted yet: they need about a year of sessions to train on and to test on afterwards."
            " `daybook backfill` brings the sessions, `daybook refit` the models."
        )
        return Section("forecasts", "Forecasts", (note,))
    playing = contest.playing(lake, as_of, fitted)
    labels = contest.labels(lake, as_of, fitted)
    # A version held back may be too good to be true: beside the others its line would set the scale.
    tested = {version: labels[version] for version in list(playing.values())[:MOST_LINES]}
    # Where the naive forecast is in charge there is nothing to draw of it, and the best challenger stands alone.
    n_drawn = MOST_DRAWN if contest.is_led_by_model(lake, as_of) else 1
    drawn = dict(list(tested.items())[:n_drawn])
    shown = [
        *walk(lake, _verdict, fitted),
        *walk(lake, contest.blocks_of, as_of, fitted),
        *walk(lake, deciles.blocks_of, as_of, [*playing, NAIVE]),
    ]
    if tested:
        shown += walk(lake, skill.ic_figures, tested, list(labels))
        shown += walk(lake, skill.spread_blocks, drawn)
        for version in drawn:
            shown += walk(lake, skill.skill_figures, version)
    shown += walk(lake, _coefficient_figure, fitted)
    shown += walk(lake, _metric_table, fitted)
    shown += walk(lake, _card_table, list(fitted.values()))
    return Section("forecasts", "Forecasts: 5-session return in excess of the market", shown)


def _verdict(lake: Reader, fitted: dict[str, str]) -> Note:
    held = contest.read_metrics(lake, fitted)
    sentences = []
    for name in held:
        if name == NAIVE:
            continue
        gain, p_value = held.get(name, {}).get("r2_oos"), held.get(name, {}).get("dm_p_value")
        if gain is None or p_value is None:
            continue
        sentences.append(VERDICTS[gain > 0, p_value < SIGNIFICANT].format(name))
    if not sentences:
        return Note("There is no evaluation to judge the forecasts by.", "warn")
    is_good = any(held[name].get("r2_oos", 0) > 0 for name in held if name != NAIVE)
    return Note("Out of sample, " + "; ".join(sentences) + ".", "good" if is_good else "warn")


def _metric_table(lake: Reader, fitted: dict[str, str]) -> Table:
    held = contest.read_metrics(lake, fitted)
    cells: list[list[Cell]] = []
    for name in fitted:
        for suffix, note in (("", ""), ("_ex_worst", ", without the worst crisis")):
            row = [blocks.text(("naive (zero)" if name == NAIVE else name) + note)]
            row += [blocks.number(written_metric(metric, held[name].get(metric + suffix))) for metric in METRIC_HEADS]
            cells.append(row)
    caption = "Walk-forward evaluation: every forecast was made by a fit that ended before, with an embargo"
    return Table(caption, ("Model", *METRIC_HEADS.values()), cells, is_wide=True)


def written_metric(metric: str, value: float | None) -> str:
    """A metric as a reader sees it; one with the worst crisis left out as the whole one."""
    metric = metric.removesuffix("_ex_worst")
    if metric == "hit_rate" or metric.startswith("interval_"):
        return numbers.share(value)
    if metric == "r2_oos":
        return numbers.change(value)
    return numbers.decimal(value, 2 if metric == "rank_ic_t" else 4)


def _coefficient_figure(lake: Reader, fitted: dict[str, str]) -> list[Block]:
    if "ridge" not in fitted:
        return []
    rows = lake.read(
        "select term, t_statistic from analyst.coefficient where model_version = $version and term <> 'intercept'"
        " order by abs(t_statistic) desc, term limit $most",
        version=fitted["ridge"],
        most=MOST_TERMS,
    )
    chart = charts.bars(
        rows["term"].to_pylist(),
        reading.floats(rows, "t_statistic"),
        label="t statistics of the ridge regression",
        write=lambda v: numbers.decimal(v, 1, signed=True),
        tones=("pos", "neg"),
    )
    return [
        Figure(
            "What the regression leans on",
            chart,
            f"{rows.num_rows} largest t statistics; standard errors allow for overlapping targets (Driscoll-Kraay).",
        )
    ]


def _card_table(lake: Reader, versions: list[str]) -> Table:
    rows = lake.read(
        "select * from analyst.model_card where list_contains($versions, model_version) order by model_version",
        versions=versions,
    ).to_pylist()
    cells = [
        (
            blocks.link(row["model_version"], "model"),
            blocks.text(f"{row['train_start']} to {row['train_end']}"),
            blocks.number(numbers.count(row["n_rows"])),
            blocks.number(numbers.count(row["n_rows_dropped"])),
            blocks.text("yes" if row["is_converged"] else "no"),
            blocks.text("yes" if row["is_champion"] else "no"),
        )
        for row in rows
    ]
    heads = ("Version", "Trained on", "Rows", "Rows left out", "Converged", "Scores the market")
    return Table("Versions behind these forecasts", heads, cells, is_wide=True)
