"""Every thing the lake knows has a page inside the site's folder, linked, checked, and the same when built again."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
import subprocess
import sys
import urllib.parse
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from planting import insert

from flows import clock, publishing, settings, steps, upkeep
from flows.commands import reading
from reports import addresses, dictionary, figures, proof, proving, site, subject_pages
from reports.blocks import Subject
from reports.subjects import KINDS
from warehouse import errors, lake, runs
from warehouse.tables import feature, market, model, ops

DAYS = [date(2024, 1, 8) + timedelta(days=n) for n in range(3)]
MON, TUE, WED = DAYS
NOW = datetime(2024, 1, 10, tzinfo=UTC)
LOADED = {"retrieved_at": NOW, "load_id": "test"}
MAKER = subject_pages.Maker(WED, f"daily/{WED}", "2026.1")
# Codes and names as no exchange gives them, and as a broken vendor might.
NAMES = {
    "600001.SH": "One",
    "600002.SH": "</script><script>alert(1)</script>",
    "../../etc": "\"' onmouseover='alert(1)",
    "..": "abc\u202e%05.1+\u2066\u200f",
    "a/b\\c:*?": "\u5927" * 200,
    "etc-74ccf3c5": "{{ 7 * 7 }}{% raw %}",
}
CLOSES = dict.fromkeys(NAMES, (10.0, 11.0, 12.1)) | {"600002.SH": (20.0, 19.0)}


def alert(fingerprint, subject, **facts):
    return {
        "fingerprint": fingerprint,
        "rule": "price_limit_broken",
        "severity": "high",
        "subject": subject,
        "subject_date": WED,
        "title": f"{subject} rose by 44 %",
        "action": "Look at it.",
        "evidence": json.dumps({"low": 1.5, "names": ["<b>"]}),
        "evidence_sql": f"select trade_date, close as c, close as c from market.daily where ts_code = '{subject}'",
        "state": "open",
        "first_seen_date": WED,
        "last_seen_date": WED,
        "n_seen": 2,
        "decided_by": "",
        "decision_reason": "",
        "message_id": "",
    } | facts


def card(name, day=WED, **facts):
    return {
        "model_version": f"{name}/{day}",
        "model_name": name,
        "as_of_date": day,
        "train_start": MON,
        "train_end": TUE,
        "n_rows": 9,
        "n_rows_dropped": 1,
        "params": '{"alpha": 0.5, "seed": 20261120, "terms": ["a", "b"]}',
        "is_converged": True,
        "is_champion": True,
        "files_sha256": "ab" * 32,
        "code_version": "0",
        "snapshot": 1,
        "fitted_at": NOW,
    } | facts


def fill(opened):
    stocks = [
        {"ts_code": code, "name": name, "industry": "Bank", "market": "Main", "list_status": "L", "list_date": MON}
        for code, name in NAMES.items()
    ]
    insert(opened, market.STOCK_BASIC, [stock | LOADED for stock in stocks])
    bars, factors, basics = [], [], []
    for code, closes in CLOSES.items():
        for day, close in zip(DAYS, closes, strict=False):
            key = {"ts_code": code, "trade_date": day}
            prices = dict.fromkeys(("open", "high", "low", "close", "pre_close"), close)
            bars.append(key | prices | {"change": 0.0, "pct_chg": 0.0, "vol": 100.0, "amount": close * 10} | LOADED)
            factors.append(key | {"adj_factor": 1.0} | LOADED)
            basics.append(key | {"close": close, "turnover_rate": 1.5} | LOADED)
    for table, rows in ((market.DAILY, bars), (market.ADJ_FACTOR, factors), (market.DAILY_BASIC, basics)):
        insert(opened, table, rows)
    changes = [
        {"ts_code": code, "trade_date": day, "log_return_1d": math.log(closes[at] / closes[at - 1]) if at else None}
        for code, closes in CLOSES.items()
        for at, day in enumerate(DAYS[: len(closes)])
    ]
    insert(opened, feature.LOG_RETURN, changes)
    insert(opened, model.MODEL_VERSION, [card(name) for name in ("ridge", "zero", "equity_pca", "equity_cluster")])
    ridge = {"model_version": f"ridge/{WED}", "model_name": "ridge"}
    insert(
        opened,
        model.LEARNING_CURVE,
        [
            ridge | {"epoch": number, "training_loss": 1 / number, "validation_loss": validation}
            for number, validation in ((1, 0.9), (2, 0.625), (3, 0.75))
        ],
    )
    insert(
        opened,
        model.IMPORTANCE,
        [
            ridge | {"term": term, "loss_increase": rise, "spread": 0.001, "n_shuffles": 5, "n_rows": 4321}
            for term, rise in (("noise", -0.002), ("momentum_20d", 0.125))
        ],
    )
    metric = {"fold": 0, "test_start": MON, "test_end": WED, "metric": "rmse", "n_rows": 9}
    insert(
        opened,
        model.EVALUATION,
        [
            metric | {"model_version": f"{name}/{WED}", "model_name": name, "value": value}
            for name, value in (("ridge", 0.0123), ("zero", 0.0456))
        ],
    )
    forecast = {"forecast_date": WED, "horizon": 5, "forward_return_5d": 0.02, "lower": -0.03, "upper": 0.07}
    insert(
        opened,
        model.FORECAST,
        [forecast | {"model_version": f"ridge/{WED}", "model_name": "ridge", "ts_code": code} for code in NAMES],
    )
    factor = {"model_version": f"equity_pca/{WED}", "model_name": "equity_pca", "factor": 1}
    insert(opened, model.FACTOR, [factor | {"eigenvalue": 2.0, "explained_variance_ratio": 0.5}])
    insert(opened, model.FACTOR_SCORE, [factor | {"score_date": day, "score": 1.5} for day in DAYS])
    insert(
        opened,
        model.FACTOR_LOADING,
        [factor | {"entity": code, "loading": 0.25, "marginal_r2": 0.125} for code in NAMES],
    )
    cluster = {"model_version": f"equity_cluster/{WED}", "model_name": "equity_cluster", "cluster": 2}
    insert(opened, model.CLUSTER, [cluster | {"entity": code} for code in NAMES])
    insert(
        opened,
        ops.ALERT,
        [
            alert(
                "a" * 16,
                "600001.SH",
                state="acknowledged",
                decided_by="Li <i>Wei</i>",
                decision_reason="a split",
                until_date=WED,
            ),
            alert("b" * 16, "macro.series", evidence_sql="select * from nowhere", state="resolved", resolved_date=TUE),
            alert("../../c", "<img src=x onerror=alert(1)>", evidence="not JSON", evidence_sql=""),
        ],
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory, lay_out):
    """A home with six securities, four versions, a factor and three alerts, most of them with names that bite.

    Wednesday was published, Tuesday too; Monday's snapshot is gone.
    """
    folder = tmp_path_factory.mktemp("subjects")
    location = lake.LakeLocation(folder / "lake", memory_limit="1GB", threads=1)
    lay_out(location)
    with lake.open_writer(location, holder="test") as opened:
        fill(opened)
        snapshots = {MON: 100_000, TUE: opened.snapshot, WED: opened.snapshot}
        for day, snapshot in snapshots.items():
            runs.start(opened, f"daily/{day}", day, NOW, "2026.1")
            runs.pin_snapshot(opened, f"daily/{day}", snapshot)
    return folder


@pytest.fixture(scope="module")
def pinned(home):
    """The lake of that home at the snapshot of its last evening."""
    location = lake.LakeLocation(home / "lake", memory_limit="1GB", threads=1)
    with lake.open_reader(location) as newest:
        snapshot = runs.read_snapshot(newest, f"daily/{WED}")
    with lake.open_reader(location, snapshot=snapshot) as reader:
        yield reader


@pytest.fixture(scope="module")
def built(pinned, tmp_path_factory):
    """The site of that lake, in a folder that has neighbours to be safe from."""
    folder = tmp_path_factory.mktemp("desk") / "inner" / "reports"
    site.publish_day(pinned, folder, as_of=WED, run_id=MAKER.run_id, code_version=MAKER.code_version)
    assert subject_pages.publish(pinned, folder, MAKER, is_again=True) == 6 + 4 + 1 + 3
    return folder


def page_of(built, kind, name):
    return (built / addresses.path_of(Subject(kind, name))).read_text("utf-8")


def words_of(page):
    return " ".join(re.sub(r"<(style|script)[^>]*>.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).split())


class Links(HTMLParser):
    """Every address a page leads to, and every tag and attribute it has."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, [name for name, _ in attributes]))
        self.found += [value for name, value in attributes if name in ("href", "src") and value]


