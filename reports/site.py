"""How do a day's sections become a page that opens anywhere, and the index of all days?

A page is one file without addresses of others: it opens from a mail, in the dark, on paper, and reads completely where
scripts are off. Its policy allows the one style and the one script it carries, by their hashes, and nothing else.
Invariants: it appears whole or not at all, and the same snapshot gives the same bytes. Partner: `template.html`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from reports import addresses, desk, figures, index_lines, pages, texts
from reports.blocks import Listing, Note, Section, Subject, Tiles
from reports.subjects import KINDS
from reports.subjects.page import SubjectPage
from reports.tracing import read_section
from warehouse import errors
from warehouse.lake import Lake

log = logging.getLogger(__name__)

UP_COLOURS = ("red", "green")
FACTS_VERSION = 2
# Written by `reports/dictionary.py`; the index leads there.
DICTIONARY = "dictionary.html"
# What the index says of itself, so that it can be checked.
INDEX = "index"
MAIL_SUFFIX = ".eml"
NO_BLOCKS = desk.Found()


@dataclass(frozen=True)
class _Trace:
    """Where the page's figures come from."""

    run_id: str
    snapshot: int
    code_version: str


def publish_day(
    lake: Lake,
    out_dir: Path,
    *,
    as_of: date,
    run_id: str,
    code_version: str,
    up_colour: str = "red",
    with_index: bool = True,
    own: desk.Found = NO_BLOCKS,
    mail: Callable[[Sequence[Section]], bytes] | None = None,
) -> Path:
    """The path of the page of a day, written with its facts as JSON and the index of all days.

    Args:
        lake: open for reading, pinned to the snapshot of the day.
        out_dir: folder of the reports, made when missing.
        as_of: the day.
        run_id: the run behind it.
        code_version: Daybook's version.
        up_colour: `red` as in Shanghai, or `green` as in New York.
        with_index: whether the index is written too; who writes many days writes it once, at their end.
        own: the desk's own blocks.
        mail: makes the day's mail, written beside the page; None for no mail.

    Raises:
        ConfigError: the folder cannot be written.
        LakeError: the lake cannot be read.
    """
    sections = read_day(lake, as_of, own)
    trace = _Trace(run_id, lake.snapshot, code_version)
    page = render_day(sections, trace=asdict(trace), as_of=as_of, up_colour=up_colour)
    path = out_dir / f"{as_of}.html"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        facts = {"run_id": run_id, "code_version": code_version} | _facts(sections, as_of, lake.snapshot)
        write_whole(out_dir / f"{as_of}.json", json.dumps(facts, ensure_ascii=False, indent=1))
        write_whole(path, page)
        if mail:
            write_whole(path.with_suffix(MAIL_SUFFIX), mail(sections).decode("ascii"))
        if with_index:
            write_index(out_dir, up_colour)
    except OSError as exc:
        raise errors.ConfigError(
            f"the report of {as_of} cannot be written to {out_dir}: {exc.strerror}. Make the folder writable, or set"
            " another home."
        ) from exc
    return path


def write_index(out_dir: Path, up_colour: str) -> None:
    """Write the index of all days, which leads to the lists and the dictionary as far as they are there."""
    days = []
    for path in sorted(out_dir.glob("????-??-??.json"), reverse=True):
        facts = json.loads(path.read_text("utf-8"))
        if path.with_suffix(".html").exists():
            days.append(facts)
    beside = [
        name for name in (*(addresses.list_of(kind.name) for kind in KINDS), DICTIONARY) if (out_dir / name).exists()
    ]
    write_whole(out_dir / "index.html", render_index(days, up_colour, beside))


def read_day(lake: Lake, as_of: date, own: desk.Found = NO_BLOCKS) -> list[Section]:
    """What the page of a day shows, the desk's own blocks among it.

    Raises:
        LakeError: the lake cannot be read.
    """
    return own.put_into([read_section(lake, section, as_of) for section in pages.SECTIONS])


def render_day(sections: list[Section], *, trace: dict[str, object], as_of: date, up_colour: str) -> str:
    """The page of a day as HTML.

    Args:
        sections: what it shows.
        trace: run_id, snapshot and code_version, shown below every block.
        as_of: the day.
        up_colour: `red` or `green`.

    Raises:
        ValueError: the colour is neither.
    """
    return _render(sections, trace, as_of, up_colour, {"weekday": f"{as_of:%A}", "subject": None, "root": ""})


def render_subject(
    page: SubjectPage, *, subject: Subject, trace: dict[str, object], as_of: date, up_colour: str
) -> str:
    """The page about one thing as HTML; it lies in a folder of its kind, one below the days.

    Args:
        page: what it shows.
        subject: what it is about, kept in the trace so that the page can be checked.
        trace: as for `render_day`.
        as_of: the day on which this was known.
        up_colour: `red` or `green`.

    Raises:
        ValueError: the colour is neither.
    """
    about = {"kind": subject.kind, "name": subject.name}
    heading = {"subject": subject, "title": page.title, "root": "../", "list": addresses.list_of(subject.kind)}
    return _render(page.sections, {**trace, **about}, as_of, up_colour, heading)


def _render(
    sections: Sequence[Section], trace: dict[str, object], as_of: date, up_colour: str, heading: dict[str, object]
) -> str:
    if up_colour not in UP_COLOURS:
        raise ValueError(f"up_colour is {up_colour!r}. Use one of {', '.join(UP_COLOURS)}.")
    whole_trace = {"as_of": as_of.isoformat(), "up_colour": up_colour, **trace}
    name = figures.Namer()
    script = resource("page.js")
    return template("template.html").render(
        **heading,
        path_of=addresses.path_of,
        sections=sections,
        trace=whole_trace,
        style=style(),
        script=script,
        policy=policy(styles=[style()], scripts=[script]),
        name=name,
        listed=listing(name, whole_trace),
    )


