"""Series that change under their own name are found: another base, another unit, a history rewritten."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from warehouse import checks, load, runs, series_facts, vintages
from warehouse.tables import macro

FIRST, SECOND = date(2024, 7, 8), date(2024, 7, 12)
MONTHS = [date(2021 + at // 12, at % 12 + 1, 1) for at in range(36)]
RULES = ("series_rebased", "series_revised_beyond_history", "series_fact_changed")


@pytest.fixture
def followed(empty_lake, frame, stamp, load_sessions):
    load_sessions(empty_lake, [FIRST, SECOND])
    rows = frame(
        macro.SERIES,
        "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
        " is_rolling_window licence\nA t i M 5 10 g true false public",
    )
    load.load(empty_lake, [load.Load(macro.SERIES, rows, [load.Partition("all", FIRST)], None)], stamp(0))
    return empty_lake


@pytest.fixture
def pull(stamp):
    def run(to, day, values, n):
        rows = pa.table({"series_id": ["A"] * len(values), "observation_date": MONTHS[: len(values)], "value": values})
        load.load(to, [vintages.observation_load(rows, [load.Partition("A", day)], pull_date=day)], stamp(n))

    return run


@pytest.fixture
def say(stamp):
    def run(to, day, n, **facts):
        rows = pa.table(
            {"series_id": ["A"] * len(facts), "fact_name": list(facts), "value": [str(v) for v in facts.values()]}
        )
        return load.load(to, [series_facts.fact_load(rows, [load.Partition("A", day)], pull_date=day)], stamp(n))

    return run


def found(of, as_of=SECOND):
    rows = checks.find(of, as_of).to_pylist()
    return [(row["rule"], row["subject_date"], row["title"]) for row in rows if row["rule"] in RULES]


LEVEL = [100.0 + at for at in range(36)]


def test_new_base_is_found_when_no_daily_run_looked_for_weeks(followed, pull, load_sessions):
    """The mornings' pulls go on while the evenings' runs are down."""
    after = [SECOND + timedelta(days=days) for days in range(3, 20)]
    load_sessions(followed, [FIRST, SECOND, *after])
    pull(followed, FIRST, LEVEL, 1)
    instant = datetime(2024, 7, 8, 10, tzinfo=UTC)
    runs.start(followed, f"daily/{FIRST}", FIRST, instant, "1")
    runs.finish(followed, f"daily/{FIRST}", "ok", "complete", instant)

    pull(followed, SECOND, [2 * value for value in LEVEL], 2)

    assert [(rule, day) for rule, day, _ in found(followed, after[-1])] == [("series_rebased", SECOND)]


def test_new_base_is_found_as_such_and_not_as_a_revision(followed, pull):
    pull(followed, FIRST, LEVEL, 1)
    assert found(followed, FIRST) == []

    pull(followed, SECOND, [value * 0.8 for value in LEVEL], 2)

    assert found(followed) == [("series_rebased", SECOND, "A moved to another base (all values times 0.8000)")]
    assert found(followed, FIRST) == []


def test_history_rewritten_without_a_new_base_is_found(followed, pull):
    pull(followed, FIRST, LEVEL, 1)

    pull(followed, SECOND, [value + (at % 5) for at, value in enumerate(LEVEL)], 2)

    # Every value whose number is no multiple of five: 36 less 8.
    assert found(followed) == [
        ("series_revised_beyond_history", SECOND, "A: 28 of 36 values were revised on 2024-07-12, back to 2021-02-01")
    ]


def test_revision_of_the_last_months_is_no_finding(followed, pull):
    pull(followed, FIRST, LEVEL, 1)

    pull(followed, SECOND, [*LEVEL[:30], *(value * 1.01 for value in LEVEL[30:])], 2)

    assert found(followed) == []


def test_other_unit_in_freds_words_is_found_twice_for_its_two_meanings(followed, say):
    say(followed, FIRST, 1, units="Index 2017=100", frequency="Monthly", last_updated="1")
    assert found(followed, FIRST) == []

    say(followed, SECOND, 2, units="Index 2022=100", frequency="Monthly", last_updated="2")

    assert found(followed) == [
        ("series_rebased", SECOND, "A has other units (Index 2022=100 instead of Index 2017=100)"),
        ("series_fact_changed", SECOND, "A: FRED's units is now Index 2022=100, was Index 2017=100"),
    ]


def test_facts_keep_every_wording_with_its_days_and_write_nothing_twice(followed, say):
    say(followed, FIRST, 1, units="a", title="t")
    say(followed, SECOND, 2, units="b", title="t")
    before = followed.snapshot

    say(followed, SECOND, 3, units="b", title="t")
    assert followed.snapshot == before

    # A pull of an older day says nothing about today.
    say(followed, FIRST, 4, units="a", title="t")
    rows = followed.read(
        "select fact_name, value, realtime_start, realtime_end from macro.series_fact order by all"
    ).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("title", "t", FIRST, date(9999, 12, 31)),
        ("units", "a", FIRST, date(2024, 7, 11)),
        ("units", "b", SECOND, date(9999, 12, 31)),
    ]


def test_wording_that_changes_twice_in_a_day_is_kept_once(followed, say):
    say(followed, FIRST, 1, units="a")
    say(followed, SECOND, 2, units="b")

    say(followed, SECOND, 3, units="c")

    rows = followed.read("select value from macro.series_fact order by realtime_start").column(0).to_pylist()
    assert rows == ["a", "c"]
    entries = followed.read("select old_text, new_text from macro.rebase").to_pylist()
    assert entries == [{"old_text": "a", "new_text": "c"}]
