"""Which messages are to reach whom, and which have.

One row per message and channel, written in the commit that says which alerts the message tells of. Invariants: a
message that was written is tried until a channel takes it; a row is `claimed` before its message is sent and `sent`
only when the channel took it, so that a sender that died leaves a claim, which the next one takes over; what a channel
took is noted in a file at once, and in the lake a moment later. Partner: `flows/delivery.py`, which sends.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import filelock
import pyarrow as pa

from warehouse import errors, sql
from warehouse.lake import Lake
from warehouse.tables import ops

# A refused message is tried again after a minute, then two, four, eight, at last every six hours.
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
# A claim of another machine whose sender must be dead by then: sending takes seconds.
CLAIM_LASTS = timedelta(minutes=15)
HOUR = timedelta(hours=1)

UNTOLD = "state = 'open' and message_id = ''"


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it is in the outbox.

    Args:
        message_id: the same for every try and every channel.
        severity: the gravest of its alerts.
        title: one line.
        body: plain text.
        fingerprints: the alerts it tells of.
        as_of: day of the run.
        n_others: alerts it tells of besides, which other messages told of when they opened.
    """

    message_id: str
    severity: str
    title: str
    body: str
    fingerprints: tuple[str, ...]
    as_of: date
    n_others: int = 0


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this sender, and no other, may now hand to a channel."""

    message_id: str
    channel: str
    severity: str
    title: str
    body: str
    n_tries: int
    as_of_date: date


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, when, and how much it may.

    Args:
        name: the same for every process that shares the sender's lock.
        at: the instant.
        per_hour: messages a channel may get within an hour.
        is_urgent: whether to try what is waiting for its next try, too.
        severities: only alerts of these are told now, and only messages of these sent; others may be held.
        digests: channels for which messages are held until their digest; what is held for others is sent.
    """

    name: str
    at: datetime
    per_hour: int
    is_urgent: bool = False
    severities: tuple[str, ...] = ops.SEVERITIES
    digests: tuple[str, ...] = ()


def read_untold(lake: Lake, severities: Sequence[str] = ops.SEVERITIES) -> pa.Table:
    """Open alerts of some severities that no message tells of, as rows of `ops.alert`, gravest first.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        f"select * from {ops.ALERT.full_name} where {UNTOLD} and severity in (select unnest($severities))"
        f" order by {ops.GRAVEST_FIRST}, rule, subject, subject_date",
        severities=list(severities),
    )


def count_written(lake: Lake, at: datetime, severities: Sequence[str] = ops.SEVERITIES) -> dict[str, int]:
    """How many messages were written for each channel within the hour before an instant; none, no entry.

    Args:
        lake: the lake.
        at: the instant.
        severities: which may be sent now; others that were not tried take nobody's place in the hour.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select channel, count(*) as n from {ops.OUTBOX.full_name}"
        " where created_at > $since and created_at <= $at and state not in ('held', 'gathered')"
        " and (n_tries > 0 or severity in (select unnest($severities))) group by channel",
        since=at - HOUR,
        at=at,
        severities=list(severities),
    )
    return dict(zip(rows["channel"].to_pylist(), rows["n"].to_pylist(), strict=True))


def write(lake: Lake, draft: Draft, channels: Sequence[str], at: datetime, *, held: Sequence[str] = ()) -> int:
    """How many alerts a new message tells of; those that another message tells of meanwhile are left out.

    Args:
        lake: open for writing.
        draft: the message.
        channels: names of the channels it is for.
        at: the instant.
        held: those of them whose digest tells of it.

    Raises:
        LakeError: the lake cannot be written; then neither message nor mark is there.
    """
    states = {name: "held" if name in held else "waiting" for name in channels}

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        told = connection.execute(
            f"update {ops.ALERT.full_name} set message_id = $message_id"
            f" where {UNTOLD} and fingerprint in (select unnest($fingerprints))",
            {"message_id": draft.message_id, "fingerprints": list(draft.fingerprints)},
        ).fetchone()
        n_told = int(told[0]) if told else 0
        if n_told + draft.n_others:
            insert(connection, draft, states, at, n_told + draft.n_others)
        return n_told

    return lake.commit(work, message=f"message {draft.message_id} about {len(draft.fingerprints)} alerts")


def insert(
    connection: duckdb.DuckDBPyConnection, draft: Draft, states: Mapping[str, str], at: datetime, n_alerts: int
) -> None:
    """Put a message into the outbox, a row a channel.

    Args:
        connection: inside a commit.
        draft: the message.
        states: in which state it begins, by channel.
        at: the instant.
        n_alerts: how many it tells of.
    """
    columns = ", ".join(ops.OUTBOX.column_names)
    connection.execute(
        f"insert into {ops.OUTBOX.full_name} ({columns}) select $message_id, channel, state, $severity,"
        " $title, $body, $n_alerts, $as_of, 0, 0, '', '', $at, $at, null, null"
        " from (select unnest($channels) as channel, unnest($states) as state)",
        {
            "message_id": draft.message_id,
            "severity": draft.severity,
            "title": draft.title,
            "body": draft.body,
            "n_alerts": n_alerts,
            "as_of": draft.as_of,
            "at": at,
            "channels": list(states),
            "states": list(states.values()),
        },
    )


