"""What a person does with rows that were set aside: look at them, release them into the lake, or discard them.

Invariants: a released row takes the way every row takes, only the rules it broke are waived, and the quarantine row
says who did it, when and why; a decision stands for exactly that row, so that the same bytes from the vendor change
nothing, and a corrected row supersedes it; deciding twice changes nothing. Partners: `warehouse/audit.py`, which keeps
to the decisions, and `warehouse/load.py`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from warehouse import audit, errors, ledger_entry, load, rules, tables, vintages
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.tables import macro, ops

# Rules of which nothing can be waived: the lake cannot hold such a row.
NOTHING_ELSE = "only rows released from quarantine are known of it"
NOT_WAIVABLE = ("not_null", "finite", "readable")
ROW_ID = re.compile(r"[0-9a-f]{6,32}")
# Columns whose value, as text, may be a partition.
PARTITION_COLUMNS = ("trade_date", "series_id", "ts_code")


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decides, and why.

    Args:
        by: a person's name.
        reason: in words, for whoever asks later.
    """

    by: str
    reason: str


def read_list(lake: Lake, state: str, limit: int) -> pa.Table:
    """Rows in a state, newest partition first, as `daybook quarantine list` shows them.

    Args:
        lake: the lake.
        state: `pending`, `released` or `discarded`.
        limit: most rows to give.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        "select row_id, dataset, partition, string_agg(rule, ', ' order by rule) as rules, min(severity) as severity,"
        " min(reason) as reason, any_value(row_json) as row_json from analyst.quarantine where state = $state"
        " group by row_id, dataset, partition order by partition desc, dataset, row_id limit $limit",
        state=state,
        limit=limit,
    )


def read_one(lake: Lake, row_id: str) -> pa.Table:
    """A row's rules and decisions, and beside each value of the row the one that stands in the lake for its key.

    Args:
        lake: the lake.
        row_id: first 6 or more digits of the row's digest.

    Returns:
        Rows (what, came, stands).

    Raises:
        ConfigError: no row, or more than one, has that id.
        LakeError: the lake cannot be read.
    """
    found = _resolve(lake.read, row_id)
    first = found[0]
    facts: list[tuple[str, str | None, str | None]] = [
        ("dataset", first["dataset"], None),
        ("partition", first["partition"], None),
    ]
    for each in found:
        decided = f"{each['state']}" + (
            f" by {each['decided_by']}: {each['decision_reason']}" if each["decided_by"] else ""
        )
        facts.append((f"rule {each['rule']} ({each['severity']})", each["reason"], decided))
    row = json.loads(first["row_json"])
    stands = _read_standing(lake, _table(first["dataset"]), row)
    facts += [(name, _text(value), _text(stands.get(name))) for name, value in row.items()]
    columns = zip(*facts, strict=True)
    return pa.table(
        {
            name: pa.array(list(column), pa.string())
            for name, column in zip(("what", "came", "stands"), columns, strict=True)
        }
    )


def release(lake: Lake, row_ids: Sequence[str], decision: Decision, stamp: load.Stamp) -> list[str]:
    """Let rows in that were set aside; one line a row about what became of it.

    Args:
        lake: open for writing.
        row_ids: each the first 6 or more digits of a row's digest; taken in order.
        decision: who and why.
        stamp: provenance of the rows written; its instant is that of the decision.

    Raises:
        ConfigError: an unknown row, no name or reason, or a row the lake cannot hold; nothing was changed.
        LakeError: the lake cannot be written.
    """
    _refuse_anonymous(decision)

    def work(connection: duckdb.DuckDBPyConnection) -> list[str]:
        return [_release_one(connection, row_id, decision, stamp) for row_id in row_ids]

    return lake.commit(work, message=f"released {len(row_ids)} rows from quarantine: {decision.reason}")


def discard(lake: Lake, row_ids: Sequence[str], decision: Decision, stamp: load.Stamp) -> list[str]:
    """Keep rows out for good: they stay where they are and are no finding any more; one line a row.

    Args:
        lake: open for writing.
        row_ids: each the first 6 or more digits of a row's digest.
        decision: who and why.
        stamp: its instant is that of the decision.

    Raises:
        ConfigError: an unknown row, no name or reason, or a row already released; nothing was changed.
        LakeError: the lake cannot be written.
    """
    _refuse_anonymous(decision)

    def work(connection: duckdb.DuckDBPyConnection) -> list[str]:
        return [_discard_one(connection, row_id, decision, stamp) for row_id in row_ids]

    return lake.commit(work, message=f"discarded {len(row_ids)} rows of quarantine: {decision.reason}")


def _refuse_anonymous(decision: Decision) -> None:
    if not decision.by.strip() or not decision.reason.strip():
        raise errors.ConfigError(
            "a decision about a row needs a name and a reason. Give --by and --reason; nothing was changed."
        )


def _release_one(connection: duckdb.DuckDBPyConnection, row_id: str, decision: Decision, stamp: load.Stamp) -> str:
    found = _resolve(_reader(connection), row_id)
    first = found[0]
    name = f"{first['row_hash'][:12]} ({first['dataset']} {first['partition']})"
    if all(each["state"] == "released" for each in found):
        return f"{name} was released before"
    barred = [each for each in found if each["rule"] in NOT_WAIVABLE]
    if barred:
        raise errors.ConfigError(
            f"row {name} cannot be released: {barred[0]['reason']}, and the lake cannot hold such a row. "
            "Nothing was changed; discard it, or load the corrected row from a file with `daybook load`."
        )
    table = _table(first["dataset"])
    row = json.loads(first["row_json"])
    if any(each["rule"] == "key_unique" for each in found):
        _yield_key(connection, table, row, first["row_hash"], stamp)
    _decide(connection, found, "released", decision, stamp)
    if all(each["severity"] == "warn" for each in found):
        return f"{name} had been let in; it is no finding any more"
    _load_released(connection, table, first, stamp)
    return f"{name} is in {first['dataset']} now"


def _discard_one(connection: duckdb.DuckDBPyConnection, row_id: str, decision: Decision, stamp: load.Stamp) -> str:
    found = _resolve(_reader(connection), row_id)
    first = found[0]
    name = f"{first['row_hash'][:12]} ({first['dataset']} {first['partition']})"
    if any(each["state"] == "released" for each in found):
        raise errors.ConfigError(
            f"row {name} was released and is in the lake; it cannot be discarded. Nothing was changed; "
            "load the right row from a file with `daybook load`, which replaces it."
        )
    if all(each["state"] == "discarded" for each in found):
        return f"{name} was discarded before"
    _decide(connection, found, "discarded", decision, stamp)
    return f"{name} is discarded"


def _decide(
    connection: duckdb.DuckDBPyConnection,
    found: Sequence[Mapping[str, Any]],
    state: str,
    decision: Decision,
    stamp: load.Stamp,
) -> None:
    connection.execute(
        f"update {ops.QUARANTINE.full_name} set state = $state, decided_by = $by, decision_reason = $reason,"
        " decided_at = $at where dataset = $dataset and partition = $partition and row_hash = $row_hash",
        {
            "state": state,
            "by": decision.by,
            "reason": decision.reason,
            "at": stamp.loaded_at,
            "dataset": found[0]["dataset"],
            "partition": found[0]["partition"],
            "row_hash": found[0]["row_hash"],
        },
    )


def _yield_key(
    connection: duckdb.DuckDBPyConnection, table: Table, row: Mapping[str, Any], row_hash: str, stamp: load.Stamp
) -> None:
    """Of several rows with one key, one can be in the lake: what was released before gives way."""
    same = " and ".join(f"json_extract_string(row_json, '$.{name}') = $key_{name}" for name in table.grain)
    connection.execute(
        f"update {ops.QUARANTINE.full_name} set state = 'discarded', decided_at = $at,"
        " decision_reason = 'another row of the same key was released'"
        " where dataset = $dataset and state = 'released' and rule = 'key_unique' and row_hash <> $row_hash"
        f" and {same}",
        {"at": stamp.loaded_at, "dataset": table.full_name, "row_hash": row_hash}
        | {f"key_{name}": str(row[name]) for name in table.grain},
    )


def _load_released(
    connection: duckdb.DuckDBPyConnection, table: Table, released: Mapping[str, Any], stamp: load.Stamp
) -> None:
    """The row through the usual door, and the ledger's row as if it had come in so."""
    selects = ", ".join(
        f"cast(json_extract_string($row, '$.{c.name}') as {c.type}) as \"{c.name}\""
        for c in table.columns
        if not c.provenance
    )
    rows = connection.execute(f"select {selects}", {"row": released["row_json"]}).to_arrow_table()
    partition = released["partition"]
    row = rows.to_pylist()[0]
    column = next((name for name in PARTITION_COLUMNS if name in row and str(row[name]) == partition), None)
    held = connection.execute(
        "select through_date, n_expected, n_received, n_quarantined, state, reason, cause from ops.ledger"
        " where dataset = $dataset and partition = $partition",
        {"dataset": table.full_name, "partition": partition},
    ).fetchone()
    unknown = (_day_of(row, stamp), None, 0, 1, "partial", NOTHING_ELSE, "")
    through, n_expected, n_received, n_quarantined, state, reason, cause = held or unknown
    failure = reason if state in ("failed", "partial") and not n_received else ""
    asked = load.Partition(partition, through, n_expected, failure=failure, cause=cause)
    is_pull = table is macro.OBSERVATION and row["realtime_end"] == vintages.STANDING
    one = load.Load(
        table,
        rows,
        [asked],
        column,
        merge=vintages.merge_vintages if is_pull else None,
        latest_date=date.max,
    )
    enabled = rules.read_enabled(connection, [table])[table.full_name]
    ledger_entry.hold(connection, [(table, asked)])
    entries = load.load_one(connection, one, load.with_provenance(one, stamp), enabled, stamp)
    if not any(entry.received and entry.received.n_accepted for entry in entries):
        raise errors.ConfigError(
            f"row {released['row_hash'][:12]} of {table.full_name} breaks a rule it had not broken when it came. "
            "Nothing was changed; `daybook rule list` shows the rules, `daybook rule disable` switches one off."
        )
    received = audit.Received(n_received, max(n_quarantined - 1, 0))
    ledger_entry.enter(connection, [dataclasses.replace(entry, received=received) for entry in entries], stamp)


