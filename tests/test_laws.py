"""Backfill equals live, whatever vendors and machine do in between: the lake against a model made of dictionaries.

A Hypothesis state machine runs evenings, repeats them, backfills in any order, cuts them off at a commit, withholds
rows, breaks answers and revises figures; after every step the lake must hold what `Book` says. `Book` is written from
the design alone and uses nothing of the warehouse. Three bugs planted in the warehouse prove that it would notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import uuid
from collections import Counter
from datetime import date, timedelta

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from flows import context as flow_context
from flows import ingest, settings, steps, vendors
from warehouse import fence, lake, ledger, load, seeds
from warehouse.sources import faults, market_calendar, truth

pytestmark = pytest.mark.exhaustive

SESSIONS = tuple(date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10, 11, 12, 15, 16, 17))
CODES = ("000003.SZ", "600001.SH", "600002.SH")
SUSPENDED = ("600001.SH", SESSIONS[3])
EX_RIGHTS = SESSIONS[2]
TABLES = ("suspend_d", "daily", "adj_factor", "daily_basic")
# Usual days from the end of the period to publication, as the seed has them.
SERIES_LAG_DAYS = {"UNRATE": 6, "PERMIT": 18}
MONTH_ENDS = {date(2023, 9, 1): date(2023, 9, 30), date(2023, 10, 1): date(2023, 10, 31)}
MONTH_ENDS |= {date(2023, 11, 1): date(2023, 11, 30), date(2023, 12, 1): date(2023, 12, 31)}
# A revision is seen when its session is asked for again; older ones are nobody's fault.
REVISIT_DAYS = (1, 7)
WHOLE = ("ok", "empty_confirmed")
STANDING = date(9999, 12, 31)


NOTHING_DUE = pa.table({"state": pa.array([], pa.string())})


class Vendor:
    """What both vendors show at this moment; whatever is changed here is what they answer next."""

    def __init__(self, served: truth.MarketTruth) -> None:
        self.truth = served
        self.close = {
            (code, day): round(10.0 + 5 * at + 0.1 * ((3 * number + at) % 7), 2)
            for at, code in enumerate(CODES)
            for number, day in enumerate(SESSIONS)
            if (code, day) != SUSPENDED
        }
        # The exchange knows of the ex-rights day and so does pre_close; the factors leave it out until corrected.
        self.true_factor = {key: 1.0 if key[1] < EX_RIGHTS else 1.25 for key in self.close}
        self.factor = dict.fromkeys(self.close, 1.0)
        self.turnover = {key: 1.5 for key in self.close}
        self.withheld: set[tuple[str, str, date]] = set()
        self.macro: dict[str, dict[date, float | None]] = {
            "UNRATE": {date(2023, 9, 1): 3.8, date(2023, 10, 1): None, date(2023, 11, 1): 3.7},
            "PERMIT": {date(2023, 9, 1): 1471.0, date(2023, 10, 1): 1498.0},
        }
        self.publish()

    def shown(self, table: str, day: date) -> dict[tuple[str, date], dict[str, object]]:
        """The rows of a session by key, values as the vendor publishes them."""
        if table == "suspend_d":
            rows = {SUSPENDED: {"suspend_timing": None, "suspend_type": "S"}}
        elif table == "daily":
            rows = {key: self._bar(key) for key in self.close}
        elif table == "adj_factor":
            rows = {key: {"adj_factor": self.factor[key]} for key in self.close}
        else:
            rest = dict.fromkeys(("volume_ratio", "pe_ttm", "pb", "ps_ttm", "total_mv", "circ_mv"), 1.0)
            rows = {
                key: {"close": close, "turnover_rate": self.turnover[key], **rest} for key, close in self.close.items()
            }
        return {key: row for key, row in rows.items() if key[1] == day and (table, *key) not in self.withheld}

    def _bar(self, key: tuple[str, date]) -> dict[str, object]:
        """A bar whose pre_close is the one the true factors imply."""
        code, day = key
        before = [other for other in SESSIONS if other < day and (code, other) in self.close]
        close = self.close[key]
        pre_close = close
        if before:
            last = (code, before[-1])
            pre_close = round(self.close[last] * self.true_factor[last] / self.true_factor[key], 2)
        prices = {"open": close, "high": max(close, pre_close), "low": min(close, pre_close), "close": close}
        moves = {"change": round(close - pre_close, 2), "pct_chg": round((close / pre_close - 1) * 100, 4)}
        return prices | {"pre_close": pre_close} | moves | {"vol": 100.0, "amount": 1000.0}

    def publish(self) -> None:
        """Make the simulator answer what is shown now."""
        sheets, series = {}, {}
        for table in TABLES:
            rows = [
                {"ts_code": code, "trade_date": f"{day:%Y%m%d}", **values}
                for session in SESSIONS
                for (code, day), values in self.shown(table, session).items()
            ]
            sheets[table] = sheet_of(rows or [{"ts_code": "", "trade_date": "19900101"}])
        for series_id, values in self.macro.items():
            days = tuple(sorted(values))
            texts = tuple("" if values[day] is None else f"{values[day]:.6g}" for day in days)
            prints = (truth.Prints(np.zeros(len(days), dtype=np.int64), texts),)
            series[series_id] = truth.MacroSeries(series_id, days, prints)
        self.truth.sheets.update(sheets)
        self.truth.macro.update(series)


def sheet_of(rows):
    names = rows[0]
    return truth.sheet_from_columns(
        {
            name: np.array(
                [row[name] for row in rows], dtype=np.float64 if isinstance(rows[0][name], float) else object
            )
            for name in names
        }
    )


@dataclasses.dataclass
class Vintage:
    """One value of a macro series and the days it was the published one."""

    value: float | None
    start: date
    end: date = STANDING
    is_estimated: bool = False


class Book:
    """What a correct lake holds, given what the vendors showed whenever they were asked. Dictionaries, no warehouse."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[tuple[str, date], dict[str, object]]] = {table: {} for table in TABLES}
        self.state: dict[tuple[str, str], str] = {}
        self.asked: dict[tuple[str, str], date] = {}
        self.revisions: Counter = Counter()
        self.vintages: dict[tuple[str, date], list[Vintage]] = {}

    def is_due(self, table: str, day: date, today: date) -> bool:
        """Not whole, or a revisit has come that nobody has paid yet."""
        key = (table, day.isoformat())
        if self.state.get(key) not in WHOLE:
            return True
        return any(self.asked[key] < day + timedelta(days=k) <= today for k in REVISIT_DAYS)

    def ask_session(self, vendor: Vendor, day: date, today: date, tables: list[str], broken: set[str]) -> None:
        """The tables of one session, as shown today; a broken one gives nothing."""
        for table in tables:
            if table in broken:
                self._judge(table, day, today, 0, 0, is_broken=True)
                continue
            shown = vendor.shown(table, day)
            for key, row in shown.items():
                self._enter(table, key, row, today)
            n_suspended = sum(key[1] == day for key in self.rows["suspend_d"])
            n_expected = 0 if table == "suspend_d" else len(CODES) - n_suspended
            self._judge(table, day, today, len(shown), n_expected)

    def _enter(self, table: str, key: tuple[str, date], row: dict[str, object], today: date) -> None:
        held = self.rows[table].get(key)
        where = (f"market.{table}", *key)
        if held is None:
            first_asked = self.asked.get((table, key[1].isoformat()))
            if first_asked is not None and today > key[1] and first_asked <= key[1] + timedelta(days=30):
                self.revisions[*where, "*", today, None, None] += 1
        else:
            for name, value in row.items():
                if value != held[name]:
                    self.revisions[*where, name, today, held[name], value] += 1
        self.rows[table][key] = dict(row)

    def _judge(
        self, table: str, day: date, today: date, n_shown: int, n_expected: int, is_broken: bool = False
    ) -> None:
        key = (table, day.isoformat())
        has_rows = any(held[1] == day for held in self.rows[table])
        if is_broken:
            state = "partial" if has_rows else "failed"
        elif table == "suspend_d":
            state = "ok" if has_rows else "empty_confirmed"
        elif not has_rows:
            state = "failed"
        else:
            state = "ok" if n_shown >= n_expected else "partial"
        if state in WHOLE or self.state.get(key) not in WHOLE:
            self.state[key], self.asked[key] = state, today

    def repair_factors(self, vendor: Vendor, today: date) -> None:
        """Securities whose factor was revised today, or does not fit somewhere, are asked for whole."""
        revised = {
            code for dataset, code, _, column, day, *_ in self.revisions if column == "adj_factor" and day == today
        }
        for code in CODES:
            days = sorted(
                day for held, day in self.rows["daily"] if held == code and (code, day) in self.rows["adj_factor"]
            )
            if code in revised or any(self._misfits(code, *pair) for pair in itertools.pairwise(days)):
                for held, day in list(self.rows["adj_factor"]):
                    shown = vendor.shown("adj_factor", day).get((code, day))
                    if held == code and shown is not None:
                        self._enter("adj_factor", (code, day), shown, today)

    def _misfits(self, code: str, before: date, day: date) -> bool:
        bar, last = self.rows["daily"][code, day], self.rows["daily"][code, before]
        factor, factor_before = (self.rows["adj_factor"][code, one]["adj_factor"] for one in (day, before))
        off = abs(last["close"] * factor_before / factor - bar["pre_close"])
        return off > 0.01 + 0.0002 * bar["pre_close"]

    def ask_series(self, vendor: Vendor, series_id: str, today: date, is_broken: bool) -> None:
        """The whole history of a series, as shown today."""
        key = ("observation", series_id)
        stands = [one for (name, _), one in self.vintages.items() if name == series_id]
        if is_broken:
            self.state[key] = "partial" if stands else "failed"
            return
        for day, value in vendor.macro[series_id].items():
            history = self.vintages.setdefault((series_id, day), [])
            last = history[-1] if history else None
            if not stands:
                usual = MONTH_ENDS[day] + timedelta(days=SERIES_LAG_DAYS[series_id])
                history.append(Vintage(value, min(usual, today), is_estimated=True))
            elif last is None:
                history.append(Vintage(value, today))
            elif last.value != value and last.start == today:
                last.value = value
            elif last.value != value:
                last.end = today - timedelta(days=1)
                history.append(Vintage(value, today))
        self.state[key], self.asked[key] = "ok", today

    def log_returns(self) -> dict[tuple[str, date], tuple[float | None, float | None, float | None]]:
        """Over one and five bars, and drawdown, on close times factor, by the plain formula."""
        found = {}
        for code in CODES:
            days = sorted(day for held, day in self.rows["daily"] if held == code)
            prices = [
                self.rows["daily"][code, day]["close"] * factor["adj_factor"]
                if (factor := self.rows["adj_factor"].get((code, day)))
                else None
                for day in days
            ]
            for at, (day, price) in enumerate(zip(days, prices, strict=True)):
                lagged = [prices[at - window] if at >= window else None for window in (1, 5)]
                one, five = (math.log(price / before) if price and before else None for before in lagged)
                highest = max((other for other in prices[: at + 1] if other), default=None)
                found[code, day] = (one, five, price / highest - 1.0 if price else None)
        return found


