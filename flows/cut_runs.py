"""Which runs were cut with the worker that ran them, and who tells the server?

Partner: `flows/serving.py`, which asks before a worker begins.
"""

from __future__ import annotations

import logging
from typing import Any

import prefect
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State, StateType
from prefect.states import Crashed

from flows import events

log = logging.getLogger(__name__)


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
