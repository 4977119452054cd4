-- One row per partition asked for whose ledger row must be written: none for it yet, or one that says something else.
-- Inputs: temp tables `asked_for` (what was asked), `received` and `stored` (what came, what stands); $dataset.
-- Rule easy to get wrong: a worse answer for the same day never replaces a whole partition's row, and a partition that
-- is not whole keeps the day through which it was last known.
create temp table ledger_entry as
with judged as (
    select
        a.partition,
        a.through_date,
        a.n_expected,
        coalesce(r.n_received, 0) as n_received,
        coalesce(r.n_quarantined, 0) as n_quarantined,
        coalesce(s.content_hash, 0)::ubigint as content_hash,
        case
            when a.failure <> '' and s.n_stored > 0 then 'partial'
            when a.failure <> '' then 'failed'
            when r.n_received is null and a.may_be_empty and s.n_stored is null then 'empty_confirmed'
            when r.n_received is null and a.may_be_empty then 'ok'
            when s.n_stored is null then 'failed'
            when r.n_received is null or r.n_received < coalesce(a.n_required, a.n_expected) then 'partial'
            else 'ok'
        end as state,
        a.failure,
        a.cause,
        a.asked_date
    from asked_for as a
    left join received as r using (partition)
    left join stored as s using (partition)
),
explained as (
    select
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
            when state = 'partial' then format('{} of {} expected rows came', n_received, n_expected)
            else ''
        end as reason,
        case
            when state = 'empty_confirmed' then coalesce(nullif(cause, ''), 'genuine')
            when n_received > 0 or state = 'ok' then ''
            else coalesce(nullif(cause, ''), 'vendor_error')
        end as cause,
        asked_date
    from judged
),
held as (
    select *, state in ('ok', 'empty_confirmed') as is_whole from ops.ledger where dataset = $dataset
),
not_worse as (
    select
        e.* replace (
            case when e.is_whole then e.through_date else coalesce(held.through_date, e.through_date) end as through_date
        )
    from explained as e left join held using (partition)
    where held.partition is null or e.is_whole or not held.is_whole or e.through_date > held.through_date
)
select
    $dataset as dataset,
    n.partition,
    n.state,
    n.through_date,
    n.n_expected,
    n.n_received,
    n.n_quarantined,
    n.content_hash,
    n.reason,
    n.cause,
    coalesce(n.asked_date, held.asked_date) as asked_date,
    coalesce(held.n_attempts, 0) + 1 as n_attempts
from not_worse as n left join held using (partition)
where held.partition is null
    or n.asked_date > coalesce(held.asked_date, date '0001-01-01')
    or (n.state, n.through_date, n.n_expected, n.n_received, n.n_quarantined, n.content_hash, n.reason, n.cause)
        is distinct from
        (held.state, held.through_date, held.n_expected, held.n_received, held.n_quarantined, held.content_hash,
        held.reason, held.cause)
