"""`daybook shell` as its user meets it: piped in, typed at a terminal, in DuckDB's own prompt and in ours."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.commands import prompt
from warehouse import attaching, lake

PROGRAM, VERSION = prompt.find_duckdb()
needs_duckdb = pytest.mark.skipif(
    PROGRAM is None or VERSION != attaching.DUCKDB_VERSION,
    reason=f"needs DuckDB's command line {attaching.DUCKDB_VERSION}, beside Python or on the PATH",
)
BOTH = [pytest.param("duckdb", marks=needs_duckdb), "daybook"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a lake of one series."""
    folder = tmp_path_factory.mktemp("home")
    with lake.open_writer(lake.LakeLocation(folder / "lake"), holder="test") as opened:
        opened.commit(
            lambda c: c.execute("insert into macro.release values ('X', '2020-01-01', '2020-02-01', '2020-02-02')"),
            message="a release",
        )
    return folder


def command(home, *arguments):
    return [sys.executable, "-m", "flows.cli", "--home", str(home), *arguments]


def daybook(home, *arguments, typed="", **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAYBOOK")}
    return subprocess.run(
        command(home, *arguments),
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment | variables,
        cwd=home,
    )


def releases(home):
    with lake.open_reader(lake.LakeLocation(home / "lake")) as opened:
        return opened.read("from macro.release").to_pylist()


@pytest.mark.parametrize("whose", BOTH)
def test_piped_statements_are_answered_in_the_lake(home, whose):
    """The last one without its semicolon too."""
    typed = "select 40 + count(*) as forty_one\nfrom macro.release; select 'a;b' as c; select 6 * 7"

    done = daybook(home, "shell", "--prompt", whose, typed=typed)

    assert done.returncode == 0, done.stderr
    assert "forty_one" in done.stdout and "41" in done.stdout and "a;b" in done.stdout and "42" in done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "insert into macro.release values ('Y', '2020-01-01', '2020-02-01', '2020-02-02')",
        "drop table macro.release",
        "create table mine as select 1 as n",
        "call ducklake_cleanup_old_files('lake', cleanup_all => true)",
    ],
)
@pytest.mark.parametrize("whose", BOTH)
def test_nothing_can_be_written_and_the_script_ends_with_the_error(home, whose, statement):
    before = releases(home)

    done = daybook(home, "shell", "--prompt", whose, typed=f"{statement};\nselect 'went' || ' on';")

    assert done.returncode != 0
    assert "went on" not in done.stdout
    assert done.stderr.strip() and "Traceback" not in done.stderr
    assert releases(home) == before


def test_own_prompt_says_an_error_in_one_line(home):
    done = daybook(home, "shell", "--prompt", "daybook", typed="select nothing from nowhere;")

    assert done.stderr.startswith("daybook: Catalog Error: Table with name nowhere does not exist")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("statement", ["copy (select 1) to 'out.csv'", "detach lake"])
def test_own_prompt_reaches_nothing_but_the_lake(home, statement):
    done = daybook(home, "shell", "--prompt", "daybook", typed=f"{statement};")

    assert done.returncode == 10
    assert "only reads the lake" in done.stderr
    assert {path.name for path in home.iterdir()} <= {"lake", "shell_history"}


def test_own_prompt_lists_tables_and_explains_their_columns(home):
    done = daybook(
        home, "shell", "--prompt", "daybook", typed=".tables\n.schema price_adjusted\n.help\n.quit\nselect 1;"
    )

    assert done.returncode == 0
    assert "market.daily" in done.stdout and "analyst.market_day" in done.stdout
    assert "close_adjusted_cny" in done.stdout and "CNY" in done.stdout
    assert ".schema NAME" in done.stdout
    assert "1 row" not in done.stdout


def test_own_prompt_keeps_temporary_tables_and_cuts_long_answers(home):
    typed = (
        "create temp table mine as select range as n from range(1000);\nfrom mine;\nselect sum(n) as total from mine;"
    )

    done = daybook(home, "shell", "--prompt", "daybook", typed=typed)

    assert done.returncode == 0, done.stderr
    assert "the first 100 rows of more" in done.stdout
    assert "499500" in done.stdout


