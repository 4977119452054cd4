-- Bars from `start_date` to `end_date` with the price limits of their day, in CNY: one row per security and session.
-- Limits are 20 % on STAR (688, 689) and, since 2020-08-24, ChiNext (300, 301, 302); 30 % in Beijing; 10 % elsewhere;
-- 5 % for securities under special treatment (ST) of the other boards. The limit price is pre_close x (1 +- limit), half
-- a fen rounded up, the lower limit too: 69.85 x 1.1 is 76.84, though its binary form lies below 76.835, and 10.05 x 0.9
-- is 9.05. Without limit
-- (`has_limit` is false) are a security's first five sessions on boards with registration (STAR; ChiNext since
-- 2020-08-24; the others since 2023-04-10), and else its first.
-- Rule easy to get wrong: the vendor's name is today's, so ST counts only from the day the lake first held the list, by
-- what it was called then; and as the exchanges may end the 5 % (in 2025 they said they would), it is held against ST
-- bars only while no more than 1 in 200 of them, or one, went beyond it in the 30 days up to the bar.
create or replace macro main.price_limits_between(start_date, end_date) as table
with bar as (
    select
        ts_code,
        trade_date,
        high,
        low,
        close,
        pre_close,
        case
            when ts_code like '688%' or ts_code like '689%' then 0.2
            when ts_code like '30%.SZ' and trade_date >= date '2020-08-24' then 0.2
            when ts_code like '%.BJ' then 0.3
            else 0.1
        end as board_fraction,
        case
            when ts_code like '688%' or ts_code like '689%' then 5
            when ts_code like '30%.SZ' then if(trade_date >= date '2020-08-24', 5, 1)
            when ts_code like '%.BJ' then 1
            else if(trade_date >= date '2023-04-10', 5, 1)
        end as n_free_sessions
    from market.daily
    where trade_date between start_date::date - interval 30 day and end_date::date
),
list_held as (
    select min(retrieved_at)::date as since_date from market.stock_basic
),
renamed as (
    select json_extract_string(row_key, '$.ts_code') as ts_code, revised_date, revision_no, old_value
    from ops.revision
    where dataset = 'market.stock_basic' and column_name = 'name'
),
named as (
    select bar.ts_code, bar.trade_date,
        coalesce(arg_min(renamed.old_value, renamed.revision_no), any_value(stock.name)) as name
    from bar
    join market.stock_basic as stock using (ts_code)
    left join renamed on renamed.ts_code = bar.ts_code and renamed.revised_date > bar.trade_date
    where bar.board_fraction = 0.1 and bar.trade_date >= (select since_date from list_held)
        and (stock.name like '%ST%' or bar.ts_code in (select ts_code from renamed))
    group by bar.ts_code, bar.trade_date
),
special as (
    select
        bar.ts_code,
        bar.trade_date,
        bar.high > round(bar.pre_close * 1.05 + 1e-6, 2) + 0.005 or bar.low < round(bar.pre_close * 0.95 + 1e-6, 2) - 0.005 as is_beyond
    from bar
    join named using (ts_code, trade_date)
    where named.name like '%ST%'
),
of_day as (
    select trade_date, count(*) as n_bars, count(*) filter (is_beyond) as n_beyond
    from special
    group by trade_date
),
regime as (
    select
        trade_date,
        sum(n_beyond) over days <= greatest(1, 0.005 * sum(n_bars) over days) as is_kept
    from of_day
    window days as (order by trade_date range between interval 30 day preceding and current row)
),
young as (
    select bar.ts_code, bar.trade_date
    from bar
    join market.stock_basic as stock using (ts_code)
    left join market.trade_cal as cal
        on cal.exchange = 'SSE' and cal.is_open and cal.cal_date between stock.list_date and bar.trade_date
    where stock.list_date >= bar.trade_date - interval 30 day
    group by bar.ts_code, bar.trade_date, bar.n_free_sessions
    having count(cal.cal_date) <= bar.n_free_sessions
),
limited as (
    select
        bar.*,
        if(special.ts_code is not null and regime.is_kept, 0.05, bar.board_fraction) as limit_fraction,
        young.ts_code is null as has_limit
    from bar
    left join special using (ts_code, trade_date)
    left join regime using (trade_date)
    left join young using (ts_code, trade_date)
    where bar.trade_date >= start_date::date
)
select
    ts_code,
    trade_date,
    high,
    low,
    close,
    pre_close,
    limit_fraction,
    round(pre_close * (1 + limit_fraction) + 1e-6, 2) as limit_up_cny,
    round(pre_close * (1 - limit_fraction) + 1e-6, 2) as limit_down_cny,
    has_limit
from limited
