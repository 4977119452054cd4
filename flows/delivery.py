"""How does an alert reach people, whatever is down, and not twice?

The message is written to the lake first (`ops.outbox`), in the commit that marks its alerts as told of; then it is
claimed, handed to the channel, noted in a receipt file, and entered as sent. Whatever dies in between, the next run,
the hourly flow or `daybook alerts send` goes on from there. What is promised stands in `docs/alerts.md`. Partners:
`warehouse/outbox.py`, `reports/channels.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flows import clock, digesting, routing
from flows.routing import Route
from flows.settings import Settings
from reports import alerts, channels, site
from reports.alerts import Letterhead, Message
from reports.wording import Wording
from warehouse import errors, lake, outbox
from warehouse.tables import ops

log = logging.getLogger(__name__)

FOLDER, RECEIPTS = "outbox", "receipts.jsonl"
# A dead server costs up to 15 s a message: after so many refusals in a row the rest of a round is left for the next.
MOST_REFUSALS = 2
LAST_OF_THE_HOUR = (
    "This is the last of {} messages that may be sent in an hour (DAYBOOK__ALERT_MESSAGES_PER_HOUR). What is found"
    " meanwhile is told in one message afterwards."
)


@dataclass(frozen=True)
class Sent:
    """What came of a round of sending.

    Args:
        n_told: alerts that were put into a new message.
        n_sent: messages that channels took, one a channel.
        n_waiting: messages that no channel has taken yet, one a channel.
        refusals: one line for each channel that did not take what it was handed.
    """

    n_told: int = 0
    n_sent: int = 0
    n_waiting: int = 0
    refusals: tuple[str, ...] = ()

    def facts(self) -> dict[str, str | int]:
        """The same for a person, with the refusals where there are any."""
        counted = {"alerts_told": self.n_told, "messages_sent": self.n_sent, "messages_waiting": self.n_waiting}
        return counted | ({"channels_refused": " ".join(self.refusals)} if self.refusals else {})


def deliver(options: Settings, now: datetime, as_of: date, report: Path | None, *, is_urgent: bool = False) -> Sent:
    """What came of telling of new alerts and sending what is due; a channel that is down stops no other.

    Args:
        options: what is set.
        now: the instant.
        as_of: day of the run.
        report: the day's report, None when there is none.
        is_urgent: whether to try what is waiting for its next try or for the end of quiet hours, too.

    Raises:
        LakeBusy: another process kept sending, or writing.
        LakeError: the lake cannot be read or written; what was sent is noted, and nothing is lost.
        ConfigError: the folder of receipts cannot be written.
    """
    routes = routing.named(options.alert_channels)
    is_quiet = not is_urgent and clock.is_within(now, options.alert_quiet_hours)
    severities = ops.SEVERITIES[:1] if is_quiet else ops.SEVERITIES
    found = digesting.of_routes(routes, now)
    held = tuple(one.channel for one in found)
    with lake.open_reader(options.lake) as reader:
        is_new = any(_told_now(reader, one, routes) for one in _passes(severities))
        n_waiting = outbox.count_waiting(reader, held)
        has_digests = digesting.has_work(reader, found, now, is_quiet=is_quiet)
    if not routes or not (is_new or n_waiting or has_digests):
        return Sent(n_waiting=n_waiting)
    folder = options.root / FOLDER
    sender = outbox.Sender(_sender_name(folder), now, options.alert_messages_per_hour, is_urgent, severities, held)
    with outbox.sender_lock(folder, options.lake_wait_s):
        receipts = outbox.Receipts(folder / RECEIPTS)
        with _writer(options) as writer:
            # A sender that died before it could say so: first of all, so that nothing is sent again.
            _settle(writer, receipts, [], now)
            url = (options.report_address(as_of) or report.resolve().as_uri()) if report else ""
            head = Letterhead(url, Wording(options.alert_template))
            n_told = _write(writer, sender, routes, as_of, head)
            digesting.hold_and_gather(writer, found, sender, as_of, head, is_quiet=is_quiet)
            claimed = outbox.claim(writer, sender, list(routes))
        carried = None if options.report_url else options.reports_path
        refused = _hand_over(claimed, routes, receipts, carried)
        with _writer(options) if claimed else lake.open_reader(options.lake) as opened:
            if claimed:
                _settle(opened, receipts, refused, now)
            n_waiting = outbox.count_waiting(opened, held)
    lines = tuple(dict.fromkeys(one.refusal for one in refused))
    return Sent(n_told, len(claimed) - len(refused), n_waiting, lines)


def refuse_silence(sent: Sent) -> None:
    """Nothing when every channel took what it was handed.

    Raises:
        VendorUnavailable: one did not; its messages wait.
    """
    if sent.refusals:
        waiting = "1 message waits" if sent.n_waiting == 1 else f"{sent.n_waiting} messages wait"
        raise errors.VendorUnavailable(
            f"{waiting}: {' '.join(sent.refusals)} The hourly flow, the next run and `daybook alerts send` try again."
        )


@dataclass(frozen=True)
class Audience:
    """Channels that are told of the same alerts: those at once, and those in their digest."""

    at_once: tuple[str, ...]
    held: tuple[str, ...]


def _audiences(untold: pa.Table, routes: Mapping[str, Route]) -> dict[Audience, pa.Table]:
    """Alerts by the channels that take them, the gravest first; those that none takes are left out.

    An alert is in one message, which says who was told of it; so alerts that go to different channels are not in the
    same.
    """
    severities: dict[Audience, list[str]] = {}
    for severity in ops.SEVERITIES:
        takers = {name: route.holds(severity) for name, route in routes.items() if severity in route.severities}
        held = tuple(name for name, is_held in takers.items() if is_held)
        if takers:
            audience = Audience(tuple(name for name in takers if name not in held), held)
            severities.setdefault(audience, []).append(severity)
    found = {
        audience: untold.filter(pc.is_in(untold["severity"], pa.array(taken, pa.string())))
        for audience, taken in severities.items()
    }
    return {audience: rows for audience, rows in found.items() if rows.num_rows}


@dataclass(frozen=True)
class Pass:
    """Alerts of which severities are written together, and whether only those that a digest is to tell of."""

    severities: tuple[str, ...]
    is_for_digests: bool = False


def _passes(severities: tuple[str, ...]) -> list[Pass]:
    """What may be told now, then what may not and is held all the same: holding wakes nobody.

    Else a digest at the end of quiet hours would tell of what was found in them a day late.
    """
    rest = tuple(one for one in ops.SEVERITIES if one not in severities)
    return [Pass(severities), Pass(rest, is_for_digests=True)] if rest else [Pass(severities)]


def _told_now(opened: lake.Lake, one: Pass, routes: Mapping[str, Route]) -> dict[Audience, pa.Table]:
    """The alerts of a pass by audience."""
    found = _audiences(outbox.read_untold(opened, one.severities), routes)
    return {audience: rows for audience, rows in found.items() if audience.held or not one.is_for_digests}


def _write(writer: lake.Lake, sender: outbox.Sender, routes: Mapping[str, Route], as_of: date, head: Letterhead) -> int:
    """How many alerts the new messages tell of: one message for all alerts of a pass that go to the same channels."""
    work = [(one, *found) for one in _passes(sender.severities) for found in _told_now(writer, one, routes).items()]
    n_told = 0
    for one, audience, untold in work:
        n_written = outbox.count_written(writer, sender.at, ops.SEVERITIES if one.is_for_digests else one.severities)
        # By the channel that has most of its hour left: the others' messages wait in the outbox for theirs.
        # What is only held for digests is no message of the hour.
        n_left = sender.per_hour - min((n_written.get(name, 0) for name in audience.at_once), default=-1)
        if n_left <= 0:
            log.warning("alerts wait for the hour to end alerts=%s messages=%s", untold.num_rows, sender.per_hour)
            continue
        draft = _draft(untold, sender, as_of, head, LAST_OF_THE_HOUR.format(sender.per_hour) if n_left == 1 else "")
        everybody = [*audience.at_once, *audience.held]
        n_told += outbox.write(writer, draft, everybody, sender.at, held=audience.held)
    return n_told


def _draft(untold: pa.Table, sender: outbox.Sender, as_of: date, head: Letterhead, note: str) -> outbox.Draft:
    """A message about some alerts."""
    fingerprints = tuple(untold["fingerprint"].to_pylist())
    message_id = hashlib.sha256("|".join([sender.at.isoformat(), *fingerprints]).encode()).hexdigest()[:16]
    message = alerts.compose(untold, as_of=as_of, head=head, message_id=message_id, note=note)
    return outbox.Draft(message_id, message.severity, message.title, message.body, fingerprints, as_of)


def _settle(writer: lake.Lake, receipts: outbox.Receipts, refused: Sequence[outbox.Outcome], now: datetime) -> None:
    """Enter receipts and refusals; receipts are forgotten once the lake has them."""
    taken = [outbox.Outcome(message_id, channel) for message_id, channel in receipts.read()]
    if taken or refused:
        outbox.settle(writer, [*taken, *refused], now)
    receipts.clear()


def _hand_over(
    claimed: Sequence[outbox.Claimed], routes: Mapping[str, Route], receipts: outbox.Receipts, reports: Path | None
) -> list[outbox.Outcome]:
    """The tries that failed; the others have a receipt. A channel that cannot be opened fails for its own messages.

    Args:
        claimed: what to send.
        routes: the channels, by name.
        receipts: where to note what was taken.
        reports: folder of the reports that messages carry, None where they lead to an address instead.
    """
    opened: dict[str, channels.Channel] = {}
    refused: list[outbox.Outcome] = []
    in_a_row: dict[str, list[str]] = {}
    for one in claimed:
        failures = in_a_row.setdefault(one.channel, [])
        if len(failures) == MOST_REFUSALS:
            refused.append(outbox.Outcome(one.message_id, one.channel, failures[-1], one.n_tries))
            continue
        try:
            if one.channel not in opened:
                opened[one.channel] = channels.open_channel(one.channel, _address(routes[one.channel]))
            opened[one.channel].send(_message(one, reports))
        except errors.DaybookError as exc:
            log.warning(
                "message waits channel=%s message=%s tries=%s: %s", one.channel, one.message_id, one.n_tries, exc
            )
            failures.append(str(exc))
            refused.append(outbox.Outcome(one.message_id, one.channel, str(exc), one.n_tries))
        else:
            receipts.add(one.message_id, one.channel)
            failures.clear()
    return refused


def _address(route: Route) -> str:
    return route.address.get_secret_value()


def _message(one: outbox.Claimed, reports: Path | None) -> Message:
    report = reports / f"{one.as_of_date}{site.MAIL_SUFFIX}" if reports else None
    held = report if report and report.exists() else None
    return Message(one.title, one.body, one.severity, one.message_id, held)


def _sender_name(folder: Path) -> str:
    """Machine and home: whoever has this name holds the home's lock."""
    return f"{socket.gethostname()}/{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def _writer(options: Settings) -> Iterator[lake.Lake]:
    with lake.open_writer(options.lake, holder="daybook alerts send", wait_s=options.lake_wait_s) as writer:
        yield writer


