"""A quarter of a desk's life by its own schedules, through real processes, with everything going wrong that may.

Prefect's server with PostgreSQL behind it, a worker and a report server run as they are deployed; vendors and clock are
the simulator's. Of the vendors' answers a twentieth is faulty; the worker is killed, the server and PostgreSQL are
restarted in the middle of runs. Partners: `quarter_desk.py`, `faulty_vendors.py`.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import json
import os
import random
import time
from collections import Counter
from datetime import date, timedelta

import pytest
import quarter_desk
from faulty_vendors import FaultyVendors, unhealed
from quarter_desk import Disaster

from flows import ingest, publishing, vendors
from warehouse import checks, lake, outages
from warehouse.sources import market, market_calendar, simulator
from warehouse.sources.truth import Prints
from warehouse.tables import TABLES, feature

pytestmark = pytest.mark.exhaustive

# The acceptance run has 63 sessions; fewer have fewer disasters.
N_SESSIONS = int(os.environ.get("DAYBOOK_TEST_QUARTER_SESSIONS", "63"))
SEED = int(os.environ.get("DAYBOOK_TEST_SEED", "20260112"))
# The Spring Festival closes Shanghai for six weekdays of this quarter, and New York's clocks change on March 8.
FIRST_DAY = date(2026, 1, 12)
N_SYMBOLS = 20
# The forecasts train and test on 130, and know an outcome after five.
N_BEFORE = 140
# Then the vendors are well until all is over: the last faulty session is visited last after seven days, and many rows
# of a session that were changed at once are an alert for a week.
ALL_OVER = timedelta(days=14)
# What a series was before has no part in this, and would be read anew at each pull.
MACRO_FROM = date(2014, 1, 1)
# Two sessions with planted anomalies end the market; they lie beyond the last run.
N_BEYOND = 4
SHARE_FAULTY = 0.05
ALL_DISASTERS = (*(("kill worker",) * 3), "restart server", "restart postgres")
FEWER_DISASTERS = ("kill worker", "restart server", "restart postgres")
VENDOR_OF = {"market": outages.MARKET_VENDOR, "macro": outages.MACRO_VENDOR}
# What a flow asks vendors for, and must not be green without.
CONCERNED = {"daily": "", "macro": "macro."}
SMALL_MODELS = {
    "DAYBOOK__FORECAST_MODELS": '["zero", "ridge"]',
    "DAYBOOK__FORECAST_FOLDS": "1",
    "DAYBOOK__SEED_REPEATS": "1",
    "DAYBOOK__FACTOR_HISTORIES_PER_DAY": "1",
    "DAYBOOK__VENDOR_ATTEMPTS": "3",
    # Nothing but the snapshots of published reports outlives the next night.
    "DAYBOOK__SNAPSHOT_RETENTION_DAYS": "0",
    # Every hour has nothing to do here most of the time, and would be most of the runs; nobody writes on a Sunday.
    "DAYBOOK__SCHEDULES": json.dumps({"alerts": "50 12 * * 1 UTC", "maintain": "30 3 * * 2-6 Asia/Shanghai"}),
}


@pytest.fixture(scope="module")
def truth():
    with pytest.MonkeyPatch.context() as patch:
        # An anomaly is an alert until somebody decides; what is looked for here are the vendors' faults.
        patch.setattr(market, "EARLIER_ANOMALIES", ())
        end, n_after = end_of_market()
        n_sessions = N_BEFORE + N_SESSIONS + n_after + N_BEYOND
        whole = market.synthetic_market(seed=SEED, n_symbols=N_SYMBOLS, n_sessions=n_sessions, end_date=end)
    return dataclasses.replace(whole, macro={name: since(series, MACRO_FROM) for name, series in whole.macro.items()})


def end_of_market():
    """The last day that is simulated, and the sessions after the quarter in which the vendors are well."""
    days = market_calendar.calendar_between(FIRST_DAY, FIRST_DAY + timedelta(days=400))
    sessions = [day for day, is_open in days.items() if is_open]
    n_live = next(n for n, day in enumerate(sessions, 1) if day >= sessions[N_SESSIONS - 1] + ALL_OVER)
    return sessions[n_live + N_BEYOND - 1], n_live - N_SESSIONS


def since(series, first):
    """A series without its periods before a day.

    All the others are always shown: where FRED drops a day a day, a lake that watched knows more than a backfill can.
    """
    start = bisect.bisect_left(series.observation_dates, first)
    prints = tuple(Prints(one.release_days[start:], one.texts[start:]) for one in series.prints)
    return dataclasses.replace(
        series, observation_dates=series.observation_dates[start:], prints=prints, rolling_years=None
    )


@pytest.fixture
def plan():
    return FaultyVendors(SEED)


@pytest.fixture
def vendor(truth, plan):
    clock = simulator.SimulatedClock(vendors.evening_of(truth.session_dates[N_BEFORE - 1]))
    with simulator.running(truth, clock=clock, faults=plan, token=vendors.SIMULATED_TOKEN) as running:
        yield running


@pytest.fixture
def quarter_desk_of(tmp_path, vendor, free_port, webhook, truth):
    variables = SMALL_MODELS | {
        "DAYBOOK__HISTORY_START": str(truth.session_dates[0]),
        "DAYBOOK__ALERT_CHANNELS": json.dumps([f"json://127.0.0.1:{webhook.port}"]),
    }
    with quarter_desk.running_desk(tmp_path, vendor, free_port, variables) as desk:
        yield desk


def planned_disasters(sessions):
    """What happens on which day's evening or morning run, drawn by seed: never two on one day."""
    chance = random.Random(SEED)
    kinds = ALL_DISASTERS if len(sessions) >= 20 else FEWER_DISASTERS
    days = sorted(chance.sample(sessions[1:], len(kinds)))
    # The worker is killed once in a macro run, else in an evening's, which commits most.
    flows = ["daily"] * len(kinds)
    order = list(kinds)
    chance.shuffle(order)
    if len(kinds) > len(FEWER_DISASTERS):
        flows[order.index("kill worker")] = "macro"
    return {
        (day, flow): Disaster(what, chance.uniform(0.1, 0.8))
        for day, flow, what in zip(days, flows, order, strict=True)
    }


