"""A report as a mail: readable without scripts, style sheets or pictures, in plain text too, and never too long."""

from __future__ import annotations

import base64
import email
import email.policy
import re
import struct
import unicodedata
import zlib
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from reports import axes, blocks, charts, mail, numbers, pictures, plain
from reports.blocks import Figure, Listing, Note, Section, Source, Table, Tile, Tiles

AS_OF = date(2026, 11, 20)
TRACE = {"run_id": "daily/2026-11-20", "snapshot": 12, "code_version": "2026.1"}
RED, GREEN = (192, 38, 38), (26, 127, 55)
# As the mail's pictures are titled on the page.
DRAWN = ("Index and the equal-weighted market", "Breadth", "Macro factors", "Equity factors", "Information coefficient")
HOSTILE = "\ud800\n<script>alert('\"&')</script>\u202e平安银行\U0001d54f" * 6

needs_letters = pytest.mark.skipif(
    not pictures.has_letters(), reason="needs one of the fonts of reports/pictures.py, which .ci/run installs"
)


def line_of(n=2, last=1.25, names=("CSI 300",), width=axes.WIDTH, **options):
    days = [str(np.datetime64("2026-11-20") - np.timedelta64(n - 1 - at)) for at in range(n)]
    values = np.random.default_rng(7).normal(0, 1, (len(names), n)).cumsum(axis=1)
    values[:, -1] = last
    lines = [charts.Line(name, row) for name, row in zip(names, values, strict=True)]
    return charts.line_chart(days, lines, label="l", write=lambda v: f"{v:.1f}", width=width, **options)


def compose(note="Everything expected is here.", sections=None, **options):
    shown = (
        Note(note, "good", Source(("analyst.alert",))),
        Listing("Since 2026-11-19", ["1 alert resolved"]),
        Tiles([Tile("Traded", "64.1 bn CNY", "20-session mean", "up")]),
        Table("Best", ("Code", "1 session"), [[blocks.text("600001.SH"), blocks.number(numbers.change(0.1), "up")]]),
        Figure("Breadth", line_of(tell=lambda v: f"{v:.2f} points"), "Growth."),
        Figure("Scree", line_of(), "Variance."),
    )
    raw = mail.compose(
        sections or [Section("overview", "Today", shown)], trace=TRACE, as_of=AS_OF, **({"up_colour": "red"} | options)
    )
    return raw, email.message_from_bytes(raw, policy=email.policy.default)


def html_of(message):
    return message.get_body(("html",)).get_content()


def plain_of(message):
    return message.get_body(("plain",)).get_content()


def pictures_of(message):
    return {
        part["Content-ID"].strip("<>"): part.get_content()
        for part in message.walk()
        if part.get_content_type() == "image/png"
    }


