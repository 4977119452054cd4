-- Securities listed on each session, and how many rows it must have: those that are not suspended all day.
-- Parameter: $sessions. Rule easy to get wrong: what cannot be counted is not expected. n_rows is NULL while a session's
-- suspensions are not known whole, and while no security is known there is no row at all.
with day as (
    select unnest($sessions) as trade_date
),
known as (
    select day.trade_date
    from day
    join ops.ledger as entry
        on entry.dataset = 'market.suspend_d' and entry.state in ('ok', 'empty_confirmed')
        and entry.partition = strftime(day.trade_date, '%Y-%m-%d')
),
suspended as (
    select ts_code, trade_date
    from market.suspend_d
    where suspend_type = 'S' and suspend_timing is null and trade_date in (select trade_date from known)
)
select
    day.trade_date,
    count(*) as n_listed,
    if(any_value(known.trade_date) is null, null, count(*) filter (where suspended.ts_code is null)) as n_rows
from day
join market.stock_basic as s
    on s.list_date <= day.trade_date and (s.delist_date is null or s.delist_date > day.trade_date)
left join (select distinct trade_date from known) as known on known.trade_date = day.trade_date
left join (select distinct ts_code, trade_date from suspended) as suspended
    on suspended.ts_code = s.ts_code and suspended.trade_date = day.trade_date
group by day.trade_date
