"""`daybook demo` as its user runs it, and everything a user does next in the home it leaves."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import gzip
import http
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

import numpy as np
import pytest

import models
from flows import browsers, demo, prefect_api, probes, publishing, serving, settings, steps, vendors
from reports import digest, figures, pictures
from warehouse import errors, lake


def daybook(*arguments, home, **variables):
    command = [sys.executable, "-m", "flows.cli", "--home", str(home), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAYBOOK", "TUSHARE"))}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment | variables, timeout=1200, cwd=Path(home).parent
    )


# Channels where nobody answers: what failed is what tempts a program to print its address.
SECRET = "planted-channel-secret-4711"
DEAD_CHANNELS = (
    f"xml://desk:{SECRET}@127.0.0.1:1/{SECRET}",
    f"mailto://desk:{SECRET}@127.0.0.1:1?from=daybook@desk.example&to=quant@desk.example&mode=insecure",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home in which the demo has run once with its defaults, but for channels that take no alert."""
    folder = tmp_path_factory.mktemp("desk") / "home"
    done = daybook("demo", home=folder, DAYBOOK__ALERT_CHANNELS=json.dumps(DEAD_CHANNELS))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "demo.txt").write_text(done.stdout)
    (folder / "demo.err").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def truth():
    return vendors.SimulatedVendors().truth()


@pytest.fixture
def opened(home):
    options = settings.read_settings(home=home / "demo")
    with lake.open_reader(options.lake) as reader:
        yield reader


def test_demo_ends_with_where_to_look(home):
    lines = (home / "demo.txt").read_text().splitlines()[-5:]

    assert lines[0].startswith("report ") and Path(lines[0].split()[-1]).exists()
    assert "Prefect UI" in lines[2] and "daybook serve --demo" in lines[2]
    assert "try next" in lines[3]


def test_secrets_of_channels_are_in_no_log_lake_report_and_not_in_prefects_database(home, opened):
    coded = base64.b64encode(f"desk:{SECRET}".encode()).strip(b"=")
    needles = (SECRET.encode(), coded, base64.b64encode(SECRET.encode()).strip(b"="))

    bodies = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    found = [
        path
        for path, body in bodies.items()
        if any(needle in (gzip.decompress(body) if path.suffix == ".gz" else body) for needle in needles)
    ]

    waiting = opened.read("select distinct channel, last_error from ops.outbox order by channel").to_pylist()
    assert [one["channel"] for one in waiting] == ["mailto-1", "xml-1"]
    assert all("did not take" in one["last_error"] for one in waiting)
    assert any(path.name == "prefect.db" for path in bodies)
    assert found == []


@pytest.mark.exhaustive
def test_demo_changes_nothing_when_run_again(home, opened, facts_of):
    schemas = ("market", "macro", "feature", "model", "ops")
    before = facts_of(opened, schemas)

    done = daybook("demo", home=home)

    assert done.returncode == 0, done.stderr
    with lake.open_reader(opened.location) as after:
        assert facts_of(after, schemas) == before


def test_equity_factors_span_the_planted_ones(opened, truth):
    rows = opened.read(
        "select score_date, factor, score from model.factor_score where model_name = 'equity_pca'"
        " and model_version = (select min(model_version) from model.factor_score where model_name = 'equity_pca')"
        " order by score_date, factor"
    )
    dates = rows["score_date"].to_pylist()
    n_factors = max(rows["factor"].to_pylist())
    scores = rows["score"].to_numpy().reshape(-1, n_factors)
    position = {day: at for at, day in enumerate(truth.session_dates)}
    planted = truth.factor_returns[[position[day] for day in dates[::n_factors]]]

    # Canonical correlations: singular values of the product of the two orthonormal bases (Bjorck and Golub 1973).
    basis_a, _ = np.linalg.qr(scores - scores.mean(axis=0))
    basis_b, _ = np.linalg.qr(planted - planted.mean(axis=0))
    correlations = np.linalg.svd(basis_a.T @ basis_b, compute_uv=False)

    assert n_factors >= planted.shape[1]
    assert correlations[planted.shape[1] - 1] > 0.95