def pixels(png):
    """A picture's colours, (height, width, 3), read as the PNG specification says (ISO 15948): 8 bits, all filters."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) == (8, 6)
    at, packed = 8, b""
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at : at + 8])
        packed += png[at + 8 : at + 8 + size] if name == b"IDAT" else b""
        at += 12 + size
    raw, step, rows = zlib.decompress(packed), width * 4, []
    above = [0] * step
    for top in range(height):
        start = top * (step + 1)
        kind, row = raw[start], list(raw[start + 1 : start + 1 + step])
        for place in range(step):
            left, up = (row[place - 4] if place >= 4 else 0), above[place]
            corner = above[place - 4] if place >= 4 else 0
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda one: abs(guess - one))
            row[place] = (row[place] + (0, left, up, (left + up) // 2, paeth)[kind]) % 256
        rows.append(row)
        above = row
    return np.array(rows).reshape(height, width, 4)[:, :, :3]


def columns(text):
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def test_mail_says_the_same_in_plain_text_and_in_html():
    _, message = compose()

    parts = [plain_of(message), html_of(message)]
    for words in (
        "Everything expected is here.",
        "1 alert resolved",
        "64.1 bn CNY",
        "600001.SH",
        "+10.00 %",
        "2026-11-20: CSI 300 1.25 points",
        "On the page: Scree.",
    ):
        assert all(words in part for part in parts), words
    assert message["Subject"] == "Daybook 2026-11-20: Everything expected is here. 1 alert resolved"
    assert all("snapshot 12" in part and "daily/2026-11-20" in part for part in parts)


def test_mail_needs_no_style_sheet_no_script_and_no_address():
    _, message = compose()

    html = html_of(message)
    assert not re.search(r"<(style|script|link|svg)|class=|https?:|url\(", html)
    assert set(re.findall(r'src="(\w+):', html)) <= {"cid"}
    assert "color:#c02626" in html


def test_mail_leads_to_the_page_where_it_has_an_address():
    _, message = compose(page_url="https://desk.example/2026-11-20.html")

    assert '<a href="https://desk.example/2026-11-20.html#overview">' in html_of(message)
    assert "The whole page: https://desk.example/2026-11-20.html" in plain_of(message)


def test_up_in_the_mail_has_the_colour_of_the_desk():
    _, message = compose(up_colour="green")

    assert "+10.00 %" in re.search(r"color:#1a7f37\">([^<]*)<", html_of(message).split("Best</p>")[1])[1]


def test_mail_is_the_same_to_the_byte_when_composed_again():
    assert compose()[0] == compose()[0]


def test_hostile_text_makes_no_header_and_no_tag():
    _, message = compose("x\r\nBcc: thief@example.org\r\n\r\n<script>alert(1)</script>\u202e")

    assert message["Bcc"] is None and len(message["Subject"]) < 200
    assert "<script" not in html_of(message)
    assert "\u202e" not in plain_of(message)


@needs_letters
def test_charts_come_along_as_pictures_that_say_their_newest_figures():
    _, message = compose()

    ((content_id, png),) = pictures_of(message).items()
    (tag,) = re.findall(r"<img [^>]*>", html_of(message))
    assert f'src="cid:{content_id}"' in tag and 'width="480" height="240"' in tag
    assert 'alt="Breadth, 2026-11-20: CSI 300 1.25 points"' in tag
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]


@needs_letters
@pytest.mark.parametrize(("up_colour", "up", "down"), [("red", RED, GREEN), ("green", GREEN, RED)])
def test_pictures_have_light_colours_and_those_of_the_desk(up_colour, up, down):
    chart = charts.bars(["rose", "fell"], np.array([0.2, -0.1]), label="l", write=str)

    drawn = pixels(pictures.paint(chart, up_colour).png)

    assert (drawn[0] == 255).all()
    # A rise stands right of zero, in the first of two rows.
    half = drawn.shape[0] // 2
    top, bottom = drawn[:half].reshape(-1, 3).tolist(), drawn[half:].reshape(-1, 3).tolist()
    assert (list(up) in top, list(down) in top, list(up) in bottom, list(down) in bottom) == (True, False, False, True)


@needs_letters
def test_wide_chart_is_painted_as_narrow_as_the_others():
    picture = pictures.paint(line_of(width=axes.WIDE), "red")

    assert (picture.width, picture.height) == (axes.WIDTH, axes.HEIGHT)
    assert struct.unpack(">II", picture.png[16:24]) == (720, 360)


def test_pictures_are_left_out_with_the_reason_where_there_are_no_letters_to_write_with(monkeypatch):
    caches = (pictures.has_letters, pictures.light_style)
    monkeypatch.setattr(pictures, "FONTS", ("No such font",))
    for cached in caches:
        cached.cache_clear()

    _, message = compose()
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()

    assert not pictures_of(message) and "<img" not in html_of(message)
    assert all("this machine has no font" in " ".join(part.split()) for part in (plain_of(message), html_of(message)))
    assert "CSI 300 1.25 points" in html_of(message)


def test_sign_that_pictures_cannot_hold_costs_the_picture_only():
    figure = Figure("Breadth", line_of(names=("a\ufffeb", "c")), "Growth.")

    _, message = compose(sections=[Section("overview", "Today", [figure])])

    assert not pictures_of(message) and "c 1.2" in html_of(message)


def huge_sections():
    row = [blocks.text(HOSTILE), blocks.name(HOSTILE), *(blocks.number(numbers.change(-0.1), "down") for _ in range(4))]
    table = Table(HOSTILE, tuple("abcdef"), [row] * 5000, source=Source(("analyst.alert",)))
    drawn = [Figure(title, line_of(400, names=tuple("abcdef")), HOSTILE) for title in DRAWN]
    shown = [Note(HOSTILE * 5), Listing(HOSTILE, [HOSTILE] * 300), *[table] * 4, *drawn]
    return [Section(f"section-{number}", HOSTILE, shown) for number in range(40)]


def test_mail_keeps_its_limits_whatever_a_day_holds():
    raw, message = compose(sections=huge_sections())

    html = html_of(message)
    # Gmail cuts HTML behind 102 kB; the whole is promised to stay below half a megabyte.
    assert len(html.encode()) < 100_000 and len(raw) < 500_000
    assert len(plain_of(message).encode()) < 60_000
    assert set(re.findall(r'src="cid:([^"]*)"', html)) == set(pictures_of(message))
    assert "4,997 more on the page." in html and "4,997 more on the page." in plain_of(message)
    assert html.rstrip().endswith("</html>") and html.count("<table") == html.count("</table>")
    assert len(message["Subject"]) < 250


def test_long_table_is_cut_and_says_how_much_more_the_page_has():
    rows = [[blocks.text(f"60{at:04}.SH"), blocks.text("select")] for at in range(300)]
    table = Table("Alerts that stand", ("Code", "Last seen"), rows)

    _, message = compose(sections=[Section("data", "Data", [table])])

    for part in (plain_of(message), html_of(message)):
        assert "600009.SH" in part and "600010.SH" not in part and "select" not in part
        assert "290 more on the page, with the columns Last seen." in part


def test_plain_text_stands_in_columns_also_beside_chinese_names():
    rows = [
        [blocks.text(code), blocks.name(name), blocks.number(numbers.change(value))]
        for code, name, value in (("600000.SH", "浦发银行", 0.1), ("000001.SZ", "Ping An", -0.0025))
    ]
    wide = Table("Wide", ("Code", "Name", "Change"), [[blocks.text("x " * 60), *rows[0][1:]]])
    section = Section("market", "Market", [Table("Best", ("Code", "Name", "Change"), rows), wide])

    _, message = compose(sections=[section])

    lines = plain_of(message).splitlines()
    at = lines.index("Best")
    assert lines[at + 2 : at + 4] == ["600000.SH  浦发银行  +10.00 %", "000001.SZ  Ping An    \N{MINUS SIGN}0.25 %"]
    assert len({columns(line) for line in lines[at + 1 : at + 4]}) == 1
    assert lines[lines.index("Wide") + 1].startswith("- x x x")
    assert max(columns(line) for line in lines) <= plain.WIDTH == 78


def test_empty_section_has_no_heading_and_empty_table_says_so():
    sections = [Section("a", "Nothing here", []), Section("b", "Data", [Table("Not whole", ("Dataset",), [])])]

    _, message = compose(sections=sections)

    for part in (plain_of(message), html_of(message)):
        assert "Nothing here" not in part and "None." in part


def test_ends_of_bars_and_the_fullest_bin_are_told():
    bars = charts.bars(list("abcdefgh"), np.array([8, 7, 6, 5, 4, 3, 2, np.nan]), label="l", write=lambda v: f"{v:g} %")
    values = np.concatenate([np.full(90, 0.011), np.linspace(-0.1, 0.1, 11)])
    counted = charts.histogram(values, label="l", write=str, tell=numbers.change)
    shown = [Figure("Industries", bars, "Mean."), Figure("Returns of the day", counted, "All.")]

    _, message = compose(sections=[Section("market", "Market", shown)])

    assert "highest a 8 %, b 7 %, c 6 %; lowest g 2 %, f 3 %, e 4 %" in plain_of(message)
    n_in, n_all, low, high = re.search(
        r"most, (\d+) of (\d+), from ([+\d.]+) % to ([+\d.]+) %", html_of(message)
    ).groups()
    assert (n_in, n_all) == ("90", "101") and float(low) <= 1.1 <= float(high)


def test_missing_newest_value_is_shown_as_missing_and_shaded_dates_are_no_figure():
    shaded = charts.Shade("recession", [False, True])
    chart = line_of(last=np.nan, shaded=shaded)

    _, message = compose(sections=[Section("macro", "Macro", [Figure("Macro factors", chart, "Scores.")])])

    assert "2026-11-20: CSI 300 \N{EN DASH}" in html_of(message) and "recession 1" not in html_of(message)


@needs_letters
@pytest.mark.parametrize("width", [390, 700])
def test_mail_reads_in_a_client_without_scripts_at_any_width(browser, width):
    names = Table("Releases", tuple("abcdefgh"), [[blocks.text("unbreakable-" * 3)] * 8] * 3)
    drawn = [Figure(title, line_of(250, names=("a", "b"), width=axes.WIDE), "Caption.") for title in DRAWN]
    _, message = compose(sections=[Section("market", "Market", [names, *drawn])])
    html = html_of(message)
    for content_id, png in pictures_of(message).items():
        html = html.replace(f"cid:{content_id}", f"data:image/png;base64,{base64.b64encode(png).decode()}")
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()

    page.set_content(html)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.eval_on_selector_all("img", "all => all.map(one => [one.naturalWidth, one.clientWidth])")
    assert [natural for natural, _ in sizes] == [720] * len(DRAWN)
    assert {shown for _, shown in sizes} == {min(480, width - 24)}
    package = pytest.importorskip("axe_playwright_python", reason="needs axe-core, a development dependency")
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    context.close()
