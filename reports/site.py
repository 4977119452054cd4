"""How do a day's sections become a page that opens anywhere, and the index of all days?

A page is one file without scripts or addresses of others: it opens from a mail, in the dark, on paper. Invariants: it
appears whole or not at all, and the same snapshot gives the same bytes. Partner: `template.html`.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import date
from importlib import resources
from pathlib import Path

import jinja2
import markupsafe

from reports import numbers, pages
from reports.blocks import Listing, Note, Section, Tiles
from warehouse import errors
from warehouse.lake import Lake

log = logging.getLogger(__name__)

UP_COLOURS = ("red", "green")
FACTS_VERSION = 1
# Written by `reports/dictionary.py`; the index leads there.
DICTIONARY = "dictionary.html"


@dataclass(frozen=True)
class _Trace:
    """Where the page's figures come from."""

    run_id: str
    snapshot: int
    code_version: str


def publish_day(
    lake: Lake, out_dir: Path, *, as_of: date, run_id: str, code_version: str, up_colour: str = "red"
) -> Path:
    """The path of the page of a day, written with its facts as JSON and the index of all days.

    Args:
        lake: open for reading, pinned to the snapshot of the day.
        out_dir: folder of the reports, made when missing.
        as_of: the day.
        run_id: the run behind it.
        code_version: Daybook's version.
        up_colour: `red` as in Shanghai, or `green` as in New York.

    Raises:
        ConfigError: the folder cannot be written.
        LakeError: the lake cannot be read.
    """
    sections = [section(lake, as_of) for section in pages.SECTIONS]
    trace = _Trace(run_id, lake.snapshot, code_version)
    page = render_day(sections, trace=asdict(trace), as_of=as_of, up_colour=up_colour)
    path = out_dir / f"{as_of}.html"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        write_whole(out_dir / f"{as_of}.json", _facts(sections, as_of, trace))
        write_whole(path, page)
        write_whole(out_dir / "index.html", _render_index(out_dir, up_colour))
    except OSError as exc:
        raise errors.ConfigError(
            f"the report of {as_of} cannot be written to {out_dir}: {exc.strerror}. Make the folder writable, or set"
            " another home."
        ) from exc
    return path


def render_day(sections: list[Section], *, trace: dict[str, object], as_of: date, up_colour: str) -> str:
    """The page of a day as HTML.

    Args:
        sections: what it shows.
        trace: run_id, snapshot and code_version, shown in its last line.
        as_of: the day.
        up_colour: `red` or `green`.

    Raises:
        ValueError: the colour is neither.
    """
    if up_colour not in UP_COLOURS:
        raise ValueError(f"up_colour is {up_colour!r}. Use one of {', '.join(UP_COLOURS)}.")
    return template("template.html").render(
        as_of=as_of, weekday=f"{as_of:%A}", sections=sections, trace=trace, up_colour=up_colour, style=style()
    )


def template(name: str) -> jinja2.Template:
    """A page's template; what is put into it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["with_code"] = _with_code
    return environment.get_template(name)


def _with_code(text: str) -> markupsafe.Markup:
    """Text in which what stands between backticks is set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return markupsafe.escape(text)
    tags = (markupsafe.Markup("{}"), markupsafe.Markup("<code>{}</code>"))
    return markupsafe.Markup("").join(tags[at % 2].format(part) for at, part in enumerate(parts))


def style() -> str:
    """The style that every page carries inside."""
    return (resources.files("reports") / "style.css").read_text("utf-8")


def _facts(sections: list[Section], as_of: date, trace: _Trace) -> str:
    """The first screen in a form that programs and the index read."""
    first = sections[0].blocks
    return json.dumps(
        {
            "version": FACTS_VERSION,
            "as_of": as_of.isoformat(),
            "run_id": trace.run_id,
            "snapshot": trace.snapshot,
            "code_version": trace.code_version,
            "status": next(({"text": b.text, "tone": b.tone} for b in first if isinstance(b, Note)), None),
            "changes": next((list(b.items) for b in first if isinstance(b, Listing)), []),
            "tiles": [
                {"label": tile.label, "value": tile.value, "note": tile.note, "tone": tile.tone}
                for block in first
                if isinstance(block, Tiles)
                for tile in block.tiles
            ],
        },
        ensure_ascii=False,
        indent=1,
    )


def _render_index(out_dir: Path, up_colour: str) -> str:
    days = []
    for path in sorted(out_dir.glob("????-??-??.json"), reverse=True):
        facts = json.loads(path.read_text("utf-8"))
        if path.with_suffix(".html").exists():
            days.append(facts)
    labels = list(dict.fromkeys(tile["label"].split(",")[0] for day in days for tile in day["tiles"]))
    rows = [
        {
            "as_of": day["as_of"],
            "status": day["status"],
            "cells": _by_label(day["tiles"], labels),
        }
        for day in days
    ]
    has_dictionary = (out_dir / DICTIONARY).exists()
    return template("index.html").render(
        labels=labels, rows=rows, up_colour=up_colour, style=style(), dictionary=DICTIONARY if has_dictionary else ""
    )


def _by_label(tiles: list[dict[str, str]], labels: list[str]) -> list[dict[str, str]]:
    held = {tile["label"].split(",")[0]: tile for tile in tiles}
    nothing = {"value": numbers.MISSING, "tone": ""}
    return [held.get(label, nothing) for label in labels]


def write_whole(path: Path, text: str) -> None:
    """Write beside, then rename: a reader sees the old file or the new one."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
