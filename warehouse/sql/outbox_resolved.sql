-- Runs that resolved alerts of which a channel's digest is to tell and for which nothing is held yet: one row a run.
-- A run's changes share its instant; the message's identity is made of it, so that a run is held for once a channel.
-- Rule easy to get wrong: by what is held, not by a time of day, as a run commits long after its own instant.
with resolved as (
    select
        left(sha256(format('resolved|{}', epoch_us(c.changed_at))), 16) as message_id,
        c.changed_date,
        a.fingerprint,
        a.severity,
        a.title
    from ops.alert_change as c
    join ops.alert as a using (fingerprint)
    where c.event = 'resolved'
        and c.changed_by = 'daybook'
        and c.changed_at > $since
        and a.severity in (select unnest($severities))
)
select
    message_id,
    case when bool_or(severity = 'high') then 'high' when bool_or(severity = 'medium') then 'medium' else 'low' end
        as severity,
    format('Daybook {}: {} resolved', max(changed_date), count(distinct fingerprint)) as title,
    string_agg(distinct format('[{}] {}', severity, title), chr(10)) as body,
    count(distinct fingerprint) as n_alerts,
    max(changed_date) as as_of_date
from resolved
where message_id not in (select message_id from ops.outbox where channel = $channel)
group by message_id
order by message_id
