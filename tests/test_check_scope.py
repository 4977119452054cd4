"""Every session is checked once its rows have changed, however old; and only then, so that an evening stays short."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from warehouse import check_scope, checks
from warehouse.tables import market

MARCH = [date(2024, 3, day) for day in (4, 5, 6)]
MAY = [date(2024, 5, day) for day in (13, 14, 15)]
JULY = [date(2024, 7, day) for day in (8, 9, 10, 11, 12)]
AS_OF = JULY[-1]
CODE, OTHER = "600000.SH", "300001.SZ"

# Each asks every check over and over: a minute in all.
pytestmark = pytest.mark.exhaustive


@pytest.fixture
def history(empty_lake, load_sessions):
    load_sessions(empty_lake, [*MARCH, *MAY, *JULY])
    return empty_lake


def bar(code, day, close=10.0, pre_close=10.0, pct_chg=0.0, high=None):
    """A flat bar of 100 lots; thousand CNY of turnover are ten times the price."""
    prices = {"open": close, "high": high or close, "low": close, "close": close, "pre_close": pre_close}
    figures = {"change": close - pre_close, "pct_chg": pct_chg, "vol": 100.0, "amount": close * 10}
    return {"ts_code": code, "trade_date": day} | prices | figures


@pytest.fixture
def load_bars(load_days):
    def run(lake, rows, n=0):
        rows = pa.Table.from_pylist(rows)
        load_days(lake, market.DAILY, rows, n=n)
        factors = rows.select(["ts_code", "trade_date"]).append_column("adj_factor", pa.array([1.0] * rows.num_rows))
        load_days(lake, market.ADJ_FACTOR, factors, n=n)

    return run


def evening(lake, as_of=AS_OF, n=0):
    """The open alerts about rows after the checks of a run, as rule, subject and day; and what was looked at."""
    look = checks.Look(checks.read_scope(lake, as_of), datetime(2024, 7, 12, 10, tzinfo=UTC) + timedelta(days=n))
    findings = checks.find(lake, as_of, look.scope)
    standing = checks.record(lake, findings, [check.rule for check in checks.CHECKS], as_of, look).to_pylist()
    rules = (*checks.SESSION_RULES, "bar_order")
    return [(row["rule"], row["subject"], row["subject_date"]) for row in standing if row["rule"] in rules], look.scope


def test_trouble_of_an_old_session_is_found_and_resolved_when_a_backfill_loads_and_corrects_it(history, load_bars):
    wrong = bar(CODE, MARCH[1], pct_chg=3.0)
    load_bars(history, [bar(CODE, MARCH[0]), wrong, *(bar(CODE, day) for day in (MARCH[2], *MAY, *JULY))])
    trouble = ("pct_chg_disagrees", CODE, MARCH[1])

    found, first = evening(history)
    again, second = evening(history, n=1)
    load_bars(history, [bar(CODE, MARCH[1])], n=2)
    corrected, _ = evening(history, n=2)

    assert found == [trouble] and again == [trouble]
    assert corrected == []
    assert first.spans[0].first == MARCH[0]
    # Nothing changed: the newest sessions, and the day of the open alert by the rule that opened it.
    assert second.spans == (check_scope.Span(JULY[0], AS_OF),)
    assert dict(second.troubles) == {"pct_chg_disagrees": (check_scope.Span(MARCH[1], MARCH[1]),)}


def test_bar_set_aside_in_an_old_session_is_found_when_a_backfill_loads_it(history, load_bars):
    load_bars(history, [bar(CODE, day) for day in JULY])
    evening(history)

    load_bars(history, [bar(CODE, MARCH[0]), bar(OTHER, MARCH[0], high=9.0)], n=1)
    found, _ = evening(history, n=1)

    assert found == [("bar_order", OTHER, MARCH[0])]


def test_adjustment_is_judged_again_when_the_bar_before_a_suspension_is_corrected(history, load_bars):
    """Its next bar, months later in a session that did not change, no longer fits: 10 CNY were closed at, now 11."""
    traded = [*MARCH, MAY[2], *JULY]
    load_bars(history, [*(bar(CODE, day) for day in traded), *(bar(OTHER, day) for day in [*MARCH, *MAY, *JULY])])
    before, _ = evening(history)

    load_bars(history, [bar(CODE, MARCH[2], close=11.0, pct_chg=10.0)], n=1)
    found, _ = evening(history, n=1)

    assert before == []
    # The bars are alike, from day to day and of both securities, which is other checks' business.
    assert [one for one in found if one[0] not in checks.BAR_RULES] == [("adjustment_misfit", CODE, MAY[2])]


def test_session_is_looked_at_again_by_the_newest_run_when_a_past_day_was_run(history, load_bars):
    """A run for a past day does not see the bars after it, whose bar before may be in what changed."""
    load_bars(history, [bar(CODE, day) for day in [*MARCH, *JULY]])

    evening(history, as_of=MARCH[2])

    assert checks.read_scope(history, AS_OF).fresh["trade_date"].to_pylist() == [*MARCH, *JULY]


def test_old_alert_stays_open_when_its_session_was_not_looked_at(history, load_bars, monkeypatch):
    monkeypatch.setattr(check_scope, "MOST_OLD_TROUBLES", 1)
    load_bars(history, [bar(CODE, day, pct_chg=3.0 if day < JULY[0] else 0.0) for day in [*MARCH, *JULY]])
    found, _ = evening(history)

    again, scope = evening(history, n=1)

    assert len(found) == 3 and again == found
    assert scope.troubles["pct_chg_disagrees"] == (check_scope.Span(MARCH[0], MARCH[0]),)


def test_few_spans_hold_all_days_when_many_days_far_apart_changed():
    days = [date(2000, 1, 3) + timedelta(days=100 * n) for n in range(90)]
    recent = check_scope.Span(JULY[0], AS_OF)

    spans = check_scope.gathered(days, recent)

    assert len(spans) <= check_scope.MOST_SPANS
    assert all(any(span.holds(day) for span in spans) for day in [*days, *JULY])
    assert all(before.last < after.first for before, after in itertools.pairwise(spans))


def test_years_are_looked_at_a_year_at_a_time_and_no_day_is_left_out():
    span = check_scope.Span(date(2010, 1, 4), AS_OF)

    pieces = span.pieces()

    assert (pieces[0].first, pieces[-1].last) == (span.first, span.last)
    assert all(after.first - before.last == timedelta(days=1) for before, after in itertools.pairwise(pieces))
    assert all((piece.last - piece.first).days < 366 for piece in pieces)
    assert check_scope.Span(AS_OF, AS_OF).pieces() == (check_scope.Span(AS_OF, AS_OF),)


def test_old_troubles_of_one_year_are_one_pass_that_leaves_days_looked_at_anyway_alone():
    days = [date(2020, 3, 2), date(2023, 1, 9), *MARCH, *JULY]
    looked_at = (check_scope.Span(MAY[0], MAY[-1]), check_scope.Span(date(2024, 8, 5), date(2024, 8, 9)))

    found = check_scope.between(days, looked_at)

    assert found == (
        check_scope.Span(date(2020, 3, 2), date(2020, 3, 2)),
        # 421 days before MARCH: more than a year.
        check_scope.Span(date(2023, 1, 9), date(2023, 1, 9)),
        check_scope.Span(MARCH[0], MARCH[-1]),
        check_scope.Span(JULY[0], JULY[-1]),
    )
