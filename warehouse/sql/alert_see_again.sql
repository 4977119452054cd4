-- Known alerts found again: reopened when resolved, brought up to date, and counted once a day.
-- Input: registered `finding`. Rows that would not change are left alone, so that a second run writes nothing.
update ops.alert as a
set severity = f.severity,
    title = f.title,
    evidence = f.evidence,
    evidence_sql = f.evidence_sql,
    state = case when a.state = 'resolved' then 'open' else a.state end,
    resolved_date = null,
    decided_by = case when a.state = 'resolved' then '' else a.decided_by end,
    decision_reason = case when a.state = 'resolved' then '' else a.decision_reason end,
    until_date = case when a.state = 'resolved' then null else a.until_date end,
    last_seen_date = greatest(a.last_seen_date, $as_of),
    n_seen = a.n_seen + (a.last_seen_date < $as_of)::bigint,
    delivered_at = case when a.state = 'resolved' then null else a.delivered_at end,
    message_id = case when a.state = 'resolved' then '' else a.message_id end
from finding as f
where a.fingerprint = f.fingerprint
    and a.last_seen_date <= $as_of
    and (a.last_seen_date < $as_of or a.state = 'resolved' or a.title <> f.title or a.evidence <> f.evidence)
