"""What the documents tell a reader to do is done here, and ends as they say.

The worked examples of `docs/extending.md` are put into a copy of the project, its demo is run as that page says, and
every `console` line of every document is run on the demo's desk, in one process (`guide_runner.py`). What cannot be run
so has a class of its own below, with what is checked instead. A command that is in no class fails.
"""

from __future__ import annotations

import ast
import enum
import itertools
import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import threading
import typing
from pathlib import Path

import duckdb
import guide_blocks
import numpy as np
import pytest
import typer
import yaml

from flows import cli, deployments, routing, settings
from warehouse import statements

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTENDING = ROOT / "docs" / "extending.md"
PROGRAMS = (".venv/bin/daybook", "daybook")
COMMANDS = list(dict.fromkeys(one for path in DOCUMENTS for one in guide_blocks.commands(path)))
MENTIONS = list(dict.fromkeys(one for path in DOCUMENTS for one in guide_blocks.mentions(path)))

# Commands that stay up or take minutes, and which test runs them with these words.
ELSEWHERE = {
    "serve --demo": ("test_demo.py", "served"),
    "serve": ("test_demo.py", "served"),
    "alerts budget": ("test_alarm_budget.py", "daybook"),
    "forecast-study": ("test_diffusion.py", "test_study_gives_the_published_ratios_and_the_page_in_docs"),
}
# What a document shows refused on a desk where there is nothing to do it to: exit status and words.
REFUSED = {"models release": (10, "nothing to release")}
HAS_CHROMIUM = any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))


def is_daybook(one):
    return one.words[0] in PROGRAMS


def key_of(one):
    """A command as it is run, wherever the program lies."""
    return one.text.removeprefix(".venv/bin/")


def arguments(one):
    """The words after the program, up to where its output goes."""
    words = one.words[1:]
    return words[: words.index(">")] if ">" in words else words


def named(table, words):
    """The entry of a table of commands whose words are all among these, the one of most words first."""
    fitting = [key for key in table if set(key.split()) <= set(words)]
    return table[max(fitting, key=len)] if fitting else None


def kind_of(one):
    """How a command of a document is tried; None when nobody has thought of it."""
    first = one.words[0]
    if is_daybook(one):
        return "elsewhere" if named(ELSEWHERE, arguments(one)) else "run"
    if "-m pytest" in one.text:
        return "benchmark" if {"benchmark", "exhaustive"} & set(one.words) else "run"
    if re.match(r"(export )?[A-Z][A-Z0-9_]+=", one.text):
        return "setting"
    kinds = {
        "make": "make",
        "prefect": "prefect",
        "uvx": "audit",
        "docker": "container",
        "kubectl": "cluster",
        "psql": "script",
    }
    setup = dict.fromkeys(("cd", "install", "for", "printf", "chmod"), "set-up")
    return (kinds | setup).get(first)


def of_kind(kind):
    found = [one for one in COMMANDS if kind_of(one) == kind]
    return pytest.mark.parametrize("one", found, ids=[f"{one.document}: {one.text}" for one in found])


class Collector(socketserver.ThreadingTCPServer):
    """Takes lines of JSON and says `ok`, as the channel of the worked example wants."""

    allow_reuse_address, daemon_threads = True, True

    def __init__(self):
        self.lines = []
        super().__init__(("127.0.0.1", 0), _Line)