def listing(name: figures.Namer, trace: Mapping[str, object]) -> Callable[[], markupsafe.Markup]:
    """What a page lists at its end: where it comes from, and every figure that was named until then."""
    return lambda: as_script_data({"trace": trace, "figures": name.values})


def policy(*, styles: Sequence[str], scripts: Sequence[str] = ()) -> markupsafe.Markup:
    """The content security policy of a page: its own styles and scripts by their hashes, and nothing from anywhere.

    Source:
        W3C, Content Security Policy Level 3, section 2.3.1, hash-source.
    """
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "img-src data:"]
    for rule, shown in (("style-src", styles), ("script-src", scripts)):
        if shown:
            rules.append(" ".join([rule, *(f"'sha256-{_digest(text)}'" for text in shown)]))
    # Holds no text of others, and between double quotes its single ones need no escape.
    return markupsafe.Markup("; ".join(rules))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def as_script_data(held: object) -> markupsafe.Markup:
    """A value as JSON that can stand inside a script element, whatever texts it holds."""
    said = json.dumps(held, ensure_ascii=False, separators=(",", ":"))
    return markupsafe.Markup(texts.readable(said).replace("<", "\\u003c"))


def _shown(value: object) -> object:
    """A value as it enters a page: what cannot be shown is replaced, what is markup of ours stays."""
    if isinstance(value, markupsafe.Markup) or not isinstance(value, str):
        return value
    return texts.readable(value)


def template(name: str) -> jinja2.Template:
    """A page's template; what is put into it is escaped."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> jinja2.Environment:
    """Where templates are read and compiled, once a process: a site has thousands of pages."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters |= {
        "with_code": _with_code,
        "followed": addresses.followed,
        "key": figures.key,
        "slug": figures.slug,
        "exact": figures.exact_of,
        "csv_link": figures.csv_link,
        "is_chinese": texts.is_chinese,
    }
    return environment


def _with_code(text: str) -> markupsafe.Markup:
    """Text in which what stands between backticks is set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return markupsafe.escape(text)
    tags = (markupsafe.Markup("{}"), markupsafe.Markup("<code>{}</code>"))
    return markupsafe.Markup("").join(tags[at % 2].format(part) for at, part in enumerate(parts))


def style() -> str:
    """The style that every page carries inside."""
    return resource("style.css")


@functools.cache
def resource(name: str) -> str:
    """A file that lies beside this one."""
    return (resources.files("reports") / name).read_text("utf-8")


def read_facts(lake: Lake, as_of: date, blocks_folder: Path | None = None) -> dict[str, Any]:
    """The first screen of a day in a form that the index reads.

    Raises:
        LakeError: the lake cannot be read.
    """
    first = read_section(lake, pages.SECTIONS[0], as_of)
    own = desk.read(lake, blocks_folder, as_of)
    return _facts(own.put_into([first]), as_of, lake.snapshot)


def _facts(sections: Sequence[Section], as_of: date, snapshot: int) -> dict[str, Any]:
    """The first screen in a form that programs and the index read."""
    first = sections[0].blocks
    return {
        "version": FACTS_VERSION,
        "as_of": as_of.isoformat(),
        "snapshot": snapshot,
        "status": next(({"text": b.text, "tone": b.tone} for b in first if isinstance(b, Note)), None),
        "changes": next((list(b.items) for b in first if isinstance(b, Listing)), []),
        "tiles": [
            {
                "label": tile.label,
                "value": tile.value,
                "exact": figures.exact_of(tile.value),
                "note": tile.note,
                "tone": tile.tone,
            }
            for block in first
            if isinstance(block, Tiles)
            for tile in block.tiles
        ],
    }


def render_index(days: Sequence[dict[str, Any]], up_colour: str, beside: Sequence[str]) -> str:
    """The index of all days as HTML.

    Args:
        days: facts of each, newest first.
        up_colour: `red` or `green`.
        beside: files of the site's folder that it leads to.
    """
    labels = list(dict.fromkeys(tile["label"].split(",")[0] for day in days for tile in day["tiles"]))
    rows = [
        {
            "as_of": day["as_of"],
            "state": "whole" if day["status"] and day["status"]["tone"] == "good" else "not whole",
            "cells": index_lines.by_label(day["tiles"], labels),
        }
        for day in days
    ]
    newest = {"as_of": days[0]["as_of"], "snapshot": days[0].get("snapshot", 0)} if days else {}
    trace = {**newest, "kind": INDEX, "up_colour": up_colour, "beside": " ".join(beside)}
    snapshots = {day["as_of"]: str(day.get("snapshot", 0)) for day in days}
    titles = {addresses.list_of(kind.name): kind.title for kind in KINDS}
    script = resource("index.js")
    return template("index.html").render(
        labels=labels,
        rows=rows,
        sparks=[index_lines.spark(label, rows, at) for at, label in enumerate(labels)],
        csv=index_lines.csv_link(labels, rows),
        up_colour=up_colour,
        style=style(),
        script=script,
        policy=policy(styles=[style()], scripts=[script]),
        dictionary=DICTIONARY if DICTIONARY in beside else "",
        lists=[(name, titles[name]) for name in beside if name in titles],
        listed=as_script_data({"trace": trace, "figures": snapshots}),
    )


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
