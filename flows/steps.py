"""The daily run: five steps in order, each a plain function that can be run alone, and again, with the same result.

    ingest -> returns -> score -> detect -> publish

Each step reads its inputs from the lake and commits its own outputs. Nothing here knows Prefect: `flows/deployments.py`
wraps these same steps as tasks, the command line calls them directly, and tests too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from flows import clients, clock, delivery, detecting, ingest, promoting, publishing, scale_out, scoring, settings
from flows.context import Context
from warehouse import errors, features, ledger, returns, runs
from warehouse.sources import archive
from warehouse.tables import ops

log = logging.getLogger(__name__)

Facts = dict[str, Any]
Progress = ingest.Progress

DEFAULT_HISTORY_DAYS = 400
EARLIEST_DAY = date(1990, 12, 19)
# The fact that says which blocks of the desk are not on the page, and why.
BLOCKS_NOT_SHOWN = "blocks_not_shown"
# Evenings that were missed are run later for so long; of older ones the data are caught up, and who wants the page runs
# the day by hand.
CAUGHT_UP = timedelta(days=14)


@dataclass(frozen=True)
class Step:
    """One step of the daily run.

    Args:
        name: its name in Prefect's UI and in the log.
        run: does it, and tells what it did, as facts for a person.
        timeout_s: seconds after which Prefect gives it up.
    """

    name: str
    run: Callable[[Context, date, Progress], Facts]
    timeout_s: float


def no_progress(what: str, done: int, total: int) -> None:
    """Tell nobody how far a step is."""


def open_context(options: settings.Settings, flow: str, as_of: date | None = None) -> Context:
    """What a run needs in hand, its clock read once.

    Args:
        options: the settings.
        flow: `daily`, `refit` or `backfill`.
        as_of: the day the run is for; None for the newest whose market data is published.

    Raises:
        ConfigError: the clock cannot be read.
        BadCredentials: the token is blank.
    """
    now = clock.read_now(options.clock_url)
    day = as_of or clock.market_date(now)
    kept = archive.Archive(options.archive_path)

    vendors = clients.Clients(options, kept.keep, clients.patience(options))
    return Context(
        options,
        now,
        f"{flow}/{day}",
        vendors.build_fred(),
        vendors.build_tushare(),
        kept,
        vendors.build_fred_api(),
    )


def resolve_as_of(context: Context, as_of: date | None) -> date:
    """The day a run is for.

    Raises:
        ConfigError: the day lies in the future or before there was a market.
    """
    newest = clock.known_date(context.now)
    day = as_of or clock.market_date(context.now)
    if not EARLIEST_DAY <= day <= newest:
        raise errors.ConfigError(
            f"{day} is out of range: a run can be for {EARLIEST_DAY} to {newest}, today in Shanghai. Choose another."
        )
    return day


def run_ingest(context: Context, as_of: date, progress: Progress) -> Facts:
    """Pull what is due from both vendors."""
    facts: Facts = {}
    if context.tushare is None:
        log.warning("no TUSHARE_TOKEN is set: only the macro half runs")
    else:
        ingest.ingest_reference(context)
        start = first_session_wanted(context, as_of)
        ingest.ingest_indices(context, start, as_of)
        sessions = ingest.ingest_sessions(context, start, as_of, progress)
        facts |= {"session_partitions": sessions.num_rows, "sessions_not_whole": ingest.count_not_whole(sessions)}
    series = ingest.ingest_macro(context, progress)
    return facts | {"macro_series": series.num_rows, "series_not_whole": ingest.count_not_whole(series)}


def first_session_wanted(context: Context, as_of: date) -> date:
    """The day the lake's market data begins: what was first loaded, or what the settings ask of an empty lake."""
    with context.reader() as lake:
        first = lake.read_value(
            "select min(cast(partition as date)) from ops.ledger where dataset = 'market.daily' and n_received > 0"
        )
    wanted = context.settings.history_start or as_of - timedelta(days=DEFAULT_HISTORY_DAYS)
    return min(first, as_of) if first else min(wanted, as_of)


