"""A page appears whole, is the same for the same snapshot, runs no script, and shows markup as text."""

from __future__ import annotations

import base64
import hashlib
import html
import html.parser
import json
import re
from datetime import date, timedelta

import numpy as np
import pytest

from reports import blocks, charts, site
from reports.blocks import Figure, Listing, Note, Section, Table, Tile, Tiles
from reports.pages import macro
from warehouse import errors, lake

AS_OF = date(2026, 11, 20)
TRACE = {"run_id": "daily/2026-11-20", "snapshot": 12, "code_version": "2026.1"}
SPARK = charts.sparkline(np.array([1.0, 2.0]), label="l")


def publish(opened, folder, as_of=AS_OF, **options):
    return site.publish_day(opened, folder, as_of=as_of, run_id=f"daily/{as_of}", code_version="2026.1", **options)


def render(*shown, up_colour="red"):
    return site.render_day([Section("a", "A", shown)], trace=TRACE, as_of=AS_OF, up_colour=up_colour)


def test_page_is_the_same_to_the_byte_when_built_again_from_the_same_snapshot(empty_lake, tmp_path):
    with lake.open_reader(empty_lake.location, snapshot=empty_lake.snapshot) as pinned:
        first = publish(pinned, tmp_path / "one").read_bytes()
        second = publish(pinned, tmp_path / "two").read_bytes()

    assert first == second


def test_page_names_run_snapshot_and_version_on_one_line(empty_lake, tmp_path):
    page = publish(empty_lake, tmp_path).read_text()

    line = next(line for line in page.splitlines() if "Built from snapshot" in line)
    assert f"snapshot {empty_lake.snapshot} " in line and "daily/2026-11-20" in line and "2026.1" in line


def test_page_allows_its_own_style_and_script_by_their_hashes_and_names_no_other_host(empty_lake, tmp_path):
    page = publish(empty_lake, tmp_path).read_text()

    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1])
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert (rules["default-src"], rules["base-uri"], rules["form-action"]) == ("'none'", "'none'", "'none'")
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        body = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert " style=" not in page and " onclick=" not in page
    # The namespace of SVG is a name, not an address: nothing is asked of it.
    addresses = page.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in addresses and "https://" not in addresses and "@import" not in addresses


def test_markup_in_the_data_is_shown_as_text():
    evil = "<img src=x onerror=alert(1)>"

    page = render(
        Note(evil),
        Listing(evil, [evil]),
        Tiles([Tile(evil, evil, evil)]),
        Table(evil, [evil], [[blocks.text(evil)]]),
    )

    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 8


HOSTILE = {
    "closing the script": "</script><script>alert(1)</script>",
    "quotes": "\"' onmouseover='alert(1)",
    "right to left": "abc\u202e%05.1+\u2066\u200f",
    "control characters": "a\x00b\x1bc\ud800",
    "200 characters": "\u5927" * 200,
    "template": "{{ 7 * 7 }}{% raw %}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_shown_and_never_obeyed(text):
    page = render(
        Note(text),
        Listing(text, [text]),
        Tiles([Tile(text, text, text, spark=charts.sparkline(np.array([1.0, 2.0]), label=text))]),
        Table(text, [text], [[blocks.text(text)], [blocks.name(text)]]),
        Figure(text, charts.bars([text], np.array([1.0]), label=text, write=str), text),
    )

    page.encode()
    tags = [tag for tag, _ in tags_of(page)]
    assert tags.count("script") == 2 and tags.count("img") == 0
    assert not [name for _, held in tags_of(page) for name in held if name.startswith("on")]
    assert not set(page) & set("\u202e\u2066\u200f\x00\x1b") and "49" not in re.sub(
        r"<s(tyle|cript).*?</s\1>", "", page
    )
    listed = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])
    assert listed["trace"]["snapshot"] == 12 and len(listed["figures"]) >= 10


def tags_of(page):
    """Every opening tag as a browser's tokenizer sees it."""
    found = []
    reader = html.parser.HTMLParser()
    reader.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    reader.feed(page)
    return found