REPAIR = ("adj_factor", "whole histories")


class Crash(Exception):
    """The process dies here."""


@dataclasses.dataclass(frozen=True)
class OneConnection(flow_context.Context):
    """A run's context over a lake that is open already: attaching it forty times an evening is most of an evening."""

    opened: lake.Lake | None = None

    def writer(self):
        return contextlib.nullcontext(self.opened)

    reader = writer


class Ground:
    """What the examples share: the simulator, folders to put lakes in, and the reader of facts."""

    def __init__(self, running, folder, facts_of):
        self.running, self.folder, self.facts_of = running, folder, facts_of

    def new_options(self):
        variables = vendors.environment(self.running, self.folder / f"home-{uuid.uuid4().hex}")
        known = {name.removeprefix("DAYBOOK__").lower(): value for name, value in variables.items()}
        known |= {"index_codes": (), "history_start": SESSIONS[0], "vendor_attempts": 1, "_env_file": None}
        # A correction that nothing shows is found when its turn comes, which the book does not follow.
        known |= {"revisit_days": REVISIT_DAYS, "lake_memory_limit": "900MB", "factor_histories_per_day": 0}
        return settings.read_settings(**known)


class Desk:
    """A lake and the real flows that fill it, with a place to let them die."""

    def __init__(self, ground):
        self.ground, self.options = ground, ground.new_options()
        self.landed: set[tuple[str, str]] = set()
        self.commits_left: int | None = None
        self.dies_inside = False
        # Calendar, securities and indices never change here: asking for them again would be half of every evening.
        self.has_calendar = False
        self._opening = contextlib.ExitStack()
        self.open()

    def open(self):
        self.lake = self._opening.enter_context(lake.open_writer(self.options.lake, holder="laws", wait_s=5))
        # Three rows a day need no second thread: with one, an evening costs half as much.
        self.lake.commit(lambda connection: connection.execute("set threads = 1"), message="one thread")

    def close(self):
        self._opening.close()

    def run(self, day):
        self.ground.running.clock.set(vendors.evening_of(day))
        context = self._context(day)
        with self._watched():
            steps.run_ingest(context, day, no_progress)
            steps.run_returns(context, day, no_progress)

    def backfill(self, start, end, today):
        self.ground.running.clock.set(vendors.evening_of(today))
        with self._watched():
            steps.backfill(self._context(today), start, end, no_progress)

    def _context(self, day):
        context = steps.open_context(self.options, "daily", day)
        # The vendor's circuit breaker and clock are new each evening, as in a process of its own.
        return OneConnection(**vars(context), opened=self.lake)

    @contextlib.contextmanager
    def _watched(self):
        """Notes which partitions were committed, and dies at the commit that was chosen."""
        self.landed.clear()
        load_before, commit_before = load.load, lake.Lake.commit
        waiting: list[load.Load] = []

        def noting_load(to, loads, stamp):
            waiting[:] = loads
            return load_before(to, loads, stamp)

        def dying_commit(of, work, *, message):
            if self.commits_left is not None:
                self.commits_left -= 1
            is_last = self.commits_left is not None and self.commits_left < 0

            def work_until_death(connection):
                result = work(connection)
                if is_last and self.dies_inside:
                    raise Crash(message)
                return result

            result = commit_before(of, work_until_death, message=message)
            if message.startswith("load "):
                self.landed |= {
                    (one.table.name, each.key) for one in waiting for each in one.partitions if not one.amends
                }
                self.landed |= {REPAIR for one in waiting if one.amends}
            if is_last:
                raise Crash(message)
            return result

        with pytest.MonkeyPatch.context() as patched:
            if self.has_calendar:
                patched.setattr(ingest, "ingest_reference", lambda context: NOTHING_DUE)
                patched.setattr(ingest, "ingest_indices", lambda context, start, end: NOTHING_DUE)
            patched.setattr(load, "load", noting_load)
            patched.setattr(lake.Lake, "commit", dying_commit)
            try:
                yield
                self.has_calendar = True
            except Crash:
                self.close()
                self.open()
                raise
            finally:
                self.commits_left = None

    def read(self, statement):
        return self.lake.read(statement).to_pylist()


