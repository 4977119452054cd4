-- Alerts that a channel took a message of, or a digest that stands for it. Input: registered `tried`, one row per message
-- and channel; an empty refusal means it was taken. A gathered message's `claimed_by` is its digest.
update ops.alert
set delivered_at = $at
where delivered_at is null
    and message_id in (
        select message_id from tried where refusal = ''
        union all
        select o.message_id
        from ops.outbox as o
        join tried as t on o.claimed_by = t.message_id and o.channel = t.channel
        where o.state = 'gathered' and t.refusal = ''
    )
