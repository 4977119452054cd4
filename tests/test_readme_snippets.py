"""The README's snippets for analysts run as they are written, on a small lake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from flows.commands import prompt
from warehouse import attaching, lake, statements

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
PROGRAM, VERSION = prompt.find_duckdb()


def snippet(tool):
    """The block that follows a line which begins with a tool's name, inside the analysts' section."""
    section = README.split("## Asking from elsewhere\n", 1)[1].split("\n## ", 1)[0]
    found = re.search(rf"^{tool}[^\n]*:\n\n```\w+\n(.*?)```", section, re.DOTALL | re.MULTILINE)
    assert found, f"the README has no snippet for {tool}"
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `daybook.sql` as the README's first line makes it, for a lake of two sessions."""
    home = tmp_path_factory.mktemp("home")
    with lake.open_writer(lake.LakeLocation(home / ".daybook" / "demo" / "lake"), holder="test") as opened:
        for statement in (
            "insert into market.daily by name"
            " select '600000.SH' as ts_code, date '2026-11-19' + day::int as trade_date,"
            " 10.0 as open, 10.0 as high, 10.0 as low, 10.0 as close, 10.0 as pre_close, 1.0 as vol, 1.0 as amount,"
            " timestamptz '2026-11-20 10:00:00+00' as retrieved_at, 'load-1' as load_id from range(2) as days (day)",
            "insert into market.adj_factor by name select ts_code, trade_date, 3.0 as adj_factor, retrieved_at, load_id"
            " from market.daily",
            "insert into feature.log_return by name select ts_code, trade_date, 0.0 as log_return_1d from market.daily",
        ):
            opened.commit(lambda c, statement=statement: c.execute(statement), message="fill")
    line = re.search(r"```console\n(\S+daybook [^\n]+ shell [^\n]+)\n```", README)[1]
    program = home / ".venv" / "bin" / "daybook"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flows.cli "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"HOME": str(home), "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    subprocess.run(["sh", "-c", line], cwd=home, env=environment, check=True)
    return home


def run(tool, folder, monkeypatch):
    """What the snippet has defined when it has run in that folder."""
    monkeypatch.chdir(folder)
    names = {}
    exec(compile(snippet(tool), f"README.md, {tool}", "exec"), names)
    return names


@pytest.mark.parametrize("tool", ["Python", "pandas", "Polars", "DuckDB"])
def test_snippet_has_five_lines(tool):
    assert len([line for line in snippet(tool).splitlines() if line]) in (4, 5)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_python_snippet_prints_the_newest_sessions(folder, monkeypatch, capsys):
    run("Python", folder, monkeypatch)

    shown = capsys.readouterr().out
    assert shown.index("2026-11-20") < shown.index("2026-11-19")


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_pandas_snippet_gives_a_frame(folder, monkeypatch):
    returns = run("pandas", folder, monkeypatch)["returns"]

    assert isinstance(returns, pd.DataFrame)
    assert returns["simple_return_1d"].tolist() == [0.0, 0.0]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_polars_snippet_gives_a_frame_of_adjusted_prices(folder, monkeypatch):
    prices = run("Polars", folder, monkeypatch)["prices"]

    assert isinstance(prices, pl.DataFrame)
    assert prices["close_adjusted_cny"].to_list() == [30.0, 30.0]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_attached_lake_cannot_be_written_by_a_snippets_connection(folder, monkeypatch):
    connection = run("Python", folder, monkeypatch)["lake"]

    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        connection.execute("delete from market.daily")


def test_command_line_snippet_runs_statement_by_statement_in_the_library(folder):
    """The statements are the same for DuckDB's command line, which not every machine has."""
    whole, rest = statements.split(snippet("DuckDB"))
    with duckdb.connect() as connection:
        connection.execute((folder / "daybook.sql").read_text())
        answers = [connection.sql(statement).fetchall() for statement in whole]

    assert len(whole) == 5 and not rest.strip()
    assert ("market_day",) in answers[0]
    assert [row[0].isoformat() for row in answers[3]] == ["2026-11-20", "2026-11-19"]


@pytest.mark.skipif(
    PROGRAM is None or VERSION != attaching.DUCKDB_VERSION,
    reason=f"needs DuckDB's command line {attaching.DUCKDB_VERSION}, beside Python or on the PATH",
)
def test_command_line_snippet_runs_as_written(folder):
    words = re.search(r"`(duckdb -init \S+)`", README)[1].split()

    done = subprocess.run(
        [PROGRAM, *words[1:]], input=snippet("DuckDB"), cwd=folder, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert "market_day" in done.stdout and "close_adjusted_cny" in done.stdout
    assert "2026-11-20" in done.stdout and "600000.SH" in done.stdout


def test_attach_script_names_no_secret_and_attaches_read_only(folder):
    script = (folder / "daybook.sql").read_text()

    assert "READ_ONLY" in script and "password" not in script.lower()
    assert re.findall(r"^load '.*ducklake\.duckdb_extension';$", script, re.MULTILINE)
