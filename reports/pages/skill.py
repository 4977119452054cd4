"""What were forecasts worth where they had not seen the answer: point by point, decile by decile, date by date?

All of it is out of sample: forecasts of the walk-forward test beside what came. The day's section shows it for the
champion and its best challenger, the page of a version for that version. Partners: `pages/forecasts.py`,
`subjects/model.py`, `skill_charts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reports import axes, blocks, charts, numbers, reading, skill_charts
from reports.blocks import Block, Cell, Figure, Note, Source, Table
from reports.tracing import Reader, Trail

MOST_POINTS = 600
IC_WINDOW = 20
# A point every four pixels of a wide chart, on a screen of usual size.
MOST_DATES = 250
# Returns over five sessions of dates so far apart share no session.
REBALANCE = 5
APART = slice(None, None, REBALANCE)
# A standard error of fewer dates is itself a guess.
LEAST_DATES = 10
N_DECILES = 10


def skill_figures(lake: Reader, version: str) -> list[Block]:
    """What came beside what a version forecast: points, errors, deciles.

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
        Figure(
            f"Actual against predicted, {name}",
            dots,
            f"Out of sample; {_drawn(every, rows.num_rows)}. Slope of actual on predicted over all of them"
            f" {numbers.decimal(_slope(predicted, realised))}: 1 where forecasts have the right size, 0 where they say"
            " nothing.",
        ),
        _calibration_figure(lake, version),
        Figure(f"Errors, {name}", errors, "Actual less predicted log return over five sessions."),
    ]


def _drawn(every: int, n_rows: int) -> str:
    return f"all {n_rows:,} rows" if every == 1 else f"1 of {every} of {n_rows:,} rows"


def _slope(predicted: reading.Floats, realised: reading.Floats) -> float:
    centred = predicted - predicted.mean()
    spread = float(centred @ centred)
    return float(centred @ realised) / spread if spread > 0 else float("nan")


@dataclass(frozen=True)
class _Deciles:
    """The walk-forward test of one version by date and decile, lowest first; NaN where a date has no such decile.

    Args:
        dates: (n_dates,) test dates in time.
        predicted, realised: (n_dates, n_deciles) means of the decile.
        new: (n_dates, n_deciles) share of its members that were not in it five test dates before.
        source: where they were read.
    """

    dates: list[str]
    predicted: reading.Floats
    realised: reading.Floats
    new: reading.Floats
    source: Source


def _read_deciles(lake: Reader, version: str) -> _Deciles:
    # One version a question: only an equality reaches every part of the view.
    trail = Trail(lake)
    rows = trail.read(
        "select forecast_date, decile, mean_predicted, mean_realised, n_new / n_rows as new"
        " from analyst.out_of_sample_decile where model_version = $version order by forecast_date, decile",
        version=version,
    )
    dates, _, predicted = reading.matrix(rows, "forecast_date", "decile", "mean_predicted")
    realised, new = (reading.matrix(rows, "forecast_date", "decile", name)[2] for name in ("mean_realised", "new"))
    return _Deciles(dates, predicted, realised, new, trail.source)


def _calibration_figure(lake: Reader, version: str) -> Figure:
    held = _read_deciles(lake, version)
    name = version.split("/")[0]
    error = np.array([_std_error(column) for column in held.realised[APART].T])
    means = skill_charts.Means(np.nanmean(held.realised, axis=0), error, np.nanmean(held.predicted, axis=0))
    chart = skill_charts.calibration(
        [str(decile) for decile in range(1, held.realised.shape[1] + 1)],
        means,
        label=f"Mean actual and forecast excess return by decile of the forecast, {name}",
        # The steps of the axis are hundredths of a percent.
        write=lambda v: numbers.change(v, 2),
    )
    bars = (
        f"The bar is two standard errors each way, from every {REBALANCE}th date, whose returns share no session."
        if np.isfinite(error).any()
        else f"Too few dates for standard errors: {LEAST_DATES} whose returns share no session are needed."
    )
    caption = (
        "Mean excess log return over five sessions by decile of the day's forecasts, lowest first: what came beside"
        f" what was forecast, mean over {len(held.dates):,} test dates. {bars}"
    )
    return Figure(f"Calibration, {name}", chart, caption, source=held.source)


def _std_error(values: reading.Floats) -> float:
    present = values[np.isfinite(values)]
    return float(present.std(ddof=1)) / math.sqrt(len(present)) if len(present) >= LEAST_DATES else math.nan


