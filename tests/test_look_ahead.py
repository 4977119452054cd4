"""No look-ahead: what is computed for a day is the same whether or not the lake has since learned more.

A lake is filled with history at once, then evening by evening: bars and factors are corrected, rows come late, macro
values are published and revised. For sampled days T the results read from the lake as it ends are held against those
of a lake that knows nothing later: its own snapshot of that evening, or, for days before there was a lake, one from
which everything dated later is deleted.
"""

from __future__ import annotations

import dataclasses
import os
import random
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import models
from flows import context as flow_context
from flows import factors, forecasts, publishing, settings, steps, vendors
from models import cross_section, pca
from warehouse import derive, features, hindsight, lake, load, panels, returns, seeds, vintages
from warehouse.sources import faults, truth
from warehouse.sources import market as simulated
from warehouse.tables import macro, market

pytestmark = pytest.mark.exhaustive

SHANGHAI = ZoneInfo("Asia/Shanghai")
SEED = int(os.environ.get("DAYBOOK_TEST_SEED", "20"))
N_CODES, N_SESSIONS, N_AT_ONCE = 8, 70, 56
N_SAMPLED = 20
SERIES = ("UNRATE", "PAYEMS", "INDPRO", "GDPC1")
PERIODS = {"GDPC1": "QS"}


class History:
    """What the vendors show, evening by evening, and what is pulled from them."""

    def __init__(self, of_market, chance):
        self.chance = chance
        self.sessions = of_market.sessions
        self.tables = {
            market.DAILY: of_market.daily,
            market.ADJ_FACTOR: of_market.adj_factor,
            market.DAILY_BASIC: of_market.daily_basic,
        }
        self.late = {}
        self.macro = {name: self._first_values(name) for name in SERIES}

    def _first_values(self, name):
        periods = pd.date_range("2010-01-01", self.sessions[0], freq=PERIODS.get(name, "MS"))
        steps = np.random.default_rng(len(name)).normal(0.001, 0.01, len(periods))
        return dict(zip([stamp.date() for stamp in periods], np.round(100 * np.exp(np.cumsum(steps)), 3), strict=True))

    def disturb(self, day):
        """A correction in each table, now and then; a row kept back until the next evening; a macro revision."""
        for table, column in (
            (market.DAILY, "close"),
            (market.ADJ_FACTOR, "adj_factor"),
            (market.DAILY_BASIC, "turnover_rate"),
        ):
            if self.chance.random() < 0.7:
                frame = self.tables[table]
                at = self.chance.choice(frame.index[frame["trade_date"] < day].tolist())
                frame.loc[at, column] = round(float(frame.loc[at, column]) * self.chance.choice((0.97, 1.04)), 4)
        frame = self.tables[market.DAILY]
        of_today = frame.index[frame["trade_date"] == day].tolist()
        self.late = {day: frame.loc[self.chance.choice(of_today), "ts_code"]} if self.chance.random() < 0.4 else {}
        for values in self.macro.values():
            if self.chance.random() < 0.3:
                period = self.chance.choice(sorted(values)[-6:])
                values[period] = round(values[period] * 1.003, 3)
        if day.day > 24:
            for name, values in self.macro.items():
                following = pd.Timestamp(max(values)) + pd.DateOffset(months=3 if name in PERIODS else 1)
                if following.date() < day - timedelta(days=40):
                    values[following.date()] = round(values[max(values)] * 1.002, 3)

    def pull(self, to, day, sessions):
        """Everything of some sessions, and every series, as the vendors show them on an evening."""
        stamp = load.Stamp(f"load-{day}", datetime.combine(day, time(18), SHANGHAI))
        loads = []
        for table, frame in self.tables.items():
            rows = frame[frame["trade_date"].isin(sessions)]
            if table is market.DAILY:
                is_late = [
                    self.late.get(on) == code for code, on in zip(rows["ts_code"], rows["trade_date"], strict=True)
                ]
                rows = rows[~np.array(is_late, dtype=bool)]
            partitions = [load.Partition(str(one), one, asked_date=day) for one in sessions]
            loads.append(load.Load(table, pa.Table.from_pandas(rows, preserve_index=False), partitions, "trade_date"))
        shown = [(name, on, value) for name, values in self.macro.items() for on, value in values.items()]
        names, days, values = (list(column) for column in zip(*shown, strict=True))
        rows = pa.table({"series_id": names, "observation_date": days, "value": values})
        partitions = [load.Partition(name, day) for name in SERIES]
        loads.append(vintages.observation_load(rows, partitions, pull_date=day))
        load.load(to, loads, stamp)
        returns.update_returns(to, stamp)
        features.update_features(to, stamp)