def test_planted_anomalies_of_the_last_days_are_alerts(opened, truth):
    rule_of = {
        "pct_chg_mismatch": "pct_chg_disagrees",
        "limit_break": "price_limit_broken",
        "price_order": "bar_order",
        "adj_factor_misfit": "adjustment_misfit",
        "return_outlier": "robust_z_outlier",
    }
    planted = {
        (rule_of[one.kind], one.ts_code, one.trade_date)
        for one in truth.anomalies
        if one.kind in rule_of and one.trade_date in truth.session_dates[-2:]
    }

    rows = opened.read("select rule, subject, subject_date from ops.alert").to_pylist()

    assert planted, "the synthetic market plants nothing in its last two days"
    assert planted <= {(row["rule"], row["subject"], row["subject_date"]) for row in rows}


def test_every_model_stands_beside_its_naive_baseline(opened):
    rows = opened.read(
        "select model_name, metric, value from analyst.evaluation where fold = 0 and metric in ('rmse', 'r2_oos')"
    ).to_pylist()
    by_model = {(row["model_name"], row["metric"]): row["value"] for row in rows}

    assert {name for name, _ in by_model} == set(models.MODELS)
    assert by_model["zero", "r2_oos"] == pytest.approx(0.0, abs=1e-12)
    for name in set(models.MODELS) - {"zero"}:
        implied = 1 - by_model[name, "rmse"] ** 2 / by_model["zero", "rmse"] ** 2
        assert by_model[name, "r2_oos"] == pytest.approx(implied, abs=1e-9)


def test_analyst_gets_rows_when_asking_in_sql(home):
    done = daybook("sql", "select count(*) as n_days from analyst.market_day", "--format", "json", home=home / "demo")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["n_days"] > 400


def test_status_tells_what_is_known_to_what_date(home, truth):
    done = daybook("status", home=home / "demo", COLUMNS="200")

    assert done.returncode == 0, done.stderr
    for words in ("known to", "market.daily", str(truth.session_dates[-1]), "last runs", "open alerts"):
        assert words in done.stdout


BAD_INPUT = {
    "unknown option value": (("sql", "select 1", "--format", "xml"), 2, "xml"),
    "unknown command": (("frobnicate",), 2, "frobnicate"),
    "date out of range": (("run", "--as-of", "2199-01-01"), 10, "out of range"),
    "backwards range": (("backfill", "--from", "2026-02-01", "--to", "2026-01-01"), 10, "backwards"),
    "not a date": (("run", "--as-of", "yesterday"), 2, "yesterday"),
    "missing data folder": (("demo", "--data", "no-such-folder"), 10, "no-such-folder"),
    "too many days": (("demo", "--days", "9999"), 10, "9999"),
    "unknown ts_code": (("status", "999999.SH"), 10, "999999.SH"),
    "broken query": (("sql", "select broken from nowhere"), 15, "nowhere"),
    "writing query": (("sql", "delete from market.daily"), 10, "read-only"),
}


