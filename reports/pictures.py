"""How does a chart become a picture for programs that show no SVG, such as mail?

The chart's own SVG is painted by resvg, with the light colours of the page's style, so nothing is drawn twice.
Invariant: the same chart gives the same bytes on the same machine. Letters come from the machine's fonts; without one
there is no picture, as an axis without its numbers says nothing. Partners: `charts.py`, `style.css`, `mail.py`.
"""

from __future__ import annotations

import functools
import logging
import re
from dataclasses import dataclass

import resvg_py

from reports import axes, site
from reports.charts import Chart

log = logging.getLogger(__name__)

# Points of the picture for each of the mail: more is sharper on a phone, and a larger mail.
ZOOM = 1.5
# One that writes Chinese first: a text has one font, and Latin letters are in all of these.
FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "DejaVu Sans",
    "Noto Sans",
    "Liberation Sans",
    "Arial",
    "Helvetica",
)
_VARIABLE = re.compile(r"(--[\w-]+):([^;}]+)")
_USE = re.compile(r"var\((--[\w-]+)\)")
_VIEW_BOX = re.compile(r'viewBox="0 0 (\d+) (\d+)"')


@dataclass(frozen=True)
class Picture:
    """A painted chart.

    Args:
        png: the file.
        width: in points of the page, as the chart has it.
        height: likewise.
    """

    png: bytes
    width: int
    height: int


def paint(chart: Chart, up_colour: str) -> Picture | None:
    """A chart on white, in its narrow form where it has one; None when it cannot be painted.

    Args:
        chart: the chart.
        up_colour: `red` or `green`.
    """
    svg = (chart.narrow or chart).svg
    size = _VIEW_BOX.search(svg)
    if size is None:
        return None
    try:
        png = _painted(svg, light_style(up_colour))
    except ValueError as exc:
        # XML forbids some signs that HTML bears.
        log.warning("a chart cannot be painted: %s", exc)
        return None
    return Picture(png, int(size[1]), int(size[2]))


@functools.cache
def has_letters() -> bool:
    """Whether this machine has one of the fonts; resvg leaves out what it has no font for, and says nothing."""
    empty, lettered = (axes.svg([f'<text x="20" y="20">{text}</text>'], "", 40, 40) for text in ("", "0"))
    style = light_style("red")
    return _painted(empty, style) != _painted(lettered, style)


@functools.cache
def light_style(up_colour: str) -> str:
    """The page's rules for pictures as resvg reads them: no variables, light colours.

    Args:
        up_colour: `red` or `green`.
    """
    # What follows the first condition is for dark screens, narrow ones and paper.
    always, _, _ = site.style().partition("@media")
    root, _, other = always.partition("}")
    colours = dict(_VARIABLE.findall(root))
    if up_colour == "green":
        colours |= dict(_VARIABLE.findall(other))

    def resolved(rule: str) -> str:
        while found := _USE.search(rule):
            rule = rule.replace(found[0], colours[found[1]])
        return rule

    rules = [rule.strip() + "}" for rule in site.style().split("}")]
    drawn = [resolved(rule) for rule in rules if rule.startswith("svg ")]
    fonts = ", ".join(f'"{name}"' for name in FONTS)
    return "\n".join([*drawn, f"text{{font-family:{fonts}}}"])


def _painted(svg: str, style: str) -> bytes:
    named = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return resvg_py.svg_to_bytes(svg_string=named, style_sheet=style, background="#ffffff", zoom=ZOOM, languages=["en"])
