"""Is everything that is promised there? Bodies, files, rows, keys, knowledge intervals and the ledger's promises.

Invariant: a check reads and never mends; what it finds broken it names. What merely has to be done still (a derived
day whose inputs changed, a file that a killed writer left) is told, and is not damage. Hashes are computed over
columns, never row by row in Python. Partners: `warehouse/data_files.py`, and `warehouse/backup.py`, which mends.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warehouse import data_files, derive, errors, sql
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.partitions import DERIVED, PARTITION_COLUMNS
from warehouse.tables import SCHEMA_VERSION, TABLES, macro, ops, vendor

MOST_CULPRITS = 10
# Decompression and digests leave the interpreter's lock, so threads help.
ARCHIVE_THREADS = 4


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Args:
        name: what was checked.
        n_checked: how many things of that kind there are.
        n_broken: how many of them are not as promised.
        culprits: up to ten of these, in words.
        note: what is not damage and yet worth knowing.
    """

    name: str
    n_checked: int
    n_broken: int = 0
    culprits: list[str] = field(default_factory=list)
    note: str = ""


def verify(lake: Lake, archive: Path, told: Callable[[Check], None]) -> list[Check]:
    """Every check, in turn; each is told as soon as it is done.

    Args:
        lake: open for reading.
        archive: folder of the vendors' answers.
        told: gets each check.

    Raises:
        ConfigError: the lake is of an older version, whose promises are computed in another way.
        LakeError: the catalog itself cannot be read.
    """
    version = int(lake.read_value("select value from ops.property where name = 'schema_version'") or 0)
    if version < SCHEMA_VERSION:
        raise errors.ConfigError(
            f"the lake at {lake.location.name} is of schema version {version}, and this Daybook verifies version "
            f"{SCHEMA_VERSION}. The next run that writes raises it, `daybook maintain` for one; then verify again."
        )
    done = [check_archive(lake, archive)]
    told(done[-1])
    for check in (check_files, check_rows, check_keys, check_ledger, check_intervals, check_derived):
        done.append(check(lake))
        told(done[-1])
    return done


def refuse_broken(checks: Sequence[Check]) -> None:
    """Nothing when all is well.

    Raises:
        LakeError: something is broken.
    """
    broken = [check for check in checks if check.n_broken]
    if broken:
        found = "; ".join(f"{check.n_broken} of {check.n_checked} {check.name}" for check in broken)
        raise errors.LakeError(
            f"the lake is not sound: {found} broken. First: {broken[0].culprits[0]}. Restore the last good backup with "
            "`daybook restore --force`, or load what is missing again with `daybook backfill`."
        )


