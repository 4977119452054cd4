"""Numbers in, inline SVG out.

Drawn by hand and not by matplotlib: a chart is a few kilobytes, its text is text, and its colours are classes of the
page's style, so that dark mode, print and the desk's up colour need no second drawing. Coordinates carry one decimal,
so that the same numbers give the same bytes. Partners: `axes.py`, `style.css`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reports import axes, descriptions, numbers
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
        marks: how its marks follow from the rows, so that a pointer or key finds them: `bars` and `columns` are one a
            row, `cells` one a number, `squares` one a number column by column, `points` one a row; empty in others.
        unit: `%` when the numbers are fractions that the picture writes as percentages.
        tell: how a text beside the picture writes its numbers; None where none repeats them.
        narrow: the same picture at WIDTH where this one is wider, for a mail; None where it is that already.
    """

    svg: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    span: tuple[int, int] | None = None
    legend: tuple[tuple[str, str], ...] = ()
    marks: str = ""
    unit: str = ""
    # How a number is written is not what a chart shows, and two functions that write alike are not equal.
    tell: Write | None = field(default=None, compare=False)
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
    parts = [axes.bands(x, shaded.is_in) if shaded else "", axes.horizontal_grid(y, write, width)]
    parts.append(axes.date_axis(dates, x))
    for number, line in enumerate(lines, start=1):
        parts.append(f'<path class="line c{number}" d="{axes.path(x, y, line.values)}"/>')
    if legend_height:
        parts.append(axes.legend([line.name for line in lines], width))
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
    by_name = [(line.name, line.values) for line in lines]
    svg = axes.svg(
        parts, label, width=width, says=descriptions.line(dates, by_name, write, shaded.name if shaded else "")
    )
    return Chart(
        svg,
        heads,
        tuple(rows),
        (LEFT, width - RIGHT),
        tuple(legend),
        unit=axes.unit(write),
        tell=tell or write,
        narrow=narrow,
    )


def bars(
    labels: Sequence[str],
    values: Floats,
    *,
    label: str,
    write: Write,
    tones: tuple[str, str] = ("up", "down"),
    most: int | None = None,
) -> Chart:
    """Horizontal bars, one a label, coloured by sign, each with its number.

    Args:
        labels: what the bars are.
        values: how long they are, NaN where there is none.
        label: what the chart shows, for who does not see it.
        write: how a number is written beside its bar.
        tones: classes of bars above zero and below: rises and falls, or `pos` and `neg` where neither is meant.
        most: how many are drawn, half of them the first and half the last; all are among the numbers. None for all.
    """
    all_rows = tuple(zip(labels, axes.present(values), strict=True))
    says = descriptions.bars(labels, values, write)
    if most is not None and len(labels) > most:
        kept = [*range(most - most // 2), *range(len(labels) - most // 2, len(labels))]
        labels, values = [labels[at] for at in kept], values[kept]
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
        parts.append(
            f'<text x="4" y="{top + 13}">{axes.escaped(shown)}</text>'
            f'<rect class="{tone}" x="{start:.1f}" y="{top + 3}" width="{length:.1f}" height="{row - 7}">'
            f"{_tip(name, write(value)) if math.isfinite(value) else ''}</rect>"
            f'<text class="num" x="{at:.1f}" y="{top + 13}" text-anchor="{anchor}">'
            f"{axes.escaped(write(value))}</text>"
        )
    svg = axes.svg(parts, label, height, says=says)
    return Chart(svg, ("name", "value"), all_rows, marks="bars", unit=axes.unit(write), tell=write)


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
            f'<rect class="fill1" x="{left:.1f}" y="{top:.1f}" width="{step * 0.7:.1f}" height="{bottom - top:.1f}">'
            f"{_tip(name, write(value))}</rect>"
        )
        if number % every == 0:
            parts.append(
                f'<text x="{left + step * 0.35:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{axes.escaped(name)}</text>'
            )
    svg = axes.svg(parts, label, says=descriptions.bars(labels, values, write))
    rows = tuple(zip(labels, axes.present(values), strict=True))
    return Chart(svg, ("name", "value"), rows, marks="columns", unit=axes.unit(write))


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
        return Chart(axes.svg([], label, says=descriptions.NOTHING), BIN_HEADS, ())
    low, high = np.quantile(present, [0.002, 0.998])
    edges = np.linspace(low, high if high > low else low + 1e-9, n_bins + 1)
    counts, _ = np.histogram(np.clip(present, edges[0], edges[-1]), edges)
    x, y = Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT), Scale(0, counts.max(), HEIGHT - BOTTOM, TOP)
    parts = [axes.horizontal_grid(y, lambda number: f"{number:,.0f}"), axes.value_axis(x, write)]
    for start, end, number in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True):
        tone = "fill1" if split is None else ("down" if (start + end) / 2 < split else "up")
        parts.append(
            f'<rect class="{tone}" x="{x(start) + 0.5:.1f}" y="{y(number):.1f}" width="{x(end) - x(start) - 1:.1f}"'
            f' height="{y(0) - y(number):.1f}">{_tip(f"{write(start)} to {write(end)}", numbers.count(number))}</rect>'
        )
    rows = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    svg = axes.svg(parts, label, says=descriptions.histogram(edges, counts, write))
    return Chart(svg, BIN_HEADS, tuple(rows), marks="columns", tell=tell or write)


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
    # Group by group, as they are drawn: whoever finds a point in the picture knows its row.
    kept = np.flatnonzero(is_whole)[np.argsort(groups[is_whole], kind="stable")]
    horizontal, vertical, groups = horizontal[kept], vertical[kept], groups[kept]
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
    svg = axes.svg(parts, label, says=descriptions.scatter(horizontal, vertical, names, writes))
    return Chart(svg, (*names, "group"), tuple(rows), marks="points", unit=axes.unit(writes[0]))


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
    svg = axes.svg(parts, label, height, says=descriptions.heat_map(rows, heads, values, write))
    held = tuple((name, *axes.present(values[at])) for at, name in enumerate(rows))
    return Chart(svg, ("name", *heads), held, marks="cells", unit=axes.unit(write))