def test_every_link_of_the_site_leads_to_a_file_inside_its_folder(built):
    n_links = 0
    for page in built.rglob("*.html"):
        for link in Links(page.read_text("utf-8")).found:
            path = urllib.parse.unquote(link.split("#")[0])
            if link.startswith("data:") or not path:
                continue
            target = (page.parent / path).resolve()
            assert target.is_file() and target.is_relative_to(built), (page, link)
            n_links += 1
    assert n_links > 100


def test_no_name_leaves_the_folder_and_no_two_share_a_page(built):
    outside = [path for path in built.parents[1].rglob("*") if path.is_file() and not path.is_relative_to(built)]

    assert outside == []
    folders = {path.name: len(list(path.iterdir())) for path in built.iterdir() if path.is_dir()}
    assert folders == {"securities": 6, "models": 4, "factors": 1, "alerts": 3}


@pytest.mark.parametrize("name", ["../../etc", "..", "", "a" * 300, "\u202e", "nul\x00", "C:\\x", "~root", ".hidden"])
def test_file_name_is_plain_short_and_its_own(name):
    made = addresses.file_name(name)

    assert re.fullmatch(r"[A-Za-z0-9+_-][A-Za-z0-9.+_-]*", made) and len(made) <= 100
    assert addresses.file_name(made) != made


