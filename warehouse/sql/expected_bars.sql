-- One row per session of $sessions: how many bars it must have.
-- Inputs: market.stock_basic, market.code_change; $halted_codes and $halted_days list the suspensions of a whole day.
-- Rule easy to get wrong: a security whose code changed counts once, though the vendor may list it under both codes;
-- delist_date is the first day without trading.
with day as (
    select unnest($sessions::date[]) as trade_date
),
listed as (
    select distinct
        day.trade_date,
        coalesce(change.new_code, stock.ts_code) as ts_code
    from day
    join market.stock_basic as stock
        on stock.list_date <= day.trade_date and (stock.delist_date is null or stock.delist_date > day.trade_date)
    left join market.code_change as change on change.old_code = stock.ts_code
),
halted as (
    select distinct
        halt.trade_date,
        coalesce(change.new_code, halt.ts_code) as ts_code
    from (select unnest($halted_codes::varchar[]) as ts_code, unnest($halted_days::date[]) as trade_date) as halt
    left join market.code_change as change on change.old_code = halt.ts_code
)
select
    day.trade_date,
    count(trading.ts_code) as n_expected
from day
left join (from listed anti join halted using (trade_date, ts_code)) as trading using (trade_date)
group by day.trade_date
order by day.trade_date
