"""The simulated vendors, as a command or a demo starts them, and the settings that point a run at them.

Flows cannot tell them from the real ones: only addresses, token and clock differ. Partner:
`warehouse/sources/simulator.py`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from flows import clock, settings
from warehouse import errors
from warehouse.sources import market, market_folder, simulator
from warehouse.sources.truth import MarketTruth

SIMULATED_TOKEN = "simulated-token-0000"  # not a secret: the simulator's own
SYNTHETIC_SYMBOLS = 240
FAST_CALLS_PER_MINUTE = 1_000_000
FAST_CALLS_PER_SECOND = 1000.0


@dataclass(frozen=True)
class SimulatedVendors:
    """What to simulate.

    Args:
        data: folder of real vendor data, None for the synthetic market.
        symbols: securities to serve, None for all of the folder or the default of the synthetic market.
        seed: seed of the synthetic market.
    """

    data: Path | None = None
    symbols: int | None = None
    seed: int = 7

    def truth(self) -> MarketTruth:
        """Everything the simulated vendors will ever publish.

        Raises:
            ConfigError: the folder is missing or not shaped as expected.
        """
        if self.data is None:
            return market.synthetic_market(seed=self.seed, n_symbols=self.symbols or SYNTHETIC_SYMBOLS)
        try:
            return market_folder.folder_market(self.data, n_symbols=self.symbols)
        except (ValueError, OSError) as exc:
            raise errors.ConfigError(str(exc)) from exc


@contextlib.contextmanager
def running(
    truth: MarketTruth, start: datetime, *, port: int = 0, token: str = SIMULATED_TOKEN
) -> Iterator[simulator.RunningSimulator]:
    """The simulated vendors on loopback.

    Args:
        truth: what they know.
        start: where their clock stands.
        port: 0 for any free one.
        token: the only token they accept.
    """
    with simulator.running(truth, clock=simulator.SimulatedClock(start), token=token, port=port) as vendors:
        yield vendors


def environment(vendors: simulator.RunningSimulator, home: Path) -> dict[str, str]:
    """The variables that point any Daybook process at the simulated vendors and at a home of its own."""
    variable = {
        "HOME": str(home),
        "CLOCK_URL": vendors.clock_url,
        "TUSHARE_URL": vendors.tushare_url,
        "FRED_URL": vendors.fred_url,
        "FRED_API_URL": vendors.fred_api_url,
        "INDEX_CODES": json.dumps(sorted(vendors.truth.sheets["index_daily"].by_code)),
        # Loopback needs no politeness.
        "TUSHARE_CALLS_PER_MINUTE": str(FAST_CALLS_PER_MINUTE),
        "FRED_CALLS_PER_SECOND": str(FAST_CALLS_PER_SECOND),
    }
    return {settings.PREFIX + name: value for name, value in variable.items()} | {"TUSHARE_TOKEN": SIMULATED_TOKEN}


def evening_of(day: date) -> datetime:
    """The simulated instant at which the run of a day starts."""
    return clock.after_close(day)
