-- New alerts. Input: registered `finding`, one row per trouble.
insert into ops.alert by name
select
    f.fingerprint,
    f.rule,
    f.severity,
    f.subject,
    f.subject_date,
    f.title,
    f.action,
    f.evidence,
    f.evidence_sql,
    'open' as state,
    $as_of as first_seen_date,
    $as_of as last_seen_date,
    null::date as resolved_date,
    1 as n_seen,
    null::boolean as is_true,
    '' as decided_by,
    '' as decision_reason,
    null::date as until_date,
    null::timestamptz as delivered_at,
    '' as message_id
from finding as f
where not exists (from ops.alert as a where a.fingerprint = f.fingerprint)
order by f.fingerprint