def no_progress(what, done, total):
    pass


DAY_NUMBERS = st.integers(0, len(SESSIONS) - 1)
ONE_CODE, ONE_SERIES = st.sampled_from(CODES), st.sampled_from(tuple(SERIES_LAG_DAYS))
# What the vendors may do between two evenings: rows not there yet or no longer, and figures that change.
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("withhold"), st.sampled_from(TABLES[1:]), ONE_CODE, st.integers(0, 2)),
        st.tuples(st.just("revise_bar"), ONE_CODE, st.integers(0, 4), st.sampled_from((0.01, -0.02, 0.5))),
        st.tuples(st.just("correct_factors"), ONE_CODE),
        st.tuples(st.just("revise_series"), ONE_SERIES, st.sampled_from((0.1, -0.2, None))),
        st.tuples(st.just("publish_month"), ONE_SERIES, st.sampled_from((3.3, 1500.0))),
        st.tuples(st.just("deliver")),
    ),
    max_size=3,
)
BREAKABLE = (*TABLES, "UNRATE")


class Evenings(stateful.RuleBasedStateMachine):
    """Evenings of a desk, and everything that may happen to it."""

    def __init__(self, ground):
        super().__init__()
        self.ground = ground
        self.vendor, self.book, self.desk = Vendor(ground.running.truth), Book(), Desk(ground)
        self.at = 0
        self.today = SESSIONS[0]
        self.is_sound = True
        self.ground.running.faults.clear()
        self._operate(lambda: self.desk.run(self.today), SESSIONS[0], self.today)

    def teardown(self):
        try:
            if self.is_sound:
                self._compare_with_one_clean_backfill()
        finally:
            self.desk.close()

    @stateful.rule(n_sessions=st.integers(1, 3), changes=CHANGES, broken=st.none() | st.sampled_from(BREAKABLE))
    def evening(self, n_sessions, changes, broken):
        """The next evening on which somebody runs it; on those in between, the machine was off."""
        self._pass(n_sessions)
        self._change(changes)
        self._operate(lambda: self.desk.run(self.today), SESSIONS[0], self.today, broken)

    @stateful.rule(changes=CHANGES)
    def rerun(self, changes):
        self._change(changes)
        self._operate(lambda: self.desk.run(self.today), SESSIONS[0], self.today)

    @stateful.rule(span=st.tuples(DAY_NUMBERS, DAY_NUMBERS), changes=CHANGES)
    def backfill(self, span, changes):
        self._change(changes)
        first, last = (SESSIONS[min(at, self.at)] for at in sorted(span))
        self._operate(lambda: self.desk.backfill(first, last, self.today), first, last)

    @stateful.rule(n_commits=st.integers(0, 3), dies_inside=st.booleans(), changes=CHANGES)
    def crash(self, n_commits, dies_inside, changes):
        """The next evening dies inside a commit, or after one; what had landed stands, the rest is as before."""
        self._pass(1)
        self._change(changes)
        self.is_sound = False
        self.desk.commits_left, self.desk.dies_inside = n_commits, dies_inside
        try:
            self.desk.run(self.today)
            landed = None
        except Crash:
            landed = set(self.desk.landed)
        self._enter_book(SESSIONS[0], self.today, None, landed)
        self._compare(are_returns_due=landed is not None)
        self.is_sound = True

    def _change(self, changes):
        """What the vendors did since they were last asked."""
        for what, *details in changes:
            getattr(self, f"_{what}")(*details)
        self.vendor.publish()

    def _withhold(self, table, code, ago):
        self.vendor.withheld.add((table, code, SESSIONS[max(self.at - ago, 0)]))

    def _deliver(self):
        self.vendor.withheld.clear()

    def _revise_bar(self, code, ago, by):
        key = (code, SESSIONS[max(self.at - ago, 0)])
        if key in self.vendor.close and self._is_still_watched(key[1]):
            self.vendor.close[key] = round(self.vendor.close[key] + by, 2)

    def _correct_factors(self, code):
        self.vendor.factor |= {key: factor for key, factor in self.vendor.true_factor.items() if key[0] == code}

    def _revise_series(self, series_id, by):
        values = self.vendor.macro[series_id]
        newest = max(values)
        values[newest] = None if by is None else round((values[newest] or 3.0) + by, 1)

    def _publish_month(self, series_id, value):
        values = self.vendor.macro[series_id]
        later = [day for day in MONTH_ENDS if day > max(values)]
        values |= dict.fromkeys(later[:1], value)

    def _pass(self, n_sessions):
        self.at = min(self.at + n_sessions, len(SESSIONS) - 1)
        self.today = SESSIONS[self.at]

    def _is_still_watched(self, day):
        """Whether a change today will be seen: the last visit to that session is still to come."""
        return self.today < day + timedelta(days=max(REVISIT_DAYS))

    def _operate(self, run, first, last, broken=None):
        self.is_sound = False
        if broken:
            endpoint, partition = (broken, None) if broken in TABLES else ("fredgraph.csv", broken)
            self.ground.running.faults.add(faults.Fault("status", endpoint, partition, status=500))
        run()
        self.ground.running.faults.clear()
        self._enter_book(first, last, broken, None)
        self._compare()
        self.is_sound = True

    def _enter_book(self, first, last, broken, landed):
        """Let the book learn what the flows asked for; after a crash, only what had landed."""
        for day in (day for day in SESSIONS if first <= day <= last):
            tables = [table for table in TABLES if self.book.is_due(table, day, self.today)]
            if landed is not None:
                tables = [table for table in tables if (table, day.isoformat()) in landed]
            self.book.ask_session(self.vendor, day, self.today, tables, {broken})
        # A run that died before it looked at the factors leaves that to the next.
        if broken != "adj_factor" and (landed is None or REPAIR in landed):
            self.book.repair_factors(self.vendor, self.today)
        for series_id in SERIES_LAG_DAYS:
            key = ("observation", series_id)
            is_due = self.book.state.get(key) != "ok" or self.book.asked[key] < self.today
            if is_due and (landed is None or key in landed):
                self.book.ask_series(self.vendor, series_id, self.today, series_id == broken)

    def _compare(self, are_returns_due=False):
        for table in TABLES:
            held = {(row["ts_code"], row["trade_date"]): row for row in self.desk.read(f"from market.{table}")}
            assert held.keys() == self.book.rows[table].keys(), table
            for key, row in self.book.rows[table].items():
                assert {name: held[key][name] for name in row} == row, (table, key)
        self._compare_ledger()
        self._compare_revisions()
        self._compare_vintages()
        if not are_returns_due:
            self._compare_returns()

    def _compare_ledger(self):
        held = self.desk.read(
            "select split_part(dataset, '.', 2) as name, partition, state from ops.ledger"
            " where dataset in ('market.suspend_d', 'market.daily', 'market.adj_factor', 'market.daily_basic',"
            " 'macro.observation')"
        )
        assert {(row["name"], row["partition"]): row["state"] for row in held} == self.book.state

    def _compare_revisions(self):
        held = self.desk.read(
            "select dataset, row_key->>'$.ts_code' as ts_code, (row_key->>'$.trade_date')::date as trade_date,"
            " column_name, revised_date, try_cast(old_value as double) as old_value,"
            " try_cast(new_value as double) as new_value from ops.revision where dataset like 'market.%'"
        )
        assert Counter(tuple(row.values()) for row in held) == self.book.revisions

    def _compare_vintages(self):
        held = self.desk.read("from macro.observation order by series_id, observation_date, realtime_start")
        found = {}
        for row in held:
            one = Vintage(row["value"], row["realtime_start"], row["realtime_end"], row["is_realtime_estimated"])
            found.setdefault((row["series_id"], row["observation_date"]), []).append(one)
        assert found == self.book.vintages

    def _compare_returns(self):
        held = self.desk.read(
            "select ts_code, trade_date, log_return_1d, log_return_5d, drawdown_252d from feature.log_return"
        )
        found = {
            (row["ts_code"], row["trade_date"]): (row["log_return_1d"], row["log_return_5d"], row["drawdown_252d"])
            for row in held
        }
        expected = self.book.log_returns()
        assert found.keys() == expected.keys()
        for key, values in found.items():
            assert values == tuple(
                None if value is None else pytest.approx(value, abs=1e-12) for value in expected[key]
            ), key

    def _compare_with_one_clean_backfill(self):
        """After the last visits, with everything delivered, nothing tells the lake from one filled in a single go."""
        self.vendor.withheld.clear()
        self.vendor.publish()
        self.today += timedelta(days=max(REVISIT_DAYS) + 1)
        self.desk.has_calendar = False
        self._operate(lambda: self.desk.run(self.today), SESSIONS[0], self.today)
        clean = Desk(self.ground)
        try:
            clean.backfill(SESSIONS[0], self.today, self.today)
            assert self._facts(self.desk) == self._facts(clean)
        finally:
            clean.close()

    def _facts(self, desk):
        facts = self.ground.facts_of(desk.lake, ("market", "feature"))
        # When a value became known is what live has and a backfill cannot: only what stands now can be the same.
        ledger = (
            "select * exclude (n_attempts, load_id, loaded_at, asked_date, first_asked_date, first_answered_date,"
            " content_hash),"
            " case when dataset <> 'macro.observation' then content_hash end as content_hash"
            " from ops.ledger where dataset <> 'ops.factor_history' order by dataset, partition"
        )
        facts["ledger"] = desk.read(ledger)
        standing = (
            "select series_id, observation_date, value from macro.observation where realtime_end = {} order by all"
        )
        return facts | {"macro": desk.read(standing.format(f"date '{STANDING}'"))}