def run_returns(context: Context, as_of: date, progress: Progress) -> Facts:
    """Bring returns and features up to date with bars and factors."""
    with context.writer() as lake, scale_out.workers(context.settings) as map_shards:
        n_returns = returns.update_returns(lake, context.stamp(), map_shards)
        progress("returns and features", 1, 2)
        n_features = features.update_features(lake, context.stamp(), map_shards)
        progress("returns and features", 2, 2)
    return {"returns_written": n_returns, "features_written": n_features}


def run_score(context: Context, as_of: date, progress: Progress) -> Facts:
    """Refit what is due, decide who is in charge, then apply champion and challengers to the day."""
    fitted = scoring.refit(context, as_of, only_due=True)
    decided = promoting.promote(context, as_of)
    progress("models", 1, 2)
    session = scoring.read_scoring_session(context, as_of)
    n_forecasts = scoring.score(context, session) if session else 0
    progress("models", 2, 2)
    return {"refitted": ", ".join(fitted) or "none due", "decisions": len(decided), "forecasts": n_forecasts}


def run_detect(context: Context, as_of: date, progress: Progress) -> Facts:
    """Check everything, and keep the alerts."""
    session = scoring.read_scoring_session(context, as_of)
    standing = detecting.detect(context, as_of, session)
    return {"open_alerts": standing.num_rows, "gaps": publishing.gaps(standing).num_rows}


def run_publish(context: Context, as_of: date, progress: Progress) -> Facts:
    """Write the report and tell of new alerts; a channel that is down fails no run, as its messages wait."""
    published = publishing.publish(context, as_of)
    try:
        sent = delivery.deliver(context.settings, context.now, as_of, published.page)
    finally:
        # After the alerts, which wait for nobody; and also where they could not be sent, as the report leads there.
        n_beside = publishing.publish_beside(context, as_of, published.snapshot)
    facts: Facts = {"report": str(published.page), "pages_beside": n_beside} | sent.facts()
    return facts | ({BLOCKS_NOT_SHOWN: " ".join(published.problems)} if published.problems else {})


DAILY: tuple[Step, ...] = (
    Step("ingest", run_ingest, 2 * 3600.0),
    Step("returns", run_returns, 1800.0),
    Step("score", run_score, 3600.0),
    Step("detect", run_detect, 600.0),
    Step("publish", run_publish, 600.0),
)

# How a step is called: directly, or as a Prefect task.
Call = Callable[[Step, Context, date], Facts]


def run_daily(context: Context, as_of: date, call: Call) -> Facts:
    """The facts of all five steps of one day, and the day's row in `ops.run`.

    Args:
        context: the run.
        as_of: the day.
        call: runs one step.

    Raises:
        PartialData: everything was done, but something expected is not there.
        DaybookError: a step failed; those before it stand.
    """
    with context.writer() as lake:
        runs.start(lake, context.run_id, as_of, context.now, settings.code_version())
    facts: Facts = {}
    state, message = "failed", "stopped by an unforeseen error, see the log"
    try:
        for step in DAILY:
            facts |= call(step, context, as_of)
        publishing.refuse_gaps(as_of, read_open_alerts(context, as_of), Path(facts["report"]))
        state, message = "ok", "complete" if context.tushare else "macro half only: no TUSHARE_TOKEN"
    except errors.PartialData as exc:
        state, message = "degraded", str(exc)
        raise
    except errors.DaybookError as exc:
        message = str(exc)
        raise
    finally:
        if BLOCKS_NOT_SHOWN in facts:
            message = f"{message.rstrip('.')}. {facts[BLOCKS_NOT_SHOWN]}"
        with context.writer() as lake:
            runs.finish(lake, context.run_id, state, message, clock.read_now(context.settings.clock_url))
    return facts


