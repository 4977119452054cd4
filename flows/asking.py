"""Vendors asked side by side; a refusal is an answer too.

Invariant: whatever a vendor did wrong becomes an answer that ends in the ledger with its cause, never an exception that
takes the good answers with it. Partners: `flows/ingest.py` and `flows/repair.py`.
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flows.context import Context
from warehouse import errors
from warehouse.sources.tushare import TushareSource

log = logging.getLogger(__name__)

# Requests in flight to one vendor; the limiter, not this, sets the pace.
WORKERS = 4


@dataclass(frozen=True)
class Answer:
    """A vendor's answer for one partition: rows, or why there are none.

    Args:
        key: the partition.
        rows: what came.
        failure: the error in words, empty when there was none.
        cause: its sort, one of `ops.CAUSES`.
    """

    key: str
    rows: pa.Table
    failure: str = ""
    cause: str = ""


def ask(keys: Sequence[str], fetch: Callable[[str], pa.Table], empty: pa.Table) -> list[Answer]:
    """One answer per key, in order; a vendor's refusal is an answer too, and ends in the ledger."""

    def ask_one(key: str) -> Answer:
        try:
            return Answer(key, fetch(key).select(empty.column_names).cast(empty.schema))
        except errors.VendorError as exc:
            log.warning("vendor gave nothing usable partition=%s reason=%s", key, exc)
            return Answer(key, empty, f"{type(exc).__name__}: {exc}", cause_of(exc))

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(ask_one, keys))


def cause_of(exc: errors.VendorError) -> str:
    """The sort of failure, as the ledger names it."""
    kinds = {
        errors.RateLimited: "rate_limited",
        errors.NotPermitted: "no_permission",
        errors.BadCredentials: "no_permission",
        errors.RowCapReached: "truncated",
        errors.IncompleteReply: "truncated",
    }
    return next((cause for kind, cause in kinds.items() if isinstance(exc, kind)), "vendor_error")


def tushare_of(context: Context) -> TushareSource:
    """The market's vendor.

    Raises:
        ConfigError: there is no token.
    """
    if context.tushare is None:
        raise errors.ConfigError("market data needs a Tushare token. Set TUSHARE_TOKEN and run again.")
    return context.tushare
