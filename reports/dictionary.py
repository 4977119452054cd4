"""Which page tells an analyst what every column means, in which unit, how fresh it is and how much there is?

Generated from the lake and its declarations, never written by hand. Invariants: it reads completely without its script,
which only hides what a search does not find; the script is ours, named by its hash, and nothing is fetched. Partners:
`warehouse/dictionary.py`, which reads the facts, and `site.py`, whose index leads here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from reports import figures, numbers, site
from warehouse import dictionary, errors
from warehouse.dictionary import Entry, Extent, Function
from warehouse.lake import VIEW_SCHEMA, Lake

ABOUT = {
    VIEW_SCHEMA: "Views to ask first: plain units, documented columns, a stable order. They are computed when read.",
    "market": "Tushare's tables with the vendor's names, columns and units, prices unadjusted.",
    "macro": "FRED's series, each value with the days on which it was the published one.",
    "feature": "Numbers computed from vendor data, without a model.",
    "model": "What models found: versions, factors, coefficients, forecasts and what they were worth.",
    "ops": "How Daybook itself is doing: runs, what is loaded, set aside, corrected or wrong.",
    "vendor": "What was asked of the vendors and what they answered.",
}
# What a page says of itself, so that it can be checked.
KIND = "dictionary"
SHORT_TYPES = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}


def publish(lake: Lake, out_dir: Path, *, as_of: date, code_version: str) -> Path:
    """The path of the dictionary's page, written whole.

    Args:
        lake: open for reading, pinned to the snapshot the page is of.
        out_dir: folder of the reports, made when missing.
        as_of: day of the run behind the snapshot.
        code_version: Daybook's version.

    Raises:
        ConfigError: the folder cannot be written.
        LakeError: the lake cannot be read.
    """
    page = read_page(lake, as_of=as_of, code_version=code_version)
    path = out_dir / site.DICTIONARY
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        site.write_whole(path, page)
    except OSError as exc:
        raise errors.ConfigError(
            f"the data dictionary cannot be written to {out_dir}: {exc.strerror}. Make the folder writable, or set"
            " another home."
        ) from exc
    return path


def read_page(lake: Lake, *, as_of: date, code_version: str) -> str:
    """The page as HTML.

    Args:
        lake: open for reading.
        as_of: day of the run behind the lake's snapshot, kept in the page so that it can be checked.
        code_version: Daybook's version.

    Raises:
        LakeError: the lake cannot be read.
    """
    entries = dictionary.read_entries(lake)
    return render(
        entries,
        dictionary.read_extents(lake, entries),
        dictionary.read_functions(lake),
        trace={"as_of": as_of.isoformat(), "snapshot": lake.snapshot, "code_version": code_version, "kind": KIND},
    )


def render(
    entries: Sequence[Entry], extents: dict[str, Extent], functions: Sequence[Function], *, trace: dict[str, object]
) -> str:
    """The page as HTML, views first.

    Args:
        entries: tables and views.
        extents: rows and newest day of the tables.
        functions: macros.
        trace: as_of, snapshot and code_version, shown in the last line, and the kind of page.
    """
    schemas = sorted(dict.fromkeys(entry.schema for entry in entries), key=lambda schema: _place(schema))
    groups = [
        {
            "anchor": schema,
            "title": "Views" if schema == VIEW_SCHEMA else schema.capitalize(),
            "about": ABOUT.get(schema, ""),
            "entries": [_shown(entry, extents.get(entry.full_name)) for entry in entries if entry.schema == schema],
        }
        for schema in schemas
    ]
    if functions:
        about = "Questions with arguments, such as what was known on a day."
        shown = [_shown_function(function) for function in functions]
        groups.insert(1, {"anchor": "functions", "title": "Functions", "about": about, "entries": shown})
    script, own_style = site.resource("dictionary.js"), site.resource("dictionary.css")
    name = figures.Namer()
    return site.template("dictionary.html").render(
        groups=groups,
        trace=trace,
        style=site.style(),
        own_style=own_style,
        script=script,
        policy=site.policy(styles=[site.style(), own_style], scripts=[script]),
        name=name,
        listed=site.listing(name, trace),
    )


def _place(schema: str) -> tuple[int, str]:
    known = list(ABOUT)
    return (known.index(schema) if schema in known else len(known), schema)


def _shown(entry: Entry, extent: Extent | None) -> dict[str, Any]:
    facts = [f"{len(entry.columns)} columns"]
    if extent:
        facts.append(f"{numbers.count(extent.n_rows)} rows")
        if extent.newest_date:
            facts.append(f"known to {extent.newest_date}")
    if entry.grain:
        facts.append(f"key: {', '.join(entry.grain)}")
    if entry.source:
        facts.append(f"{'reads' if entry.is_view else 'source:'} {entry.source}")
    return {
        "anchor": entry.full_name,
        "name": entry.full_name,
        "short": entry.name,
        "meaning": entry.meaning,
        "facts": facts,
        "columns": [
            {
                "name": column.name,
                "type": SHORT_TYPES.get(column.type, column.type),
                "unit": column.unit,
                "meaning": column.meaning,
            }
            for column in entry.columns
        ],
    }


def _shown_function(function: Function) -> dict[str, Any]:
    return {
        "anchor": function.call.split("(")[0],
        "name": function.call,
        "short": function.name,
        "meaning": function.meaning,
        "facts": ["stands where a table stands" if function.is_table else "stands in an expression"],
        "columns": [],
    }
