-- What came of tries. Input: registered `tried`, one row per message and channel; an empty refusal means it was taken.
-- A message that is known to be sent stays so: a receipt may be read twice.
update ops.outbox as o
set state = case when t.refusal = '' then 'sent' else 'waiting' end,
    sent_at = case when t.refusal = '' then $at end,
    next_try_at = case when t.refusal = '' then o.next_try_at else t.next_try_at end,
    last_error = t.refusal
from tried as t
where o.message_id = t.message_id and o.channel = t.channel and o.state <> 'sent'
