"""What pictures are drawn on: scales, ticks, grids, axes, legends, and the numbers' way into SVG.

Coordinates carry one decimal, so that the same numbers give the same bytes. Partner: `charts.py`, which draws on it.
"""

from __future__ import annotations

import hashlib
import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports import texts

Floats = npt.NDArray[np.float64]
Write = Callable[[float], str]

WIDTH, WIDE, HEIGHT = 480, 980, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 28
MOST_TICKS = 5
LEGEND_SAMPLE = 24
# Of a letter in the pictures' size, on average.
LETTER_WIDTH = 6.2
# No letters that make up `nan` or `inf`, which a picture must not hold.
LETTERS = str.maketrans("0123456789", "ghjkmpqrst")


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

    def places(self, values: npt.ArrayLike) -> Floats:
        """The coordinates of many numbers, each the same to the last bit as alone."""
        span = self.high - self.low or 1.0
        return self.start + (np.asarray(values, np.float64) - self.low) / span * (self.end - self.start)


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


def present(values: Floats) -> list[float | None]:
    """Numbers for a table: None where there is none."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def escaped(text: str) -> str:
    """A text as it may stand in a picture."""
    return html.escape(texts.readable(text))


def value_range(values: Floats, *, zero: bool = False) -> tuple[float, float]:
    """From where to where an axis goes, with a little room beyond the outermost values."""
    present = values[np.isfinite(values)]
    low, high = (float(present.min()), float(present.max())) if len(present) else (0.0, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return (low if zero and low == 0.0 else low - pad), (high if zero and high == 0.0 else high + pad)


def path(x: Scale, y: Scale, values: Floats) -> str:
    """A line through the values at equal steps, interrupted where one is missing."""
    at = np.flatnonzero(np.isfinite(values))
    if not len(at):
        return ""
    is_drawn = np.diff(at, prepend=-2) == 1
    places = np.column_stack([x.places(at), y.places(values[at])])
    # One formatting for all steps: a site has thousands of pages with hundreds of steps each.
    return "".join("L%.1f %.1f" if drawn else "M%.1f %.1f" for drawn in is_drawn.tolist()) % tuple(places.ravel())


def horizontal_grid(y: Scale, write: Write, width: int = WIDTH) -> str:
    """A line with its number for each tick of a vertical axis."""
    return "".join(
        f'<line class="{"axis" if value == 0 else "grid"}" x1="{LEFT}" x2="{width - RIGHT}" y1="{y(value):.1f}"'
        f' y2="{y(value):.1f}"/><text class="num" x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">'
        f"{escaped(write(value))}</text>"
        for value in ticks(y.low, y.high)
    )


def bands(x: Scale, is_in: Sequence[bool]) -> str:
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


def value_axis(x: Scale, write: Write, bottom: float = HEIGHT - BOTTOM) -> str:
    """Ticks and numbers of a horizontal axis."""
    return "".join(
        f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        f'<text class="num" x="{x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{escaped(write(value))}</text>'
        for value in ticks(x.low, x.high)
    )


def date_axis(dates: Sequence[object], x: Scale, bottom: float = HEIGHT - 10) -> str:
    """Four of the dates below the horizontal axis."""
    if not dates:
        return ""
    places = sorted({round(share * (len(dates) - 1)) for share in (0.0, 1 / 3, 2 / 3, 1.0)})
    parts = []
    for place in places:
        anchor = "start" if place == places[0] else "end" if place == places[-1] else "middle"
        shown = escaped(str(dates[place])[:10])
        parts.append(f'<text class="num" x="{x(place):.1f}" y="{bottom}" text-anchor="{anchor}">{shown}</text>')
    return "".join(parts)


def legend(names: Sequence[str], width: int = WIDTH) -> str:
    """The names of lines, above them, each beside a piece long enough to show its dashes."""
    longest = max((len(name) for name in names), default=0)
    needed = LEGEND_SAMPLE + 16 + LETTER_WIDTH * longest
    step = min(max((WIDTH - LEFT) / max(len(names), 3), needed), (width - LEFT) / max(len(names), 1))
    return "".join(
        f'<line class="line c{number + 1}" x1="{LEFT + number * step:.1f}"'
        f' x2="{LEFT + number * step + LEGEND_SAMPLE:.1f}" y1="12" y2="12"/>'
        f'<text x="{LEFT + number * step + LEGEND_SAMPLE + 4:.1f}" y="16">{escaped(name)}</text>'
        for number, name in enumerate(names)
    )


@dataclass(frozen=True)
class Box:
    """A place in a picture, from its left upper corner."""

    left: float
    top: float
    width: float
    height: float


def state_mark(state: str, box: Box, inside: str = "") -> str:
    """A state as a shape of its own, so that it is told without colours too; states without one fill their box.

    Args:
        state: such as those of `ops.ledger`; its class is `state-<state>`.
        box: where it stands.
        inside: what the mark holds, such as a title.
    """
    left, top, width, height = box.left, box.top, box.width, box.height
    if state == "failed":
        drawn = f"M{left:.1f} {top:g}l{width:.1f} {height:g}m{-width:.1f} 0l{width:.1f} {-height:g}"
        return f'<path class="state-failed" d="{drawn}">{inside}</path>'
    if state == "partial":
        top, height = top + height / 2, height / 2
    elif state == "missing":
        top, height = top + height / 2 - 1.5, 3
    elif state == "not_due":
        left, top, width, height = left + width / 2 - 1, top + height / 2 - 1, 2, 2
    elif state == "empty_confirmed":
        left, top, width, height = left + 0.7, top + 0.7, max(width - 1.4, 0.8), height - 1.4
    return (
        f'<rect class="state-{escaped(state)}" x="{left:.1f}" y="{top:g}" width="{width:.1f}" height="{height:g}">'
        f"{inside}</rect>"
    )


def state_legend(states: Sequence[tuple[str, str]], left: float, top: float) -> str:
    """States with their marks and names, side by side."""
    step = (WIDE - left) / max(len(states), 1)
    return "".join(
        state_mark(state, Box(left + at * step, top, 12, 13))
        + f'<text x="{left + at * step + 17:.1f}" y="{top + 11:g}">{escaped(words)}</text>'
        for at, (state, words) in enumerate(states)
    )


def svg(parts: Sequence[str], label: str, height: float = HEIGHT, width: int = WIDTH, *, says: str = "") -> str:
    """A whole picture, with what it shows for who does not see it.

    Args:
        parts: what is drawn.
        label: what the picture shows, its accessible name.
        height: of its own coordinates.
        width: of its own coordinates.
        says: what can be read from it, its accessible description.
    """
    return framed(f'<svg class="chart" viewBox="0 0 {width} {height:g}" role="img"', "".join(parts), label, says)


def framed(start: str, body: str, label: str, says: str) -> str:
    """A picture named by its title and described by its `desc`, both found by ids that follow from what it holds."""
    title, text = escaped(label), escaped(says)
    # In letters alone: an id is no figure.
    digest = hashlib.sha256("\n".join((title, text, body)).encode()).hexdigest()[:10]
    own = "p" + digest.translate(LETTERS)
    described = f' aria-describedby="{own}-d"' if says else ""
    desc = f'<desc id="{own}-d">{text}</desc>' if says else ""
    return f'{start} aria-labelledby="{own}-t"{described}><title id="{own}-t">{title}</title>{desc}{body}</svg>'


def unit(write: Write) -> str:
    """`%` where a chart writes fractions as percentages, so that whoever reads its numbers may write them alike."""
    return "%" if write(0.5).endswith("%") else ""
