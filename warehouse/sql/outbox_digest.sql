-- What a channel's digest tells: alerts of the messages that are held for it, and those that a run it holds resolved.
-- One row per alert; `is_new` is whether it opened, else it is one that was told before and has been resolved since.
-- Rule easy to get wrong: one that opened and was resolved meanwhile is told once, and one that opened again is open.
with held as (
    select message_id from ops.outbox where channel = $channel and state = 'held'
),
ended as (
    select distinct c.fingerprint
    from ops.alert_change as c
    join held as h on h.message_id = left(sha256(format('resolved|{}', epoch_us(c.changed_at))), 16)
    where c.event = 'resolved' and c.changed_by = 'daybook'
)
select
    a.fingerprint,
    a.rule,
    a.severity,
    a.subject,
    a.subject_date,
    a.title,
    a.action,
    a.evidence,
    a.evidence_sql,
    a.state,
    a.message_id in (from held) as is_new
from ops.alert as a
where a.message_id in (from held)
    or (
        a.state = 'resolved'
        and a.fingerprint in (from ended)
        and a.severity in (select unnest($severities))
    )
order by a.fingerprint
