"""How Daybook itself is doing: runs, what is loaded, what was set aside, what changed, what is wrong."""

from __future__ import annotations

from warehouse.contracts import Column, Table

LEDGER_STATES = ("ok", "empty_confirmed", "partial", "failed", "missing")
# Why a partition has no row; only the first two are facts, the others are failures.
CAUSES = ("holiday", "genuine", "not_yet_published", "no_permission", "rate_limited", "truncated", "vendor_error")

RUN = Table(
    schema="ops",
    name="run",
    grain=("run_id",),
    meaning="One row per daily run, refit or backfill; a run repeated for the same day keeps its row.",
    source="flows.",
    is_provenance=True,
    columns=(
        Column("run_id", "VARCHAR", "Flow and day, such as daily/2026-11-20."),
        Column("flow", "VARCHAR", "`daily`, `refit` or `backfill`."),
        Column("as_of_date", "DATE", "The day the run is for."),
        Column("state", "VARCHAR", "`running`, `ok`, `degraded` (finished with gaps) or `failed`."),
        Column("message", "VARCHAR", "One line about the outcome."),
        Column(
            "snapshot",
            "BIGINT",
            "Lake snapshot the report reads; NULL until published.",
            nullable=True,
            provenance=True,
        ),
        Column("started_at", "TIMESTAMPTZ", "First start.", provenance=True),
        Column("finished_at", "TIMESTAMPTZ", "Last end; NULL while running.", nullable=True, provenance=True),
        Column("code_version", "VARCHAR", "Daybook version.", provenance=True),
    ),
)

# Of alerts, the gravest first; and the same as a term of SQL's `order by`.
SEVERITIES = ("high", "medium", "low")
GRAVEST_FIRST = "case severity when 'high' then 1 when 'medium' then 2 else 3 end"

# Share of a session's expected bars that may be missing, unless a desk sets another: 10 of the 5,393 of 2025-04-03.
MISSING_FRACTION = 0.002

LEDGER = Table(
    schema="ops",
    name="ledger",
    grain=("dataset", "partition"),
    meaning="One row per dataset and partition: what was expected, what came, and whether it is whole.",
    source="warehouse/load.py.",
    columns=(
        Column("dataset", "VARCHAR", "Table loaded, such as market.daily."),
        Column("partition", "VARCHAR", "Session (YYYY-MM-DD), series_id, index code or exchange."),
        Column("state", "VARCHAR", "`ok`, `empty_confirmed`, `partial`, `failed` or `missing`."),
        Column("through_date", "DATE", "The partition is known as of this day."),
        Column("n_expected", "BIGINT", "Rows expected; NULL when it cannot be known.", nullable=True),
        Column("n_received", "BIGINT", "Rows the vendor delivered, duplicates left out."),
        Column("n_quarantined", "BIGINT", "Rows of these that were set aside."),
        Column(
            "content_hash", "UBIGINT", "Order-free digest of the partition's stored facts; what is derived compares it."
        ),
        Column("reason", "VARCHAR", "Why it is not `ok`; empty when it is."),
        Column(
            "cause",
            "VARCHAR",
            "Why nothing came, or not all: `holiday`, `genuine` (both whole), `not_yet_published`, `no_permission`, `rate_limited`, `truncated` or `vendor_error`; empty when rows came and the vendor refused nothing.",
        ),
        Column(
            "asked_date",
            "DATE",
            "Vendor's local day on which it was last asked for; NULL for what is derived.",
            nullable=True,
            provenance=True,
        ),
        Column(
            "first_asked_date",
            "DATE",
            "Vendor's local day on which it was first asked for; rows that come after that day came late.",
            nullable=True,
            provenance=True,
        ),
        Column(
            "first_answered_date",
            "DATE",
            "Vendor's local day of its first usable answer; NULL while there was none, or rows came from files only.",
            nullable=True,
            provenance=True,
        ),
        Column("n_attempts", "BIGINT", "Loads tried so far.", provenance=True),
        Column("load_id", "VARCHAR", "The last load.", provenance=True),
        Column("loaded_at", "TIMESTAMPTZ", "Instant of the last load.", provenance=True),
    ),
)

QUARANTINE_STATES = ("pending", "released", "discarded")

