"""Rows that go into files of their own are the same rows, lie sorted by year, and leave nothing when the work fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from warehouse import bulk, data_files, lake, maintenance, returns, verify
from warehouse.tables import feature

N_CODES, N_SESSIONS = 6, 300


@pytest.fixture
def filled_lake(empty_lake, load_market, random_market):
    load_market(empty_lake, random_market(n_codes=N_CODES, n_sessions=N_SESSIONS))
    return empty_lake


@pytest.fixture
def small_files(monkeypatch):
    """Few rows are worth files, a few of them to a row group."""
    monkeypatch.setattr(bulk, "WORTH_FILES", 1)
    monkeypatch.setattr(bulk, "GROUP_ROWS", 100)


def live_files(of):
    return [
        row
        for row in data_files.read_named(of).to_pylist()
        if row["end_snapshot"] is None and row["kind"] == "data" and row["table_name"].endswith("log_return")
    ]


def test_rows_are_those_that_an_insert_writes(filled_lake, new_lake, load_market, random_market, stamp, small_files):
    n_rows = returns.update_returns(filled_lake, stamp(1))

    with lake.open_writer(new_lake(), holder="test") as other, pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "can_add", lambda location, table: False)
        load_market(other, random_market(n_codes=N_CODES, n_sessions=N_SESSIONS))
        assert returns.update_returns(other, stamp(1)) == n_rows
        inserted = other.read("select * from feature.log_return order by ts_code, trade_date")
    assert filled_lake.read("select * from feature.log_return order by ts_code, trade_date").equals(inserted)
    assert len(live_files(filled_lake)) == 2


def test_file_holds_one_year_sorted_by_security(filled_lake, stamp, small_files):
    returns.update_returns(filled_lake, stamp(1))

    for file in live_files(filled_lake):
        keys = filled_lake.read("select ts_code, trade_date from read_parquet($path)", path=file["path"]).to_pylist()
        pairs = [tuple(key.values()) for key in keys]
        assert pairs == sorted(pairs) and len(pairs) == file["n_rows"]
        assert {str(day.year) for _, day in pairs} == {file["partition_value"]}


def test_lake_can_be_verified_corrected_and_compacted_as_ever(filled_lake, stamp, small_files):
    returns.update_returns(filled_lake, stamp(1))
    before = filled_lake.read("select * from feature.log_return order by ts_code, trade_date")

    filled_lake.commit(
        lambda c: c.execute("update feature.log_return set drawdown_252d = drawdown_252d where ts_code < '600003.SH'"),
        message="rewrite half of it",
    )
    maintenance.maintain(filled_lake, datetime.now(UTC) + timedelta(days=400), maintenance.Policy())

    assert filled_lake.read("select * from feature.log_return order by ts_code, trade_date").equals(before)
    checks = [verify.check_files(filled_lake), verify.check_rows(filled_lake), verify.check_keys(filled_lake)]
    verify.refuse_broken(checks)


def test_failure_in_the_middle_leaves_no_row_and_only_files_that_maintenance_removes(filled_lake, small_files):
    rows = feature.LOG_RETURN.conform(
        pa.table(
            {
                "ts_code": ["600000.SH"] * 300,
                "trade_date": pa.array(range(19000, 19300), pa.int32()).cast(pa.date32()),
            }
        )
    )

    def parts():
        yield rows
        raise OSError("the vendor's disk is gone")

    with pytest.raises(OSError, match="disk is gone"):
        filled_lake.commit(
            lambda c: bulk.add(c, filled_lake.location, feature.LOG_RETURN, parts()), message="to be undone"
        )

    later = datetime.now(UTC) + timedelta(days=400)
    assert filled_lake.read_value("select count(*) from feature.log_return") == 0
    assert len(maintenance.read_orphans(filled_lake, later)) == 1
    maintenance.maintain(filled_lake, later, maintenance.Policy())
    assert not list((filled_lake.location.path / "data" / "feature" / "log_return").rglob("*.parquet"))
