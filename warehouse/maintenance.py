"""How the lake is kept small and quick: small files merged, old snapshots let go, files nobody names deleted.

Invariants: what a table says is read before and after, row for row, and a step that would change it is undone; a
snapshot a report was published from outlives the others; a file is deleted only after everything was compared, only
when no kept snapshot names it, and not on the day it fell out of use, because a reader may still be in it. DuckLake's
own word is not taken for any of this (ducklake#527, ducklake#815). Partner: `warehouse/data_files.py`.
"""

from __future__ import annotations

import bisect
import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from warehouse import data_files, errors, sql, tables
from warehouse.contracts import Table
from warehouse.data_files import CATALOG, Fingerprint
from warehouse.lake import Lake

log = logging.getLogger(__name__)

# A commit a day leaves some files a day. Rewriting a year's file once in eight days costs an eighth of doing it every
# night, and eight small files cost a scan next to nothing.
FILES_WORTH_MERGING = 8
SMALL_FILE_BYTES = 256 * 1024 * 1024
# Rows in the catalog are read through SQLite at every query.
INLINED_ROWS_WORTH_FLUSHING = 500
DELETED_SHARE_WORTH_REWRITING = 0.1

# What the tables say at the newest snapshot (None) and at some older ones.
Said = dict[int | None, dict[str, Fingerprint]]
NEWEST = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things are kept.

    Args:
        snapshot_retention: how far back the lake can be read as it stood at every commit.
        report_retention: how far back a published report can be built again, for which its snapshot is kept.
        file_grace: how long a file that fell out of use stays at least, for readers that are still in it.
        named: snapshots that pages name beside those of `ops.run`: a day published again has a new snapshot there, but
            pages beside it may still be those of the first time. They are kept as long as published reports.
    """

    snapshot_retention: timedelta = timedelta(days=30)
    report_retention: timedelta = timedelta(days=3650)
    file_grace: timedelta = timedelta(hours=12)
    named: frozenset[int] = frozenset()


@dataclass
class Outcome:
    """What was done, or in a dry run would be."""

    tables_compacted: str = ""
    files_before: int = 0
    files_after: int = 0
    snapshots_expired: int = 0
    snapshots_kept: int = 0
    unused_files_deleted: int = 0
    orphans_deleted: int = 0

    def facts(self) -> dict[str, str | int]:
        """As names and values, for a person."""
        return dataclasses.asdict(self)


def maintain(lake: Lake, now: datetime, policy: Policy, *, dry_run: bool = False) -> Outcome:
    """What was done to keep the lake small; in a dry run, what would be, and nothing is touched.

    Args:
        lake: open for writing; for a dry run a reader will do.
        now: UTC, by the clock that stamps snapshots, which is the machine's.
        policy: how long things are kept.
        dry_run: only look. Files that fall out of use by merging and expiry are not foreseen.

    Raises:
        LakeError: a step would have changed what a table says, or deleted a file in use. The message names the
            table; no file was deleted.
    """
    due = read_worth_compacting(lake)
    kept, doomed = sort_snapshots(lake, now, policy)
    outcome = Outcome(
        tables_compacted=", ".join(table.full_name for table in due),
        files_before=_count_live_files(lake),
        snapshots_expired=len(doomed),
        snapshots_kept=len(kept),
    )
    if not dry_run:
        if due or doomed:
            _rewrite(lake, due, kept, doomed)
        outcome.unused_files_deleted, outcome.orphans_deleted = _delete_files(lake, now - policy.file_grace)
    else:
        outcome.unused_files_deleted = _count_unused(lake, now - policy.file_grace)
        outcome.orphans_deleted = len(read_orphans(lake, now - policy.file_grace))
    outcome.files_after = _count_live_files(lake)
    log.info("maintained lake dry_run=%s %s", dry_run, " ".join(f"{k}={v}" for k, v in outcome.facts().items()))
    return outcome


def read_worth_compacting(lake: Lake) -> list[Table]:
    """The tables with many small files, many deleted rows, or many rows kept inside the catalog.

    Raises:
        LakeError: the lake cannot be read.
    """
    by_files = lake.read(
        sql.load("compaction_due"),
        small=SMALL_FILE_BYTES,
        files=FILES_WORTH_MERGING,
        share=DELETED_SHARE_WORTH_REWRITING,
    )
    due = set(by_files["table_name"].to_pylist())
    due |= {name for name, n_rows in _read_inlined(lake).items() if n_rows >= INLINED_ROWS_WORTH_FLUSHING}
    return [table for table in data_files.read_tables(lake) if table.full_name in due]


def sort_snapshots(lake: Lake, now: datetime, policy: Policy) -> tuple[list[int], list[int]]:
    """The snapshots to keep and those to let go, each ascending.

    A snapshot stays while it is young, while a published report or another page reads it and that is not too long ago
    either, and while it is the newest.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select s.snapshot_id, s.snapshot_time, exists (from ops.run as r where r.snapshot = s.snapshot_id) as is_read"
        " from ducklake_snapshots('lake') as s order by s.snapshot_id"
    ).to_pylist()
    kept: list[int] = []
    doomed: list[int] = []
    for row in rows:
        is_read = row["is_read"] or row["snapshot_id"] in policy.named
        retention = policy.report_retention if is_read else policy.snapshot_retention
        is_young = row["snapshot_time"] >= now - max(retention, policy.snapshot_retention)
        (kept if is_young or row is rows[-1] else doomed).append(row["snapshot_id"])
    return kept, doomed


