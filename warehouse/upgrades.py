"""What an older lake needs besides the tables and columns it lacks.

Invariant: a step runs once, in the commit that raises the lake's schema version, after tables and columns were added;
it changes what is said of rows, never the rows. Partner: `warehouse/furnishing.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import duckdb

from warehouse import sql
from warehouse.partitions import DERIVED, PARTITION_COLUMNS
from warehouse.tables import TABLES, feature, market, ops

log = logging.getLogger(__name__)


def upgrade(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Run the steps that a lake of an older version needs.

    Args:
        connection: inside the commit that furnishes the lake.
        version: the lake's.
    """
    for step in (step for above, step in sorted(STEPS.items()) if above > version):
        step(connection)
        log.info("upgraded lake from_version=%s step=%s", version, step.__name__)


def renew_digests(connection: duckdb.DuckDBPyConnection) -> None:
    """The ledger's digests as they are now computed; up to version 1 they missed changes that came in pairs.

    Derived days that were up to date with their inputs stay so, as neither they nor their inputs have changed.

    Args:
        connection: inside a commit.
    """
    connection.execute("create temp table up_to_date (dataset varchar, partition varchar)")
    for dataset, inputs in DERIVED.items():
        connection.execute(
            f"insert into up_to_date select dataset, partition from {ops.LEDGER.full_name} as held"
            f" join ({sql.load('derived_inputs')}) as wanted using (partition)"
            " where held.dataset = $dataset and held.content_hash = wanted.input_hash",
            {"dataset": dataset, "inputs": [one.full_name for one in inputs], "first": inputs[0].full_name},
        )
    tables = {table.full_name: table for table in TABLES}
    for dataset, column in PARTITION_COLUMNS.items():
        of_partition = " and l.partition = s.partition" if column else ""
        key = f'cast("{column}" as varchar)' if column else "''"
        connection.execute(
            f"update {ops.LEDGER.full_name} as l set content_hash = s.digest"
            f" from (select {key} as partition, {tables[dataset].facts_digest} as digest"
            f" from {dataset} group by all) as s"
            f" where l.dataset = $dataset and l.content_hash <> 0 and s.digest is not null{of_partition}",
            {"dataset": dataset},
        )
    for dataset, inputs in DERIVED.items():
        connection.execute(
            f"update {ops.LEDGER.full_name} as l set content_hash = wanted.input_hash"
            f" from ({sql.load('derived_inputs')}) as wanted"
            " where l.dataset = $dataset and l.partition = wanted.partition"
            " and l.partition in (select partition from up_to_date where dataset = $dataset)",
            {"dataset": dataset, "inputs": [one.full_name for one in inputs], "first": inputs[0].full_name},
        )
    connection.execute("drop table temp.up_to_date")


def keep_told(connection: duckdb.DuckDBPyConnection) -> None:
    """Alerts that were told of before there was an outbox: nobody is told again.

    Args:
        connection: inside a commit.
    """
    connection.execute(
        f"update {ops.ALERT.full_name} set message_id = 'earlier' where delivered_at is not null and message_id = ''"
    )


def begin_lives(connection: duckdb.DuckDBPyConnection) -> None:
    """What is known of the lives of alerts that were there before lives were kept: when each opened, and resolved.

    Args:
        connection: inside a commit.
    """
    columns = "fingerprint, change_no, event, state, changed_date, changed_by, reason"
    kept = f"insert into {ops.ALERT_CHANGE.full_name} ({columns}) select fingerprint"
    connection.execute(f"{kept}, 1, 'opened', 'open', first_seen_date, 'daybook', 'found' from {ops.ALERT.full_name}")
    connection.execute(
        f"{kept}, 2, 'resolved', 'resolved', resolved_date, 'daybook', 'looked for and not found'"
        f" from {ops.ALERT.full_name} where state = 'resolved'"
    )


def enter_code_changes(connection: duckdb.DuckDBPyConnection) -> None:
    """The ledger row of changed codes, which stood in no ledger; as old as that of the securities they came with.

    Args:
        connection: inside a commit.
    """
    connection.execute(
        f"insert into {ops.LEDGER.full_name} by name select l.* replace ($dataset as dataset,"
        " 'bse_mapping' as partition, 'ok' as state, null as n_expected, s.n_rows as n_received, 0 as n_quarantined,"
        " s.digest as content_hash, '' as reason, '' as cause)"
        f" from {ops.LEDGER.full_name} as l, (select count(*) as n_rows, {market.CODE_CHANGE.facts_digest} as digest"
        f" from {market.CODE_CHANGE.full_name}) as s where l.dataset = $beside and s.n_rows > 0"
        f" and not exists (from {ops.LEDGER.full_name} as held where held.dataset = $dataset)",
        {"dataset": market.CODE_CHANGE.full_name, "beside": market.STOCK_BASIC.full_name},
    )


def tell_answers(connection: duckdb.DuckDBPyConnection) -> None:
    """When the vendor first answered, as far as it is known: where it was asked and something came.

    Args:
        connection: inside a commit.
    """
    connection.execute(
        f"update {ops.LEDGER.full_name} set first_answered_date = coalesce(first_asked_date, asked_date)"
        " where state in ('ok', 'partial') and coalesce(first_asked_date, asked_date) is not null"
    )


def enter_what_was_beside(connection: duckdb.DuckDBPyConnection) -> None:
    """What the ledger did not know up to version 7.

    Args:
        connection: inside a commit.
    """
    enter_code_changes(connection)
    tell_answers(connection)


def compute_features_again(connection: duckdb.DuckDBPyConnection) -> None:
    """Every day of features is due: up to version 8 there were eight, and betas were on the mean of all securities.

    Args:
        connection: inside a commit.
    """
    connection.execute(
        f"update {ops.LEDGER.full_name} set content_hash = 0 where dataset = $dataset",
        {"dataset": feature.FEATURE.full_name},
    )


# By the version that a lake has afterwards.
STEPS: dict[int, Callable[[duckdb.DuckDBPyConnection], None]] = {
    2: renew_digests,
    5: keep_told,
    6: begin_lives,
    8: enter_what_was_beside,
    9: compute_features_again,
}
