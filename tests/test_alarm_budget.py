"""A week with more alerts than a desk can look at is an alert, and a replay says which thresholds keep it quiet."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from planting import insert

from flows import alarm_budget, alarm_replay, cli, detecting, market_watch, settings, steps
from warehouse import alerts, checks, features, returns
from warehouse import lake as lakes
from warehouse.tables import ops

# A Friday; week 0 begins on the Saturday before.
LAST = date(2024, 3, 29)
OLD, LOUD, GRAVE = "stale_series", "bar_frozen", "missing_day"


def day(n_before):
    return LAST - timedelta(days=n_before)


def findings(rule, *subjects, severity="medium"):
    said = {"title": "t", "action": "a", "evidence": "{}", "evidence_sql": "select 1"}
    rows = [said | {"rule": rule, "severity": severity, "subject": one, "subject_date": day(9)} for one in subjects]
    return pa.Table.from_pylist(rows, checks.FINDING_SCHEMA)


def run_of(lake, found, on, per_week, *, rules=(OLD, LOUD)):
    """What a run of a day does: the budget looked at with what it found, then all recorded."""
    judged = alarm_budget.find(lake, found, per_week, on)
    checks.record(lake, pa.concat_tables([found, judged]), [*rules, alarm_budget.RULE], on)
    return lake.read(
        "select state, subject_date, title from ops.alert where rule = $rule", rule=alarm_budget.RULE
    ).to_pylist()


def test_week_beyond_the_budget_is_one_alert_that_names_the_loudest_and_ends_with_it(empty_lake):
    first = findings(OLD, "A", "B")
    more = pa.concat_tables([first, findings(LOUD, "A", "B", "C", "D")])
    within = run_of(empty_lake, first, day(8), 5)
    # Six days after the first two opened there are four more; two days later the first two are out of the week.
    beyond = run_of(empty_lake, more, day(2), 5)
    snapshot = empty_lake.snapshot
    again = run_of(empty_lake, more, day(2), 5)
    unchanged = empty_lake.snapshot == snapshot
    after = run_of(empty_lake, more, day(1), 5)

    assert within == []
    said = "6 alerts opened within seven days, the budget is 5; the loudest: bar_frozen 4, stale_series 2"
    assert beyond == again == [{"state": "open", "subject_date": day(2), "title": said}]
    assert unchanged
    assert [row["state"] for row in after] == ["resolved"]


def test_week_about_the_budget_is_one_alert_until_it_is_well_within(empty_lake):
    """Weeks of 11, 10, 11, 10 and 9 alerts at a budget of 10: it ends at 9."""
    n_found = {20: 6, 19: 5, 13: 5, 12: 6, 6: 4, 5: 5}
    seen = []
    for n_before, n in n_found.items():
        found = findings(OLD, *(f"{n_before}-{k}" for k in range(n)))
        seen.append([(row["state"], row["subject_date"]) for row in run_of(empty_lake, found, day(n_before), 10)])
        (title,) = empty_lake.read("select max(title) from ops.alert where rule = $rule", rule=alarm_budget.RULE)[0]
        if n_before == 13:
            assert title.as_py().startswith("10 alerts opened within seven days, the budget is 10 and this ends at 9;")

    assert seen == [[], *[[("open", day(19))]] * 4, [("resolved", day(19))]]


def test_run_of_an_earlier_day_opens_no_alert_beside_that_of_a_later_one(empty_lake):
    """Three a week at a budget of two: found on a day, then a catch-up of two days before, then the day after."""
    later = run_of(empty_lake, findings(OLD, *"ABC"), day(3), 2)
    caught_up = run_of(empty_lake, findings(OLD, *"DEF"), day(5), 2)
    newest = run_of(empty_lake, findings(OLD, *"ABCDEF"), day(2), 2)

    assert [[(row["state"], row["subject_date"]) for row in one] for one in (later, caught_up, newest)] == [
        [("open", day(3))]
    ] * 3


def test_day_run_again_after_its_alert_ended_opens_no_other(empty_lake):
    for n_before in (12, 11, 10):
        run_of(empty_lake, findings(OLD, *"ABC"), day(n_before), 2)
    ended = run_of(empty_lake, findings(OLD, *"ABC"), day(2), 2)

    again = [run_of(empty_lake, findings(OLD, *"ABC"), day(n_before), 2) for n_before in (11, 10)]

    assert again == [ended] * 2
    assert [(row["state"], row["subject_date"]) for row in ended] == [("resolved", day(12))]


def test_alert_that_comes_back_counts_again_and_one_that_stands_does_not(empty_lake):
    run_of(empty_lake, findings(OLD, "A", "B"), day(20), 1)
    run_of(empty_lake, findings(OLD, "B"), day(4), 1)

    one_back = run_of(empty_lake, findings(OLD, "A", "B"), day(3), 1)
    another = run_of(empty_lake, findings(OLD, "A", "B", "C"), day(2), 1)

    # On its first day the two were too many; that ended, and one that comes back is within one a week.
    assert [row["state"] for row in one_back] == ["resolved"]
    assert [(row["state"], row["subject_date"]) for row in another] == [("resolved", day(20)), ("open", day(2))]


def test_evidence_of_the_budget_lists_the_alerts_it_counted(empty_lake):
    found = pa.concat_tables([findings(OLD, "A"), findings(LOUD, "A", "B")])
    run_of(empty_lake, found, day(0), 2)

    (query,) = empty_lake.read(f"select evidence_sql as q from ops.alert where rule = '{alarm_budget.RULE}'")["q"]

    assert empty_lake.read(query.as_py()).to_pylist() == [
        {"rule": LOUD, "n_alerts": 2},
        {"rule": OLD, "n_alerts": 1},
    ]


def test_no_budget_is_never_exceeded(empty_lake):
    assert alarm_budget.find(empty_lake, findings(LOUD, *"ABCDEFG"), None, LAST).num_rows == 0


def test_daily_detection_opens_it_beside_what_it_finds_and_ends_it_without_a_budget(tmp_path, lay_out):
    options = settings.read_settings(home=tmp_path / "home", alerts_per_week=2, _env_file=None)
    lay_out(options.lake)
    with lakes.open_writer(options.lake, holder="test") as lake:
        checks.record(lake, findings(LOUD, "A", "B", "C"), [], LAST)

    def standing(budget):
        context = steps.open_context(options.model_copy(update={"alerts_per_week": budget}), "daily", LAST)
        return detecting.detect(context, LAST, None)["rule"].to_pylist()

    with_budget, without = standing(2), standing(None)

    assert (alarm_budget.RULE in with_budget, alarm_budget.RULE in without) == (True, False)


def began(lake, on):
    facts = {column.name: "" for column in ops.RUN.columns if column.type == "VARCHAR" and not column.nullable}
    at = datetime(2024, 1, 1, tzinfo=UTC)
    times = {column.name: at for column in ops.RUN.columns if column.type == "TIMESTAMPTZ" and not column.nullable}
    insert(lake, ops.RUN, [facts | times | {"run_id": f"daily/{on}", "flow": "daily", "as_of_date": on}])


def test_history_has_each_rules_usual_and_worst_week_and_its_share_of_true_ones(empty_lake):
    """Weeks 0 to 2 have 1, 3 and 0 alerts of the loud rule; before the first run there is no week."""
    began(empty_lake, day(20))
    began(empty_lake, day(0))
    checks.record(empty_lake, findings(LOUD, "A", "B", "C"), [], day(13))
    checks.record(empty_lake, findings(LOUD, "D"), [], day(6))
    checks.record(empty_lake, findings(GRAVE, "E", severity="high"), [], day(7))
    for subject, is_true in (("A", True), ("B", False), ("C", False)):
        said = alerts.Decision("label", "Li Wei", "looked", LAST, datetime(2024, 3, 29, tzinfo=UTC))
        alerts.label(empty_lake, [checks.fingerprint(LOUD, subject, day(9))], said, is_true=is_true)

    history = alarm_replay.read_history(empty_lake, alarm_replay.read_last_day(empty_lake), 8)

    shown = alarm_replay.summarize(history).to_pylist()
    assert [tuple(row.values()) for row in shown] == [
        (LOUD, "medium", 4, 1.0, 3, 3, pytest.approx(1 / 3)),
        (GRAVE, "high", 1, 0.0, 1, 0, None),
    ]
    assert alarm_replay.by_week(history.whole()).tolist() == [1, 4, 0]


def replayed(z, n_strange, moved, strange):
    choice = (("robust_z_threshold", z), ("market_alerts_per_day", n_strange))
    return alarm_replay.Replay(
        choice, {detecting.ROBUST_Z: on_last_days(moved), market_watch.RULE: on_last_days(strange)}
    )


def on_last_days(weeks):
    """Days of which the last of each week has all its alerts, so that no other seven days have more."""
    days = np.zeros((len(weeks), 7), int)
    days[:, 0] = weeks
    return days.ravel()


def test_best_choice_tells_most_of_those_that_keep_every_week():
    """With 2 and 1 of other rules the weeks have 12 and 8, 9 and 6, 7 and 7, 3 and 2."""
    as_set = replayed(6.0, 5, [4, 3], [6, 4])
    loud_week, even, quiet = (
        replayed(9.0, 5, [1, 1], [6, 4]),
        replayed(6.0, 3, [4, 3], [1, 3]),
        replayed(18.0, 0, [0, 0], [1, 1]),
    )
    others = on_last_days([2, 1])
    tried = [as_set, loud_week, even, quiet]

    best = [alarm_replay.best_within(tried, others, n) for n in (12, 9, 7, 3, 2)]

    assert best == [as_set, loud_week, even, quiet, None]
    assert alarm_replay.advise(even, as_set, others, 7) == [
        "Set this:",
        "DAYBOOK__MARKET_ALERTS_PER_DAY=3",
        "DAYBOOK__ALERTS_PER_WEEK=7",
    ]
    (line,) = alarm_replay.advise(None, as_set, others, 1)
    assert "the other rules alone had 2 in their worst week" in line


def test_advice_and_rule_agree_on_seven_days_on_both_sides_of_a_weeks_edge(empty_lake):
    """Four alerts on the last day of a week and four on the first of the next one: eight within seven days."""
    began(empty_lake, day(13))
    run_of(empty_lake, findings(OLD, *"ABCD"), day(7), 4)
    alert = run_of(empty_lake, findings(OLD, *"ABCDEFGH"), day(6), 4)
    nothing = replayed(6.0, 5, [0, 0], [0, 0])

    history = alarm_replay.read_history(empty_lake, LAST, 2)
    others = history.others()

    assert alert[0]["title"].startswith("8 alerts opened within seven days")
    assert alarm_replay.by_week(others).tolist() == [4, 4]
    assert [alarm_replay.best_within([nothing], others, n) for n in (4, 7, 8)] == [None, None, nothing]
    assert [row["all_worst_week"] for row in alarm_replay.compare([("", nothing)], others).to_pylist()] == [8]
    assert [row["worst_week"] for row in alarm_replay.summarize(history).to_pylist()] == [8]
    assert "other rules alone had 8 in their worst week" in alarm_replay.advise(None, nothing, others, 4)[0]


@pytest.fixture
def market(random_market):
    """Sessions up to a week's end and one after it; in the last two nights of the week the past is long enough."""
    bars = random_market(n_codes=25, n_sessions=market_watch.FEWEST_SESSIONS + 2, suspended=0.0)
    rng = np.random.default_rng(2)
    bars.daily["high"] = bars.daily["close"] * rng.uniform(1.005, 1.05, len(bars.daily))
    strange = (bars.daily["trade_date"] == bars.sessions[-2]) & (bars.daily["ts_code"] == bars.daily["ts_code"].min())
    bars.daily.loc[strange, "amount"] *= 100
    return bars


