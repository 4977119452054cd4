"""Numbers in, inline SVG out.

Drawn by hand and not by matplotlib: a chart is a few kilobytes, its text is text, and its colours are classes of the
page's style, so that dark mode, print and the desk's up colour need no second drawing. Coordinates carry one decimal,
so that the same numbers give the same bytes. Partner: `style.css`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports import texts

Floats = npt.NDArray[np.float64]
Write = Callable[[float], str]
Row = tuple[str | float | None, ...]

WIDTH, WIDE, HEIGHT = 480, 980, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 28
MOST_TICKS = 5
# Room for a number beside a bar.
NUMBER_WIDTH = 56


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
    """

    svg: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    span: tuple[int, int] | None = None
    legend: tuple[tuple[str, str], ...] = ()


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


@dataclass(frozen=True)
class Scale:
    """A linear map from numbers to coordinates."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of a number."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Round numbers from `low` to `high`, at most `most`, evenly spaced by 1, 2 or 5 times a power of ten.

    Source:
        Heckbert (1990), Nice numbers for graph labels, Graphics Gems.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else [0.0]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (factor * power for factor in (1, 2, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            return [round(number * step, 12) for number in range(first, last + 1)]
    raise AssertionError(f"no round step divides {low} to {high} into at most {most} parts")


def line_chart(
    dates: Sequence[object],
    lines: Sequence[Line],
    *,
    label: str,
    write: Write,
    zero: bool = False,
    width: int = WIDTH,
    shaded: Shade | None = None,
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
    """
    stacked = np.concatenate([line.values for line in lines]) if lines else np.zeros(0)
    low, high = _range(stacked, zero=zero)
    legend_height = 18 if len(lines) > 1 else 0
    x = Scale(0, max(len(dates) - 1, 1), LEFT, width - RIGHT)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP + legend_height)
    parts = [_bands(x, shaded.is_in) if shaded else "", _horizontal_grid(y, write, width), _date_axis(dates, x)]
    for number, line in enumerate(lines, start=1):
        parts.append(f'<path class="line c{number}" d="{_path(x, y, line.values)}"/>')
    if legend_height:
        parts.append(_legend([line.name for line in lines]))
    heads = ("date", *(line.name for line in lines))
    values: list[Sequence[float | None]] = [_present(line.values) for line in lines]
    if shaded:
        heads, values = (*heads, shaded.name), [*values, [int(one) for one in shaded.is_in]]
    rows = zip(map(str, dates), *values, strict=True)
    legend = [(f"k{number}", line.name) for number, line in enumerate(lines, start=1)]
    legend += [("shade", shaded.name)] if shaded else []
    return Chart(_svg(parts, label, width=width), heads, tuple(rows), (LEFT, width - RIGHT), tuple(legend))


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
            f'<text x="{name_at}" y="{top + 13}" text-anchor="{name_anchor}">{_escaped(shown)}</text>'
            f'<rect class="{tone}" x="{start:.1f}" y="{top + 3}" width="{length:.1f}" height="{row - 7}"/>'
            f'<text class="num" x="{at:.1f}" y="{top + 13}" text-anchor="{anchor}">{_escaped(write(value))}</text>'
        )
    return Chart(_svg(parts, label, height), ("name", "value"), tuple(zip(labels, _present(values), strict=True)))


def columns(labels: Sequence[str], values: Floats, *, label: str, write: Write) -> Chart:
    """Vertical bars from zero, one a label, such as a scree plot."""
    low, high = _range(values, zero=True)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    every = max(1, math.ceil(len(labels) / 12))
    parts = [_horizontal_grid(y, write)]
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
                f'<text x="{left + step * 0.35:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{_escaped(name)}</text>'
            )
    return Chart(_svg(parts, label), ("name", "value"), tuple(zip(labels, _present(values), strict=True)))


def histogram(values: Floats, *, label: str, write: Write, n_bins: int = 40, split: float | None = 0.0) -> Chart:
    """How often values fall where; bars below `split` and above it differ in colour."""
    present = values[np.isfinite(values)]
    heads = ("from", "to", "count")
    if not len(present):
        return Chart(_svg([], label), heads, ())
    low, high = np.quantile(present, [0.002, 0.998])
    edges = np.linspace(low, high if high > low else low + 1e-9, n_bins + 1)
    counts, _ = np.histogram(np.clip(present, edges[0], edges[-1]), edges)
    x, y = Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT), Scale(0, counts.max(), HEIGHT - BOTTOM, TOP)
    parts = [_horizontal_grid(y, lambda number: f"{number:,.0f}"), _value_axis(x, write)]
    for start, end, number in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True):
        tone = "fill1" if split is None else ("down" if (start + end) / 2 < split else "up")
        parts.append(
            f'<rect class="{tone}" x="{x(start) + 0.5:.1f}" y="{y(number):.1f}" width="{x(end) - x(start) - 1:.1f}"'
            f' height="{y(0) - y(number):.1f}"/>'
        )
    rows = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    return Chart(_svg(parts, label), heads, tuple(rows))


