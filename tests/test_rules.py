"""Rules are rows: a desk adds its own, a broken one loses nothing, and none reaches beyond the row it judges."""

from __future__ import annotations

import duckdb
import pytest

from warehouse import checks, errors, load, rules
from warehouse.tables import TABLES, market

TWO_BARS = "600000.SH 2024-01-02 10\n600001.SH 2024-01-02 2000"


def desk_rule(name="price_modest", predicate="close < 1000", severity="reject", dataset="market.daily"):
    return rules.Rule(dataset, name, severity, predicate, "the close looks too high", is_desk=True)


@pytest.fixture
def add(empty_lake):
    def run(rule):
        empty_lake.commit(lambda connection: rules.add(connection, rule, "Ask the desk."), message="rule")

    return run


def stored(lake):
    return lake.read("select ts_code from market.daily order by 1").column(0).to_pylist()


def test_rules_of_every_contract_are_rows_from_the_start(empty_lake):
    found = empty_lake.read("select dataset, name, predicate, origin, is_enabled from ops.rule").to_pylist()

    wanted = {(table.full_name, rule.name, rule.predicate) for table in TABLES for rule in table.rules}
    assert {(row["dataset"], row["name"], row["predicate"]) for row in found} == wanted
    assert {(row["origin"], row["is_enabled"]) for row in found} == {("contract", True)}


def test_desk_rule_that_rejects_sets_the_row_aside_with_its_reason(empty_lake, add, bars, load_days):
    add(desk_rule())

    load_days(empty_lake, market.DAILY, bars(TWO_BARS))

    assert stored(empty_lake) == ["600000.SH"]
    held = empty_lake.read("select rule, reason, severity, state from ops.quarantine").to_pylist()
    assert held == [
        {
            "rule": "price_modest",
            "reason": "the close looks too high",
            "severity": "reject",
            "state": "pending",
        }
    ]


def test_rule_that_warns_lets_the_row_in_and_is_a_finding_once(empty_lake, add, bars, load_days):
    add(desk_rule(severity="warn"))

    entry = load_days(empty_lake, market.DAILY, bars(TWO_BARS)).to_pylist()[0]
    before = empty_lake.snapshot
    load_days(empty_lake, market.DAILY, bars(TWO_BARS), n=1)

    assert empty_lake.snapshot == before
    assert stored(empty_lake) == ["600000.SH", "600001.SH"]
    assert (entry["state"], entry["n_received"], entry["n_quarantined"]) == ("ok", 2, 0)
    found = [
        row for row in checks.find(empty_lake, entry["through_date"]).to_pylist() if row["rule"] == "row_set_aside"
    ]
    assert [row["title"] for row in found] == [
        "market.daily 2024-01-02: 1 row let in with a warning, such as 600001.SH: the close looks too high"
    ]


def test_disabled_rule_is_not_run_and_stays_off_when_the_lake_is_furnished_again(empty_lake, bars, load_days):
    negative = bars("600000.SH 2024-01-02 -5")
    empty_lake.commit(
        lambda connection: rules.set_enabled(connection, "market.daily", "price_positive", False), message="off"
    )
    empty_lake.commit(rules.enter_contract_rules, message="furnished")

    load_days(empty_lake, market.DAILY, negative)

    assert stored(empty_lake) == ["600000.SH"]


REFUSED = {
    "unknown column": ("nope > 1", "nope is no column"),
    "no condition": ("open + 1", "gives DOUBLE, not true or false"),
    "no SQL": ("open > 0 or", "syntax error"),
    "second statement": ("open > 0; drop table ops.ledger", "syntax error"),
    "a way out of the brackets": ("true)) from ops.ledger where ((true", "syntax error"),
    "other tables": ("exists (from ops.ledger)", "subquery"),
    "a file": ("(select count(*) from read_csv('/etc/passwd')) > 0", "subquery"),
    "aggregate": ("sum(open) > 0", "aggregates are not allowed"),
    "neighbours": ("lag(open) over (order by ts_code) > 1", "WINDOW"),
    "chance": ("random() < 0.5", "volatile"),
    "today": ("trade_date <= current_date", "current_date is no column"),
    "the clock": ("trade_date <= now()", "now is no column"),
    "the clock in a word": ("trade_date <= 'now'", "invalid date"),
    "the clock in a cast": ("trade_date <= 'now'::timestamp", "invalid timestamp"),
    "the clock in a macro": ("trade_date > ago(interval 1 year)", "ago is no column"),
    "the transaction": ("txid_current() > 1", "txid_current is no column"),
    "every column": ("columns(*) is not null", "a star is no column"),
    "settings": ("current_setting('memory_limit') = '1'", "current_setting is no column"),
    "parameter": ("open > $1", "parameter"),
}


