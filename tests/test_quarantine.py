"""A row that was set aside can be released or discarded, once, by somebody, for a reason."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from warehouse import checks, errors, quarantine
from warehouse.tables import market

DAY = date(2024, 1, 2)
TWO_BARS = "600000.SH 2024-01-02 10\n600001.SH 2024-01-02 20"
DECISION = quarantine.Decision("Li Wei", "the exchange confirms it")


@pytest.fixture
def odd_bars(bars):
    """Two bars; the second closes above its high."""

    def make(close=25.0):
        rows = bars(TWO_BARS)
        return rows.set_column(rows.column_names.index("close"), "close", pa.array([10.0, close]))

    return make


def held(lake):
    return lake.read(
        "select rule, state, decided_by, decision_reason, decided_at, row_hash from ops.quarantine"
        " order by row_hash, rule"
    ).to_pylist()


def closes(lake):
    return lake.read("select close from market.daily order by ts_code").column(0).to_pylist()


def ledger_row(lake):
    return lake.read("select state, n_received, n_quarantined, content_hash from ops.ledger").to_pylist()[0]


def row_ids(lake):
    return [row["row_hash"][:12] for row in held(lake)]


def test_released_row_is_loaded_and_the_decision_recorded(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars(), n_expected=2)
    before = ledger_row(empty_lake)

    said = quarantine.release(empty_lake, row_ids(empty_lake), DECISION, stamp(5))

    assert closes(empty_lake) == [10.0, 25.0]
    row = held(empty_lake)[0]
    assert (row["state"], row["decided_by"], row["decision_reason"]) == (
        "released",
        "Li Wei",
        "the exchange confirms it",
    )
    assert row["decided_at"] == stamp(5).loaded_at
    after = ledger_row(empty_lake)
    assert (before["n_quarantined"], after["n_quarantined"], after["n_received"], after["state"]) == (1, 0, 2, "ok")
    assert after["content_hash"] != before["content_hash"]
    assert empty_lake.read_value("select load_id from market.daily where close = 25") == "load-5"
    assert "is in market.daily now" in said[0]


def test_release_twice_writes_nothing_the_second_time(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars())
    ids = row_ids(empty_lake)
    quarantine.release(empty_lake, ids, DECISION, stamp(1))
    before = empty_lake.snapshot

    said = quarantine.release(empty_lake, ids, quarantine.Decision("Other", "again"), stamp(2))

    assert empty_lake.snapshot == before
    assert "was released before" in said[0]


def test_released_row_stays_when_the_vendor_sends_it_again(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars(), n_expected=2)
    quarantine.release(empty_lake, row_ids(empty_lake), DECISION, stamp(1))
    before = empty_lake.snapshot

    load_days(empty_lake, market.DAILY, odd_bars(), n=2, n_expected=2)

    assert empty_lake.snapshot == before
    assert closes(empty_lake) == [10.0, 25.0]


def test_correction_by_the_vendor_supersedes_a_released_row(empty_lake, bars, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars())
    quarantine.release(empty_lake, row_ids(empty_lake), DECISION, stamp(1))

    load_days(empty_lake, market.DAILY, bars(TWO_BARS), n=2)

    assert closes(empty_lake) == [10.0, 20.0]
    revised = empty_lake.read("select old_value, new_value from ops.revision where column_name = 'close'").to_pylist()
    assert revised == [{"old_value": "25.0", "new_value": "20.0"}]


def test_another_bad_value_for_the_same_key_is_judged_anew(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars())
    quarantine.release(empty_lake, row_ids(empty_lake), DECISION, stamp(1))

    load_days(empty_lake, market.DAILY, odd_bars(26.0), n=2)

    assert closes(empty_lake) == [10.0, 25.0]
    assert sorted(row["state"] for row in held(empty_lake)) == ["pending", "released"]


def test_partition_that_had_failed_is_whole_when_its_only_row_is_released(empty_lake, bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, bars("600000.SH 2024-01-02 -5"), n_expected=1)
    assert ledger_row(empty_lake)["state"] == "failed"

    quarantine.release(empty_lake, row_ids(empty_lake), DECISION, stamp(1))

    assert ledger_row(empty_lake)["state"] == "ok"


def test_discarded_row_is_no_finding_any_more_and_stays_out(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars())
    assert "bar_order" in checks.find(empty_lake, DAY)["rule"].to_pylist()

    quarantine.discard(empty_lake, row_ids(empty_lake), DECISION, stamp(1))
    before = empty_lake.snapshot
    again = quarantine.discard(empty_lake, row_ids(empty_lake), DECISION, stamp(2))
    load_days(empty_lake, market.DAILY, odd_bars(), n=3)

    assert "bar_order" not in checks.find(empty_lake, DAY)["rule"].to_pylist()
    assert empty_lake.snapshot == before
    assert "was discarded before" in again[0]
    assert closes(empty_lake) == [10.0]


def test_released_row_cannot_be_discarded(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars())
    quarantine.release(empty_lake, row_ids(empty_lake), DECISION, stamp(1))

    with pytest.raises(errors.ConfigError, match="is in the lake; it cannot be discarded"):
        quarantine.discard(empty_lake, row_ids(empty_lake), DECISION, stamp(2))


def test_discarded_row_can_be_released_after_all(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars())
    quarantine.discard(empty_lake, row_ids(empty_lake), DECISION, stamp(1))

    quarantine.release(empty_lake, row_ids(empty_lake), DECISION, stamp(2))

    assert closes(empty_lake) == [10.0, 25.0]


def test_row_the_lake_cannot_hold_is_not_released(empty_lake, bars, load_days, stamp):
    rows = bars(TWO_BARS).set_column(5, "close", pa.array([10.0, None], pa.float64()))
    load_days(empty_lake, market.DAILY, rows)

    with pytest.raises(errors.ConfigError, match="cannot be released: close is missing"):
        quarantine.release(empty_lake, row_ids(empty_lake), DECISION, stamp(1))
    assert [row["state"] for row in held(empty_lake)] == ["pending"]


def test_of_two_rows_with_one_key_the_one_released_last_stands(empty_lake, bars, load_days, stamp):
    twice = bars("600000.SH 2024-01-02 10\n600000.SH 2024-01-02 11")
    load_days(empty_lake, market.DAILY, twice)
    first, second = row_ids(empty_lake)

    quarantine.release(empty_lake, [first], DECISION, stamp(1))
    one = closes(empty_lake)
    quarantine.release(empty_lake, [second], DECISION, stamp(2))
    load_days(empty_lake, market.DAILY, twice, n=3)

    assert len(one) == 1 and len(closes(empty_lake)) == 1 and one != closes(empty_lake)
    assert sorted(row["state"] for row in held(empty_lake)) == ["discarded", "released"]


@pytest.mark.parametrize(
    ("row_id", "words"), [("zzz", "is no row id"), ("abcdef", "no rows in quarantine"), ("", "is no row id")]
)
def test_unknown_row_is_refused(empty_lake, stamp, row_id, words):
    with pytest.raises(errors.ConfigError, match=words):
        quarantine.release(empty_lake, [row_id], DECISION, stamp(1))


def test_decision_without_a_reason_is_refused_and_nothing_changes(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars())

    with pytest.raises(errors.ConfigError, match="needs a name and a reason"):
        quarantine.release(empty_lake, row_ids(empty_lake), quarantine.Decision("Li Wei", " "), stamp(1))
    assert [row["state"] for row in held(empty_lake)] == ["pending"]


def test_no_row_is_released_when_one_of_them_cannot_be(empty_lake, odd_bars, load_days, stamp):
    load_days(empty_lake, market.DAILY, odd_bars())

    with pytest.raises(errors.ConfigError, match="no rows in quarantine"):
        quarantine.release(empty_lake, [*row_ids(empty_lake), "abcdef"], DECISION, stamp(1))
    assert closes(empty_lake) == [10.0]


def test_list_and_show_tell_what_came_and_what_stands(empty_lake, bars, odd_bars, load_days):
    load_days(empty_lake, market.DAILY, bars(TWO_BARS))
    load_days(empty_lake, market.DAILY, odd_bars(), n=1)

    listed = quarantine.read_list(empty_lake, "pending", 10).to_pylist()
    shown = {row["what"]: row for row in quarantine.read_one(empty_lake, listed[0]["row_id"]).to_pylist()}

    assert (listed[0]["dataset"], listed[0]["rules"]) == ("market.daily", "price_order")
    assert (shown["close"]["came"], shown["close"]["stands"]) == ("25.0", "20.0")
    assert shown["rule price_order (reject)"]["stands"] == "pending"
