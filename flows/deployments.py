"""The daily steps as Prefect flows: what the data engineer sees in the UI, and when each flow runs.

Nothing is computed here. A flow builds its settings inside, because Prefect stores parameters in clear; a task is
retried only for what may heal by itself. Schedules carry their market's zone. Partner: `flows/serving.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import prefect
from prefect import artifacts
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State, StateType, TaskRun
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.flows import Flow
from prefect.schedules import Cron
from prefect.states import Crashed
from prefect.tasks import exponential_backoff
from prefect.types.entrypoint import EntrypointType

from flows import delivery, events, ingest, promoting, schedules, scoring, settings, steps, upkeep
from flows.context import Context
from warehouse import errors

log = logging.getLogger(__name__)

RETRIES = 2
RETRY_FIRST_S = 30.0


def may_heal(task: prefect.Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is worth another try: the vendor or the lake's lock may be free by then."""
    return isinstance(state.result(raise_on_failure=False), errors.Retryable | errors.LakeBusy)


def _task(name: str, timeout_s: float, work: Callable[[], steps.Facts]) -> steps.Facts:
    """Run `work` as a task of the current flow run; it leaves its facts as a table on the run's page."""

    @prefect.task(
        name=name,
        retries=RETRIES,
        retry_delay_seconds=exponential_backoff(RETRY_FIRST_S),
        retry_jitter_factor=0.5,
        retry_condition_fn=may_heal,
        timeout_seconds=timeout_s,
        cache_policy=NO_CACHE,
    )
    def run() -> steps.Facts:
        facts = work()
        artifacts.create_table_artifact(
            table=[{"what": key.replace("_", " "), "value": str(value)} for key, value in facts.items()],
            key=f"daybook-{name}",
            description=f"What the step `{name}` did.",
        )
        return facts

    return run()


def _progress_artifact() -> ingest.Progress:
    """Progress of a step as a progress artifact on its task run."""
    shown: dict[str, UUID] = {}

    def progress(what: str, done: int, total: int) -> None:
        share = 100.0 * done / max(total, 1)
        if what not in shown:
            made = artifacts.create_progress_artifact(progress=share, description=what)
            shown[what] = made if isinstance(made, UUID) else UUID(str(made))
        else:
            artifacts.update_progress_artifact(artifact_id=shown[what], progress=share)

    return progress


def call_as_task(step: steps.Step, context: Context, as_of: date) -> steps.Facts:
    """Run a daily step as a Prefect task."""
    return _task(step.name, step.timeout_s, lambda: step.run(context, as_of, _progress_artifact()))


@prefect.flow(name="daily", flow_run_name="daily-{as_of}")
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
    finally:
        _tell_of_alerts(context, day)
    artifacts.create_link_artifact(
        link=report_link(context.settings, day), link_text=f"Report of {day}", key="daybook-report"
    )
    return facts


def report_link(options: settings.Settings, day: date) -> str:
    """Where `daybook serve` shows the report of a day."""
    return f"http://127.0.0.1:{options.reports_port}/{day}.html"


def _tell_of_alerts(context: Context, day: date) -> None:
    """What a run found, on the server; where that fails, the run ends as it would have."""
    try:
        _show_alerts(context, day)
        events.tell_changes(context)
    except errors.DaybookError as exc:
        log.warning("alerts are not shown in Prefect as_of=%s: %s", day, exc)


def _show_alerts(context: Context, day: date) -> None:
    standing = steps.read_open_alerts(context, day).to_pylist()
    artifacts.create_table_artifact(
        table=[
            {name: str(row[name]) for name in ("severity", "title", "action", "first_seen_date")} for row in standing
        ],
        key="daybook-alerts",
        description=f"Alerts open after the run for {day}."
        if standing
        else f"No alert is open after the run for {day}.",
    )