def scatter(
    horizontal: Floats,
    vertical: Floats,
    groups: npt.NDArray[np.int64],
    *,
    label: str,
    axes: tuple[str, str],
    writes: tuple[Write, Write],
) -> Chart:
    """Points coloured by group, with both axes named; a point that lacks a coordinate is left out."""
    is_whole = np.isfinite(horizontal) & np.isfinite(vertical)
    horizontal, vertical, groups = horizontal[is_whole], vertical[is_whole], groups[is_whole]
    x = Scale(*_range(horizontal), LEFT, WIDTH - RIGHT)
    # The name of the vertical axis stands above its numbers.
    y = Scale(*_range(vertical), HEIGHT - BOTTOM - 8, TOP + 12)
    parts = [_horizontal_grid(y, writes[1]), _value_axis(x, writes[0], HEIGHT - BOTTOM - 8)]
    for group in np.unique(groups):
        inside = groups == group
        dots = "".join(
            f"M{x(a):.1f} {y(b):.1f}h0"
            for a, b in zip(horizontal[inside].tolist(), vertical[inside].tolist(), strict=True)
        )
        parts.append(f'<path class="dots c{(int(group) - 1) % 8 + 1}" d="{dots}"/>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{_escaped(axes[0])}</text>')
    parts.append(f'<text x="4" y="{TOP - 2}">{_escaped(axes[1])}</text>')
    rows = zip(horizontal.tolist(), vertical.tolist(), groups.tolist(), strict=True)
    return Chart(_svg(parts, label), (*axes, "group"), tuple(rows))


def heat_map(rows: Sequence[str], heads: Sequence[str], values: Floats, *, label: str, write: Write) -> Chart:
    """A matrix of signed numbers: colour says sign, strength says size, and the number stands in the cell."""
    row, name_width = 20, 170
    height = 24 + row * len(rows)
    step = (WIDTH - name_width - 8) / max(len(heads), 1)
    most = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    parts = [
        f'<text x="{name_width + (number + 0.5) * step:.1f}" y="14" text-anchor="middle">{_escaped(head)}</text>'
        for number, head in enumerate(heads)
    ]
    for at, name in enumerate(rows):
        top = 22 + at * row
        shown = name if len(name) <= 27 else name[:26] + "…"
        parts.append(f'<text x="4" y="{top + 13}">{_escaped(shown)}</text>')
        for number, value in enumerate(values[at].tolist()):
            left = name_width + number * step
            if math.isfinite(value):
                strength = abs(value) / (most or 1.0)
                parts.append(
                    f'<rect class="{"pos" if value >= 0 else "neg"}" x="{left:.1f}" y="{top}" width="{step - 2:.1f}"'
                    f' height="{row - 2}" fill-opacity="{strength * 0.85:.2f}"/>'
                    f'<text class="num" x="{left + step / 2:.1f}" y="{top + 13}" text-anchor="middle">'
                    f"{_escaped(write(value))}</text>"
                )
    numbers = tuple((name, *_present(values[at])) for at, name in enumerate(rows))
    return Chart(_svg(parts, label, height), ("name", *heads), numbers)


def strip(rows: Sequence[str], heads: Sequence[str], states: Sequence[Sequence[str]], *, label: str) -> Chart:
    """A row of small squares per name across the page, one a head, each of the class `state-<state>`."""
    row, name_width = 18, 150
    height = 22 + row * len(rows)
    step = (WIDE - name_width - 6) / max(len(heads), 1)
    parts = []
    for at, name in enumerate(rows):
        top = 4 + at * row
        parts.append(f'<text x="4" y="{top + 11}">{_escaped(name)}</text>')
        for number, state in enumerate(states[at]):
            parts.append(
                f'<rect class="state-{_escaped(state)}" x="{name_width + number * step:.1f}" y="{top}"'
                f' width="{max(step - 1, 0.8):.1f}" height="{row - 5}"/>'
            )
    if heads:
        parts.append(f'<text x="{name_width}" y="{height - 5}">{_escaped(heads[0])}</text>')
        parts.append(f'<text x="{WIDE - 6}" y="{height - 5}" text-anchor="end">{_escaped(heads[-1])}</text>')
    by_head = tuple((head, *(line[at] for line in states)) for at, head in enumerate(heads))
    return Chart(_svg(parts, label, height, WIDE), ("date", *rows), by_head)