@pytest.mark.parametrize(("arguments", "status", "words"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_one_line_and_an_exit_status(home, arguments, status, words):
    done = daybook(*arguments, home=home if arguments[0] == "demo" else home / "demo")

    assert done.returncode == status
    lines = [line for line in done.stderr.splitlines() if line.startswith("daybook: ")]
    assert len(lines) == 1 and words in lines[0]
    assert "Traceback" not in done.stderr


def test_lake_of_a_newer_version_is_refused_in_one_line(home, tmp_path):
    copy = tmp_path / "copy"
    options = settings.read_settings(home=copy)
    with lake.open_writer(options.lake, holder="test") as opened:
        opened.commit(
            lambda connection: connection.execute("update ops.property set value = '99' where name = 'schema_version'"),
            message="from the future",
        )

    done = daybook("status", home=copy)

    assert done.returncode == 15
    assert "schema version 99" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_report_opens_offline_without_a_console_error(home, browser, width):
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error(e.violatedDirective))")

    for pattern, least_pictures in (("20*.html", 10), ("securities/6*.html", 3), ("models/mlp-*.html", 6)):
        page.goto(next((home / "demo" / "reports").glob(pattern)).as_uri())
        assert complaints == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("svg").count() >= least_pictures
    context.close()


def pages_of(home):
    return sorted((home / "demo" / "reports").glob("20??-??-??.html"))


def test_every_page_says_what_its_snapshot_says(home):
    pages = pages_of(home)
    reports = home / "demo" / "reports"
    beside = [next(reports.glob(pattern)) for pattern in ("securities/6*.html", "alerts/*.html", "models/mlp-*.html")]
    for page in beside:
        done = daybook("report", "--verify", page, home=home / "demo")
        assert done.returncode == 0, done.stderr

    for page in pages:
        done = daybook("report", "--verify", page, home=home / "demo")
        assert done.returncode == 0, done.stderr
        assert int(done.stdout.split()[0]) > 400
    assert len(pages) >= 2


def test_models_command_tells_the_versions_of_the_lake_and_what_it_cannot_do(home, opened):
    fitted = opened.read("select distinct model_version from model.version_role")["model_version"].to_pylist()

    told = daybook("models", "list", "--json", home=home / "demo")
    refused = daybook("models", "compare", fitted[0], home=home / "demo")

    assert told.returncode == 0, told.stderr
    assert {row["model_version"] for row in json.loads(told.stdout)} == set(fitted)
    assert [row["model_version"] for row in json.loads(told.stdout) if row["role"] == "champion"] == ["zero/2026-11-19"]
    assert refused.returncode == 10 and "takes 2 versions, not 1" in refused.stderr


def test_digit_changed_in_a_page_is_found_and_named(home, tmp_path):
    page = pages_of(home)[-1].read_text()
    name, digit_at = next(
        (found[1], found.end() - 1)
        for found in re.finditer(r'data-figure="(market/best-of-the-day/[^"]*/1-session)"[^>]*>\+\d', page)
    )
    forged = tmp_path / "forwarded.html"
    forged.write_text(page[:digit_at] + str((int(page[digit_at]) + 1) % 10) + page[digit_at + 1 :])

    done = daybook("report", "--verify", forged, home=home / "demo")

    assert done.returncode == 17
    assert f"  {name}: the page says" in done.stderr and "in 1 places" in done.stderr


def test_figure_of_a_page_is_the_one_an_analyst_reads(home, opened):
    """The exact values in the page against questions written here, not those the report asks."""
    page = pages_of(home)[-1]
    listed = json.loads(re.search(r'id="figures">(.*?)</script>', page.read_text(), re.DOTALL)[1])["figures"]
    rows = opened.read(
        "select ts_code, adjusted / lag(adjusted) over (partition by ts_code order by trade_date) - 1 as change,"
        " trade_date from (select ts_code, trade_date, close * adj_factor as adjusted from market.daily"
        " join market.adj_factor using (ts_code, trade_date)) order by trade_date"
    ).to_pylist()
    change = {row["ts_code"]: row["change"] for row in rows if str(row["trade_date"]) == page.stem}

    shown = {
        name.split("/")[2]: float(value)
        for name, value in listed.items()
        if "-of-the-day/" in name and name.endswith("/1-session")
    }
    assert len(shown) == 16
    assert shown == {code: pytest.approx(change[code], abs=1e-11) for code in shown}
    assert listed["overview/open-alerts/value"] == str(
        opened.read_value("select count(*) from ops.alert where state = 'open'")
    )


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        *(
            (name, width, scheme)
            for name in ("2026-11-20.html", "index.html")
            for width, scheme in ((1400, "light"), (390, "dark"))
        ),
        ("dictionary.html", 390, "dark"),
        ("securities.html", 390, "dark"),
        ("securities/6*.html", 1400, "light"),
        ("models/mlp-*.html", 390, "dark"),
        ("factors/macro_pca-1.html", 1400, "light"),
        ("alerts/*.html", 390, "dark"),
    ],
)
def test_page_keeps_the_accessibility_rules_that_a_program_can_check(home, browser, name, width, scheme):
    """WCAG 2.2 AA as axe-core knows it: contrast, names, landmarks, tables, keyboard."""
    package = pytest.importorskip("axe_playwright_python", reason="needs axe-core, a development dependency")
    axe = (Path(package.__file__).parent / "axe.min.js").read_text()
    # The page's policy forbids foreign scripts, this one included.
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, bypass_csp=True
    )
    page = context.new_page()
    page.goto(next((home / "demo" / "reports").glob(name)).as_uri())
    page.evaluate(axe)

    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")

    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert len(found["passes"]) > 15
    context.close()


