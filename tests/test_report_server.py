"""What a monitor is told of a desk: whether it lives, whether it is ready, and figures that are those of the lake."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows import metrics, report_server, serving, settings
from warehouse import errors
from warehouse.sources.faults import Fault

DEPLOY = Path(__file__).parents[1] / "deploy"


@pytest.fixture
def served(desk, free_port):
    """The report server of a desk that has run once, and a function that asks it."""
    options = desk.options.model_copy(update={"reports_port": free_port(), "prefect_port": free_port()})
    with report_server.report_server(options) as address:

        def ask(path):
            try:
                with urllib.request.urlopen(f"{address}{path}", timeout=30) as reply:
                    return reply.status, reply.read().decode()
            except urllib.error.HTTPError as refused:
                return refused.code, refused.read().decode()

        yield ask


def figures(text):
    """Metric name and labels to figure."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures_are_those_of_the_lake(served, desk, truth30):
    day = truth30.session_dates[15]
    n_bars = len(desk.read("from market.daily"))
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()

    status, text = served("/metrics")

    found = figures(text)
    daily = ("dataset", "market.daily")
    assert status == 200 and found["daybook_lake_up",] == 1.0
    assert found["daybook_dataset_known_to_timestamp_seconds", daily] == midnight
    assert found["daybook_dataset_rows", daily] == n_bars > 100
    assert found["daybook_dataset_partitions", daily, ("state", "ok")] == 5
    assert found["daybook_last_run_state", ("flow", "daily"), ("state", "ok")] == 1.0
    assert found["daybook_alerts", ("severity", "high"), ("state", "open")] == 0.0
    on_disk = [path for path in desk.options.root.glob("lake/data/**/*.parquet") if path.is_file()]
    assert 0 < found["daybook_lake_files",] <= len(on_disk)
    assert 0 < found["daybook_lake_bytes",] <= sum(path.stat().st_size for path in on_disk)


def test_gap_shows_in_the_figures_as_an_alert_and_a_partition_that_is_not_whole(served, desk, days):
    desk.vendor.faults.add(Fault("empty", "daily"))
    desk.evening(days[0])

    found = figures(served("/metrics")[1])

    assert found["daybook_dataset_partitions", ("dataset", "market.daily"), ("state", "failed")] == 1
    assert found["daybook_alerts", ("severity", "high"), ("state", "open")] >= 1
    assert found["daybook_last_run_state", ("flow", "daily"), ("state", "degraded")] == 1.0


@pytest.fixture
def days(truth30):
    return truth30.session_dates[16:18]


def test_process_lives_and_says_why_it_is_not_ready(served):
    assert served("/healthz") == (200, "ok\n")
    status, text = served("/readyz")
    assert status == 503 and "Prefect's server does not answer" in text


AUTH = "desk:planted-4718-for-reports"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, free_port):
    """The report server of an empty desk behind a password, and a function that asks it: status, body, headers."""
    ports = {"reports_port": free_port(), "prefect_port": free_port()}
    home = tmp_path_factory.mktemp("guarded")
    options = settings.read_settings(home=home, reports_auth=AUTH, _env_file=None, **ports)
    with report_server.report_server(options) as address:
        (options.reports_path / "2026-11-20.html").write_text("planted page")

        def ask(path, header="", method="GET"):
            request = urllib.request.Request(f"{address}{path}", method=method)
            if header:
                request.add_header("Authorization", header)
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    return reply.status, reply.read().decode(), reply.headers
            except urllib.error.HTTPError as refused:
                return refused.code, refused.read().decode(), refused.headers

        yield ask


def basic(credentials):
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic ?", "Basic ÿ", basic("desk:wrong"), basic(AUTH + "x"), basic(""), f"Bearer {basic(AUTH)[6:]}"],
)
def test_nothing_is_shown_without_the_password(guarded, header):
    for path in ("/", "/2026-11-20.html", "/metrics", "/healthz/../metrics", "/healthz?x"):
        status, body, headers = guarded(path, header)

        assert status == 401 and headers["WWW-Authenticate"].startswith("Basic "), path
        assert "planted" not in body
        assert guarded(path, header, method="HEAD")[:2] == (401, ""), path