def check_archive(lake: Lake, archive: Path) -> Check:
    """Every archived body is there and has the length and the digest that `vendor.reply` promises.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select archive_path, n_bytes, sha256 from {vendor.REPLY.full_name}"
        # A file that was loaded is its owner's to keep.
        " where vendor <> 'file' order by archive_path"
    )
    held = rows.to_pylist()
    with futures.ThreadPoolExecutor(ARCHIVE_THREADS) as pool:
        found = pool.map(lambda row: _fault_of_body(archive, **row), held, chunksize=64)
        return _checked("archived bodies", len(held), [fault for fault in found if fault])


def _fault_of_body(archive: Path, archive_path: str, n_bytes: int, sha256: str) -> str:
    try:
        body = gzip.decompress((archive / archive_path).read_bytes())
    except FileNotFoundError:
        return f"{archive_path} is missing"
    except (OSError, EOFError, zlib.error) as exc:
        return f"{archive_path} cannot be read ({exc})"
    if len(body) != n_bytes or hashlib.sha256(body).hexdigest() != sha256:
        return f"{archive_path} is not the body that was received"
    return ""


def check_files(lake: Lake) -> Check:
    """Every file the catalog names is there, as long as it was written, and its footer counts the rows it should.

    Raises:
        LakeError: the catalog or the data path cannot be read.
    """
    # What lies there is listed last: a file written in between would else look unknown.
    named = data_files.read_named(lake).to_pylist()
    sizes = {data_files.name_of(row["path"]): row["n_bytes"] for row in data_files.read_stored(lake).to_pylist()}
    faults, readable = [], []
    for row in named:
        size = sizes.get(data_files.name_of(row["path"]))
        if size is None:
            faults.append(f"{row['path']} of {row['table_name']} is missing")
        elif size != row["n_bytes"]:
            faults.append(f"{row['path']} of {row['table_name']} has {size} bytes, not {row['n_bytes']}")
        else:
            readable.append(row)
    with _from_disk(lake):
        counts = _read_footers(lake, [row["path"] for row in readable])
    for row in readable:
        count = counts.get(row["path"])
        # Deletes of several snapshots may share a file, and each counts its own.
        is_short = count is None or (count < row["n_rows"] if row["kind"] == "delete" else count != row["n_rows"])
        if is_short:
            what = "has no readable footer" if count is None else f"counts {count} rows, not {row['n_rows']}"
            faults.append(f"{row['path']} of {row['table_name']} {what}")
    scheduled = lake.read(f"select path from {data_files.CATALOG}.ducklake_files_scheduled_for_deletion")
    known = {data_files.name_of(row["path"]) for row in named} | data_files.names_of(scheduled)
    n_unknown = sum(name.endswith(".parquet") and name not in known for name in sizes)
    note = f"{n_unknown} files that the catalog does not know; `daybook maintain` removes old ones" if n_unknown else ""
    return _checked("files", len(named), faults, note)


@contextlib.contextmanager
def _from_disk(lake: Lake) -> Iterator[None]:
    """Reads files as they are now: DuckDB keeps parts of them, and takes a file of the same second for the same."""
    lake.connection.execute("set enable_external_file_cache = false")
    try:
        yield
    finally:
        lake.connection.execute("set enable_external_file_cache = true")


def _read_footers(lake: Lake, paths: Sequence[str]) -> dict[str, int]:
    """Rows by path as the footers count them; a file whose footer cannot be read is left out."""
    if not paths:
        return {}
    try:
        rows = lake.read("select file_name, num_rows from parquet_file_metadata($paths)", paths=list(paths))
    except errors.LakeError:
        # One bad file spoils the reading of all: halve until it stands alone.
        if len(paths) == 1:
            return {}
        middle = len(paths) // 2
        return _read_footers(lake, paths[:middle]) | _read_footers(lake, paths[middle:])
    return dict(zip(rows["file_name"].to_pylist(), rows["num_rows"].to_pylist(), strict=True))


def check_rows(lake: Lake) -> Check:
    """Every value of every row can be read, and as many rows come as the catalog counts.

    Raises:
        LakeError: the catalog cannot be read.
    """
    n_rows, faults = 0, []
    for table in data_files.read_tables(lake):
        try:
            with _from_disk(lake):
                read = data_files.fingerprints(lake, [table])[table.full_name].n_rows
            counted = lake.read_value(f"select count(*) from {table.full_name}")
        except errors.LakeError as exc:
            faults.append(f"{table.full_name} cannot be read ({exc})")
            continue
        n_rows += read
        if read != counted:
            faults.append(f"{table.full_name} gives {read} rows, the catalog counts {counted}")
    return _checked("rows", n_rows, faults, n_broken=len(faults))


def check_keys(lake: Lake) -> Check:
    """No key stands twice in any table.

    Raises:
        LakeError: the catalog cannot be read.
    """
    faults, n_tables = [], 0
    for table in data_files.read_tables(lake):
        n_tables += 1
        key = ", ".join(f'"{name}"' for name in table.grain)
        try:
            # Digests of keys are counted first, at a fraction of the memory; only a doubt is looked at closely.
            n_twice = lake.read_value(f"select count(*) - count(distinct hash({key})) from {table.full_name}")
            if not n_twice:
                continue
            rows = lake.read(
                f"select {key}, count(*) as n from {table.full_name} group by all having count(*) > 1"
                f" order by all limit {MOST_CULPRITS}"
            )
        except errors.LakeError as exc:
            faults.append(f"{table.full_name} cannot be read ({exc})")
            continue
        for row in rows.to_pylist():
            n_times = row.pop("n")
            faults.append(f"{table.full_name} has {n_times} rows for {', '.join(str(v) for v in row.values())}")
    return _checked("tables' keys", n_tables, faults)


def check_ledger(lake: Lake) -> Check:
    """What stands in each whole partition is what its ledger row says stands there.

    Raises:
        LakeError: the ledger cannot be read.
    """
    datasets = lake.read(f"select distinct dataset from {ops.LEDGER.full_name} order by dataset")
    n_promises = lake.read_value(
        f"select count(*) from {ops.LEDGER.full_name} where state in ('ok', 'empty_confirmed')"
    )
    faults, unknown = [], []
    held = {table.full_name: table for table in TABLES}
    for dataset in datasets["dataset"].to_pylist():
        if dataset in DERIVED:
            continue
        if dataset not in PARTITION_COLUMNS:
            unknown.append(dataset)
            continue
        try:
            rows = _read_broken_promises(lake, held[dataset], PARTITION_COLUMNS[dataset])
        except errors.LakeError as exc:
            faults.append(f"{dataset} cannot be read ({exc})")
            continue
        faults += [f"{dataset} {row['partition']}: {row['fault']}" for row in rows]
    note = f"not checked: {', '.join(unknown)}" if unknown else ""
    return _checked("promises of the ledger", int(n_promises or 0), faults, note)


def _read_broken_promises(lake: Lake, table: Table, column: str | None) -> list[dict[str, Any]]:
    """The partitions, whole or not, whose rows do not have the load's digest, and rows of no partition at all."""
    partition = f'cast("{column}" as varchar)' if column else "(select any_value(partition) from promise)"
    return lake.read(
        f"""
        with promise as (
            select partition, content_hash
            from {ops.LEDGER.full_name} where dataset = $dataset
        ),
        stored as (
            select {partition} as partition, count(*) as n_rows, {table.facts_digest} as content_hash
            from {table.full_name} group by all
        )
        select
            coalesce(promise.partition, stored.partition) as partition,
            case
                when promise.partition is null then format('{{}} rows that no load entered', stored.n_rows)
                when stored.partition is null then 'no row is left'
                else 'its rows are not those that were loaded'
            end as fault
        from promise full join stored using (partition)
        where promise.partition is null
            or coalesce(stored.content_hash, 0)::ubigint <> promise.content_hash
        order by 1
        """,
        dataset=table.full_name,
    ).to_pylist()


