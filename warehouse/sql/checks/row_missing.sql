-- Sessions that count as whole and yet lack rows that must be there: listed, not suspended securities without a bar, or
-- bars without factor or basics. One row per table and session, when more than $missing_fraction is missing.
-- Rule easy to get wrong: a count is no proof. A bar of a security that nobody expected, or a factor of a suspended one,
-- makes up for a row that never came. Bars set aside have an alert of their own; from 1 in 100 they are a gap as well.
with whole as (
    select dataset, cast(partition as date) as trade_date
    from ops.ledger
    where dataset in ('market.daily', 'market.adj_factor', 'market.daily_basic') and state = 'ok'
        and cast(partition as date) between $start_date and $as_of
),
bar as (
    select bar.trade_date, bar.ts_code, coalesce(change.new_code, bar.ts_code) as security
    from market.daily as bar
    left join market.code_change as change on change.old_code = bar.ts_code
    where bar.trade_date between $start_date and $as_of
),
listed as (
    select distinct whole.trade_date, coalesce(change.new_code, stock.ts_code) as security
    from whole
    join market.stock_basic as stock
        on stock.list_date <= whole.trade_date
        and (stock.delist_date is null or stock.delist_date > whole.trade_date)
    left join market.code_change as change on change.old_code = stock.ts_code
    where whole.dataset = 'market.daily'
),
suspended as (
    select halt.trade_date, coalesce(change.new_code, halt.ts_code) as security
    from market.suspend_d as halt
    left join market.code_change as change on change.old_code = halt.ts_code
    where halt.trade_date between $start_date and $as_of
        and halt.suspend_type = 'S' and halt.suspend_timing is null
),
wanted as (
    select 'market.daily' as dataset, trade_date, security
    from listed
    anti join suspended using (trade_date, security)
    union all
    select whole.dataset, bar.trade_date, bar.ts_code
    from whole
    join bar using (trade_date)
    where whole.dataset <> 'market.daily'
),
held as (
    select distinct 'market.daily' as dataset, trade_date, security from bar
    union all
    select 'market.adj_factor', trade_date, ts_code
    from market.adj_factor where trade_date between $start_date and $as_of
    union all
    select 'market.daily_basic', trade_date, ts_code
    from market.daily_basic where trade_date between $start_date and $as_of
),
set_aside as (
    select distinct
        quarantine.dataset,
        try_cast(json_extract_string(row_json, '$.trade_date') as date) as trade_date,
        coalesce(change.new_code, json_extract_string(row_json, '$.ts_code')) as security
    from ops.quarantine as quarantine
    left join market.code_change as change on change.old_code = json_extract_string(row_json, '$.ts_code')
    where quarantine.dataset = 'market.daily'
),
judged as (
    select
        wanted.dataset,
        wanted.trade_date,
        count(*) as n_wanted,
        count(*) filter (where held.security is null) as n_missing,
        count(*) filter (where held.security is null and set_aside.security is not null) as n_set_aside,
        min(wanted.security) filter (where held.security is null) as first_code
    from wanted
    left join held using (dataset, trade_date, security)
    left join set_aside using (dataset, trade_date, security)
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
where n_missing - n_set_aside > $missing_fraction * n_wanted or n_set_aside > greatest(3, 0.01 * n_wanted)
order by dataset, trade_date
