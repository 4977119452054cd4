-- Log returns, volatility and drawdown from the prices known on `as_of`: one row per bar up to that day.
-- Inputs: bars_asof, adj_factor_asof. Columns as feature.log_return, which holds the same for what is known now.
-- Rule easy to get wrong: a window counts the security's own sessions, a suspension is skipped; a volatility needs all
-- 20 returns, a drawdown takes what there is.
create or replace macro main.returns_asof(as_of) as table
with price as (
    -- A price that is none has no logarithm.
    select bar.ts_code, bar.trade_date, if(bar.close > 0, bar.close * factor.adj_factor, null) as price
    from bars_asof(as_of) as bar
    left join adj_factor_asof(as_of) as factor using (ts_code, trade_date)
),
returned as (
    select
        ts_code,
        trade_date,
        price,
        ln(price) - ln(lag(price, 1) over by_code) as log_return_1d,
        ln(price) - ln(lag(price, 5) over by_code) as log_return_5d,
        ln(price) - ln(lag(price, 20) over by_code) as log_return_20d,
        ln(price) - ln(lag(price, 60) over by_code) as log_return_60d,
        ln(price) - ln(lag(price, 252) over by_code) as log_return_252d
    from price
    window by_code as (partition by ts_code order by trade_date)
)
select
    ts_code,
    trade_date,
    log_return_1d,
    log_return_5d,
    log_return_20d,
    log_return_60d,
    log_return_252d,
    case when count(log_return_1d) over last_20 = 20 then stddev_samp(log_return_1d) over last_20 end as volatility_20d,
    price / max(price) over last_252 - 1 as drawdown_252d
from returned
window
    last_20 as (partition by ts_code order by trade_date rows between 19 preceding and current row),
    last_252 as (partition by ts_code order by trade_date rows between 251 preceding and current row)