def test_replay_opens_what_each_night_opened_before_anything_later_was_known(market, empty_lake, load_market, stamp):
    as_set = settings.read_settings(_env_file=None, robust_z_threshold=2.5, market_alerts_per_day=2)
    *week, future = market.sessions[-6:]
    nights = {market_watch.RULE: [0], detecting.ROBUST_Z: [0]}

    def load(n, sessions):
        load_market(empty_lake, market.of_sessions(sessions), n)
        returns.update_returns(empty_lake, stamp(n))
        features.update_features(empty_lake, stamp(n))

    load(1, market.sessions[:-6])
    for n, session in enumerate(week, 2):
        load(n, [session])
        moved = detecting.find_outliers(empty_lake, session, as_set.robust_z_threshold)
        strange = market_watch.find(empty_lake, session, as_set, set(moved["subject"].to_pylist()))
        nights[detecting.ROBUST_Z][0] += moved.num_rows
        nights[market_watch.RULE][0] += strange.num_rows
    load(9, [future])
    first, *quieter = alarm_replay.replay(empty_lake, as_set, week[-1], 1, lambda *told: None)

    assert {rule: alarm_replay.by_week(counts).tolist() for rule, counts in first.counts.items()} == nights
    assert min(nights[market_watch.RULE][0], nights[detecting.ROBUST_Z][0]) > 0
    nobody = {rule: alarm_replay.by_week(counts).tolist() for rule, counts in quieter[-1].counts.items()}
    assert nobody[detecting.ROBUST_Z] == [0] and nobody[market_watch.RULE] < nights[market_watch.RULE]


