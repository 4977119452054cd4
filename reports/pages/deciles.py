"""Which securities are in the top and the bottom decile of the day's forecasts, and how are the deciles made up?

The lists show the first of each; all members go along as CSV. Partner: `pages/forecasts.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from reports import blocks, numbers, reading, texts
from reports.blocks import Block, Cell, Data, Note, Table
from reports.tracing import Reader

N_SHOWN = 10
N_INDUSTRIES = 3
NO_INDUSTRY = "no industry"
DATA_HEADS = ("ts_code", "name", "industry", "forecast", "lower", "upper")


def blocks_of(lake: Reader, as_of: date, ranked: Sequence[str]) -> list[Block]:
    """The top and the bottom decile of the newest forecasts by the first of some models that made any.

    Args:
        lake: where to ask.
        as_of: the day.
        ranked: names of models, whose forecasts to prefer first.

    Raises:
        LakeError: the lake cannot be read.
    """
    newest = reading.read_newest_forecasts(lake, as_of)
    name = next((name for name in ranked if name in newest), None)
    if name is None:
        return [Note("No session has been scored yet.")]
    if name == reading.NAIVE:
        return [Note("Only the naive forecast was made, which expects the same of every security: nobody is first.")]
    version, day = newest[name]
    shown: list[Block] = []
    champion = next((row["model_version"] for row in reading.read_roles(lake, as_of) if row["role"] == "champion"), "")
    if champion.split("/")[0] == reading.NAIVE:
        shown.append(
            Note(
                "The naive forecast is in charge: it expects no excess return of any security. The lists are those of "
                f"{name}, the challenger that came nearest, for comparison only."
            )
        )
    rows = lake.read(
        "with ranked as (select ts_code, forward_return_5d, lower, upper, count(*) over day as n_scored,"
        " ntile(10) over (partition by forecast_date order by forward_return_5d, ts_code) as decile"
        " from model.forecast where model_version = $version and forecast_date = $day"
        " window day as (partition by forecast_date))"
        " select r.ts_code, s.name, s.industry, r.forward_return_5d, r.lower, r.upper, r.decile, r.n_scored"
        " from ranked as r left join market.stock_basic as s using (ts_code)"
        " where r.decile in (1, least(10, r.n_scored)) order by r.forward_return_5d desc, r.ts_code",
        version=version,
        day=day,
    ).to_pylist()
    # Of a single security the top decile is the bottom one too.
    top = [row for row in rows if row["decile"] == min(10, row["n_scored"])]
    bottom = [row for row in rows if row["decile"] == 1][::-1]
    shown.append(_summary_table(top, bottom, f"{name}, made after {day}"))
    shown += [_list_table(f"{word} forecasts by {name}, made after {day}", held) for word, held in _named(top, bottom)]
    return shown


def _named(top: list[dict[str, Any]], bottom: list[dict[str, Any]]) -> tuple[tuple[str, list[dict[str, Any]]], ...]:
    return ("Best", top), ("Worst", bottom)


def _summary_table(top: list[dict[str, Any]], bottom: list[dict[str, Any]], made: str) -> Table:
    cells = []
    for word, held in (("top", top), ("bottom", bottom)):
        mean, lower, upper = (
            float(np.mean([row[key] for row in held])) for key in ("forward_return_5d", "lower", "upper")
        )
        cells.append(
            (
                blocks.text(word),
                blocks.number(numbers.count(len(held))),
                blocks.number(numbers.change(mean), blocks.tone_of(mean)),
                blocks.number(f"{numbers.change(lower, 1)} to {numbers.change(upper, 1)}"),
                blocks.text(_industries(held)),
            )
        )
    caption = f"Deciles of forecasts by {made}: each holds a tenth of {top[0]['n_scored']:,}"
    return Table(caption, ("Decile", "Securities", "Mean forecast", "Mean 90 % interval", "Industries"), cells, True)


def _industries(held: list[dict[str, Any]]) -> str:
    """The most frequent industries with their numbers, ties by name, and how many others there are."""
    counts = Counter(row["industry"] or NO_INDUSTRY for row in held)
    first = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    said = [f"{texts.shortened(industry)} {count}" for industry, count in first[:N_INDUSTRIES]]
    n_others = sum(count for _, count in first[N_INDUSTRIES:])
    return ", ".join([*said, *([f"others {n_others}"] if n_others else [])])


def _list_table(caption: str, held: list[dict[str, Any]]) -> Table:
    heads = ("Code", "Name", "Industry", "Forecast", "90 % interval")
    rows = [
        (row["ts_code"], row["name"], row["industry"], row["forward_return_5d"], row["lower"], row["upper"])
        for row in held
    ]
    n_shown = min(N_SHOWN, len(held))
    caption += f": {n_shown} of the {len(held):,} in the decile" if n_shown < len(held) else ""
    return Table(caption, heads, [_cells(row) for row in held[:N_SHOWN]], data=Data(DATA_HEADS, tuple(rows)))


def _cells(row: dict[str, Any]) -> list[Cell]:
    return [
        blocks.link(row["ts_code"], "security"),
        blocks.name(row["name"]),
        blocks.name(row["industry"]),
        blocks.number(numbers.change(row["forward_return_5d"]), blocks.tone_of(row["forward_return_5d"])),
        blocks.number(f"{numbers.change(row['lower'], 1)} to {numbers.change(row['upper'], 1)}"),
    ]
