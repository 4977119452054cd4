"""Is every figure of a page what the lake says? The page is built anew from the snapshot it names, and compared.

Days, the pages beside them, their lists and the dictionary are proved alike. The index of all days repeats their first
screens, so that each of its rows is read anew from the snapshot of its day. Partners: `proof.py`, which compares, and
whoever builds the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from reports import desk, dictionary, proof, site, subject_pages
from reports.blocks import Subject
from reports.subjects import KINDS
from reports.subjects.page import SubjectPage
from warehouse.lake import Lake


def prove(
    text: str, lake: Lake, *, code_version: str, blocks_folder: Path | None = None
) -> tuple[int, list[proof.Difference]]:
    """How many figures a page shows, and those that are not what the lake says.

    Args:
        text: the page.
        lake: pinned to the snapshot that the page names.
        code_version: Daybook's version; a page of another version is compared figure by figure only.
        blocks_folder: the desk's own blocks.

    Raises:
        ValueError: the text is no page of a day.
        LakeError: the lake cannot be read.
    """
    found = proof.read_page(text)
    # A colour that is none differs from any, and is named.
    colour = next((known for known in site.UP_COLOURS if known == found.trace.get("up_colour")), site.UP_COLOURS[0])
    as_of = date.fromisoformat(str(found.trace["as_of"]))
    maker = subject_pages.Maker(as_of, f"daily/{as_of}", code_version, up_colour=colour)
    page = _built_anew(lake, found.trace, maker, blocks_folder)
    return len(found.listed), proof.compare(found, proof.read_page(page))


def prove_index(text: str, read_facts: Callable[[date, int], dict[str, Any]]) -> tuple[int, list[proof.Difference]]:
    """How many figures the index shows, and those that are not what the lake says.

    Args:
        text: the page.
        read_facts: the first screen of a day, read from a snapshot; see `site.read_facts`.

    Raises:
        ValueError: the text is no index, or names a day that is none.
        LakeError: the lake cannot be read.
    """
    found = proof.read_page(text)
    colour = next((known for known in site.UP_COLOURS if known == found.trace.get("up_colour")), site.UP_COLOURS[0])
    days = [read_facts(date.fromisoformat(day), int(snapshot)) for day, snapshot in found.listed.items()]
    beside = str(found.trace.get("beside", "")).split()
    page = site.render_index(days, colour, beside)
    return sum(len(day["tiles"]) for day in days), proof.compare(found, proof.read_page(page))


def _built_anew(
    lake: Lake, said: Mapping[str, str | int], maker: subject_pages.Maker, blocks_folder: Path | None
) -> str:
    as_of, colour = maker.as_of, maker.up_colour
    trace: dict[str, object] = {
        "run_id": maker.run_id,
        "snapshot": lake.snapshot,
        "code_version": maker.code_version,
    }
    kind, name = str(said.get("kind", "")), str(said.get("name", ""))
    if not kind:
        own = desk.read(lake, blocks_folder, as_of)
        return site.render_day(site.read_day(lake, as_of, own), trace=trace, as_of=as_of, up_colour=colour)
    if kind == dictionary.KIND:
        return dictionary.read_page(lake, as_of=as_of, code_version=maker.code_version)
    if kind == subject_pages.LIST:
        return subject_pages.read_list(lake, name, maker)
    subject = Subject(kind, name)
    shown = _read_subject(lake, subject, as_of)
    return site.render_subject(shown, subject=subject, trace=trace, as_of=as_of, up_colour=colour)


def _read_subject(lake: Lake, subject: Subject, as_of: date) -> SubjectPage:
    """What the page about one thing shows, as known on a day.

    Raises:
        ValueError: there was no such thing on that day.
        LakeError: the lake cannot be read.
    """
    build = next((kind.build for kind in KINDS if kind.name == subject.kind), None)
    shown = next(iter(build(lake, [subject.name], as_of)), None) if build else None
    if shown is None:
        raise ValueError(f"snapshot {lake.snapshot} knows no {subject.kind} {subject.name!r} on {as_of}")
    return shown
