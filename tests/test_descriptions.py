"""Charts can be read without being seen, pointed at, walked through by key and taken along as CSV."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from reports import axes, charts, descriptions, figures, numbers, site
from reports.blocks import Figure, Section, Tile, Tiles

DAYS = [date(2026, 11, day) for day in (16, 17, 18, 19)]
TRACE = {"run_id": "r", "snapshot": 1, "code_version": "1"}
MINUS = numbers.MINUS
VALUES = np.array([0.01, -0.02, 0.03, math.nan])


def percent(value):
    return numbers.change(value, 1)


def kinds():
    """A chart of each kind, from numbers whose extremes can be seen at a glance."""
    names = ["Bank", "<Beer>", "Coal", "Dye"]
    shade = charts.Shade("recession", [False, True, False, False])
    matrix = np.array([[0.5, -1.0], [math.nan, 2.0]])
    spots = (np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0, math.nan]), np.array([2, 1, 2, 1]))
    return {
        "line": charts.line_chart(
            DAYS, [charts.Line("a", VALUES), charts.Line("b", VALUES[::-1])], label="L", write=percent, shaded=shade
        ),
        "bars": charts.bars(names, VALUES, label="B", write=percent),
        "columns": charts.columns(names, VALUES, label="C", write=percent),
        "histogram": charts.histogram(np.r_[np.zeros(3), 1.0], label="H", write=lambda v: f"{v:.1f}", n_bins=2),
        "scatter": charts.scatter(*spots, label="S", names=("x", "y"), writes=(numbers.decimal, numbers.decimal)),
        "heat map": charts.heat_map(["r1", "r2"], ["F1", "F2"], matrix, label="M", write=numbers.decimal),
        "strip": charts.strip(["p", "q"], ["2026-11-19", "2026-11-20"], [["ok", "ok"], ["ok", "partial"]], label="T"),
        "sparkline": charts.sparkline(np.array([3.0, 1.0, 2.0]), label="K", dates=DAYS[:3], write=numbers.decimal),
    }


SAID = {
    "line": "2026-11-16 to 2026-11-19, 4 values a line. a: newest, 2026-11-18, +3.0 %, least \u22122.0 % (2026-11-17),"
    " greatest +3.0 % (2026-11-18), 1 missing. b: newest +1.0 %, least \u22122.0 % (2026-11-18), greatest +3.0 %"
    " (2026-11-17), 1 missing. Shaded: recession.",
    "bars": "4 bars; largest +3.0 % (Coal), smallest \u22122.0 % (<Beer>), 1 missing.",
    "columns": "4 bars; largest +3.0 % (Coal), smallest \u22122.0 % (<Beer>), 1 missing.",
    "histogram": "4 values from 0.0 to 1.0, what lies beyond counted at the ends; most, 3, from 0.0 to 0.5.",
    "scatter": "3 points; x from 1.00 to 3.00, y from 1.00 to 3.00; correlation +1.00.",
    "heat map": "2 rows, 2 columns; largest 2.00 (r2, F2), smallest \u22121.00 (r1, F2), 1 missing.",
    "strip": "2026-11-19 to 2026-11-20, 2 squares a row. p: 2 ok. q: 1 ok, 1 partial.",
    "sparkline": "2026-11-16 to 2026-11-18, 3 values a line. The figure: newest 2.00, least 1.00 (2026-11-17),"
    " greatest 3.00 (2026-11-16).",
}


@pytest.mark.parametrize("kind", SAID)
def test_chart_says_what_can_be_read_from_it(kind):
    svg = kinds()[kind].svg

    (found,) = re.findall(r"<desc id=[^>]*>(.*?)</desc>", svg)
    assert found == axes.escaped(SAID[kind])
    title, desc = re.search(r'aria-labelledby="([^"]*)" aria-describedby="([^"]*)"', svg).groups()
    assert f'<title id="{title}">' in svg and f'<desc id="{desc}">' in svg


def test_charts_that_differ_have_ids_of_their_own_and_the_same_chart_the_same():
    ids = [re.findall(r' id="([^"]*)"', chart.svg) for chart in kinds().values()]
    flat = [one for each in ids for one in each]

    assert len(set(flat)) == len(flat) == 2 * len(SAID)
    assert ids == [re.findall(r' id="([^"]*)"', chart.svg) for chart in kinds().values()]


@pytest.mark.parametrize(
    "said",
    [
        descriptions.line([], [], percent),
        descriptions.bars([], np.zeros(0), percent),
        descriptions.scatter(np.zeros(0), np.zeros(0), ("x", "y"), (percent, percent)),
        descriptions.heat_map(["a"], ["b"], np.array([[math.nan]]), percent),
        descriptions.strip(["a"], [], [[]]),
    ],
)
def test_chart_of_nothing_says_so(said):
    assert said == descriptions.NOTHING


def test_points_on_one_line_have_no_correlation_to_tell():
    said = descriptions.scatter(np.array([1.0, 1.0, 1.0]), np.arange(3.0), ("x", "y"), (percent, percent))

    assert said.startswith("3 points; x from") and "correlation" not in said


def test_bars_that_are_not_drawn_are_among_the_numbers_and_in_the_description():
    names = [f"n{at}" for at in range(9)]

    chart = charts.bars(names, np.arange(9.0), label="B", write=numbers.count, most=4)

    assert re.findall(r"<rect[^>]*><title>(.*?)</title>", chart.svg) == ["n0: 0", "n1: 1", "n7: 7", "n8: 8"]
    assert [row[0] for row in chart.rows] == names
    assert "9 bars; largest 8 (n8), smallest 0 (n0)." in chart.svg


def test_scatter_gives_its_rows_in_the_order_of_its_points():
    chart = kinds()["scatter"]

    assert [row[2] for row in chart.rows] == [1, 2, 2]
    assert len(re.findall("M[0-9.]+ [0-9.]+h0", chart.svg)) == 3


def page_of_all_kinds():
    shown = kinds()
    spark = shown.pop("sparkline")
    blocks = [Tiles([Tile("Level", numbers.decimal(2.0), "a note", spark=spark), Tile("Other", "1")])]
    blocks += [Figure(name, chart, "How to read it.") for name, chart in shown.items()]
    return site.render_day([Section("all", "All", blocks)], trace=TRACE, as_of=DAYS[-1], up_colour="red")


def test_small_line_of_a_tile_has_its_numbers_as_csv():
    link = re.search(
        r'data-figure="all/level/data" href="([^"]*)" download="2026-11-19-all-level.csv"', page_of_all_kinds()
    )

    assert figures.csv_rows(link[1].replace("&#39;", "'")) == [
        ["date", "value"],
        ["2026-11-16", "3"],
        ["2026-11-17", "1"],
        ["2026-11-18", "2"],
    ]


def test_index_gives_the_figures_of_all_days_as_one_csv(tmp_path):
    for day, exact in ((DAYS[0], "0.5"), (DAYS[1], "")):
        tiles = [{"label": "Up, share", "value": "50 %", "exact": exact, "note": "", "tone": ""}]
        facts = {"as_of": day.isoformat(), "status": {"tone": "good"}, "tiles": tiles, "changes": []}
        (tmp_path / f"{day}.json").write_text(json.dumps(facts))
        (tmp_path / f"{day}.html").write_text("")

    site.write_index(tmp_path, "red")

    link = re.search(
        r'href="(data:text/csv[^"]*)" download="daybook-all-days.csv"', (tmp_path / "index.html").read_text()
    )
    assert figures.csv_rows(link[1]) == [
        ["day", "state", "Up"],
        ["2026-11-16", "whole", "0.5"],
        ["2026-11-17", "whole", ""],
    ]


# What the first mark says, reached by the right arrow, and which mark lies under the pointer.
TOLD = {
    "line": ("2026-11-16   a 1 %   b \u2013", None),
    "bars": ("Bank: +1.0 %", "rect >> nth=1"),
    "columns": ("Bank: +1.0 %", "rect >> nth=1"),
    "histogram": ("0.0 to 0.5: 3", "rect >> nth=1"),
    "scatter": ("x 3   y 3   group 1", None),
    "heat map": ("r1, F1: 0.5", "rect >> nth=1"),
    "strip": ("p, 2026-11-19: ok", "rect >> nth=3"),
}
POINTED = {
    "bars": f"<Beer>: {MINUS}2.0 %",
    "columns": f"<Beer>: {MINUS}2.0 %",
    "histogram": "0.5 to 1.0: 1",
    "heat map": "r1, F2: -1",
    "strip": "q, 2026-11-20: partial",
}


def test_every_kind_of_chart_tells_its_values_to_key_and_pointer_and_keeps_the_rules(browser):
    """Without a script the marks of bars and histograms say theirs; all rules that axe-core knows hold."""
    package = pytest.importorskip("axe_playwright_python", reason="needs axe-core, a development dependency")
    context = browser.new_context(viewport={"width": 1400, "height": 2600}, offline=True, bypass_csp=True)
    page = context.new_page()
    page.set_content(page_of_all_kinds())

    by_key, by_pointer = {}, {}
    for kind, (_, mark) in TOLD.items():
        figure = page.locator("figure", has=page.get_by_role("heading", name=kind, exact=True))
        figure.locator("svg").focus()
        page.keyboard.press("ArrowRight")
        by_key[kind] = figure.locator("output").inner_text()
        if mark:
            box = figure.locator(f"svg {mark}").bounding_box()
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            by_pointer[kind] = figure.locator("output").inner_text()
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    page.emulate_media(media="print")
    shown_on_paper = page.locator("a[download]:visible, output:visible").count()
    context.close()

    assert by_key == {kind: said for kind, (said, _) in TOLD.items()}
    assert by_pointer == POINTED
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert shown_on_paper == 0
