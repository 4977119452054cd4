"""The prompt of `daybook shell`: DuckDB's own where its command line is at hand and fits, else this small one.

Both are attached read-only and take the same statements. Partners: `warehouse/attaching.py`, which says how DuckDB's
is attached, and `warehouse/statements.py`, which knows where a statement ends and what it may do.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands import terminal

if TYPE_CHECKING:
    from warehouse.lake import Lake, LakeLocation

PROMPT, CONTINUED = "daybook> ", "    ...> "
MOST_ROWS = 100
VERSION_TIMEOUT_S = 20
HELP = """\
Statements end with `;`. The lake is read-only; temporary tables are yours. More than 100 rows are cut.
.tables          what is in the lake; views are in schema analyst
.schema NAME     columns of a table or view, with units and meanings
.help            this
.quit            leave, as does Ctrl-D; Ctrl-C cancels the statement"""


def find_duckdb() -> tuple[str | None, str]:
    """DuckDB's command line, beside this Python or on the PATH, and the version it says it has.

    Returns:
        Its path, None when there is none; its version, empty when it does not say one.
    """
    beside = Path(sys.executable).parent / "duckdb"
    program = str(beside) if beside.exists() else shutil.which("duckdb")
    if program is None:
        return None, ""
    try:
        shown = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return program, ""
    found = re.match(r"v?(\d\S*)", shown)
    return program, found[1] if found else ""


def run_duckdb(program: str, script: str) -> int:
    """The exit status of DuckDB's prompt, begun with a script.

    Args:
        program: DuckDB's command line.
        script: statements to begin with; in a file that only its owner reads, and that is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="daybook-") as folder:
        path = Path(folder) / "attach.sql"
        path.write_text(script, encoding="utf-8")
        # Ctrl-C is the prompt's; a handler, unlike ignoring it, is not handed on to the program.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            # A script ends with its first error, as in our own prompt.
            bail = [] if sys.stdin.isatty() else ["-bail"]
            return subprocess.run([program, *bail, "-cmd", f".read '{path}'"], check=False).returncode
        finally:
            signal.signal(signal.SIGINT, before)


def converse(opened: Lake, history: Path) -> None:
    """Ask for statements and show their rows until the input ends.

    A person is asked again after an error; a script ends with it.

    Args:
        opened: the lake, open for reading.
        history: file of what was typed.

    Raises:
        DaybookError: in a script, the first statement that cannot be run.
    """
    from warehouse import errors, statements

    is_person = sys.stdin.isatty()
    if is_person:
        # A program that was started in the background begins with Ctrl-C ignored, and a prompt must not.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    typed = ""
    with _remembered(history) if is_person else contextlib.nullcontext():
        while True:
            try:
                line = _next_line(CONTINUED if typed.strip() else PROMPT, is_person)
                if line is None:
                    break
                if not typed.strip() and line.strip().startswith("."):
                    if _is_farewell(line):
                        return
                    _answer_command(opened, line.split())
                    continue
                whole, typed = statements.split(typed + line + "\n")
                for statement in whole:
                    _show(opened, statement)
            except KeyboardInterrupt:
                if not is_person:
                    raise
                typed = ""
                print("\ninterrupted", file=sys.stderr)
            except errors.DaybookError as exc:
                if not is_person:
                    raise
                print(f"daybook: {exc}", file=sys.stderr)
    if not statements.is_blank(typed):
        _show(opened, typed)


def _next_line(prompt: str, is_person: bool) -> str | None:
    if not is_person:
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None
    try:
        return input(prompt)
    except EOFError:
        print()
        return None


def _show(opened: Lake, statement: str) -> None:
    from warehouse import statements

    answer = statements.ask(opened.connection, statement, MOST_ROWS)
    if answer is not None:
        n = answer.rows.num_rows
        terminal.print_table(answer.rows, "")
        # Below: a title would be folded to the width of a narrow table.
        print(f"the first {n} rows of more" if answer.has_more else f"{n} row{'' if n == 1 else 's'}")


def _is_farewell(line: str) -> bool:
    return line.split()[0] in (".quit", ".exit", ".q")


def _answer_command(opened: Lake, words: list[str]) -> None:
    import pyarrow as pa

    from warehouse import dictionary

    if words[0] == ".tables":
        entries = dictionary.read_entries(opened)
        rows = [{"name": e.full_name, "kind": "view" if e.is_view else "table", "a row": e.meaning} for e in entries]
        terminal.print_table(pa.Table.from_pylist(rows), "")
    elif words[0] == ".schema" and len(words) == 2:
        entry = dictionary.find(dictionary.read_entries(opened), words[1])
        rows = [{"column": c.name, "type": c.type, "unit": c.unit, "meaning": c.meaning} for c in entry.columns]
        print(f"{entry.full_name}: {entry.comment}")
        terminal.print_table(pa.Table.from_pylist(rows), "")
    else:
        print(HELP)


@contextlib.contextmanager
def _remembered(history: Path) -> Iterator[None]:
    """What is typed can be called back with the arrow keys, in later sessions too, where the system can do that."""
    try:
        import readline
    except ImportError:
        yield
        return
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(1000)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(history)


def attach_script(location: LakeLocation) -> str:
    """What DuckDB needs to be told to read the lake, once it is known that it can be read.

    Raises:
        ConfigError: there is no lake.
    """
    from warehouse import attaching, lake

    with lake.open_reader(location):
        return attaching.script(location)
