"""Real sessions, one evening each, with everything a vendor can do wrong mixed in, end as one clean backfill does.

The simulator serves real figures under its own clock. Which fault hits which request is drawn by seed. A fault that
changes figures without a trace is put on a session's first evening only: it is what the later visits are for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
from collections import Counter
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flows import vendors
from warehouse import lake, seeds
from warehouse.sources import faults, market_folder
from warehouse.tables import TABLES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.exhaustive,
]

# The acceptance run replays 250 sessions.
N_SESSIONS = int(os.environ.get("DAYBOOK_TEST_REPLAY_DAYS", "12"))
SEED = int(os.environ.get("DAYBOOK_TEST_SEED", "20241120"))
N_SYMBOLS = 30
SERIES = ("DGS10", "ICSA", "PAYEMS", "GDPC1", "UNRATE")
MOST_FAULTS_AN_EVENING = 3
LAST_VISIT_DAYS = 8

BOTH = (
    *("chunk_cut", "delay", "duplicate_rows", "empty", "html_200", "late_correction", "null_column", "partial_market"),
    *("reset", "row_cap", "short_length", "status", "trickle", "truncate", "wrong_series"),
)
OF_TUSHARE = (*BOTH, "bad_token", "no_permission", "rate_limit")
OF_FRED = (*BOTH, "old_csv")
# A column of each table that a correction or a hole may hit.
COLUMNS = {"daily": ("close", "amount"), "adj_factor": ("adj_factor",), "daily_basic": ("turnover_rate", "pe_ttm")}
OTHERS = ("suspend_d", "stock_basic", "bse_mapping", "trade_cal", "index_daily")


@pytest.fixture(scope="module")
def truth(vendor_data):
    whole = market_folder.folder_market(vendor_data, n_symbols=N_SYMBOLS)
    sessions = whole.session_dates[-N_SESSIONS:]
    return dataclasses.replace(
        whole,
        session_dates=sessions,
        # Nothing trades after the last session, so that its last visit can be awaited.
        calendar={day: is_open and day <= sessions[-1] for day, is_open in whole.calendar.items()},
        macro={name: whole.macro[name] for name in SERIES},
    )


@pytest.fixture(scope="module")
def vendor(truth):
    with vendors.running(truth, vendors.evening_of(truth.session_dates[0])) as running:
        yield running


@pytest.fixture(autouse=True)
def few_series(monkeypatch):
    every = seeds.fred_series()
    few = every.filter(pc.is_in(every["series_id"], pa.array(SERIES)))
    monkeypatch.setattr(seeds, "fred_series", lambda: few)


def drawn_faults(chance, day):
    """What goes wrong on one evening."""
    drawn = []
    for _ in range(chance.randint(0, MOST_FAULTS_AN_EVENING)):
        is_fred = chance.random() < 0.3
        endpoint = "fredgraph.csv" if is_fred else chance.choice((*COLUMNS, *COLUMNS, *OTHERS))
        partition = chance.choice(SERIES) if is_fred else f"{day:%Y%m%d}" if endpoint in COLUMNS else None
        drawn.append(
            faults.Fault(
                chance.choice(OF_FRED if is_fred else OF_TUSHARE),
                endpoint,
                partition,
                times=chance.choice((1, None)),
                seed=chance.randrange(1000),
                status=chance.choice((429, 500, 502, 503)),
                seconds=0.02,
                cut_at=chance.choice((0, 1, 60, 300, -1, -20)),
                share=chance.uniform(0.0, 0.95),
                cap=chance.choice((6, 12)),
                column=chance.choice(COLUMNS.get(endpoint, ("close",))),
                factor=chance.choice((0.9, 1.001, 1.1)),
            )
        )
    return drawn


def digests(desk):
    """Rows and a digest over them in order, for every table of facts; provenance left out."""
    found = {}
    with lake.open_reader(desk.options.lake) as opened:
        for table in TABLES:
            if table.schema in ("market", "feature"):
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


def test_evenings_one_by_one_under_faults_end_as_one_clean_backfill(tmp_path, desk_at, vendor, truth):
    chance = random.Random(SEED)
    # The vendor says once that 50 calls a minute are allowed, and evenings follow each other within seconds.
    live, clean = (desk_at(tmp_path / name, vendor, factor_histories_per_day=1) for name in ("live", "clean"))
    last_visit = truth.session_dates[-1] + timedelta(days=LAST_VISIT_DAYS)
    met = Counter()

    for day in truth.session_dates:
        vendor.faults.add(*drawn_faults(chance, day))
        live.run(day)
        met.update(fault.kind for fault, n_hits in vendor.faults.hits() if n_hits)
        vendor.faults.clear()
    live.run(last_visit)
    clean.backfill(truth.session_dates[0], last_visit)

    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(met.items()))
    revisions = live.read("select dataset, column_name, count(*) as n from ops.revision group by all order by all")
    held = digests(live)
    print(f"\nseed {SEED}: {len(truth.session_dates)} sessions, {sum(met.values())} faults met ({kinds})")
    print("revisions:", ", ".join(f"{row['dataset']}.{row['column_name']} {row['n']}" for row in revisions))
    print("\n".join(f"{name:26} {n_rows:7} {text[:16]}" for name, (n_rows, text) in held.items()))
    assert sum(met.values()) >= N_SESSIONS / 2
    assert held["market.daily"][0] > 0
    assert held == digests(clean)
    standing = live.read("select distinct state from ops.ledger order by 1")
    assert [row["state"] for row in standing] in (["ok"], ["empty_confirmed", "ok"])