def facts_of(location):
    """Rows and a digest over them in order, for every table of facts; provenance left out."""
    found = {}
    with lake.open_reader(location) as opened:
        for table in TABLES:
            # The macro panel is written by refits, of which a backfill makes none.
            if table.schema in ("market", "feature") and table is not feature.MACRO_PANEL:
                names = ", ".join(f'"{name}"' for name in table.fact_names)
                found[table.full_name] = digest(opened.read(f"select {names} from {table.full_name} order by all"))
        # A value's first day is what live has and one backfill cannot have; what stands must be the same.
        found["macro.observation"] = digest(
            opened.read(
                "select series_id, observation_date, value from macro.observation"
                " where realtime_end = date '9999-12-31' order by all"
            )
        )
        found["ops.ledger"] = digest(
            opened.read(
                "select dataset, partition, state, through_date, n_expected, n_received, n_quarantined, cause, reason,"
                " case when dataset <> 'macro.observation' then content_hash end as content_hash"
                # On which days histories of factors were compared is a matter of the days somebody ran.
                " from ops.ledger where dataset <> 'ops.factor_history' order by all"
            )
        )
    return found


def digest(rows):
    return rows.num_rows, hashlib.sha256(repr(rows.to_pylist()).encode()).hexdigest()


def read_not_whole(desk):
    return [
        (row["dataset"], row["partition"])
        for row in desk.read(
            "select dataset, partition from ops.ledger where state not in ('ok', 'empty_confirmed') order by all"
        )
    ]


def not_told(desk, not_whole):
    """Partitions that are not whole, and of which no standing alert tells."""
    alerts = desk.read("select rule, subject from ops.alert where state <> 'resolved'")
    told = {row["subject"] for row in alerts if row["rule"] != outages.RULE}
    vendors_told = {row["subject"] for row in alerts if row["rule"] == outages.RULE}
    return [
        (dataset, partition)
        for dataset, partition in not_whole
        if dataset not in told and VENDOR_OF.get(dataset.split(".")[0]) not in vendors_told
    ]


def live_through(desk, plan, disasters, last_faulty, last):
    """Every start by the schedules until the evening of a day; what was not whole after a run and told by nobody."""
    silent = []
    for fire in desk.fires_through(last, "daily"):
        plan.share = SHARE_FAULTY if fire.day <= last_faulty else 0.0
        plan.begin(f"{fire.flow} {fire.at.isoformat()}", fire.day)
        ended = desk.run(fire, disasters.pop((fire.day, fire.flow), None))
        print(ended, flush=True)
        if not ended.disaster and fire.flow in CONCERNED:
            not_whole = [one for one in read_not_whole(desk) if one[0].startswith(CONCERNED[fire.flow])]
            # A run over missing data fails, of which an automation tells; what an evening lacks is an alert besides.
            silent += [(fire.at, "green", *one) for one in not_whole if ended.state == "COMPLETED"]
            silent += [(fire.at, *one) for one in not_told(desk, not_whole) if fire.flow == "daily"]
    return silent


