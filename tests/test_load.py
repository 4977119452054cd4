"""Loads: idempotent, order-free, audited, and remembered in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from warehouse import errors, lake, load
from warehouse.tables import market, vendor

DAY = date(2024, 1, 2)
NEXT_DAY = date(2024, 1, 3)

TWO_BARS = """
600000.SH 2024-01-02 10
600001.SH 2024-01-02 20
"""

Bars = Callable[[str], pa.Table]
LoadDays = Callable[..., pa.Table]


def stored(of: lake.Lake) -> list[tuple[str, str, float]]:
    rows = of.read("select ts_code, trade_date, close from market.daily order by all").to_pylist()
    return [(row["ts_code"], str(row["trade_date"]), row["close"]) for row in rows]


def quarantine(of: lake.Lake) -> list[tuple[str, str]]:
    rows = of.read("select rule, row_json from ops.quarantine order by all").to_pylist()
    return [(row["rule"], row["row_json"]) for row in rows]


def only(rows: pa.Table) -> dict[str, Any]:
    assert rows.num_rows == 1
    return rows.to_pylist()[0]


def with_value(rows: pa.Table, column: str, values: list[Any]) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, pa.array(values, rows.schema.field(column).type))


def test_load_stores_rows_with_provenance_and_says_ok(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays, stamp: Callable[[int], load.Stamp]
) -> None:
    entry = only(load_days(empty_lake, market.DAILY, bars(TWO_BARS), n_expected=2))

    assert stored(empty_lake) == [("600000.SH", "2024-01-02", 10.0), ("600001.SH", "2024-01-02", 20.0)]
    assert empty_lake.read("select distinct load_id, retrieved_at from market.daily").to_pylist() == [
        {"load_id": "load-0", "retrieved_at": stamp(0).loaded_at}
    ]
    assert (entry["dataset"], entry["partition"], entry["state"]) == ("market.daily", "2024-01-02", "ok")
    assert (entry["n_expected"], entry["n_received"], entry["n_quarantined"], entry["reason"]) == (2, 2, 0, "")
    assert (entry["through_date"], entry["n_attempts"], entry["load_id"]) == (DAY, 1, "load-0")
    assert entry["content_hash"] != 0


def test_load_writes_nothing_when_repeated(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    first = load_days(empty_lake, market.DAILY, bars(TWO_BARS), n_expected=2)
    before = empty_lake.snapshot

    second = load_days(empty_lake, market.DAILY, bars(TWO_BARS), n=1, n_expected=2)

    assert empty_lake.snapshot == before
    assert second.equals(first)


def test_load_writes_nothing_when_repeated_with_bad_rows(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays
) -> None:
    rows = with_value(bars(TWO_BARS), "low", [-1.0, 20.0])
    load_days(empty_lake, market.DAILY, rows)
    before = empty_lake.snapshot

    load_days(empty_lake, market.DAILY, rows, n=1)

    assert empty_lake.snapshot == before
    assert len(quarantine(empty_lake)) == 1


def test_row_and_partition_order_are_irrelevant(
    new_lake: Callable[[], lake.LakeLocation],
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    facts_of: Callable[..., dict[str, Any]],
) -> None:
    rows = random_market(n_codes=3, n_sessions=4, seed=7)
    frames = (rows.daily, rows.adj_factor, rows.daily_basic)
    shuffled = type(rows)(*(frame.sample(frac=1.0, random_state=3) for frame in frames))
    reversed_days = [rows.of_sessions([day]) for day in reversed(rows.sessions)]

    results = []
    for parts in ([rows], [shuffled], reversed_days):
        with lake.open_writer(new_lake(), holder="test") as opened:
            for number, part in enumerate(parts):
                load_market(opened, part, number)
            results.append(facts_of(opened))

    assert results[0] == results[1] == results[2]
    assert results[0]["market.daily"]


def test_exact_duplicates_count_once(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    rows = pa.concat_tables([bars(TWO_BARS), bars(TWO_BARS)])

    entry = only(load_days(empty_lake, market.DAILY, rows, n_expected=2))

    assert len(stored(empty_lake)) == 2
    assert (entry["state"], entry["n_received"], entry["n_quarantined"]) == ("ok", 2, 0)


def test_both_rows_are_set_aside_when_one_key_has_two_values(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays
) -> None:
    rows = bars(TWO_BARS + "600001.SH 2024-01-02 21")

    entry = only(load_days(empty_lake, market.DAILY, rows))

    assert stored(empty_lake) == [("600000.SH", "2024-01-02", 10.0)]
    assert [rule for rule, _ in quarantine(empty_lake)] == ["key_unique", "key_unique"]
    assert all(any(f'"close":{close}' in row for _, row in quarantine(empty_lake)) for close in (20.0, 21.0))
    assert (entry["n_received"], entry["n_quarantined"]) == (2, 2)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("close", None, "not_null"),
        ("close", float("nan"), "finite"),
        ("amount", float("inf"), "finite"),
        ("low", -1.0, "price_positive"),
        ("high", 9.0, "price_order"),
        ("low", 11.0, "price_order"),
        ("vol", -5.0, "volume_not_negative"),
        ("ts_code", None, "not_null"),
        ("trade_date", None, "not_null"),
        ("trade_date", date(2023, 12, 29), "partition_asked"),
    ],
)
def test_only_the_bad_row_is_set_aside_when_it_breaks_a_rule(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays, column: str, value: Any, rule: str
) -> None:
    rows = bars(TWO_BARS)
    rows = with_value(rows, column, [value, rows[column][1].as_py()])

    load_days(empty_lake, market.DAILY, rows, days=[DAY])

    assert stored(empty_lake) == [("600001.SH", "2024-01-02", 20.0)]
    assert rule in [found for found, _ in quarantine(empty_lake)]
    assert all('"vol":' in row for _, row in quarantine(empty_lake))


def test_a_missing_amount_is_no_fault(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    rows = with_value(bars(TWO_BARS), "amount", [None, None])

    entry = only(load_days(empty_lake, market.DAILY, rows))

    assert (entry["state"], entry["n_quarantined"]) == ("ok", 0)


def test_a_row_is_set_aside_once_per_rule_it_breaks(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    rows = with_value(with_value(bars(TWO_BARS), "vol", [-1.0, 100.0]), "low", [-1.0, 20.0])

    entry = only(load_days(empty_lake, market.DAILY, rows))

    assert sorted(rule for rule, _ in quarantine(empty_lake)) == ["price_positive", "volume_not_negative"]
    assert entry["n_quarantined"] == 1


def test_partition_fails_when_every_row_was_set_aside(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    rows = with_value(bars(TWO_BARS), "vol", [-1.0, -1.0])

    entry = only(load_days(empty_lake, market.DAILY, rows))

    assert (entry["state"], entry["reason"]) == ("failed", "every row that came was set aside")
    assert (entry["n_received"], entry["n_quarantined"]) == (2, 2)


def test_correction_replaces_the_value_and_keeps_the_old_one(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays
) -> None:
    load_days(empty_lake, market.DAILY, bars(TWO_BARS))
    before = only(empty_lake.read("select content_hash from ops.ledger"))["content_hash"]

    entry = only(load_days(empty_lake, market.DAILY, with_value(bars(TWO_BARS), "vol", [100.0, 70.0]), n=1))
    load_days(empty_lake, market.DAILY, with_value(bars(TWO_BARS), "vol", [100.0, 80.0]), n=2)

    revisions = empty_lake.read("select * from ops.revision order by revision_no").to_pylist()
    assert [(r["column_name"], r["revision_no"], r["old_value"], r["new_value"]) for r in revisions] == [
        ("vol", 1, "100.0", "70.0"),
        ("vol", 2, "70.0", "80.0"),
    ]
    assert {r["row_key"] for r in revisions} == {'{"ts_code":"600001.SH","trade_date":"2024-01-02"}'}
    assert {(r["dataset"], r["partition"]) for r in revisions} == {("market.daily", "2024-01-02")}
    assert [r["load_id"] for r in revisions] == ["load-1", "load-2"]
    assert empty_lake.read("select ts_code, vol, load_id from market.daily order by ts_code").to_pylist() == [
        {"ts_code": "600000.SH", "vol": 100.0, "load_id": "load-0"},
        {"ts_code": "600001.SH", "vol": 80.0, "load_id": "load-2"},
    ]
    assert entry["content_hash"] != before


def test_correction_to_and_from_missing_is_kept(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    load_days(empty_lake, market.DAILY, bars(TWO_BARS))

    load_days(empty_lake, market.DAILY, with_value(bars(TWO_BARS), "amount", [None, 200.0]), n=1)
    load_days(empty_lake, market.DAILY, bars(TWO_BARS), n=2)

    revisions = empty_lake.read("select revision_no, old_value, new_value from ops.revision order by 1").to_pylist()
    assert [tuple(r.values()) for r in revisions] == [(1, "100.0", None), (2, None, "100.0")]


def test_content_hash_returns_when_a_correction_is_taken_back(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays
) -> None:
    hashes = [
        only(load_days(empty_lake, market.DAILY, with_value(bars(TWO_BARS), "vol", [vol, 1.0]), n=n))["content_hash"]
        for n, vol in enumerate([1.0, 2.0, 1.0])
    ]

    assert hashes[0] == hashes[2] != hashes[1]


def test_content_hash_changes_when_two_rows_change_alike_in_their_last_column(
    empty_lake: lake.Lake, frame: Callable[..., pa.Table], load_days: LoadDays
) -> None:
    """DuckDB only xors the last column's hash into a row's, so that over rows the same change cancels itself out."""
    rows = [
        frame(market.ADJ_FACTOR, f"ts_code trade_date adj_factor\nA 2024-01-02 {factor}\nB 2024-01-02 {factor}")
        for factor in (1.0, 1.1)
    ]

    hashes = [only(load_days(empty_lake, market.ADJ_FACTOR, of, n=n))["content_hash"] for n, of in enumerate(rows)]

    assert hashes[0] != hashes[1]
    assert empty_lake.read_value("select sum(adj_factor) from market.adj_factor") == pytest.approx(2.2)


def test_content_hash_follows_a_correction_that_came_with_a_worse_answer(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays
) -> None:
    """The row of a whole partition stays, but what is computed from it must see that a value has changed."""
    before = only(load_days(empty_lake, market.DAILY, bars(TWO_BARS), n_expected=2))

    after = only(load_days(empty_lake, market.DAILY, bars("600000.SH 2024-01-02 11"), n=1, n_expected=2))

    assert stored(empty_lake)[0] == ("600000.SH", "2024-01-02", 11.0)
    assert (after["state"], after["n_received"]) == ("ok", 2)
    assert after["content_hash"] != before["content_hash"]


def test_a_row_dated_after_the_newest_day_is_set_aside(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    rows = bars(TWO_BARS + "600002.SH 2031-01-02 30")

    load_days(empty_lake, market.DAILY, rows, days=[DAY])

    assert len(stored(empty_lake)) == 2
    assert [rule for rule, _ in quarantine(empty_lake)] == ["not_in_future"]


def test_rows_stay_when_they_vanish_upstream(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    load_days(empty_lake, market.DAILY, bars(TWO_BARS))

    load_days(empty_lake, market.DAILY, bars("600000.SH 2024-01-02 10"), n=1)

    assert len(stored(empty_lake)) == 2


def test_state_is_partial_then_ok_when_the_rest_comes(empty_lake: lake.Lake, bars: Bars, load_days: LoadDays) -> None:
    early = only(load_days(empty_lake, market.DAILY, bars("600000.SH 2024-01-02 10"), n_expected=2))
    late = only(load_days(empty_lake, market.DAILY, bars(TWO_BARS), n=1, n_expected=2))

    assert (early["state"], early["reason"]) == ("partial", "1 of 2 expected rows came")
    assert (late["state"], late["reason"], late["n_attempts"]) == ("ok", "", 2)


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        ({}, "failed", "the vendor sent no row for a partition that must have some"),
        ({"may_be_empty": True}, "empty_confirmed", ""),
        ({"failure": "VendorUnavailable: 503"}, "failed", "VendorUnavailable: 503"),
        ({"failure": "VendorUnavailable: 503", "may_be_empty": True}, "failed", "VendorUnavailable: 503"),
    ],
)
def test_state_when_no_row_comes(
    empty_lake: lake.Lake, load_days: LoadDays, facts: dict[str, Any], state: str, reason: str
) -> None:
    entry = only(load_days(empty_lake, market.DAILY, market.DAILY.empty(), days=[DAY], **facts))

    assert (entry["state"], entry["reason"], entry["content_hash"]) == (state, reason, 0)


def test_state_is_partial_when_a_pull_fails_over_rows_already_held(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays
) -> None:
    load_days(empty_lake, market.DAILY, bars("600000.SH 2024-01-02 10"), n_expected=2)

    entry = only(load_days(empty_lake, market.DAILY, market.DAILY.empty(), n=1, days=[DAY], failure="503"))

    assert (entry["state"], entry["reason"]) == ("partial", "503")


@pytest.mark.parametrize("facts", [{}, {"failure": "503"}, {"n_expected": 3}])
def test_ledger_stays_when_a_worse_answer_comes_for_a_whole_partition(
    empty_lake: lake.Lake, bars: Bars, load_days: LoadDays, facts: dict[str, Any]
) -> None:
    before = load_days(empty_lake, market.DAILY, bars(TWO_BARS), n_expected=2)

    after = load_days(empty_lake, market.DAILY, market.DAILY.empty(), n=1, days=[DAY], **facts)

    assert after.equals(before)


def test_ledger_does_not_call_a_partition_empty_when_its_rows_are_held(
    empty_lake: lake.Lake, frame: Callable[..., pa.Table], load_days: LoadDays
) -> None:
    rows = frame(market.SUSPEND_D, "ts_code trade_date suspend_type\n600000.SH 2024-01-02 S")
    load_days(empty_lake, market.SUSPEND_D, rows, may_be_empty=True)

    entry = only(load_days(empty_lake, market.SUSPEND_D, rows.slice(0, 0), n=1, days=[DAY], may_be_empty=True))

    assert entry["state"] == "ok"


def test_a_later_failure_keeps_the_day_through_which_a_partition_is_known(
    empty_lake: lake.Lake, frame: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]
) -> None:
    rows = frame(market.STOCK_BASIC, "ts_code name list_status\n600000.SH Bank L")

    def pull(n: int, day: date, of: pa.Table, failure: str = "") -> dict[str, Any]:
        one = load.Load(market.STOCK_BASIC, of, [load.Partition("all", day, failure=failure)], None)
        return only(load.load(empty_lake, [one], stamp(n)))

    pull(0, DAY, rows)
    failed = pull(1, NEXT_DAY, rows.slice(0, 0), "503")
    before = empty_lake.snapshot
    pull(2, NEXT_DAY, rows.slice(0, 0), "503")

    assert (failed["state"], failed["through_date"], failed["reason"]) == ("partial", DAY, "503")
    assert empty_lake.snapshot == before
    healed = pull(3, NEXT_DAY, rows)
    assert (healed["state"], healed["through_date"]) == ("ok", NEXT_DAY)


def test_nothing_is_stored_of_any_table_when_one_does_not_fit(
    empty_lake: lake.Lake, bars: Bars, stamp: Callable[[int], load.Stamp]
) -> None:
    good = load.Load(market.DAILY, bars(TWO_BARS), [load.Partition("2024-01-02", DAY)], "trade_date")
    bad = load.Load(market.ADJ_FACTOR, pa.table({"factor": [1.0]}), [load.Partition("2024-01-02", DAY)], "trade_date")

    with pytest.raises(errors.ContractViolation, match=r"market\.adj_factor.*Unknown: factor"):
        load.load(empty_lake, [good, bad], stamp(0))

    assert stored(empty_lake) == []


def test_the_first_error_is_told_when_a_load_fails_inside_its_transaction(
    empty_lake: lake.Lake, bars: Bars, stamp: Callable[[int], load.Stamp]
) -> None:
    """Cleaning up in a broken transaction would replace the cause by "transaction is aborted"."""
    wrong = load.Load(market.DAILY, bars(TWO_BARS), [load.Partition("not a day", DAY)], "trade_date")
    right = load.Load(market.DAILY, bars(TWO_BARS), [load.Partition("2024-01-02", DAY)], "trade_date")

    with pytest.raises(errors.LakeError, match=r"nothing was written: Conversion Error.*not a day"):
        load.load(empty_lake, [wrong], stamp(0))

    assert stored(empty_lake) == []
    assert only(load.load(empty_lake, [right], stamp(1)))["state"] == "ok"


def test_load_returns_only_what_was_asked_for(
    empty_lake: lake.Lake, bars: Bars, frame: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]
) -> None:
    def one(table: Any, rows: pa.Table, day: date) -> load.Load:
        return load.Load(table, rows, [load.Partition(day.isoformat(), day)], "trade_date")

    factors = frame(market.ADJ_FACTOR, "ts_code trade_date adj_factor\n600000.SH 2024-01-03 1")
    later = bars("600000.SH 2024-01-03 11")
    load.load(empty_lake, [one(market.DAILY, later, NEXT_DAY)], stamp(0))

    entries = load.load(
        empty_lake, [one(market.DAILY, bars(TWO_BARS), DAY), one(market.ADJ_FACTOR, factors, NEXT_DAY)], stamp(1)
    )

    assert [(e["dataset"], e["partition"]) for e in entries.to_pylist()] == [
        ("market.adj_factor", "2024-01-03"),
        ("market.daily", "2024-01-02"),
    ]


def test_replies_are_entered_once_whatever_their_column_order(
    empty_lake: lake.Lake, bars: Bars, frame: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]
) -> None:
    replies = frame(
        vendor.REPLY,
        "endpoint vendor reply_id params status n_bytes sha256 archive_path retrieved_at load_id\n"
        "daily tushare r1 {} 200 12 abc a/b 2024-01-02T10:00:00Z load-0",
    )
    one = load.Load(market.DAILY, bars(TWO_BARS), [load.Partition("2024-01-02", DAY)], "trade_date", replies)

    load.load(empty_lake, [one], stamp(0))
    load.load(empty_lake, [one], stamp(1))

    assert empty_lake.read("select reply_id, vendor, endpoint, n_bytes from vendor.reply").to_pylist() == [
        {"reply_id": "r1", "vendor": "tushare", "endpoint": "daily", "n_bytes": 12}
    ]


def test_load_of_no_partition_returns_no_entry(empty_lake: lake.Lake, stamp: Callable[[int], load.Stamp]) -> None:
    entries = load.load(empty_lake, [load.Load(market.DAILY, market.DAILY.empty(), [], "trade_date")], stamp(0))

    assert entries.num_rows == 0


def test_many_days_load_as_one_snapshot(
    empty_lake: lake.Lake, random_market: Callable[..., Any], load_market: Callable[..., None]
) -> None:
    rows = random_market(n_codes=5, n_sessions=20)
    before = empty_lake.snapshot

    load_market(empty_lake, rows)

    assert empty_lake.snapshot == before + 1
    assert empty_lake.read_value("select count(*) from market.daily") == len(rows.daily)
    assert empty_lake.read_value("select count(*) from ops.ledger where state = 'ok'") == 3 * len(rows.sessions)
    total = empty_lake.read_value("select sum(amount) from market.daily")
    np.testing.assert_allclose(total, rows.daily["amount"].sum(), rtol=1e-12)


def test_table_of_one_partition_that_never_came_is_failed_and_nothing_breaks(empty_lake, stamp):
    nothing = market.TRADE_CAL.empty().drop_columns(["retrieved_at", "load_id"])
    partition = load.Partition("SSE", date(2024, 1, 2), failure="IncompleteReply: cut", cause="truncated")

    entry = load.load(empty_lake, [load.Load(market.TRADE_CAL, nothing, [partition], None)], stamp(1)).to_pylist()[0]

    assert (entry["state"], entry["cause"], entry["content_hash"]) == ("failed", "truncated", 0)
