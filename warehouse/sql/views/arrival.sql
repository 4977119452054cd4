-- One row per dataset pulled by session, and session of which rows stand: when the first of them was received, and how
-- long after it was due: 17:00 in Shanghai, by when the vendor says that all four are out (MARKET_PUBLISHED).
-- Rule easy to get wrong: a session first asked for on a later day says nothing about when the vendor had it, and rows
-- written anew keep the instant of the new ones; then hours_after_due is NULL and unknown_because says why.
create or replace view analyst.arrival as
with came as (
    select 'market.daily' as dataset, trade_date as session_date, min(retrieved_at) as arrived_at
    from market.daily
    group by trade_date
    union all
    select 'market.adj_factor', trade_date, min(retrieved_at) from market.adj_factor group by trade_date
    union all
    select 'market.daily_basic', trade_date, min(retrieved_at) from market.daily_basic group by trade_date
    union all
    select 'market.suspend_d', trade_date, min(retrieved_at) from market.suspend_d group by trade_date
),
dated as (
    select
        came.*,
        l.first_asked_date,
        l.first_answered_date,
        -- Shanghai's clock, UTC+8 without summer time since 1991: no table of time zones is asked.
        make_timestamp(epoch_us(came.arrived_at) + 28800000000)::date as arrived_date
    from came
    left join ops.ledger as l
        on l.dataset = came.dataset and l.partition = strftime(came.session_date, '%Y-%m-%d')
),
explained as (
    select
        *,
        case
            when first_answered_date is null then 'came from files'
            when first_asked_date > session_date then 'first asked for later'
            when first_answered_date <> arrived_date then 'written anew since'
            else ''
        end as unknown_because
    from dated
)
select
    dataset,
    session_date,
    arrived_at,
    arrived_date,
    case when unknown_because = '' then (epoch(arrived_at) - epoch(session_date)) / 3600 - (17 - 8) end
        as hours_after_due,
    unknown_because
from explained
