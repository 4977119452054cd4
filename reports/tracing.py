"""Where does a block's figure come from? The views and model versions a block names are those it truly read.

A section builds its blocks through `walk`, which listens to the questions asked meanwhile; nobody writes a source by
hand, so none can be wrong or forgotten. Partner: `blocks.Source`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Protocol

import pyarrow as pa

from reports.blocks import Block, Section, Source

_VIEW = re.compile(r"\b(?:from|join)\s+((?:analyst|main|market|macro|feature|model|ops)\.\w+)", re.IGNORECASE)
_VERSION = re.compile(r"[a-z_0-9]+/\d{4}-\d{2}-\d{2}")


class Reader(Protocol):
    """What a section needs of a lake: an answer as a table, or as one value."""

    def read(self, statement: str, **params: Any) -> pa.Table:
        """The rows a query returns."""

    def read_value(self, statement: str, **params: Any) -> Any:
        """The single value a query returns."""


class Trail:
    """A lake that remembers which views were asked and which model versions they were asked for."""

    def __init__(self, lake: Reader) -> None:
        self._lake = lake
        self._views: dict[str, None] = {}
        self._versions: dict[str, None] = {}

    def read(self, statement: str, **params: Any) -> pa.Table:
        """The rows a query returns.

        Raises:
            LakeError: the lake cannot be read.
        """
        self._note(statement, params)
        return self._lake.read(statement, **params)

    def read_value(self, statement: str, **params: Any) -> Any:
        """The single value a query returns, None when it returns no row.

        Raises:
            LakeError: the lake cannot be read.
        """
        self._note(statement, params)
        return self._lake.read_value(statement, **params)

    @property
    def source(self) -> Source:
        """What was asked so far."""
        return Source(tuple(self._views), tuple(sorted(self._versions)))

    def _note(self, statement: str, params: dict[str, Any]) -> None:
        self._views |= dict.fromkeys(view.lower() for view in _VIEW.findall(statement))
        for value in params.values():
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str) and _VERSION.fullmatch(name):
                    self._versions[name] = None


class Memory:
    """A lake whose answers are kept, so that blocks of one section may ask the same question at the price of one.

    Wrap it below `walk`: each block still says what it was read from, whoever asked first.
    """

    def __init__(self, lake: Reader) -> None:
        self._lake = lake
        self._answers: dict[str, pa.Table] = {}

    def read(self, statement: str, **params: Any) -> pa.Table:
        """The rows a query returns.

        Raises:
            LakeError: the lake cannot be read.
        """
        question = f"{statement} {sorted(params.items())!r}"
        if question not in self._answers:
            self._answers[question] = self._lake.read(statement, **params)
        return self._answers[question]

    def read_value(self, statement: str, **params: Any) -> Any:
        """The single value a query returns, None when it returns no row.

        Raises:
            LakeError: the lake cannot be read.
        """
        return self._lake.read_value(statement, **params)


def walk(
    lake: Reader, build: Callable[..., Block | Sequence[Block] | None], *arguments: object, **options: object
) -> list[Block]:
    """The blocks a function builds, each with the views and versions that were read for them.

    Args:
        lake: first argument of the function.
        build: a function of a section, returning a block, several, or None.
        arguments: what follows the lake.
        options: keyword arguments.

    Raises:
        LakeError: the lake cannot be read.
    """
    trail = Trail(lake)
    built = build(trail, *arguments, **options)
    shown = [] if built is None else list(built) if isinstance(built, Sequence) else [built]
    return [_sourced(block, trail.source) for block in shown]


def read_section(lake: Reader, build: Callable[[Reader, date], Section], as_of: date) -> Section:
    """A section whose every block names a source: its own, or else what the section read to decide.

    Raises:
        LakeError: the lake cannot be read.
    """
    trail = Trail(lake)
    section = build(trail, as_of)
    return dataclasses.replace(section, blocks=tuple(_sourced(block, trail.source) for block in section.blocks))


def _sourced(block: Block, source: Source) -> Block:
    return block if block.source else dataclasses.replace(block, source=source)
