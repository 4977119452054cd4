"""A month of a desk with as many securities as the market has, by its schedules: does what lives long grow?

After each simulated day the memory of the three processes is read, and the lake's bytes after the night's maintenance.
One line of JSON tells all. Partner: `quarter_desk.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import time
import urllib.request
from datetime import date

import pytest
import quarter_desk

from flows import vendors
from warehouse.sources import market, simulator

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(
        "DAYBOOK_TEST_SOAK_DAYS" not in os.environ, reason="takes hours; DAYBOOK_TEST_SOAK_DAYS says how many sessions"
    ),
]

N_DAYS = int(os.environ.get("DAYBOOK_TEST_SOAK_DAYS", "30"))
N_SYMBOLS = int(os.environ.get("DAYBOOK_TEST_SOAK_SYMBOLS", "5000"))
# The forecasts train and test on 130, and know an outcome after five.
N_BEFORE = int(os.environ.get("DAYBOOK_TEST_SOAK_HISTORY", "140"))
END = date(2026, 9, 18)
TOLERANCE = 0.05
PAGES = ("/metrics", "/readyz", "/index.html")
VARIABLES = {
    "DAYBOOK__FORECAST_MODELS": '["zero", "ridge"]',
    "DAYBOOK__FORECAST_FOLDS": "1",
    "DAYBOOK__SEED_REPEATS": "1",
    # A month of the machine's time is not at hand: what a day leaves behind goes the night after.
    "DAYBOOK__SNAPSHOT_RETENTION_DAYS": "0",
    "DAYBOOK__SCHEDULES": json.dumps({"alerts": "50 12 * * 1 UTC"}),
}


@pytest.fixture
def desk(tmp_path, free_port):
    truth = market.synthetic_market(seed=11, n_symbols=N_SYMBOLS, n_sessions=N_BEFORE + N_DAYS + 1, end_date=END)
    at = simulator.SimulatedClock(vendors.evening_of(truth.session_dates[N_BEFORE - 1]))
    variables = VARIABLES | {"DAYBOOK__HISTORY_START": str(truth.session_dates[0])}
    with (
        simulator.running(truth, clock=at, token=vendors.SIMULATED_TOKEN) as vendor,
        quarter_desk.running_desk(tmp_path, vendor, free_port, variables) as made,
    ):
        yield made


def test_memory_and_lake_stay_level_over_a_month_of_evenings(desk):
    sessions = desk.simulator.truth.session_dates
    history = desk.run_by_hand("backfill", start=str(sessions[0]), end=str(sessions[N_BEFORE - 1]))
    assert history.state == "COMPLETED", history.message
    print(f"\n{N_SYMBOLS} securities; history of {N_BEFORE} sessions in {history.seconds} s", flush=True)
    began, days = time.monotonic(), []

    for fire in desk.fires_through(sessions[N_BEFORE + N_DAYS], "maintain"):
        ended = desk.run(fire)
        print(ended, flush=True)
        # A night's maintenance ends the day before it, where that was a session.
        if fire.flow == "maintain" and any(run.fire.flow == "daily" for run in desk.runs[-4:]):
            for page in PAGES:
                with urllib.request.urlopen(f"http://127.0.0.1:{desk.ports['reports']}{page}", timeout=60) as reply:
                    reply.read()
            desk.wait_until_quiet()
            n_held = sum(day < fire.day for day in sessions)
            days.append({"day": fire.day, "sessions": n_held, "memory": desk.memory_bytes(), "lake": desk.lake_bytes()})
            print(quarter_desk.as_json(days[-1]), flush=True)

    found = figures(days)
    facts = {"securities": N_SYMBOLS, "days": len(days), "minutes": round((time.monotonic() - began) / 60, 1)}
    print(
        quarter_desk.as_json(facts | found | {"runs": quarter_desk.summary_of(desk.runs), "by_day": days}), flush=True
    )
    assert {run.state for run in desk.runs if run.fire.flow != "daily"} == {"COMPLETED"}
    assert all(1 - TOLERANCE <= ratio <= 1 + TOLERANCE for ratio in found["memory_last_over_middle"].values()), found
    assert 1 - TOLERANCE <= found["lake_a_session_last_over_middle"] <= 1 + TOLERANCE, found


def figures(days):
    """Means of the last third of the days over those of the middle third."""
    third = len(days) // 3
    assert third, "three days at least are compared: set DAYBOOK_TEST_SOAK_DAYS"
    middle, last = days[third : 2 * third], days[2 * third : 3 * third]

    def mean(of, key, name):
        return statistics.fmean(one[key][name] for one in of)

    # Small files are merged once in some days, which makes the bytes of a single day go up and down.
    a_session = [statistics.fmean(one["lake"]["files"] / one["sessions"] for one in part) for part in (middle, last)]
    grown = [(part[-1]["lake"]["files"] - part[0]["lake"]["files"]) / max(len(part) - 1, 1) for part in (middle, last)]
    return {
        "memory_last_over_middle": {
            part: round(mean(last, "memory", part) / mean(middle, "memory", part), 4) for part in quarter_desk.PARTS
        },
        "lake_bytes_a_session": [round(one) for one in a_session],
        "lake_bytes_grown_a_day": [round(one) for one in grown],
        "lake_a_session_last_over_middle": round(a_session[1] / a_session[0], 4),
    }
