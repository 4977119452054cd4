-- Channels that have not taken a message of an earlier day. One row per channel: a channel that is down is one trouble.
-- subject_date is the day of the oldest message that waits, which stays the same while the channel is down.
-- $start_date does not narrow it: a message waits until it is taken. One that is held waits for a digest, a day at most.
select
    channel as subject,
    min(as_of_date) as subject_date,
    format('channel {} has not taken {} since {}: {}', channel,
        case when count(*) = 1 then 'a message' else format('{} messages', count(*)) end, min(as_of_date),
        coalesce(nullif(max_by(last_error, n_tries), ''), 'it was not tried')) as title,
    json_object('n_messages', count(*), 'n_tries', max(n_tries))::varchar as evidence,
    format('select message_id, state, n_tries, last_error, title from ops.outbox where channel = ''{}'' and state not in (''sent'', ''gathered'')',
        channel) as evidence_sql
from ops.outbox
where (state in ('waiting', 'claimed') or state = 'held' and created_at::date < $as_of - 2)
    and as_of_date between least($start_date, date '1990-01-01') and $as_of - 1
group by channel
order by channel
