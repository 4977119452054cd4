"""Which alerts does a channel get, and when?

An element of `DAYBOOK__ALERT_CHANNELS` is an address, whose channel gets every alert at once, or an object that says
more. Invariant: no error repeats anything of an element but its place and the keys that may stand there, as a secret
may stand anywhere in a malformed one. Partners: `flows/settings.py`, `flows/delivery.py`, `reports/channels.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from reports import channels
from warehouse.tables import ops

KEYS = ("address", "least", "digest", "at_once")
TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
AT_ONCE = ("high", "none")


@dataclass(frozen=True, slots=True)
class Route:
    """A channel's address and what it takes.

    Args:
        address: Apprise's address, a secret.
        least: the lowest severity that it takes.
        digest: time of day in Shanghai, such as `17:30`, of the one message a day that tells the rest; empty for none.
        at_once: what a channel with a digest is still told at once: `high` or `none`.
    """

    address: SecretStr
    least: str = ops.SEVERITIES[-1]
    digest: str = ""
    at_once: str = AT_ONCE[0]

    @property
    def severities(self) -> tuple[str, ...]:
        """What it takes, gravest first."""
        return ops.SEVERITIES[: 1 + ops.SEVERITIES.index(self.least)]

    def holds(self, severity: str) -> bool:
        """Whether alerts of a severity that it takes wait for its digest."""
        return bool(self.digest) and severity != self.at_once

    def describe(self) -> str:
        """What it takes, for a person."""
        is_all = len(self.severities) == len(ops.SEVERITIES)
        taken = "all alerts" if is_all else f"{' and '.join(self.severities)} alerts"
        if not self.digest:
            return taken
        return f"{taken} in a digest at {self.digest}" + (", high ones at once" if self.at_once == "high" else "")


def read(elements: object) -> tuple[Route, ...]:
    """The routes that a list of addresses and objects means.

    Args:
        elements: each a text, an object of `KEYS`, or a route.

    Raises:
        ValueError: an element is malformed; the message names its place, and nothing of what stands there.
    """
    if isinstance(elements, str) or not isinstance(elements, Sequence):
        raise ValueError('it is no list; write one as JSON, such as ["mailto://…"]')
    return tuple(_read_one(one, place) for place, one in enumerate(elements, 1))


def named(routes: Sequence[Route]) -> dict[str, Route]:
    """The routes by the names of their channels, such as `mailto-1`."""
    return dict(zip(channels.named(addresses_of(routes)), routes, strict=True))


def addresses_of(routes: Sequence[Route]) -> list[str]:
    """The addresses, secrets included."""
    return [route.address.get_secret_value() for route in routes]


def _read_one(element: object, place: int) -> Route:
    if isinstance(element, Route):
        return element
    if isinstance(element, (str, SecretStr)):
        return Route(_secret(element))
    if not isinstance(element, Mapping):
        raise ValueError(f"element {place} is neither an address nor an object with `address`")
    return _read_object(element, place)


def _read_object(element: Mapping[str, Any], place: int) -> Route:
    if not set(element) <= set(KEYS):
        raise ValueError(f"element {place} has another key than {', '.join(KEYS)}")
    address = element.get("address")
    if not isinstance(address, (str, SecretStr)):
        raise ValueError(f"element {place} has no text as `address`")
    least = element.get("least", ops.SEVERITIES[-1])
    if least not in ops.SEVERITIES:
        raise ValueError(f"element {place} has a `least` that is none of {', '.join(ops.SEVERITIES)}")
    digest, at_once = element.get("digest", ""), element.get("at_once", AT_ONCE[0])
    if not isinstance(digest, str) or ("digest" in element and not TIME_OF_DAY.fullmatch(digest)):
        raise ValueError(f"element {place} has a `digest` that is no time of day such as 17:30")
    if at_once not in AT_ONCE or ("at_once" in element and not digest):
        raise ValueError(
            f"element {place} has an `at_once` that is none of {', '.join(AT_ONCE)}, or no `digest` with it"
        )
    return Route(_secret(address), least, digest, at_once)


def _secret(text: str | SecretStr) -> SecretStr:
    return text if isinstance(text, SecretStr) else SecretStr(text)
