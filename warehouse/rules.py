"""Which rules a row must keep: rows of `ops.rule`, those of the contracts and those a desk adds.

A contract's rule is entered when the lake is furnished; a desk adds its own and may switch any of them off. Invariants:
a predicate sees the columns of one row and nothing else; a rule that cannot be tried on a table is left out of the load
and named in `ops.rule`, so that it neither loses good rows nor fails unseen. Partner: `warehouse/audit.py`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from warehouse import errors, tables
from warehouse.contracts import Table
from warehouse.tables import ops

SEVERITIES = ("reject", "warn")
# Audits the load makes of every table, whatever `ops.rule` says.
BUILT_IN = ("not_null", "finite", "key_unique", "partition_asked", "not_in_future", "readable")
# What would make the same row good today and bad tomorrow, or tell about the machine.
UNSTABLE = re.compile(
    r"now|today|ago|age|(get_)?current_\w+|transaction_timestamp|txid_current|in_search_path|(session_)?user|version|query"
    r"|getvariable"
)
NAME = re.compile(r"[a-z][a-z0-9_]{2,59}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as a load runs it.

    Args:
        dataset: table it is about, such as `market.daily`.
        name: short name, stored with every row that breaks it.
        severity: `reject` sets the row aside, `warn` lets it in and is a finding.
        predicate: SQL over the row's columns, true for a good row. NULL counts as good.
        reason: what is wrong with a row that fails.
        is_desk: whether a desk wrote it; such a predicate counts as unknown, thus good, where it fails on a row.
    """

    dataset: str
    name: str
    severity: str
    predicate: str
    reason: str
    is_desk: bool = False

    @property
    def is_broken_sql(self) -> str:
        """An expression that is true where a row breaks the rule."""
        # On lines of its own, so that a comment at its end ends with it.
        tried = f"try((\n{self.predicate}\n))" if self.is_desk else f"({self.predicate})"
        return f"not {tried}"


def contract_rows() -> pa.Table:
    """The contracts' rules as rows of `ops.rule`, all in force."""
    rows = [
        {
            "dataset": table.full_name,
            "name": rule.name,
            "severity": rule.severity,
            "predicate": rule.predicate,
            "reason": rule.reason,
            "action": rule.action,
            "is_enabled": True,
            "origin": "contract",
            "problem": "",
        }
        for table in tables.TABLES
        for rule in table.rules
    ]
    return pa.Table.from_pylist(rows, schema=ops.RULE.arrow_schema)


def digest() -> str:
    """Digest of the contracts' rules: the lake is furnished again when it changes."""
    return hashlib.sha256(json.dumps(contract_rows().to_pylist()).encode()).hexdigest()[:16]


