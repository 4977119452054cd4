-- Sessions that count as whole and yet lack a row somebody must find there: a listed, not suspended security without
-- its bar, or a bar without its factor or its basics. One row per table and session.
-- Rule easy to get wrong: a count is no proof. A bar of a security that nobody expected, or a factor of a suspended one,
-- makes up for a row that never came. A bar that was set aside is an alert of its own, unless too many were.
with whole as (
    select dataset, cast(partition as date) as trade_date
    from ops.ledger
    where dataset in ('market.daily', 'market.adj_factor', 'market.daily_basic') and state = 'ok'
        and cast(partition as date) between $start_date and $as_of
),
bar as (
    select ts_code, trade_date from market.daily where trade_date between $start_date and $as_of
),
suspended as (
    select ts_code, trade_date
    from market.suspend_d
    where trade_date between $start_date and $as_of and suspend_type = 'S' and suspend_timing is null
),
wanted as (
    select whole.dataset, whole.trade_date, stock.ts_code
    from whole
    join market.stock_basic as stock
        on stock.list_date <= whole.trade_date
        and (stock.delist_date is null or stock.delist_date > whole.trade_date)
    anti join suspended on suspended.ts_code = stock.ts_code and suspended.trade_date = whole.trade_date
    where whole.dataset = 'market.daily'
    union all
    select whole.dataset, whole.trade_date, bar.ts_code
    from whole
    join bar using (trade_date)
    where whole.dataset <> 'market.daily'
),
held as (
    select 'market.daily' as dataset, ts_code, trade_date from bar
    union all
    select 'market.adj_factor', ts_code, trade_date
    from market.adj_factor where trade_date between $start_date and $as_of
    union all
    select 'market.daily_basic', ts_code, trade_date
    from market.daily_basic where trade_date between $start_date and $as_of
),
set_aside as (
    select distinct
        dataset,
        json_extract_string(row_json, '$.ts_code') as ts_code,
        try_cast(json_extract_string(row_json, '$.trade_date') as date) as trade_date
    from ops.quarantine
    where dataset = 'market.daily'
),
judged as (
    select
        wanted.dataset,
        wanted.trade_date,
        count(*) as n_wanted,
        count(*) filter (where held.ts_code is null) as n_missing,
        count(*) filter (where held.ts_code is null and set_aside.ts_code is not null) as n_set_aside,
        min(wanted.ts_code) filter (where held.ts_code is null) as first_code
    from wanted
    left join held using (dataset, trade_date, ts_code)
    left join set_aside using (dataset, trade_date, ts_code)
    group by wanted.dataset, wanted.trade_date
)
select
    dataset as subject,
    trade_date as subject_date,
    format('{} {} lacks {} of {} rows it must have, such as that of {}', dataset, trade_date, n_missing, n_wanted,
        first_code) as title,
    json_object('n_wanted', n_wanted, 'n_missing', n_missing, 'n_set_aside', n_set_aside)::varchar as evidence,
    format('select * from analyst.coverage where dataset = ''{}'' and session_date = date ''{}''', dataset, trade_date)
        as evidence_sql
from judged
where n_missing > n_set_aside or n_set_aside > greatest(3, 0.01 * n_wanted)
order by dataset, trade_date