@pytest.mark.parametrize(("predicate", "words"), REFUSED.values(), ids=REFUSED)
def test_predicate_that_is_no_condition_on_one_row_is_refused_in_one_line(empty_lake, add, predicate, words):
    with pytest.raises(errors.ConfigError, match=words) as caught:
        add(desk_rule(predicate=predicate))
    assert "\n" not in str(caught.value)
    assert empty_lake.read_value("select count(*) from ops.rule where origin = 'desk'") == 0


def test_no_function_is_taken_that_duckdb_calls_unstable():
    with duckdb.connect() as connection:
        names = connection.execute(
            "select distinct function_name from duckdb_functions() where stability <> 'CONSISTENT'"
        ).fetchall()

    taken = [name for (name,) in names if not rules.problem_of(market.DAILY, f"{name}() is null")]

    assert len(names) > 20 and taken == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (desk_rule(dataset="ops.ledger"), "no table that is loaded"),
        (desk_rule(name="Bad name"), "cannot name a rule"),
        (desk_rule(name="not_null"), "cannot name a rule"),
        (desk_rule(name="price_positive"), "already has a rule"),
        (desk_rule(severity="fatal"), "severity 'fatal' is unknown"),
    ],
)
def test_rule_is_refused_when_its_table_name_or_severity_is_wrong(add, rule, words):
    with pytest.raises(errors.ConfigError, match=words):
        add(rule)


def test_broken_desk_rule_loses_no_row_and_is_a_finding_until_it_is_mended(empty_lake, add, bars, load_days):
    """As after an upgrade that renames a column: what was bound once no longer is."""
    add(desk_rule())
    empty_lake.commit(
        lambda connection: connection.execute("update ops.rule set predicate = 'gone > 1' where origin = 'desk'"),
        message="rename",
    )

    entry = load_days(empty_lake, market.DAILY, bars(TWO_BARS)).to_pylist()[0]
    found = [row["title"] for row in checks.find(empty_lake, entry["through_date"]).to_pylist()]

    assert stored(empty_lake) == ["600000.SH", "600001.SH"]
    assert any("rule price_modest of market.daily could not be run: gone is no column" in title for title in found)
    empty_lake.commit(
        lambda connection: connection.execute("update ops.rule set predicate = 'open > 1' where origin = 'desk'"),
        message="mend",
    )
    load_days(empty_lake, market.DAILY, bars(TWO_BARS), n=1)
    assert empty_lake.read_value("select count(*) from ops.rule where problem <> ''") == 0


def test_desk_rule_that_fails_on_a_row_counts_as_kept(empty_lake, add, bars, load_days):
    """A cast that fails on one row would abort the load and lose the good ones."""
    add(desk_rule(predicate="ts_code::integer > 0 -- fails on every code"))

    load_days(empty_lake, market.DAILY, bars(TWO_BARS))

    assert len(stored(empty_lake)) == 2


def test_unknown_rule_cannot_be_switched(empty_lake):
    with pytest.raises(errors.ConfigError, match=r"market\.daily has no rule nothing"):
        empty_lake.commit(lambda c: rules.set_enabled(c, "market.daily", "nothing", False), message="off")


def test_rule_of_another_table_is_not_run(empty_lake, add, bars, stamp):
    add(desk_rule(dataset="market.daily_basic"))
    one = load.Load(
        market.DAILY,
        bars(TWO_BARS),
        [load.Partition("2024-01-02", bars(TWO_BARS)["trade_date"][0].as_py())],
        "trade_date",
    )

    load.load(empty_lake, [one], stamp(0))

    assert len(stored(empty_lake)) == 2