def enter_contract_rules(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `ops.rule` hold the contracts' rules as they are now; whether a desk switched one off is kept.

    Args:
        connection: inside a commit; `ops.rule` exists.
    """
    names = ", ".join(ops.RULE.column_names)
    connection.register("contract_rule", contract_rows())
    connection.execute(
        f"create temp table rule_now as select c.* replace (coalesce(held.is_enabled, true) as is_enabled)"
        f" from contract_rule as c left join {ops.RULE.full_name} as held using (dataset, name)"
    )
    connection.execute(
        f"delete from {ops.RULE.full_name} as r where origin = 'contract'"
        " or exists (from rule_now as n where n.dataset = r.dataset and n.name = r.name)"
    )
    connection.execute(f"insert into {ops.RULE.full_name} select {names} from rule_now order by dataset, name")
    connection.execute("drop table temp.rule_now")
    connection.unregister("contract_rule")


def read_enabled(connection: duckdb.DuckDBPyConnection, loaded: Sequence[Table]) -> dict[str, list[Rule]]:
    """The rules in force for some tables, each list in the order of their names.

    A desk's rule that cannot be tried is left out, and `ops.rule` says why; one that can be again loses its mark.

    Args:
        connection: inside a commit.
        loaded: tables about to be loaded.
    """
    by_name = {table.full_name: table for table in loaded}
    found = connection.execute(
        f"select dataset, name, severity, predicate, reason, origin, problem from {ops.RULE.full_name}"
        " where is_enabled and dataset in (select unnest($datasets)) order by dataset, name",
        {"datasets": list(by_name)},
    ).fetchall()
    enabled: dict[str, list[Rule]] = {name: [] for name in by_name}
    for dataset, name, severity, predicate, reason, origin, marked in found:
        is_desk = origin == "desk"
        problem = problem_of(by_name[dataset], predicate) if is_desk else ""
        if problem != marked:
            connection.execute(
                f"update {ops.RULE.full_name} set problem = $problem where dataset = $dataset and name = $name",
                {"problem": problem, "dataset": dataset, "name": name},
            )
        if not problem:
            enabled[dataset].append(Rule(dataset, name, severity, predicate, reason, is_desk))
    return enabled


def add(connection: duckdb.DuckDBPyConnection, rule: Rule, action: str) -> None:
    """Enter a desk's rule; the next load of its table runs it.

    Args:
        connection: inside a commit.
        rule: the rule.
        action: what a person does about a row that breaks it.

    Raises:
        ConfigError: no such table, a name that is taken or no name, or a predicate that cannot be tried on a row.
    """
    table = _table(rule.dataset)
    if not NAME.fullmatch(rule.name) or rule.name in BUILT_IN:
        raise errors.ConfigError(
            f"{rule.name!r} cannot name a rule. Use lower case letters, digits and underscores, 3 to 60 of them, "
            f"and none of {', '.join(BUILT_IN)}."
        )
    if rule.severity not in SEVERITIES:
        raise errors.ConfigError(f"severity {rule.severity!r} is unknown. Use {' or '.join(SEVERITIES)}.")
    problem = problem_of(table, rule.predicate)
    if problem:
        raise errors.ConfigError(
            f"rule {rule.name} for {rule.dataset} was not added: {problem}. "
            f"Write one expression, true for a good row, over {', '.join(table.fact_names)}."
        )
    if _is_held(connection, rule.dataset, rule.name):
        raise errors.ConfigError(
            f"{rule.dataset} already has a rule {rule.name}. Choose another name; `daybook rule list` shows them."
        )
    connection.execute(
        f"insert into {ops.RULE.full_name} values ($dataset, $name, $severity, $predicate, $reason, $action, true,"
        " 'desk', '')",
        {
            "dataset": rule.dataset,
            "name": rule.name,
            "severity": rule.severity,
            "predicate": rule.predicate,
            "reason": rule.reason,
            "action": action,
        },
    )


def set_enabled(connection: duckdb.DuckDBPyConnection, dataset: str, name: str, is_enabled: bool) -> None:
    """Switch a rule on or off for the loads to come; rows already judged are left as they are.

    Args:
        connection: inside a commit.
        dataset: table the rule is about.
        name: the rule.
        is_enabled: whether it shall run.

    Raises:
        ConfigError: there is no such rule.
    """
    if not _is_held(connection, dataset, name):
        raise errors.ConfigError(f"{dataset} has no rule {name}. `daybook rule list` shows those there are.")
    connection.execute(
        f"update {ops.RULE.full_name} set is_enabled = $is_enabled where dataset = $dataset and name = $name"
        " and is_enabled is distinct from $is_enabled",
        {"is_enabled": is_enabled, "dataset": dataset, "name": name},
    )


def _is_held(connection: duckdb.DuckDBPyConnection, dataset: str, name: str) -> bool:
    held = connection.execute(
        f"select 1 from {ops.RULE.full_name} where dataset = $dataset and name = $name",
        {"dataset": dataset, "name": name},
    ).fetchone()
    return held is not None


def _table(dataset: str) -> Table:
    for table in tables.TABLES:
        if table.full_name == dataset and table.schema in ("market", "macro"):
            return table
    loaded = ", ".join(table.full_name for table in tables.TABLES if table.schema in ("market", "macro"))
    raise errors.ConfigError(f"{dataset!r} is no table that is loaded. Choose one of {loaded}.")


@functools.lru_cache(maxsize=256)
def problem_of(table: Table, predicate: str) -> str:
    """Why a predicate cannot be tried on rows of a table; empty when it can.

    It is bound in a database of its own that reaches no file and holds nothing but the table's columns.

    Args:
        table: contract of the rows.
        predicate: as a desk wrote it.
    """
    query = f"select try((\n{predicate}\n)) as verdict from row_in"
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "autoload_known_extensions": "false",
        "threads": "1",
    }
    columns = {column.name: column.type for column in table.columns if not column.provenance}
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    with duckdb.connect(config=config) as alone:
        alone.execute(f"create table row_in ({declared})")
        try:
            parsed = json.loads(alone.execute("select json_serialize_sql($query)", {"query": query}).fetchall()[0][0])
            if parsed["error"]:
                return str(parsed["error_message"]).splitlines()[0]
            stranger = next((name for name in _names(parsed["statements"]) if not _is_stable(name, columns)), None)
            if stranger:
                return f"{stranger[1]} is no column of {table.full_name} and no function that gives the same every day"
            kind = alone.execute(f"describe {query}").fetchall()[0][1]
            # What fails where nothing is known fails on every row, and would count as unknown, thus good, for ever.
            alone.execute("insert into row_in default values")
            alone.execute(f"select (\n{predicate}\n) from row_in").fetchall()
        except duckdb.Error as exc:
            return str(exc).splitlines()[0]
    return "" if kind == "BOOLEAN" else f"it gives {kind}, not true or false"


def _names(node: Any) -> Iterator[tuple[str, str]]:
    """Every column, function and subquery in a parsed statement, as (kind, name)."""
    if isinstance(node, dict):
        if node.get("class") == "SUBQUERY":
            yield "subquery", "a subquery"
        if node.get("class") == "STAR":
            yield "star", "a star"
        if node.get("class") == "COLUMN_REF":
            yield "column", ".".join(node["column_names"])
        if node.get("class") == "FUNCTION":
            yield "function", node["function_name"]
        for value in node.values():
            yield from _names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _names(value)


def _is_stable(name: tuple[str, str], columns: dict[str, str]) -> bool:
    kind, text = name
    if kind == "column":
        return text.lower() in columns
    return kind == "function" and not UNSTABLE.fullmatch(text.lower())
