"""Alerts stand by family with their evidence, apart from what was decided on, and lead to their own pages."""

from __future__ import annotations

import html
import re
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from planting import insert

from flows import alarm_budget, detecting, macro_watch, market_watch, model_watch
from reports import addresses, blocks, site, tracing
from reports.blocks import Note, Table
from reports.pages import anomalies, market, overview
from warehouse import alerts, checks, outages, returns, rule_families
from warehouse.tables import market as market_tables
from warehouse.tables import ops

MON, TUE, WED = (date(2024, 1, day) for day in (8, 9, 10))
TRACE = {"run_id": "r", "snapshot": 1, "code_version": "1"}


def finding(rule, subject, severity="medium", evidence="{}", day=WED):
    return {
        "rule": rule,
        "severity": severity,
        "subject": subject,
        "subject_date": day,
        "title": f"{subject} breaks {rule}",
        "action": f"Mend {subject}.",
        "evidence": evidence,
        "evidence_sql": "from analyst.coverage",
    }


def record(lake, findings, day, rules=()):
    checks.record(lake, pa.Table.from_pylist(findings, checks.FINDING_SCHEMA), list(rules), day)


def told(section):
    return {block.caption: [[cell.text for cell in row] for row in block.rows] for block in tables(section)}


def tables(section):
    return [block for block in section.blocks if isinstance(block, Table)]


def test_every_rule_that_can_open_an_alert_has_one_family():
    ours = {check.rule for check in checks.CHECKS} | {outages.RULE, detecting.ROBUST_Z, market_watch.RULE}
    ours |= {*detecting.MODEL_RULES, detecting.FACTOR_JUMP, *model_watch.RULES, alarm_budget.RULE, macro_watch.RULE}

    assert set(rule_families.OF_RULE) == ours
    assert sum(map(rule_families.count_rules, rule_families.FAMILIES)) == len(ours)


def test_open_alerts_stand_by_family_the_gravest_first_with_their_evidence(empty_lake):
    found = [
        finding("bar_frozen", "600001.SH", evidence='{"close": 10.5, "n_bars": 4, "subject": "600001.SH"}'),
        finding("missing_day", "market.daily", "high"),
        finding("stale_series", "UNRATE", evidence='{"due_date": "2024-01-05"}'),
        finding("market_anomaly", "600002.SH", "low", '{"anomaly_score": 5.0, "drivers": {"return_z": -8.1}}'),
        finding("market_anomaly", "600003.SH", "low", '{"anomaly_score": 7.0}'),
    ]
    record(empty_lake, found, WED)

    section = anomalies.section(empty_lake, WED)

    assert section.blocks[0].text.startswith(
        "5 alerts are open, 1 of high severity: 2 about the data, 1 about single bars, 2 about the market."
    )
    assert section.blocks[0].tone == "warn"
    shown = told(section)
    assert list(shown) == ["The data: 2 open", "Single bars: 1 open", "The market: 2 open"]
    assert [(row[0], row[2]) for row in shown["The data: 2 open"]] == [
        ("high", "\N{EN DASH}"),
        ("medium", "due date 2024-01-05"),
    ]
    # What stands beside it anyway is not said twice; a count is one in its name already.
    (bar,) = shown["Single bars: 1 open"]
    assert bar[2:] == ["close 10.5; bars 4", "Mend 600001.SH.", "2024-01-10", "2024-01-10", "1"]
    assert [row[2] for row in shown["The market: 2 open"]] == [
        "anomaly score 7",
        "anomaly score 5; return z \N{MINUS SIGN}8.1",
    ]


def test_what_was_decided_on_and_what_has_ended_stand_apart(empty_lake):
    """A was snoozed on Monday; B, found on Tuesday, is no longer found on Wednesday; C is open."""
    found = [finding("bar_frozen", name, day=MON) for name in "AB"]
    record(empty_lake, found, TUE)
    wanted = checks.fingerprint("bar_frozen", "A", MON)
    at = datetime(2024, 1, 9, 12, tzinfo=UTC)
    decided = alerts.Decision("snooze", "Li Wei", "vendor knows", TUE, at, date(2024, 2, 1))
    alerts.decide(empty_lake, [wanted], decided)
    record(empty_lake, [found[0], finding("bar_frozen", "C")], WED, ["bar_frozen"])

    today, before = (told(anomalies.section(empty_lake, day)) for day in (WED, TUE))

    assert [row[1] for row in today["Single bars: 1 open"]] == ["C breaks bar_frozen"]
    (snoozed,) = today["Acknowledged or snoozed: 1 decided on"]
    assert snoozed[1] == "A breaks bar_frozen" and "snoozed by Li Wei until 2024-02-01: vendor knows" in snoozed[3]
    (ended,) = (rows for caption, rows in today.items() if caption.startswith("Resolved"))
    assert [row[1] for row in ended] == ["B breaks bar_frozen"]
    # Tuesday's page knows neither of C nor that B would end.
    assert "C breaks" not in str(before) and not any(caption.startswith("Resolved") for caption in before)