def test_everything_is_shown_with_the_password(guarded):
    assert guarded("/2026-11-20.html", basic(AUTH))[:2] == (200, "planted page")
    assert guarded("/metrics", basic(AUTH))[0] == 200
    assert guarded("/2026-11-20.html", basic(AUTH), method="HEAD")[0] == 200


def test_probe_needs_no_password_and_is_told_no_reason(guarded):
    assert guarded("/healthz")[:2] == (200, "ok\n")
    assert guarded("/readyz")[:2] == (503, "not ready\n")
    assert "there is no lake" in guarded("/readyz", basic(AUTH))[1]


def test_password_of_the_reports_stands_in_no_log(guarded, caplog):
    with caplog.at_level("DEBUG", logger="flows"):
        guarded("/2026-11-20.html", basic(AUTH))
        guarded("/2026-11-20.html", basic("desk:wrong-4719"))

    assert "/2026-11-20.html" in caplog.text
    assert not any(one in caplog.text for one in ("planted-4718", basic(AUTH)[6:], "wrong-4719"))


def test_server_beyond_loopback_without_a_password_does_not_start(tmp_path, free_port):
    known = {"home": tmp_path, "reports_port": free_port(), "serve_host": "0.0.0.0", "_env_file": None}

    with (
        pytest.raises(errors.ConfigError, match="ask nobody for a password"),
        report_server.report_server(settings.read_settings(**known)),
    ):
        pass
    with pytest.raises(errors.ConfigError, match="DAYBOOK__PREFECT_AUTH"):
        serving.become_server(settings.read_settings(**known))
    with report_server.report_server(settings.read_settings(**known, serve_open=True)) as address:
        assert urllib.request.urlopen(f"{address}/healthz", timeout=30).status == 200


def test_desk_without_a_lake_is_told_as_such(tmp_path, free_port):
    options = settings.read_settings(home=tmp_path / "none", prefect_port=free_port(), _env_file=None)

    found = figures(metrics.prometheus_text(options).decode())

    assert found["daybook_lake_up",] == 0.0 and found["daybook_home_free_bytes",] > 0
    assert any("there is no lake" in reason for reason in metrics.why_not_ready(options))


def test_lake_is_read_and_never_made(tmp_path):
    options = settings.read_settings(home=tmp_path / "none", _env_file=None)

    metrics.prometheus_text(options)

    assert not options.root.exists()


def names_in(expression):
    return set(re.findall(r"\bdaybook_\w+", expression))


def expressions_of_dashboard():
    board = json.loads((DEPLOY / "grafana" / "daybook.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def test_dashboard_and_alert_rules_ask_for_figures_there_are(served, desk):
    import yaml

    rules = yaml.safe_load((DEPLOY / "prometheus" / "daybook.yml").read_text())
    of_rules = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    there_are = {name for name, *_ in figures(served("/metrics")[1])}

    asked = set().union(*(names_in(one) for one in [*of_rules, *expressions_of_dashboard()]))

    assert len(of_rules) >= 6 and len(expressions_of_dashboard()) >= 8
    assert asked <= there_are


def test_every_rule_and_every_figure_is_told_of_in_the_docs(served):
    import yaml

    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    rules = yaml.safe_load((DEPLOY / "prometheus" / "daybook.yml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    anchors = {rule["annotations"]["runbook"] for group in rules["groups"] for rule in group["rules"]}

    assert {f"docs/operations.md#{alert.lower()}" for alert in alerts} == anchors
    assert [alert for alert in alerts if f"### {alert}\n" not in page] == []
    assert {name for name, *_ in figures(served("/metrics")[1]) if f"`{name}`" not in page} == set()


def test_service_file_is_one_that_systemd_takes(tmp_path):
    """Its programs are named as they are called here, because the verifier looks for them."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / "systemd" / "daybook.service").read_text()
    command = Path(sys.executable).with_name("daybook")
    unit = tmp_path / "daybook.service"
    unit.write_text(text.replace("/opt/daybook/.venv/bin/daybook", str(command)))

    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)

    about_it = [line for line in done.stderr.splitlines() if "daybook.service" in line]
    assert (done.returncode, about_it) == (0, [])
    assert text.count("/opt/daybook/.venv/bin/daybook") == 2
