"""What a person sees of alerts, and decides: acknowledge, snooze, reopen, label.

Invariants: an alert is named by the first 6 or more digits of its fingerprint, and one that is not there, or not one
alone, is refused in one line; every decision is a row of `ops.alert_change` with who, when and why; deciding the same
twice changes nothing; a decision about several alerts is made about all or none. Partners: `warehouse/checks.py`, which
opens and resolves them, and `flows/commands/alerting.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa

from warehouse import errors
from warehouse.lake import Lake
from warehouse.tables import ops

# What a person can do, and the state that follows.
CHANGES = {"acknowledge": "acknowledged", "snooze": "snoozed", "reopen": "open"}
# Who changes alerts when no person does: what opened or ended by itself is told from a decision by this name.
BY_ITSELF = "daybook"
FINGERPRINT = re.compile(r"[0-9a-f]{6,16}")
# A gathered message's `claimed_by` is the digest that stands for it.
OF_MESSAGE = (
    f"message_id in (select $message_id union all select message_id from {ops.OUTBOX.full_name}"
    " where state = 'gathered' and claimed_by = $message_id)"
)
STATES = {"standing": "state <> 'resolved'", "all": "true"}


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decides what, when, and why.

    Args:
        change: one of `CHANGES`, or `label`.
        by: a person's name.
        reason: in words, for whoever asks later.
        day: Shanghai's day of the decision.
        at: its instant.
        until: day on which the alert opens again if it lasts; needed to snooze, None to acknowledge for good.
    """

    change: str
    by: str
    reason: str
    day: date
    at: datetime
    until: date | None = None


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
    is_meant = OF_MESSAGE if message_id else STATES.get(state, "state = $state")
    params = {"message_id": message_id} if message_id else {} if state in STATES else {"state": state}
    return lake.read(
        "select fingerprint, severity, state, decided_by, until_date, subject_date, n_seen, title"
        f" from {ops.ALERT.full_name} where {is_meant}"
        f" order by {ops.GRAVEST_FIRST}, subject_date desc, rule, subject"
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
    """All that is known of one alert, a line a fact, its life at the end.

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
    changes = lake.read(
        "select * from analyst.alert_change where fingerprint = $fingerprint order by change_no",
        fingerprint=row["fingerprint"],
    ).to_pylist()
    known |= {f"change {one['change_no']}": _told(one) for one in changes}
    return pa.table({"what": pa.array(list(known), pa.string()), "value": pa.array(list(known.values()), pa.string())})


def decide(lake: Lake, fingerprints: Sequence[str], decision: Decision) -> list[str]:
    """One line an alert about what became of it.

    Args:
        lake: open for writing.
        fingerprints: each the first 6 or more digits of an alert's.
        decision: who, what and why.

    Raises:
        ConfigError: an unknown alert, one that is resolved, a day that has passed, no reason, no name or no person's;
            nothing was changed.
        LakeError: the lake cannot be written.
    """
    _refuse_unfit(decision)

    def work(connection: duckdb.DuckDBPyConnection) -> list[str]:
        return [_decide_one(connection, one, decision) for one in dict.fromkeys(fingerprints)]

    return lake.commit(work, message=f"{decision.change} {len(fingerprints)} alerts: {decision.reason}")


def label(lake: Lake, fingerprints: Sequence[str], decision: Decision, *, is_true: bool) -> list[str]:
    """One line an alert about the label it has now; a label changes no state.

    Args:
        lake: open for writing.
        fingerprints: each the first 6 or more digits of an alert's.
        decision: who and why.
        is_true: whether the alert was a trouble indeed.

    Raises:
        ConfigError: an unknown alert, no reason, no name or no person's; nothing was changed.
        LakeError: the lake cannot be written.
    """
    _refuse_unfit(decision)
    said = str(is_true).lower()

    def label_one(connection: duckdb.DuckDBPyConnection, fingerprint: str) -> str:
        row = resolve(_reader(connection), fingerprint)
        name = f"{row['fingerprint']} ({row['title']})"
        if row["is_true"] is is_true:
            return f"{name} is labelled {said} already"
        connection.execute(
            f"update {ops.ALERT.full_name} set is_true = $is_true where fingerprint = $fingerprint",
            {"is_true": is_true, "fingerprint": row["fingerprint"]},
        )
        keep_change(connection, row["fingerprint"], f"labelled {said}", row["state"], decision)
        return f"{name} is labelled {said} now"

    def work(connection: duckdb.DuckDBPyConnection) -> list[str]:
        return [label_one(connection, one) for one in dict.fromkeys(fingerprints)]

    return lake.commit(work, message=f"labelled {len(fingerprints)} alerts {said}: {decision.reason}")


def read_precision(lake: Lake) -> pa.Table:
    """How often each rule was right, the worst first, those that nobody has labelled at the end.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        "select rule, n_alerts, n_labelled, n_true, precision_fraction, recent_fraction, labelled_date, is_mostly_wrong"
        " from analyst.rule_precision"
        " order by is_mostly_wrong desc, precision_fraction nulls last, n_labelled desc, rule"
    )


