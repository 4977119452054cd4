"""The command that loads whole vintages a desk owns as files. Partners: `warehouse/fredmd.py`, `whole_vintages.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands import terminal


def load_vintages(
    path: Annotated[Path, typer.Argument(help="A FRED-MD file YYYY-MM.csv, a Parquet file of many, or a folder.")],
) -> None:
    """Load FRED-MD vintages: what was published in each month, exactly."""
    import uuid

    from flows import clock
    from warehouse import fredmd, lake, load, whole_vintages

    options = terminal.read_settings()
    vintages = list(fredmd.read_vintages(path))
    now = clock.read_now(options.clock_url)
    holder = f"load-vintages/{clock.known_date(now)}"
    with lake.open_writer(options.lake, holder=holder, wait_s=options.lake_wait_s) as opened:
        entries = whole_vintages.load_vintages(opened, vintages, load.Stamp(f"{holder}#{uuid.uuid4().hex[:12]}", now))
    print(f"{entries.num_rows} of {len(vintages)} vintages were new; the others stand as they were.")
    first, last = min(one.vintage_date for one in vintages), max(one.vintage_date for one in vintages)
    print(f"Known from {first} to {last}. Ask for a day's:")
    print(f"""daybook sql "from macro_asof('{last}') where starts_with(series_id, '{fredmd.ARCHIVE}') limit 5\"""")
