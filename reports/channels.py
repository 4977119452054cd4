"""How does a message reach people?

A channel has one method, `send`. Addresses hold secrets: no error and no log repeats more than their scheme. To add a
channel, write a class with `send` here and choose it in `flows/publishing.py`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from reports.alerts import Message
from warehouse import errors

log = logging.getLogger(__name__)


class Channel(Protocol):
    """Where messages can be sent."""

    def send(self, message: Message) -> None:
        """Hand a message over.

        Raises:
            DaybookError: it was not taken; send it again later.
        """


class AppriseChannel:
    """Mail, Slack, Feishu, DingTalk, WeCom, webhooks and the rest of what Apprise knows.

    Args:
        addresses: Apprise addresses, secrets included.

    Source:
        The address of each service is described in Apprise's documentation.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)

    def __repr__(self) -> str:
        return f"AppriseChannel({', '.join(masked(address) for address in self._addresses)})"

    def send(self, message: Message) -> None:
        """Send to every address, also when one of them refuses.

        Raises:
            ConfigError: an address is none that Apprise knows.
            VendorUnavailable: a service did not take the message.
        """
        # Importing Apprise reads hundreds of plugins, half a second nobody should pay who sends nothing.
        import apprise

        kinds = {"high": apprise.NotifyType.FAILURE, "medium": apprise.NotifyType.WARNING}
        refused = []
        for address in self._addresses:
            service = apprise.Apprise()
            if not service.add(address):
                raise errors.ConfigError(
                    f"the alert channel {masked(address)} is no address that Apprise knows. Correct it in the settings;"
                    " `daybook doctor` lists what is set."
                )
            kind = kinds.get(message.severity, apprise.NotifyType.INFO)
            if not service.notify(title=message.title, body=message.body, notify_type=kind):
                refused.append(masked(address))
        if refused:
            raise errors.VendorUnavailable(
                f"the message {message.title!r} was not taken by {', '.join(refused)}. Check the address and the"
                " service; the alerts go out again with the next run."
            )
        log.info("sent alerts title=%r channels=%s", message.title, len(self._addresses))


class FileChannel:
    """A file to which each message is added as one line of JSON.

    Args:
        path: the file, made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, message: Message) -> None:
        """Add the message.

        Raises:
            ConfigError: the file cannot be written.
        """
        line = {"title": message.title, "body": message.body, "severity": message.severity}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as exc:
            raise errors.ConfigError(
                f"alerts cannot be written to {self._path}: {exc.strerror}. Make the file writable."
            ) from exc


def masked(address: str) -> str:
    """The scheme of an address, and nothing that could be secret."""
    scheme, found, _ = address.partition("://")
    return f"{scheme}://***" if found else "***"