def test_duckdb_of_another_version_is_not_used(home, tmp_path):
    other = tmp_path / "duckdb"
    other.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "v0.9.2 1" || touch "$0.was-run"\n')
    other.chmod(0o755)
    alone = tmp_path / "python"
    alone.symlink_to(sys.executable)
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    if Path(sys.executable).with_name("duckdb").exists():
        pytest.skip("DuckDB's command line stands beside this Python and is found before the PATH is looked at")

    done = daybook(home, "shell", typed="select 6 * 7;", **path)
    refused = daybook(home, "shell", "--prompt", "duckdb", typed="select 6 * 7;", **path)

    assert done.returncode == 0 and "42" in done.stdout
    assert refused.returncode == 10 and "version 0.9.2" in refused.stderr
    assert not (tmp_path / "duckdb.was-run").exists()


def test_missing_lake_is_one_line(tmp_path):
    done = daybook(tmp_path, "shell", typed="select 1;")

    assert done.returncode == 10
    assert done.stderr.startswith("daybook: there is no lake") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select 1; select 2", "one SELECT at a time"),
        ("delete from macro.release", "this is DELETE"),
        ("from ducklake_cleanup_old_files('lake', cleanup_all => true)", "attached for reading"),
    ],
)
def test_sql_refuses_what_is_no_single_question_in_one_line(home, query, said):
    done = daybook(home, "sql", query)

    assert done.returncode in (10, 15) and said in done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""


class Terminal:
    """A prompt at a terminal, to which keys are sent and whose screen is read."""

    def __init__(self, arguments, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execv(arguments[0], arguments)
        self.screen = ""

    def see(self, text, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} is not on the screen: {self.screen[-2000:]}"
            if select.select([self.fd], [], [], 0.2)[0]:
                self.screen += os.read(self.fd, 65536).decode(errors="replace")
        seen, self.screen = self.screen.split(text, 1)
        return seen

    def type(self, text):
        os.write(self.fd, text.encode())

    def interrupt(self):
        """Ctrl-C until the prompt is back: one that falls between readline's key and its wait is not noticed."""
        for _ in range(20):
            self.type("\x03")
            with contextlib.suppress(AssertionError):
                return self.see("daybook> ", timeout_s=3)
        raise AssertionError(f"Ctrl-C brought no prompt: {self.screen}")

    def end(self, number=None):
        """The exit status; a program that has not ended by itself is ended by a signal."""
        if self.pid:
            if number:
                os.kill(self.pid, number)
            self.pid, status = 0, os.waitpid(self.pid, 0)[1]
            os.close(self.fd)
            return os.waitstatus_to_exitcode(status)


@pytest.fixture
def terminal(home):
    opened = Terminal(command(home, "shell", "--prompt", "daybook"), home)
    yield opened
    opened.end(signal.SIGKILL)


def test_person_is_asked_again_after_an_error_and_after_ctrl_c(home, terminal):
    terminal.see("daybook> ")
    terminal.type("select nothing\n")
    terminal.see("...> ")
    terminal.type("from nowhere;\n")
    terminal.see("daybook: Catalog Error")
    terminal.see("daybook> ")
    terminal.type("select count(*) from range(100000) a, range(10000000) b where hash(a.range * b.range) % 7 = 3;\n")
    time.sleep(1.0)
    terminal.type("\x03")
    terminal.see("interrupted")
    terminal.see("daybook> ")
    terminal.type("select half of")
    terminal.see("select half of")
    terminal.interrupt()
    terminal.type("select 6 * 7 as answer;\n")
    terminal.see("42")
    terminal.see("daybook> ")
    terminal.type("\x04")

    assert terminal.end() == 0
    assert "select 6 * 7 as answer;" in (home / "shell_history").read_text()
