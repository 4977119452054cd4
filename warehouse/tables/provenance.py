"""Columns that say how a row came here; the same in every vendor table."""

from __future__ import annotations

from warehouse.contracts import Column

LOADED = (
    Column("retrieved_at", "TIMESTAMPTZ", "Instant at which the vendor's bytes were received.", provenance=True),
    Column("load_id", "VARCHAR", "The load that wrote this row; see `ops.ledger`.", provenance=True),
)
