"""Files a desk already owns, in the vendor's schema, through the same door as the vendor's own answers.

Invariants: a file is read to its end before anything is stored, so that a file that cannot be read stores nothing;
memory stays bounded however large it is, because rows are staged where DuckDB can spill them and loaded a group of
whole partitions at a time; loading a file twice writes nothing; restated values become revisions. Partners:
`warehouse/file_schema.py`, which reads a file's columns in the contract's types, and `warehouse/load.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from warehouse import audit, derive, errors, file_schema, instances, ledger, load, revisions, seeds, sql, vintages
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.tables import macro, market, ops, vendor

# What a group of partitions holds at least before it is committed: larger ones take more memory and gain no speed.
ROWS_PER_COMMIT = 500_000
# Where suspensions are not known. In July 2015, the worst weeks there were, about half of the market stood still.
LEAST_TRADED_SHARE = 0.4
MEMORY_LIMIT = re.compile(r"\s*([0-9.]+)\s*([KMGT]i?B)\s*", re.IGNORECASE)
TABLES = {
    "daily": market.DAILY,
    "adj_factor": market.ADJ_FACTOR,
    "daily_basic": market.DAILY_BASIC,
    "observations": macro.OBSERVATION,
}
Progress = Callable[[str, int, int], None]
# Of some sessions: rows each must have, and below how many it is partial.
Expect = Callable[[Sequence[date]], tuple[dict[date, int], dict[date, int]]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of some files.

    Args:
        n_rows: rows in the files.
        n_set_aside: those newly in quarantine, unreadable ones included.
        n_revised: values that had stood otherwise before; they are in `ops.revision`.
        n_partitions: sessions or series in the files.
        n_not_whole: those of them not whole after the load.
    """

    n_rows: int
    n_set_aside: int
    n_revised: int
    n_partitions: int
    n_not_whole: int

    def facts(self) -> dict[str, int]:
        """Counts for a person."""
        return {
            "rows in the files": self.n_rows,
            "rows newly set aside": self.n_set_aside,
            "values revised": self.n_revised,
            "partitions": self.n_partitions,
            "partitions not whole": self.n_not_whole,
        }


@dataclass(frozen=True, slots=True)
class _Group:
    """Whole partitions that are loaded together: those of `keys`, and the rows without one where `has_null`."""

    file_numbers: Sequence[int]
    keys: Sequence[Any]
    has_null: bool


def load_files(
    lake: Lake,
    dataset: str,
    files: Sequence[Path],
    *,
    known_date: date,
    stamp: load.Stamp,
    missing_fraction: float = ops.MISSING_FRACTION,
    progress: Progress = lambda what, done, total: None,
) -> Loaded:
    """Load files of one dataset; files that restate each other's rows one after the other, in the order given.

    Args:
        lake: open for writing.
        dataset: one of `TABLES`.
        files: Parquet or CSV, by their ending.
        known_date: the newest day a row may be about; for observations also the day on which their values are seen.
        stamp: provenance.
        missing_fraction: share of a session's expected rows that may be missing before it is partial.
        progress: is told how many rows are done.

    Raises:
        ConfigError: a file is missing, cannot be read, or does not have the columns; nothing was stored.
        ContractViolation: a series nobody follows, or intervals of knowledge that overlap.
        LakeError: the lake refused a statement; groups of partitions committed before it stay.
    """
    table = TABLES[dataset]
    states: dict[str, str] = {}
    done = 0
    expect = functools.partial(_expected_rows, lake, missing_fraction)
    with _staging(lake) as staging:
        sources = [file_schema.describe(staging, table, path) for path in files]
        if len({source.has_intervals for source in sources}) > 1:
            raise errors.ConfigError(
                "some of the files say when their values were known (realtime_start) and some do not. Nothing was "
                "stored; load the two kinds apart."
            )
        n_rows_about = sum(source.n_rows_about for source in sources)
        file_schema.stage(staging, sources, is_sorted=n_rows_about > ROWS_PER_COMMIT)
        file_schema.refuse_unreadable(staging, sources)
        if table is macro.OBSERVATION:
            _know_series(lake, staging)
        n_rows = staging.execute("select count(*) from staged").fetchall()[0][0]
        replies: pa.Table | None = pa.concat_tables([_reply(dataset, path, stamp) for path in files])
        for group in _groups(staging, table, len(files)):
            rows, unreadable = _read_group(staging, table, group)
            one = _load_of(table, group, rows, known_date, has_intervals=sources[0].has_intervals, expect=expect)
            one = dataclasses.replace(one, unreadable=unreadable, replies=replies)
            replies = None
            entries = load.load(lake, [one], stamp)
            states |= dict(zip(entries["partition"].to_pylist(), entries["state"].to_pylist(), strict=True))
            done += rows.num_rows + unreadable.num_rows
            progress(f"rows of {table.name}", done, n_rows)
    return _summary(lake, table, stamp, n_rows, states)


