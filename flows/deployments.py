"""The daily steps as Prefect flows: what the data engineer sees in the UI, and when each flow runs.

Nothing is computed here. A flow builds its settings inside, because Prefect stores parameters in clear; a task is
retried only for what may heal by itself. Schedules carry their market's zone. Partner: `flows/serving.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from datetime import date, datetime
from typing import Any

import prefect
from prefect import runtime
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.flows import Flow
from prefect.schedules import Cron
from prefect.tasks import exponential_backoff
from prefect.types.entrypoint import EntrypointType

from flows import clock, delivery, events, ingest, promoting, schedules, scoring, settings, showing, steps, upkeep
from flows.context import Context
from warehouse import errors

log = logging.getLogger(__name__)

RETRIES = 2
RETRY_FIRST_S = 30.0


def may_heal(task: prefect.Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is worth another try: the vendor or the lake's lock may be free by then."""
    return isinstance(state.result(raise_on_failure=False), errors.Retryable | errors.LakeBusy)


class _OneLine(logging.Filter):
    """An error that Daybook foresaw says in its line what happened and what to do; where in the code helps nobody."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, that of such an error without the code's own lines."""
        if record.exc_info and isinstance(record.exc_info[1], errors.DaybookError):
            record.exc_info = None
        return True


for _name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
    logging.getLogger(_name).addFilter(_OneLine())


def _task(name: str, timeout_s: float, work: Callable[[], steps.Facts], *, has_market: bool = True) -> steps.Facts:
    """Run `work` as a task of the current flow run; it leaves its facts as a table on the run's page.

    Args:
        name: the step, as the UI calls it.
        timeout_s: seconds after which it is given up.
        work: does it.
        has_market: whether the market half runs, for the lineage.
    """
    made, used = showing.lineage(name, has_market=has_market)

    def run() -> steps.Facts:
        facts = work()
        showing.show_facts(name, facts)
        showing.tell_of_assets(made, facts)
        return facts

    how: dict[str, Any] = {
        "name": name,
        "task_run_name": name,
        "retries": RETRIES,
        "retry_delay_seconds": exponential_backoff(RETRY_FIRST_S),
        "retry_jitter_factor": 0.5,
        "retry_condition_fn": may_heal,
        "timeout_seconds": timeout_s,
        "cache_policy": NO_CACHE,
    }
    task: prefect.Task[[], steps.Facts] = (
        materialize(*made, by="daybook", asset_deps=used, **how)(run) if made else prefect.task(**how)(run)
    )
    return task()


def call_as_task(step: steps.Step, context: Context, as_of: date) -> steps.Facts:
    """Run a daily step as a Prefect task."""

    def work() -> steps.Facts:
        facts = step.run(context, as_of, showing.progress())
        showing.show_table(context, step.name, as_of)
        return facts

    return _task(step.name, step.timeout_s, work, has_market=context.tushare is not None)


def run_name() -> str:
    """A run by its flow and its day, which is today's where none was asked for."""
    flow, asked = runtime.flow_run.flow_name, runtime.flow_run.parameters
    if asked.get("start"):
        return f"{flow}-{asked['start']}-to-{asked['end']}"
    if asked.get("title"):
        return f"{flow}: {asked['title']}"
    try:
        day = asked.get("as_of") or _moment(flow, clock.read_now(settings.read_settings().clock_url))
    except errors.DaybookError:
        # The run itself says what is wrong.
        return str(flow)
    return f"{flow}-{day}"


def _moment(flow: str, now: datetime) -> str:
    """What a flow is about: the newest market day, the day in Shanghai, or the minute where it runs every hour."""
    if flow == "alerts":
        return f"{now.astimezone(clock.SHANGHAI):%Y-%m-%d-%H:%M}"
    return str(clock.market_date(now) if flow in ("daily", "refit") else clock.known_date(now))


@prefect.flow(name="daily", flow_run_name=run_name)
def daily(as_of: date | None = None) -> steps.Facts:
    """The evening run: ingest, returns, score, detect, publish; before it the evenings that were missed.

    Args:
        as_of: the day, which is then run alone; empty for the newest whose market data is published.
    """
    context = steps.open_context(settings.read_settings(), "daily", as_of)
    day = steps.resolve_as_of(context, as_of)
    if as_of is None:
        # Each is a run of its own within this one: N late runs would all be for the same day, today.
        steps.catch_up(context, day, lambda missed: daily(as_of=missed))
    try:
        facts = steps.run_daily(context, day, call_as_task)
    except errors.PartialData:
        showing.show_report(context.settings, day, is_whole=False)
        raise
    finally:
        _tell_of_alerts(context, day)
    showing.show_report(context.settings, day, is_whole=True)
    return facts


def _tell_of_alerts(context: Context, day: date) -> None:
    """What a run found, on the server; where that fails, the run ends as it would have."""
    try:
        showing.show_alerts(context, day)
        events.tell_changes(context)
    except errors.DaybookError as exc:
        log.warning("alerts are not shown in Prefect as_of=%s: %s", day, exc)


