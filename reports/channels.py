"""How does a message reach people?

A channel has one method, `send`, and is named by its scheme and its place among the addresses of that scheme. Addresses
hold secrets: no error and no log repeats more than that name. Every try of a message carries the same identity, so that
a receiver can tell a message that came twice: mail its Message-ID, a webhook its Idempotency-Key. To add a channel,
write a class with `send` here and choose it in `open_channel`.
"""

from __future__ import annotations

import contextlib
import email
import logging
import re
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr
from typing import Any, Protocol

from reports import texts
from reports.alerts import Message
from warehouse import errors

log = logging.getLogger(__name__)

# The right side of every Message-ID; RFC 5322 asks for a domain of one's own, and `.invalid` is nobody's (RFC 2606).
MESSAGE_DOMAIN = "daybook.invalid"
# In draft-ietf-httpapi-idempotency-key-header; Stripe, Adyen and others read it.
IDEMPOTENCY_HEADER = "Idempotency-Key"
SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,19}")
# Of all that Apprise says of a failure, the one thing that holds no address.
STATUS = re.compile(r"error=(\d{3})\b")
# Apprise and the libraries below it write whole addresses to their logs.
TALKATIVE = ("apprise", "urllib3", "requests")
SILENT = logging.CRITICAL + 1
# From here on an SMTP server means never, below it not now (RFC 5321, section 4.2.1).
PERMANENT = 500
MAIL_SCHEMES = ("mailto", "mailtos")


class Channel(Protocol):
    """Where messages can be sent."""

    def send(self, message: Message) -> None:
        """Hand a message over.

        Raises:
            DaybookError: it was not taken; send it again later.
        """


def named(addresses: Sequence[str]) -> dict[str, str]:
    """The addresses by the names of their channels, such as `mailto-1`, `json-1`, `json-2`.

    A name stays when an address is corrected in its place, so that what waits for it goes to the corrected one.
    """
    by_name: dict[str, str] = {}
    for address in addresses:
        scheme = _scheme(address) or "unreadable"
        place = 1 + sum(name.rpartition("-")[0] == scheme for name in by_name)
        by_name[f"{scheme}-{place}"] = address
    return by_name


def has_mail(addresses: Sequence[str]) -> bool:
    """Whether one of the addresses is that of a mail server."""
    return any(_scheme(address) in MAIL_SCHEMES for address in addresses)


def open_channel(name: str, address: str) -> Channel:
    """The channel of an address.

    Raises:
        ConfigError: the address is none that Apprise knows.
    """
    # Importing Apprise reads hundreds of plugins, half a second nobody should pay who sends nothing.
    import apprise
    from apprise.plugins.email import NotifyEmail

    with _hushed():
        service = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if service is None:
        raise errors.ConfigError(
            f"the alert channel {name} has no address that Apprise knows. Correct it in DAYBOOK__ALERT_CHANNELS; "
            "`daybook doctor` lists what is set. Nothing is lost: what is for it waits."
        )
    return MailChannel(name, service) if isinstance(service, NotifyEmail) else AppriseChannel(name, service)


class _Addressed:
    """A channel with the service that its address stands for.

    Args:
        name: the channel's name.
        service: what Apprise made of the address, secrets included.
    """

    def __init__(self, name: str, service: Any) -> None:
        self._name, self._service = name, service

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name})"


class AppriseChannel(_Addressed):
    """Slack, Feishu, DingTalk, WeCom, webhooks and the rest of what Apprise knows, but for mail."""

    def send(self, message: Message) -> None:
        """Hand a message over.

        Raises:
            VendorUnavailable: the service did not take it.
        """
        import apprise

        kinds = {"high": apprise.NotifyType.FAILURE, "medium": apprise.NotifyType.WARNING}
        # Generic webhooks have headers to set; chat services have none, and the message's last lines name it.
        if isinstance(getattr(self._service, "headers", None), dict) and message.message_id:
            self._service.headers[IDEMPOTENCY_HEADER] = message.message_id
        sender = apprise.Apprise()
        sender.add(self._service)
        kind = kinds.get(message.severity, apprise.NotifyType.INFO)
        with _hushed() as heard:
            is_taken = sender.notify(title=message.title, body=message.body, notify_type=kind)
        if not is_taken:
            said = STATUS.search(" ".join(heard))
            raise _refused(self._name, f"the service answered {said[1]}" if said else "the service was not reached")
        log.info("sent message=%s channel=%s", message.message_id, self._name)