def read_left_out(context: Context, as_of: date) -> list[date]:
    """Sessions of the two weeks before a day whose run never came to its end, oldest first; none before the first run.

    Whoever started a run for today asks what a machine that was off, or a worker that was killed, left undone: the data
    come by the ledger in any case, but pages, alerts and forecasts are made by a run for their day.

    Raises:
        LakeError: the lake cannot be read.
    """
    if not context.settings.lake.exists:
        return []
    with context.reader() as lake:
        done = lake.read(
            "select as_of_date from ops.run where flow = 'daily' and state in ('ok', 'degraded')"
            " and as_of_date < $as_of order by as_of_date",
            as_of=as_of,
        )["as_of_date"].to_pylist()
        if not done:
            return []
        sessions = ledger.read_sessions(lake, max(done[0], as_of - CAUGHT_UP), as_of - timedelta(days=1))
    return sorted(set(sessions) - set(done))


def catch_up(context: Context, as_of: date, run_one: Callable[[date], object]) -> list[date]:
    """The days that were run because an earlier run left them out, oldest first; today's run comes after them.

    A day with gaps is done, and says so itself. A day that fails ends the catching up, so that what keeps failing costs
    an evening one run and not ten; it is tried again the next evening.

    Args:
        context: the run.
        as_of: the day that is up.
        run_one: runs a day.

    Raises:
        LakeError: the lake cannot be read.
    """
    left_out = read_left_out(context, as_of)
    caught_up = []
    for day in left_out:
        log.warning("catching up a day that has no finished run as_of=%s of=%s", day, len(left_out))
        try:
            run_one(day)
        except errors.PartialData as exc:
            log.warning("caught up with gaps as_of=%s: %s", day, exc)
        # A task's timeout as well: today's run is not to be lost to it.
        except (errors.DaybookError, TimeoutError) as exc:
            log.error("not caught up as_of=%s: %s", day, exc)
            break
        caught_up.append(day)
    return caught_up


def read_open_alerts(context: Context, as_of: date) -> Any:
    """The alerts that stand and concern the day or one before it, gravest first."""
    with context.reader() as lake:
        return lake.read(
            "select * from ops.alert where state <> 'resolved' and least(first_seen_date, subject_date) <= $as_of"
            f" order by {ops.GRAVEST_FIRST}, rule, subject, subject_date",
            as_of=as_of,
        )


def call_directly(progress: Progress) -> Call:
    """A caller that runs a step in this process."""

    def call(step: Step, context: Context, as_of: date) -> Facts:
        log.info("step starts step=%s as_of=%s", step.name, as_of)
        facts = step.run(context, as_of, progress)
        log.info("step ended step=%s %s", step.name, " ".join(f"{key}={value}" for key, value in facts.items()))
        return facts

    return call


def backfill(context: Context, start: date, end: date, progress: Progress) -> Facts:
    """What came of loading every session from `start` to `end` that is not whole, and all macro series.

    Raises:
        ConfigError: the days are out of range or the wrong way round.
    """
    resolve_as_of(context, start)
    resolve_as_of(context, end)
    if start > end:
        raise errors.ConfigError(f"the backfill would run from {start} to {end}, backwards. Swap the two days.")
    facts: Facts = {}
    if context.tushare is None:
        log.warning("no TUSHARE_TOKEN is set: only the macro half runs")
    else:
        reference = ingest.ingest_reference(context)
        indices = ingest.ingest_indices(context, start, end)
        sessions = ingest.ingest_sessions(context, start, end, progress)
        facts |= {"session_partitions": sessions.num_rows, "sessions_not_whole": ingest.count_not_whole(sessions)}
        facts |= {"lists_not_whole": ingest.count_not_whole(reference) + ingest.count_not_whole(indices)}
    series = ingest.ingest_macro(context, progress)
    facts |= {"macro_series": series.num_rows, "series_not_whole": ingest.count_not_whole(series)}
    return facts | run_returns(context, end, progress)


def refuse_not_whole(what: str, facts: Facts) -> None:
    """Nothing when everything that was asked for is whole.

    Args:
        what: what was done, as the message begins.
        facts: its counts, those of `..._not_whole` among them.

    Raises:
        PartialData: something is not; what came is in the lake.
    """
    missing = {name: n for name, n in facts.items() if name.endswith("_not_whole") and n}
    if missing:
        told = ", ".join(f"{n} of {name.removesuffix('_not_whole')}" for name, n in missing.items())
        raise errors.PartialData(
            f"{what} left partitions not whole: {told}. What came is in the lake; see `daybook status`, and run again."
        )
