"""The command about alerts: list and show them, and send what waits.

Partners: `warehouse/outbox.py`, `flows/delivery.py`.
"""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from flows.commands import terminal


class Action(enum.StrEnum):
    """What `daybook alerts` does."""

    list = "list"
    show = "show"
    messages = "messages"
    send = "send"


class State(enum.StrEnum):
    """Which alerts are listed."""

    standing = "standing"
    open = "open"
    resolved = "resolved"
    all = "all"


def alerts(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    fingerprints: Annotated[list[str] | None, typer.Argument(help="Alerts, as `list` shows them.")] = None,
    *,
    state: Annotated[
        State, typer.Option(help="Which alerts to list; `standing` is all that are not resolved.")
    ] = State.standing,
    message: Annotated[str, typer.Option(help="List the alerts that this message tells of.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most rows to list.")] = 50,
) -> None:
    """List and show alerts, see which messages were sent about them, and send those that wait."""
    from warehouse import alerts as known
    from warehouse import lake

    options = terminal.read_settings()
    named = fingerprints or []
    if bool(named) != (action is Action.show):
        needed = "needs the fingerprints that `list` shows" if action is Action.show else "takes no fingerprint"
        raise terminal.config_error(f"`daybook alerts {action}` {needed}.")
    if action is Action.send:
        _send()
        return
    with lake.open_reader(options.lake) as opened:
        if action is Action.list:
            found = known.read_list(opened, state.value, message, limit)
            terminal.print_table(found, f"{found.num_rows} alerts")
        elif action is Action.messages:
            found = known.read_messages(opened, limit)
            terminal.print_table(found, f"{found.num_rows} messages, newest first")
        else:
            for name in named:
                terminal.print_table(known.read_one(opened, name), name)


def _send() -> None:
    from flows import delivery

    options = terminal.read_settings()
    if not options.alert_channels:
        raise terminal.config_error(
            "no channel is set, so nothing was sent. Give Apprise's addresses in DAYBOOK__ALERT_CHANNELS; "
            "docs/alerts.md has examples."
        )
    sent = delivery.deliver_now(options, is_urgent=True)
    print(f"alerts told      {sent.n_told}\nmessages sent    {sent.n_sent}\nmessages waiting {sent.n_waiting}")
    delivery.refuse_silence(sent)