def ic_figures(lake: Reader, labels: Mapping[str, str], asked: Sequence[str] = ()) -> list[Block]:
    """The rank correlation of forecasts and what came over the test dates: a strip a model, and added up.

    Args:
        lake: where to ask.
        labels: what each version is called, in the order to show them; at most six.
        asked: versions to ask for, these among them, where the answer for all of them is at hand.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = read_coefficients(lake, asked or list(labels))
    rows = rows.filter(pc.is_in(rows["model_version"], pa.array(list(labels), pa.string())))
    if not rows.num_rows:
        return [Note("No forecast has been tested out of sample yet.")]
    shown = {name: label for name, label in labels.items() if name in set(rows["model_version"].to_pylist())}
    dates, names, mean = reading.matrix(rows, "forecast_date", "model_version", "rolling_ic")
    total = reading.matrix(rows, "forecast_date", "model_version", "cumulated_ic")[2]
    # From the newest backwards, so that it is among them.
    kept = np.arange(len(dates))[:: -max(1, -(-len(dates) // MOST_DATES))][::-1]
    days = [dates[at] for at in kept]
    order = [names.index(name) for name in shown]
    words = f"Spearman correlation across securities of a date's forecasts and what came, {len(dates):,} test dates"
    figures: list[Block] = []
    if np.isfinite(mean).any():
        chart = skill_charts.strips(
            days,
            [charts.Line(label, mean[kept, at]) for label, at in zip(shown.values(), order, strict=True)],
            label=f"Information coefficient over time, {', '.join(shown.values())}",
            write=lambda v: numbers.decimal(v),
        )
        caption = f"{words}; mean of the last {IC_WINDOW}." + " All strips have the same scale." * (len(shown) > 1)
        figures.append(Figure("Information coefficient", chart, caption, is_wide=True))
    chart = charts.line_chart(
        days,
        [charts.Line(label, total[kept, at]) for label, at in zip(shown.values(), order, strict=True)],
        label="Cumulated information coefficient over time",
        write=lambda v: numbers.decimal(v, 1),
        zero=True,
        width=axes.WIDE,
    )
    caption = f"{words}, added up: a forecast with skill climbs, one without wanders about zero."
    return [*figures, Figure("Cumulated information coefficient", chart, caption, is_wide=True)]


def read_coefficients(lake: Reader, versions: Sequence[str]) -> pa.Table:
    """The IC of each version and test date: its rolling mean, NULL before there are enough dates, and its sum so far.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        "select forecast_date, model_version, rank_ic,"
        f" case when count(rank_ic) over newest = {IC_WINDOW} then avg(rank_ic) over newest end as rolling_ic,"
        " sum(rank_ic) over (partition by model_version order by forecast_date) as cumulated_ic"
        " from analyst.information_coefficient where list_contains($versions, model_version)"
        " window newest as (partition by model_version order by forecast_date"
        f" rows between {IC_WINDOW - 1} preceding and current row) order by forecast_date, model_version",
        versions=list(versions),
    )


def spread_blocks(lake: Reader, labels: Mapping[str, str]) -> list[Block]:
    """What the top decile earned above the bottom one, every fifth test date, and how many of its members were new.

    Args:
        lake: where to ask.
        labels: what each version is called, in the order to show them; at most six.

    Raises:
        LakeError: the lake cannot be read.
    """
    found = {label: _read_deciles(lake, version) for version, label in labels.items()}
    found = {label: held for label, held in found.items() if held.realised.shape[1] == N_DECILES}
    spread = {label: _spread(held) for label, held in found.items()}
    found = {label: held for label, held in found.items() if np.isfinite(spread[label]).any()}
    if not found:
        return [Note(f"Deciles need {N_DECILES} securities a date: there is no spread between them yet.")]
    dates = sorted({date for held in found.values() for date in held.dates[APART]})
    lines = []
    for label, held in found.items():
        total = np.full(len(dates), np.nan)
        own = np.searchsorted(dates, held.dates[APART])
        total[own] = np.cumsum(np.nan_to_num(spread[label]))
        # Versions fitted on other days have other test dates; between two of its own a sum stays what it was.
        inside = slice(int(own[0]), int(own[-1]) + 1)
        total[inside] = total[own][np.searchsorted(own, np.arange(inside.start, inside.stop), side="right") - 1]
        lines.append(charts.Line(label, total))
    chart = charts.line_chart(
        dates,
        lines,
        label="Top decile less bottom decile, added up over test dates",
        write=lambda v: numbers.change(v, 0),
        zero=True,
        width=axes.WIDE,
    )
    caption = (
        "Log return of the top decile less that of the bottom one over five sessions, each of equal weights, added up"
        f" over every {REBALANCE}th test date. Before costs, and as if the bottom decile could be sold short."
    )
    heads = ["Model", "Periods", "Mean spread", "t", "Above zero"]
    heads += ["New in the top", "New at the bottom", "Cost it bears"]
    table = Table(
        f"Top decile less bottom decile: periods of {REBALANCE} sessions; the cost it bears is the mean spread over"
        " what is traded, both ways, on both sides",
        heads,
        [_spread_cells(label, spread[label], held.new[APART]) for label, held in found.items()],
        is_wide=True,
    )
    return [Figure("Decile spread", chart, caption, is_wide=True), table]


def _spread(held: _Deciles) -> reading.Floats:
    apart = held.realised[APART]
    return np.asarray(apart[:, -1] - apart[:, 0], dtype=np.float64)


def _spread_cells(label: str, of_dates: reading.Floats, new: reading.Floats) -> list[Cell]:
    spread = of_dates[np.isfinite(of_dates)]
    mean, n_periods = float(spread.mean()), len(spread)
    deviation = float(spread.std(ddof=1)) if n_periods >= LEAST_DATES else 0.0
    # Of the first date nobody knows who is new.
    bottom_new, top_new = (_mean(new[1:, at]) for at in (0, -1))
    # A member that is new was bought and the one it stands for sold, at the top and the bottom alike.
    traded = 2 * (top_new + bottom_new)
    return [
        blocks.text(label),
        blocks.number(numbers.count(n_periods)),
        blocks.number(numbers.change(mean), blocks.tone_of(mean)),
        blocks.number(numbers.decimal(mean / deviation * math.sqrt(n_periods)) if deviation > 0 else "too few"),
        blocks.number(numbers.share(float((spread > 0).mean()))),
        blocks.number(numbers.share(top_new)),
        blocks.number(numbers.share(bottom_new)),
        blocks.number(numbers.share(mean / traded, 2) if mean > 0 and traded > 0 else "none"),
    ]


def _mean(values: reading.Floats) -> float:
    present = values[np.isfinite(values)]
    return float(present.mean()) if len(present) else math.nan
