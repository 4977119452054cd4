-- One row per partition asked for whose ledger row must be written: none for it yet, or one that says something else.
-- Inputs: temp tables `asked_for` (what was asked, what came, what stands; n_received is NULL when nothing came) and
-- `held` (the ledger rows of these partitions); $load_id, $loaded_at.
-- Rules easy to get wrong: a worse answer for the same day never replaces what a whole partition's row says, but the
-- digest of what stands must follow the rows whatever the answer was; and a partition that is not whole keeps the day
-- through which it was last known.
create temp table ledger_entry as
with judged as (
    select
        a.dataset,
        a.partition,
        a.through_date,
        coalesce(a.n_expected, held.n_expected) as n_expected,
        -- No row where rows stand and none need be: the vendor took back what may have been right, and the rows stay.
        coalesce(a.n_received, if(a.may_be_empty and a.failure = '' and a.n_stored > 0, held.n_received, null), 0)
            as n_received,
        a.n_quarantined,
        a.content_hash,
        case
            when a.failure <> '' and a.n_stored > 0 then 'partial'
            when a.failure <> '' then 'failed'
            when a.n_received is null and a.may_be_empty and a.n_stored = 0 then 'empty_confirmed'
            when a.n_received is null and a.may_be_empty then 'ok'
            when a.n_stored = 0 then 'failed'
            when a.n_received is null or a.n_received < coalesce(a.n_required, a.n_expected, held.n_expected) then 'partial'
            else 'ok'
        end as state,
        a.failure,
        a.cause,
        a.asked_date,
        if(a.failure = '' and a.n_received > 0, a.asked_date, null) as answered_date
    from asked_for as a left join held using (dataset, partition)
),
explained as (
    select
        dataset,
        partition,
        state,
        state in ('ok', 'empty_confirmed') as is_whole,
        through_date,
        n_expected,
        n_received,
        n_quarantined,
        content_hash,
        case
            when failure <> '' then failure
            when state = 'failed' and n_received > 0 then 'every row that came was set aside'
            when state = 'failed' then 'the vendor sent no row for a partition that must have some'
            when state = 'partial' and n_received = 0 then 'the vendor no longer sends the rows it sent before'
            when state = 'partial' and n_expected is null
                then format('{} rows came, fewer than any session has', n_received)
            when state = 'partial' then format('{} of {} expected rows came', n_received, n_expected)
            else ''
        end as reason,
        case
            when state = 'empty_confirmed' then coalesce(nullif(cause, ''), 'genuine')
            when state = 'ok' then ''
            -- A refused question may leave rows too: those that are known without the vendor.
            when failure = '' and n_received > 0 then ''
            else coalesce(nullif(cause, ''), 'vendor_error')
        end as cause,
        asked_date,
        answered_date
    from judged
),
compared as (
    select
        e.*,
        held.state in ('ok', 'empty_confirmed') and not e.is_whole and e.through_date <= held.through_date as is_worse
    from explained as e left join held using (dataset, partition)
),
said as (
    select
        c.dataset,
        c.partition,
        case when c.is_worse then held.state else c.state end as state,
        case when c.is_whole then greatest(c.through_date, held.through_date)
            else coalesce(held.through_date, c.through_date) end as through_date,
        case when c.is_worse then held.n_expected else c.n_expected end as n_expected,
        case when c.is_worse then held.n_received else c.n_received end as n_received,
        case when c.is_worse then held.n_quarantined else c.n_quarantined end as n_quarantined,
        c.content_hash,
        case when c.is_worse then held.reason else c.reason end as reason,
        case when c.is_worse then held.cause else c.cause end as cause,
        case when c.is_worse then held.asked_date else coalesce(c.asked_date, held.asked_date) end as asked_date,
        coalesce(held.first_asked_date, held.asked_date, c.asked_date) as first_asked_date,
        coalesce(held.first_answered_date, c.answered_date) as first_answered_date,
        coalesce(held.n_attempts, 0) + 1 as n_attempts
    from compared as c left join held using (dataset, partition)
)
select
    s.*,
    $load_id as load_id,
    $loaded_at::timestamptz as loaded_at
from said as s left join held using (dataset, partition)
where held.partition is null
    or s.asked_date > coalesce(held.asked_date, date '0001-01-01')
    or s.first_answered_date is distinct from held.first_answered_date
    or (s.state, s.through_date, s.n_expected, s.n_received, s.n_quarantined, s.content_hash, s.reason, s.cause)
        is distinct from
        (held.state, held.through_date, held.n_expected, held.n_received, held.n_quarantined, held.content_hash,
        held.reason, held.cause)