QUARANTINE = Table(
    schema="ops",
    name="quarantine",
    grain=("dataset", "partition", "row_hash", "rule"),
    meaning="One row per vendor row and rule it broke: nothing bad is loaded unseen, nothing bad is lost.",
    source="warehouse/audit.py.",
    columns=(
        Column("dataset", "VARCHAR", "Table the row was meant for."),
        Column("partition", "VARCHAR", "Partition it came with."),
        Column("rule", "VARCHAR", "Rule it broke, see `ops.rule`."),
        Column("reason", "VARCHAR", "What is wrong, in words."),
        Column("row_json", "VARCHAR", "The row as it came."),
        Column("row_hash", "VARCHAR", "Digest of the row."),
        Column("severity", "VARCHAR", "`reject`: the row was set aside; `warn`: it was let in."),
        Column("state", "VARCHAR", "`pending`, `released` (loaded all the same) or `discarded` (no longer a finding)."),
        Column("decided_by", "VARCHAR", "Who released or discarded it; NULL while pending.", nullable=True),
        Column("decision_reason", "VARCHAR", "Why; NULL while pending.", nullable=True),
        Column("load_id", "VARCHAR", "The load that judged it.", provenance=True),
        Column("rejected_at", "TIMESTAMPTZ", "Instant of that load.", provenance=True),
        Column(
            "decided_at", "TIMESTAMPTZ", "Instant of the decision; NULL while pending.", nullable=True, provenance=True
        ),
    ),
)

RULE = Table(
    schema="ops",
    name="rule",
    grain=("dataset", "name"),
    meaning="One row per rule that rows must keep on their way in; those of the contracts and a desk's own.",
    source="warehouse/tables, `daybook rule add`.",
    columns=(
        Column("dataset", "VARCHAR", "Table whose rows are judged."),
        Column("name", "VARCHAR", "Short name, stored with every row that breaks it."),
        Column("severity", "VARCHAR", "`reject` sets the row aside, `warn` lets it in and is a finding."),
        Column("predicate", "VARCHAR", "SQL over one row, true for a good one; unknown counts as good."),
        Column("reason", "VARCHAR", "What is wrong with a row that fails."),
        Column("action", "VARCHAR", "What a person does about it."),
        Column("is_enabled", "BOOLEAN", "Whether loads run it."),
        Column("origin", "VARCHAR", "`contract` or `desk`."),
        Column("problem", "VARCHAR", "Why the last load could not run it; empty when it could."),
    ),
)

REVISION = Table(
    schema="ops",
    name="revision",
    grain=("dataset", "partition", "row_key", "column_name", "revision_no"),
    meaning="One row per corrected value: what stood there before. Column `*` is a row that came late or was restated.",
    source="warehouse/load.py.",
    is_provenance=True,
    columns=(
        Column("dataset", "VARCHAR", "Table corrected."),
        Column("partition", "VARCHAR", "Partition corrected."),
        Column("row_key", "VARCHAR", "The row's key as JSON."),
        Column(
            "column_name",
            "VARCHAR",
            "Column corrected; `*` for a whole row that came late, or was restated by true vintages.",
        ),
        Column("revision_no", "BIGINT", "First correction 1, and so on."),
        Column("old_value", "VARCHAR", "Value before, as text; NULL when it was missing.", nullable=True),
        Column("new_value", "VARCHAR", "Value after, as text; NULL when it is now missing.", nullable=True),
        Column("revised_date", "DATE", "Day on which the new value became known: Shanghai's day of the load."),
        Column("load_id", "VARCHAR", "The load that corrected it.", provenance=True),
        Column("revised_at", "TIMESTAMPTZ", "Instant of the load.", provenance=True),
    ),
)

ALERT = Table(
    schema="ops",
    name="alert",
    grain=("fingerprint",),
    meaning="One row per trouble, however often it is seen.",
    source="flows/detecting.py.",
    columns=(
        Column("fingerprint", "VARCHAR", "Rule, subject and date: the same trouble has the same fingerprint."),
        Column("rule", "VARCHAR", "Rule that found it."),
        Column("severity", "VARCHAR", "`high`, `medium` or `low`."),
        Column("subject", "VARCHAR", "Dataset, series_id or ts_code concerned."),
        Column("subject_date", "DATE", "Day concerned."),
        Column("title", "VARCHAR", "One sentence for a person."),
        Column("action", "VARCHAR", "What to do next."),
        Column("evidence", "VARCHAR", "The numbers behind it, as JSON."),
        Column("evidence_sql", "VARCHAR", "A query that shows more."),
        Column("state", "VARCHAR", "`open`, `acknowledged`, `snoozed` or `resolved`."),
        Column("first_seen_date", "DATE", "First run that saw it."),
        Column("last_seen_date", "DATE", "Last run that saw it."),
        Column("resolved_date", "DATE", "Run that no longer saw it; NULL while open.", nullable=True),
        Column("n_seen", "BIGINT", "Runs that saw it."),
        Column(
            "is_true",
            "BOOLEAN",
            "Whether it was a trouble indeed, as a person said; NULL while nobody has.",
            nullable=True,
        ),
        Column("decided_by", "VARCHAR", "Who acknowledged or snoozed it; empty when nobody did."),
        Column("decision_reason", "VARCHAR", "Why; empty when nobody did."),
        Column("until_date", "DATE", "Day on which it opens again if it lasts; NULL for none.", nullable=True),
        Column(
            "delivered_at",
            "TIMESTAMPTZ",
            "Instant it was handed to a channel; NULL if not.",
            nullable=True,
            provenance=True,
        ),
        Column(
            "message_id",
            "VARCHAR",
            "The message in `ops.outbox` that tells of it; empty when none does yet.",
            provenance=True,
        ),
    ),
)