def test_report_reads_completely_with_scripts_off(home, browser):
    shown = []
    for is_on in (True, False):
        context = browser.new_context(offline=True, java_script_enabled=is_on)
        page = context.new_page()
        page.goto(pages_of(home)[-1].as_uri())
        shown.append(page.inner_text("main"))
        context.close()

    assert len(shown[1]) > 5000 and shown[0].split() == shown[1].split()


def test_chart_tells_its_numbers_to_pointer_and_keyboard(home, browser):
    context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
    page = context.new_page()
    page.goto(pages_of(home)[-1].as_uri())
    figure = page.locator("figure[data-span]").first
    rows = figures.csv_rows(figure.locator("a[download]").get_attribute("href"))

    figure.locator("svg").focus()
    page.keyboard.press("ArrowLeft")
    by_key = figure.locator("output").inner_text()
    box = figure.locator("svg").bounding_box()
    start = int(figure.get_attribute("data-span").split()[0])
    page.mouse.move(box["x"] + box["width"] * start / 480, box["y"] + box["height"] / 2)
    by_pointer = figure.locator("output").inner_text()
    context.close()

    assert by_key.split()[0] == rows[-1][0] and rows[0][1] in by_key
    assert by_pointer.split()[0] == rows[1][0]


def test_printing_cuts_no_chart_and_no_row(home, browser):
    context = browser.new_context(viewport={"width": 700, "height": 1000}, color_scheme="dark", offline=True)
    page = context.new_page()
    page.goto(pages_of(home)[-1].as_uri())
    page.emulate_media(media="print")

    def styles(selector, name):
        return set(page.eval_on_selector_all(selector, f"all => all.map(one => getComputedStyle(one).{name})"))

    for selector in ("figure", "tr", ".tile", ".note"):
        assert styles(selector, "breakInside") == {"avoid"}, selector
    assert styles("thead", "display") == {"table-header-group"}
    assert styles("nav", "display") == {"none"}
    # Paper is white, also for who reads in the dark.
    assert styles("html", "backgroundColor") == {"rgb(255, 255, 255)"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    # A figure taller than a page would have to be cut: A4 less its margins is 1017 pixels at 96 a inch.
    assert max(page.eval_on_selector_all("figure", "all => all.map(one => one.offsetHeight)")) < 1017
    assert page.pdf(prefer_css_page_size=True)[:5] == b"%PDF-"
    context.close()


def test_pdf_has_no_chart_and_no_row_on_two_pages(home):
    if not any(shutil.which(name) for name in browsers.BROWSERS):
        pytest.skip("needs Chromium, which .ci/run installs")
    context = steps.open_context(settings.read_settings(home=home / "demo"), "daily")

    path = publishing.write_pdf(context, date.fromisoformat(pages_of(home)[-1].stem))

    # Chromium tags what it prints (ISO 32000-1, section 14.8): each element says on which leaf its parts are.
    printed = path.read_bytes()
    objects = dict(re.findall(rb"\n(\d+) 0 obj\n(<</Type /StructElem\n.*?)\nendobj", printed, re.DOTALL))
    parts = {}
    for number, said in objects.items():
        parts.setdefault(re.search(rb"/P (\d+) 0 R", said)[1], []).append(number)

    def inside(number):
        yield number
        for part in parts.get(number, ()):
            yield from inside(part)

    def leaves(number):
        return {leaf for part in inside(number) for leaf in re.findall(rb"/Pg (\d+) 0 R", objects[part])}

    def is_a(kind, number):
        return b"/S /%s\n" % kind in objects[number]

    # The headings of a table that goes on stand on each of its leaves.
    rows = [one for one in objects if is_a(b"TR", one) and any(is_a(b"TD", part) for part in inside(one))]
    drawn = [one for one in objects if is_a(b"Figure", one)]
    text = pages_of(home)[-1].read_text("utf-8")
    assert printed.startswith(b"%PDF-") and printed.count(b"/Type /Page\n") > 4
    assert len(rows) >= text.count('<tr><th scope="row"') and len(drawn) >= text.count("<figure") > 10
    assert {len(leaves(one)) for one in [*rows, *drawn]} == {1}


def test_mail_of_a_day_has_its_pictures_and_its_limits(home):
    context = steps.open_context(settings.read_settings(home=home / "demo"), "daily")
    day = date.fromisoformat(pages_of(home)[-1].stem)

    raw = publishing.write_mail(context, day).read_bytes()
    again = publishing.write_mail(context, day).read_bytes()

    message = email.message_from_bytes(raw, policy=email.policy.default)
    html = message.get_body(("html",)).get_content()
    assert raw == again and len(raw) < 500_000 and len(html.encode()) < 100_000
    titles = re.findall(r"font-weight:600\">([^<]*)</p>", html)
    assert set(digest.PICTURED) | set(digest.TOLD) <= set(titles)
    assert not [title for title in titles if title.startswith(digest.LOOKED_UP)]
    if pictures.has_letters():
        assert html.count("<img") == len(digest.PICTURED)


def test_list_of_securities_is_searched_and_leads_to_a_page(home, browser):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((home / "demo" / "reports" / "index.html").as_uri())
    page.get_by_role("link", name="Securities").click()
    codes = page.locator("tbody tr:visible th")
    n_all = codes.count()

    page.get_by_role("searchbox").fill("600")
    code = codes.first.inner_text()
    n_found, said = codes.count(), page.locator("output").inner_text()
    codes.first.get_by_role("link").click()

    assert 0 < n_found < n_all and said == f"{n_found} of {n_all} securities"
    assert page.get_by_role("heading", level=1).inner_text().startswith(code)
    context.close()


def test_index_is_searched_and_filtered(home, browser):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((home / "demo" / "reports" / "index.html").as_uri())

    def days():
        return page.locator("tbody tr:visible th").all_inner_texts()

    assert days() == ["2026-11-20", "2026-11-19"]
    page.get_by_role("searchbox").fill("11-19")
    assert days() == ["2026-11-19"]
    page.get_by_role("searchbox").fill("")
    page.get_by_role("combobox").select_option("not whole")
    assert days() == [] and page.locator("output").inner_text() == "0 of 2 days"
    context.close()


@pytest.fixture(scope="module")
def webhook():
    """A webhook on loopback: its address, and the messages that it was handed so far."""
    taken = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_address[1]}", taken
    server.shutdown()
    server.server_close()