def test_symbol_that_is_a_path_cannot_leave_the_folder():
    """A vendor's code becomes no file's name, and in names of figures and downloads it has no separators."""
    page = render(Table("t", ["code"], [[blocks.text("../../etc")]]), Figure("../../etc", SPARK, "c"))

    assert 'download="2026-11-20-a-etc.csv"' in page and 'data-figure="a/t/etc/code"' in page
    assert not [value for value in re.findall(r'(?:href|src|download)="([^"]*)"', page) if ".." in value]


@pytest.mark.parametrize("colour", ["red", "green"])
def test_up_is_drawn_in_the_colour_of_the_desk(colour):
    assert f'class="up-{colour}"' in render(Note("x"), up_colour=colour)


def test_up_in_an_unknown_colour_is_refused():
    with pytest.raises(ValueError, match="blue"):
        render(Note("x"), up_colour="blue")


def test_number_columns_have_their_heading_on_the_right():
    page = render(Table("t", ["name", "n"], [[blocks.text("a"), blocks.number("1")]]))

    assert '<th scope="col">name</th><th scope="col" class="num">n</th>' in page


def test_index_lists_days_newest_first_with_a_link_each(empty_lake, tmp_path):
    for day in (date(2026, 11, 19), AS_OF, date(2026, 11, 18)):
        publish(empty_lake, tmp_path, as_of=day)

    index = (tmp_path / "index.html").read_text()

    links = [index.index(f'href="2026-11-{day}.html"') for day in (20, 19, 18)]
    assert links == sorted(links)


def test_index_of_a_thousand_days_stays_small_and_draws_them(empty_lake, tmp_path):
    facts = {"version": 2, "status": {"tone": "good", "text": ""}, "changes": []}
    labels = ("CSI 300", "Mean return", "Up / down", "Traded", "Macro factor 1", "Bars received", "Open alerts")
    for number in range(1000):
        day = date(2023, 1, 2) + timedelta(days=number)
        tiles = [
            {"label": name, "value": f"{number:,}.00 %", "exact": str(number), "note": "", "tone": "up"}
            for name in labels
        ]
        (tmp_path / f"{day}.json").write_text(json.dumps(facts | {"as_of": day.isoformat(), "tiles": tiles}))
        (tmp_path / f"{day}.html").write_text("")

    publish(empty_lake, tmp_path)

    index = (tmp_path / "index.html").read_text()
    assert len(index.encode()) < 1_000_000
    assert index.count('<th scope="row">') == 1001
    # A line per figure that was a number on at least two days.
    assert index.count('class="spark"') == len(labels)


def test_index_holds_days_of_older_versions_whose_facts_have_no_exact_values(empty_lake, tmp_path):
    tiles = [{"label": "Traded", "value": "64.1 bn CNY", "note": "", "tone": ""}]
    facts = {"version": 1, "as_of": "2026-11-19", "status": None, "changes": [], "tiles": tiles}
    (tmp_path / "2026-11-19.json").write_text(json.dumps(facts))
    (tmp_path / "2026-11-19.html").write_text("")

    publish(empty_lake, tmp_path)

    index = (tmp_path / "index.html").read_text()
    assert "64.1 bn CNY" in index and 'class="spark"' not in index


# WCAG 2.2, 1.4.3: 4.5 for text; 1.4.11: 3 for what must be seen to understand a graphic.
CONTRASTS = {
    **{(ink, ground): 4.5 for ink in ("ink", "soft", "red", "green", "c1") for ground in ("ground", "card")},
    ("ink", "warn-ground"): 4.5,
    ("soft", "warn-ground"): 4.5,
    ("ink", "good-ground"): 4.5,
    ("soft", "good-ground"): 4.5,
    **{(f"c{number}", "ground"): 3.0 for number in range(1, 9)},
    ("warn", "ground"): 3.0,
}