@pytest.fixture(scope="module")
def filled(tmp_path_factory, random_market):
    """The lake as it ends, the snapshot of each evening, and a lake that was left after its first load."""
    chance = random.Random(SEED)
    history = History(random_market(n_codes=N_CODES, n_sessions=N_SESSIONS, seed=SEED), chance)
    folder = tmp_path_factory.mktemp("look-ahead")
    places = [lake.LakeLocation(folder / name, memory_limit="900MB") for name in ("whole", "early")]
    at_once, evenings = history.sessions[:N_AT_ONCE], history.sessions[N_AT_ONCE:]
    snapshots = {}
    for place in places:
        with lake.open_writer(place, holder="test") as opened:
            opened.commit(lambda c: derive.write_rows(c, macro.SERIES, seeds.fred_series()), message="series")
            history.pull(opened, at_once[-1], at_once)
    with lake.open_writer(places[0], holder="test") as opened:
        for number, day in enumerate(evenings):
            history.disturb(day)
            seen = history.sessions[: N_AT_ONCE + number + 1]
            history.pull(opened, day, [one for one in seen if one > day - timedelta(days=30)])
            snapshots[day] = opened.snapshot
    return places, history.sessions, snapshots


@pytest.fixture
def desk():
    """A run's context, of which only the settings are asked."""
    options = settings.read_settings(_env_file=None, forecast_sessions=80)
    return flow_context.Context(options, datetime.now(SHANGHAI), "test", None, None, None)


def results_for(opened, day, desk):
    """Everything that is computed for a day, as plain values: panels, features, fitted factors, forecasts."""
    found = {"macro values": panels.read_macro_values(opened, day).to_pylist()}
    macro_panel, rows = factors.read_macro_panel(opened, day)
    found |= {"macro panel": of_panel(macro_panel), "macro rows": rows.to_pylist()}
    return_panel = panels.read_return_panel(opened, day, n_sessions=40, min_share=0.7)
    found["return panel"] = of_panel(return_panel)
    rows = panels.read_feature_rows(opened, day)
    found["features"] = [rows.ts_code.tolist(), rows.dates.tolist(), rows.features.tobytes()]
    found["targets"] = rows.forward_return_5d.tobytes()
    if len(return_panel.dates) >= 20:
        found["factors"] = pca.FactorPCA(n_factors=2).fit(return_panel.data).loadings_.tobytes()
    training = forecasts.read_training(desk, opened, day)
    found["training"] = [training.features.tobytes(), training.target.tobytes(), training.dates.tolist()]
    if len(training.target) > 100:
        fitted = models.make("ridge", seed=1, horizon=5).fit(training.features, training.target, training.dates)
        of_day = panels.read_feature_rows(opened, day, start=day)
        found["forecasts"] = fitted.predict(cross_section.standardise_by_date(of_day.features, of_day.dates)).tobytes()
    return found


def of_panel(panel):
    return [panel.names, panel.dates.tolist(), panel.data.tobytes()]