PREFECT_AUTH, REPORTS_AUTH = "desk:planted-4713-for-prefect", "desk:planted-4714-for-reports"


@pytest.fixture(scope="module")
def served(home, free_port, webhook):
    """`daybook serve --demo` behind passwords on free ports, telling the webhook; the addresses of UI and reports."""
    prefect_port, reports_port = free_port(), free_port()
    environment = os.environ | {
        "DAYBOOK__ALERT_CHANNELS": json.dumps([webhook[0]]),
        "DAYBOOK__PREFECT_AUTH": PREFECT_AUTH,
        "DAYBOOK__REPORTS_AUTH": REPORTS_AUTH,
        "DAYBOOK__PREFECT_PORT": str(prefect_port),
        "DAYBOOK__REPORTS_PORT": str(reports_port),
    }
    log_path = home / "serve.log"
    log_file = log_path.open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "--home", str(home), "serve", "--demo"],
        env=environment,
        stdout=log_file,
        stderr=log_file,
    )
    address = f"http://127.0.0.1:{prefect_port}"
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(deployments_of(address)) < 7:
            assert process.poll() is None, log_path.read_text()
            time.sleep(0.5)
        yield address, f"http://127.0.0.1:{reports_port}"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        log_file.close()


def ask(address, path, **body):
    deadline = time.monotonic() + 60
    while True:
        try:
            return prefect_api.ask(f"{address}/api", path, body, auth=PREFECT_AUTH)
        except urllib.error.HTTPError as refusal:
            # Prefect's server answers so while its SQLite file is locked; Prefect's own client asks again too.
            if refusal.code != http.HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def deployments_of(address):
    try:
        return ask(address, "/deployments/filter")
    except OSError:
        return []


