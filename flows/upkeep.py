"""Keeping the lake: maintenance, verification, backup and restore, with this installation's places and retentions.

Plain functions, called by the command line and by the nightly flow alike. Partners: `warehouse/maintenance.py`,
`warehouse/verify.py`, `warehouse/backup.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from flows import clock, ingest, settings
from reports import subject_pages
from warehouse import backup, lake, maintenance, verify

Facts = dict[str, str | int]

# Snapshots and files carry this machine's time, also where the vendors are simulated.
MACHINE_CLOCK = ""


def maintain(options: settings.Settings, *, dry_run: bool = False) -> Facts:
    """What was done to keep the lake small, or in a dry run would be.

    Raises:
        ConfigError: there is no lake.
        LakeBusy: a writer kept the lake.
        LakeError: a step would have changed a table, or deleted a file in use; it was not carried out.
    """
    policy = maintenance.Policy(
        timedelta(days=options.snapshot_retention_days),
        timedelta(days=options.report_retention_days),
        named=subject_pages.read_snapshots(options.reports_path),
    )
    now = clock.read_now(MACHINE_CLOCK)
    # A writer would make a lake where there is none.
    with lake.open_reader(options.lake) as reader:
        if dry_run:
            return maintenance.maintain(reader, now, policy, dry_run=True).facts()
    with lake.open_writer(options.lake, holder="maintain", wait_s=options.lake_wait_s) as writer:
        return maintenance.maintain(writer, now, policy).facts()


def verify_all(options: settings.Settings, told: Callable[[verify.Check], None]) -> None:
    """Nothing when every promise holds; each check is told as it is done.

    Raises:
        ConfigError: there is no lake.
        LakeError: something is broken.
    """
    with lake.open_reader(options.lake) as reader:
        snapshot = reader.snapshot
    with lake.open_reader(options.lake, snapshot=snapshot) as reader:
        verify.refuse_broken(verify.verify(reader, options.archive_path, told))


def back_up(options: settings.Settings, to: Path, progress: ingest.Progress) -> Facts:
    """What was copied.

    Raises:
        DaybookError: as `backup.back_up`.
    """
    made_at = clock.read_now(MACHINE_CLOCK)
    copied = backup.back_up(_place(options), to, made_at, wait_s=options.lake_wait_s, progress=progress)
    return dict(copied)


def restore(options: settings.Settings, source: Path, *, force: bool, progress: ingest.Progress) -> Facts:
    """What was put back.

    Raises:
        DaybookError: as `backup.restore`.
    """
    put_back = backup.restore(_place(options), source, force=force, wait_s=options.lake_wait_s, progress=progress)
    return dict(put_back)


def _place(options: settings.Settings) -> backup.Place:
    folders = {"archive": options.archive_path, "models": options.models_path, "reports": options.reports_path}
    return backup.Place(options.lake, folders)
