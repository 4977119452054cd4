"""What a page says is checked name by name: whatever digit is changed is found, and its figure named."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pytest

from reports import blocks, charts, figures, numbers, proof, site
from reports.blocks import Figure, Listing, Note, Section, Source, Table, Tile, Tiles

AS_OF = date(2026, 11, 20)
TRACE = {"run_id": "daily/2026-11-20", "snapshot": 12, "code_version": "2026.1"}
DAYS = ["2026-11-18", "2026-11-19", "2026-11-20"]


def page_of(*, first=0.0125, level=1234.5, last=3.0, version="2026.1"):
    """A page with every kind of block, of which three figures may be another."""
    line = charts.line_chart(
        DAYS, [charts.Line("a", np.array([1.0, 2.0, last]))], label="line", write=lambda v: f"{v:g}"
    )
    shown = (
        Note("3 sessions are missing.", "warn", Source(("analyst.alert",))),
        Listing("Since 2026-11-19", ["1 alert resolved", "2 values corrected"]),
        Tiles(
            [
                Tile(
                    "Level",
                    numbers.decimal(level),
                    "+0.5 % on 20 days",
                    spark=charts.sparkline(np.arange(4.0), label="s"),
                )
            ]
        ),
        Table(
            "Best of the day",
            ("Code", "1 session", "When"),
            [
                [blocks.text("600001.SH"), blocks.number(numbers.change(first)), blocks.text("2026-11-20")],
                [blocks.text("600002.SH"), blocks.number(numbers.change(0.5)), blocks.text("2026-11-20")],
            ],
        ),
        Figure("Breadth", line, "Last 3 sessions."),
    )
    trace = TRACE | {"code_version": version}
    return site.render_day([Section("market", "Market", shown)], trace=trace, as_of=AS_OF, up_colour="red")


def differences(found, expected):
    return proof.compare(proof.read_page(found), proof.read_page(expected))


def test_page_does_not_differ_from_itself():
    assert differences(page_of(), page_of()) == []


def test_every_digit_of_the_body_is_guarded_and_its_figure_named():
    page = page_of()
    start = page.index("<main")
    named = [(found.start(), found[1]) for found in re.finditer(r'data-figure="([^"]*)"', page)]
    texts = [found.span(1) for found in re.finditer(r'data-figure="[^"]*"[^>]*>([^<]*)<', page)]
    expected = proof.read_page(page)

    n_named = 0
    for at in (found.start() for found in re.finditer("[0-9]", page) if found.start() > start):
        changed = page[:at] + str((int(page[at]) + 1) % 10) + page[at + 1 :]
        try:
            found = proof.compare(proof.read_page(changed), expected)
        except ValueError:
            # A digit of the list's own grammar: the page is refused as a whole.
            continue
        assert found, page[at - 40 : at + 10]
        if any(first <= at < last for first, last in texts):
            name = next(name for place, name in reversed(named) if place < at)
            assert [one.name for one in found] == [name]
            n_named += 1
    assert n_named > 40


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"first": 0.0126}, ["market/best-of-the-day/600001.SH/1-session"]),
        ({"level": 1234.6}, ["market/level/value"]),
        ({"last": 4.0}, ["market/breadth/picture", "market/breadth/data/2026-11-20/a"]),
    ],
)
def test_figure_that_the_lake_has_otherwise_is_named(change, names):
    found = [one.name for one in differences(page_of(), page_of(**change))]

    assert [name for name in found if "list" not in name] == names


def test_difference_too_small_to_be_seen_is_found_in_the_exact_value():
    found = differences(page_of(first=0.0125), page_of(first=0.01250001))

    assert found[0].name == "market/best-of-the-day/600001.SH/1-session"
    assert "0.0125>" in found[0].found and "0.01250001" in found[0].expected


def test_figure_left_out_or_put_in_is_named():
    row = re.search(
        r"<tr><th scope=\"row\" data-figure=\"market/best-of-the-day/600002.*?</tr>\n", page_of(), re.DOTALL
    )[0]

    found = {one.name for one in differences(page_of().replace(row, ""), page_of())}

    assert "market/best-of-the-day/600002.SH/1-session" in found


def test_page_of_another_version_is_compared_by_its_figures_only():
    """Words may change between versions of Daybook, figures of one snapshot may not."""
    older = page_of(version="2026.0").replace("The same page again", "To build it again")

    assert differences(older, page_of()) == []
    changed = older.replace("+1.25 %", "+1.35 %")
    assert changed != older
    assert [one.name for one in differences(changed, page_of())] == ["market/best-of-the-day/600001.SH/1-session"]


@pytest.mark.parametrize("text", ["", "<html><body>hello</body></html>", "<script id=figures>{</script>"])
def test_what_is_no_page_is_refused_with_the_reason(text):
    with pytest.raises(ValueError, match="list of figures"):
        proof.read_page(text)


def test_numbers_of_a_chart_come_back_from_their_address():
    chart = charts.Chart("", ("name", "a, b"), (("x\ny", 1 / 3), ("=cmd()", None), ('"quoted"', 2)))

    link = figures.csv_link(chart)

    # Eight digits; what a spreadsheet would run is marked as text; nothing where there is no number.
    assert figures.csv_rows(link) == [
        ["name", "a, b"],
        ["x\ny", "0.33333333"],
        ["'=cmd()", ""],
        ['"quoted"', "2"],
    ]
    assert not set(link) & set('"<>\n')


def test_two_figures_of_one_address_have_two_names():
    name = figures.Namer()

    assert [name("market", "note", shown=text) for text in ("a", "b")] == ["market/note", "market/note~2"]
    assert name.values == {"market/note": "a", "market/note~2": "b"}