def sparkline(values: Floats, *, label: str) -> Chart | None:
    """A line without axes, for a tile; None when there is nothing to connect."""
    present = values[np.isfinite(values)]
    if len(present) < 2:
        return None
    x, y = Scale(0, len(values) - 1, 2, 118), Scale(float(present.min()), float(present.max()), 24, 4)
    svg = (
        f'<svg class="spark" viewBox="0 0 120 28" preserveAspectRatio="none" role="img" aria-label="{_escaped(label)}">'
        f'<path class="line c1" d="{_path(x, y, values)}"/></svg>'
    )
    return Chart(svg, ("place", "value"), tuple(enumerate(_present(values))))


def _present(values: Floats) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _escaped(text: str) -> str:
    return html.escape(texts.readable(text))


def _range(values: Floats, *, zero: bool = False) -> tuple[float, float]:
    present = values[np.isfinite(values)]
    low, high = (float(present.min()), float(present.max())) if len(present) else (0.0, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return (low if zero and low == 0.0 else low - pad), (high if zero and high == 0.0 else high + pad)


def _path(x: Scale, y: Scale, values: Floats) -> str:
    steps, is_down = [], False
    for at, value in enumerate(values.tolist()):
        if not math.isfinite(value):
            is_down = False
            continue
        steps.append(f"{'L' if is_down else 'M'}{x(at):.1f} {y(value):.1f}")
        is_down = True
    return "".join(steps)


def _horizontal_grid(y: Scale, write: Write, width: int = WIDTH) -> str:
    return "".join(
        f'<line class="{"axis" if value == 0 else "grid"}" x1="{LEFT}" x2="{width - RIGHT}" y1="{y(value):.1f}"'
        f' y2="{y(value):.1f}"/><text class="num" x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">'
        f"{_escaped(write(value))}</text>"
        for value in ticks(y.low, y.high)
    )


def _bands(x: Scale, is_in: Sequence[bool]) -> str:
    """A band for each stretch of dates, from half a step before its first to half a step after its last."""
    half = (x(1) - x(0)) / 2
    parts, first = [], None
    for at, is_one in enumerate([*is_in, False]):
        if is_one and first is None:
            first = at
        elif not is_one and first is not None:
            left, right = max(x(first) - half, x.start), min(x(at - 1) + half, x.end)
            parts.append(
                f'<rect class="shade" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}"'
                f' height="{HEIGHT - BOTTOM - TOP}"/>'
            )
            first = None
    return "".join(parts)


def _value_axis(x: Scale, write: Write, bottom: float = HEIGHT - BOTTOM) -> str:
    return "".join(
        f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        f'<text class="num" x="{x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{_escaped(write(value))}</text>'
        for value in ticks(x.low, x.high)
    )


def _date_axis(dates: Sequence[object], x: Scale) -> str:
    if not dates:
        return ""
    places = sorted({round(share * (len(dates) - 1)) for share in (0.0, 1 / 3, 2 / 3, 1.0)})
    parts = []
    for place in places:
        anchor = "start" if place == places[0] else "end" if place == places[-1] else "middle"
        shown = _escaped(str(dates[place])[:10])
        parts.append(f'<text class="num" x="{x(place):.1f}" y="{HEIGHT - 10}" text-anchor="{anchor}">{shown}</text>')
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    step = (WIDTH - LEFT) / max(len(names), 3)
    return "".join(
        f'<line class="line c{number + 1}" x1="{LEFT + number * step:.1f}" x2="{LEFT + number * step + 16:.1f}" y1="12"'
        f' y2="12"/><text x="{LEFT + number * step + 20:.1f}" y="16">{_escaped(name)}</text>'
        for number, name in enumerate(names)
    )


def _svg(parts: Sequence[str], label: str, height: float = HEIGHT, width: int = WIDTH) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height:g}" role="img" aria-label="{_escaped(label)}">'
        f"<title>{_escaped(label)}</title>{''.join(parts)}</svg>"
    )