def _refuse_unfit(decision: Decision) -> None:
    if not decision.by.strip() or not decision.reason.strip():
        raise errors.ConfigError(
            "a decision about an alert needs a name and a reason. Give --by and --why; nothing was changed."
        )
    if decision.by.strip().casefold() == BY_ITSELF:
        raise errors.ConfigError(
            f"`{BY_ITSELF}` is who opens and resolves alerts by itself, and no person. Give your name with --by;"
            " nothing was changed."
        )
    if decision.change == "snooze" and decision.until is None:
        raise errors.ConfigError("until when? Give `daybook alerts snooze` a day with --until; nothing was changed.")
    if decision.change == "reopen" and decision.until is not None:
        raise errors.ConfigError("an alert is not reopened until a day. Leave --until out; nothing was changed.")
    if decision.until is not None and decision.until <= decision.day:
        raise errors.ConfigError(
            f"--until {decision.until} is not to come: it is {decision.day} in Shanghai. Give a later day; nothing was"
            " changed."
        )


def _decide_one(connection: duckdb.DuckDBPyConnection, fingerprint: str, decision: Decision) -> str:
    row = resolve(_reader(connection), fingerprint)
    name, state = f"{row['fingerprint']} ({row['title']})", CHANGES[decision.change]
    if row["state"] == "resolved" and state != "open":
        raise errors.ConfigError(
            f"alert {name} is resolved since {row['resolved_date']}: there is nothing to {decision.change}. Nothing "
            "was changed; it opens again by itself if the trouble comes back."
        )
    is_open = state == "open"
    held = (row["state"], row["decided_by"], row["decision_reason"], row["until_date"])
    if held == (state, *(("", "") if is_open else (decision.by, decision.reason)), decision.until):
        return f"{name} is {_standing(row)} already"
    facts = {
        "state": state,
        "by": "" if is_open else decision.by,
        "reason": "" if is_open else decision.reason,
        "until": decision.until,
        "fingerprint": row["fingerprint"],
    }
    connection.execute(
        f"update {ops.ALERT.full_name} set state = $state, decided_by = $by, decision_reason = $reason,"
        " until_date = $until, resolved_date = null where fingerprint = $fingerprint",
        facts,
    )
    event = "reopened" if is_open else state
    keep_change(connection, row["fingerprint"], event, state, decision)
    return f"{name} is {_standing(facts | {'decided_by': facts['by'], 'until_date': decision.until})} now"


def keep_change(
    connection: duckdb.DuckDBPyConnection, fingerprint: str, event: str, state: str, decision: Decision
) -> None:
    """Add one row to an alert's life.

    Args:
        connection: inside the commit that makes the change.
        fingerprint: the alert's, whole.
        event: what happened.
        state: the alert's state afterwards.
        decision: who and why.
    """
    connection.execute(
        f"insert into {ops.ALERT_CHANGE.full_name} by name select $fingerprint as fingerprint,"
        " 1 + count(*) as change_no, $event as event, $state as state, $day as changed_date, $by as changed_by,"
        f" $reason as reason, $until::date as until_date, $at as changed_at from {ops.ALERT_CHANGE.full_name}"
        " where fingerprint = $fingerprint",
        {
            "fingerprint": fingerprint,
            "event": event,
            "state": state,
            "day": decision.day,
            "by": decision.by,
            "reason": decision.reason,
            "until": decision.until,
            "at": decision.at,
        },
    )


def _standing(row: Mapping[str, Any]) -> str:
    by = f" by {row['decided_by']}" if row["decided_by"] else ""
    return f"{row['state']}{by}" + (f" until {row['until_date']}" if row["until_date"] else "")


def _told(change: Mapping[str, Any]) -> str:
    until = f" until {change['until_date']}" if change["until_date"] else ""
    return f"{change['changed_date']} {change['event']} by {change['changed_by']}{until}: {change['reason']}"


def _reader(connection: duckdb.DuckDBPyConnection) -> Any:
    return lambda statement, **params: connection.execute(statement, params).to_arrow_table()


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