def test_hostile_names_are_shown_and_never_obeyed(built):
    for page in built.rglob("*.html"):
        text = page.read_text("utf-8")
        read = Links(text)
        assert [tag for tag, _ in read.tags].count("script") in (1, 2) and not dict(read.tags).get("img"), page
        assert not [name for _, held in read.tags for name in held if name.startswith("on")], page
        assert not set(text) & set("\u202e\u2066\u200f\x00"), page
    shown = html.unescape(words_of(page_of(built, "security", "600002.SH")))
    assert "<script>alert(1)</script>" in shown
    assert "{{ 7 * 7 }}" in words_of(page_of(built, "security", "etc-74ccf3c5"))
    # 48 signs of the 200 leave room for the figures.
    assert "\u5927" * 47 + "\N{HORIZONTAL ELLIPSIS}" in page_of(built, "security", "a/b\\c:*?")


def test_every_page_is_what_its_snapshot_says(built, pinned):
    n_figures = 0
    for folder in addresses.FOLDERS.values():
        for page in (built / folder).iterdir():
            n, differences = proving.prove(page.read_text("utf-8"), pinned, code_version=MAKER.code_version)
            assert differences == [], page
            n_figures += n
    assert n_figures > 300


@pytest.mark.parametrize("kind", addresses.FOLDERS)
def test_list_of_pages_is_what_its_snapshot_says(built, pinned, kind):
    text = (built / addresses.list_of(kind)).read_text("utf-8")
    listed = proof.read_page(text).listed

    n, differences = proving.prove(text, pinned, code_version=MAKER.code_version)
    figure = next(name for name, value in listed.items() if value and f'data-figure="{name}">{value}<' in text)
    changed = text.replace(f'data-figure="{figure}">{listed[figure]}<', f'data-figure="{figure}">7<')
    _, found = proving.prove(changed, pinned, code_version=MAKER.code_version)

    assert (n, differences) == (len(listed), []) and changed != text
    assert [(one.name, one.found, one.expected) for one in found] == [(figure, "7", listed[figure])]


def test_list_of_what_there_are_no_lists_of_is_refused(built, pinned):
    text = (built / addresses.list_of("alert")).read_text("utf-8").replace('"name":"alert"', '"name":"planet"')

    with pytest.raises(ValueError, match="there are no lists of 'planet'"):
        proving.prove(text, pinned, code_version=MAKER.code_version)


