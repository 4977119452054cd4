"""How whole vintages enter the lake: files that say everything that was published on a day, such as FRED-MD's.

A vintage is complete, so unlike a pull it also says what was no longer there: a cell absent from the next vintage is
closed without a successor. Invariants: `macro_asof` at a vintage's day gives that vintage's cells and no others; the
order in which vintages are loaded, and how often, changes nothing; a vintage loaded with other content leaves what it
said before in `ops.revision`. Partners: `fredmd.py`, which reads the files; `vintages.py`, for what is pulled.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warehouse import errors, load, rebases, revisions, sql
from warehouse.lake import Lake
from warehouse.tables import macro, ops

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]
Flags = npt.NDArray[np.bool_]

TABLE = macro.ARCHIVED_OBSERVATION
STANDING = np.datetime64("9999-12-31", "D")


@dataclass(frozen=True, slots=True)
class Vintage:
    """Everything an archive published on one day.

    Args:
        name: the vintage's own name, such as `2008-10`; the ledger's partition.
        vintage_date: day from which it counts as known.
        series: series ids, each with at least one value.
        dates: (n_dates,) datetime64[D], the periods it has a row for, ascending.
        values: (n_dates, n_series) float64, NaN where it has a blank.
        transform_codes: FRED-MD transform codes by series, as far as the vintage names them.
    """

    name: str
    vintage_date: date
    series: tuple[str, ...]
    dates: Days
    values: Floats
    transform_codes: Mapping[str, int] = field(default_factory=dict)

    @property
    def day(self) -> np.datetime64:
        """`vintage_date` as NumPy writes it."""
        return np.datetime64(self.vintage_date, "D")

    @property
    def content_hash(self) -> int:
        """Digest of what it says, whatever the order of its columns: an unsigned number of 64 bits."""
        digest = hashlib.sha256(self.dates.astype("datetime64[D]").tobytes())
        for series_id, column in sorted(zip(self.series, range(len(self.series)), strict=True)):
            digest.update(f"{series_id}|{self.transform_codes.get(series_id)}".encode())
            digest.update(_plain(self.values[:, column]).tobytes())
        return int.from_bytes(digest.digest()[:8], "big")


def load_vintages(lake: Lake, vintages: Iterable[Vintage], stamp: load.Stamp) -> pa.Table:
    """The ledger rows of the vintages that were new or said something new; the others are left alone.

    Args:
        lake: open for writing.
        vintages: of one archive, that is with one prefix before the colon of their series ids.
        stamp: provenance.

    Raises:
        ContractViolation: the vintages are of several archives, or two are of the same day.
        LakeError: the lake refused a statement; nothing was written.
    """
    ordered = sorted(vintages, key=lambda one: one.vintage_date)
    prefix = _archive_of(ordered)
    held = _read_held(lake, prefix)
    fresh = [one for one in ordered if held.get(one.vintage_date) != one.content_hash]
    known = sorted(held)

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        for group in _between_known(fresh, known):
            _merge_group(connection, group, prefix, known, stamp)
        rebases.update(connection, sorted({name for one in fresh for name in one.series}), fresh[0].vintage_date)
        _enter_vintages(connection, fresh)
        _enter_ledger(connection, fresh, prefix, stamp)

    if fresh:
        lake.commit(work, message=f"load vintages {prefix}{fresh[0].name}..{fresh[-1].name}")
    log.info("loaded vintages archive=%s new=%s same=%s", prefix, len(fresh), len(ordered) - len(fresh))
    return lake.read(
        "select * from ops.ledger where dataset = $dataset and partition in (select unnest($keys::varchar[]))"
        " order by partition",
        dataset=TABLE.full_name,
        keys=[prefix + one.name for one in fresh],
    )


def _archive_of(vintages: Sequence[Vintage]) -> str:
    prefixes = sorted({series_id.partition(":")[0] + ":" for one in vintages for series_id in one.series})
    if len(prefixes) != 1:
        raise errors.ContractViolation(
            f"the vintages belong to {len(prefixes)} archives ({', '.join(prefixes) or 'none has a value'}), expected "
            "one. Nothing was stored; load each archive by itself."
        )
    for one, after in itertools.pairwise(vintages):
        if one.vintage_date == after.vintage_date:
            raise errors.ContractViolation(
                f"vintages {one.name} and {after.name} are both of {one.vintage_date}. Nothing was stored; "
                "leave one out."
            )
    return prefixes[0]


def _read_held(lake: Lake, prefix: str) -> dict[date, int]:
    rows = lake.read(
        "select through_date, content_hash from ops.ledger"
        " where dataset = $dataset and starts_with(partition, $prefix)",
        dataset=TABLE.full_name,
        prefix=prefix,
    )
    return dict(zip(rows["through_date"].to_pylist(), rows["content_hash"].to_pylist(), strict=True))


def _between_known(fresh: Sequence[Vintage], known: Sequence[date]) -> list[list[Vintage]]:
    """Vintages in runs that no known vintage interrupts, so that each meets at most one known one on either side."""
    others = sorted(set(known) - {one.vintage_date for one in fresh})
    at = np.searchsorted(np.array(others, "datetime64[D]"), np.array([one.day for one in fresh], "datetime64[D]"))
    return [
        [one for _, one in group]
        for _, group in itertools.groupby(zip(at.tolist(), fresh, strict=True), key=lambda pair: pair[0])
    ]


def _merge_group(
    connection: duckdb.DuckDBPyConnection,
    group: Sequence[Vintage],
    prefix: str,
    known: Sequence[date],
    stamp: load.Stamp,
) -> None:
    """Bring a run of vintages between its two known neighbours."""
    first, last = group[0].vintage_date, group[-1].vintage_date
    for one in group:
        if one.vintage_date in known:
            _keep_what_stood(connection, one, prefix, stamp)
    before = max((day for day in known if day < first), default=None)
    after = min((day for day in known if day > last), default=None)
    chain = [
        *([_read_state(connection, prefix, before)] if before else []),
        *group,
        *([_read_state(connection, prefix, after)] if after else []),
    ]
    connection.register("run", runs_of(chain))
    connection.execute(
        sql.load("archive_span"),
        {
            "prefix": prefix,
            "first_date": chain[0].vintage_date,
            "last_date": chain[-1].vintage_date,
            "has_before": before is not None,
            "has_after": after is not None,
        },
    )
    connection.execute(
        f"delete from {TABLE.full_name} as t using archive_span as s where s.is_gone and t.series_id = s.series_id"
        " and t.observation_date = s.observation_date and t.realtime_start = s.realtime_start"
    )
    connection.execute(
        f"insert into {TABLE.full_name} select series_id, observation_date, value, realtime_start, realtime_end,"
        " $loaded_at, $load_id from archive_span where not is_gone"
        " order by series_id, observation_date, realtime_start",
        {"loaded_at": stamp.loaded_at, "load_id": stamp.load_id},
    )
    connection.execute("drop table temp.archive_span")
    connection.unregister("run")


def runs_of(chain: Sequence[Vintage]) -> pa.Table:
    """For every cell, the spans of consecutive vintages in which it says the same.

    Args:
        chain: vintages, oldest first.

    Returns:
        Rows (series_id, observation_date, value, realtime_start, realtime_end), where a span ends the day before the
        vintage that no longer has it, and 9999-12-31 when the last vintage has it.
    """
    names = sorted({series_id for one in chain for series_id in one.series})
    dates = np.unique(np.concatenate([one.dates for one in chain])).astype("datetime64[D]")
    days = np.array([one.day for one in chain], "datetime64[D]")
    ends = np.append(days[1:] - 1, STANDING)
    number = {series_id: at for at, series_id in enumerate(names)}
    cube = np.full((len(names), len(chain), len(dates)), np.nan)
    has_series = np.zeros((len(names), len(chain)), bool)
    has_date = np.zeros((len(chain), len(dates)), bool)
    for at, one in enumerate(chain):
        rows = np.array([number[series_id] for series_id in one.series])
        columns = np.searchsorted(dates, one.dates)
        cube[rows[:, None], at, columns] = one.values.T
        has_series[rows, at] = True
        has_date[at, columns] = True
    parts = []
    for row, series_id in enumerate(names):
        is_there = has_series[row][:, None] & has_date
        where, since, until, values = _spans(cube[row], is_there)
        parts.append(
            pa.table(
                {
                    "series_id": pa.repeat(pa.scalar(series_id), len(where)),
                    "observation_date": pa.array(dates[where]),
                    "value": pa.array(values, pa.float64(), mask=np.isnan(values)),
                    "realtime_start": pa.array(days[since]),
                    "realtime_end": pa.array(ends[until]),
                }
            )
        )
    return pa.concat_tables(parts)


def _spans(
    values: Floats, is_there: Flags
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """Column, first row, last row and value of every vertical run of equal cells that are there."""
    bits = _plain(values).view(np.int64)
    is_same = (bits[1:] == bits[:-1]) & is_there[1:] & is_there[:-1]
    border = np.zeros((1, values.shape[1]), bool)
    # Transposed, so that starts and ends come column by column, each column's in order, and pair up.
    where, since = np.nonzero((is_there & ~np.vstack([border, is_same])).T)
    _, until = np.nonzero((is_there & ~np.vstack([is_same, border])).T)
    return where, since, until, values[since, where]


def _plain(values: Floats) -> Floats:
    """The values with one bit pattern for missing and one for zero, so that equal means equal bits."""
    plain: Floats = np.where(np.isnan(values), np.nan, values + 0.0)
    return plain


def _read_state(connection: duckdb.DuckDBPyConnection, prefix: str, day: date) -> Vintage:
    """A vintage as the lake has it."""
    rows = connection.execute(
        f"select series_id, observation_date, value from {TABLE.full_name} where starts_with(series_id, $prefix)"
        " and realtime_start <= $day and realtime_end >= $day",
        {"prefix": prefix, "day": day},
    ).to_arrow_table()
    names, column = np.unique(rows["series_id"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    dates, row = np.unique(rows["observation_date"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    values = np.full((len(dates), len(names)), np.nan)
    values[row, column] = rows["value"].to_numpy(zero_copy_only=False).astype(np.float64)
    return Vintage(day.isoformat(), day, tuple(names.tolist()), dates, values)


def _keep_what_stood(connection: duckdb.DuckDBPyConnection, one: Vintage, prefix: str, stamp: load.Stamp) -> None:
    """Enter the values that a vintage said before it was loaded with other content into `ops.revision`."""
    rows = runs_of([one])
    connection.register("restated", rows)
    connection.execute(
        f"""
        create temp table changed as
        with held as (
            select series_id, observation_date, value from {TABLE.full_name}
            where starts_with(series_id, $prefix) and realtime_start <= $day and realtime_end >= $day
        )
        select $prefix || $name as partition_key, series_id, observation_date, $day::date as realtime_start,
            restated.value, held.value as old_value
        from restated full join held using (series_id, observation_date)
        where restated.value is distinct from held.value
        """,
        {"prefix": prefix, "name": one.name, "day": one.vintage_date},
    )
    revisions.record_revisions(connection, load.Load(TABLE, rows, (), None), ["value"], stamp)
    connection.execute("drop table temp.changed")
    connection.unregister("restated")


def _enter_vintages(connection: duckdb.DuckDBPyConnection, fresh: Sequence[Vintage]) -> None:
    flat = [(name, one.vintage_date, one.transform_codes.get(name)) for one in fresh for name in one.series]
    names, days, codes = zip(*flat, strict=True)
    rows = macro.VINTAGE.conform(pa.table({"series_id": names, "vintage_date": days, "transform_code": codes}))
    connection.register("vintage_in", rows)
    connection.execute(
        "delete from macro.vintage as t using (select distinct split_part(series_id, ':', 1) as archive, vintage_date"
        " from vintage_in) as v where t.vintage_date = v.vintage_date and starts_with(t.series_id, v.archive || ':')"
    )
    connection.execute("insert into macro.vintage from vintage_in order by series_id, vintage_date")
    connection.unregister("vintage_in")


def _enter_ledger(
    connection: duckdb.DuckDBPyConnection, fresh: Sequence[Vintage], prefix: str, stamp: load.Stamp
) -> None:
    entries = pa.table(
        {
            "partition": [prefix + one.name for one in fresh],
            "through_date": [one.vintage_date for one in fresh],
            "n_cells": [len(one.dates) * len(one.series) for one in fresh],
            "content_hash": pa.array([one.content_hash for one in fresh], pa.uint64()),
        }
    )
    connection.register("entry", entries)
    connection.execute(
        f"""
        create temp table vintage_entry as
        select $dataset as dataset, e.partition, 'ok' as state, e.through_date, null::bigint as n_expected, e.n_cells,
            0 as n_quarantined, e.content_hash, '' as reason, '' as cause, null::date as asked_date,
            coalesce(held.n_attempts, 0) + 1 as n_attempts
        from entry as e left join {ops.LEDGER.full_name} as held
            on held.dataset = $dataset and held.partition = e.partition
        """,
        {"dataset": TABLE.full_name},
    )
    connection.execute(
        f"delete from {ops.LEDGER.full_name} as t using vintage_entry as v"
        " where t.dataset = v.dataset and t.partition = v.partition"
    )
    connection.execute(
        f"insert into {ops.LEDGER.full_name} by name select * rename (n_cells as n_received), $load_id as load_id,"
        " $loaded_at as loaded_at from vintage_entry order by partition",
        {"load_id": stamp.load_id, "loaded_at": stamp.loaded_at},
    )
    connection.execute("drop table temp.vintage_entry")
    connection.unregister("entry")
