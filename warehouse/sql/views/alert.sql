-- One row per trouble, however often seen, with its evidence and a query that shows more.
create or replace view analyst.alert as
select
    fingerprint,
    rule,
    severity,
    subject,
    subject_date,
    title,
    action,
    evidence,
    evidence_sql,
    state,
    first_seen_date,
    last_seen_date,
    resolved_date,
    n_seen,
    decided_by,
    decision_reason,
    until_date,
    is_true
from ops.alert