def test_day_without_alerts_says_so_and_what_was_looked_at(empty_lake, load_sessions, bars, load_days):
    load_sessions(empty_lake, [TUE, WED])
    load_days(empty_lake, market_tables.DAILY, bars("600001.SH 2024-01-09 10\n600002.SH 2024-01-09 20"))
    nothing = anomalies.section(empty_lake, WED).blocks[0]
    looked = pa.table(
        {
            "trade_date": [TUE],
            "input_hash": pa.array([1], pa.uint64()),
            # 18:05 in Shanghai.
            "checked_at": pa.array([datetime(2024, 1, 9, 10, 5, tzinfo=UTC)], pa.timestamp("us", tz="UTC")),
        }
    )
    insert(empty_lake, ops.CHECKED_SESSION, looked)

    (note,) = anomalies.section(empty_lake, WED).blocks

    n_rules = len(rule_families.OF_RULE)
    assert note.tone == "good"
    assert note.text.startswith(f"No alert is open. {n_rules} rules look for trouble: 17 about the data,")
    assert note.text.endswith("looked at is 2024-01-09, 2 bars, at 18:05 in Shanghai on 2024-01-09.")
    assert nothing.text.endswith("No session's bars have been looked at yet.")
    assert "2024-01-09" not in anomalies.section(empty_lake, MON).blocks[0].text


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ("{}", "\N{EN DASH}"),
        ("", "\N{EN DASH}"),
        ("vol > 0", "vol > 0"),
        ('{"a": 1234, "b": 0.1234567, "c": null, "d": true}', "a 1,234; b 0.123457; c \N{EN DASH}; d yes"),
        ('{"first": ["x", "y", "z", "u"], "n_rows": 4}', "first x, y, z and 1 more; rows 4"),
        (
            '{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9}',
            "a 1; b 2; c 3; d 4; e 5; f 6; g 7; h 8; and 1 more on its page",
        ),
    ],
)
def test_evidence_reads_as_names_and_numbers(evidence, words):
    assert anomalies.evidence_words(evidence) == words


def test_first_screen_leads_to_the_alert_and_to_the_section(empty_lake):
    """Words that lead somewhere are links, and stay the text they were, whatever a vendor wrote into them."""
    alert = finding("missing_day", "market.daily", "high") | {"title": "market.daily <b>2024</b>: no bars"}
    record(empty_lake, [alert], WED)
    builds = (overview.section, market.section, anomalies.section)
    page = site.render_day(
        [tracing.read_section(empty_lake, build, WED) for build in builds], trace=TRACE, as_of=WED, up_colour="red"
    )

    address = f"alerts/{checks.fingerprint('missing_day', 'market.daily', WED)}.html"
    link = f'<a href="{address}">market.daily &lt;b&gt;2024&lt;/b&gt;: no bars</a>'
    assert f"Not whole: {link}." in page
    assert f'1 is of high severity: {link}. See <a href="#anomalies">Anomalies</a>.' in page
    assert f"New alert, high: {link}</li>" in page
    assert 'id="anomalies"' in page and "<b>2024" not in page
    assert "New alert, high: market.daily <b>2024</b>: no bars" in html.unescape(re.sub(r"</?a\b[^>]*>", "", page))


@pytest.mark.parametrize("rule", [outages.RULE, "row_missing"])
def test_first_line_says_not_whole_for_every_gap_that_a_run_counts(empty_lake, rule):
    record(empty_lake, [finding(rule, "tushare", "high")], WED)

    first = overview.section(empty_lake, WED).blocks[0]

    assert (first.text, first.tone) == (f"Not whole: tushare breaks {rule}.", "warn")


def test_words_lead_somewhere_in_their_order_and_those_that_are_missing_are_left_out():
    leads = [blocks.Lead("b", "x"), blocks.Lead("a", "y"), blocks.Lead("c", blocks.Subject("factor", "pca/1"))]

    shown = addresses.followed(blocks.linked("a b < c", *leads), "../")

    assert shown == 'a <a href="#x">b</a> &lt; <a href="../factors/pca-1.html">c</a>'


def test_market_says_how_many_of_its_alerts_stand_among_the_anomalies(
    empty_lake, load_sessions, bars, load_days, stamp
):
    load_sessions(empty_lake, [WED])
    load_days(empty_lake, market_tables.DAILY, bars("600001.SH 2024-01-10 10"))
    returns.update_returns(empty_lake, stamp(1))
    record(empty_lake, [finding("bar_frozen", "600001.SH"), finding("stale_series", "UNRATE")], WED)

    notes = [block.text for block in market.section(empty_lake, WED).blocks if isinstance(block, Note)]

    assert "1 alert of this session stands, about securities or their bars, see Anomalies." in notes
