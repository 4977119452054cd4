"""Whose history of adjustment factors is compared, and when: nobody is put off, and no refusal is silent."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pytest

from flows import repair
from warehouse import load, sql
from warehouse.sources.faults import Fault
from warehouse.tables import market

FIRST = date(2024, 1, 2)


@pytest.fixture
def list_codes(empty_lake, stamp):
    def run(codes):
        n = len(codes)
        rows = pa.table({"ts_code": codes, "name": codes, "list_status": ["L"] * n, "list_date": [FIRST] * n})
        load.load(empty_lake, [load.Load(market.STOCK_BASIC, rows, [load.Partition("all", FIRST)], None)], stamp(0))

    return run


@pytest.fixture
def compare(empty_lake):
    """The turn of a day, taken: nothing in the lake differs."""

    def run(day, n, asked=()):
        rows = empty_lake.read(sql.load("factor_turn"), today=day, n=n, asked=list(asked))
        taken = rows["ts_code"].to_pylist()
        empty_lake.commit(
            lambda c: [
                c.execute("delete from ops.factor_history where ts_code in (select unnest($t))", {"t": taken}),
                c.execute("insert into ops.factor_history select unnest($t), $d", {"t": taken, "d": day}),
            ],
            message="compared",
        )
        return taken

    return run


@pytest.mark.parametrize("gap", [1, 5], ids=["every session", "once a week"])
def test_everybody_has_a_turn_though_others_are_listed_meanwhile(list_codes, compare, gap):
    codes = [f"6000{n:02d}.SH" for n in range(0, 60, 2)]
    visited = []
    for n in range(8):
        # A listing in the middle of the list, each day another one.
        list_codes(sorted(codes + [f"6000{1 + 6 * at:02d}.SH" for at in range(n + 1)]))
        visited += compare(FIRST + timedelta(days=gap * n), 5)

    # 30 and 8 more, with a turn each before anybody has a second one.
    assert len(set(visited)) == 38 and len(set(visited[:38])) == 38


def test_day_that_is_run_again_compares_no_more_than_its_number(list_codes, compare):
    list_codes([f"60000{n}.SH" for n in range(9)])

    assert [len(compare(FIRST, 4)) for _ in range(3)] == [4, 0, 0]
    assert len(compare(FIRST + timedelta(days=1), 4)) == 4


def test_security_with_an_open_misfit_comes_again_after_a_week_and_not_every_day(empty_lake, list_codes, compare):
    list_codes([f"60000{n}.SH" for n in range(9)])
    empty_lake.commit(
        lambda c: c.execute(
            "insert into ops.alert by name select 'f' as fingerprint, 'adjustment_misfit' as rule,"
            " 'medium' as severity, '600008.SH' as subject,"
            " date '2020-01-02' as subject_date, 't' as title, 'a' as action, '{}' as evidence,"
            " 'select 1' as evidence_sql, 'open' as state, date '2024-01-02' as first_seen_date,"
            " date '2024-01-02' as last_seen_date, 1 as n_seen, '' as decided_by, '' as decision_reason,"
            " '' as message_id"
        ),
        message="an alert",
    )

    turns = [compare(FIRST + timedelta(days=n), 1)[0] for n in range(9)]

    assert [at for at, code in enumerate(turns) if code == "600008.SH"] == [0, 7]
    assert turns[1:7] == [f"60000{n}.SH" for n in range(6)]


def test_history_that_was_refused_is_an_alert_and_keeps_its_turn(desk, truth30):
    one, two = truth30.session_dates[16:18]
    compared = "select count(*) as n from ops.factor_history where compared_date = $day"
    # Answers by security only: those of whole sessions carry their day.
    for code in truth30.ts_codes:
        desk.vendor.faults.add(Fault("no_permission", "adj_factor", code))

    refused = desk.evening(one)
    of_one, alerts = desk.read(compared, day=one)[0]["n"], desk.alerts()
    state = desk.ledger("ops.factor_history", "all")
    desk.vendor.faults.clear()
    desk.evening(two)

    assert refused.exit_code == 0
    assert [rule for rule, *_ in alerts] == ["factors_not_compared"] and state == ("partial", "no_permission")
    assert of_one == 0
    assert desk.read(compared, day=two)[0]["n"] >= 10 and desk.alerts() == []


def test_empty_history_of_a_security_with_factors_is_no_agreement(desk, truth30):
    day = truth30.session_dates[16]
    for code in truth30.ts_codes:
        desk.vendor.faults.add(Fault("empty", "adj_factor", code))

    desk.evening(day)

    assert [rule for rule, *_ in desk.alerts()] == ["factors_not_compared"]


def test_those_revised_today_are_asked_for_before_those_that_never_fit(desk, truth30, monkeypatch):
    """More misfits than are pulled at once must not keep a fresh correction waiting."""
    day = truth30.session_dates[16]
    *others, revised = sorted(truth30.ts_codes)
    context = _context(desk, day)
    with context.writer() as lake:
        lake.commit(
            lambda c: c.execute(
                "update market.adj_factor set adj_factor = adj_factor * 2 where ts_code in (select unnest($codes))"
                " and trade_date = (select max(trade_date) from market.adj_factor)",
                {"codes": others[:5]},
            ),
            message="nothing fits",
        )
        lake.commit(
            lambda c: c.execute(
                "insert into ops.revision by name select 'market.adj_factor' as dataset, $day::varchar as partition,"
                " json_object('ts_code', $code) as row_key, 'adj_factor' as column_name, 1 as revision_no,"
                " '1' as old_value, '2' as new_value, $day as revised_date, 'x' as load_id, now() as revised_at",
                {"day": day, "code": revised},
            ),
            message="a correction",
        )
    monkeypatch.setattr(repair, "MOST_HISTORIES", 3)

    with context.reader() as lake:
        suspects = repair._read_suspects(lake, [truth30.session_dates[15]], day)

    assert len(suspects) == 3 and suspects[0] == revised


def _context(desk, day):
    from flows import steps, vendors

    desk.vendor.clock.set(vendors.evening_of(day))
    return steps.open_context(desk.options, "daily", day)
