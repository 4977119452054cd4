"""The command about alerts: list and show them, decide about them, and send what waits.

Partners: `warehouse/alerts.py`, `flows/delivery.py`.
"""

from __future__ import annotations

import enum
import getpass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands import terminal

if TYPE_CHECKING:
    from flows.settings import Settings


class Action(enum.StrEnum):
    """What `daybook alerts` does."""

    list = "list"
    show = "show"
    acknowledge = "acknowledge"
    snooze = "snooze"
    reopen = "reopen"
    label = "label"
    precision = "precision"
    budget = "budget"
    messages = "messages"
    send = "send"


class State(enum.StrEnum):
    """Which alerts are listed."""

    standing = "standing"
    open = "open"
    acknowledged = "acknowledged"
    snoozed = "snoozed"
    resolved = "resolved"
    all = "all"


DECISIONS = (Action.acknowledge, Action.snooze, Action.reopen, Action.label)
VERDICTS = {"true": True, "false": False}


def alerts(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    fingerprints: Annotated[
        list[str] | None, typer.Argument(help="Alerts, as `list` shows them; `label` wants true or false after them.")
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="Why, for whoever asks later; every decision needs it.")] = "",
    by: Annotated[str, typer.Option(help="Who decides; default the user, unless that is `daybook`.")] = "",
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Day on which an acknowledged or snoozed alert opens again if it lasts."
        ),
    ] = None,
    state: Annotated[
        State, typer.Option(help="Which alerts to list; `standing` is all that are not resolved.")
    ] = State.standing,
    message: Annotated[str, typer.Option(help="List the alerts that this message tells of.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most rows to list.")] = 50,
    per_week: Annotated[
        int | None,
        typer.Option(min=1, help="Alerts a week that `budget` is to keep; default DAYBOOK__ALERTS_PER_WEEK."),
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, max=52, help="Weeks that `budget` looks at.")] = 8,
) -> None:
    """List and show alerts, decide about or label them, send the messages that wait, and see what keeps a budget."""
    from warehouse import alerts as known
    from warehouse import lake

    options = terminal.read_settings()
    named = fingerprints or []
    takes_names = action is Action.show or action in DECISIONS
    if bool(named) != takes_names:
        needed = "needs the fingerprints that `list` shows" if takes_names else "takes no fingerprint"
        raise terminal.config_error(f"`daybook alerts {action}` {needed}.")
    if action is Action.send:
        _send(options)
    elif action is Action.budget:
        _budget(options, per_week or options.alerts_per_week, weeks)
    elif action in DECISIONS:
        _decide(options, action, named, (by, why, until))
    else:
        with lake.open_reader(options.lake) as opened:
            if action is Action.list:
                found = known.read_list(opened, state.value, message, limit)
                terminal.print_table(found, f"{found.num_rows} alerts")
            elif action is Action.messages:
                found = known.read_messages(opened, limit)
                terminal.print_table(found, f"{found.num_rows} messages, newest first")
            elif action is Action.precision:
                found = known.read_precision(opened)
                terminal.print_table(found, f"{found.num_rows} rules with alerts")
            else:
                for name in named:
                    terminal.print_table(known.read_one(opened, name), name)


def _decide(options: Settings, action: Action, named: list[str], said: tuple[str, str, datetime | None]) -> None:
    from flows import clock
    from warehouse import alerts as known
    from warehouse import lake

    by, why, until = said
    *named, verdict = named if action is Action.label else [*named, ""]
    if action is Action.label and (not named or verdict not in VERDICTS or until):
        raise terminal.config_error(
            "`daybook alerts label` wants fingerprints, then true or false, and no --until: "
            "`daybook alerts label 1f6b2c false --why ...`. Nothing was changed."
        )
    now = clock.read_now(options.clock_url)
    day = until.date() if until else None
    decision = known.Decision(action.value, by or getpass.getuser(), why, clock.known_date(now), now, day)
    # A writer would make a lake where there is none.
    with lake.open_reader(options.lake):
        pass
    with lake.open_writer(options.lake, holder="daybook alerts", wait_s=options.lake_wait_s) as opened:
        if action is Action.label:
            lines = known.label(opened, named, decision, is_true=VERDICTS[verdict])
        else:
            lines = known.decide(opened, named, decision)
    print("\n".join(lines))


def _budget(options: Settings, per_week: int | None, weeks: int) -> None:
    from flows import alarm_replay
    from warehouse import lake

    if per_week is None:
        raise terminal.config_error("how many alerts a week? Give --per-week, or set DAYBOOK__ALERTS_PER_WEEK.")
    with lake.open_reader(options.lake) as opened, terminal.progress() as progress:
        last = alarm_replay.read_last_day(opened)
        history = alarm_replay.read_history(opened, last, weeks)
        replays = alarm_replay.replay(opened, options, last, weeks, progress)
    terminal.print_table(
        alarm_replay.summarize(history),
        f"alerts opened in the weeks that have runs, {history.n_recorded} of {weeks} up to {last}",
    )
    best = alarm_replay.best_within(replays, history.others(), per_week)
    shown = [("as set", replays[0]), ("within the budget", best), ("quietest tried", replays[-1])]
    terminal.print_table(
        alarm_replay.compare([(name, one) for name, one in shown if one], history.others()),
        f"replayed over {weeks} weeks, with the other rules' alerts as they were; the budget is {per_week} a week",
    )
    print("\n".join(alarm_replay.advise(best, replays[0], history.others(), per_week)))


def _send(options: Settings) -> None:
    from flows import delivery

    if not options.alert_channels:
        raise terminal.config_error(
            "no channel is set, so nothing was sent. Give Apprise's addresses in DAYBOOK__ALERT_CHANNELS; "
            "docs/alerts.md has examples."
        )
    sent = delivery.deliver_now(options, is_urgent=True)
    print(f"alerts told      {sent.n_told}\nmessages sent    {sent.n_sent}\nmessages waiting {sent.n_waiting}")
    delivery.refuse_silence(sent)
