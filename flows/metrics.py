"""How a desk is, for machines that watch it: Prometheus' text, and whether it is alive and ready.

Everything is read from the lake and the disk when asked, so that nothing has to be counted beside them, and a process
that was started again forgets nothing. `docs/operations.md` says which figures a service level is made of. Partner:
`flows/report_server.py`, which answers with these.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, time

import prometheus_client
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flows import serving, settings
from warehouse import errors, lake
from warehouse.lake import Lake
from warehouse.tables import ops

log = logging.getLogger(__name__)

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
RUN_STATES = ("running", "ok", "degraded", "failed")


def prometheus_text(options: settings.Settings) -> bytes:
    """Every figure in Prometheus' text format; `daybook_lake_up` is 0 where the lake cannot be read."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(_Desk(options))
    return prometheus_client.generate_latest(registry)


def why_not_ready(options: settings.Settings) -> list[str]:
    """What keeps this desk from doing tonight's work; nothing when it is ready."""
    reasons = []
    if not serving.is_server_up(options):
        reasons.append(f"Prefect's server does not answer at {options.prefect_api}")
    elif options.prefect_auth:
        # A report server that was not given the password need not be let in.
        reasons += _locked_out(options)
    try:
        with lake.open_reader(options.lake):
            pass
    except errors.DaybookError as exc:
        reasons.append(str(exc))
    return reasons


def _locked_out(options: settings.Settings) -> list[str]:
    try:
        serving.refuse_locked_out(options)
    except errors.ConfigError as exc:
        return [str(exc)]
    return []


class _Desk(Collector):
    """Reads the desk once per scrape."""

    def __init__(self, options: settings.Settings) -> None:
        self._options = options

    def collect(self) -> Iterator[Metric]:
        """Every figure."""
        options = self._options
        yield _gauge("daybook_build_info", "Version of Daybook.", {(settings.code_version(),): 1.0}, "version")
        yield _gauge("daybook_home_free_bytes", "Free space where the home lies.", {(): _free(options)})
        of_lake: list[Metric] = []
        try:
            with lake.open_reader(options.lake) as opened:
                of_lake = [*_of_data(opened), *_of_runs(opened), *_of_alerts(opened), *_of_files(opened)]
        except errors.DaybookError as exc:
            log.warning("lake cannot be read for a monitor reason=%s", exc)
        yield _gauge("daybook_lake_up", "Whether the lake can be read.", {(): float(bool(of_lake))})
        yield from of_lake


def _free(options: settings.Settings) -> float:
    return float(shutil.disk_usage(settings.existing_folder(options.root)).free)


def _gauge(name: str, meaning: str, values: dict[tuple[str, ...], float], *labels: str) -> Metric:
    """One metric: a figure for each combination of the labels' values, or one alone for `()`."""
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _of_data(opened: Lake) -> Iterator[Metric]:
    fresh = opened.read("select dataset, newest_date from analyst.freshness where newest_date is not null").to_pylist()
    yield _gauge(
        "daybook_dataset_known_to_timestamp_seconds",
        "Day a dataset is whole through, its midnight in UTC.",
        {(row["dataset"],): _seconds(row["newest_date"]) for row in fresh},
        "dataset",
    )
    counted = opened.read(
        f"select dataset, state, count(*) as n_partitions, sum(n_received)::double as n_rows"
        f" from {ops.LEDGER.full_name} group by all order by all"
    ).to_pylist()
    yield _gauge(
        "daybook_dataset_partitions",
        "Partitions of a dataset by their state in the ledger.",
        {(row["dataset"], row["state"]): row["n_partitions"] for row in counted},
        "dataset",
        "state",
    )
    rows: dict[tuple[str, ...], float] = {}
    for row in counted:
        rows[(row["dataset"],)] = rows.get((row["dataset"],), 0.0) + (row["n_rows"] or 0.0)
    yield _gauge("daybook_dataset_rows", "Rows that came for a dataset.", rows, "dataset")
    waiting = opened.read_value(
        f"select count(*) from {ops.QUARANTINE.full_name} where state = 'pending' and severity = 'reject'"
    )
    yield _gauge("daybook_quarantine_rows", "Rows set aside on which nobody has decided.", {(): waiting})


def _of_runs(opened: Lake) -> Iterator[Metric]:
    last = opened.read(
        "select flow, state, started_at, finished_at from analyst.run"
        " qualify row_number() over (partition by flow order by started_at desc) = 1 order by flow"
    ).to_pylist()
    yield _gauge(
        "daybook_last_run_state",
        "1 for the state in which a flow's last run is.",
        {(row["flow"], state): float(row["state"] == state) for row in last for state in RUN_STATES},
        "flow",
        "state",
    )
    ended = [row for row in last if row["finished_at"] is not None]
    yield _gauge(
        "daybook_last_run_finished_timestamp_seconds",
        "Instant at which a flow's last run ended.",
        {(row["flow"],): row["finished_at"].timestamp() for row in ended},
        "flow",
    )
    yield _gauge(
        "daybook_last_run_duration_seconds",
        "Seconds from the first start to the last end of a flow's last run.",
        {(row["flow"],): (row["finished_at"] - row["started_at"]).total_seconds() for row in ended},
        "flow",
    )


def _of_alerts(opened: Lake) -> Iterator[Metric]:
    standing = opened.read(
        f"select severity, state, count(*) as n from {ops.ALERT.full_name} where state <> 'resolved' group by all"
    ).to_pylist()
    counts = {(severity, "open"): 0.0 for severity in ops.SEVERITIES}
    yield _gauge(
        "daybook_alerts",
        "Alerts that stand, by severity and by what people decided.",
        counts | {(row["severity"], row["state"]): row["n"] for row in standing},
        "severity",
        "state",
    )
    waiting = opened.read_value(f"select count(*) from {ops.OUTBOX.full_name} where state <> 'sent'")
    yield _gauge("daybook_messages_waiting", "Messages that no channel has taken yet.", {(): waiting})


def _of_files(opened: Lake) -> Iterator[Metric]:
    size = opened.read(
        "select coalesce(sum(file_size_bytes + delete_file_size_bytes), 0)::double as n_bytes,"
        " coalesce(sum(file_count + delete_file_count), 0)::double as n_files from ducklake_table_info('lake')"
    ).to_pylist()[0]
    yield _gauge(
        "daybook_lake_bytes", "Bytes of the Parquet files that the newest snapshot reads.", {(): size["n_bytes"]}
    )
    yield _gauge("daybook_lake_files", "Number of these files.", {(): size["n_files"]})
    kept = opened.read_value("select count(*) from ducklake_snapshots('lake')")
    yield _gauge("daybook_lake_snapshots", "Snapshots the lake can be read as of.", {(): kept})


def _seconds(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