class _Line(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.lines.append(json.loads(self.rfile.readline()))
        self.wfile.write(b"ok\n")


@pytest.fixture(scope="module")
def collector():
    server = Collector()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project with everything that `docs/extending.md` adds."""
    folder = tmp_path_factory.mktemp("project")
    for room in ("flows", "models", "reports", "warehouse"):
        shutil.copytree(ROOT / room, folder / room)
    (folder / "tests").mkdir()
    for name in (
        "conftest.py",
        "guide_runner.py",
        "planting.py",
        "postgres_cluster.py",
        "test_features.py",
        "test_feature_leaks.py",
    ):
        shutil.copy2(ROOT / "tests" / name, folder / "tests")
    shutil.copy2(ROOT / "pyproject.toml", folder)
    (folder / "daybook-blocks").mkdir()
    for one in guide_blocks.listings(guide_blocks.renumbered(EXTENDING.read_text("utf-8"), folder)):
        place = f"daybook-blocks/{one.path}" if one.kind == "toml" else one.path
        guide_blocks.apply(guide_blocks.Listing(place, one.kind, one.text), folder)
    return folder


def exported():
    """What the worked examples set."""
    held = [one.words[1].split("=", 1) for one in guide_blocks.commands(EXTENDING) if one.words[0] == "export"]
    return dict(held)


def jobs_of(work):
    """What is to be run, in order, by its text: the demo first."""
    home = {"folder": str(work)}
    jobs = {}
    for path in [EXTENDING, *(path for path in DOCUMENTS if path != EXTENDING)]:
        for one in guide_blocks.commands(path):
            if kind_of(one) != "run":
                continue
            job = home | {"kind": "daybook", "words": arguments(one), "text": one.text}
            if one.words[0] == "python":
                job |= {"kind": "pytest", "words": one.words[3:], "folder": str(work / "project")}
            elif job["words"][0] == "demo":
                job["kind"] = "demo"
            if ">" in one.words:
                job["to"] = one.words[-1]
            if "backfill" in one.words and path == EXTENDING:
                jobs["older"] = home | {"kind": "older", "text": "up_share_20d"}
            if "securities/" in one.text:
                job["folder"] = str(work / ".daybook" / "demo" / "reports")
            # What several documents say is done once.
            jobs.setdefault(key_of(one), job)
    return jobs


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The home folder of a reader who does what the documents say."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def done(tree, collector, work):
    """What came of every command that is run here, by command."""
    (work / "project").symlink_to(tree)
    write_inputs(work)
    jobs = jobs_of(work)
    (work / "jobs.json").write_text(json.dumps(list(jobs.values())))
    place = f"127.0.0.1:{collector.server_address[1]}"
    variables = exported() | {
        "HOME": str(work),
        "PYTHONPATH": str(tree),
        "BROWSER": "/bin/true %s",
        "DAYBOOK__DESK_BLOCKS": str(tree / "daybook-blocks"),
        "DAYBOOK__FORECAST_MODELS": '["zero"]',
        "DAYBOOK__SEED_REPEATS": "1",
        "COLUMNS": "200",
    }
    variables["DAYBOOK__ALERT_CHANNELS"] = variables["DAYBOOK__ALERT_CHANNELS"].replace(
        "collector.desk.example:5140", place
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAYBOOK", "TUSHARE", "FRED"))}
    ended = subprocess.run(
        [sys.executable, tree / "tests" / "guide_runner.py", "jobs.json", "results.json"],
        cwd=work,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = dict(zip(jobs, json.loads((work / "results.json").read_text()), strict=True))
    return {one: results[key_of(one)] for one in COMMANDS if key_of(one) in results}


def write_inputs(work):
    """Files that the documents' readers have: a series, a sheet of FRED-MD's form, a table."""
    lines = ["month,growth"] + [f"{2014 + at // 12}-{1 + at % 12:02d}-01,{(at * 37) % 11 / 100}" for at in range(144)]
    (work / "claims.csv").write_text("\n".join(lines))
    rng = np.random.default_rng(5)
    growth = np.outer(rng.standard_normal(120), rng.uniform(0.5, 1.5, 8)) + 0.3 * rng.standard_normal((120, 8))
    names, codes = (",".join(one) for one in (["sasdate", *"ABCDEFGH"], ["Transform:", *"51515151"]))
    months = [f"{1 + at % 12}/1/{2010 + at // 12}," + ",".join(map(str, row)) for at, row in enumerate(np.exp(growth))]
    (work / "current.csv").write_text("\n".join([names, codes, *months]))
    bars = ["close,volume"] + [f"{10 + x},{100 * y}" for x, y in rng.standard_normal((60, 2)) ** 2]
    (work / "bars.csv").write_text("\n".join(bars))


def outcome(done, document, *words):
    """What a document's command said, chosen by words of it."""
    (found,) = [
        said
        for one, said in done.items()
        if isinstance(one, guide_blocks.Command)
        and one.document == document
        and all(word in one.text for word in words)
    ]
    return found


@pytest.mark.parametrize("one", COMMANDS, ids=lambda one: f"{one.document}: {one.text}")
def test_every_command_of_a_document_is_tried_somehow(one):
    assert kind_of(one), (
        f"{one.document}: no test knows how to try `{one.text}`; give it a class in tests/test_guides.py"
    )


@pytest.mark.exhaustive
@of_kind("run")
def test_command_ends_as_the_document_says(one, done):
    if "pdf" in one.words and not HAS_CHROMIUM:
        pytest.skip("needs Chromium, which .ci/run installs")
    status, words = named(REFUSED, arguments(one) if is_daybook(one) else []) or (0, "")

    assert done[one]["status"] == status, done[one]["said"]
    assert words in done[one]["said"]


@of_kind("elsewhere")
def test_command_that_stays_up_or_takes_long_is_run_by_the_test_that_is_named(one):
    module, name = named(ELSEWHERE, arguments(one))
    written = ast.parse((ROOT / "tests" / module).read_text("utf-8"))
    bodies = [node for node in ast.walk(written) if isinstance(node, ast.FunctionDef) and node.name == name]
    texts = {node.value for body in bodies for node in ast.walk(body) if isinstance(node, ast.Constant)}

    key = max((key for key in ELSEWHERE if set(key.split()) <= set(arguments(one))), key=len)
    assert bodies, f"there is no {name} in {module}"
    assert set(key.split()) <= texts, f"{name} does not run `daybook {key}`"


@pytest.mark.parametrize("one", list(filter(is_daybook, COMMANDS)), ids=lambda one: f"{one.document}: {one.text}")
def test_command_line_is_one_that_the_program_takes(one):
    """Before anything is run, so that a slip in a document is told in a second."""
    parse(arguments(one))


def parse(words):
    """Read a command line as the program does, and run nothing."""
    group = typer.main.get_command(cli.app)
    context = group.make_context("daybook", list(words), resilient_parsing=False)
    rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
    name, command, rest = group.resolve_command(context, rest)
    with command.make_context(name, list(rest), parent=context):
        pass


@pytest.mark.parametrize("one", MENTIONS, ids=lambda one: f"{one.document}: {one.text}")
def test_command_in_a_text_has_a_name_and_options_that_there_are(one):
    commands = typer.main.get_command(cli.app).commands
    words = re.sub(r"[\[\]|]", " ", one.text).split()[1:]
    if words and words[0] == "--home":
        words = words[2:]
    if not words or words[0].startswith("--version"):
        return
    command = commands[words[0]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    (function,) = [each for each in cli.COMMANDS if each.__name__ == words[0].replace("-", "_")]
    first = next(iter(typing.get_type_hints(function).values()))
    choices = {each.value for each in first} if isinstance(first, enum.EnumType) else set()

    assert [word for word in words if word.startswith("-") and word not in known] == []
    if choices and len(words) > 1 and re.fullmatch("[a-z]+", words[1]):
        assert words[1] in choices


@pytest.mark.parametrize(
    "words",
    [
        "alerts list --stat open",
        "status --what",
        "frobnicate",
        "alerts lisst",
        "report --format doc",
        "export",
        "run now",
    ],
)
def test_misspelt_command_does_not_pass(words):
    """The canary of the two tests above."""
    with pytest.raises(typer.TyperException):
        parse(words.split())


@of_kind("setting")
def test_variable_of_a_document_is_a_setting_and_its_value_is_taken(one):
    name, value = one.text.removeprefix("export ").split("=", 1)
    fields = settings.Settings.model_fields
    field = name.removeprefix(settings.PREFIX).lower()

    assert field in fields or name in ("TUSHARE_TOKEN", "FRED_API_KEY")
    if field == "alert_channels":
        assert routing.read(json.loads(one.words[-1].split("=", 1)[1]))
    assert value


@of_kind("make")
def test_target_of_make_is_there(one):
    assert re.search(rf"^{one.words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@of_kind("benchmark")
def test_benchmark_or_long_test_is_there(one):
    files = [ROOT / word for word in one.words if word.endswith(".py")]
    mark = one.words[one.words.index("-m", one.words.index("pytest")) + 1]

    for name in (word.split("=")[0] for word in one.words if re.match(r"DAYBOOK_\w+=", word)):
        assert any(name in file.read_text("utf-8") for file in files)
    assert files and all(f"mark.{mark}" in file.read_text("utf-8") for file in files)


@of_kind("script")
def test_script_for_the_database_is_there(one):
    """`tests/test_deploy.py` runs it in a PostgreSQL of its own, with the variable that the document sets."""
    script = ROOT / one.words[one.words.index("-f") + 1]

    assert "secrets" in script.read_text("utf-8") and "-v secrets=" in one.text
    assert f'"{script.name}"' in (ROOT / "tests" / "test_deploy.py").read_text("utf-8")


@of_kind("container")
def test_container_command_names_files_and_services_that_there_are(one):
    services = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text("utf-8"))["services"]
    words = one.words

    if words[1] == "build":
        assert (ROOT / words[words.index("-f") + 1]).exists()
    elif "exec" in words:
        service, *rest = words[words.index("exec") + 1 :]
        assert service in services
        if rest[0] == "daybook":
            parse(rest[1:])
    else:
        assert {word for word in words[3:] if re.fullmatch("[a-z]+", word)} <= set(services)


@of_kind("prefect")
def test_command_of_prefect_is_one_it_has_for_a_deployment_there_is(one):
    subcommand = list(itertools.takewhile(lambda word: "/" not in word, one.words[1:]))
    offered = {f"{each.flow_name}/{each.name}" for each in deployments.deployments()}

    told = subprocess.run([sys.executable, "-m", "prefect", *subcommand, "--help"], capture_output=True, text=True)

    assert f"Usage: prefect {' '.join(subcommand)} " in told.stdout
    assert {word for word in one.words if "/" in word} <= offered


@of_kind("audit")
def test_audit_reads_the_lock_that_there_is(one):
    assert (ROOT / one.words[one.words.index("-r") + 1]).exists()


@of_kind("cluster")
def test_cluster_command_names_files_and_objects_that_there_are(one):
    manifests = [*(ROOT / "deploy" / "kubernetes").glob("*.yaml"), *(ROOT / "deploy" / "postgres").glob("*.yaml")]
    held = [each for path in manifests for each in yaml.safe_load_all(path.read_text("utf-8")) if each]
    names = {each["metadata"]["name"] for each in held if "metadata" in each} | {"daybook"}

    told = {re.sub(r"-\d+$", "", name) for name in re.findall(r"(?:^|[ /])(daybook(?:-[a-z0-9]+)*)(?= |$)", one.text)}
    assert told <= names
    assert [
        folder for folder in re.findall(r"-k (\S+)", one.text) if not (ROOT / folder / "kustomization.yaml").exists()
    ] == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, as its reader does")
def test_files_of_secrets_are_made_as_the_document_says(tmp_path):
    lines = [one.text for one in COMMANDS if kind_of(one) == "set-up" and one.words[0] != "cd"]

    variables = {"PATH": os.environ["PATH"], "TUSHARE_TOKEN": "a token"}
    subprocess.run(["sh", "-ec", "\n".join(lines)], cwd=tmp_path, env=variables, check=True, timeout=60)

    made = {path.name: path.read_text().strip() for path in (tmp_path / "secrets").iterdir()}
    compose = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text("utf-8"))
    assert {Path(one["file"]).name for one in compose["secrets"].values()} <= set(made)
    assert made["tushare_token"] == "a token" and len(made["lake_writer_password"]) == 48
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


@pytest.fixture(scope="module")
def asked(done, work):
    """The lake of the desk, attached as the README tells an analyst to do it."""
    with duckdb.connect() as connection:
        connection.execute((work / "daybook.sql").read_text())
        yield connection


@pytest.mark.exhaustive
def test_added_series_is_in_the_lake_with_the_day_it_became_known(asked):
    """October's value is published a day after the month, and that was a Sunday."""
    found = asked.sql(
        "select cast(realtime_start as varchar), value from macro.observation where series_id = 'TB3MS'"
        " and observation_date = date '2026-10-01'"
    ).fetchall()

    ((known, value),) = found
    assert known >= "2026-11-01" and 0 < value < 20
    assert asked.sql("select count(*) from macro.observation where series_id = 'TB3MS'").fetchone()[0] == 442


@pytest.mark.exhaustive
def test_added_table_came_through_contract_and_ledger(done, asked):
    states = asked.sql(
        "select state, count(*), sum(n_received) from ops.ledger where dataset = 'market.stk_limit' group by state"
    ).fetchall()
    n_rows, n_sessions = asked.sql("select count(*), count(distinct trade_date) from market.stk_limit").fetchone()
    comment = asked.sql(
        "select comment from duckdb_columns() where table_name = 'stk_limit' and column_name = 'up_limit'"
    ).fetchone()

    assert states == [("ok", n_sessions, n_rows)] and n_sessions == 420
    assert comment == ("Highest price allowed. [CNY]",)
    # Ten percent of 9.99 is 0.999: the limit is 10.99, not 10.989.
    assert asked.sql("select count(*) from market.stk_limit where round(up_limit, 2) <> up_limit").fetchone() == (0,)


@pytest.mark.exhaustive
def test_added_feature_is_computed_for_all_days_of_a_lake_that_had_it_not(done, asked):
    """Against a question that knows nothing of windows over matrices: the last twenty sessions of each security."""
    ((n_differing, n_compared, n_missing),) = asked.sql(
        "with sessions as (select trade_date, row_number() over (order by trade_date) as n"
        " from (select distinct trade_date from feature.log_return)),"
        " rises as (select ts_code, n, log_return_1d > 0 as is_up from feature.log_return join sessions"
        " using (trade_date) where log_return_1d is not null),"
        " expected as (select f.ts_code, f.trade_date, avg(r.is_up::int) as share, count(*) as n_held"
        " from feature.log_return as f join sessions as s using (trade_date)"
        " join rises as r on r.ts_code = f.ts_code and r.n between s.n - 19 and s.n group by all)"
        " select count(*) filter (where abs(up_share_20d - share) > 1e-12), count(up_share_20d),"
        " count(*) filter (where n_held >= 10 and up_share_20d is null)"
        " from expected join feature.feature using (ts_code, trade_date)"
    ).fetchall()

    assert (n_differing, n_missing) == (0, 0) and n_compared > 7000
    assert re.search(r"\b[4-9] passed", outcome(done, "extending.md", "python -m pytest")["said"])


@pytest.mark.exhaustive
def test_added_model_is_fitted_judged_and_forecasts(done, asked):
    found = asked.sql(
        "select role, count(*) from analyst.forecast where model_name = 'vote' and forecast_date = date '2026-11-20'"
        " group by role"
    ).fetchall()

    bars = asked.sql("select count(*) from feature.feature where trade_date = date '2026-11-20'").fetchone()
    assert found == [("challenger", *bars)] and bars[0] > 10
    assert "vote/2026-11-20" in outcome(done, "extending.md", "models list")["said"]


@pytest.mark.exhaustive
def test_added_block_stands_on_the_page(done, asked, work):
    page = (work / ".daybook" / "demo" / "reports" / "2026-11-20.html").read_text("utf-8")
    (value,) = asked.sql(
        "select value from macro.observation where series_id = 'TB3MS' and observation_date = date '2026-10-01'"
    ).fetchone()

    assert f"The three-month bill stood at {value:.2f}" in page
    assert "Short rates, as known" in page and "From main.macro_asof; block rates.toml" in page


@pytest.mark.exhaustive
def test_added_channel_delivers_what_the_lake_says_was_sent(done, asked, collector):
    sent = {row[0] for row in asked.sql("select message_id from ops.outbox where state = 'sent'").fetchall()}

    assert sent and {line["id"] for line in collector.lines} == sent
    assert "lines-1" in outcome(done, "extending.md", "alerts messages")["said"]


def blocks_of(document, language):
    """The blocks of a document in one language, in its order."""
    found = guide_blocks.FENCE.findall((ROOT / "docs" / document).read_text("utf-8"))
    return [text for kind, text in found if kind == language]


@pytest.fixture(scope="module")
def answers(asked):
    """What each query of `docs/analyst.md` returns: rows as dicts, by a word that only it has."""
    wholes = [one for block in blocks_of("analyst.md", "sql") for one in statements.split(block)[0]]
    found = {}
    for text in wholes:
        cursor = asked.execute(text)
        names = [each[0] for each in cursor.description]
        found[text] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def choose(word):
        (rows,) = [rows for text, rows in found.items() if word in text]
        return rows

    return choose


@pytest.mark.exhaustive
def test_catalog_says_the_units_of_bars(answers):
    units = {row["column_name"]: row["comment"].rsplit("[", 1)[1].rstrip("]") for row in answers("duckdb_columns()")}

    assert units["vol"] == "lots of 100 shares" and units["pct_chg"] == "percent" and units["close"] == "CNY"


@pytest.mark.exhaustive
def test_views_have_plain_units(answers):
    rows = answers("v.volume_shares")

    assert len(rows) == 3
    assert all(row["volume_shares"] == pytest.approx(row["vol"] * 100) for row in rows)
    assert all(row["amount_cny"] == pytest.approx(row["amount"] * 1000) for row in rows)


@pytest.mark.exhaustive
def test_days_on_which_raw_and_adjusted_returns_differ_are_those_whose_factor_changed(answers, asked):
    rows = answers("raw_return - adjusted_return")

    assert rows
    for row in rows:
        newest = asked.execute(
            "select adj_factor from market.adj_factor join market.daily using (ts_code, trade_date)"
            " where ts_code = $code and trade_date <= $day order by trade_date desc limit 2",
            {"code": row["ts_code"], "day": row["trade_date"]},
        ).fetchall()
        assert newest[0] != newest[1], row


@pytest.mark.exhaustive
def test_forward_adjusted_price_of_the_last_day_is_the_traded_one(answers):
    rows = answers("from price_adjusted_asof")

    assert len(rows) == 3 and all(row["close_adjusted_cny"] == row["close_cny"] for row in rows)


@pytest.mark.exhaustive
def test_release_is_known_from_its_day_and_not_before(answers):
    newest = {str(row["as_of"]): str(row["newest"]) for row in answers("from macro_asof")}

    assert newest == {"2026-11-05": "2026-09-01", "2026-11-06": "2026-10-01"}


@pytest.mark.exhaustive
def test_universe_of_a_day_holds_those_that_went_since(answers, asked):
    ((n_listed, n_gone),) = asked.sql(
        "select count(*), count(*) filter (where delist_date <= date '2026-11-20') from market.stock_basic"
        " where list_date <= date '2025-06-30' and (delist_date is null or delist_date > date '2025-06-30')"
    ).fetchall()

    assert answers("universe_asof('2025-06-30')") == [{"n_listed": n_listed, "n_gone": n_gone}] and n_gone > 0


@pytest.mark.exhaustive
def test_table_is_read_as_it_stood(answers, asked):
    (old,) = answers("at (version")
    listed, runs = answers("ducklake_snapshots"), answers("analyst.run")
    expected = asked.execute("select count(*) from market.daily where trade_date <= $day", {"day": old["newest"]})

    assert str(old["newest"]) < "2026-11-19" and old["n_rows"] == expected.fetchone()[0]
    assert len(listed) == 3 and listed[0]["snapshot_id"] > runs[0]["snapshot"]
    assert str(runs[0]["as_of_date"]) == "2026-11-20"


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_frames_of_pandas_and_polars_have_the_figures_of_the_lake(asked, work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    said = []
    for text in blocks_of("analyst.md", "python"):
        exec(compile(text, "docs/analyst.md", "exec"), {})
        said.append(capsys.readouterr().out.splitlines())

    correlations = {line.split()[0]: float(line.split()[1]) for line in said[0] if "." in line}
    best = [line.split(",") for line in said[1][1:] if line]
    expected = asked.sql(
        "select ts_code, close_adjusted_cny / lag(close_adjusted_cny, 20) over days - 1 as month"
        " from analyst.price_adjusted window days as (partition by ts_code order by trade_date)"
        " qualify lead(trade_date) over days is null and month is not null order by month desc limit 3"
    ).fetchall()
    assert len(correlations) >= 18 and all(-1 <= value <= 1 for value in correlations.values())
    assert [row[0] for row in best] == [code for code, _ in expected]
    assert [float(row[-1]) for row in best] == pytest.approx([month for _, month in expected])


@pytest.mark.exhaustive
def test_exports_hold_what_the_lake_holds(asked, done, work):
    with duckdb.connect(str(work / "lake.duckdb"), read_only=True) as copy:
        held = copy.sql("select count(*), max(trade_date) from market.daily").fetchone()
    returns = duckdb.read_parquet(str(work / "returns" / "**" / "*.parquet"), union_by_name=True)

    assert held == asked.sql("select count(*), max(trade_date) from market.daily").fetchone()
    assert {"simple_return_1d", "n_up"} <= set(returns.columns)


@pytest.mark.exhaustive
def test_drill_puts_everything_back(done, work):
    said = outcome(done, "engineer.md", "drill", "verify")["said"]

    assert "BAD" not in said and said.count("ok ") > 5
    homes = (work / ".daybook" / "demo", work / "daybook-drill")
    kept, back = (sorted(path.name for path in (home / "reports").glob("20*.html")) for home in homes)
    assert kept == back == ["2026-11-20.html"]
