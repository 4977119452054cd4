"""Which securities are forecast to do well, and what were such forecasts worth where they had not seen the answer?"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from reports import blocks, charts, numbers, reading
from reports.blocks import Block, Cell, Figure, Note, Section, Table
from reports.tracing import Reader, walk

NAIVE = reading.NAIVE
# Lines that can be told apart in one picture.
MOST_LINES = 3
N_BEST = 8
MOST_POINTS = 900
N_DECILES = 10
IC_WINDOW = 20
LEVEL = 0.9
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
    fitted = reading.read_forecasters(lake, as_of)
    if not fitted:
        note = Note(
            "Forecasts are not fitted yet: they need about a year of sessions to train on and to test on afterwards."
            " `daybook backfill` brings the sessions, `daybook refit` the models."
        )
        return Section("forecasts", "Forecasts", (note,))
    shown = [
        *walk(lake, _verdict, fitted),
        *walk(lake, _champion_note, as_of),
        *walk(lake, _metric_table, fitted),
        *walk(lake, _best_tables, as_of, list(fitted)),
    ]
    judged = [version for name, version in fitted.items() if name != NAIVE]
    if judged:
        shown += walk(lake, skill_figures, judged[0])
        shown += walk(lake, ic_figure, judged[:MOST_LINES])
    shown += walk(lake, _coefficient_figure, fitted)
    shown += walk(lake, _card_table, list(fitted.values()))
    return Section("forecasts", "Forecasts: 5-session return in excess of the market", shown)


def _read_metrics(lake: Reader, fitted: dict[str, str]) -> dict[str, dict[str, float]]:
    rows = lake.read(
        "select model_name, metric, value from analyst.evaluation where fold = 0"
        " and list_contains($versions, model_version)",
        versions=list(fitted.values()),
    ).to_pylist()
    found: dict[str, dict[str, float]] = {name: {} for name in fitted}
    for row in rows:
        found[row["model_name"]][row["metric"]] = float("nan") if row["value"] is None else row["value"]
    return found


def _verdict(lake: Reader, fitted: dict[str, str]) -> Note:
    held = _read_metrics(lake, fitted)
    sentences = []
    for name in held:
        if name == NAIVE:
            continue
        skill, p_value = held.get(name, {}).get("r2_oos"), held.get(name, {}).get("dm_p_value")
        if skill is None or p_value is None:
            continue
        sentences.append(VERDICTS[skill > 0, p_value < SIGNIFICANT].format(name))
    if not sentences:
        return Note("There is no evaluation to judge the forecasts by.", "warn")
    is_good = any(held[name].get("r2_oos", 0) > 0 for name in held if name != NAIVE)
    return Note("Out of sample, " + "; ".join(sentences) + ".", "good" if is_good else "warn")


def _champion_note(lake: Reader, as_of: date) -> list[Block]:
    """Who is in charge on the day, and what waits for a person."""
    rows = reading.read_roles(lake, as_of)
    notes: list[Block] = []
    champion = next((row for row in rows if row["role"] == "champion"), None)
    if champion is not None:
        notes.append(Note(f"Champion is {champion['model_version']}: {champion['reason']}."))
    notes += [
        Note(f"{row['model_version']} is held back. {row['reason']}", "warn") for row in rows if row["role"] == "held"
    ]
    return notes


def _metric_table(lake: Reader, fitted: dict[str, str]) -> Table:
    held = _read_metrics(lake, fitted)
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


def _best_tables(lake: Reader, as_of: date, ranked: list[str]) -> list[Block]:
    newest = reading.read_newest_forecasts(lake, as_of)
    name = next((name for name in ranked if name in newest), None)
    if name is None:
        return [Note("No session has been scored yet.")]
    version, day = newest[name]
    tables: list[Block] = []
    champion = next(
        (row["model_version"] for row in reading.read_roles(lake, as_of) if row["role"] == "champion"), version
    )
    if champion.split("/")[0] == NAIVE and name != NAIVE:
        tables.append(
            Note(
                "The naive forecast is in charge: it expects no excess return of any security. The lists are those of "
                f"{name}, the challenger that came nearest, for comparison only."
            )
        )
    for caption, order in (("Best", "desc"), ("Worst", "asc")):
        rows = lake.read(
            "select f.ts_code, s.name, f.forward_return_5d, f.lower, f.upper from model.forecast as f"
            " left join market.stock_basic as s using (ts_code)"
            " where f.model_version = $version and f.forecast_date = $day"
            f" order by f.forward_return_5d {order}, f.ts_code limit {N_BEST}",
            version=version,
            day=day,
        ).to_pylist()
        cells = [_forecast_cells(row) for row in rows]
        heads = ("Code", "Name", "Forecast", "90 % interval")
        tables.append(Table(f"{caption} forecasts by {name}, made after {day}", heads, cells))
    return tables


def _forecast_cells(row: dict[str, Any]) -> list[Cell]:
    return [
        blocks.link(row["ts_code"], "security"),
        blocks.name(row["name"]),
        blocks.number(numbers.change(row["forward_return_5d"]), blocks.tone_of(row["forward_return_5d"])),
        blocks.number(f"{numbers.change(row['lower'], 1)} to {numbers.change(row['upper'], 1)}"),
    ]


def skill_figures(lake: Reader, version: str) -> list[Block]:
    """What came beside what a version forecast where it had not seen the answer: points, errors, deciles.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select predicted, realised from analyst.out_of_sample where model_version = $version"
        " order by forecast_date, ts_code",
        version=version,
    )
    if not rows.num_rows:
        return [Note(f"{version} has no out-of-sample forecasts.")]
    predicted, realised = reading.floats(rows, "predicted"), reading.floats(rows, "realised")
    every = max(1, -(-rows.num_rows // MOST_POINTS))
    name = version.split("/")[0]
    dots = charts.scatter(
        predicted[::every],
        realised[::every],
        np.ones(len(predicted[::every]), dtype=np.int64),
        label=f"Actual against predicted, {name}",
        names=("predicted", "actual"),
        writes=(lambda v: numbers.change(v, 1), lambda v: numbers.change(v, 0)),
    )
    errors = charts.histogram(
        realised - predicted, label=f"Errors of {name}", write=lambda v: numbers.change(v, 0), split=None
    )
    return [
        Figure(f"Actual against predicted, {name}", dots, f"Out of sample; every {every}th of {rows.num_rows:,} rows."),
        Figure(f"Errors, {name}", errors, "Actual less predicted log return over five sessions."),
        _calibration_figure(predicted, realised, name),
    ]


def _calibration_figure(predicted: reading.Floats, realised: reading.Floats, name: str) -> Figure:
    order = np.argsort(predicted, kind="stable")
    means = np.array([realised[part].mean() if len(part) else np.nan for part in np.array_split(order, N_DECILES)])
    chart = charts.columns(
        [str(number) for number in range(1, N_DECILES + 1)],
        means,
        label=f"Mean actual return by decile of forecast, {name}",
        # The steps of the axis are hundredths of a percent.
        write=lambda v: numbers.change(v, 2),
    )
    return Figure(f"Calibration, {name}", chart, "Mean actual excess return by decile of the forecast, lowest first.")


def ic_figure(lake: Reader, versions: list[str]) -> Figure:
    """The rank correlation of forecasts and what came, over the test dates.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select forecast_date, model_name, avg(rank_ic) over (partition by model_name order by forecast_date"
        f" rows between {IC_WINDOW - 1} preceding and current row) as ic from analyst.information_coefficient"
        " where list_contains($versions, model_version) order by forecast_date, model_name",
        versions=versions,
    )
    dates, names, values = reading.matrix(rows, "forecast_date", "model_name", "ic")
    lines = [charts.Line(name, values[:, at]) for at, name in enumerate(names)]
    chart = charts.line_chart(
        dates, lines, label="Information coefficient over time", write=lambda v: numbers.decimal(v), zero=True
    )
    caption = f"Spearman correlation across securities, mean of {IC_WINDOW} test dates."
    return Figure("Information coefficient", chart, caption)


def _coefficient_figure(lake: Reader, fitted: dict[str, str]) -> list[Block]:
    if "ridge" not in fitted:
        return []
    rows = lake.read(
        "select term, t_statistic from analyst.coefficient where model_version = $version and term <> 'intercept'"
        " order by abs(t_statistic) desc, term limit 14",
        version=fitted["ridge"],
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
            "t statistics; standard errors allow for overlapping targets (Driscoll-Kraay).",
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
