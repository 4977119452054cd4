"""Which alerts does a channel get, and when?

An element of `DAYBOOK__ALERT_CHANNELS` is an address, whose channel gets every alert at once, or an object that says
more. Invariant: no error repeats anything of an element but its place and the keys that may stand there, as a secret
may stand anywhere in a malformed one. Partners: `flows/settings.py`, `flows/delivery.py`, `reports/channels.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from reports import channels
from warehouse.tables import ops

KEYS = ("address", "least")


@dataclass(frozen=True, slots=True)
class Route:
    """A channel's address and what it takes.

    Args:
        address: Apprise's address, a secret.
        least: the lowest severity that it takes.
    """

    address: SecretStr
    least: str = ops.SEVERITIES[-1]

    @property
    def severities(self) -> tuple[str, ...]:
        """What it takes, gravest first."""
        return ops.SEVERITIES[: 1 + ops.SEVERITIES.index(self.least)]

    def describe(self) -> str:
        """What it takes, for a person."""
        if len(self.severities) == len(ops.SEVERITIES):
            return "all alerts"
        return f"{' and '.join(self.severities)} alerts"


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
    return Route(_secret(address), least)


def _secret(text: str | SecretStr) -> SecretStr:
    return text if isinstance(text, SecretStr) else SecretStr(text)
