"""Where the macro series will be in some months, who says so and why it may, and what moved the forecasts."""

from __future__ import annotations

from datetime import date
from typing import Any

from reports import blocks, numbers
from reports.blocks import Block, Cell, Note, Table
from reports.tracing import Reader

AR, MEAN, DIFFUSION, NETWORK = "macro_ar", "macro_mean", "macro_diffusion", "macro_lstm"
NAMES = {AR: "AR", MEAN: "mean", DIFFUSION: "index", NETWORK: "LSTM"}
# FRED-MD codes whose changes are of logs.
LOG_CODES = (5, 6)
N_CAUSES = 3
TOLERANCE = 1e-10
# Of a normal distribution so many standard errors to each side hold 90 %.
NINETY_PERCENT = 1.645
HEADS = (
    "Series",
    "Month",
    "Ahead",
    "Forecast",
    "From",
    "To",
    "By",
    "AR",
    "Mean",
    "Index",
    "Index / AR",
    "p (DM)",
    "p (CW)",
    "Held, tested",
    "Held, known",
)
NEWS_HEADS = ("Series", "Ahead", "Before", "Now", "Largest causes", "Other figures", "A month on", "Refit", "Restated")


def outlook_blocks(lake: Reader, as_of: date) -> list[Block]:
    """The newest forecasts of each series and horizon beside each other.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "with newest as (select max(forecast_date) as day from model.macro_outlook where forecast_date <= $as_of),"
        " record as (select series_id, horizon_months, count(*) as n_known, avg(is_inside::integer) as held from"
        " analyst.macro_outlook where is_published and known_date <= $as_of and is_inside is not null group by all)"
        " select o.*, coalesce(r.n_known, 0) as n_known, r.held from analyst.macro_outlook as o"
        " join newest on o.forecast_date = newest.day left join record as r using (series_id, horizon_months)"
        " order by o.series_id, o.horizon_months, o.model_name",
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return [
            Note(
                "No macro series is forecast months ahead yet: a refit does so once ten years of months are known of a"
                " target and of half of the panel's series."
            )
        ]
    by_key: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault((row["series_id"], row["horizon_months"]), {})[row["model_name"]] = row
    with_network = any(NETWORK in rivals for rivals in by_key.values())
    cells = [_cells(rivals, with_network=with_network) for rivals in by_key.values()]
    heads = list(HEADS)
    if with_network:
        heads.insert(HEADS.index("Index") + 1, NAMES[NETWORK])
    first = rows[0]
    caption = (
        f"Macro forecasts of {first['forecast_date']} with 90 % intervals: by the index (AR and a factor)"
        f"{' or the LSTM' if with_network else ''} where it beat the autoregression (AR) walk-forward from"
        f" {_month(first['test_start'])} to {_month(first['test_end'])}, else by the AR; index / AR is of squared"
        " errors; held is the share of outcomes in their intervals"
    )
    shown: list[Block] = [Table(caption, tuple(heads), cells, is_wide=True)]
    demoted = [row for row in rows if row["reason"].startswith("over the last")]
    for row in demoted:
        shown.append(
            Note(f"{row['series_id']} in {row['horizon_months']} months: the AR is back in charge: {row['reason']}.")
        )
    return shown


def _cells(rivals: dict[str, dict[str, Any]], *, with_network: bool) -> tuple[Cell, ...]:
    told = next((row for row in rivals.values() if row["is_published"]), rivals[AR])
    other = rivals[DIFFUSION]
    error = _std_error(told)
    known = f" of {numbers.count(told['n_known'])}" if told["n_known"] else ""
    shown = (AR, MEAN, DIFFUSION, NETWORK) if with_network else (AR, MEAN, DIFFUSION)
    return (
        blocks.text(told["series_id"]),
        blocks.number(_month(told["observation_date"])),
        blocks.number(f"{told['horizon_months']} m"),
        blocks.number(numbers.estimate(told["forecast"], error)),
        *(blocks.number(numbers.estimate(told[end], error)) for end in ("lower", "upper")),
        blocks.text(NAMES.get(told["model_name"], told["model_name"])),
        *(blocks.number(numbers.estimate(rivals.get(name, {}).get("forecast"), error)) for name in shown),
        blocks.number(numbers.decimal(other["ratio_to_ar"])),
        blocks.number(numbers.decimal(other["dm_p_value"], 3)),
        blocks.number(numbers.decimal(other["cw_p_value"], 3)),
        blocks.number(numbers.share(told["tested_coverage"], 0)),
        blocks.number(numbers.share(told["held"], 0) + known),
    )


def _std_error(row: dict[str, Any]) -> float | None:
    """What a normal error of the interval's width would have; it says how many digits are worth writing."""
    return (
        None if row["lower"] is None or row["upper"] is None else (row["upper"] - row["lower"]) / (2 * NINETY_PERCENT)
    )


def _month(day: date | None) -> str:
    return numbers.MISSING if day is None else f"{day:%Y-%m}"


def news_blocks(lake: Reader, as_of: date) -> list[Block]:
    """What moved each published forecast since the refit before, a row a forecast.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select n.*, s.transform_code from analyst.macro_news as n left join macro.series as s using (series_id)"
        " where n.forecast_date = (select max(forecast_date) from model.macro_outlook where forecast_date <= $as_of)"
        " order by n.series_id, n.horizon_months, abs(n.effect) desc, n.kind, n.entity, n.observation_date",
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return [Note("What moved the macro forecasts is told from the second refit on.")]
    by_key: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault((row["series_id"], row["horizon_months"]), []).append(row)
    cells = [_news_cells(causes) for causes in by_key.values()]
    off = max(
        abs(sum(row["effect"] for row in causes) - causes[0]["mean_change"] + causes[0]["previous_mean_change"])
        for causes in by_key.values()
    )
    adds_up = "the effects add up to the change" if off <= TOLERANCE else "THE EFFECTS DO NOT ADD UP TO THE CHANGE"
    caption = (
        f"What moved the macro forecasts since {rows[0]['previous_version'][-10:]}: effects on the mean change a month"
        f" over the horizon, of logs for prices, output and jobs; {adds_up}"
    )
    return [Table(caption, NEWS_HEADS, cells, is_wide=True)]


def _news_cells(causes: list[dict[str, Any]]) -> tuple[Cell, ...]:
    figures = [row for row in causes if row["entity"]]
    first = causes[0]

    def write(value: float) -> numbers.Written:
        is_log = first["transform_code"] in LOG_CODES
        return numbers.change(value, 3) if is_log else numbers.decimal(value, 4, signed=True)

    def total(kind: str) -> float:
        return sum(row["effect"] for row in causes if row["kind"] == kind)

    largest = "; ".join(
        f"{row['entity']} {_month(row['observation_date'])} {row['kind']} {write(row['effect'])}"
        for row in figures[:N_CAUSES]
    )
    return (
        blocks.text(first["series_id"]),
        blocks.number(f"{first['horizon_months']} m"),
        blocks.number(write(first["previous_mean_change"])),
        blocks.number(write(first["mean_change"])),
        blocks.text(largest or "no figure came or changed"),
        blocks.number(write(sum(row["effect"] for row in figures[N_CAUSES:]))),
        *(blocks.number(write(total(kind))) for kind in ("time", "refit", "restated")),
    )