def _rewrite(lake: Lake, due: Sequence[Table], kept: Sequence[int], doomed: Sequence[int]) -> None:
    """Compact and expire, comparing what every table says, now and at some kept snapshots, before and after."""
    said = _read_said(lake, kept)
    for table in due:
        _compact(lake, table, said)
    if doomed:
        _expire(lake, kept, doomed, said)


def _compact(lake: Lake, table: Table, said: Said) -> None:
    """Flush, rewrite and merge one table.

    In this order: a rewrite while rows are still in an SQLite catalog fails at its commit, and a flush after a rewrite
    confuses older snapshots (ducklake#1406).
    """
    place = {"schema": table.schema, "table": table.name}

    def flush(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "call ducklake_flush_inlined_data('lake', schema_name => $schema, table_name => $table)", place
        )
        # Inside the transaction older snapshots read as the newest does, so they are compared after it.
        _refuse_change(lake, [table], said, "flushing rows of the catalog", [NEWEST])

    def merge(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "call ducklake_rewrite_data_files('lake', $table, schema => $schema, delete_threshold => $share)",
            place | {"share": DELETED_SHARE_WORTH_REWRITING},
        )
        connection.execute("call ducklake_merge_adjacent_files('lake', $table, schema => $schema)", place)
        _refuse_change(lake, [table], said, "merging files", list(said))

    lake.commit(flush, message=f"flush {table.full_name}")
    _refuse_change(lake, [table], said, "flushing rows of the catalog", [at for at in said if at is not NEWEST])
    lake.commit(merge, message=f"merge {table.full_name}")
    log.info("compacted table=%s rows=%s", table.full_name, said[NEWEST][table.full_name].n_rows)