ALERT_CHANGE = Table(
    schema="ops",
    name="alert_change",
    grain=("fingerprint", "change_no"),
    meaning="One row per change of an alert's state or label: the whole of its life.",
    source="warehouse/checks.py and warehouse/alerts.py.",
    columns=(
        Column("fingerprint", "VARCHAR", "The alert."),
        Column("change_no", "BIGINT", "Its first change 1, and so on."),
        Column(
            "event",
            "VARCHAR",
            "`opened`, `acknowledged`, `snoozed`, `reopened`, `resolved`, `labelled true` or `labelled false`.",
        ),
        Column("state", "VARCHAR", "State after it."),
        Column("changed_date", "DATE", "Day of the run, or Shanghai's day of the decision."),
        Column("changed_by", "VARCHAR", "Who; `daybook` when it came about by itself."),
        Column("reason", "VARCHAR", "Why."),
        Column("until_date", "DATE", "Day on which it opens again if it lasts; NULL for none.", nullable=True),
        Column("changed_at", "TIMESTAMPTZ", "Instant; NULL when the run kept none.", nullable=True, provenance=True),
    ),
)

OUTBOX = Table(
    schema="ops",
    name="outbox",
    grain=("message_id", "channel"),
    meaning="One row per message about alerts and channel it is for: whether it was taken, and if not, why.",
    source="warehouse/outbox.py.",
    is_provenance=True,
    columns=(
        Column(
            "message_id",
            "VARCHAR",
            "The same for every try: mail's Message-ID and a webhook's Idempotency-Key hold it.",
        ),
        Column("channel", "VARCHAR", "Scheme of the address and its place among those of that scheme: `mailto-1`."),
        Column(
            "state",
            "VARCHAR",
            "`waiting`, `claimed` (somebody is sending it, or died doing so), `sent`; for a channel with a digest `held`"
            " for it, then `gathered` into it.",
        ),
        Column("severity", "VARCHAR", "The gravest of its alerts: `high`, `medium` or `low`."),
        Column("title", "VARCHAR", "Its subject."),
        Column("body", "VARCHAR", "Its text."),
        Column("n_alerts", "BIGINT", "Alerts it tells of."),
        Column("as_of_date", "DATE", "Day of the run that found them."),
        Column("n_tries", "BIGINT", "Tries so far."),
        Column(
            "n_doubtful", "BIGINT", "Tries whose sender died before it knew the outcome; each may have come through."
        ),
        Column("last_error", "VARCHAR", "Why the last try failed; empty when it did not."),
        Column(
            "claimed_by",
            "VARCHAR",
            "Who sends it, or sent it last: for a gathered message its digest's message_id; empty before the first try.",
        ),
        Column("created_at", "TIMESTAMPTZ", "Instant it was written."),
        Column("next_try_at", "TIMESTAMPTZ", "It is not tried before, unless by hand."),
        Column("claimed_at", "TIMESTAMPTZ", "Instant of the last try; NULL before the first.", nullable=True),
        Column("sent_at", "TIMESTAMPTZ", "Instant the channel took it; NULL while it has not.", nullable=True),
    ),
)

CHECKED_SESSION = Table(
    schema="ops",
    name="checked_session",
    grain=("trade_date",),
    meaning="One row per session whose rows the checks have looked at, and the digest of what they saw.",
    source="warehouse/check_scope.py.",
    is_provenance=True,
    columns=(
        Column("trade_date", "DATE", "Exchange session."),
        Column("input_hash", "UBIGINT", "Digest of state and content of its partitions in `ops.ledger`."),
        Column("checked_at", "TIMESTAMPTZ", "Instant of the run that looked.", provenance=True),
    ),
)

FACTOR_HISTORY = Table(
    schema="ops",
    name="factor_history",
    grain=("ts_code",),
    meaning="One row per security whose whole history of adjustment factors was compared with the vendor's.",
    source="flows/repair.py.",
    is_provenance=True,
    columns=(
        Column("ts_code", "VARCHAR", "Security code with exchange suffix, such as 600000.SH."),
        Column("compared_date", "DATE", "Shanghai's day of the last comparison.", provenance=True),
    ),
)

PROPERTY = Table(
    schema="ops",
    name="property",
    grain=("name",),
    meaning="Facts about the lake itself: its schema version, and the digest of its views' definitions.",
    source="warehouse/lake.py.",
    is_provenance=True,
    columns=(
        Column("name", "VARCHAR", "`schema_version` or `views_digest`."),
        Column("value", "VARCHAR", "Its value."),
    ),
)