def test_prefect_shows_the_daily_runs_with_steps_artifacts_and_schedule(served):
    address, _ = served

    flow_runs = [run for run in ask(address, "/flow_runs/filter") if run["name"].startswith("daily-")]
    done = [run for run in flow_runs if run["state_type"] == "COMPLETED"]
    task_runs = ask(address, "/task_runs/filter", flow_runs={"id": {"any_": [done[0]["id"]]}})
    artifacts = ask(address, "/artifacts/filter", flow_runs={"id": {"any_": [done[0]["id"]]}})
    deployments = {one["name"]: one for one in deployments_of(address)}

    assert {run["name"] for run in done} == {"daily-2026-11-19", "daily-2026-11-20"}
    assert {run["name"] for run in task_runs} == {"ingest", "returns", "score", "detect", "publish"}
    tables = ("coverage", "returns-summary", "factors", "alerts", "report", "ingest")
    assert {f"daybook-{name}" for name in tables} <= {one["key"] for one in artifacts}
    schedule = deployments["evening"]["schedules"][0]["schedule"]
    assert (schedule["cron"], schedule["timezone"]) == ("30 17 * * 1-5", "Asia/Shanghai")


def test_tables_of_a_run_say_what_the_lake_says(served, opened):
    address, _ = served

    found = {one["key"]: one for one in ask(address, "/artifacts/latest/filter") if one["type"] == "table"}

    tables = {key: json.loads(one["data"]) for key, one in found.items()}
    (bars,) = (row for row in tables["daybook-coverage"] if row["dataset"] == "market.daily")
    assert bars["rows"] == opened.read_value("select sum(n_received) from ops.ledger where dataset = 'market.daily'")
    assert (bars["whole through"], bars["not whole"]) == ("2026-11-20", 0)
    newest = tables["daybook-returns-summary"][0]
    up = "select count(*) from feature.log_return where trade_date = date '2026-11-20' and log_return_1d > 0"
    assert (newest["session"], newest["up"]) == ("2026-11-20", opened.read_value(up))
    n_factors = opened.read_value("select count(*) from model.factor")
    assert len(tables["daybook-factors"]) == n_factors > 2
    assert len(tables["daybook-alerts"]) == opened.read_value(
        "select count(*) from ops.alert where state <> 'resolved'"
    )


def test_lineage_leads_from_the_vendors_to_the_report(served):
    address, _ = served
    made = {"event": {"name": ["prefect.asset.materialization.succeeded"]}}

    found = ask(address, "/events/filter", filter=made, limit=50)["events"]

    from_what = {
        one["resource"]["prefect.resource.id"]: {
            part["prefect.resource.id"] for part in one["related"] if part["prefect.resource.role"] == "asset"
        }
        for one in found
    }

    def origins(asset):
        return {asset} | {origin for one in from_what.get(asset, ()) for origin in origins(one)}

    assert len(from_what) == 6
    assert {"tushare://market", "fred://series"} <= origins("report://daybook/daily")
    assert {one for one in origins("ducklake://daybook/feature") if one not in from_what} >= {"tushare://market"}
    # It says which day it is of, and how much.
    assert any("returns_written" in one["payload"] for one in found)


def test_changes_of_alerts_are_events_with_severity_and_subject(served, opened):
    address, _ = served
    changes = opened.read(
        "select c.fingerprint, c.event, a.severity, a.subject from ops.alert_change as c join ops.alert as a"
        " using (fingerprint) where c.changed_by = 'daybook' order by all"
    ).to_pylist()

    page = ask(address, "/events/filter", filter={"event": {"prefix": ["daybook.alert."]}}, limit=50)
    found = page["events"]
    while page["next_page"]:
        page = prefect_api.ask(page["next_page"], "", auth=PREFECT_AUTH)
        found += page["events"]

    labels = [one["resource"] | {"event": one["event"].rsplit(".", 1)[1]} for one in found]
    told = {
        (one["prefect.resource.id"].rsplit(".", 1)[1], one["event"], *(one[f"daybook.alert.{key}"] for key in keys))
        for keys in [("severity", "subject")]
        for one in labels
    }
    assert told == {tuple(row.values()) for row in changes} and len(told) > 10