def strip(
    rows: Sequence[str],
    heads: Sequence[str],
    states: Sequence[Sequence[str]],
    *,
    label: str,
    told: Collection[str] = (),
    legend: Sequence[tuple[str, str]] = (),
) -> Chart:
    """A row of small marks per name across the page, one a head, each of its state's shape and class `state-<state>`.

    Args:
        rows: names.
        heads: what a mark of a row is of, such as days.
        states: (n_rows, n_heads).
        label: what the chart shows, for who does not see it.
        told: states whose marks say name, head and state when they are pointed at, or read out.
        legend: states and what they are called, explained above the rows.
    """
    row, name_width = 18, 150
    above = row * bool(legend)
    height = 22 + above + row * len(rows)
    step = (WIDE - name_width - 6) / max(len(heads), 1)
    parts = [axes.state_legend(legend, name_width, 4)] if legend else []
    for at, name in enumerate(rows):
        top = 4 + above + at * row
        parts.append(f'<text x="4" y="{top + 11}">{axes.escaped(name)}</text>')
        for number, state in enumerate(states[at]):
            said = f"<title>{axes.escaped(f'{name}, {heads[number]}: {state}')}</title>" if state in told else ""
            box = axes.Box(name_width + number * step, top, max(step - 1, 0.8), row - 5)
            parts.append(axes.state_mark(state, box, said))
    if heads:
        parts.append(f'<text x="{name_width}" y="{height - 5}">{axes.escaped(heads[0])}</text>')
        parts.append(f'<text x="{WIDE - 6}" y="{height - 5}" text-anchor="end">{axes.escaped(heads[-1])}</text>')
    by_head = tuple((head, *(line[at] for line in states)) for at, head in enumerate(heads))
    svg = axes.svg(parts, label, height, WIDE, says=descriptions.strip(rows, heads, states))
    return Chart(svg, ("date", *rows), by_head, marks="squares")


def sparkline(
    values: Floats, *, label: str, dates: Sequence[object] | None = None, write: Write = numbers.level
) -> Chart | None:
    """A line without axes, for a tile; None when there is nothing to connect.

    Args:
        values: oldest first, NaN where there is none.
        label: what the chart shows, for who does not see it.
        dates: when each value was; their places where nobody says.
        write: how a number is written in its description.
    """
    present = values[np.isfinite(values)]
    if len(present) < 2:
        return None
    x, y = Scale(0, len(values) - 1, 2, 118), Scale(float(present.min()), float(present.max()), 24, 4)
    steps: list[str | float | None] = [*range(1, len(values) + 1)] if dates is None else [str(one) for one in dates]
    svg = axes.framed(
        '<svg class="spark" viewBox="0 0 120 28" preserveAspectRatio="none" role="img"',
        f'<path class="line c1" d="{axes.path(x, y, values)}"/>',
        label,
        descriptions.line(steps, [("The figure", values)], write),
    )
    heads = ("place" if dates is None else "date", "value")
    return Chart(svg, heads, tuple(zip(steps, axes.present(values), strict=True)))


def _tip(name: str, value: str) -> str:
    """What a mark says when it is pointed at, without any script."""
    return f"<title>{axes.escaped(f'{name}: {value}')}</title>"
