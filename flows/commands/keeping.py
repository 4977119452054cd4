"""The commands that keep the lake: maintain, verify, backup and restore. Partner: `flows/upkeep.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands import terminal

if TYPE_CHECKING:
    from warehouse import verify as verification


def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
) -> None:
    """Merge small files, let old snapshots go, and delete files that nothing names."""
    from flows import upkeep

    _print_facts(upkeep.maintain(terminal.read_settings(), dry_run=dry_run))


def verify() -> None:
    """Check every archived body, file, row, key and promise of the ledger; exit 15 when one is broken."""
    from flows import upkeep

    def told(check: verification.Check) -> None:
        mark = "BAD" if check.n_broken else "ok "
        found = f"{check.n_broken} broken of {check.n_checked:,}" if check.n_broken else f"{check.n_checked:,}"
        print(f"{mark} {check.name:24} {found}" + (f"  ({check.note})" if check.note else ""), flush=True)
        for culprit in check.culprits:
            print(f"    {culprit}")

    upkeep.verify_all(terminal.read_settings(), told)


def backup(
    to: Annotated[Path, typer.Option("--to", help="Folder of the backup; one that is there is brought up to date.")],
) -> None:
    """Copy lake, archive, models and reports to a folder; unchanged files are not copied again."""
    from flows import upkeep

    with terminal.progress() as progress:
        facts = upkeep.back_up(terminal.read_settings(), to.expanduser().resolve(), progress)
    _print_facts(facts)


def restore(
    source: Annotated[Path, typer.Option("--from", help="Folder of the backup.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a lake that is there.")] = False,
) -> None:
    """Put a backup back, after checking every file of it."""
    from flows import upkeep

    with terminal.progress() as progress:
        facts = upkeep.restore(terminal.read_settings(), source.expanduser().resolve(), force=force, progress=progress)
    _print_facts(facts)


def _print_facts(facts: dict[str, str | int]) -> None:
    for key, value in facts.items():
        print(f"{key.replace('_', ' '):24} {value}")