@pytest.fixture(scope="module")
def shared_ground(tmp_path_factory):
    served = truth.MarketTruth(
        name="a tiny market",
        session_dates=SESSIONS,
        ts_codes=CODES,
        sheets={"index_daily": sheet_of([{"ts_code": "000300.SH", "trade_date": "20240102"}])},
        listings=(
            *(truth.Listing(code, code, None, None, None, None, date(2000, 1, 4)) for code in CODES),
            truth.Listing("600999.SH", "gone", None, None, None, None, date(1993, 5, 4), date(2001, 4, 23)),
        ),
        # Closed for good after the last session, so that a week may pass without new ones.
        calendar={
            day: is_open and day <= SESSIONS[-1]
            for day, is_open in market_calendar.calendar_between(date(2020, 1, 1), date(2024, 12, 31)).items()
        },
        macro={},
    )
    with vendors.running(served, vendors.evening_of(SESSIONS[0])) as running, pytest.MonkeyPatch.context() as patched:
        every = seeds.fred_series()
        few = every.filter(pc.is_in(every["series_id"], pa.array(list(SERIES_LAG_DAYS))))
        patched.setattr(seeds, "fred_series", lambda: few)
        yield functools.partial(Ground, running, tmp_path_factory.mktemp("laws"))


@pytest.fixture
def ground(shared_ground, facts_of):
    return shared_ground(facts_of)