def _day_of(row: Mapping[str, Any], stamp: load.Stamp) -> date:
    day = row.get("trade_date")
    return day if isinstance(day, date) else stamp.loaded_at.date()


def _reader(connection: duckdb.DuckDBPyConnection) -> Any:
    return lambda statement, **params: connection.execute(statement, params).to_arrow_table()


def _resolve(read: Any, row_id: str) -> list[dict[str, Any]]:
    """All quarantine rows, one a rule, of the one vendor row that an id means."""
    if not ROW_ID.fullmatch(row_id):
        raise errors.ConfigError(
            f"{row_id!r} is no row id: give 6 or more hexadecimal digits, as `daybook quarantine list` shows them."
        )
    found = read(
        f"select {', '.join(ops.QUARANTINE.fact_names)} from {ops.QUARANTINE.full_name}"
        " where starts_with(row_hash, $row_id) order by dataset, partition, row_hash, rule",
        row_id=row_id,
    ).to_pylist()
    meant = {(each["dataset"], each["partition"], each["row_hash"]) for each in found}
    if len(meant) != 1:
        raise errors.ConfigError(
            f"{len(meant) or 'no'} rows in quarantine have an id that begins with {row_id}. "
            "Nothing was changed; `daybook quarantine list` shows their ids."
        )
    return found


def _table(dataset: str) -> Table:
    return next(table for table in tables.TABLES if table.full_name == dataset)


def _read_standing(lake: Lake, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row that stands for a key, empty when none does or the key is not whole."""
    if any(row.get(name) is None for name in table.grain):
        return {}
    same = " and ".join(f'cast("{name}" as varchar) = ${name}' for name in table.grain)
    found = lake.read(
        f"select {audit.names(table.fact_names)} from {table.full_name} where {same}",
        **{name: str(row[name]) for name in table.grain},
    ).to_pylist()
    return found[0] if found else {}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
