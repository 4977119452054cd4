"""A page appears whole, is the same for the same snapshot, runs no script, and shows markup as text."""

from __future__ import annotations

import json
from datetime import date

import pytest

from reports import blocks, site
from reports.blocks import Listing, Note, Section, Table, Tile, Tiles
from warehouse import errors, lake

AS_OF = date(2026, 11, 20)
TRACE = {"run_id": "daily/2026-11-20", "snapshot": 12, "code_version": "2026.1"}


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

    line = next(line for line in page.splitlines() if "snapshot" in line)
    assert f"snapshot {empty_lake.snapshot} " in line and "daily/2026-11-20" in line and "2026.1" in line


def test_page_forbids_scripts_and_names_no_other_host(empty_lake, tmp_path):
    page = publish(empty_lake, tmp_path).read_text()

    assert "default-src 'none'" in page
    assert "<script" not in page and "http://" not in page and "https://" not in page and "@import" not in page


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
