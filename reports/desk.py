"""Which blocks does a desk add to the report by itself, and what does the page say of one that does not work?

A block is one file, `<name>.toml`: a query, how its rows are shown, and a sentence about them. Invariants: whatever is
wrong with a file costs one line that names file and reason, never the page; a query can only read, and neither its
rows nor its time can grow without end. Partners: `site.py`, which puts the blocks into their sections;
`docs/desk_blocks.md`, which says how to write one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox
import pyarrow as pa

from reports import axes, blocks, charts, numbers, reading, texts
from reports.blocks import Block, Cell, Figure, Note, Section, Source, Table
from reports.subjects.page import cell_of
from reports.tracing import Trail
from warehouse import errors, statements
from warehouse.lake import Lake

OWN = Section("desk", "The desk's own")
SECTIONS = ("overview", "market", "macro", "equity", "forecasts", "anomalies", "data", OWN.anchor)
SHAPES = ("table", "line", "bars", "columns", "histogram", "text")
FORMATS: dict[str, Callable[[Any], numbers.Written]] = {
    "share": numbers.share,
    "change": numbers.change,
    "decimal": numbers.decimal,
    "count": numbers.count,
    "amount_cny": numbers.amount_cny,
    "level": numbers.level,
    "day": numbers.day,
}
# A chart of more points, or a table of more rows, is no longer read, and the page has a megabyte.
MOST_POINTS, MOST_ROWS, MOST_LINES, MOST_BARS = 2500, 40, 6, 40
LONGEST_TEXT = 800
# A page takes seconds; who asks for more than this each evening asks for a view.
QUERY_S = 30.0
MEND = "Mend the file; the next run shows it, or `daybook report`."


@dataclass(frozen=True)
class Found:
    """What a folder of blocks gave.

    Args:
        blocks: section and block, in the order of the files' names.
        problems: one sentence for each file that gave none.
    """

    blocks: tuple[tuple[str, Block], ...] = ()
    problems: tuple[str, ...] = ()

    def put_into(self, sections: Sequence[Section]) -> list[Section]:
        """The sections with the desk's blocks at their ends, and a section of its own where one is wanted."""
        notes = [(OWN.anchor, Note(problem, "warn", Source())) for problem in self.problems]
        added: dict[str, list[Block]] = {}
        for anchor, block in (*self.blocks, *notes):
            added.setdefault(anchor, []).append(block)
        shown = [*sections, *([OWN] if OWN.anchor in added else [])]
        return [
            dataclasses.replace(section, blocks=(*section.blocks, *added.get(section.anchor, ()))) for section in shown
        ]


@dataclass(frozen=True)
class _Recipe:
    """One file, read."""

    title: str
    query: str
    section: str = OWN.anchor
    show: str = "table"
    x: str = ""
    y: tuple[str, ...] = ()
    formats: dict[str, str] = field(default_factory=dict)
    text: str = ""
    is_wide: bool = False


def read(lake: Lake, folder: Path | None, as_of: date) -> Found:
    """The blocks of a desk, filled from the lake.

    Args:
        lake: pinned to the snapshot of the day.
        folder: the files; None for none.
        as_of: the day, for queries that name `$as_of`.
    """
    if folder is None:
        return Found()
    if not folder.is_dir():
        return Found(problems=(f"The desk's blocks are not shown: there is no folder {folder.name}. Make it.",))
    found: list[tuple[str, Block]] = []
    problems = []
    for file in sorted(folder.glob("*.toml")):
        try:
            found.append(_build(lake, file, as_of))
        except (errors.DaybookError, OSError, jinja2.TemplateError, *_WRONG) as exc:
            said = texts.shortened(" ".join(str(exc).split()), LONGEST_TEXT)
            problems.append(f"The desk's block {file.name} is not shown: {said.rstrip('.')}. {MEND}")
    return Found(tuple(found), tuple(problems))


# What a file's values can do to the code that uses them, its own checks and TOML's among them.
_WRONG = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError, pa.ArrowException)


def _build(lake: Lake, file: Path, as_of: date) -> tuple[str, Block]:
    held = file.read_bytes()
    recipe = _recipe_of(tomllib.loads(held.decode("utf-8")))
    trail = Trail(_Bounded(lake))
    # DuckDB refuses a value that no statement asks for.
    rows = trail.read(recipe.query, **({"as_of": as_of} if "$as_of" in recipe.query else {}))
    source = dataclasses.replace(trail.source, file=f"{file.name} {hashlib.sha256(held).hexdigest()[:8]}")
    if not rows.num_rows:
        return recipe.section, Note(f"{recipe.title}: the query returns no row.", source=source)
    for name in (recipe.x, *recipe.y, *recipe.formats):
        if name and name not in rows.column_names:
            raise ValueError(f"it asks for the field {name!r}; the query returns {', '.join(rows.column_names)}.")
    return recipe.section, dataclasses.replace(_block_of(recipe, rows), source=source)


