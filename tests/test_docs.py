"""What the documents say is so."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table_after(heading):
    """Cells of the rows of the first table under a heading, head and rule left out."""
    lines = README.split(f"## {heading}\n", 1)[1].splitlines()
    rows = [line for line in lines if line.startswith("|")]
    first = next(at for at, line in enumerate(lines) if line.startswith("|"))
    length = next((n for n, line in enumerate(lines[first:]) if not line.startswith("|")), len(rows))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in lines[first : first + length]][2:]


def test_map_names_every_folder_and_a_file_that_is_there():
    rows = table_after("The map")

    folders = {row[0].strip("`/") for row in rows}
    kept = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders == kept - {"docs"} - {name for name in kept if name.endswith(".egg-info") or name == "build"}
    assert [row for row in rows if not (ROOT / row[0].strip("`") / row[2].strip("`")).exists()] == []


def test_readme_lists_every_command_and_no_other():
    shown = subprocess.run([sys.executable, "-m", "flows.cli", "--help"], capture_output=True, text=True, check=True)
    commands = set(re.findall(r"^  ([\w-]+) {2,}", shown.stdout.split("Commands:")[1], re.MULTILINE))

    listed = {cell[0].strip("`").removeprefix("daybook ") for cell in table_after("Going live")}

    assert listed == commands
    assert set(re.findall(r"daybook (?:--home \S+ )?([a-z-]+)", README)) >= commands


def test_every_dependency_has_a_reason_and_no_other_is_listed():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.split(r"[<>=! \[]", one, maxsplit=1)[0] for one in declared}
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")

    def is_listed(name):
        return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None

    # The four extensions share one row, the last three by their endings.
    missing = {name for name in names if not is_listed(name) and not is_listed(name.removeprefix("duckdb-extension"))}

    assert missing == set()


def test_lock_names_no_address():
    lock = (ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8")

    assert "://" not in lock
    assert "--hash=sha256:" in lock


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_inside_the_project_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8"))

    assert [link for link in links if not (path.parent / link).exists()] == []


def test_help_imports_neither_prefect_nor_tensorflow():
    code = "import sys, flows.cli; sys.exit(any(name in sys.modules for name in ('prefect', 'tensorflow', 'keras')))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
