"""Which runs there were, how they ended, and which snapshot each published.

A run repeated for the same day keeps its row: the row says how the day stands, the log says how it came about.
Partner: `flows/steps.py`.
"""

from __future__ import annotations

from datetime import date, datetime

import duckdb
import pyarrow as pa

from warehouse import errors
from warehouse.lake import Lake
from warehouse.tables import ops


def start(lake: Lake, run_id: str, as_of: date, started_at: datetime, code_version: str) -> None:
    """Enter a run as running.

    Args:
        lake: open for writing.
        run_id: flow and day, such as `daily/2026-11-20`.
        as_of: the day.
        started_at: UTC.
        code_version: Daybook's version.

    Raises:
        LakeError: the lake cannot be written.
    """

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        held = connection.execute(
            "select snapshot, started_at from ops.run where run_id = $run_id", {"run_id": run_id}
        ).fetchone()
        snapshot, first_start = held or (None, started_at)
        connection.execute("delete from ops.run where run_id = $run_id", {"run_id": run_id})
        connection.execute(
            f"insert into {ops.RUN.full_name} values ($run_id, $flow, $as_of, 'running', '', $snapshot, $started_at,"
            " null, $code_version)",
            {
                "run_id": run_id,
                "flow": run_id.split("/", 1)[0],
                "as_of": as_of,
                "snapshot": snapshot,
                "started_at": first_start,
                "code_version": code_version,
            },
        )

    lake.commit(work, message=f"started {run_id}")


def finish(lake: Lake, run_id: str, state: str, message: str, finished_at: datetime) -> None:
    """Enter how a run ended.

    Args:
        lake: open for writing.
        run_id: the run.
        state: `ok`, `degraded` or `failed`.
        message: one line, without secrets.
        finished_at: UTC.

    Raises:
        LakeError: the lake cannot be written.
    """

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "update ops.run set state = $state, message = $message, finished_at = $finished_at where run_id = $run_id",
            {"state": state, "message": message, "finished_at": finished_at, "run_id": run_id},
        )

    lake.commit(work, message=f"finished {run_id}: {state}")


def pin_snapshot(lake: Lake, run_id: str, snapshot: int) -> None:
    """Keep which snapshot a run's report reads.

    Raises:
        LakeError: the lake cannot be written.
    """

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "update ops.run set snapshot = $snapshot where run_id = $run_id", {"snapshot": snapshot, "run_id": run_id}
        )

    lake.commit(work, message=f"published {run_id}")


def read_snapshot(lake: Lake, run_id: str) -> int:
    """The snapshot a run's report was built from.

    Raises:
        ConfigError: the run has not published.
    """
    found = lake.read_value("select snapshot from ops.run where run_id = $run_id", run_id=run_id)
    if found is None:
        flow, day = run_id.split("/", 1)
        newest = lake.read_value(
            "select max(as_of_date) from ops.run where snapshot is not null and run_id like $flow || '/%'", flow=flow
        )
        others = f"The newest published is that of {newest}; `index.html` lists all. " if newest else ""
        raise errors.ConfigError(
            f"there is no report of {day}: no run for that day has published. {others}Where {day} is a session, "
            f"run `daybook run --as-of {day}` first."
        )
    return int(found)


def read_newest(lake: Lake, n_runs: int = 10) -> pa.Table:
    """The last runs, newest first, as rows of `ops.run`.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        f"select {', '.join(ops.RUN.column_names)} from ops.run order by as_of_date desc, started_at desc limit $n",
        n=n_runs,
    )