def test_dictionary_is_what_its_snapshot_says_and_a_changed_count_is_named(built, pinned):
    path = dictionary.publish(pinned, built, as_of=MAKER.as_of, code_version=MAKER.code_version)
    text = path.read_text("utf-8")
    n_codes = pinned.read_value("select count(*) from market.stock_basic")

    n, differences = proving.prove(text, pinned, code_version=MAKER.code_version)
    changed = text.replace(
        f'data-figure="market.stock_basic/2">{n_codes} rows<', 'data-figure="market.stock_basic/2">9 rows<'
    )
    _, found = proving.prove(changed, pinned, code_version=MAKER.code_version)

    assert n > 100 and differences == []
    assert [(one.name, one.found, one.expected) for one in found] == [
        ("market.stock_basic/2", "9 rows", f"{n_codes} rows")
    ]


def test_digit_changed_in_a_page_is_named(built, pinned):
    page = page_of(built, "security", "600001.SH")
    changed = page.replace(">12.10<", ">12.20<", 1)
    assert changed != page

    _, differences = proving.prove(changed, pinned, code_version=MAKER.code_version)

    assert [one.name for one in differences] == ["overview/close/value"]


def test_page_about_what_the_snapshot_does_not_know_is_refused(built, pinned):
    page = page_of(built, "security", "600001.SH").replace('"name":"600001.SH"', '"name":"600009.SH"')

    with pytest.raises(ValueError, match=r"knows no security '600009\.SH' on 2024-01-10"):
        proving.prove(page, pinned, code_version=MAKER.code_version)


def test_site_is_the_same_to_the_byte_when_built_again(built, pinned, tmp_path):
    subject_pages.publish(pinned, tmp_path, MAKER, is_again=True)

    for page in tmp_path.rglob("*.html"):
        if page.name != "index.html":
            assert page.read_bytes() == (built / page.relative_to(tmp_path)).read_bytes(), page


def test_evening_leaves_alone_what_can_no_longer_change_and_writes_what_is_missing(built, pinned, tmp_path):
    shutil.copytree(built, tmp_path / "site")
    # Alert b was resolved the day before; all else may still change.
    assert subject_pages.publish(pinned, tmp_path / "site", MAKER, is_again=False) == 13
    (tmp_path / "site" / addresses.path_of(Subject("alert", "b" * 16))).unlink()

    assert subject_pages.publish(pinned, tmp_path / "site", MAKER, is_again=False) == 14


def test_security_shows_price_forecast_factor_alert_and_who_it_is(built):
    page = page_of(built, "security", "600001.SH")
    listed = proof.read_page(page).listed
    shown = words_of(page)

    # 11 to 12.1 is a tenth; the day before was one too.
    assert listed["overview/close/value"] == "12.1"
    assert listed["price/last-sessions/2024-01-10/1-session"] == "0.1"
    assert listed[f"forecasts/newest-forecasts/ridge-{WED}/forecast"] == "0.02"
    assert listed["factors/equity-factors/factor-1/loading"] == "0.25"
    assert "group 2 of the securities that move alike" in shown
    assert "600001.SH rose by 44 %" in shown
    assert "delisted" not in shown and "suspended" not in shown


def test_security_without_a_bar_on_the_newest_session_says_so(built):
    assert "No bar since 2024-01-09; the newest session is 2024-01-10." in words_of(
        page_of(built, "security", "600002.SH")
    )


def test_model_shows_settings_window_and_metrics_beside_the_naive_ones(built):
    page = page_of(built, "model", f"ridge/{WED}")
    listed = proof.read_page(page).listed

    assert listed["overview/settings/seed/value"] == "20261120"
    assert listed["overview/settings/terms/value"] == '["a", "b"]'
    assert listed["overview/the-fit/Trained-from/value"] == "2024-01-08"
    assert (listed["metrics/metrics/rmse/all"], listed["metrics/metrics/rmse/naive-all"]) == ("0.0123", "0.0456")


def test_model_shows_how_it_learned_and_what_its_forecasts_live_on(built):
    page = page_of(built, "model", f"ridge/{WED}")
    held = proof.read_page(page)

    assert "The smallest is 0.6250, after pass 2 of 3." in held.listed["learning/learning-curve/caption"]
    links = {name: pieces for name, pieces in held.pieces.items() if name.endswith("/data")}
    address = re.search(r"href=(data:.*?) download=", links["learning/learning-curve/data"][0])[1]
    rows = figures.csv_rows(address)
    assert rows == [["pass", "training", "validation"], ["1", "1", "0.9"], ["2", "0.5", "0.625"], rows[3]]
    # The most important first, and a feature that only harms below zero.
    column = "loss-of-r\N{SUPERSCRIPT TWO}"
    losses = {name.split("/")[2]: value for name, value in held.listed.items() if name.endswith(column)}
    assert list(losses.items()) == [("momentum_20d", "0.125"), ("noise", "-0.002")]
    assert "5 shuffles over 4,321 rows" in held.listed["importance/permutation-importance/caption"]


