"""A day's run keeps one row, however often it is run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from warehouse import errors, runs

DAY = date(2026, 11, 20)
EVENING = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def test_run_keeps_first_start_and_snapshot_when_run_again(empty_lake):
    runs.start(empty_lake, "daily/2026-11-20", DAY, EVENING, "1")
    runs.pin_snapshot(empty_lake, "daily/2026-11-20", 7)
    runs.finish(empty_lake, "daily/2026-11-20", "ok", "complete", EVENING)

    runs.start(empty_lake, "daily/2026-11-20", DAY, EVENING + timedelta(hours=1), "2")

    rows = runs.read_newest(empty_lake).to_pylist()
    assert len(rows) == 1
    assert (rows[0]["state"], rows[0]["snapshot"], rows[0]["started_at"]) == ("running", 7, EVENING)


def test_refusal_names_the_newest_day_that_was_published(empty_lake):
    runs.start(empty_lake, "daily/2026-11-20", DAY, EVENING, "1")
    runs.pin_snapshot(empty_lake, "daily/2026-11-20", 7)

    with pytest.raises(errors.ConfigError, match=r"no report of 2026-11-22.*newest published is that of 2026-11-20"):
        runs.read_snapshot(empty_lake, "daily/2026-11-22")


def test_snapshot_is_refused_when_no_run_has_published(empty_lake):
    with pytest.raises(errors.ConfigError, match=r"no report of 2026-11-20.*daybook run --as-of 2026-11-20"):
        runs.read_snapshot(empty_lake, "daily/2026-11-20")