def _expire(lake: Lake, kept: Sequence[int], doomed: Sequence[int], said: Said) -> None:
    wanted = _names_seen_by(data_files.read_named(lake), kept)

    def expire(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("call ducklake_expire_snapshots('lake', versions => $doomed)", {"doomed": doomed})
        _refuse_change(lake, data_files.read_tables(lake), said, "expiring snapshots", [NEWEST])

    lake.commit(expire, message=f"expire {len(doomed)} snapshots")
    lost = wanted - data_files.names_of(data_files.read_named(lake))
    if lost:
        raise errors.LakeError(
            f"after expiring snapshots the catalog no longer names {len(lost)} files that kept snapshots need, such as "
            f"{min(lost)}. No file was deleted; restore the catalog with `daybook restore --force` and leave "
            "maintenance off until the cause is known."
        )
    _refuse_change(lake, tables.TABLES, said, "expiring snapshots", [at for at in said if at is not NEWEST])


def _read_said(lake: Lake, kept: Sequence[int]) -> Said:
    """What every table says now, and at the oldest and the newest kept snapshot that a report reads."""
    rows = lake.read(
        "select snapshot from ops.run where snapshot in (select unnest($kept::bigint[])) order by snapshot",
        kept=list(kept),
    )
    pinned = rows["snapshot"].to_pylist()
    wanted = [NEWEST, *sorted({pinned[0], pinned[-1]})] if pinned else [NEWEST]
    return {at: data_files.fingerprints(lake, data_files.read_tables(lake, at), at) for at in wanted}


def _refuse_change(
    lake: Lake, of_tables: Sequence[Table], said: Said, doing: str, snapshots: Sequence[int | None]
) -> None:
    for snapshot in snapshots:
        before = said[snapshot]
        found = data_files.fingerprints(lake, [table for table in of_tables if table.full_name in before], snapshot)
        changed = [name for name in found if found[name] != before[name]]
        # A step concerns one table or all of them; of all, none may be gone.
        gone = sorted(set(before) - set(found)) if len(of_tables) > 1 else []
        if changed or gone:
            name = (changed + gone)[0]
            when = "" if snapshot is NEWEST else f" at snapshot {snapshot}"
            after = f"{found[name].n_rows} after" if name in found else "gone after"
            raise errors.LakeError(
                f"{doing} would change {name}{when}: {before[name].n_rows} rows before, {after}, or other values. "
                "No file was deleted. Run `daybook verify`, and leave maintenance off until the cause is known."
            )


def _delete_files(lake: Lake, before: datetime) -> tuple[int, int]:
    """How many unused and how many orphaned files were deleted."""
    unused = _read_unused(lake, before)
    orphans = lake.read(
        "select path from ducklake_delete_orphaned_files('lake', dry_run => true, older_than => $before)", before=before
    )["path"].to_pylist()
    named = data_files.read_named(lake)
    _refuse_in_use(named, [*unused, *orphans])
    if unused:
        lake.commit(
            lambda connection: connection.execute(
                "call ducklake_cleanup_old_files('lake', older_than => $before)", {"before": _day_before(before)}
            ),
            message=f"delete {len(unused)} unused files",
        )
    if orphans:
        lake.commit(
            lambda connection: connection.execute(
                "call ducklake_delete_orphaned_files('lake', older_than => $before)", {"before": before}
            ),
            message=f"delete {len(orphans)} orphaned files",
        )
    if unused or orphans:
        lost = data_files.names_of(named) - data_files.names_of(data_files.read_stored(lake))
        if lost:
            raise errors.LakeError(
                f"{len(lost)} files that the catalog names are gone, such as {min(lost)}. Restore them with `daybook "
                "restore --force`, and leave maintenance off until the cause is known."
            )
    return len(unused), len(orphans)


def _refuse_in_use(named: pa.Table, doomed: Sequence[str]) -> None:
    in_use = data_files.names_of(named) & {data_files.name_of(path) for path in doomed}
    if in_use:
        rows = [row for row in named.to_pylist() if data_files.name_of(row["path"]) in in_use]
        raise errors.LakeError(
            f"DuckLake would delete {len(in_use)} files that the catalog still names, such as {rows[0]['path']} of "
            f"{rows[0]['table_name']}. Nothing was deleted. Leave maintenance off until the cause is known."
        )


def _read_unused(lake: Lake, before: datetime) -> list[str]:
    rows = lake.read(
        "select path from ducklake_cleanup_old_files('lake', dry_run => true, older_than => $before)",
        before=_day_before(before),
    )
    return rows["path"].to_pylist()


def _count_unused(lake: Lake, before: datetime) -> int:
    """From the catalog, because DuckLake's own dry run is a function that a reader is shielded from."""
    count = lake.read_value(
        f"select count(*) from {CATALOG}.ducklake_files_scheduled_for_deletion"
        " where schedule_start::timestamptz < $before",
        before=_day_before(before),
    )
    return int(count)


def read_orphans(lake: Lake, before: datetime) -> list[str]:
    """Parquet files last written before an instant that nobody knows: left by a killed writer or an undone commit.

    Counted here, because DuckLake's own dry run writes to its catalog and a reader may not.

    Raises:
        LakeError: the lake or its data path cannot be read.
    """
    scheduled = lake.read(f"select path from {CATALOG}.ducklake_files_scheduled_for_deletion")
    known = data_files.names_of(data_files.read_named(lake)) | data_files.names_of(scheduled)
    stored = data_files.read_stored(lake).to_pylist()
    return [
        row["path"]
        for row in stored
        if row["path"].endswith(".parquet")
        and data_files.name_of(row["path"]) not in known
        and row["modified_at"] < before
    ]


def _day_before(instant: datetime) -> datetime:
    """The end of the day before, UTC.

    With an SQLite catalog DuckLake 1.5.5 compares instants as texts that differ behind the day, so that everything
    scheduled on the day named counts as older (measured 2026-11-21; `test_maintenance.py` keeps watch).
    """
    return datetime.combine(instant.astimezone(UTC).date(), time(), UTC) - timedelta(microseconds=1)


def _names_seen_by(named: pa.Table, snapshots: Sequence[int]) -> set[str]:
    """Names of the files that any of some snapshots, ascending, reads."""
    seen = set()
    for row in named.to_pylist():
        at = bisect.bisect_left(snapshots, row["begin_snapshot"])
        if at < len(snapshots) and (row["end_snapshot"] is None or snapshots[at] < row["end_snapshot"]):
            seen.add(data_files.name_of(row["path"]))
    return seen


def _read_inlined(lake: Lake) -> dict[str, int]:
    """Rows kept inside the catalog, deleted ones included, by table."""
    held = lake.read(
        f"select i.table_name as place, s.schema_name || '.' || t.table_name as name"
        f" from {CATALOG}.ducklake_inlined_data_tables as i"
        f" join {CATALOG}.ducklake_table as t using (table_id)"
        f" join {CATALOG}.ducklake_schema as s using (schema_id) where t.end_snapshot is null"
    ).to_pylist()
    if not held:
        return {}
    counts = " union all ".join(
        f"select '{row['name']}' as name, count(*) as n_rows from {CATALOG}.\"{row['place']}\"" for row in held
    )
    rows = lake.read(f"select name, sum(n_rows)::bigint as n_rows from ({counts}) group by name order by name")
    return dict(zip(rows["name"].to_pylist(), rows["n_rows"].to_pylist(), strict=True))


def _count_live_files(lake: Lake) -> int:
    named = data_files.read_named(lake)
    return int(pc.sum(pc.and_(pc.equal(named["kind"], "data"), pc.is_null(named["end_snapshot"]))).as_py() or 0)