def test_factor_shows_its_size_scores_and_what_it_weighs(built):
    listed = proof.read_page(page_of(built, "factor", "equity_pca/1")).listed

    assert listed["overview/share-of-variance/value"] == "0.5"
    assert listed["overview/newest-score/value"] == "1.5"
    assert listed["loadings/where-it-weighs-most/600001.SH/loading"] == "0.25"
    assert listed[f"refits/versions-that-have-it/equity_pca-{WED}/4"] == "first fit"


def test_alert_shows_its_evidence_and_the_rows_its_query_returns(built):
    page = page_of(built, "alert", "a" * 16)
    listed = proof.read_page(page).listed

    assert listed["evidence/figures-kept-with-it/low/value"] == "1.5"
    assert listed["evidence/its-rows/2024-01-10/c"] == "12.1"
    assert '<a href="../securities/600001.SH.html">600001.SH</a>' in page
    assert f"by Li &lt;i&gt;Wei&lt;/i&gt; until {WED}: a split" in page


def test_alert_whose_query_fails_or_is_missing_keeps_its_page(built):
    failing, without = (words_of(page_of(built, "alert", name)) for name in ("b" * 16, "../../c"))

    assert "The query cannot be run on this snapshot: query failed" in failing and "nowhere" in failing
    assert "no query that shows more" in without and "Evidence: not JSON" in without


def test_nothing_known_later_is_shown(pinned, tmp_path):
    """On Tuesday nothing was fitted, no alert seen, and no bar of Wednesday known."""
    maker = subject_pages.Maker(TUE, f"daily/{TUE}", "2026.1")

    assert subject_pages.publish(pinned, tmp_path, maker, is_again=True) == 6

    page = (tmp_path / "securities" / "600001.SH.html").read_text("utf-8")
    assert proof.read_page(page).listed["overview/close/value"] == "11"
    assert "12.1" not in words_of(page) and "No model has scored it" in page


def test_site_of_an_empty_lake_says_that_there_is_nothing_yet(empty_lake, tmp_path):
    assert subject_pages.publish(empty_lake, tmp_path, MAKER, is_again=True) == 0

    for kind in KINDS:
        assert "There is none yet." in (tmp_path / addresses.list_of(kind.name)).read_text("utf-8")


def test_whole_site_is_built_again_from_the_lake_and_a_day_whose_snapshot_is_gone_is_left(home, built):
    context = steps.open_context(settings.read_settings(home=home, _env_file=None), "daily")
    (context.settings.reports_path / "securities").mkdir(parents=True)
    kept = context.settings.reports_path / f"{MON}.html"
    kept.write_text("as it was")
    told = []

    made = publishing.build_site(context, lambda what, done, total: told.append((what, done, total)))

    assert (made.n_days, made.n_beside) == (2, 14)
    assert [sentence.split(":")[0] for sentence in made.left] == [f"{MON} is left as it is"]
    assert kept.read_text() == "as it was" and told[-1] == ("days", 3, 3)
    pages = {path.relative_to(made.index.parent): path for path in made.index.parent.rglob("*.html")}
    assert {path for path in pages if path.parent.name} == {path.relative_to(built) for path in built.rglob("*/*.html")}
    assert {str(path) for path in pages} >= {"index.html", "dictionary.html", "alerts.html", f"{TUE}.html"}
    index = made.index.read_text("utf-8")
    assert all(f'href="{name}"' in index for name in ("securities.html", "models.html", f"{WED}.html"))


def test_run_for_an_earlier_day_leaves_the_pages_beside_as_they_are(home):
    context = steps.open_context(settings.read_settings(home=home, _env_file=None), "daily", TUE)
    with context.reader() as opened:
        snapshot = runs.read_snapshot(opened, f"daily/{TUE}")
    before = {path: path.read_bytes() for path in context.settings.reports_path.rglob("*.html")}

    assert publishing.publish_beside(context, TUE, snapshot) == 0

    assert {path: path.read_bytes() for path in context.settings.reports_path.rglob("*.html")} == before