def luminance(colour):
    """Relative luminance of #rgb or #rrggbb, by the definition in WCAG 2.2."""
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out_from_their_ground(scheme):
    roots = re.findall(r":root\{([^}]*)\}", site.style())
    colours = dict(re.findall(r"--([\w-]+):(#[0-9a-f]+)", roots[scheme == "dark"]))

    for (ink, ground), least in CONTRASTS.items():
        brighter, darker = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
        assert (brighter + 0.05) / (darker + 0.05) >= least, (ink, ground)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_of_a_heat_map_stand_out_from_its_strongest_colour(scheme):
    """A program that checks a page does not judge text over a drawing."""
    roots = re.findall(r":root\{([^}]*)\}", site.style())
    colours = dict(re.findall(r"--([\w-]+):(#[0-9a-f]+)", roots[0])) | dict(
        re.findall(r"--([\w-]+):(#[0-9a-f]+)", roots[scheme == "dark"])
    )

    for sign in ("pos", "neg"):
        mixed = [
            round(charts.MOST_OPACITY * over + (1 - charts.MOST_OPACITY) * under)
            for over, under in zip(parts_of(colours[sign]), parts_of(colours["ground"]), strict=True)
        ]
        brighter, darker = sorted(
            (luminance(colours["ink"]), luminance("#" + "".join(f"{part:02x}" for part in mixed))), reverse=True
        )
        assert (brighter + 0.05) / (darker + 0.05) >= 4.5, sign


def parts_of(colour):
    text = colour[1:] if len(colour) == 7 else "".join(sign * 2 for sign in colour[1:])
    return [int(text[at : at + 2], 16) for at in (0, 2, 4)]


def test_facts_of_the_first_screen_are_kept_as_json(empty_lake, tmp_path):
    publish(empty_lake, tmp_path)

    facts = json.loads((tmp_path / "2026-11-20.json").read_text())

    assert facts["as_of"] == "2026-11-20" and facts["snapshot"] == empty_lake.snapshot
    assert facts["status"]["tone"] == "warn"
    assert {tile["label"] for tile in facts["tiles"]} >= {"Open alerts"}


def test_nothing_half_written_is_left_beside_the_pages(empty_lake, tmp_path):
    publish(empty_lake, tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "2026-11-20.html",
        "2026-11-20.json",
        "index.html",
    ]


def test_folder_that_cannot_be_made_is_a_setting_error(empty_lake, tmp_path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(errors.ConfigError, match="taken"):
        publish(empty_lake, tmp_path / "taken" / "reports")


def test_widest_table_fits_on_paper(browser):
    """Eleven columns: macro releases, here of the longest names and figures there are. A4 has 703 pixels inside."""
    row = {"series_id": "MORTGAGE30US", "title": "Continued unemployment claims, not seasonally adjusted"}
    row |= dict.fromkeys(("observation_date", "release_date"), AS_OF) | {"is_release_date_estimated": True}
    row |= {"unit": "billion chained USD, annual rate", "surprise_std_errors": -12.3, "std_error": 0.1}
    row |= dict.fromkeys(("first_value", "forecast", "surprise", "previous_value", "previous_first_value"), -123456.7)
    page = browser.new_page(viewport={"width": 703, "height": 1000})
    table = Table("Releases", macro.RELEASE_HEADS, [macro._release_cells(row)], is_wide=True)
    page.set_content(render(table))
    page.emulate_media(media="print")

    reach = page.evaluate("document.querySelector('table').getBoundingClientRect().right")
    page.close()

    assert reach <= 703


@pytest.mark.parametrize("width", [320, 390, 768, 1180, 1400])
def test_no_tile_stands_alone_in_its_row_whatever_the_width(browser, width):
    """One that spans its row is none that stands alone: with two in a row, an odd number has to begin so."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    for n_tiles in range(2, 8):
        page.set_content(
            render(Tiles([Tile(f"Tile {number}", "812.4 bn CNY", "of 5,431") for number in range(n_tiles)]))
        )

        rows = page.evaluate(
            "() => { const rows = {}; for (const tile of document.querySelectorAll('.tile')) {"
            " const box = tile.getBoundingClientRect(); (rows[Math.round(box.top)] ??= []).push(box.width) }"
            " return [Object.values(rows), document.querySelector('.tiles').clientWidth,"
            " document.documentElement.scrollWidth] }"
        )

        widths, whole, scrolled = rows
        assert scrolled <= width
        # Every row is filled from edge to edge, less the gaps of ten pixels.
        assert all(sum(row) + 10 * (len(row) - 1) == pytest.approx(whole, abs=1) for row in widths)
        alone = [row for row in widths if len(row) == 1]
        assert not alone or (width < 560 and n_tiles % 2 and len(alone) == 1)
    page.close()
