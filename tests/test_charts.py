"""Charts say in coordinates what the numbers say, in well-formed SVG, with the same bytes for the same numbers."""

from __future__ import annotations

import math
import re
from datetime import date
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import axes, charts, site, skill_charts
from reports.blocks import Figure, Section

DAYS = ["2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19"]
SVG = "{http://www.w3.org/2000/svg}"


def plain(value):
    return f"{value:g}"


def parsed(svg):
    """The chart as a tree; browsers supply the namespace inside HTML."""
    return ElementTree.fromstring(svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def all_charts(values):
    names = [f"name {at}" for at in range(len(values))]
    matrix = np.array([values, values]).T
    groups = np.arange(1, len(values) + 1)
    return {
        "line": charts.line_chart(names, [charts.Line("a", values), charts.Line("b", -values)], label="l", write=plain),
        "bars": charts.bars(names, values, label="l", write=plain),
        "columns": charts.columns(names, values, label="l", write=plain),
        "histogram": charts.histogram(values, label="l", write=plain),
        "scatter": charts.scatter(values, -values, groups, label="l", names=("x", "y"), writes=(plain, plain)),
        "heat map": charts.heat_map(names, ["a", "b"], matrix, label="l", write=plain),
        "strip": charts.strip(names, DAYS, [["ok"] * 4] * len(names), label="l"),
        "strips": skill_charts.strips(
            names, [charts.Line("a", values), charts.Line("b", -values)], label="l", write=plain
        ),
        "calibration": skill_charts.calibration(
            names, skill_charts.Means(values, np.abs(values), -values), label="l", write=plain
        ),
    }


@given(
    st.lists(
        st.floats(-1e9, 1e9, allow_nan=False) | st.just(math.nan),
        min_size=1,
        max_size=12,
    )
)
def test_charts_are_well_formed_and_finite_when_given_any_numbers(values):
    for svg in (chart.svg for chart in all_charts(np.array(values)).values()):
        parsed(svg)
        assert "nan" not in re.sub(r"<text.*?</text>", "", svg)
        assert "inf" not in re.sub(r"<text.*?</text>", "", svg)


def test_charts_escape_names_that_look_like_markup():
    svg = charts.bars(["<script>"], np.array([1.0]), label='"quoted" & <b>', write=plain).svg

    assert "<script>" not in svg and "<b>" not in svg
    parsed(svg)


def test_line_goes_from_the_lowest_value_at_the_bottom_to_the_highest_at_the_top():
    svg = charts.line_chart(DAYS, [charts.Line("a", np.array([1.0, 2.0, 3.0, 4.0]))], label="l", write=plain).svg

    path = next(each for each in parsed(svg).iter(f"{SVG}path"))
    points = [tuple(map(float, point.split())) for point in re.findall(r"[ML]([\d.]+ [\d.]+)", path.get("d"))]
    across = [x for x, _ in points]
    heights = [y for _, y in points]
    assert np.diff(across) == pytest.approx([across[1] - across[0]] * 3, abs=0.15)
    # Equal steps in value are equal steps upwards; y grows downwards.
    assert np.diff(heights) == pytest.approx([heights[1] - heights[0]] * 3, abs=0.15)
    assert heights[0] > heights[-1]


def test_line_is_interrupted_where_a_value_is_missing():
    svg = charts.line_chart(DAYS, [charts.Line("a", np.array([1.0, math.nan, 3.0, 4.0]))], label="l", write=plain).svg

    path = next(each for each in parsed(svg).iter(f"{SVG}path"))
    assert re.sub(r"[\d. ]", "", path.get("d")) == "MML"


def test_bars_are_as_long_as_their_values_and_coloured_by_sign():
    svg = charts.bars(["up", "half", "down"], np.array([2.0, 1.0, -2.0]), label="l", write=plain).svg

    rects = list(parsed(svg).iter(f"{SVG}rect"))
    widths = [float(rect.get("width")) for rect in rects]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2) and widths[0] == pytest.approx(widths[2])
    assert [rect.get("class") for rect in rects] == ["up", "up", "down"]


def test_histogram_counts_every_value_once():
    values = np.concatenate([np.full(30, -0.5), np.full(10, 0.5)])

    svg = charts.histogram(values, label="l", write=plain, n_bins=2).svg

    heights = [float(rect.get("height")) for rect in parsed(svg).iter(f"{SVG}rect")]
    assert heights[0] == pytest.approx(3 * heights[1], abs=0.2)


