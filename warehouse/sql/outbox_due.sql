-- Messages that may be sent now: one row per message and channel, oldest first, for the channels that are set.
-- Due is what waits and whose time has come, what this sender claimed before (it holds the lock, so that sender died),
-- and what another one claimed too long ago. A channel gets at most $per_hour messages an hour, those sent included; in
-- quiet hours $severities are the gravest only. What is held for a channel without a digest any more ($digests) is due.
with taken as (
    select channel, count(*) as n_sent
    from ops.outbox
    where sent_at > $since and sent_at <= $at
    group by channel
),
due as (
    select message_id, channel, severity, title, body, n_tries + 1 as n_tries, as_of_date, created_at
    from ops.outbox
    where channel in (select unnest($channels))
        and severity in (select unnest($severities))
        and (
            state = 'waiting' and ($is_urgent or next_try_at <= $at)
            or state = 'held' and channel not in (select unnest($digests))
            or state = 'claimed' and (claimed_by = $sender or claimed_at < $dead_before)
        )
)
select d.message_id, d.channel, d.severity, d.title, d.body, d.n_tries, d.as_of_date
from due as d
left join taken as t using (channel)
qualify row_number() over (partition by d.channel order by d.created_at, d.message_id)
    <= $per_hour - coalesce(t.n_sent, 0)
order by d.created_at, d.message_id, d.channel
