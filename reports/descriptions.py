"""What does a chart say to who does not see it?

One function a kind of chart, from the rows it draws and in its own way of writing numbers: what there is, over which
span, the newest, and the extremes with their place. Partner: `charts.py`, which puts it into the picture as `desc`.

Source:
    W3C, SVG Accessibility API Mappings; WCAG 2.2, success criterion 1.1.1, techniques ARIA1 and ARIA16.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from reports import numbers, texts
from reports.axes import Floats, Write

NOTHING = "There is nothing to draw."
FEWEST_CORRELATED = 3


def line(steps: Sequence[object], lines: Sequence[tuple[str, Floats]], write: Write, shaded: str = "") -> str:
    """Span, and of each line the newest value, the least and the greatest with when.

    Args:
        steps: what stands on the horizontal axis, one per value.
        lines: name and values of each, NaN where there is none.
        write: how a number is written.
        shaded: what the darker ground means, empty where there is none.
    """
    if not steps:
        return NOTHING
    said = [f"{_place(steps[0])} to {_place(steps[-1])}, {_counted(len(steps), 'value')} a line."]
    for name, values in lines:
        at = np.flatnonzero(np.isfinite(values))
        if not len(at):
            said.append(f"{name}: no value.")
            continue
        low, high, last = at[values[at].argmin()], at[values[at].argmax()], at[-1]
        newest = "newest" if last == len(values) - 1 else f"newest, {_place(steps[last])},"
        said.append(
            f"{name}: {newest} {write(float(values[last]))}, least {write(float(values[low]))} ({_place(steps[low])}),"
            f" greatest {write(float(values[high]))} ({_place(steps[high])}){_missing(len(values) - len(at))}."
        )
    return " ".join(said) + (f" Shaded: {shaded}." if shaded else "")


def bars(labels: Sequence[str], values: Floats, write: Write) -> str:
    """How many there are, the largest and the smallest with their names."""
    at = np.flatnonzero(np.isfinite(values))
    if not len(at):
        return NOTHING
    low, high = at[values[at].argmin()], at[values[at].argmax()]
    largest = f"{_counted(len(labels), 'bar')}; largest {write(float(values[high]))} ({labels[high]})"
    smallest = f", smallest {write(float(values[low]))} ({labels[low]})" if len(at) > 1 else ""
    return largest + smallest + _missing(len(values) - len(at)) + "."


def histogram(edges: Floats, counts: Floats, write: Write) -> str:
    """How many values there are, from where to where, and where most of them are."""
    most = int(counts.argmax())
    return (
        f"{_counted(int(counts.sum()), 'value')} from {write(float(edges[0]))} to {write(float(edges[-1]))}, what lies"
        f" beyond counted at the ends; most, {numbers.count(int(counts[most]))}, from {write(float(edges[most]))} to"
        f" {write(float(edges[most + 1]))}."
    )


def scatter(horizontal: Floats, vertical: Floats, names: tuple[str, str], writes: tuple[Write, Write]) -> str:
    """How many points there are, how far they reach on each axis, and their correlation."""
    if not len(horizontal):
        return NOTHING
    reach = ", ".join(
        f"{name} from {write(float(values.min()))} to {write(float(values.max()))}"
        for name, write, values in zip(names, writes, (horizontal, vertical), strict=True)
    )
    spreads = np.ptp(horizontal), np.ptp(vertical)
    if len(horizontal) < FEWEST_CORRELATED or not min(spreads) > 0:
        return f"{_counted(len(horizontal), 'point')}; {reach}."
    # In units of their spread first: squares of the smallest numbers there are would be nothing.
    x, y = ((values - values.mean()) / spread for values, spread in zip((horizontal, vertical), spreads, strict=True))
    correlation = float(x @ y / np.sqrt((x @ x) * (y @ y)))
    return f"{_counted(len(horizontal), 'point')}; {reach}; correlation {numbers.decimal(correlation, signed=True)}."


def heat_map(rows: Sequence[str], heads: Sequence[str], values: Floats, write: Write) -> str:
    """How many rows and columns there are, and the largest and the smallest number with their places."""
    at = np.argwhere(np.isfinite(values))
    if not len(at):
        return NOTHING
    present = values[np.isfinite(values)]
    (low_row, low_head), (high_row, high_head) = at[present.argmin()], at[present.argmax()]
    return (
        f"{_counted(len(rows), 'row')}, {_counted(len(heads), 'column')};"
        f" largest {write(float(present.max()))} ({rows[high_row]}, {heads[high_head]}),"
        f" smallest {write(float(present.min()))} ({rows[low_row]}, {heads[low_head]})"
        f"{_missing(values.size - len(at))}."
    )


def strip(rows: Sequence[str], heads: Sequence[str], states: Sequence[Sequence[str]]) -> str:
    """Span, and of each row how many squares are in each state."""
    if not heads:
        return NOTHING
    said = [f"{_place(heads[0])} to {_place(heads[-1])}, {_counted(len(heads), 'square')} a row."]
    for name, held in zip(rows, states, strict=True):
        counts = sorted(Counter(held).items(), key=lambda one: (-one[1], one[0]))
        said.append(f"{name}: {', '.join(f'{numbers.count(n)} {state}' for state, n in counts)}.")
    return " ".join(said)


def _place(step: object) -> str:
    return str(step)[:10]


def _counted(n: int, what: str) -> str:
    return f"{numbers.count(n)} {texts.plural(n, what)}"


def _missing(n: int) -> str:
    return f", {numbers.count(n)} missing" if n else ""
