-- Channels that have not taken a message of an earlier day. One row per channel: a channel that is down is one trouble.
-- subject_date is the day of the oldest message that waits, which stays the same while the channel is down.
-- $start_date does not narrow it: a message waits until it is taken. One that is held waits for a digest, and one that
-- was never tried may wait for the end of quiet hours: both are a trouble only when a run two days later left them, as
-- days may pass between runs. An earlier day's run, since this one sends after its checks.
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
where (
        state in ('waiting', 'claimed') and (n_tries > 0 or severity = 'high')
        or state in ('waiting', 'held')
            and created_at + interval 2 days < (
                select max(started_at) from ops.run
                where flow = 'daily' and snapshot is not null and as_of_date < $as_of
            )
    )
    and as_of_date between least($start_date, date '1990-01-01') and $as_of - 1
group by channel
order by channel
