"""What was asked of the vendors, and what they answered."""

from __future__ import annotations

from warehouse.contracts import Column, Table

REPLY = Table(
    schema="vendor",
    name="reply",
    grain=("reply_id",),
    meaning="One row per answer received from a vendor; the body is archived, compressed, without the token.",
    source="Daybook's own requests.",
    is_provenance=True,
    columns=(
        Column("reply_id", "VARCHAR", "Digest of vendor, endpoint, parameters and instant."),
        Column("vendor", "VARCHAR", "`fred` or `tushare`."),
        Column("endpoint", "VARCHAR", "What was called, such as `daily`."),
        Column("params", "VARCHAR", "Parameters as JSON, without the token."),
        Column("status", "INTEGER", "HTTP status."),
        Column("n_bytes", "BIGINT", "Length of the decoded body.", unit="bytes"),
        Column("sha256", "VARCHAR", "Digest of the decoded body."),
        Column("archive_path", "VARCHAR", "Where the body lies, relative to the archive."),
        Column("retrieved_at", "TIMESTAMPTZ", "Instant at which the answer was complete.", provenance=True),
        Column("load_id", "VARCHAR", "The load that asked.", provenance=True),
    ),
)
