"""How do the pages beside the days come into the site's folder, and stay one whole that any static server serves?

The site is the days, a folder of pages a kind of subject, and a list a kind, joined by plain relative links. Every page
of a subject that the lake knows is written, so that no link leads nowhere. Invariants: a page lies inside the site's
folder whatever its subject is called; the same snapshot gives the same bytes. Partners: `subjects/`, which says what a
page shows, `addresses.py`, where it lies, `site.py`, how it looks.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from reports import addresses, figures, site
from reports.blocks import Subject
from reports.subjects import KINDS
from reports.subjects.page import Entry, Kind
from warehouse import errors
from warehouse.lake import Lake

log = logging.getLogger(__name__)

# A line of a list is about 150 bytes; the list of every A-share listed stays below a megabyte.
MOST_LISTED = 6000
# What a list says of itself, so that it can be checked.
LIST = "list"
# The trace stands first in a page's list of figures.
_LIST, _TRACE_BYTES = b'id="figures">', 1000
_SNAPSHOT = re.compile(rb'"snapshot":(\d{1,18})[,}]')


@dataclass(frozen=True)
class Maker:
    """What every page of the site says about where it comes from.

    Args:
        as_of: the day on which what is shown was known.
        run_id: the run behind it.
        code_version: Daybook's version.
        up_colour: `red` or `green`.
    """

    as_of: date
    run_id: str
    code_version: str
    up_colour: str = "red"


def publish(lake: Lake, out_dir: Path, maker: Maker, *, is_again: bool) -> int:
    """How many pages beside the days were written, with the lists that lead to them.

    Args:
        lake: open for reading, pinned to the snapshot of the day.
        out_dir: folder of the reports, made when missing.
        maker: what the pages say about where they come from.
        is_again: whether pages are written that are there and can no longer change.

    Raises:
        ConfigError: the folder cannot be written.
        LakeError: the lake cannot be read.
    """
    n_written = 0
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            entries = kind.read_entries(lake, maker.as_of)
            wanted = [
                entry.name
                for entry in entries
                if is_again or not entry.is_settled or not (out_dir / _path(kind, entry)).exists()
            ]
            n_written += _write_pages(lake, out_dir, kind, wanted, maker)
            site.write_whole(out_dir / addresses.list_of(kind.name), _render_list(lake, kind, entries, maker))
        site.write_index(out_dir, maker.up_colour)
    except OSError as exc:
        raise errors.ConfigError(
            f"the pages beside the report of {maker.as_of} cannot be written to {out_dir}: {exc.strerror}. Make the"
            " folder writable, or set another home."
        ) from exc
    log.info("published as_of=%s pages=%s path=%s", maker.as_of, n_written, out_dir)
    return n_written


def _path(kind: Kind, entry: Entry) -> str:
    return addresses.path_of(Subject(kind.name, entry.name))


def _write_pages(lake: Lake, out_dir: Path, kind: Kind, names: Sequence[str], maker: Maker) -> int:
    n_written = 0
    trace: dict[str, object] = {
        "run_id": maker.run_id,
        "snapshot": lake.snapshot,
        "code_version": maker.code_version,
    }
    (out_dir / addresses.FOLDERS[kind.name]).mkdir(exist_ok=True)
    for page in kind.build(lake, names, maker.as_of):
        subject = Subject(kind.name, page.name)
        said = site.render_subject(page, subject=subject, trace=trace, as_of=maker.as_of, up_colour=maker.up_colour)
        site.write_whole(out_dir / addresses.path_of(subject), said)
        n_written += 1
    return n_written


def read_list(lake: Lake, kind_name: str, maker: Maker) -> str:
    """The page that lists everything of a kind, as HTML.

    Raises:
        ValueError: there is no such kind.
        LakeError: the lake cannot be read.
    """
    kind = next((one for one in KINDS if one.name == kind_name), None)
    if kind is None:
        raise ValueError(f"there are no lists of {kind_name!r}")
    return _render_list(lake, kind, kind.read_entries(lake, maker.as_of), maker)


def _render_list(lake: Lake, kind: Kind, entries: Sequence[Entry], maker: Maker) -> str:
    script = site.resource("index.js")
    trace = {
        "as_of": maker.as_of.isoformat(),
        "snapshot": lake.snapshot,
        "code_version": maker.code_version,
        "kind": LIST,
        "name": kind.name,
    }
    name = figures.Namer()
    return site.template("list.html").render(
        title=kind.title,
        columns=kind.columns,
        entries=[(entry, _path(kind, entry)) for entry in entries[:MOST_LISTED]],
        n_left_out=max(0, len(entries) - MOST_LISTED),
        lists=[(addresses.list_of(one.name), one.title) for one in KINDS if one is not kind],
        trace=trace,
        style=site.style(),
        script=script,
        policy=site.policy(styles=[site.style()], scripts=[script]),
        name=name,
        listed=site.listing(name, trace),
    )


def read_snapshots(out_dir: Path) -> frozenset[int]:
    """The snapshots that the pages of the site's folder name: as long as one does, it is needed to check the page.

    Args:
        out_dir: folder of the reports; none are named where it is absent.
    """
    named = set()
    for page in (*out_dir.glob("*.html"), *out_dir.glob("*/*.html")):
        _, _, listed = page.read_bytes().rpartition(_LIST)
        found = _SNAPSHOT.search(listed, 0, _TRACE_BYTES)
        if found:
            named.add(int(found[1]))
    return frozenset(named)
