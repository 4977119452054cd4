-- One row per session and industry: equal-weighted simple return (fraction) and CNY traded.
create or replace view analyst.industry_day as
select
    r.trade_date,
    coalesce(stock.industry, '-') as industry,
    count(*) as n_bars,
    avg(exp(r.log_return_1d) - 1) as mean_return,
    sum(bar.amount * 1000) as amount_cny
from feature.log_return as r
join market.daily as bar using (ts_code, trade_date)
left join market.stock_basic as stock using (ts_code)
group by all