def cut_after(opened, day):
    """Delete everything dated later than a day, and compute what follows from the rest again."""

    def work(connection):
        for table in (market.DAILY, market.ADJ_FACTOR, market.DAILY_BASIC):
            connection.execute(f"delete from {table.full_name} where trade_date > $day", {"day": day})
        connection.execute("delete from ops.ledger where try_cast(partition as date) > $day", {"day": day})
        connection.execute("delete from macro.observation where realtime_start > $day", {"day": day})
        for name in ("feature.log_return", "feature.feature"):
            connection.execute(f"delete from {name}")
            connection.execute("delete from ops.ledger where dataset = $name", {"name": name})

    opened.commit(work, message=f"cut after {day}")
    stamp = load.Stamp(f"cut-{day}", datetime.combine(day, time(18), SHANGHAI))
    returns.update_returns(opened, stamp)
    features.update_features(opened, stamp)


def assert_same(found, expected, day):
    differing = [name for name in expected if found[name] != expected[name]]
    assert not differing, f"as of {day} the lake that learned more gives other {', '.join(differing)}"


def test_results_for_sampled_days_are_those_of_a_lake_that_knows_nothing_later(filled, desk):
    (whole, early), sessions, snapshots = filled
    # Before some sessions have passed there is nothing to look at.
    sampled = sorted(random.Random(SEED).sample(sessions[12:], N_SAMPLED), reverse=True)
    with lake.open_reader(whole) as opened:
        found = {day: results_for(opened, day, desk) for day in sampled}
        n_later = opened.read_value("select count(*) from ops.revision")

    n_before = 0
    with lake.open_writer(early, holder="test") as cut:
        for day in sampled:
            if day in snapshots:
                with lake.open_reader(whole, snapshot=snapshots[day]) as at_the_time:
                    assert_same(found[day], results_for(at_the_time, day, desk), day)
            else:
                cut_after(cut, day)
                assert_same(found[day], results_for(cut, day, desk), day)
                n_before += 1

    print(f"seed {SEED}: {N_SAMPLED} days, {n_before} of them before the first load; {n_later} revisions undone")
    assert n_later >= 10 and 0 < n_before < N_SAMPLED


def test_law_notices_when_later_corrections_are_not_undone(filled, desk, monkeypatch):
    (whole, _), _, snapshots = filled
    day = min(snapshots)
    monkeypatch.setattr(hindsight, "is_corrected_since", lambda opened, as_of: False)
    with lake.open_reader(whole) as opened, lake.open_reader(whole, snapshot=snapshots[day]) as at_the_time:
        found, expected = results_for(opened, day, desk), results_for(at_the_time, day, desk)

    with pytest.raises(AssertionError, match="gives other return panel, features"):
        assert_same(found, expected, day)


@pytest.fixture
def vendor(monkeypatch):
    """A small market with two macro series, for runs of the whole evening."""
    every = seeds.fred_series()
    monkeypatch.setattr(seeds, "fred_series", lambda: every.filter(pc.is_in(every["series_id"], pa.array(SERIES))))
    whole: truth.MarketTruth = simulated.synthetic_market(seed=4, n_symbols=20, n_sessions=20)
    small = dataclasses.replace(whole, macro={name: whole.macro[name] for name in SERIES})
    with vendors.running(small, vendors.evening_of(small.session_dates[-1])) as running:
        yield running


def test_report_of_a_past_day_is_the_same_when_built_again_after_corrections(tmp_path, desk_at, vendor):
    desk = desk_at(tmp_path / "home", vendor)
    *_, first, second = vendor.truth.session_dates
    pages = []

    def run(day):
        vendor.clock.set(vendors.evening_of(day))
        context = steps.open_context(desk.options, "daily", day)
        steps.run_daily(context, day, steps.call_directly(steps.no_progress))
        return context

    vendor.faults.add(faults.Fault("late_correction", "daily", f"{first:%Y%m%d}", column="amount", factor=3.0))
    run(first)
    pages.append((desk.options.reports_path / f"{first}.html").read_text())
    vendor.faults.clear()
    context = run(second)
    pages.append(publishing.rebuild(context, first).read_text())

    corrected = desk.read("select count(*) as n from ops.revision where column_name = 'amount'")
    assert corrected[0]["n"] > 0
    assert without_build_line(pages[1]) == without_build_line(pages[0])


def without_build_line(page):
    return "\n".join(line for line in page.splitlines() if "snapshot" not in line.lower())