def test_run_that_fails_is_told_to_every_channel(served, webhook):
    """By the server itself: an automation sees the failure and starts the flow that tells."""
    address, _ = served
    by_hand = next(one for one in deployments_of(address) if one["name"] == "by-hand")

    ask(
        address,
        f"/deployments/{by_hand['id']}/create_flow_run",
        name="backwards",
        parameters={"start": "2026-11-20", "end": "2026-11-10"},
    )

    # A run is named by its flow and its days, whatever it was called when it was asked for.
    told = "Daybook: backfill: backfill-2026-11-20-to-2026-11-10 failed"
    deadline, titles = time.monotonic() + 120, []
    while time.monotonic() < deadline and told not in titles:
        time.sleep(0.5)
        titles = [one["title"] for one in webhook[1]]
    assert told in titles
    assert "Swap the two days" in webhook[1][titles.index(told)]["message"]


def test_automations_come_with_the_flows(served):
    address, _ = served

    found = {one["name"]: one["trigger"]["posture"] for one in ask(address, "/automations/filter")}

    assert found == {
        "daybook: a run failed": "Reactive",
        "daybook: a run is late": "Proactive",
        "daybook: an alert of high severity": "Reactive",
    }


def options_of(home, address, **overrides):
    known = {"home": home, "prefect_port": int(address.rsplit(":", 1)[1]), "prefect_auth": PREFECT_AUTH}
    return settings.read_settings(**(known | {"_env_file": None} | overrides))


@pytest.mark.parametrize(
    ("auth", "told"), [(None, "asks for a user and a password"), ("desk:wrong-4715-wrong", "refuses the user")]
)
def test_wrong_password_of_prefect_is_named_and_not_shown(served, home, auth, told):
    options = options_of(home, served[0], prefect_auth=auth)

    (first, *_) = probes.ports(options)
    with pytest.raises(errors.ConfigError, match=told):
        serving.serve_deployments(options, {})

    assert first.is_good is False and told in first.advice and "DAYBOOK__PREFECT_AUTH" in first.advice
    assert "wrong-4715" not in str(first)


@pytest.mark.parametrize("auth", ["", "desk:wrong-4715-wrong", "planted-4713-for-prefect"])
def test_prefect_answers_nobody_without_the_password(served, auth):
    address, _ = served

    with pytest.raises(urllib.error.HTTPError) as refused:
        prefect_api.ask(f"{address}/api", "/flow_runs/filter", {}, auth=auth)

    assert refused.value.code == http.HTTPStatus.UNAUTHORIZED
    # What a container's health check asks.
    assert prefect_api.is_up(f"{address}/api/health")


def test_prefect_takes_no_post_without_the_token_against_other_sites(served):
    address, _ = served
    basic = base64.b64encode(PREFECT_AUTH.encode()).decode()
    request = urllib.request.Request(
        f"{address}/api/flows/", data=b'{"name": "planted"}', headers={"Authorization": f"Basic {basic}"}
    )

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)

    assert refused.value.code == http.HTTPStatus.FORBIDDEN
    refused.value.close()


def test_doctor_tells_a_worker_of_another_version_from_one_that_is_right(served, home, monkeypatch):
    address, _ = served
    options = options_of(home, address)

    right = probes.ports(options)
    monkeypatch.setattr(settings, "code_version", lambda: "2099.1")
    wrong = probes.ports(options)

    assert [fact.is_good for fact in right] == [True, True]
    assert [fact.is_good for fact in wrong] == [True, False] and "installed is 2099.1" in wrong[1].found


def test_prefect_ui_asks_for_the_password_and_shows_the_daily_run(served, browser):
    address, _ = served
    page = browser.new_page(viewport={"width": 1400, "height": 900})

    page.goto(f"{address}/runs")
    page.locator("input[type=password]").fill(PREFECT_AUTH)
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    page.goto(f"{address}/runs")
    page.get_by_text("daily-20").first.wait_for(timeout=30_000)
    shown = page.inner_text("body")
    page.close()

    assert "daily" in shown and "Completed" in shown