def test_heat_map_colours_by_sign_and_leaves_missing_cells_empty():
    svg = charts.heat_map(["a"], ["1", "2", "3"], np.array([[0.5, -1.0, math.nan]]), label="l", write=plain).svg

    rects = [(rect.get("class"), float(rect.get("fill-opacity"))) for rect in parsed(svg).iter(f"{SVG}rect")]
    assert [name for name, _ in rects] == ["pos", "neg"]
    assert rects[1][1] == pytest.approx(2 * rects[0][1], abs=0.02)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_even_round_and_inside(low, span):
    found = axes.ticks(low, low + span)

    assert 1 <= len(found) <= axes.MOST_TICKS or low + span == low
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in found)
    steps = np.diff(found)
    if len(steps):
        mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
        assert min(abs(mantissa - round_number) for round_number in (1, 2, 5, 10)) < 1e-3
        assert steps == pytest.approx(steps[0], rel=1e-3)


def test_sparkline_is_none_when_there_is_nothing_to_connect():
    assert charts.sparkline(np.array([1.0]), label="l") is None
    assert "<path" in charts.sparkline(np.array([1.0, 2.0]), label="l").svg


def test_chart_gives_the_numbers_it_draws():
    matrix = np.array([[0.5, -1.0]])

    assert charts.line_chart(DAYS[:2], [charts.Line("a", np.array([1.0, 2.0]))], label="l", write=plain).rows == (
        (DAYS[0], 1.0),
        (DAYS[1], 2.0),
    )
    assert charts.bars(["x"], np.array([3.0]), label="l", write=plain).rows == (("x", 3.0),)
    heat = charts.heat_map(["a"], ["F1", "F2"], matrix, label="l", write=plain)
    assert (heat.heads, heat.rows) == (("name", "F1", "F2"), (("a", 0.5, -1.0),))
    assert charts.strip(["n"], DAYS[:1], [["ok"]], label="l").rows == ((DAYS[0], "ok"),)


def test_charts_replace_signs_that_turn_the_reading_direction():
    svg = charts.bars(["a\u202eb"], np.array([1.0]), label="l\u2066", write=plain).svg

    assert "\u202e" not in svg and "\u2066" not in svg and "a\N{REPLACEMENT CHARACTER}b" in svg


def bars_in(svg, names="up|down|pos|neg|shade"):
    """Left end and width of each rectangle."""
    found = re.findall(rf'<rect class="(?:{names})" x="([-0-9.]+)" y="[-0-9.]+" width="([0-9.]+)"', svg)
    return [(float(left), float(width)) for left, width in found]


def test_recessions_stand_on_darker_ground_and_are_a_column_of_the_numbers():
    values = np.arange(7.0)
    shade = charts.Shade("recession", [False, True, True, False, False, False, True])

    chart = charts.line_chart(
        list(range(7)), [charts.Line("a", values)], label="l", write=plain, width=axes.WIDTH, shaded=shade
    )

    step = (axes.WIDTH - axes.RIGHT - axes.LEFT) / 6
    # Half a step around the second and third date; the last date's band ends where the chart does.
    assert bars_in(chart.svg, "shade") == [
        (pytest.approx(axes.LEFT + 0.5 * step, abs=0.1), pytest.approx(2 * step, abs=0.1)),
        (pytest.approx(axes.LEFT + 5.5 * step, abs=0.1), pytest.approx(0.5 * step, abs=0.1)),
    ]
    assert chart.heads == ("date", "a", "recession")
    assert [row[2] for row in chart.rows] == [0, 1, 1, 0, 0, 0, 1]
    assert "shade" not in charts.line_chart([1, 2], [charts.Line("a", values[:2])], label="l", write=plain).svg


@pytest.mark.parametrize(
    "values", [[-1.0, -2.0], [1.0, 2.0], [-3.0, 1.0], [-0.01, 5.0], [0.0, 0.0]], ids=["-", "+", "-+", "tiny -", "0"]
)
def test_bars_are_in_proportion_and_use_the_room_there_is(values):
    found = bars_in(charts.bars(["a", "b"], np.array(values), label="l", write=plain).svg)

    widths = [width for _, width in found]
    assert widths[0] * abs(values[1]) == pytest.approx(widths[1] * abs(values[0]), abs=0.5)
    assert all(left >= 150 and left + width <= axes.WIDTH for left, width in found)
    sides = {value > 0 for value in values if value}
    assert sum(widths if len(sides) > 1 else [max(widths)]) >= 180 * bool(sides)