# The acceptance run takes 60.
EXAMPLES = hypothesis.settings(
    max_examples=int(os.environ.get("DAYBOOK_TEST_LAW_EXAMPLES", "8")),
    stateful_step_count=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    print_blob=False,
    report_multiple_bugs=False,
    phases=[hypothesis.Phase.generate],
)


# A crash at the one moment that a planted bug spoils comes up once in some twenty histories.
UNTIL_FOUND = hypothesis.settings(EXAMPLES, max_examples=100)


def test_backfill_equals_live_whatever_happens_in_between(ground):
    stateful.run_state_machine_as_test(functools.partial(Evenings, ground), settings=EXAMPLES)


NOTHING_BROKEN = {"changes": [], "broken": None}


def play(ground, *steps):
    """Take an example's steps one by one, each with its checks."""
    evenings = Evenings(ground)
    try:
        for name, arguments in steps:
            getattr(evenings, name)(**arguments)
    finally:
        evenings.desk.close()


def test_correction_that_comes_with_a_worse_answer_reaches_the_returns(ground):
    withheld = ("withhold", "daily", "000003.SZ", 1)
    play(
        ground,
        ("evening", {"n_sessions": 2, **NOTHING_BROKEN}),
        ("evening", {"n_sessions": 1, "changes": [withheld, ("revise_bar", "600002.SH", 1, 0.5)], "broken": None}),
    )