@prefect.flow(name="macro")
def macro() -> steps.Facts:
    """The morning pull of FRED's series.

    Raises:
        PartialData: a series did not come whole.
    """
    context = steps.open_context(settings.read_settings(), "macro")

    def work() -> steps.Facts:
        series = ingest.ingest_macro(context, _progress_artifact())
        return {"macro_series": series.num_rows, "series_not_whole": ingest.count_not_whole(series)}

    facts = _task("ingest-macro", 1800.0, work)
    steps.refuse_not_whole("the pull of FRED's series", facts)
    return facts


@prefect.flow(name="refit")
def refit(as_of: date | None = None) -> steps.Facts:
    """Fit every model again.

    Args:
        as_of: nothing known later enters; empty for the newest day.
    """
    context = steps.open_context(settings.read_settings(), "refit", as_of)
    day = steps.resolve_as_of(context, as_of)
    fitted = _task("refit", 3600.0, lambda: {"refitted": ", ".join(scoring.refit(context, day))})
    return fitted | _task("decide", 600.0, lambda: {"decisions": len(promoting.promote(context, day))})


@prefect.flow(name="backfill")
def backfill(start: date, end: date) -> steps.Facts:
    """Load every session that is not whole, and what follows from it.

    Args:
        start: first session.
        end: last session.

    Raises:
        PartialData: something did not come whole.
    """
    context = steps.open_context(settings.read_settings(), "backfill", end)
    facts = _task("backfill", 12 * 3600.0, lambda: steps.backfill(context, start, end, _progress_artifact()))
    steps.refuse_not_whole(f"the backfill to {end}", facts)
    return facts


@prefect.flow(name="maintain")
def maintain(dry_run: bool = False) -> steps.Facts:
    """Merge small files, let old snapshots go, delete files that nothing names.

    Args:
        dry_run: only tell what would be done.
    """
    options = settings.read_settings()
    return _task("maintain", 4 * 3600.0, lambda: dict(upkeep.maintain(options, dry_run=dry_run)))


@prefect.flow(name="alerts")
def alerts() -> steps.Facts:
    """Send what waits: messages that a channel refused, and what the hour's limit kept back."""
    options = settings.read_settings()
    return _task("send-alerts", 600.0, lambda: delivery.deliver_now(options, is_urgent=False).facts())


@prefect.flow(name="tell")
def tell(title: str, body: str) -> None:
    """Tell every alert channel what happened to a run: automations start this.

    Args:
        title: what happened.
        body: more about it.
    """
    delivery.tell(settings.read_settings(), title, body)


def end_cut_runs() -> int:
    """How many runs were marked as crashed that a worker before this one left behind.

    Who kills a worker kills its runs, and nobody is left to tell the server: they would be Running for ever, and no
    automation would tell of them. A lake has one worker, so what runs before that has begun runs nowhere; runs by hand
    and those of Prefect's own workers are left alone.
    """
    going = FlowRunFilterState(
        type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    )
    with prefect.get_client(sync_client=True) as client:
        ours = FlowRunFilter(state=going, tags=FlowRunFilterTags(all_=[events.TAG]))
        cut = [run for run in client.read_flow_runs(flow_run_filter=ours) if run.work_pool_name is None]
        if cut:
            of_them = FlowRunFilterParentFlowRunId(any_=[run.id for run in cut])
            within = FlowRunFilter(state=going, parent_flow_run_id=of_them)
            cut += client.read_flow_runs(flow_run_filter=within)
        for run in cut:
            log.warning("a run was cut, its worker is gone flow_run=%s", run.name)
            crashed: State[Any] = Crashed(
                message="The worker that ran it was killed. What it committed stands; the next run goes on."
            )
            client.set_flow_run_state(run.id, crashed, force=True)
    return len(cut)


def deployments() -> list[RunnerDeployment]:
    """The deployments that `daybook serve` offers, with their schedules.

    Raises:
        ConfigError: the settings cannot be used.
    """
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
