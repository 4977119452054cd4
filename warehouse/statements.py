"""What may be asked of a lake that is open for reading?

Attaching a lake READ_ONLY stops every INSERT, but not DuckLake's maintenance functions: called on a read-only lake,
`ducklake_cleanup_old_files` deletes data files before its catalog entry is refused, and `ducklake_merge_adjacent_files`
leaves new ones behind (DuckLake 1.5.5, measured 2026-11-21). Invariant: nothing that passes here changes the lake.
Partners: `warehouse/lake.py`, which shields every reader, and `warehouse/attaching.py`, which shields other programs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from warehouse import errors

# Functions that change data files whatever the mode of the attached lake, with their arguments. A macro of the same
# name stands before each; it takes the same arguments, so that a call meets the refusal instead of a binder's error.
_SHIELDED = {
    "ducklake_cleanup_old_files": ("lake", "dry_run", "cleanup_all", "older_than"),
    "ducklake_flush_inlined_data": ("lake", "table_name", "schema_name"),
    "ducklake_merge_adjacent_files": (
        ("lake", "table_name", "schema", "max_compacted_files", "max_file_size", "min_file_size")
    ),
    "ducklake_rewrite_data_files": ("lake", "table_name", "schema", "delete_threshold"),
}
_REFUSAL = "the lake is attached for reading here; Daybook''s own flows maintain it"

# What a prompt over the lake takes. A write among these fails on the read-only lake, and works on a temporary table.
ASKING = ("SELECT", "EXPLAIN", "SET", "TRANSACTION")
SCRATCH = ("CREATE", "INSERT", "UPDATE", "DELETE", "MERGE_INTO", "DROP", "ALTER")

_PIECE = re.compile(
    r"""(?P<opaque>
          [eE]'(?:[^'\\]|\\.|'')*'          # string with escapes
        | '(?:[^']|'')*'                    # string
        | "(?:[^"]|"")*"                    # quoted name
        | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$   # dollar-quoted string
        | --[^\n]*(?:\n|\Z)                 # comment to the end of the line
        | /\*.*?\*/                         # comment
        )
      | (?P<open>['"]|\$\w*\$|/\*)          # one of these that never ends
      | (?P<end>;)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_EXPLAIN = re.compile(r"\s*explain\s+(?:analyze\s+)?(?:\([^)]*\)\s*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """The first rows of an answer, and whether there are more."""

    rows: pa.Table
    has_more: bool


def split(text: str) -> tuple[list[str], str]:
    """The statements of a text that a `;` has ended, and what stands after the last of them.

    A `;` inside a string, a quoted name or a comment ends nothing.

    Returns:
        Whole statements without their `;`, empty ones left out, and the rest, which waits for more.
    """
    whole, begin = [], 0
    for piece in _PIECE.finditer(text):
        if piece["open"]:
            break
        if piece["end"]:
            whole.append(text[begin : piece.start()])
            begin = piece.end()
    return [statement for statement in whole if not is_blank(statement)], text[begin:]


def is_blank(text: str) -> bool:
    """Whether a text holds nothing but blanks and comments."""
    return all(
        (piece["opaque"] or piece["other"] or "x").startswith(("--", "/*")) or not piece[0].strip()
        for piece in _PIECE.finditer(text)
    )


def refuse_unless_one_select(query: str) -> None:
    """Nothing when the query is one SELECT (or DESCRIBE, SHOW, SUMMARIZE, PIVOT, or EXPLAIN of one).

    Raises:
        ConfigError: it is empty, several statements, or one that is no question.
        LakeError: it cannot be read as SQL.
    """
    kinds = _kinds(query)
    if not kinds:
        raise errors.ConfigError("the query is empty. Give one SELECT, such as `from analyst.market_day limit 5`.")
    if len(kinds) > 1:
        raise errors.ConfigError(
            f"one SELECT at a time: this is {len(kinds)} statements, nothing was run. Join them with UNION ALL, "
            "or use `daybook shell`."
        )
    if kinds[0] not in ("SELECT", "EXPLAIN") or _explains_a_change(query, kinds[0]):
        raise errors.ConfigError(
            f"only a SELECT can be asked, and this is {_in_words(kinds[0])}. Nothing was run: the lake is read-only "
            "here, and only Daybook's flows write to it."
        )


def refuse_changes(statement: str) -> None:
    """Nothing when the statement asks, or at most touches temporary tables of its session.

    Raises:
        ConfigError: it would attach, detach, copy, load or maintain something.
        LakeError: it cannot be read as SQL.
    """
    for kind in _kinds(statement):
        if kind not in (*ASKING, *SCRATCH) or _explains_a_change(statement, kind):
            raise errors.ConfigError(
                f"{_in_words(kind)} is not for this prompt, which only reads the lake. Nothing was run. "
                "Files are written by `daybook export`, or `daybook sql --format csv`."
            )


def ask(connection: duckdb.DuckDBPyConnection, statement: str, most_rows: int) -> Answer | None:
    """The first rows that a statement returns, None when it is of a kind that returns none.

    Args:
        connection: a lake's, open for reading.
        statement: one statement.
        most_rows: rows to show; the rest is not computed where that can be helped.

    Raises:
        ConfigError: as `refuse_changes`.
        LakeError: DuckDB cannot run it.
        KeyboardInterrupt: Ctrl-C; the statement was cancelled, the connection is good for the next.
    """
    refuse_changes(statement)
    try:
        result = connection.execute(statement)
        if not result.description or result.description[0][0] == "Success":
            return None
        reader, batches, n_rows = result.to_arrow_reader(most_rows + 1), [], 0
        for batch in reader:
            batches.append(batch)
            n_rows += batch.num_rows
            if n_rows > most_rows:
                break
        return Answer(pa.Table.from_batches(batches, reader.schema).slice(0, most_rows), n_rows > most_rows)
    except (duckdb.Error, OSError) as exc:
        # What fails while rows are handed over comes as Arrow's OSError.
        raise errors.LakeError(str(exc).strip().splitlines()[0]) from exc
    except RuntimeError as exc:
        if not isinstance(exc.__cause__, KeyboardInterrupt):
            raise
        # DuckDB tells of a Ctrl-C, but goes on with the statement until it is told itself (1.5.5).
        connection.interrupt()
        raise KeyboardInterrupt from exc


def shield() -> list[str]:
    """Statements that put a refusal before each function that changes files, for the session they are run in.

    They take 1 ms before a lake is attached and 20 ms after, as DuckDB then looks into the lake for each name.
    """
    return [
        f"create or replace temp macro {name}({', '.join(f'{argument} := null' for argument in arguments)})"
        f" as table select error('{_REFUSAL}') as refusal"
        for name, arguments in _SHIELDED.items()
    ]


def _kinds(text: str) -> list[str]:
    try:
        parsed = duckdb.extract_statements(text)
    except duckdb.Error as exc:
        raise errors.LakeError(f"query failed: {str(exc).strip().splitlines()[0]}") from exc
    # PIVOT is read as a type and a SELECT over it, which have no text of their own.
    is_pivot = len(parsed) > 1 and all(not statement.query for statement in parsed)
    return ["SELECT"] if is_pivot else [statement.type.name for statement in parsed]


def _explains_a_change(statement: str, kind: str) -> bool:
    """Whether an EXPLAIN is of something else than a question: EXPLAIN ANALYZE runs it, a COPY too."""
    if kind != "EXPLAIN":
        return False
    explained = _EXPLAIN.sub("", _without_comments(statement), count=1)
    return _kinds(explained) != ["SELECT"]


def _without_comments(statement: str) -> str:
    return _PIECE.sub(lambda piece: " " if piece[0].startswith(("--", "/*")) else piece[0], statement)


def _in_words(kind: str) -> str:
    return "EXPLAIN of something else" if kind == "EXPLAIN" else kind.replace("_", " ")