def test_factors_are_repaired_by_the_next_run_when_one_died_before_it_could(ground):
    play(
        ground,
        ("evening", {"n_sessions": 4, **NOTHING_BROKEN}),
        ("crash", {"n_commits": 0, "dies_inside": False, "changes": [("correct_factors", "600002.SH")]}),
        ("rerun", {"changes": []}),
    )


def delete_before_pointer(patched):
    """A correction deletes the old row in a commit of its own, and writes the new one in the next."""
    merge = load.merge_by_key

    class Early:
        def __init__(self, connection):
            self._connection = connection

        def __getattr__(self, name):
            return getattr(self._connection, name)

        def execute(self, statement, *params):
            result = self._connection.execute(statement, *params)
            if statement.lstrip().startswith("delete from market."):
                token = self._connection.execute(f"select token from {fence.CATALOG}.daybook_writer").fetchone()[0]
                self._connection.execute(
                    "call lake.set_commit_message('daybook', 'early', extra_info => $token)", {"token": token}
                )
                self._connection.commit()
                self._connection.begin()
            return result

    patched.setattr(load, "merge_by_key", lambda connection, one, stamp: merge(Early(connection), one, stamp))


def watermark_ahead_of_data(patched):
    """What was asked for once counts as done, whatever came: everything up to the newest session in the ledger."""

    def due_sessions(lake, table, sessions, *ignored):
        newest = lake.read_value(
            "select max(partition) from ops.ledger where dataset = $dataset", dataset=table.full_name
        )
        return [day for day in sessions if newest is None or day.isoformat() > newest]

    patched.setattr(ledger, "due_sessions", due_sessions)


def correction_dropped(patched):
    """Rows whose key is there already are taken for the same rows."""
    merge = load.merge_by_key

    def keep_first(connection, one, stamp):
        grain = ", ".join(f'"{name}"' for name in one.table.grain)
        connection.execute(
            f"create or replace temp view accepted as from admitted anti join {one.table.full_name} using ({grain})"
        )
        merge(connection, one, stamp)

    patched.setattr(load, "merge_by_key", keep_first)


@pytest.mark.parametrize("plant", (delete_before_pointer, watermark_ahead_of_data, correction_dropped))
def test_law_notices_a_planted_bug(ground, monkeypatch, plant):
    plant(monkeypatch)

    # What the machine finds is an assertion of its own about the lake, never an error of the planted code.
    with pytest.raises(AssertionError):
        stateful.run_state_machine_as_test(functools.partial(Evenings, ground), settings=UNTIL_FOUND)