def check_intervals(lake: Lake) -> Check:
    """At any day at most one value stands for a series and period.

    Raises:
        LakeError: the lake cannot be read.
    """
    n_rows = lake.read_value(f"select count(*) from {macro.OBSERVATION.full_name}")
    rows = lake.read(sql.load("overlapping_interval")).to_pylist()
    faults = [
        f"{row['series_id']} {row['observation_date']}: the value of {row['realtime_start']} stands until"
        f" {row['realtime_end']}, the next from {row['next_start']}"
        for row in rows
    ]
    return _checked("macro intervals", int(n_rows or 0), faults)


def check_derived(lake: Lake) -> Check:
    """Each derived day has the rows its ledger row counts; days whose inputs changed since are told.

    Raises:
        LakeError: the lake cannot be read.
    """
    n_days, n_due, faults = 0, 0, []
    for dataset, inputs in DERIVED.items():
        table = next(one for one in TABLES if one.full_name == dataset)
        n_days += lake.read_value(
            f"select count(*) from {ops.LEDGER.full_name} where dataset = $dataset", dataset=dataset
        )
        n_due += derive.read_due(lake, table, inputs).num_rows
        rows = lake.read(
            f"""
            with stored as (
                select cast(trade_date as varchar) as partition, count(*) as n from {dataset} group by all
            ),
            promise as (select partition, n_received as n from {ops.LEDGER.full_name} where dataset = $dataset)
            select partition, coalesce(stored.n, 0) as n, coalesce(promise.n, 0) as promised
            from stored full join promise using (partition)
            where coalesce(stored.n, 0) <> coalesce(promise.n, 0)
            order by partition
            """,
            dataset=dataset,
        ).to_pylist()
        faults += [f"{dataset} {row['partition']}: {row['n']} rows, not {row['promised']}" for row in rows]
    note = f"{n_due} days are due to be computed again" if n_due else ""
    return _checked("derived days", n_days, faults, note)


def _checked(name: str, n_checked: int, faults: Sequence[str], note: str = "", n_broken: int | None = None) -> Check:
    return Check(name, n_checked, len(faults) if n_broken is None else n_broken, list(faults[:MOST_CULPRITS]), note)
