"""Evenings that a machine slept through, or a worker was killed in, are run by the next one: oldest first, and once."""

from __future__ import annotations

from datetime import UTC, date, datetime

import planting
import pytest

from flows import settings, steps
from warehouse import errors, lake
from warehouse.tables import ops

# Two weeks of July, Monday to Friday but for the 10th, on which the exchange is closed.
SESSIONS = [date(2024, 7, day) for day in (1, 2, 3, 4, 5, 8, 9, 11, 12, 15, 16, 17, 18, 19)]
TODAY = SESSIONS[-1]


@pytest.fixture
def context(tmp_path, lay_out, load_sessions):
    """A run's context over a lake that has a calendar and no run."""
    options = settings.read_settings(home=tmp_path, _env_file=None)
    lay_out(options.lake)
    with lake.open_writer(options.lake, holder="test") as opened:
        load_sessions(opened, SESSIONS)
    return steps.open_context(options, "daily", TODAY)


@pytest.fixture
def had_runs(context):
    """A function that enters runs of the past as days and how they ended."""

    def enter(states):
        rows = [
            {
                "run_id": f"daily/{day}",
                "flow": "daily",
                "as_of_date": day,
                "state": state,
                "message": "",
                "started_at": datetime(2024, 7, 1, tzinfo=UTC),
                "code_version": "1",
            }
            for day, state in states.items()
        ]
        with context.writer() as opened:
            planting.insert(opened, ops.RUN, rows)

    return enter


def whole_but(*missing, first=SESSIONS[0]):
    return {day: "ok" for day in SESSIONS[:-1] if day >= first and day not in missing}


def test_days_without_a_run_and_days_cut_or_failed_are_caught_up_oldest_first(context, had_runs):
    slept, cut, failed = date(2024, 7, 16), date(2024, 7, 11), date(2024, 7, 8)
    had_runs(whole_but(slept, cut, failed) | {cut: "running", failed: "failed"})
    run = []

    assert steps.catch_up(context, TODAY, run.append) == run == [failed, cut, slept]


def test_nothing_is_caught_up_where_every_session_has_its_run(context, had_runs):
    had_runs(whole_but(date(2024, 7, 9)) | {date(2024, 7, 9): "degraded"})

    assert steps.catch_up(context, TODAY, pytest.fail) == []


def test_history_before_the_first_run_and_days_long_past_are_not_caught_up(context, had_runs):
    had_runs(whole_but(first=date(2024, 7, 3)))
    assert steps.read_left_out(context, TODAY) == []

    had_runs({SESSIONS[0]: "ok"})
    # The 2nd lies 17 days back.
    assert steps.read_left_out(context, TODAY) == []
    assert steps.read_left_out(context, date(2024, 7, 16)) == [date(2024, 7, 2)]


def test_first_run_of_a_lake_has_nothing_to_catch_up(context, tmp_path):
    assert steps.read_left_out(context, TODAY) == []
    elsewhere = settings.read_settings(home=tmp_path / "empty", _env_file=None)
    assert steps.read_left_out(steps.open_context(elsewhere, "daily", TODAY), TODAY) == []


@pytest.mark.parametrize("failure", [errors.LakeBusy("planted: another writer"), TimeoutError("planted: a task's")])
def test_day_with_gaps_is_done_and_day_that_fails_ends_it(context, had_runs, failure):
    had_runs({SESSIONS[4]: "ok"})
    run = []

    def run_one(day):
        run.append(day)
        if day == date(2024, 7, 8):
            raise errors.PartialData("planted: a gap")
        if day == date(2024, 7, 11):
            raise failure

    assert steps.catch_up(context, TODAY, run_one) == [date(2024, 7, 8), date(2024, 7, 9)]
    assert run == [date(2024, 7, 8), date(2024, 7, 9), date(2024, 7, 11)]
