-- One row per session: breadth, mean and median simple return (fractions), their dispersion, and CNY traded.
-- Equal-weighted over the securities with a bar that session and a bar before it. The median volatility is over those
-- with 20 returns, annualised by the square root of 252 sessions.
create or replace view analyst.market_day as
with priced as (
    select
        r.trade_date,
        exp(r.log_return_1d) - 1 as simple_return_1d,
        r.volatility_20d * sqrt(252) as volatility_20d_annual,
        bar.amount * 1000 as amount_cny
    from feature.log_return as r
    join market.daily as bar using (ts_code, trade_date)
)
select
    trade_date,
    count(*) as n_bars,
    count(*) filter (where simple_return_1d > 0) as n_up,
    count(*) filter (where simple_return_1d < 0) as n_down,
    count(*) filter (where simple_return_1d = 0) as n_unchanged,
    avg(simple_return_1d) as mean_return,
    median(simple_return_1d) as median_return,
    stddev_samp(simple_return_1d) as return_dispersion,
    median(volatility_20d_annual) as median_volatility_20d_annual,
    sum(amount_cny) as amount_cny
from priced
group by trade_date
