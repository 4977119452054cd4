"""Write the digests that are due, and hold back what the next ones are to tell.

Partners: `warehouse/digests.py`, `flows/delivery.py`, which calls this inside its round of sending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from flows import clock
from flows.routing import Route
from reports import alerts
from reports.alerts import Letterhead
from warehouse import digests, lake, outbox
from warehouse.digests import Digest


def of_routes(routes: Mapping[str, Route], now: datetime) -> list[Digest]:
    """The channels' digests, at the newest time of each that has come."""
    found = []
    for name, route in routes.items():
        if route.digest:
            due_at = clock.newest_at(now, route.digest)
            found.append(Digest(name, route.severities, due_at, clock.known_date(due_at)))
    return found


def has_work(reader: lake.Lake, found: Sequence[Digest], now: datetime, *, is_quiet: bool) -> bool:
    """Whether there is something to hold or to gather.

    Raises:
        LakeError: the lake cannot be read.
    """
    return any(
        digests.read_unheld(reader, one, now).num_rows or (not is_quiet and digests.is_due(reader, one))
        for one in found
    )


def hold_and_gather(
    writer: lake.Lake, found: Sequence[Digest], sender: outbox.Sender, as_of: date, head: Letterhead, *, is_quiet: bool
) -> None:
    """Hold what was resolved, and write the digests that are due.

    Args:
        writer: open for writing.
        found: the channels' digests.
        sender: who writes, and when.
        as_of: day of the run.
        head: where the report is, and how alerts are written.
        is_quiet: whether it is quiet hours: a digest comes after them.

    Raises:
        LakeError: the lake cannot be written.
    """
    for one in found:
        digests.hold_resolved(writer, one, sender.at)
        if is_quiet or not digests.is_due(writer, one):
            continue
        told = digests.read(writer, one)
        draft = None
        if told.num_rows:
            standing = digests.count_standing(writer, one.severities)
            message = alerts.compose_digest(told, standing, day=one.day, head=head, message_id=one.message_id)
            draft = outbox.Draft(
                one.message_id, message.severity, message.title, message.body, (), as_of, told.num_rows
            )
        digests.gather(writer, one, draft, sender.at)