def tell(options: Settings, title: str, body: str) -> None:
    """Say something to every channel at once, past the lake: it may be the lake that is broken.

    Nothing waits here, and nothing is counted: this is for what happens to runs, not to data.

    Args:
        options: what is set.
        title, body: the message.

    Raises:
        VendorUnavailable: no channel took it.
    """
    routes = routing.named(options.alert_channels)
    if not routes:
        log.warning("no alert channel is set, so nobody was told: %s", title)
        return
    said_at = clock.read_now(options.clock_url).isoformat()
    message_id = hashlib.sha256(f"{said_at}|{title}|{body}".encode()).hexdigest()[:16]
    refusals = []
    for name, route in routes.items():
        try:
            channels.open_channel(name, _address(route)).send(Message(f"Daybook: {title}", body, "high", message_id))
        except errors.DaybookError as exc:
            log.warning("not told channel=%s: %s", name, exc)
            refusals.append(str(exc))
    if len(refusals) == len(routes):
        raise errors.VendorUnavailable(f"nobody was told: {' '.join(refusals)}")


def deliver_now(options: Settings, *, is_urgent: bool) -> Sent:
    """What came of telling of whatever is untold and sending what is due, between runs.

    Args:
        options: what is set.
        is_urgent: whether to try what is waiting for its next try, too.

    Raises:
        DaybookError: as `deliver`, or there is no lake.
    """
    now = clock.read_now(options.clock_url)
    with lake.open_reader(options.lake) as reader:
        newest = reader.read_value("select max(as_of_date) from ops.run where flow = 'daily' and snapshot is not null")
    with _writer(options):
        log.debug("a lake of an older Daybook has its outbox now")
    page = options.reports_path / f"{newest}.html"
    return deliver(options, now, newest or clock.known_date(now), page if page.exists() else None, is_urgent=is_urgent)