def test_a_quarter_by_schedule_ends_as_one_clean_backfill(
    quarter_desk_of, plan, truth, vendor, desk_at, tmp_path, webhook
):
    desk, began = quarter_desk_of, time.monotonic()
    before, live = truth.session_dates[:N_BEFORE], truth.session_dates[N_BEFORE:-N_BEYOND]
    quarter, last = live[:N_SESSIONS], live[-1]
    disasters = planned_disasters(list(quarter))
    planned = {f"{day} {flow}": one.what for (day, flow), one in disasters.items()}
    print(f"\nseed {SEED}: {len(quarter)} sessions {quarter[0]} to {quarter[-1]}, vendors well until {last}")
    print(f"disasters: {planned}", flush=True)

    history = desk.run_by_hand("backfill", start=str(before[0]), end=str(before[-1]))
    assert history.state == "COMPLETED", history.message
    print(f"history {history.seconds} s", flush=True)
    silent = live_through(desk, plan, disasters, quarter[-1], last)
    desk.wait_until_quiet()

    plan.share = 0.0
    clean = desk_at(tmp_path / "clean", vendor, factor_histories_per_day=1)
    clean.backfill(before[0], last)
    vendor.clock.set(desk.runs[-1].fire.at)
    held, expected = facts_of(desk.options.lake), facts_of(clean.options.lake)
    found = {
        "differing_tables": sorted(name for name in expected if held[name] != expected[name]),
        "silent": silent,
        "not_whole": read_not_whole(desk),
        "missing_days": missing_days(desk, live),
        "missing_reports": missing_reports(desk),
        "alerts_not_resolved": read_standing(desk),
        "running_on_the_server": desk.count_runs("RUNNING", "PENDING"),
        "disasters_that_did_not_come": list(disasters),
    }
    print(quarter_desk.as_json(summary(desk, plan, webhook, time.monotonic() - began) | found), flush=True)
    days = [run.fire.day for run in desk.runs if run.fire.flow == "daily"]
    figures = prove_pages(desk, [*random.Random(SEED).sample(days, 3), *(day for day, _ in planned_days(planned))])
    print(f"figures of pages recomputed from their snapshots: {figures}", flush=True)
    assert not any(found.values()), found


def planned_days(planned):
    """Days and flows of what was planned."""
    return [(date.fromisoformat(when.split()[0]), when.split()[1]) for when in planned]


def prove_pages(desk, days):
    """How many figures of each page are what its snapshot says, after all that became of the lake since."""
    options = desk.options
    return {str(day): publishing.prove(options, options.reports_path / f"{day}.html") for day in sorted(set(days))}


def missing_days(desk, sessions):
    """Sessions of which a table has no partition that is whole."""
    rows = desk.read("select dataset, partition from ops.ledger where state in ('ok', 'empty_confirmed')")
    held = {(row["dataset"], row["partition"]) for row in rows}
    return [
        (table.full_name, day)
        for table in ingest.SESSION_TABLES
        for day in sessions
        if (table.full_name, day.isoformat()) not in held
    ]


def missing_reports(desk):
    """Evenings for which no page lies there, or no run says that it published one."""
    days = sorted({str(run.fire.day) for run in desk.runs if run.fire.flow == "daily"})
    published = {
        str(row["as_of_date"])
        for row in desk.read("select as_of_date from ops.run where flow = 'daily' and snapshot is not null")
    }
    folder = desk.options.reports_path
    return [day for day in days if day not in published or not (folder / f"{day}.html").exists()]


def read_standing(desk):
    """Alerts about the data that stand; what a market does by itself is another matter."""
    rules = [*(check.rule for check in checks.CHECKS), outages.RULE]
    return [
        f"{row['rule']} {row['subject']} {row['subject_date']}"
        for row in desk.read(
            "select rule, subject, subject_date from ops.alert where state <> 'resolved'"
            " and rule in (select unnest($rules)) order by all",
            rules=rules,
        )
    ]


def summary(desk, plan, webhook, seconds):
    """What happened, in figures."""
    kinds = Counter(answer.kind for answer in plan.answers if answer.kind)
    alerts = desk.read("select rule, state, count(*) as n from ops.alert group by all order by all")
    return {
        "sessions": N_SESSIONS,
        "minutes": round(seconds / 60, 1),
        "load_average": os.getloadavg()[2],
        "answers": len(plan.answers),
        "answers_while_faulty": sum(answer.is_exposed for answer in plan.answers),
        "faulty": kinds.total(),
        "not_healed_by_retry": len(unhealed(plan.answers)),
        "kinds": dict(sorted(kinds.items())),
        "runs": quarter_desk.summary_of(desk.runs),
        "unasked_restarts": desk.n_unasked_restarts,
        "alerts": [f"{row['rule']} {row['state']} {row['n']}" for row in alerts],
        "messages": len(webhook.taken),
    }
