"""What a run has in hand: the instant, the vendors, the archive and the lake.

Built once per flow run from the settings; the steps take it as their only knowledge of the outside.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from datetime import datetime

from flows import settings
from warehouse import lake
from warehouse.load import Stamp
from warehouse.sources import archive, fred, fred_api, tushare


@dataclass(frozen=True)
class Context:
    """One run's outside world.

    Args:
        settings: what is set.
        now: the run's instant, UTC.
        run_id: flow and day, such as `daily/2026-11-20`.
        fred: the macro vendor.
        tushare: the market vendor, None without a token.
        archive: where every answer is kept.
        fred_api: the macro vendor's API with true vintages, None without a key.
    """

    settings: settings.Settings
    now: datetime
    run_id: str
    fred: fred.FredSource
    tushare: tushare.TushareSource | None
    archive: archive.Archive
    fred_api: fred_api.FredApiSource | None = None

    def stamp(self) -> Stamp:
        """Provenance for one load."""
        return Stamp(f"{self.run_id}#{uuid.uuid4().hex[:12]}", self.now)

    def writer(self) -> contextlib.AbstractContextManager[lake.Lake]:
        """The lake, open for writing under this run's name."""
        return lake.open_writer(self.settings.lake, holder=self.run_id, wait_s=self.settings.lake_wait_s)

    def reader(self) -> contextlib.AbstractContextManager[lake.Lake]:
        """The lake, open for reading."""
        return lake.open_reader(self.settings.lake)
