"""Numbers in, inline SVG out.

Drawn by hand and not by matplotlib: a chart is a few kilobytes, its text is text, and its colours are classes of the
page's style, so that dark mode, print and the desk's up colour need no second drawing. Coordinates carry one decimal,
so that the same numbers give the same bytes. Partners: `axes.py`, `style.css`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports import axes
from reports.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDE, WIDTH, Floats, Scale, Write

Row = tuple[str | float | None, ...]

# What a histogram's numbers are.
BIN_HEADS = ("from", "to", "count")
# Room for a number beside a bar.
NUMBER_WIDTH = 56
# Of a heat map's colours: a number on a stronger ground would be read with effort, in the dark above all.
MOST_OPACITY = 0.5


@dataclass(frozen=True)
class Chart:
    """A picture and the numbers it draws, so that a reader can have both.

    Args:
        svg: the picture.
        heads: what the columns of the numbers are.
        rows: names and numbers, None where there is none.
        span: where the first row and the last lie on the horizontal axis when the rows follow it at equal steps, so
            that a pointer finds its row; None in other charts.
        legend: class and name of each line, and of the shade, for where the picture's own legend is out of sight.
        tell: how a text beside the picture writes its numbers; None where none repeats them.
        narrow: the same picture at WIDTH where this one is wider, for a mail; None where it is that already.
    """

    svg: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    span: tuple[int, int] | None = None
    legend: tuple[tuple[str, str], ...] = ()
    tell: Write | None = None
    narrow: Chart | None = None


@dataclass(frozen=True)
class Line:
    """One line of a chart: its name in the legend and its values, NaN where there is none."""

    name: str
    values: Floats


@dataclass(frozen=True)
class Shade:
    """Dates that stand on darker ground, such as recessions: what they are, and for each date whether it is one."""

    name: str
    is_in: Sequence[bool]


def line_chart(
    dates: Sequence[object],
    lines: Sequence[Line],
    *,
    label: str,
    write: Write,
    zero: bool = False,
    width: int = WIDTH,
    shaded: Shade | None = None,
    step: str = "date",
    tell: Write | None = None,
) -> Chart:
    """Lines over time with a legend.

    Args:
        dates: what stands on the horizontal axis, one per value.
        lines: at most six.
        label: what the chart shows, for who does not see it.
        write: how a number is written on the axis.
        zero: whether zero belongs on the vertical axis.
        width: WIDTH, or WIDE for a figure of the whole page's width.
        shaded: dates to draw on darker ground; they are a column of the chart's numbers too.
        step: what stands on the horizontal axis, where it is no date.
        tell: how a text beside the picture writes a number, where the axis does so too coarsely.
    """
    stacked = np.concatenate([line.values for line in lines]) if lines else np.zeros(0)
    low, high = axes.value_range(stacked, zero=zero)
    legend_height = 18 if len(lines) > 1 else 0
    x = Scale(0, max(len(dates) - 1, 1), LEFT, width - RIGHT)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP + legend_height)
    parts = [
        axes.bands(x, shaded.is_in) if shaded else "",
        axes.horizontal_grid(y, write, width),
        axes.date_axis(dates, x),
    ]
    for number, line in enumerate(lines, start=1):
        parts.append(f'<path class="line c{number}" d="{axes.path(x, y, line.values)}"/>')
    if legend_height:
        parts.append(axes.legend([line.name for line in lines]))
    heads = (step, *(line.name for line in lines))
    values: list[Sequence[float | None]] = [axes.present(line.values) for line in lines]
    if shaded:
        heads, values = (*heads, shaded.name), [*values, [int(one) for one in shaded.is_in]]
    rows = zip(map(str, dates), *values, strict=True)
    legend = [(f"k{number}", line.name) for number, line in enumerate(lines, start=1)]
    legend += [("shade", shaded.name)] if shaded else []
    narrow = None
    if width > WIDTH:
        narrow = line_chart(dates, lines, label=label, write=write, zero=zero, shaded=shaded, step=step)
    picture = axes.svg(parts, label, width=width)
    return Chart(picture, heads, tuple(rows), (LEFT, width - RIGHT), tuple(legend), tell or write, narrow)


def bars(
    labels: Sequence[str], values: Floats, *, label: str, write: Write, tones: tuple[str, str] = ("up", "down")
) -> Chart:
    """Horizontal bars, one a label, coloured by sign, each with its number.

    Args:
        labels: what the bars are.
        values: how long they are, NaN where there is none.
        label: what the chart shows, for who does not see it.
        write: how a number is written beside its bar.
        tones: classes of bars above zero and below: rises and falls, or `pos` and `neg` where neither is meant.
    """
    row = 20
    height = TOP + row * len(labels) + 8
    name_width = 150
    finite = values[np.isfinite(values)]
    below, above = (float(max(side.max(initial=0.0), 0.0)) for side in (-finite, finite))
    # Zero lies where both sides have the room that their longest bars and their numbers need.
    left = name_width + NUMBER_WIDTH * (below > 0)
    room = WIDTH - 4 - NUMBER_WIDTH * (above > 0 or below == 0) - left
    span = below + above or 1.0
    middle = left + below / span * room
    parts = [f'<line class="axis" x1="{middle:.1f}" x2="{middle:.1f}" y1="{TOP}" y2="{height - 8}"/>']
    for number, (name, value) in enumerate(zip(labels, values.tolist(), strict=True)):
        top = TOP + number * row
        length = abs(value) / span * room if math.isfinite(value) else 0.0
        start = middle - length if value < 0 else middle
        tone = tones[bool(value < 0)]
        at = start - 4 if value < 0 else start + length + 4
        anchor = "end" if value < 0 else "start"
        shown = name if len(name) <= 22 else name[:21] + "…"
        name_at, name_anchor = (4, "start")
        parts.append(
            f'<text x="{name_at}" y="{top + 13}" text-anchor="{name_anchor}">{axes.escaped(shown)}</text>'
            f'<rect class="{tone}" x="{start:.1f}" y="{top + 3}" width="{length:.1f}" height="{row - 7}"/>'
            f'<text class="num" x="{at:.1f}" y="{top + 13}" text-anchor="{anchor}">'
            f"{axes.escaped(write(value))}</text>"
        )
    rows = tuple(zip(labels, axes.present(values), strict=True))
    return Chart(axes.svg(parts, label, height), ("name", "value"), rows, tell=write)


def columns(labels: Sequence[str], values: Floats, *, label: str, write: Write) -> Chart:
    """Vertical bars from zero, one a label, such as a scree plot."""
    low, high = axes.value_range(values, zero=True)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    every = max(1, math.ceil(len(labels) / 12))
    parts = [axes.horizontal_grid(y, write)]
    for number, (name, value) in enumerate(zip(labels, values.tolist(), strict=True)):
        if not math.isfinite(value):
            continue
        left = LEFT + number * step + step * 0.15
        top, bottom = sorted((y(value), y(0.0)))
        parts.append(
            f'<rect class="fill1" x="{left:.1f}" y="{top:.1f}" width="{step * 0.7:.1f}" height="{bottom - top:.1f}"/>'
        )
        if number % every == 0:
            parts.append(
                f'<text x="{left + step * 0.35:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{axes.escaped(name)}</text>'
            )
    return Chart(axes.svg(parts, label), ("name", "value"), tuple(zip(labels, axes.present(values), strict=True)))


def histogram(
    values: Floats,
    *,
    label: str,
    write: Write,
    n_bins: int = 40,
    split: float | None = 0.0,
    tell: Write | None = None,
) -> Chart:
    """How often values fall where; bars below `split` and above it differ in colour; `tell` as for `line_chart`."""
    present = values[np.isfinite(values)]
    if not len(present):
        return Chart(axes.svg([], label), BIN_HEADS, ())
    low, high = np.quantile(present, [0.002, 0.998])
    edges = np.linspace(low, high if high > low else low + 1e-9, n_bins + 1)
    counts, _ = np.histogram(np.clip(present, edges[0], edges[-1]), edges)
    x, y = Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT), Scale(0, counts.max(), HEIGHT - BOTTOM, TOP)
    parts = [axes.horizontal_grid(y, lambda number: f"{number:,.0f}"), axes.value_axis(x, write)]
    for start, end, number in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True):
        tone = "fill1" if split is None else ("down" if (start + end) / 2 < split else "up")
        parts.append(
            f'<rect class="{tone}" x="{x(start) + 0.5:.1f}" y="{y(number):.1f}" width="{x(end) - x(start) - 1:.1f}"'
            f' height="{y(0) - y(number):.1f}"/>'
        )
    rows = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    return Chart(axes.svg(parts, label), BIN_HEADS, tuple(rows), tell=tell or write)


def scatter(
    horizontal: Floats,
    vertical: Floats,
    groups: npt.NDArray[np.int64],
    *,
    label: str,
    names: tuple[str, str],
    writes: tuple[Write, Write],
) -> Chart:
    """Points coloured by group, with both axes named; a point that lacks a coordinate is left out."""
    is_whole = np.isfinite(horizontal) & np.isfinite(vertical)
    horizontal, vertical, groups = horizontal[is_whole], vertical[is_whole], groups[is_whole]
    x = Scale(*axes.value_range(horizontal), LEFT, WIDTH - RIGHT)
    # The name of the vertical axis stands above its numbers.
    y = Scale(*axes.value_range(vertical), HEIGHT - BOTTOM - 8, TOP + 12)
    parts = [axes.horizontal_grid(y, writes[1]), axes.value_axis(x, writes[0], HEIGHT - BOTTOM - 8)]
    for group in np.unique(groups):
        inside = groups == group
        dots = "".join(
            f"M{x(a):.1f} {y(b):.1f}h0"
            for a, b in zip(horizontal[inside].tolist(), vertical[inside].tolist(), strict=True)
        )
        parts.append(f'<path class="dots c{(int(group) - 1) % 8 + 1}" d="{dots}"/>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{axes.escaped(names[0])}</text>')
    parts.append(f'<text x="4" y="{TOP - 2}">{axes.escaped(names[1])}</text>')
    rows = zip(horizontal.tolist(), vertical.tolist(), groups.tolist(), strict=True)
    return Chart(axes.svg(parts, label), (*names, "group"), tuple(rows))


def heat_map(rows: Sequence[str], heads: Sequence[str], values: Floats, *, label: str, write: Write) -> Chart:
    """A matrix of signed numbers: colour says sign, strength says size, and the number stands in the cell."""
    row, name_width = 20, 170
    height = 24 + row * len(rows)
    step = (WIDTH - name_width - 8) / max(len(heads), 1)
    most = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    parts = [
        f'<text x="{name_width + (number + 0.5) * step:.1f}" y="14" text-anchor="middle">{axes.escaped(head)}</text>'
        for number, head in enumerate(heads)
    ]
    for at, name in enumerate(rows):
        top = 22 + at * row
        shown = name if len(name) <= 27 else name[:26] + "…"
        parts.append(f'<text x="4" y="{top + 13}">{axes.escaped(shown)}</text>')
        for number, value in enumerate(values[at].tolist()):
            left = name_width + number * step
            if math.isfinite(value):
                strength = abs(value) / (most or 1.0)
                parts.append(
                    f'<rect class="{"pos" if value >= 0 else "neg"}" x="{left:.1f}" y="{top}" width="{step - 2:.1f}"'
                    f' height="{row - 2}" fill-opacity="{strength * MOST_OPACITY:.2f}"/>'
                    f'<text class="num" x="{left + step / 2:.1f}" y="{top + 13}" text-anchor="middle">'
                    f"{axes.escaped(write(value))}</text>"
                )
    numbers = tuple((name, *axes.present(values[at])) for at, name in enumerate(rows))
    return Chart(axes.svg(parts, label, height), ("name", *heads), numbers)


def strip(
    rows: Sequence[str],
    heads: Sequence[str],
    states: Sequence[Sequence[str]],
    *,
    label: str,
    told: Collection[str] = (),
) -> Chart:
    """A row of small squares per name across the page, one a head, each of the class `state-<state>`.

    Squares of a state in `told` say name, head and state when they are pointed at, or read out.
    """
    row, name_width = 18, 150
    height = 22 + row * len(rows)
    step = (WIDE - name_width - 6) / max(len(heads), 1)
    parts = []
    for at, name in enumerate(rows):
        top = 4 + at * row
        parts.append(f'<text x="4" y="{top + 11}">{axes.escaped(name)}</text>')
        for number, state in enumerate(states[at]):
            said = f"<title>{axes.escaped(f'{name}, {heads[number]}: {state}')}</title>" if state in told else ""
            parts.append(
                f'<rect class="state-{axes.escaped(state)}" x="{name_width + number * step:.1f}" y="{top}"'
                f' width="{max(step - 1, 0.8):.1f}" height="{row - 5}">{said}</rect>'
            )
    if heads:
        parts.append(f'<text x="{name_width}" y="{height - 5}">{axes.escaped(heads[0])}</text>')
        parts.append(f'<text x="{WIDE - 6}" y="{height - 5}" text-anchor="end">{axes.escaped(heads[-1])}</text>')
    by_head = tuple((head, *(line[at] for line in states)) for at, head in enumerate(heads))
    return Chart(axes.svg(parts, label, height, WIDE), ("date", *rows), by_head)


def sparkline(values: Floats, *, label: str) -> Chart | None:
    """A line without axes, for a tile; None when there is nothing to connect."""
    present = values[np.isfinite(values)]
    if len(present) < 2:
        return None
    x, y = Scale(0, len(values) - 1, 2, 118), Scale(float(present.min()), float(present.max()), 24, 4)
    svg = (
        '<svg class="spark" viewBox="0 0 120 28" preserveAspectRatio="none" role="img"'
        f' aria-label="{axes.escaped(label)}">'
        f'<path class="line c1" d="{axes.path(x, y, values)}"/></svg>'
    )
    return Chart(svg, ("place", "value"), tuple(enumerate(axes.present(values))))