def test_wide_chart_names_its_lines_below_the_picture_too():
    """On a phone the newest end of a wide chart is shown, and the picture's own legend is out of sight."""
    lines = [charts.Line(name, np.arange(3.0)) for name in ("a", "<b>")]
    shade = charts.Shade("recession", [True, False, False])
    chart = charts.line_chart([1, 2, 3], lines, label="l", write=plain, width=axes.WIDE, shaded=shade)
    trace = {"run_id": "r", "snapshot": 1, "code_version": "1"}

    def page(is_wide):
        section = Section("a", "A", [Figure("t", chart, "c", is_wide)])
        return site.render_day([section], trace=trace, as_of=date(2026, 11, 20), up_colour="red")

    assert chart.legend == (("k1", "a"), ("k2", "<b>"), ("shade", "recession"))
    assert '<span><i class="k2"></i>&lt;b&gt;</span>' in page(True) and '<i class="shade"></i>recession' in page(True)
    assert '<p class="legend">' not in page(False)


def test_states_are_told_by_shape_and_not_by_colour_alone():
    """Without their classes, no two marks of a calendar are drawn alike."""
    states = ["ok", "empty_confirmed", "partial", "failed", "missing", "not_due"]

    marks = [re.sub(r' class="[^"]*"', "", axes.state_mark(state, axes.Box(0, 0, 10, 13))) for state in states]

    assert len(set(marks)) == len(states)


def test_strips_share_a_scale_and_name_each_line_at_both_ends():
    """On a phone one end is out of sight; on the same scale half the height is half the value."""
    lines = [charts.Line("large", np.array([0.0, 2.0])), charts.Line("half", np.array([0.0, 1.0]))]

    chart = skill_charts.strips(DAYS[:2], lines, label="l", write=plain)

    tree = parsed(chart.svg)
    paths = [re.findall(r"[\d.]+", path.get("d")) for path in tree.iter(f"{SVG}path")]
    large, half = (float(points[1]) - float(points[3]) for points in paths)
    assert large == pytest.approx(2 * half, abs=0.2) and large > 0
    assert [text.text for text in tree.iter(f"{SVG}text")].count("half") == 2
    assert chart.rows == ((DAYS[0], 0.0, 0.0), (DAYS[1], 2.0, 1.0))


def test_calibration_draws_two_standard_errors_each_way_and_a_mark_where_it_was_forecast():
    means = skill_charts.Means(np.array([1.0, -1.0]), np.array([0.25, math.nan]), np.array([1.0, 0.5]))

    chart = skill_charts.calibration(["1", "2"], means, label="l", write=plain)

    # Two bars of the key's width aside, a column of one has the height of two error bars of half of one.
    tree = parsed(chart.svg)
    columns = [float(rect.get("height")) for rect in tree.iter(f"{SVG}rect")][1:]
    whiskers = [path.get("d") for path in tree.iter(f"{SVG}path") if path.get("class") == "whisker"][1:]
    (ends,) = (re.match(r"M[\d.]+ ([\d.]+)V([\d.]+)", one).groups() for one in whiskers)
    assert float(ends[0]) - float(ends[1]) == pytest.approx(columns[0], abs=0.2) and columns[0] == columns[1]
    assert [path.get("class") for path in tree.iter(f"{SVG}path")].count("mark") == 3
    assert chart.rows == (("1", 1.0, 0.25, 1.0), ("2", -1.0, None, 0.5))


def test_lines_differ_by_their_dashes_and_not_by_colour_alone():
    style = site.style()

    dashes = re.findall(r"svg \.line\.c([2-6])\{stroke-dasharray:([\d. ]+)\}", style)

    assert [number for number, _ in dashes] == list("23456") and len({dash for _, dash in dashes}) == 5
    assert axes.legend(["a", "b"]).count(f'x2="{axes.LEFT + axes.LEGEND_SAMPLE:.1f}"') == 1
