"""Shards of securities, computed by the workers of a Dask cluster.

One step stays one Prefect task: a task a shard would cost a tenth of a second each, a plain future some milliseconds. A
worker opens the lake itself, at the snapshot the step reads, with the secrets of its own settings; none is sent.
Invariants: a worker of another version computes nothing; a shard whose worker died is computed by another, and what the
dead one wrote belongs to no snapshot. Partner: `warehouse/shards.py`, which cuts and takes in.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import importlib.metadata
import logging
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import settings
from warehouse import errors, lake, shards
from warehouse.storage import LakeLocation

if TYPE_CHECKING:
    import distributed

log = logging.getLogger(__name__)

VARIABLE = settings.PREFIX + "DASK_SCHEDULER"
LOCAL = "local"
# Seconds for a scheduler to answer, and for which there may be no worker at all: a machine takes as long to start one.
ANSWER_S = 20.0
WITHOUT_WORKERS_S = 120.0
POLL_S = 2.0
# What must be of one version on all machines for all to compute the same bits, and to understand each other.
ALIKE = ("daybook", "numpy", "numba", "pyarrow", "duckdb", "distributed")


@dataclass(frozen=True)
class Place:
    """Where a worker finds what a step reads.

    Args:
        location: the lake, without secrets.
        snapshot: what is read.
        threads: threads a worker's DuckDB may use; None for what its own settings say.
        versions: of the program that asks.
    """

    location: LakeLocation
    snapshot: int
    threads: int | None
    versions: tuple[tuple[str, str], ...]


@contextlib.contextmanager
def workers(options: settings.Settings) -> Iterator[shards.MapShards | None]:
    """What has shards computed by the workers that the settings name; None where they name none.

    The cluster is started, or its scheduler asked, at the first shards: a day's few rows need nobody.

    Raises:
        ConfigError: Dask is not installed.
    """
    if not options.dask_scheduler:
        yield None
        return
    with contextlib.ExitStack() as stack:
        connect = functools.cache(lambda: stack.enter_context(_connected(options.dask_scheduler)))

        def map_shards(opened: lake.Lake, compute: shards.Compute, of: Sequence[shards.Shard]) -> list[shards.Computed]:
            threads = 1 if options.dask_scheduler == LOCAL else None
            place = Place(_without_secrets(opened.location), opened.snapshot, threads, _versions())
            return _gather(connect(), functools.partial(_compute, compute, place), of)

        yield map_shards


@contextlib.contextmanager
def _connected(address: str) -> Iterator[distributed.Client]:
    """A client of the scheduler at an address, or of a cluster of this machine's own that ends with the block.

    Its few connections are encrypted: who reaches a scheduler can have it run anything.
    """
    try:
        import dask
        import dask.system
        import distributed
    except ImportError as exc:
        raise errors.ConfigError(
            f"{VARIABLE} is {address!r}, and Dask is not installed. Install `daybook[scale]`, or unset it."
        ) from exc
    with contextlib.ExitStack() as stack:
        started = time.monotonic()
        if address == LOCAL:
            # Dask looks a hundred times a second what its workers do, for pages that are not shown here.
            stack.enter_context(dask.config.set({"distributed.worker.profile.enabled": False}))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="daybook-dask-"))
            address = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=dask.system.CPU_COUNT,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    security=True,
                    local_directory=folder,
                )
            )
        try:
            client = stack.enter_context(distributed.Client(address, timeout=ANSWER_S))
        except OSError as exc:
            raise errors.ConfigError(
                f"no Dask scheduler answers at {address}, which {VARIABLE} names, within {ANSWER_S:g} s: {exc}. Start "
                "it, mend the address, or unset the variable to compute everything here."
            ) from exc
        log.info("dask is ready scheduler=%s seconds=%.1f", _address(client), time.monotonic() - started)
        yield client


def _gather(
    client: distributed.Client, compute: Callable[[shards.Shard], shards.Computed], of: Sequence[shards.Shard]
) -> list[shards.Computed]:
    """What came of every shard, in their order."""
    import distributed

    address = _address(client)
    futures = client.map(compute, of, pure=False)
    try:
        _wait(client, futures)
        found: list[shards.Computed] = client.gather(futures)
        return found
    except distributed.KilledWorker as exc:
        raise errors.LakeError(
            f"a shard of securities took {exc.allowed_failures + 1} workers of {address} with it, the last "
            f"{exc.last_worker.address}. Nothing was written. Look at their memory, or unset {VARIABLE}."
        ) from exc
    except (concurrent.futures.CancelledError, distributed.client.FutureCancelledError) as exc:
        raise errors.LakeError(
            f"the Dask scheduler at {address} went away while shards were computed. Nothing was written; run again."
        ) from exc
    except ImportError as exc:
        raise errors.ConfigError(
            f"a worker of the Dask scheduler at {address} lacks Daybook or a library: {exc}. Install there what is "
            "installed here."
        ) from exc
    finally:
        client.cancel(futures)


def _wait(client: distributed.Client, futures: Sequence[distributed.Future[shards.Computed]]) -> None:
    """Return when all shards are computed or one failed."""
    import distributed

    seen = time.monotonic()
    waiting = set(futures)
    while waiting:
        try:
            found = distributed.wait(waiting, timeout=POLL_S, return_when="FIRST_COMPLETED")
        except TimeoutError:
            found = None
        if found is not None:
            waiting = found.not_done
            if any(future.status == "error" for future in found.done):
                return
        if client.nthreads():
            seen = time.monotonic()
        elif time.monotonic() - seen > WITHOUT_WORKERS_S:
            raise errors.LakeError(
                f"the Dask scheduler at {_address(client)} has had no worker for {WITHOUT_WORKERS_S:g} s. "
                f"Nothing was written. Start workers, or unset {VARIABLE} to compute everything here."
            )


def _address(client: distributed.Client) -> str:
    return str(client.scheduler.address) if client.scheduler else "an address that is closed"


def _compute(compute: shards.Compute, place: Place, shard: shards.Shard) -> shards.Computed:
    """One shard, in a worker's process."""
    differs = [f"{name} {own} (asked by {theirs})" for (name, own), (_, theirs) in _pairs(place) if own != theirs]
    if differs:
        raise errors.ConfigError(
            f"a Dask worker on {platform.node()} has other versions: {', '.join(differs)}. Its figures might differ in "
            "the last bit. Install there what is installed here."
        )
    with lake.open_reader(_here(place), snapshot=place.snapshot) as reader:
        return compute(reader, shard)


def _pairs(place: Place) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    return zip(_versions(), place.versions, strict=True)


def _versions() -> tuple[tuple[str, str], ...]:
    found = tuple((name, importlib.metadata.version(name)) for name in ALIKE)
    return (("python", platform.python_version()), *found)


def _without_secrets(location: LakeLocation) -> LakeLocation:
    access = dataclasses.replace(location.s3, key_id="", secret="")
    return dataclasses.replace(location, catalog_password="", s3=access)


def _here(place: Place) -> LakeLocation:
    """The lake as this worker reaches it: the same addresses, its own secrets, memory and folder to spill into."""
    own = settings.read_settings().lake
    asked = place.location
    access = dataclasses.replace(asked.s3, key_id=own.s3.key_id, secret=own.s3.secret)
    return dataclasses.replace(
        own,
        # Without its addresses a lake is found by its folder alone.
        path=own.path if asked.catalog and asked.data_path else asked.path,
        catalog=asked.catalog,
        data_path=asked.data_path,
        threads=place.threads or own.threads,
        s3=access,
    )
