-- How many rows each session must have: securities listed that day, less those suspended all day; one row per session.
-- Parameter: $sessions. Rule easy to get wrong: a session whose suspensions are not known whole is left out, and so is
-- every one while no security is known: what cannot be counted is not expected.
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
select known.trade_date, count(*) as n_rows
from known
join market.stock_basic as s
    on s.list_date <= known.trade_date and (s.delist_date is null or s.delist_date > known.trade_date)
anti join suspended on suspended.ts_code = s.ts_code and suspended.trade_date = known.trade_date
group by known.trade_date
