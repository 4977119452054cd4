"""What does the message about new alerts say?

Plain text, gravest first, each alert with what to do and the query that shows more. Partner: `channels.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa

SEVERITIES = ("high", "medium", "low")
# A message is read on a phone; the report has the rest.
MOST_ALERTS = 12


@dataclass(frozen=True)
class Message:
    """A message about alerts.

    Args:
        title: one line.
        body: plain text.
        severity: the gravest among its alerts, `high`, `medium` or `low`.
    """

    title: str
    body: str
    severity: str


def compose(alerts: pa.Table, *, as_of: date, report_url: str) -> Message:
    """The message about some alerts.

    Args:
        alerts: rows of `ops.alert`, at least one.
        as_of: day of the run.
        report_url: where the report is.

    Raises:
        ValueError: there is no alert to tell of.
    """
    if not alerts.num_rows:
        raise ValueError(f"There is no alert of {as_of} to write about. Send no message instead.")
    rows = sorted(alerts.to_pylist(), key=lambda row: (SEVERITIES.index(row["severity"]), row["rule"], row["subject"]))
    parts = [
        f"[{row['severity']}] {row['title']}\n  {row['action']}\n  {row['evidence_sql']}" for row in rows[:MOST_ALERTS]
    ]
    if len(rows) > MOST_ALERTS:
        parts.append(f"and {len(rows) - MOST_ALERTS} more, all in the report.")
    parts.append(f"Report: {report_url}")
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Message(f"Daybook {as_of}: {rows[0]['title']}{more}", "\n\n".join(parts), rows[0]["severity"])
