"""Millions of computed rows, straight into Parquet files that DuckLake then takes in.

DuckLake's own insert spends three times as long on doubles, because it tries a dictionary on each column, and it sorts
again what comes sorted (26 million rows, measured 2026-11-21). Invariants: a file holds one partition, sorted as its
rows came; the files become part of the table in the caller's transaction or not at all, and those of a failed one are
what a killed writer leaves, which maintenance removes. Partners: `warehouse/derive.py`, `warehouse/shards.py`.
"""

from __future__ import annotations

import concurrent.futures
import io
import uuid
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.contracts import Table
from warehouse.storage import LakeLocation
from warehouse.tables.market import BY_YEAR

# As many rows as it takes until files of one's own are worth it; below, DuckLake's insert is as fast.
WORTH_FILES = 1_000_000
# A row group: 22 years' worth of these, waiting to be full, take 100 MB.
GROUP_ROWS = 60_000
# Threads that encode, each for years of its own, and row groups that wait for them.
THREADS = 2
MOST_WAITING = 4


@dataclass(frozen=True, slots=True)
class Files:
    """Parquet files that hold rows of one table, and lie where the table's own files lie.

    Args:
        paths: their addresses.
        n_rows: rows in all of them.
    """

    paths: tuple[str, ...]
    n_rows: int


def can_add(location: LakeLocation, table: Table) -> bool:
    """Whether rows of a table can go into files of their own: files on this machine, one for each year."""
    return not location.is_on_s3 and table.partition_by == BY_YEAR


def add(connection: duckdb.DuckDBPyConnection, location: LakeLocation, table: Table, parts: Iterable[pa.Table]) -> int:
    """How many rows were written to files and the files added to the table.

    Args:
        connection: inside a commit.
        location: where the lake lies; see `can_add`.
        table: contract of the rows, with a `trade_date`; no row of it stands for these days.
        parts: the rows, a part at a time, in the order of the table's sort.

    Raises:
        ContractViolation: rows whose columns do not fit the table.
        OSError: a file cannot be written.
    """
    files = write_files(connection, location, table, parts)
    add_files(connection, table, files)
    return files.n_rows


def write_files(
    connection: duckdb.DuckDBPyConnection, location: LakeLocation, table: Table, parts: Iterable[pa.Table]
) -> Files:
    """Files of some rows, one for each year, of which the table knows nothing yet.

    Args:
        connection: can reach the storage; it may have the lake open for reading only.
        location: where the lake lies.
        table: contract of the rows, with a `trade_date`, a file for each year.
        parts: the rows, a part at a time, in the order of the table's sort; on S3 all of them fit into memory.

    Raises:
        ContractViolation: rows whose columns do not fit the table.
        OSError, duckdb.Error: a file cannot be written.
    """
    if location.is_on_s3:
        return _write_objects(connection, location, table, parts)
    folder = Path(location.data_address) / table.schema / table.name
    with _YearFiles(folder, table) as files:
        for part in parts:
            files.write(table.conform(part))
    return Files(tuple(map(str, files.paths)), files.n_rows)


def add_files(connection: duckdb.DuckDBPyConnection, table: Table, files: Files) -> None:
    """Make files of `write_files` part of the table.

    Args:
        connection: inside a commit.
        table: contract of the rows; no row of theirs stands.
        files: not part of it yet.
    """
    for path in files.paths:
        connection.execute(
            "call ducklake_add_data_files('lake', $table, $path, schema => $schema)",
            {"table": table.name, "schema": table.schema, "path": path},
        )


def _write_objects(
    connection: duckdb.DuckDBPyConnection, location: LakeLocation, table: Table, parts: Iterable[pa.Table]
) -> Files:
    """The storage is spoken to by DuckDB, which has its secret; the file is made here, for the reason named above."""
    rows = pa.concat_tables([table.empty(), *(table.conform(part) for part in parts)])
    years = rows["trade_date"].to_numpy().astype("datetime64[Y]").astype(np.int64) + 1970
    paths = []
    for year in np.unique(years).tolist():
        file = io.BytesIO()
        here = rows.take(np.flatnonzero(years == year))
        pq.write_table(here, file, row_group_size=2 * GROUP_ROWS, use_dictionary=_texts(here.schema))
        path = f"{location.data_address}{table.schema}/{table.name}/year={year}/ducklake-{uuid.uuid4()}.parquet"
        quoted = path.replace("'", "''")
        connection.execute(f"copy (select $file::blob) to '{quoted}' (format blob)", {"file": file.getvalue()})
        paths.append(path)
    return Files(tuple(paths), rows.num_rows)


def _texts(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_string(field.type)]


class _YearFiles:
    """A Parquet file for each year, all open at once, written by threads of their own."""

    def __init__(self, folder: Path, table: Table) -> None:
        self.n_rows = 0
        self.paths: list[Path] = []
        self._folder = folder
        self._schema = table.empty().schema
        self._texts = _texts(self._schema)
        self._waiting: dict[int, list[pa.Table]] = defaultdict(list)
        self._writers: dict[int, pq.ParquetWriter] = {}
        # A file is written by one thread alone, so that its row groups keep their order.
        self._threads = [concurrent.futures.ThreadPoolExecutor(1, "parquet") for _ in range(THREADS)]
        self._pending: deque[concurrent.futures.Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if kind is None:
                for year in list(self._waiting):
                    self._flush(year)
                while self._pending:
                    self._pending.popleft().result()
        finally:
            for thread in self._threads:
                thread.shutdown(cancel_futures=True)
            for writer in self._writers.values():
                writer.close()

    def write(self, rows: pa.Table) -> None:
        """Take in rows of any years."""
        self.n_rows += rows.num_rows
        years = rows["trade_date"].to_numpy().astype("datetime64[Y]").astype(np.int64) + 1970
        for year in range(years.min(initial=9999), years.max(initial=0) + 1):
            here = np.flatnonzero(years == year)
            if not len(here):
                continue
            waiting = self._waiting[year]
            # Rows of one year need no copy.
            waiting.append(rows if len(here) == rows.num_rows else rows.take(here))
            if sum(each.num_rows for each in waiting) >= GROUP_ROWS:
                self._flush(year)

    def _flush(self, year: int) -> None:
        while len(self._pending) >= MOST_WAITING:
            self._pending.popleft().result()
        thread = self._threads[year % THREADS]
        self._pending.append(thread.submit(self._write_group, year, self._waiting.pop(year)))

    def _write_group(self, year: int, parts: list[pa.Table]) -> None:
        if year not in self._writers:
            folder = self._folder / f"year={year}"
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"ducklake-{uuid.uuid4()}.parquet"
            self._writers[year] = pq.ParquetWriter(path, self._schema, use_dictionary=self._texts)
            self.paths.append(path)
        self._writers[year].write_table(pa.concat_tables(parts), row_group_size=2 * GROUP_ROWS)