class MailChannel(_Addressed):
    """A mail server: Apprise reads its address, the talk with it is ours, as Apprise renews the Message-ID each try."""

    def send(self, message: Message) -> None:
        """Hand one mail for all recipients over.

        Raises:
            VendorUnavailable: the server did not take it, or none of the recipients.
        """
        service = self._service
        people = [address for _, address in service.targets] + sorted({*service.cc, *service.bcc})
        report = _read_report(message)
        try:
            with self._connected() as server:
                refused = self._handed(server, people, message, report)
                # Whatever comes now, such as a failing goodbye, the mail is taken.
        except smtplib.SMTPResponseException as exc:
            raise _refused(self._name, f"the mail server answered {exc.smtp_code}") from None
        except (OSError, smtplib.SMTPException, RuntimeError) as exc:
            raise _refused(self._name, f"the mail server failed ({type(exc).__name__})") from None
        if refused:
            log.error("the mail server refused recipients channel=%s refused=%s", self._name, len(refused))
        log.info("sent message=%s channel=%s", message.message_id, self._name)

    def _handed(
        self, server: smtplib.SMTP, people: Sequence[str], message: Message, report: bytes
    ) -> dict[str, tuple[int, bytes]]:
        """The recipients that were refused; what the server will not take with the report goes without it."""
        sender = self._service.from_addr[1]
        if report:
            try:
                return server.sendmail(sender, people, self._written(message, report))
            except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as exc:
                # Refused for good, such as 552 for its size: nothing was taken, so it does not come twice.
                if exc.smtp_code < PERMANENT:
                    raise
                log.warning("the mail server refused the report channel=%s code=%s", self._name, exc.smtp_code)
        return server.sendmail(sender, people, self._written(message, b""))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        service = self._service
        context = ssl.create_default_context()
        if not service.verify_certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        timeout = service.socket_connect_timeout
        server: smtplib.SMTP
        if service.secure_mode == "ssl":
            server = smtplib.SMTP_SSL(service.smtp_host, service.port, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(service.smtp_host, service.port, timeout=timeout)
        try:
            if service.secure_mode == "starttls":
                server.starttls(context=context)
            if service.user and service.password:
                server.login(service.user, service.password)
            yield server
        finally:
            # An SMTP server answers for a mail at its last dot; a goodbye that fails takes nothing back.
            server.close()

    def _written(self, message: Message, report: bytes) -> bytes:
        service = self._service
        mail = EmailMessage(policy=SMTP)
        # A line break in a header would begin another header.
        mail["Subject"] = " ".join(texts.readable(message.title).split())
        mail["From"] = formataddr((service.from_addr[0] or "", service.from_addr[1]))
        mail["To"] = ", ".join(formataddr((name or "", address)) for name, address in service.targets)
        if service.cc:
            mail["Cc"] = ", ".join(sorted(service.cc))
        if service.reply_to:
            mail["Reply-To"] = ", ".join(sorted(service.reply_to))
        if message.message_id:
            mail["Message-ID"] = f"<{message.message_id}@{MESSAGE_DOMAIN}>"
        mail["Importance"] = "high" if message.severity == "high" else "normal"
        mail.set_content(texts.readable(message.body))
        if report and message.report:
            attached = email.message_from_bytes(report, policy=SMTP)
            mail.add_attachment(attached, filename=f"daybook-{message.report.name}")
            # The same for every try, as the mail is.
            mail.set_boundary(f"daybook-{message.message_id or 'report'}")
        return mail.as_bytes()


def _scheme(address: str) -> str:
    """The scheme of an address, and nothing that could be secret."""
    scheme, found, _ = address.partition("://")
    return scheme.lower() if found and SCHEME.fullmatch(scheme.lower()) else ""


def _read_report(message: Message) -> bytes:
    """The report that a message carries, empty where it is gone: an alert is not lost for it."""
    if message.report is None:
        return b""
    try:
        return message.report.read_bytes()
    except OSError as exc:
        log.warning("the message goes without its report message=%s: %s", message.message_id, exc.strerror)
        return b""


def _refused(name: str, reason: str) -> errors.VendorUnavailable:
    return errors.VendorUnavailable(
        f"channel {name} did not take the message: {reason}. It is tried again; check the address and the service."
    )


class _Hearing(logging.Handler):
    """Keeps what is said, so that it reaches no other handler."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.heard.append(record.getMessage())


@contextlib.contextmanager
def _hushed() -> Iterator[list[str]]:
    """What Apprise warns of, kept from every log: its words hold addresses."""
    hearing = _Hearing()
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(SILENT)
    loggers[0].setLevel(logging.WARNING)
    loggers[0].propagate = False
    loggers[0].addHandler(hearing)
    try:
        yield hearing.heard
    finally:
        loggers[0].removeHandler(hearing)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate
