-- Closes from `start_date` to `end_date` that are the highest or lowest of 252 sessions of their security, on
-- back-adjusted prices: one row per security and session that has so many sessions with a factor behind it.
-- Inputs: market.daily, market.adj_factor.
-- Rule easy to get wrong: a window counts the security's own sessions, and is found in the 420 days before `start_date`;
-- a security that was suspended for so long, or is younger, has no row.
create or replace macro main.extremes_between(start_date, end_date) as table
with price as (
    select bar.ts_code, bar.trade_date, bar.close * factor.adj_factor as price
    from market.daily as bar
    join market.adj_factor as factor using (ts_code, trade_date)
    where bar.close > 0
        and bar.trade_date between start_date::date - interval 420 day and end_date::date
        and factor.trade_date between start_date::date - interval 420 day and end_date::date
),
compared as (
    select
        ts_code,
        trade_date,
        price,
        max(price) over last_252 as highest,
        min(price) over last_252 as lowest,
        count(price) over last_252 as n_sessions
    from price
    window last_252 as (partition by ts_code order by trade_date rows between 251 preceding and current row)
)
select ts_code, trade_date, price >= highest as is_high_252d, price <= lowest as is_low_252d
from compared
where n_sessions = 252 and trade_date >= start_date::date