def claim(lake: Lake, sender: Sender, channels: Sequence[str]) -> list[Claimed]:
    """The messages that are due, oldest first, claimed for one sender.

    Args:
        lake: open for writing.
        sender: holds the sender's lock, so that a claim under its own name is that of a process that died.
        channels: names of the channels that are set; messages for others stay where they are.

    Raises:
        LakeError: the lake cannot be written; then nothing is claimed.
    """
    facts = {
        "sender": sender.name,
        "at": sender.at,
        "since": sender.at - HOUR,
        "dead_before": sender.at - CLAIM_LASTS,
        "per_hour": sender.per_hour,
        "is_urgent": sender.is_urgent,
        "channels": list(channels),
        "severities": list(sender.severities),
        "digests": list(sender.digests),
    }

    def work(connection: duckdb.DuckDBPyConnection) -> list[Claimed]:
        due = connection.execute(sql.load("outbox_due"), facts).to_arrow_table()
        if due.num_rows:
            connection.register("due", due)
            connection.execute(
                f"update {ops.OUTBOX.full_name} as o set state = 'claimed', claimed_by = $sender, claimed_at = $at,"
                " n_tries = o.n_tries + 1, n_doubtful = o.n_doubtful + (o.state = 'claimed')::bigint"
                " from due where o.message_id = due.message_id and o.channel = due.channel",
                {"sender": sender.name, "at": sender.at},
            )
            connection.unregister("due")
        return [Claimed(**row) for row in due.to_pylist()]

    return lake.commit(work, message=f"claimed messages for {sender.name}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try.

    Args:
        message_id: of the message.
        channel: name of the channel.
        refusal: why it was not taken, without secrets; empty when it was.
        n_tries: tries so far.
    """

    message_id: str
    channel: str
    refusal: str = ""
    n_tries: int = 1


OUTCOME_SCHEMA = pa.schema(
    [
        pa.field("message_id", pa.string()),
        pa.field("channel", pa.string()),
        pa.field("refusal", pa.string()),
        pa.field("next_try_at", pa.timestamp("us", tz="UTC")),
    ]
)


def settle(lake: Lake, outcomes: Sequence[Outcome], at: datetime) -> None:
    """Enter what came of tries; settling the same twice changes nothing.

    Args:
        lake: open for writing.
        outcomes: at most one a message and channel.
        at: the instant; a refused message waits from then on.

    Raises:
        LakeError: the lake cannot be written.
    """
    rows = [
        {
            "message_id": one.message_id,
            "channel": one.channel,
            "refusal": one.refusal,
            "next_try_at": at + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(one.n_tries - 1, 20)),
        }
        for one in outcomes
    ]
    tried = pa.Table.from_pylist(rows, OUTCOME_SCHEMA)

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.register("tried", tried)
        connection.execute(sql.load("outbox_settle"), {"at": at})
        connection.execute(sql.load("outbox_delivered"), {"at": at})
        connection.unregister("tried")

    lake.commit(work, message=f"tried to send {len(outcomes)} messages")


def count_waiting(lake: Lake, digests: Sequence[str] = ()) -> int:
    """How many messages no channel has taken yet, one a channel, but for those that wait for a channel's digest.

    Args:
        lake: the lake.
        digests: channels that have a digest.

    Raises:
        LakeError: the lake cannot be read.
    """
    return int(
        lake.read_value(
            f"select count(*) from {ops.OUTBOX.full_name} where state in ('waiting', 'claimed')"
            " or state = 'held' and channel not in (select unnest($digests))",
            digests=list(digests),
        )
    )


class Receipts:
    """What channels took and the lake does not say yet: a file that outlives the process that wrote it.

    A commit to the lake takes a tenth of a second, in which a sender may die; a line in a file takes a thousandth of
    that. A line cut off by a loss of power is no receipt.

    Args:
        path: the file, made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, message_id: str, channel: str) -> None:
        """Note that a channel took a message, for good before this returns.

        Raises:
            ConfigError: the file cannot be written.
        """
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, (json.dumps([message_id, channel]) + "\n").encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as exc:
            raise _unwritable(self._path, exc) from exc

    def read(self) -> list[tuple[str, str]]:
        """Every receipt (message_id, channel), each once.

        Raises:
            ConfigError: the file cannot be read.
        """
        try:
            lines = self._path.read_text("utf-8").splitlines(keepends=True) if self._path.exists() else []
        except OSError as exc:
            raise _unwritable(self._path, exc) from exc
        found: dict[tuple[str, str], None] = {}
        for line in lines:
            with contextlib.suppress(ValueError):
                message_id, channel = json.loads(line)
                found[message_id, channel] = None
        return list(found)

    def clear(self) -> None:
        """Forget all receipts, once the lake has them."""
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def sender_lock(folder: Path, wait_s: float) -> Iterator[None]:
    """The right to send from this home, held until the end of the block; the kernel frees it if the process dies.

    Raises:
        LakeBusy: another process kept sending for longer than `wait_s`.
        ConfigError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / "sender.lock")
        lock.acquire(timeout=wait_s)
    except filelock.Timeout as exc:
        raise errors.LakeBusy(
            f"another process has been sending alerts from {folder} for {wait_s:g} s. Nothing was sent; what waits goes"
            " out with the next run or `daybook alerts send`."
        ) from exc
    except OSError as exc:
        raise _unwritable(folder, exc) from exc
    try:
        yield
    finally:
        lock.release()


def _unwritable(path: Path, exc: OSError) -> errors.ConfigError:
    return errors.ConfigError(f"{path} cannot be used to send alerts: {exc.strerror}. Make it readable and writable.")
