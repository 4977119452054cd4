"""The commands about what goes into the lake: files, the rules rows must keep, and rows that were set aside.

Partners: `warehouse/files.py`, `warehouse/rules.py`, `warehouse/quarantine.py`.
"""

from __future__ import annotations

import contextlib
import enum
import getpass
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands import terminal

if TYPE_CHECKING:
    from warehouse.lake import Lake
    from warehouse.load import Stamp


class Dataset(enum.StrEnum):
    """What files may hold."""

    daily = "daily"
    adj_factor = "adj_factor"
    daily_basic = "daily_basic"
    observations = "observations"


class RowAction(enum.StrEnum):
    """What to do with rows that were set aside."""

    list = "list"
    show = "show"
    release = "release"
    discard = "discard"


class RowState(enum.StrEnum):
    """How a row that was set aside stands."""

    pending = "pending"
    released = "released"
    discarded = "discarded"


class RuleAction(enum.StrEnum):
    """What to do with the rules rows must keep."""

    list = "list"
    add = "add"
    enable = "enable"
    disable = "disable"


def load(
    files: Annotated[list[Path], typer.Argument(help="Parquet or CSV files in the vendor's schema.")],
    dataset: Annotated[Dataset, typer.Option("--as", help="What the files hold.")],
) -> None:
    """Load files a desk already owns through the same checks, ledger and quarantine as a vendor's answers."""
    from flows import clock
    from warehouse import errors
    from warehouse import files as source

    with terminal.progress() as progress, _writing("load") as (lake, stamp):
        is_macro = dataset is Dataset.observations
        known = clock.fred_date(stamp.loaded_at) if is_macro else clock.known_date(stamp.loaded_at)
        loaded = source.load_files(
            lake,
            dataset.value,
            files,
            known_date=known,
            stamp=stamp,
            missing_fraction=terminal.read_settings().missing_bars_fraction,
            progress=progress,
        )
    for what, count in loaded.facts().items():
        print(f"{what:24} {count:,}")
    if loaded.n_not_whole:
        raise errors.PartialData(
            f"{loaded.n_not_whole} of {loaded.n_partitions} partitions are not whole after the load. "
            "`daybook status` shows which, `daybook quarantine list` the rows set aside; `daybook backfill` asks "
            "the vendor for the rest."
        )


def quarantine(
    action: Annotated[RowAction, typer.Argument(help="What to do.")],
    rows: Annotated[list[str] | None, typer.Argument(help="Row ids, as `list` shows them.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later; needed to release or discard.")] = "",
    by: Annotated[str, typer.Option(help="Who decides; default the user.")] = "",
    state: Annotated[RowState, typer.Option(help="Which rows to list.")] = RowState.pending,
    limit: Annotated[int, typer.Option(min=1, help="Most rows to list.")] = 50,
) -> None:
    """Look at rows that broke a rule, release them into the lake, or discard them."""
    from warehouse import lake
    from warehouse import quarantine as held

    options = terminal.read_settings()
    ids = rows or []
    if action is RowAction.list:
        with lake.open_reader(options.lake) as opened:
            found = held.read_list(opened, state.value, limit)
        terminal.print_table(found, f"{found.num_rows} rows {state.value}")
        return
    if not ids:
        raise terminal.config_error(f"which rows? Give `daybook quarantine {action}` the ids that `list` shows.")
    if action is RowAction.show:
        with lake.open_reader(options.lake) as opened:
            for row_id in ids:
                terminal.print_table(held.read_one(opened, row_id), row_id)
        return
    decision = held.Decision(by or getpass.getuser(), reason)
    decide = held.release if action is RowAction.release else held.discard
    with _writing("quarantine") as (writing, stamp):
        print("\n".join(decide(writing, ids, decision, stamp)))


def rule(
    action: Annotated[RuleAction, typer.Argument(help="What to do.")],
    dataset: Annotated[str, typer.Argument(help="Table whose rows are judged, such as market.daily.")] = "",
    name: Annotated[str, typer.Argument(help="Name of the rule.")] = "",
    predicate: Annotated[str, typer.Argument(help="SQL over one row, true for a good one.")] = "",
    *,
    severity: Annotated[str, typer.Option(help="`reject` sets the row aside, `warn` lets it in.")] = "warn",
    reason: Annotated[str, typer.Option(help="What is wrong with a row that fails.")] = "",
    what_to_do: Annotated[str, typer.Option("--action", help="What a person does about it.")] = "",
) -> None:
    """List the rules that rows must keep on their way in, add one of your own, or switch one on or off."""
    from warehouse import lake, rules

    options = terminal.read_settings()
    if action is RuleAction.list:
        with lake.open_reader(options.lake) as opened:
            found = opened.read(
                "select * from analyst.rule where dataset = $dataset or $dataset = '' order by dataset, name",
                dataset=dataset,
            )
        terminal.print_table(found, f"{found.num_rows} rules")
        return
    if not dataset or not name or (action is RuleAction.add and not predicate):
        needed = "DATASET NAME PREDICATE" if action is RuleAction.add else "DATASET NAME"
        raise terminal.config_error(f"`daybook rule {action}` needs {needed}.")
    with _writing("rule") as (writing, _):
        if action is RuleAction.add:
            added = rules.Rule(dataset, name, severity, predicate, reason or f"not so: {predicate}", is_desk=True)
            writing.commit(lambda connection: rules.add(connection, added, what_to_do), message=f"rule {name} added")
        else:
            is_enabled = action is RuleAction.enable
            writing.commit(
                lambda connection: rules.set_enabled(connection, dataset, name, is_enabled),
                message=f"rule {name} of {dataset}: {action}d",
            )
    print(f"rule {name} of {dataset} is {'off' if action is RuleAction.disable else 'on'} for the loads to come")


@contextlib.contextmanager
def _writing(command: str) -> Iterator[tuple[Lake, Stamp]]:
    """The lake open for writing and the provenance of what is written, without the vendors a run needs."""
    from flows import clock
    from warehouse import lake
    from warehouse.load import Stamp

    options = terminal.read_settings()
    stamp = Stamp(f"{command}#{uuid.uuid4().hex[:12]}", clock.read_now(options.clock_url))
    with lake.open_writer(options.lake, holder=f"daybook {command}", wait_s=options.lake_wait_s) as opened:
        yield opened, stamp