def _summary(lake: Lake, table: Table, stamp: load.Stamp, n_rows: int, states: dict[str, str]) -> Loaded:
    by_this = "where dataset = $dataset and load_id = $load_id"
    params = {"dataset": table.full_name, "load_id": stamp.load_id}
    return Loaded(
        n_rows,
        lake.read_value(
            f"select count(distinct (partition, row_hash)) from {ops.QUARANTINE.full_name} {by_this}", **params
        ),
        lake.read_value(f"select count(*) from {ops.REVISION.full_name} {by_this} and column_name <> '*'", **params),
        len(states),
        sum(state not in load.WHOLE_STATES for state in states.values()),
    )


@contextlib.contextmanager
def _staging(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of its own that spills beside the lake, with half of the lake's memory."""
    limit = MEMORY_LIMIT.fullmatch(lake.location.memory_limit)
    half = f"{float(limit[1]) / 2:g}{limit[2]}" if limit else lake.location.memory_limit
    needs = instances.Needs((), half, lake.location.path / "tmp-files", threads=lake.location.threads)
    with instances.connection(needs) as staging:
        yield staging


def _reply(dataset: str, path: Path, stamp: load.Stamp) -> pa.Table:
    """A file's entry in `vendor.reply`; the same bytes under the same name are the same entry."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as exc:
        raise errors.ConfigError(f"{path} cannot be read: {exc.strerror}. Nothing was stored.") from exc
    row = {
        "reply_id": hashlib.sha256(f"file|{dataset}|{path.name}|{sha256}".encode()).hexdigest()[:32],
        "vendor": "file",
        "endpoint": dataset,
        "params": json.dumps({"file": path.name}, ensure_ascii=False),
        "status": 200,
        "n_bytes": size,
        "sha256": sha256,
        "archive_path": "",
        "retrieved_at": stamp.loaded_at,
        "load_id": stamp.load_id,
    }
    return pa.Table.from_pylist([row], schema=vendor.REPLY.arrow_schema)


def _know_series(lake: Lake, staging: duckdb.DuckDBPyConnection) -> None:
    """Refuse series nobody follows before anything is stored: without their facts a value cannot be dated."""
    series = seeds.fred_series()
    lake.commit(lambda connection: derive.write_rows(connection, macro.SERIES, series), message="series followed")
    held = set(series["series_id"].to_pylist())
    found = staging.execute("select distinct series_id from staged where series_id is not null order by 1").fetchall()
    unknown = [row[0] for row in found if row[0] not in held]
    if unknown:
        raise errors.ContractViolation(
            f"the files hold series that Daybook does not follow: {', '.join(unknown[:10])}. Nothing was stored; add "
            "them to warehouse/seeds/fred_series.csv, or leave them out of the file."
        )


def _groups(staging: duckdb.DuckDBPyConnection, table: Table, n_files: int) -> Iterator[_Group]:
    """Whole partitions, oldest first, about `ROWS_PER_COMMIT` rows at a time."""
    column = file_schema.partition_column(table)
    for numbers in _waves(staging, table, n_files):
        found = staging.execute(
            f'select "{column}", count(*) from staged where file_no in (select unnest($numbers)) group by 1'
            " order by 1 nulls first",
            {"numbers": numbers},
        ).fetchall()
        keys: list[Any] = []
        has_null, n_rows = False, 0
        for key, n_of_key in found:
            if key is None:
                has_null = True
            else:
                keys.append(key)
            n_rows += n_of_key
            if n_rows >= ROWS_PER_COMMIT:
                yield _Group(numbers, keys, has_null)
                keys, has_null, n_rows = [], False, 0
        if keys or has_null:
            yield _Group(numbers, keys, has_null)


def _waves(staging: duckdb.DuckDBPyConnection, table: Table, n_files: int) -> list[list[int]]:
    """Numbers of the files that go in together: all of them, unless one restates what another says."""
    everything = list(range(n_files))
    if n_files == 1:
        return [everything]
    grain = [name for name in table.grain if name != "realtime_start" or _has_column(staging, name)]
    repeated = staging.execute(
        f"select 1 from staged where problem is null group by {audit.names(grain)}"
        " having min(file_no) < max(file_no) limit 1"
    ).fetchall()
    return [[number] for number in everything] if repeated else [everything]


def _has_column(staging: duckdb.DuckDBPyConnection, name: str) -> bool:
    return name in [row[0] for row in staging.execute("describe staged").fetchall()]


def _read_group(staging: duckdb.DuckDBPyConnection, table: Table, group: _Group) -> tuple[pa.Table, pa.Table]:
    """A group's rows, and those of it that could not be read, as `audit.UNREADABLE_SCHEMA`."""
    column = file_schema.partition_column(table)
    params: dict[str, Any] = {"numbers": list(group.file_numbers)}
    inside = f'"{column}" is null' if group.has_null else "false"
    if group.keys:
        # Groups are neighbours in the order of their keys, so that a range holds no other group's rows.
        inside += f' or "{column}" between $first and $last'
        params |= {"first": group.keys[0], "last": group.keys[-1]}
    where = f"where file_no in (select unnest($numbers)) and ({inside})"
    rows = staging.execute(
        f"select * exclude (problem, raw, file_no) from staged {where} and problem is null", params
    ).to_arrow_table()
    unreadable = staging.execute(
        f"select coalesce(cast(\"{column}\" as varchar), '') as partition, problem as reason, raw as row_json"
        f" from staged {where} and problem is not null",
        params,
    ).to_arrow_table()
    return rows, unreadable.cast(audit.UNREADABLE_SCHEMA)


def _load_of(
    table: Table, group: _Group, rows: pa.Table, known_date: date, *, has_intervals: bool, expect: Expect
) -> load.Load:
    if table is not macro.OBSERVATION:
        sessions = [day for day in group.keys if day <= known_date]
        expected, fewest = expect(sessions)
        asked = [
            load.Partition(
                day.isoformat(),
                day,
                expected.get(day),
                n_required=fewest.get(day),
                # From here on somebody watches a session that has just been: what comes later came late.
                asked_date=known_date if known_date - day <= timedelta(days=revisions.WATCHED_DAYS) else None,
            )
            for day in sessions
        ]
        return load.Load(table, rows, asked, "trade_date", latest_date=known_date)
    newest = rows.group_by("series_id").aggregate([("observation_date", "max")]).to_pylist()
    through = {row["series_id"]: row["observation_date_max"] or known_date for row in newest}
    # A file says what was known when it was written, not today: the vendor is asked all the same.
    asked = [load.Partition(key, min(through.get(key, known_date), known_date)) for key in group.keys]
    if not has_intervals:
        rows = rows.select(["series_id", "observation_date", "value"])
        one = vintages.observation_load(rows, asked, pull_date=known_date, is_history=True)
        return dataclasses.replace(one, latest_date=known_date)
    estimated = pa.repeat(pa.scalar(False), rows.num_rows)
    rows = rows.append_column("is_realtime_estimated", estimated)
    return load.Load(table, rows, asked, "series_id", merge=_merge_intervals, latest_date=known_date)


def _expected_rows(
    lake: Lake, missing_fraction: float, sessions: Sequence[date]
) -> tuple[dict[date, int], dict[date, int]]:
    """Rows each session must have, and below how many it is partial.

    What cannot be counted is not expected: nothing while no security is known, and only the fewest that any session has
    had while its suspensions are not known.
    """
    if not sessions:
        return {}, {}
    known = lake.read(
        "select through_date from ops.ledger where dataset = 'market.suspend_d' and state in ('ok', 'empty_confirmed')"
        " and through_date in (select unnest($sessions))",
        sessions=list(sessions),
    )["through_date"].to_pylist()
    suspensions = lake.read(
        "select ts_code, trade_date, suspend_timing, suspend_type from market.suspend_d"
        " where trade_date in (select unnest($known))",
        known=known,
    )
    listed = {day: n for day, n in ledger.expected_bars(lake, list(sessions), suspensions).items() if n}
    expected = {day: listed[day] for day in known if day in listed}
    fewest = {day: int(LEAST_TRADED_SHARE * n) for day, n in listed.items() if day not in expected}
    return expected, fewest | {day: n - int(n * missing_fraction) for day, n in expected.items()}


def _merge_intervals(connection: duckdb.DuckDBPyConnection, one: load.Load, stamp: load.Stamp) -> None:
    """Observations that say when they were known, merged by key.

    Raises:
        ContractViolation: two values of a period would have been the published one on the same day.
    """
    load.merge_by_key(connection, one, stamp)
    clash = connection.execute(sql.load("interval_clash")).fetchone()
    if clash:
        raise errors.ContractViolation(
            f"two values of {clash[0]} for {clash[1]} would be the published one on the same day. These rows were not "
            "stored; make the file's realtime_start and realtime_end fit each other and what the lake holds."
        )