@prefect.flow(name="macro", flow_run_name=run_name)
def macro() -> steps.Facts:
    """The morning pull of FRED's series.

    Raises:
        PartialData: a series did not come whole.
    """
    context = steps.open_context(settings.read_settings(), "macro")

    def work() -> steps.Facts:
        series = ingest.ingest_macro(context, showing.progress())
        showing.show_table(context, "ingest-macro", clock.known_date(context.now))
        return {"macro_series": series.num_rows, "series_not_whole": ingest.count_not_whole(series)}

    facts = _task("ingest-macro", 1800.0, work)
    steps.refuse_not_whole("the pull of FRED's series", facts)
    return facts


@prefect.flow(name="refit", flow_run_name=run_name)
def refit(as_of: date | None = None) -> steps.Facts:
    """Fit every model again.

    Args:
        as_of: nothing known later enters; empty for the newest day.
    """
    context = steps.open_context(settings.read_settings(), "refit", as_of)
    day = steps.resolve_as_of(context, as_of)

    def fit() -> steps.Facts:
        fitted = scoring.refit(context, day)
        showing.show_table(context, "refit", day)
        return {"refitted": ", ".join(fitted)}

    def decide() -> steps.Facts:
        decided = promoting.promote(context, day)
        showing.show_decisions(decided)
        return {"decisions": len(decided)}

    has_market = context.tushare is not None
    return _task("refit", 3600.0, fit, has_market=has_market) | _task("decide", 600.0, decide)


@prefect.flow(name="backfill", flow_run_name=run_name)
def backfill(start: date, end: date) -> steps.Facts:
    """Load every session that is not whole, and what follows from it.

    Args:
        start: first session.
        end: last session.

    Raises:
        PartialData: something did not come whole.
    """
    context = steps.open_context(settings.read_settings(), "backfill", end)

    def work() -> steps.Facts:
        facts = steps.backfill(context, start, end, showing.progress())
        showing.show_table(context, "backfill", end)
        return facts

    facts = _task("backfill", 12 * 3600.0, work, has_market=context.tushare is not None)
    steps.refuse_not_whole(f"the backfill to {end}", facts)
    return facts


@prefect.flow(name="maintain", flow_run_name=run_name)
def maintain(dry_run: bool = False) -> steps.Facts:
    """Merge small files, let old snapshots go, delete files that nothing names.

    Args:
        dry_run: only tell what would be done.
    """
    options = settings.read_settings()
    return _task("maintain", 4 * 3600.0, lambda: dict(upkeep.maintain(options, dry_run=dry_run)))


@prefect.flow(name="alerts", flow_run_name=run_name)
def alerts() -> steps.Facts:
    """Send what waits: messages that a channel refused, and what the hour's limit kept back."""
    options = settings.read_settings()
    return _task("send-alerts", 600.0, lambda: delivery.deliver_now(options, is_urgent=False).facts())


@prefect.flow(name="tell", flow_run_name=run_name)
def tell(title: str, body: str) -> None:
    """Tell every alert channel what happened to a run: automations start this.

    Args:
        title: what happened.
        body: more about it.
    """
    delivery.tell(settings.read_settings(), title, body)


def deployments(paused: Container[str] = ()) -> list[RunnerDeployment]:
    """The deployments that `daybook serve` offers, with their schedules.

    Args:
        paused: names of those whose schedule somebody has paused in the UI.

    Raises:
        ConfigError: the settings cannot be used.
    """
    made = _all_deployments()
    for one in made:
        for schedule in one.schedules or ():
            schedule.active = one.name not in paused
    return made


def _all_deployments() -> list[RunnerDeployment]:
    fires = schedules.schedules(settings.read_settings().schedules)
    return [
        _deployed(daily, "evening", fires["daily"]),
        _deployed(macro, "morning", fires["macro"]),
        _deployed(refit, "weekly", fires["refit"]),
        _deployed(maintain, "nightly", fires["maintain"]),
        _deployed(alerts, "hourly", fires["alerts"], triggers=events.triggers_of_alerts(), tags=(events.TAG,)),
        _deployed(backfill, "by-hand", None),
        # Without the tag of the others: a run that cannot tell must not be told of.
        _deployed(tell, "by-event", None, triggers=events.triggers_of_tell(), tags=()),
    ]


def _deployed(
    flow: Flow[..., Any],
    name: str,
    schedule: schedules.Schedule | None,
    *,
    triggers: Sequence[DeploymentEventTrigger] = (),
    tags: Sequence[str] = (events.TAG, events.TAG_DUE),
) -> RunnerDeployment:
    """A path as entry point would fail in the folder where the flow's process runs; a module is found anywhere."""
    made = flow.to_deployment(
        name,
        schedules=[Cron(schedule.cron, timezone=schedule.timezone)] if schedule else [],
        triggers=list(triggers),
        tags=list(tags),
        entrypoint_type=EntrypointType.MODULE_PATH,
        version=settings.code_version(),
    )
    assert isinstance(made, RunnerDeployment), "a coroutine is what Prefect gives to an async caller only"
    return made
