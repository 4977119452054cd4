"""What happened to alerts, as events of Prefect's server, and what its automations do about events.

An alert that opened, opened again or was resolved in a run is one event `daybook.alert.opened` (`.reopened`,
`.resolved`) about the resource `daybook.alert.<fingerprint>`, with severity, rule and subject as labels: a desk's own
automations match on them. Three automations come with the flows, see `triggers_of_tell` and `triggers_of_alerts`.
Partner: `flows/deployments.py`.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.events import DeploymentEventTrigger, emit_event
from prefect.events.schemas.automations import Posture

from flows.context import Context
from warehouse.tables import ops

TAG = "daybook"
# Of flows whose lateness is told: one that comes every hour is tried again before anybody looks.
TAG_DUE = "daybook-due"
# Beyond these an outage would fill the feed; the alerts' table has them all.
MOST_EVENTS = 200
# Started late by so much is too late for the evening: a vendor's and a worker's hiccups are over by then.
LATE = timedelta(minutes=15)

TOGETHER = timedelta(minutes=5)
TOLD = ("opened", "reopened", "resolved")


def tell_changes(context: Context) -> int:
    """How many alerts changed in this run and were told to Prefect's server, the gravest first.

    Raises:
        LakeError: the lake cannot be read.
    """
    with context.reader() as lake:
        rows = lake.read(
            "select c.fingerprint, c.event, a.severity, a.rule, a.subject, a.subject_date, a.title, a.action"
            " from ops.alert_change as c join ops.alert as a using (fingerprint)"
            " where c.changed_at = $now and c.event in (select unnest($told))"
            f" order by {ops.GRAVEST_FIRST}, c.event, a.rule, a.subject, c.change_no limit $most",
            now=context.now,
            told=list(TOLD),
            most=MOST_EVENTS,
        ).to_pylist()
    for row in rows:
        emit_event(
            event=f"daybook.alert.{row['event']}",
            resource={
                "prefect.resource.id": f"daybook.alert.{row['fingerprint']}",
                "prefect.resource.name": row["title"],
                "daybook.alert.severity": row["severity"],
                "daybook.alert.rule": row["rule"],
                "daybook.alert.subject": row["subject"],
            },
            payload={"subject_date": row["subject_date"].isoformat(), "action": row["action"]},
        )
    return len(rows)


def _text(template: str) -> dict[str, str]:
    return {"__prefect_kind": "jinja", "template": template}


def _tagged(tag: str) -> dict[str, str | list[str]]:
    return {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"}


def triggers_of_tell() -> list[DeploymentEventTrigger]:
    """When the flow `tell` runs: a run failed, or one that is due does not start."""
    return [
        DeploymentEventTrigger(
            name="daybook: a run failed",
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=_tagged(TAG),
            parameters={
                "title": _text("{{ flow.name }}: {{ flow_run.name }} {{ flow_run.state.name | lower }}"),
                "body": _text("{{ flow_run.state.message }}"),
            },
        ),
        DeploymentEventTrigger(
            name="daybook: a run is late",
            posture=Posture.Proactive,
            after={"prefect.flow-run.Late"},
            expect={"prefect.flow-run.Running"},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=_tagged(TAG_DUE),
            for_each={"prefect.resource.id"},
            within=LATE,
            parameters={
                "title": f"a run was due and has not started within {LATE.seconds // 60} minutes",
                "body": "Look whether the worker runs: `daybook doctor`, and the runs in Prefect's UI that are Late.",
            },
        ),
    ]


def triggers_of_alerts() -> list[DeploymentEventTrigger]:
    """When the flow `alerts` runs out of turn: what is grave is tried again at once where a channel refused it."""
    return [
        DeploymentEventTrigger(
            name="daybook: an alert of high severity",
            expect={"daybook.alert.opened", "daybook.alert.reopened"},
            match={"prefect.resource.id": "daybook.alert.*", "daybook.alert.severity": "high"},
            # One run for all alerts of an evening.
            within=TOGETHER,
        )
    ]
