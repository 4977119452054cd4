"""A page appears whole, is the same for the same snapshot, runs no script, and shows markup as text."""

from __future__ import annotations

import base64
import hashlib
import html
import html.parser
import json
import re
from datetime import date

import numpy as np
import pytest

from reports import blocks, charts, site
from reports.blocks import Figure, Listing, Note, Section, Table, Tile, Tiles
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
