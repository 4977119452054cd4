"""What is a channel with a digest told once a day?

Its messages are in the outbox as everybody's are, but `held`: nobody sends them, and at the digest's time they are
`gathered` into one message that is sent as any other. What a run resolved is held for it, too. Invariants: a message is
gathered in the commit that writes the digest, so that nothing is told twice and nothing is lost; a channel has at most
one digest a day, as the digest's identity is made of the day. Partners: `warehouse/outbox.py`, `flows/digesting.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import duckdb
import pyarrow as pa

from warehouse import outbox, sql
from warehouse.lake import Lake
from warehouse.tables import ops

# What was resolved longer ago is history when a channel gets its first digest.
RESOLVED_LASTS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Digest:
    """A channel's digest, at its newest time that has come.

    Args:
        channel: name of the channel.
        severities: what the channel takes.
        due_at: that time.
        day: its day in Shanghai.
    """

    channel: str
    severities: tuple[str, ...]
    due_at: datetime
    day: date

    @property
    def message_id(self) -> str:
        """Of the day's digest, the same for every channel."""
        return hashlib.sha256(f"digest|{self.day}".encode()).hexdigest()[:16]


def read_unheld(lake: Lake, digest: Digest, at: datetime) -> pa.Table:
    """What runs resolved and nothing is held of, a row a run, as columns of `ops.outbox`.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        sql.load("outbox_resolved"),
        channel=digest.channel,
        severities=list(digest.severities),
        since=at - RESOLVED_LASTS,
    )


def is_due(lake: Lake, digest: Digest) -> bool:
    """Whether something was held for it when its time came, and the day has none yet.

    Raises:
        LakeError: the lake cannot be read.
    """
    return bool(
        lake.read_value(
            "select coalesce(bool_or(state = 'held' and created_at <= $due_at), false)"
            f" and not coalesce(bool_or(message_id = $message_id), false) from {ops.OUTBOX.full_name}"
            " where channel = $channel",
            due_at=digest.due_at,
            message_id=digest.message_id,
            channel=digest.channel,
        )
    )


def hold_resolved(lake: Lake, digest: Digest, at: datetime) -> None:
    """Hold what runs resolved for a digest.

    Args:
        lake: open for writing.
        digest: the channel's.
        at: the instant.

    Raises:
        LakeError: the lake cannot be written.
    """
    for row in read_unheld(lake, digest, at).to_pylist():
        draft = outbox.Draft(
            row["message_id"], row["severity"], row["title"], row["body"], (), row["as_of_date"], row["n_alerts"]
        )
        outbox.write(lake, draft, [digest.channel], at, held=[digest.channel])


def read(lake: Lake, digest: Digest) -> pa.Table:
    """The alerts that a digest tells of: rows of `sql/outbox_digest.sql`.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(sql.load("outbox_digest"), channel=digest.channel, severities=list(digest.severities))


def count_standing(lake: Lake, severities: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many alerts of each severity are in each state but resolved: state, then severity.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select state, severity, count(*) as n from {ops.ALERT.full_name}"
        " where state <> 'resolved' and severity in (select unnest($severities)) group by all order by all",
        severities=list(severities),
    ).to_pylist()
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row["state"], {})[row["severity"]] = row["n"]
    return counts


def gather(lake: Lake, digest: Digest, draft: outbox.Draft | None, at: datetime) -> None:
    """Write a digest, and let it stand for all that was held.

    Args:
        lake: open for writing since what the digest tells was read.
        digest: the channel's.
        draft: the message; None when what was held has nothing to tell any more.
        at: the instant.

    Raises:
        LakeError: the lake cannot be written; then all is held as before.
    """

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            f"update {ops.OUTBOX.full_name} set state = 'gathered', claimed_by = $message_id"
            " where channel = $channel and state = 'held'",
            {"message_id": digest.message_id, "channel": digest.channel},
        )
        if draft:
            outbox.insert(connection, draft, {digest.channel: "waiting"}, at, draft.n_others)

    lake.commit(work, message=f"digest {digest.day} for {digest.channel}")
