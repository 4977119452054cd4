"""The main job on simulated vendors: a backfill, then some evenings of the daily flow, run through Prefect.

The demo has a home of its own. Run again with the same data it finds everything done and changes nothing; with other
data it starts afresh. Partner: `flows/vendors.py`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from flows import ingest, serving, settings, steps, vendors
from warehouse import errors
from warehouse.sources.simulator import RunningSimulator

log = logging.getLogger(__name__)

MARKER = "demo.json"


@dataclass(frozen=True)
class Outcome:
    """What a demo did: days run, facts of the last, gaps if any, and where to look."""

    days: list[date]
    facts: steps.Facts
    gap: str
    home: Path
    report: Path


def demo_home(options: settings.Settings) -> Path:
    """The demo's own home inside the configured one."""
    return options.root / "demo"


def run_demo(
    options: settings.Settings,
    simulated: vendors.SimulatedVendors,
    n_days: int,
    *,
    through_prefect: bool,
    progress: ingest.Progress,
) -> Outcome:
    """What came of a backfill and `n_days` evenings against the simulated vendors.

    Raises:
        ConfigError: more days are asked for than the data has.
        DaybookError: a step failed.
    """
    progress("building the market", 0, 1)
    truth = simulated.truth()
    progress("building the market", 1, 1)
    sessions = truth.session_dates
    if not 1 <= n_days <= len(sessions) - 1:
        raise errors.ConfigError(
            f"--days {n_days} is out of range: the data has {len(sessions)} sessions. Choose 1 to {len(sessions) - 1}."
        )
    home = demo_home(options)
    _make_home(home, {"data": str(simulated.data), "symbols": simulated.symbols, "seed": simulated.seed})
    before, days = sessions[-n_days - 1], list(sessions[-n_days:])
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(vendors.running(truth, vendors.evening_of(before)))
        stack.enter_context(
            serving.variables_set(vendors.environment(running, home) | serving.prefect_environment(home))
        )
        inner = settings.read_settings(history_start=sessions[0])
        steps.backfill(steps.open_context(inner, "backfill", before), sessions[0], before, progress)
        run_one = _through_prefect if through_prefect else _directly
        facts, gap = _run_days(running, days, run_one(inner, progress), progress)
    return Outcome(days, facts, gap, home, inner.reports_path / f"{days[-1]}.html")


RunOne = Callable[[date], steps.Facts]


def _run_days(
    running: RunningSimulator, days: list[date], run_one: RunOne, progress: ingest.Progress
) -> tuple[steps.Facts, str]:
    facts: steps.Facts = {}
    gap = ""
    for number, day in enumerate(days):
        progress(f"evening of {day}", 0, 1)
        running.clock.set(vendors.evening_of(day))
        try:
            facts, gap = run_one(day), ""
        except errors.PartialData as exc:
            gap = str(exc)
        progress(f"evening of {day}", 1, 1)
        log.info("demo day done day=%s number=%s", day, number + 1)
    return facts, gap


def _directly(options: settings.Settings, progress: ingest.Progress) -> RunOne:
    def run_one(day: date) -> steps.Facts:
        context = steps.open_context(options, "daily", day)
        return steps.run_daily(context, day, steps.call_directly(progress))

    return run_one


def _through_prefect(options: settings.Settings, progress: ingest.Progress) -> RunOne:
    def run_one(day: date) -> steps.Facts:
        from flows import deployments

        facts: steps.Facts = deployments.daily(as_of=day)
        return facts

    return run_one


def _make_home(home: Path, description: dict[str, Any]) -> None:
    """An empty home, or the one that an earlier demo on the same data left."""
    marker = home / MARKER
    wanted = json.dumps(description, sort_keys=True)
    if home.exists() and any(home.iterdir()):
        if not marker.exists():
            raise errors.ConfigError(
                f"{home} holds something that no demo made. Move it away, or choose another place with --home."
            )
        if marker.read_text() == wanted:
            return
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    marker.write_text(wanted)


@contextlib.contextmanager
def simulated_home(options: settings.Settings) -> Iterator[dict[str, str]]:
    """The environment of the last demo, its vendors running again with the clock where they left off.

    Raises:
        ConfigError: there was no demo.
    """
    home = demo_home(options)
    marker = home / MARKER
    if not marker.exists():
        raise errors.ConfigError(f"there is no demo at {home}. Run `daybook demo` first.")
    held = json.loads(marker.read_text())
    data = None if held["data"] == "None" else Path(held["data"])
    truth = vendors.SimulatedVendors(data, held["symbols"], held["seed"]).truth()
    with vendors.running(truth, vendors.evening_of(truth.session_dates[-1])) as running:
        yield vendors.environment(running, home)
