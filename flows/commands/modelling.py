"""The command about forecasting versions: models. Partner: `flows/model_cards.py`."""

from __future__ import annotations

import enum
import getpass
import json
from datetime import date, datetime
from typing import Annotated, Any

import typer

from flows.commands import terminal


class Action(enum.StrEnum):
    """What `daybook models` does."""

    list = "list"
    show = "show"
    compare = "compare"
    release = "release"
    rollback = "rollback"


# How many versions each action is told; rollback may be told one.
N_VERSIONS = {Action.list: (0,), Action.show: (1,), Action.compare: (2,), Action.release: (1,), Action.rollback: (0, 1)}


def models(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    versions: Annotated[list[str] | None, typer.Argument(help="Versions, such as ridge/2026-11-20.")] = None,
    *,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Show what stood on this day; default today.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; needed to release or roll back.")] = "",
    by: Annotated[str, typer.Option(help="Who decides; default the user.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List and compare forecasting versions, release one that is held back, or go back to the champion before."""
    from flows import clock, model_cards
    from warehouse import lake

    named = versions or []
    if len(named) not in N_VERSIONS[action]:
        wanted = " or ".join(str(n) for n in N_VERSIONS[action])
        raise terminal.config_error(
            f"`daybook models {action}` takes {wanted} versions, not {len(named)}. `daybook models list` shows them."
        )
    options = terminal.read_settings()
    now = clock.read_now(options.clock_url)
    day = as_of.date() if as_of else clock.known_date(now)
    if action in (Action.release, Action.rollback):
        if as_of is not None:
            raise terminal.config_error(f"`daybook models {action}` decides as of today; leave --as-of out.")
        stamp = model_cards.stamp_of(day, reason, by or getpass.getuser())
        with lake.open_writer(options.lake, holder="daybook models", wait_s=options.lake_wait_s) as opened:
            if action is Action.release:
                decided = model_cards.release(opened, named[0], stamp, now)
            else:
                decided = model_cards.roll_back(opened, named[0] if named else "", stamp, now, options)
        told = [{"model_version": one.model_version, "role": one.role, "reason": one.reason} for one in decided]
        _print(told, "decided", as_json)
        return
    with lake.open_reader(options.lake) as opened:
        if action is Action.list:
            _print(model_cards.read_list(opened, day), f"versions on {day}", as_json)
        elif action is Action.show:
            _print(model_cards.read_card(options, opened, named[0], day), named[0], as_json)
        else:
            _print(model_cards.compare(opened, *named), f"{named[0]} and {named[1]}", as_json)


def _print(found: Any, title: str, as_json: bool) -> None:
    import pyarrow as pa

    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False, default=_plain))
        return
    if isinstance(found, list):
        if found:
            terminal.print_table(pa.Table.from_pylist(found), title)
        else:
            print("No version plays a part yet: `daybook run` or `daybook refit` fits the first ones.")
        return
    plain = {name: value for name, value in found.items() if not isinstance(value, dict | list)}
    terminal.print_table(pa.table({"what": list(plain), "value": [str(value) for value in plain.values()]}), title)
    for name, value in found.items():
        if isinstance(value, dict) and value:
            rows = {"what": list(value), "value": [_shown(one) for one in value.values()]}
            terminal.print_table(pa.table(rows), name)
        elif isinstance(value, list) and value:
            terminal.print_table(pa.Table.from_pylist([{k: _shown(v) for k, v in row.items()} for row in value]), name)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "  ".join(_shown(one) for one in value)
    return json.dumps(value, default=_plain) if isinstance(value, dict) else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
