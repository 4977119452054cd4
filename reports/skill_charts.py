"""Two pictures of what forecasts are worth: a strip a model over the same dates, and what came beside what was said.

Each strip has its name beside it, and each mark a shape of its own, so that nothing rests on a colour.
Partners: `charts.py`, which draws all others, and `pages/skill.py`, which asks for these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports import axes, descriptions
from reports.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDE, WIDTH, Floats, Scale, Write
from reports.charts import Chart, Line

STRIP_HEIGHT, STRIP_GAP, NAME_HEIGHT = 58, 8, 16
# A bar of two standard errors each way holds the true mean 95 times in 100.
ERRORS_SHOWN = 2.0


def strips(dates: Sequence[object], lines: Sequence[Line], *, label: str, write: Write) -> Chart:
    """A line a strip, one below the other on the same scale, so that any number of them can be told apart.

    Args:
        dates: what stands on the horizontal axis, one per value.
        lines: one a strip, in order.
        label: what the chart shows, for who does not see it.
        write: how a number is written on the axis.
    """
    stacked = np.concatenate([line.values for line in lines]) if lines else np.zeros(0)
    low, high = axes.value_range(stacked, zero=True)
    x = Scale(0, max(len(dates) - 1, 1), LEFT, WIDE - RIGHT)
    step = NAME_HEIGHT + STRIP_HEIGHT + STRIP_GAP
    height = TOP + step * len(lines) + BOTTOM - STRIP_GAP
    parts = []
    for at, line in enumerate(lines):
        top = TOP + at * step + NAME_HEIGHT
        y = Scale(low, high, top + STRIP_HEIGHT, top)
        # At both ends: a phone shows the newest, and its reader moves to the oldest.
        for end, anchor in ((LEFT, "start"), (WIDE - RIGHT, "end")):
            parts.append(f'<text x="{end}" y="{top - 5}" text-anchor="{anchor}">{axes.escaped(line.name)}</text>')
        for value in sorted({0.0, *axes.ticks(low, high, 3)}):
            parts.append(
                f'<line class="{"axis" if value == 0 else "grid"}" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y(value):.1f}"'
                f' y2="{y(value):.1f}"/><text class="num" x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">'
                f"{axes.escaped(write(value))}</text>"
            )
        parts.append(f'<path class="line c1" d="{axes.path(x, y, line.values)}"/>')
    parts.append(axes.date_axis(dates, x, height - 8))
    rows = zip(map(str, dates), *(axes.present(line.values) for line in lines), strict=True)
    heads = ("date", *(line.name for line in lines))
    says = descriptions.line(dates, [(line.name, line.values) for line in lines], write)
    svg = axes.svg(parts, label, height, WIDE, says=says)
    return Chart(svg, heads, tuple(rows), (LEFT, WIDE - RIGHT), unit=axes.unit(write))


@dataclass(frozen=True)
class Means:
    """What came and what was said, one each a group.

    Args:
        realised: means of what came.
        std_error: standard error of each, NaN where it is not known.
        predicted: means of what was forecast.
    """

    realised: Floats
    std_error: Floats
    predicted: Floats


def calibration(groups: Sequence[str], means: Means, *, label: str, write: Write) -> Chart:
    """Columns of what came, each with its error bar, and a diamond at what was forecast.

    Args:
        groups: what the columns are.
        means: how high they are.
        label: what the chart shows, for who does not see it.
        write: how a number is written on the axis.
    """
    reach = ERRORS_SHOWN * np.nan_to_num(means.std_error)
    low, high = axes.value_range(
        np.concatenate([means.realised - reach, means.realised + reach, means.predicted]), zero=True
    )
    y = Scale(low, high, HEIGHT - BOTTOM, TOP + 18)
    step = (WIDTH - LEFT - RIGHT) / max(len(groups), 1)
    parts = [axes.horizontal_grid(y, write), _key()]
    for at, name in enumerate(groups):
        middle = LEFT + (at + 0.5) * step
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{axes.escaped(name)}</text>')
        came, said = float(means.realised[at]), float(means.predicted[at])
        if math.isfinite(came):
            top, bottom = sorted((y(came), y(0.0)))
            parts.append(
                f'<rect class="fill1 pale" x="{middle - step * 0.35:.1f}" y="{top:.1f}" width="{step * 0.7:.1f}"'
                f' height="{bottom - top:.1f}"><title>'
                f"{axes.escaped(f'{name}: {write(came)} came, {write(said)} forecast')}</title></rect>"
            )
            if reach[at] > 0:
                parts.append(_whisker(middle, y(came - reach[at]), y(came + reach[at])))
        if math.isfinite(said):
            parts.append(_diamond(middle, y(said)))
    columns = (means.realised, means.std_error, means.predicted)
    rows = zip(groups, *(axes.present(values) for values in columns), strict=True)
    says = " ".join(
        f"{what}: {descriptions.bars(groups, values, write)}"
        for what, values in (("Came", means.realised), ("Forecast", means.predicted))
    )
    return Chart(axes.svg(parts, label, says=says), ("decile", "realised", "standard error", "forecast"), tuple(rows))


def _whisker(middle: float, bottom: float, top: float) -> str:
    ends = "".join(f"M{middle - 4:.1f} {end:.1f}H{middle + 4:.1f}" for end in (bottom, top))
    return f'<path class="whisker" d="M{middle:.1f} {bottom:.1f}V{top:.1f}{ends}"/>'


def _diamond(middle: float, at: float) -> str:
    return f'<path class="mark" d="M{middle:.1f} {at - 5:.1f}l5 5l-5 5l-5 -5z"/>'


def _key() -> str:
    return (
        f'<rect class="fill1 pale" x="{LEFT}" y="5" width="12" height="10"/><text x="{LEFT + 17}" y="14">came</text>'
        f"{_whisker(LEFT + 76, 16, 4)}"
        f'<text x="{LEFT + 86}" y="14">two standard errors</text>'
        f'{_diamond(LEFT + 226, 10)}<text x="{LEFT + 237}" y="14">forecast</text>'
    )