@pytest.fixture
def daybook(tmp_path, lay_out, monkeypatch, capsys):
    """A function that runs `daybook alerts budget`; it gives status, output and errors."""
    options = settings.read_settings(home=tmp_path / "home", _env_file=None)
    lay_out(options.lake)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["daybook", "--home", str(options.root), "alerts", "budget", *words])
        monkeypatch.delenv("COLUMNS", raising=False)
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, *capsys.readouterr()

    run.location = options.lake
    return run


def test_command_prints_what_opened_and_what_to_set(daybook):
    unset, no_run = daybook(), daybook("--per-week", "3")
    with lakes.open_writer(daybook.location, holder="test") as lake:
        began(lake, LAST)
        checks.record(lake, findings(LOUD, "A", "B"), [], LAST)

    status, kept, _ = daybook("--per-week", "3", "--weeks", "2")
    _, beyond, _ = daybook("--per-week", "1")

    assert unset[0] == no_run[0] == 10
    assert "how many alerts a week?" in unset[2] and "no daily run yet" in no_run[2]
    assert status == 0 and LOUD in kept
    assert "thresholds as they are would have kept it" in kept and "DAYBOOK__ALERTS_PER_WEEK=3" in kept
    assert "No setting would have kept 1 alerts a week; the other rules alone had 2 in their worst week" in beyond
