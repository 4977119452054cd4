"""How models' results enter the lake, and which version speaks for a day.

Invariants: a version is written whole in one commit, all its tables together; writing the same version again with the
same results changes nothing; a run for a past day sees only versions fitted by that day. Partner: `flows/scoring.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import duckdb
import pyarrow as pa

from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.tables import model


def write_version(lake: Lake, model_version: str, rows: Mapping[Table, pa.Table]) -> None:
    """Store one fitted version and its results, in place of what an earlier fit of the same version left.

    Args:
        lake: open for writing.
        model_version: the version all rows belong to.
        rows: complete rows of each table, `model.MODEL_VERSION` among them.

    Raises:
        ContractViolation: rows do not fit their table.
        LakeError: the lake refused a statement; nothing was written.
    """
    conformed = {table: table.conform(of_table) for table, of_table in rows.items()}

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        for table, of_table in conformed.items():
            _replace(connection, table, of_table, is_whole=True)

    lake.commit(work, message=f"fitted {model_version}")


def add_rows(lake: Lake, rows: Mapping[Table, pa.Table], message: str) -> None:
    """Store rows that a fitted version produced for a new day; rows that stand already are left alone.

    Raises:
        ContractViolation: rows do not fit their table.
        LakeError: the lake refused a statement; nothing was written.
    """
    conformed = {table: table.conform(of_table) for table, of_table in rows.items()}

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        for table, of_table in conformed.items():
            _replace(connection, table, of_table, is_whole=False)

    lake.commit(work, message=message)


def _replace(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table, *, is_whole: bool) -> None:
    """Write what is new or different; `is_whole` says that rows of the same version which are not given must go."""
    key = ", ".join(f'"{name}"' for name in table.grain)
    values = [name for name in table.fact_names if name not in table.grain]
    differs = " or ".join(f'n."{name}" is distinct from t."{name}"' for name in values) or "false"
    match = " and ".join(f't."{name}" = f."{name}"' for name in table.grain)
    connection.register("new_rows", rows)
    connection.execute(
        f"create temp table fresh as select n.* from new_rows as n left join {table.full_name} as t using ({key})"
        f' where t."{table.grain[0]}" is null or {differs}'
    )
    if is_whole:
        # Scores that this version gave to days after its fit are not the fit's to delete.
        is_daily = table in (model.FACTOR_SCORE, model.FACTOR_CHANGE)
        fitted = " and t.score_date <= (select max(score_date) from new_rows)" if is_daily else ""
        scope = "model_version" if "model_version" in table.column_names else table.grain[0]
        connection.execute(
            f"delete from {table.full_name} as t where {scope} in (select {scope} from new_rows){fitted}"
            f" and not exists (from new_rows as f where {match})"
        )
    counted = connection.execute("select count(*) from fresh").fetchone()
    if counted and counted[0]:
        connection.execute(f"delete from {table.full_name} as t using fresh as f where {match}")
        connection.execute(f"insert into {table.full_name} select * from fresh order by {key}")
    connection.execute("drop table temp.fresh")
    connection.unregister("new_rows")


def read_versions(lake: Lake, model_name: str, as_of: date) -> Sequence[tuple[str, date]]:
    """Promoted versions of a model fitted by `as_of`, newest first, each with its fit date.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select model_version, as_of_date from {model.MODEL_VERSION.full_name}"
        " where model_name = $model_name and is_champion and as_of_date <= $as_of order by as_of_date desc",
        model_name=model_name,
        as_of=as_of,
    )
    return list(zip(rows["model_version"].to_pylist(), rows["as_of_date"].to_pylist(), strict=True))