def test_served_reports_answer_on_loopback(served, home):
    _, address = served
    basic = base64.b64encode(REPORTS_AUTH.encode()).decode()
    request = urllib.request.Request(f"{address}/index.html", headers={"Authorization": f"Basic {basic}"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        body = reply.read().decode()

    assert demo.MARKER not in body
    assert "2026-11-20" in body


def test_page_of_another_site_cannot_read_what_prefect_answers(served):
    """A browser hands an answer to such a page only where the server names its site."""
    address, _ = served

    def allowed(origin):
        request = urllib.request.Request(f"{address}/api/health", headers={"Origin": origin})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.headers["Access-Control-Allow-Origin"]

    assert allowed("https://elsewhere.example") is None
    assert allowed(address) == address


def pause(address, deployment):
    """As the switch in the UI does: a token first, then the change."""
    (schedule,) = deployment["schedules"]
    token = prefect_api.ask(f"{address}/api", "/csrf-token?client=planted", auth=PREFECT_AUTH)["token"]
    request = urllib.request.Request(
        f"{address}/api/deployments/{deployment['id']}/schedules/{schedule['id']}",
        data=b'{"active": false}',
        headers={
            "Authorization": "Basic " + base64.b64encode(PREFECT_AUTH.encode()).decode(),
            "Content-Type": "application/json",
            "Prefect-Csrf-Client": "planted",
            "Prefect-Csrf-Token": token,
        },
        method="PATCH",
    )
    urllib.request.urlopen(request, timeout=30).close()


def test_worker_of_its_own_offers_its_flows_to_a_server_kept_elsewhere(served, tmp_path, free_port):
    """The last of this server's tests: its flows are those of another worker afterwards.

    That worker also says what became of a run that died with the one before it, and leaves alone a run by hand.
    """
    address, _ = served
    nightly = next(one for one in deployments_of(address) if one["name"] == "nightly")
    left = ask(address, f"/deployments/{nightly['id']}/create_flow_run", state={"type": "RUNNING"})["id"]
    by_hand = ask(address, "/flow_runs/", flow_id=nightly["flow_id"], state={"type": "RUNNING"})["id"]
    worker_port = str(free_port())
    environment = os.environ | {
        "DAYBOOK__PREFECT_API_URL": f"{address}/api",
        "DAYBOOK__PREFECT_AUTH": PREFECT_AUTH,
        "DAYBOOK__WORKER_PORT": worker_port,
        "DAYBOOK__SCHEDULES": json.dumps({"maintain": "17 4 * * * UTC"}),
    }
    command = [sys.executable, "-m", "flows.cli", "--home", str(tmp_path)]
    # Somebody pauses a schedule in the UI, which must last.
    paused = next(one for one in deployments_of(address) if one["name"] == "weekly")
    pause(address, paused)
    process = subprocess.Popen([*command, "serve", "--only", "worker"], env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline, crons = time.monotonic() + 120, []
        while time.monotonic() < deadline and crons != ["17 4 * * *"]:
            assert process.poll() is None
            time.sleep(0.5)
            nightly = next(one for one in deployments_of(address) if one["name"] == "nightly")
            crons = [one["schedule"]["cron"] for one in nightly["schedules"]]
        alive = False
        while time.monotonic() < deadline and not alive:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{worker_port}/health"):
                alive = True
        checked = subprocess.run([*command, "doctor", "--alive", "worker"], env=environment, check=False)
        runs = ask(address, "/flow_runs/filter", flow_runs={"id": {"any_": [left, by_hand]}})
    finally:
        process.send_signal(signal.SIGINT)
        ended = process.wait(timeout=60)

    active = {one["name"]: [each["active"] for each in one["schedules"]] for one in deployments_of(address)}
    assert crons == ["17 4 * * *"]
    assert active["weekly"] == [False] and active["evening"] == active["nightly"] == [True]
    assert (alive, checked.returncode, ended) == (True, 0, 0)
    assert {run["id"]: run["state_type"] for run in runs} == {left: "CRASHED", by_hand: "RUNNING"}
    # It has started no server of its own, whose database would be here.
    assert not list(tmp_path.rglob("*.db"))


def test_no_password_is_left_in_a_file_or_a_log(served, home):
    """Run after everything else has; Prefect's database keeps parameters and logs of runs."""
    passwords = [one.split(":")[1].encode() for one in (PREFECT_AUTH, REPORTS_AUTH)]
    passwords += [base64.b64encode(one.encode()) for one in (PREFECT_AUTH, REPORTS_AUTH)]

    files = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size < 50_000_000]
    found = [path.name for path in files if any(one in path.read_bytes() for one in passwords)]

    assert (home / "serve.log").stat().st_size > 0 and any(path.name == "prefect.db" for path in files)
    assert found == []