def _recipe_of(held: dict[str, Any]) -> _Recipe:
    """A file's values, each of its kind."""
    kinds = {one.name: one for one in dataclasses.fields(_Recipe)}
    names = {("wide" if name == "is_wide" else name): name for name in kinds}
    for name in held:
        if name not in names:
            raise ValueError(f"it has an unknown key {name!r}. Known keys: {', '.join(names)}.")
    for name in ("title", "query"):
        if not isinstance(held.get(name), str) or not held[name].strip():
            raise ValueError(f'it has no {name}. Write {name} = "...".')
    y = held.get("y", ())
    given = {names[name]: value for name, value in held.items()} | {"y": (y,) if isinstance(y, str) else tuple(y)}
    recipe = _Recipe(**given)
    for name, value, known in (("section", recipe.section, SECTIONS), ("show", recipe.show, SHAPES)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}. Use one of {', '.join(known)}.")
    for column, name in recipe.formats.items():
        if name not in FORMATS:
            raise ValueError(f"the format of {column} is {name!r}. Use one of {', '.join(FORMATS)}.")
    wanted = {"line": "x and y", "bars": "x and y", "columns": "x and y", "histogram": "y", "text": "text"}
    is_short = (
        (recipe.show in ("line", "bars", "columns") and not (recipe.x and recipe.y))
        or (recipe.show == "histogram" and not recipe.y)
        or (recipe.show == "text" and not recipe.text)
    )
    if is_short:
        raise ValueError(f"to be shown as {recipe.show} it needs {wanted[recipe.show]}.")
    return recipe


class _Bounded:
    """A lake that answers one SELECT, with as many rows as a page can hold and in as much time as it has."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def read(self, statement: str, **params: Any) -> pa.Table:
        """The rows a query returns.

        Raises:
            ConfigError: it is no question, or returns too many rows.
            LakeError: it cannot be run, or takes too long.
        """
        statements.refuse_unless_one_select(statement)
        found: list[pa.RecordBatch] = []
        with self._lake.limited(QUERY_S):
            for batch in self._lake.stream(statement, **params):
                found.append(batch)
                if sum(part.num_rows for part in found) > MOST_POINTS:
                    raise errors.ConfigError(
                        f"the query returns more than {MOST_POINTS:,} rows. Aggregate them, or add a limit."
                    )
        return pa.Table.from_batches(found) if found else pa.table({})

    def read_value(self, statement: str, **params: Any) -> Any:
        """The single value a query returns, None when it returns no row.

        Raises:
            ConfigError: as `read`.
            LakeError: as `read`.
        """
        rows = self.read(statement, **params)
        return rows.column(0)[0].as_py() if rows.num_rows else None


def _block_of(recipe: _Recipe, rows: pa.Table) -> Block:
    text = _text_of(recipe, rows)
    if recipe.show == "text":
        return Note(f"{recipe.title}: {text}")
    if recipe.show == "table":
        return _table_of(recipe, rows, text)
    return Figure(recipe.title, _chart_of(recipe, rows), text or "From the desk's own query.", recipe.is_wide)


def _text_of(recipe: _Recipe, rows: pa.Table) -> str:
    """The sentence, filled by a template that sees the rows and cannot reach beyond them."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters |= FORMATS
    said = environment.from_string(recipe.text).render(rows=rows.to_pylist(), title=recipe.title)
    return texts.shortened(" ".join(said.split()), LONGEST_TEXT)


def _table_of(recipe: _Recipe, rows: pa.Table, text: str) -> Table:
    more = f", the first {MOST_ROWS} of {rows.num_rows}" if rows.num_rows > MOST_ROWS else ""
    columns = [
        [_cell(recipe, name, value) for value in column.to_pylist()]
        for name, column in zip(rows.column_names, rows.slice(0, MOST_ROWS).columns, strict=True)
    ]
    caption = f"{recipe.title}{more}" + (f": {text}" if text else "")
    return Table(caption, rows.column_names, list(zip(*columns, strict=True)), recipe.is_wide)


def _cell(recipe: _Recipe, name: str, value: object) -> Cell:
    written = recipe.formats.get(name)
    return blocks.number(FORMATS[written](value)) if written else cell_of(value)


def _chart_of(recipe: _Recipe, rows: pa.Table) -> charts.Chart:
    def write(value: float) -> str:
        return FORMATS[recipe.formats.get(recipe.y[0], "level")](value)

    def values(name: str) -> reading.Floats:
        kind = rows.schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            raise ValueError(f"a chart needs numbers, and the field {name!r} is {kind}.")
        return reading.floats(rows, name)

    labels = [texts.shortened(str(value)) for value in rows[recipe.x].to_pylist()] if recipe.x else []
    for most, shape, n in ((MOST_LINES, "line", len(recipe.y)), (MOST_BARS, "bars", len(labels))):
        if recipe.show == shape and n > most:
            raise ValueError(f"it asks for {n} {'lines' if shape == 'line' else shape}; a chart holds {most}.")
    if recipe.show == "line":
        width = axes.WIDE if recipe.is_wide else axes.WIDTH
        lines = [charts.Line(name, values(name)) for name in recipe.y]
        return charts.line_chart(labels, lines, label=recipe.title, write=write, width=width)
    if recipe.show == "histogram":
        return charts.histogram(values(recipe.y[0]), label=recipe.title, write=write, split=None)
    if recipe.show == "columns":
        return charts.columns(labels, values(recipe.y[0]), label=recipe.title, write=write)
    return charts.bars(labels, values(recipe.y[0]), label=recipe.title, write=write, tones=("pos", "neg"))
