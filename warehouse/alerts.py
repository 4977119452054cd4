"""What a person sees of alerts: list, one of them, and the messages about them.

Invariant: an alert is named by the first 6 or more digits of its fingerprint, and one that is not there, or not one
alone, is refused in one line. Partners: `warehouse/checks.py`, which opens and resolves them, and
`flows/commands/alerting.py`.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from warehouse import errors
from warehouse.lake import Lake
from warehouse.tables import ops

FINGERPRINT = re.compile(r"[0-9a-f]{6,16}")
STATES = {"standing": "state <> 'resolved'", "all": "true"}


def read_list(lake: Lake, state: str, message_id: str, limit: int) -> pa.Table:
    """Alerts, gravest and newest first, as `daybook alerts list` shows them.

    Args:
        lake: the lake.
        state: a state, `standing` for all but resolved ones, or `all`.
        message_id: only those that this message tells of, whatever their state; empty for no matter which.
        limit: most rows to give.

    Raises:
        LakeError: the lake cannot be read.
    """
    is_meant = "message_id = $message_id" if message_id else STATES.get(state, "state = $state")
    params = {"message_id": message_id} if message_id else {} if state in STATES else {"state": state}
    return lake.read(
        "select fingerprint, severity, state, subject_date, n_seen, title"
        f" from {ops.ALERT.full_name} where {is_meant}"
        " order by case severity when 'high' then 1 when 'medium' then 2 else 3 end, subject_date desc, rule, subject"
        " limit $limit",
        limit=limit,
        **params,
    )


def read_messages(lake: Lake, limit: int) -> pa.Table:
    """Messages, newest first, with what became of them on each channel.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        "select message_id, channel, state, n_alerts, n_tries, n_doubtful, strftime(created_at, '%Y-%m-%d %H:%M:%S')"
        " as created_at_utc, strftime(sent_at, '%Y-%m-%d %H:%M:%S') as sent_at_utc, last_error, title"
        f" from {ops.OUTBOX.full_name} order by created_at desc, message_id, channel limit $limit",
        limit=limit,
    )


def read_one(lake: Lake, fingerprint: str) -> pa.Table:
    """All that is known of one alert, a line a fact.

    Args:
        lake: the lake.
        fingerprint: its first 6 or more digits.

    Returns:
        Rows (what, value).

    Raises:
        ConfigError: no alert, or more than one, has such a fingerprint.
        LakeError: the lake cannot be read.
    """
    row = resolve(lake.read, fingerprint)
    known = {name: str(value) for name, value in row.items() if value not in (None, "")}
    return pa.table({"what": pa.array(list(known), pa.string()), "value": pa.array(list(known.values()), pa.string())})


def resolve(read: Any, fingerprint: str) -> dict[str, Any]:
    """The row of `ops.alert` of the one alert that some digits mean.

    Args:
        read: reads rows, as `Lake.read` does.
        fingerprint: the first 6 or more digits.

    Raises:
        ConfigError: no alert, or more than one, has such a fingerprint.
    """
    if not FINGERPRINT.fullmatch(fingerprint):
        raise errors.ConfigError(
            f"{fingerprint!r} is no fingerprint: give 6 or more of the digits that `daybook alerts list` shows."
        )
    found = read(
        f"select * from {ops.ALERT.full_name} where starts_with(fingerprint, $fingerprint)", fingerprint=fingerprint
    ).to_pylist()
    if len(found) != 1:
        raise errors.ConfigError(
            f"{len(found) or 'no'} alerts have a fingerprint that begins with {fingerprint}. Nothing was changed; "
            "`daybook alerts list --state all` shows their fingerprints."
        )
    return dict(found[0])
