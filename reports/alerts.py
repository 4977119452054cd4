"""What does the message about new alerts say?

Plain text, gravest first, each alert with what to do and the query that shows more; what is too much for a phone is
counted by rule. Partners: `wording.py`, `channels.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from reports.wording import Wording
from warehouse.tables import ops

# A message is read on a phone; the report has the rest.
MOST_ALERTS = 12


@dataclass(frozen=True)
class Message:
    """A message about alerts.

    Args:
        title: one line.
        body: plain text.
        severity: the gravest among its alerts, `high`, `medium` or `low`.
        message_id: the same for every try, so that a receiver can tell one that came twice.
        report: the day's report as a mail, for channels that can carry a file; None where there is none.
    """

    title: str
    body: str
    severity: str
    message_id: str = ""
    report: Path | None = None


@dataclass(frozen=True)
class Letterhead:
    """What all messages of a round have in common.

    Args:
        report_url: where the report is; empty when there is none.
        wording: how each alert is written.
    """

    report_url: str = ""
    wording: Wording = field(default_factory=Wording)


def compose(alerts: pa.Table, *, as_of: date, head: Letterhead, message_id: str = "", note: str = "") -> Message:
    """The message about some alerts.

    Args:
        alerts: rows of `ops.alert`, at least one.
        as_of: day of the run.
        head: where the report is, and how alerts are written.
        message_id: identity of the message, in its last lines.
        note: what else a reader should know.

    Raises:
        ValueError: there is no alert to tell of.
    """
    if not alerts.num_rows:
        raise ValueError(f"There is no alert of {as_of} to write about. Send no message instead.")
    gravity = {severity: place for place, severity in enumerate(ops.SEVERITIES)}
    rows = sorted(alerts.to_pylist(), key=lambda row: (gravity[row["severity"]], row["rule"], row["subject"]))
    parts = [head.wording.write(row) for row in rows[:MOST_ALERTS]]
    if len(rows) > MOST_ALERTS:
        parts.append(_rest(rows[MOST_ALERTS:], message_id))
    parts += [text for text in (note, head.wording.fault) if text]
    parts += [f"Message {message_id}"] if message_id else []
    parts += [f"Report: {head.report_url}"] if head.report_url else []
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    title = f"Daybook {as_of}: {rows[0]['title']}{more}"
    return Message(title, "\n\n".join(parts), rows[0]["severity"], message_id)


def compose_digest(
    told: pa.Table, standing: Mapping[str, Mapping[str, int]], *, day: date, head: Letterhead, message_id: str
) -> Message:
    """The message that tells a day's alerts at once: what opened, what was resolved by itself, what is open.

    Args:
        told: rows of `sql/outbox_digest.sql`, at least one.
        standing: alerts by state and severity.
        day: day of the digest in Shanghai.
        head: where the report is, and how alerts that opened are written.
        message_id: identity of the message, in its last lines.
    """
    gravity = {severity: place for place, severity in enumerate(ops.SEVERITIES)}
    rows = sorted(told.to_pylist(), key=lambda row: (gravity[row["severity"]], row["rule"], row["subject"]))
    opened, ended = [row for row in rows if row["is_new"]], [row for row in rows if not row["is_new"]]
    is_open = standing.get("open", {})
    parts = [f"Opened: {len(opened)}"]
    for row in opened[:MOST_ALERTS]:
        since = "" if row["state"] == "open" else f" ({row['state']} since)"
        parts.append(head.wording.write({**row, "title": row["title"] + since}))
    if len(opened) > MOST_ALERTS:
        parts.append(_rest(opened[MOST_ALERTS:], message_id))
    lines = [f"  [{row['severity']}] {row['title']}" for row in ended[:MOST_ALERTS]]
    lines += [f"  and {len(ended) - MOST_ALERTS} more"] if len(ended) > MOST_ALERTS else []
    parts.append("\n".join([f"Resolved by themselves: {len(ended)}", *lines]))
    n_decided = sum(sum(counts.values()) for state, counts in standing.items() if state != "open")
    counted = ", ".join(f"{is_open[severity]} {severity}" for severity in ops.SEVERITIES if severity in is_open)
    decided = f"; {n_decided} acknowledged or snoozed" if n_decided else ""
    parts.append(f"Open now: {counted or 'none'}{decided}.")
    parts += [head.wording.fault] if head.wording.fault else []
    parts.append(f"Message {message_id}")
    parts += [f"Report: {head.report_url}"] if head.report_url else []
    n_open = sum(is_open.values())
    title = f"Daybook {day}: digest, {len(opened)} opened, {len(ended)} resolved, {n_open} open"
    gravest = opened[0]["severity"] if opened else ops.SEVERITIES[-1]
    return Message(title, "\n\n".join(parts), gravest, message_id)


def _rest(rows: Sequence[Mapping[str, Any]], message_id: str) -> str:
    """How many more there are of each rule, the gravest first."""
    counts = Counter((row["severity"], row["rule"]) for row in rows)
    lines = [f"  {n} x [{severity}] {rule}" for (severity, rule), n in counts.items()]
    where = [f"  daybook alerts list --message {message_id}"] if message_id else []
    return "\n".join([f"and {len(rows)} more, all in the report.", *lines, *where])
