"""What FRED knows that the lake does not yet: values, and with a key their true vintages and what FRED says of them.

Without a key, or for a series of which FRED keeps no vintages, today's values are pulled and compared with what stands.
Invariants: work is the ledger's to say; FRED is asked outside the writer's lock; whatever FRED did wrong ends in a
ledger row. Partners: `warehouse/sources/fred.py`, `warehouse/sources/fred_api.py`, `warehouse/vintages.py`,
`warehouse/true_vintages.py`.
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows import asking, clock
from flows.context import Context
from warehouse import derive, errors, ledger, load, seeds, series_facts, true_vintages, vintages
from warehouse.sources import fred
from warehouse.tables import macro

log = logging.getLogger(__name__)

SERIES_PER_COMMIT = 16

Progress = Callable[[str, int, int], None]

PULLED = pa.schema([("series_id", pa.string()), ("observation_date", pa.date32()), ("value", pa.float64())])
TRUE = pa.schema([*PULLED, ("realtime_start", pa.date32()), ("realtime_end", pa.date32())])
FACTS = pa.schema([("series_id", pa.string()), ("fact_name", pa.string()), ("value", pa.string())])


@dataclass(frozen=True)
class Answer:
    """What came of asking for one series: today's values or true vintages, or why there are none."""

    series_id: str
    pulled: pa.Table = field(default_factory=PULLED.empty_table)
    true: pa.Table = field(default_factory=TRUE.empty_table)
    window: true_vintages.Window | None = None
    facts: pa.Table = field(default_factory=FACTS.empty_table)
    failure: str = ""
    cause: str = ""
    fact_failure: str = ""


@dataclass(frozen=True)
class _Known:
    """What the lake has: periods with a value that stands, and the newest true vintage, by series."""

    dates: Mapping[str, fred.Days]
    through: Mapping[str, date]


def ingest_macro(context: Context, progress: Progress) -> pa.Table:
    """The ledger rows of every macro series that was due today.

    Raises:
        LakeError: the lake cannot be written.
    """
    today = clock.fred_date(context.now)
    series = seeds.fred_series()
    names = series["series_id"].to_pylist()
    with context.writer() as lake:
        lake.commit(lambda connection: derive.write_rows(connection, macro.SERIES, series), message="series followed")
        due = ledger.due_partitions(lake, macro.OBSERVATION, names, today)
        through = true_vintages.read_known_through(lake)
        if context.fred_api is not None:
            # A key that came after the day's pull has not been used yet.
            unasked = ledger.due_partitions(lake, macro.SERIES_FACT, names, today)
            due = [name for name in names if name in due or name in unasked]
        rows = lake.read(
            "select series_id, list(observation_date) as dates from macro.observation"
            " where realtime_end = date '9999-12-31' group by series_id"
        )
    dates = [np.array(one, "datetime64[D]") for one in rows["dates"].to_pylist()]
    known = _Known(dict(zip(rows["series_id"].to_pylist(), dates, strict=True)), through)
    results = []
    for first in range(0, len(due), SERIES_PER_COMMIT):
        group = due[first : first + SERIES_PER_COMMIT]
        results.append(_load_group(context, group, known, today))
        progress("macro series", first + len(group), len(due))
    return pa.concat_tables(results) if results else pa.table({"state": pa.array([], pa.string())})


def _load_group(context: Context, group: Sequence[str], known: _Known, today: date) -> pa.Table:
    """The ledger rows of some series, asked for together and committed as one."""
    with concurrent.futures.ThreadPoolExecutor(asking.WORKERS) as pool:
        answers = list(pool.map(lambda name: _ask(context, name, known), group))
    stamp = context.stamp()
    replies = context.archive.drain(stamp.load_id)
    of_pull = [answer for answer in answers if answer.window is None]
    of_api = [answer for answer in answers if answer.window is not None]
    loads = []
    if of_pull:
        partitions = [
            load.Partition(a.series_id, today, failure=a.failure, cause=a.cause, asked_date=today) for a in of_pull
        ]
        rows = pa.concat_tables([answer.pulled for answer in of_pull])
        loads.append(vintages.observation_load(rows, partitions, pull_date=today, replies=replies))
    if of_api:
        partitions = [load.Partition(a.series_id, today, asked_date=today) for a in of_api]
        rows = pa.concat_tables([answer.true for answer in of_api])
        windows = {answer.series_id: answer.window for answer in of_api if answer.window is not None}
        loads.append(true_vintages.vintage_load(rows, partitions, windows, replies=None if of_pull else replies))
    if context.fred_api is not None:
        partitions = [load.Partition(a.series_id, today, failure=a.fact_failure, asked_date=today) for a in answers]
        facts = pa.concat_tables([answer.facts for answer in answers])
        loads.append(series_facts.fact_load(facts, partitions, pull_date=today))
    with context.writer() as lake:
        entries = load.load(lake, loads, stamp)
    return entries.filter(pc.equal(entries["dataset"], macro.OBSERVATION.full_name))


def _ask(context: Context, series_id: str, known: _Known) -> Answer:
    """FRED's answer for one series; a refusal is an answer too, and ends in the ledger."""
    if context.fred_api is None:
        return _ask_for_today(context, series_id, known, FACTS.empty_table(), "")
    facts, fact_failure = FACTS.empty_table(), ""
    try:
        facts = context.fred_api.fetch_facts(series_id).cast(FACTS)
    except errors.VendorError as exc:
        fact_failure = _words(series_id, exc)
    since = known.through.get(series_id)
    try:
        found = context.fred_api.fetch_vintages(series_id, since=since)
    except errors.NotArchived:
        return _ask_for_today(context, series_id, known, facts, fact_failure)
    except errors.VendorError as exc:
        return _refused(series_id, exc, facts, fact_failure)
    window = true_vintages.Window(since or found.dates[0], since is None, found.dates)
    return Answer(series_id, true=found.rows.cast(TRUE), window=window, facts=facts, fact_failure=fact_failure)


def _ask_for_today(context: Context, series_id: str, known: _Known, facts: pa.Table, fact_failure: str) -> Answer:
    try:
        rows = context.fred.fetch_observations(series_id, known_dates=known.dates.get(series_id))
    except errors.VendorError as exc:
        return _refused(series_id, exc, facts, fact_failure)
    return Answer(series_id, pulled=rows.cast(PULLED), facts=facts, fact_failure=fact_failure)


def _refused(series_id: str, exc: errors.VendorError, facts: pa.Table, fact_failure: str) -> Answer:
    words, cause = _words(series_id, exc), asking.cause_of(exc)
    return Answer(series_id, facts=facts, failure=words, cause=cause, fact_failure=fact_failure)


def _words(series_id: str, exc: errors.VendorError) -> str:
    log.warning("vendor gave nothing usable series=%s reason=%s", series_id, exc)
    return f"{type(exc).__name__}: {exc}"
