"""The life of an alert: what opens, ends and brings it back by itself, and what people decide; every change is kept."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from flows import cli
from reports.pages import anomalies
from warehouse import alerts, checks, errors, outbox

DAYS = [date(2026, 11, day) for day in (16, 17, 18, 19, 20)]
AT = datetime(2026, 11, 16, 10, tzinfo=UTC)
RULE = "pct_chg_disagrees"
PRINT = checks.fingerprint(RULE, "A", DAYS[0])
NOTHING = checks.FINDING_SCHEMA.empty_table()


def finding(subject="A"):
    told = {"rule": RULE, "severity": "medium", "subject": subject, "subject_date": DAYS[0]}
    said = {"title": f"{subject} is wrong", "action": "Look.", "evidence": "{}", "evidence_sql": "select 1"}
    return pa.Table.from_pylist([told | said], checks.FINDING_SCHEMA)


@pytest.fixture
def lake(empty_lake):
    """A lake with one alert, opened on the first day and told of."""
    checks.record(empty_lake, finding(), [RULE], DAYS[0])
    outbox.write(empty_lake, outbox.Draft("m1", "medium", "t", "b", (PRINT,), DAYS[0]), ["json-1"], AT)
    return empty_lake


def decision(change, until=None, why="known"):
    return alerts.Decision(change, "Li Wei", why, DAYS[0], AT, until)


def life(lake):
    rows = lake.read("select event, changed_date, changed_by from analyst.alert_change order by change_no").to_pylist()
    return [(row["event"], row["changed_date"].day, row["changed_by"]) for row in rows]


def standing(lake):
    row = lake.read("select state, decided_by, until_date, message_id from ops.alert").to_pylist()[0]
    return row["state"], row["decided_by"], row["until_date"], row["message_id"]


def test_life_of_a_trouble_that_comes_and_goes_is_kept_day_by_day(lake):
    checks.record(lake, NOTHING, [RULE], DAYS[1])
    checks.record(lake, finding(), [RULE], DAYS[2])
    snapshot = lake.snapshot
    checks.record(lake, finding(), [RULE], DAYS[2])

    assert lake.snapshot == snapshot
    assert life(lake) == [("opened", 16, "daybook"), ("resolved", 17, "daybook"), ("reopened", 18, "daybook")]
    assert standing(lake) == ("open", "", None, "")


@pytest.mark.parametrize("change", ["acknowledge", "snooze"])
def test_alert_wakes_on_its_day_and_not_before_when_the_trouble_lasts(lake, change):
    alerts.decide(lake, [PRINT], decision(change, until=DAYS[2]))
    checks.record(lake, finding(), [RULE], DAYS[1])
    before = standing(lake)
    checks.record(lake, finding(), [RULE], DAYS[2])

    assert before == (alerts.CHANGES[change], "Li Wei", DAYS[2], "m1")
    assert standing(lake) == ("open", "", None, "")
    assert life(lake)[1:] == [(alerts.CHANGES[change], 16, "Li Wei"), ("reopened", 18, "daybook")]


def test_acknowledged_alert_without_a_day_stays_so_and_resolves_by_itself(lake):
    alerts.decide(lake, [PRINT[:8]], decision("acknowledge"))
    checks.record(lake, finding(), [RULE], DAYS[4])
    lasting = standing(lake)
    checks.record(lake, NOTHING, [RULE], date(2026, 11, 23))

    assert lasting == ("acknowledged", "Li Wei", None, "m1")
    assert standing(lake)[0] == "resolved"


def test_trouble_that_ended_meanwhile_wakes_nobody(lake):
    alerts.decide(lake, [PRINT], decision("snooze", until=DAYS[2]))
    checks.record(lake, NOTHING, [RULE], DAYS[2])

    assert standing(lake)[0] == "resolved"
    assert [one[0] for one in life(lake)] == ["opened", "snoozed", "resolved"]


def test_run_of_an_earlier_day_does_not_wake_what_a_later_one_saw(lake):
    checks.record(lake, finding(), [RULE], DAYS[4])
    alerts.decide(lake, [PRINT], decision("snooze", until=DAYS[2]))

    checks.record(lake, finding(), [RULE], DAYS[3])

    assert standing(lake)[0] == "snoozed"


def test_reopened_by_hand_and_deciding_twice_changes_nothing(lake):
    alerts.decide(lake, [PRINT], decision("acknowledge"))
    snapshot = lake.snapshot
    twice = alerts.decide(lake, [PRINT], decision("acknowledge"))
    unchanged = lake.snapshot == snapshot
    reopened = alerts.decide(lake, [PRINT], decision("reopen"))

    assert unchanged and twice == [f"{PRINT} (A is wrong) is acknowledged by Li Wei already"]
    assert reopened == [f"{PRINT} (A is wrong) is open now"]
    assert [one[0] for one in life(lake)] == ["opened", "acknowledged", "reopened"]


REFUSED = {
    "no such alert": (["abcdef"], decision("acknowledge"), "no alerts have a fingerprint that begins with abcdef"),
    "no fingerprint": (["A is wrong"], decision("acknowledge"), "'A is wrong' is no fingerprint"),
    "one of two is unknown": ([PRINT, "abcdef"], decision("acknowledge"), "no alerts have"),
    "no reason": ([PRINT], decision("acknowledge", why=" "), "needs a name and a reason"),
    "no day": ([PRINT], decision("snooze"), "until when"),
    "day has passed": ([PRINT], decision("snooze", until=DAYS[0]), "2026-11-16 is not to come"),
    "reopen until": ([PRINT], decision("reopen", until=DAYS[2]), "not reopened until a day"),
}


def test_unfit_decision_is_one_line_and_changes_nothing(lake):
    snapshot = lake.snapshot

    for case, (prints, decided, words) in REFUSED.items():
        with pytest.raises(errors.ConfigError, match=words) as caught:
            alerts.decide(lake, prints, decided)
        assert "\n" not in str(caught.value), case
        assert lake.snapshot == snapshot, case


def test_resolved_alert_cannot_be_snoozed(lake):
    checks.record(lake, NOTHING, [RULE], DAYS[1])

    with pytest.raises(errors.ConfigError, match="is resolved since 2026-11-17: there is nothing to snooze"):
        alerts.decide(lake, [PRINT], decision("snooze", until=DAYS[4]))


def test_report_shows_state_by_whom_and_why_below_what_is_open(lake):
    alerts.decide(lake, [PRINT], decision("snooze", until=DAYS[4], why="vendor knows"))
    checks.record(lake, finding("B"), [], DAYS[0])

    shown = str(anomalies.section(lake, DAYS[1]).blocks)

    assert "snoozed by Li Wei until 2026-11-20: vendor knows" in shown
    assert shown.index("B is wrong") < shown.index("A is wrong")


def labelled(lake, verdicts):
    """One alert of each verdict, all labelled; None leaves one without."""
    found = pa.concat_tables([finding(f"L{n}") for n in range(len(verdicts))])
    checks.record(lake, found, [], DAYS[0])
    for verdict in {True, False} & set(verdicts):
        meant = [checks.fingerprint(RULE, f"L{n}", DAYS[0]) for n, one in enumerate(verdicts) if one is verdict]
        alerts.label(lake, meant, decision("label"), is_true=verdict)


def precision(lake):
    (row,) = alerts.read_precision(lake).to_pylist()
    return row["n_labelled"], row["n_true"], row["precision_fraction"], row["is_mostly_wrong"]


def test_precision_of_a_rule_is_the_share_of_its_labelled_alerts_that_was_true(lake):
    labelled(lake, [True, False, True, None])

    # Two of three labelled alerts, of five.
    assert precision(lake) == (3, 2, pytest.approx(2 / 3), False)


@pytest.mark.parametrize(
    ("verdicts", "is_named"),
    [([False] * 4, False), ([True, True, False, False, False], True), ([True] * 3 + [False] * 3, False)],
)
def test_rule_that_is_mostly_wrong_is_named_in_the_report_from_five_labels_on(lake, verdicts, is_named):
    labelled(lake, verdicts)

    shown = str(anomalies.section(lake, DAYS[0]).blocks)

    n_true = sum(verdicts)
    assert (f"{RULE} ({n_true} of {len(verdicts)} true)" in shown) is is_named


def test_label_that_is_changed_counts_once_and_both_are_kept(lake):
    alerts.label(lake, [PRINT], decision("label"), is_true=True)
    snapshot = lake.snapshot
    twice = alerts.label(lake, [PRINT], decision("label"), is_true=True)
    unchanged = lake.snapshot == snapshot
    alerts.label(lake, [PRINT], decision("label", why="it was a split"), is_true=False)

    assert unchanged and twice == [f"{PRINT} (A is wrong) is labelled true already"]
    assert precision(lake) == (1, 0, 0.0, False)
    assert [one[0] for one in life(lake)] == ["opened", "labelled true", "labelled false"]
    assert standing(lake)[0] == "open"


@pytest.fixture
def daybook(tmp_path, lay_out, monkeypatch, capsys):
    """A function that runs `daybook` over a home whose lake has one alert; it gives status, output and errors."""
    from flows import settings
    from warehouse import lake as lakes

    options = settings.read_settings(home=tmp_path / "home", _env_file=None)
    lay_out(options.lake)
    with lakes.open_writer(options.lake, holder="test") as opened:
        checks.record(opened, finding(), [RULE], DAYS[0])

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["daybook", "--home", str(options.root), *words])
        # Else tables are folded at it.
        monkeypatch.delenv("COLUMNS", raising=False)
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, *capsys.readouterr()

    return run


def test_commands_list_decide_and_show_an_alert(daybook):
    status, listed, _ = daybook("alerts", "list")
    decided = daybook("alerts", "acknowledge", PRINT[:6], "--by", "Li Wei", "--why", "vendor knows")
    _, shown, _ = daybook("alerts", "show", PRINT)

    assert (status, PRINT in listed, "A is wrong" in listed) == (0, True, True)
    assert decided[:2] == (0, f"{PRINT} (A is wrong) is acknowledged by Li Wei now\n")
    assert "acknowledged by Li Wei: vendor knows" in shown


def test_command_labels_an_alert_and_shows_precision(daybook):
    labelled = daybook("alerts", "label", PRINT, "false", "--by", "Li Wei", "--why", "it was a split")
    _, shown, _ = daybook("alerts", "precision")

    assert labelled[:2] == (0, f"{PRINT} (A is wrong) is labelled false now\n")
    assert RULE in shown and "False" in shown


NOT_DONE = (
    (("show", "abcdef"), "no alerts have a fingerprint"),
    (("acknowledge", "abcdef", "--why", "x"), "no alerts have a fingerprint"),
    (("label", "abcdef", "true", "--why", "x"), "no alerts have a fingerprint"),
    (("label", PRINT, "--why", "x"), "wants fingerprints, then true or false"),
    (("label", PRINT, "maybe", "--why", "x"), "wants fingerprints, then true or false"),
    (("label", PRINT, "true"), "needs a name and a reason"),
    (("reopen", PRINT, "--by", "daybook", "--why", "x"), "Give your name with --by"),
    (("label", PRINT, "true", "--by", " Daybook", "--why", "x"), "Give your name with --by"),
    (("acknowledge",), "needs the fingerprints"),
    (("send", PRINT), "takes no fingerprint"),
    (("send",), "no channel is set"),
)


def test_command_that_cannot_be_done_is_one_line(daybook):
    for words, line in NOT_DONE:
        status, out, err = daybook("alerts", *words)

        assert (status, out, err.count("\n")) == (10, "", 1), words
        assert line in err, words