def test_site_without_a_published_day_says_what_to_run(empty_lake):
    context = steps.open_context(settings.read_settings(home=empty_lake.location.path.parent, _env_file=None), "daily")

    with pytest.raises(errors.ConfigError, match=r"no run has published a report yet.*`daybook run` first"):
        publishing.build_site(context, steps.no_progress)


def test_page_is_shown_in_the_browser_that_is_named(tmp_path, monkeypatch):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/shown\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    code = "import sys, pathlib; from flows import browsers; browsers.show(pathlib.Path(sys.argv[1]))"

    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a b.html")], check=True)

    assert (tmp_path / "shown").read_text().strip() == (tmp_path / "a b.html").as_uri()


@pytest.mark.parametrize("options", [{"verify": Path("x.html")}, {"form": reading.Form.JSON}], ids=["verify", "json"])
def test_nothing_is_opened_where_no_page_is_written(options):
    with pytest.raises(errors.ConfigError, match="no page to open"):
        reading.report(is_open=True, **options)


def expire(options, monkeypatch):
    """Maintenance as it is two years on, when only what reports read is still kept."""
    later = datetime.now(UTC) + timedelta(days=700)
    monkeypatch.setattr(clock, "read_now", lambda zone: later)
    upkeep.maintain(options)


@pytest.mark.exhaustive
def test_day_published_again_keeps_the_first_snapshot_until_no_page_names_it(tmp_path, lay_out, monkeypatch):
    """The page of an alert that was resolved is not written again: it still needs the snapshot of the first time."""
    options = settings.read_settings(home=tmp_path, _env_file=None)
    lay_out(options.lake)
    with lake.open_writer(options.lake, holder="test") as opened:
        fill(opened)
        runs.start(opened, f"daily/{WED}", WED, NOW, "2026.1")
    context = steps.open_context(options, "daily", WED)
    first = publishing.publish(context, WED)
    publishing.publish_beside(context, WED, first.snapshot)
    with lake.open_writer(options.lake, holder="test") as opened:
        opened.commit(lambda c: c.execute("update market.daily set close = close * 2"), message="corrected")
        # A run that is cut off here has a new snapshot, and the page of the first time.
        runs.pin_snapshot(opened, f"daily/{WED}", opened.snapshot)
    old = options.reports_path / addresses.path_of(Subject("alert", "b" * 16))

    expire(options, monkeypatch)
    assert publishing.prove(options, first.page) and publishing.prove(options, old)

    second = publishing.publish(context, WED)
    publishing.publish_beside(context, WED, second.snapshot)
    expire(options, monkeypatch)
    pages = list(options.reports_path.glob("*/*.html"))
    assert second.snapshot > first.snapshot and len(pages) == 6 + 4 + 1 + 3
    assert all(publishing.prove(options, page) for page in (second.page, *pages))
    assert subject_pages.read_snapshots(options.reports_path) == {first.snapshot, second.snapshot}

    old.unlink()
    publishing.publish_beside(context, WED, second.snapshot)
    expire(options, monkeypatch)
    assert publishing.prove(options, old)
    with pytest.raises(errors.DaybookError), lake.open_reader(options.lake, snapshot=first.snapshot):
        pass


def test_index_is_what_the_snapshots_of_its_days_say_and_a_changed_figure_is_named_by_its_day(built, pinned):
    page = site.publish_day(pinned, built, as_of=MAKER.as_of, run_id=MAKER.run_id, code_version=MAKER.code_version)
    text = (built / "index.html").read_text("utf-8")
    facts = json.loads(page.with_suffix(".json").read_text("utf-8"))
    figure = next(tile["value"] for tile in facts["tiles"] if tile["value"].endswith("%"))

    n, differences = proving.prove_index(text, lambda day, snapshot: site.read_facts(pinned, day))
    changed = text.replace(f">{figure}<", ">+9.99 %<", 1)
    _, found = proving.prove_index(changed, lambda day, snapshot: site.read_facts(pinned, day))

    assert (n, differences) == (len(facts["tiles"]), []) and changed != text
    assert [(one.name, one.found, one.expected) for one in found] == [(str(MAKER.as_of), "+9.99 %", figure)]
