-- One row per security and session: raw and back-adjusted prices in CNY, volume in shares, amount in CNY.
-- Back-adjusted = raw x cumulative factor; compare it within a security only. NULL when the factor is missing.
-- Shares and CNY are converted from the vendor's lots of 100 and thousands; turnover is a fraction of the float.
create or replace view analyst.price_adjusted as
select
    bar.ts_code,
    stock.name,
    stock.industry,
    bar.trade_date,
    bar.open as open_cny,
    bar.high as high_cny,
    bar.low as low_cny,
    bar.close as close_cny,
    bar.open * factor.adj_factor as open_adjusted_cny,
    bar.high * factor.adj_factor as high_adjusted_cny,
    bar.low * factor.adj_factor as low_adjusted_cny,
    bar.close * factor.adj_factor as close_adjusted_cny,
    bar.vol * 100 as volume_shares,
    bar.amount * 1000 as amount_cny,
    basic.turnover_rate / 100 as turnover_fraction
from market.daily as bar
left join market.adj_factor as factor using (ts_code, trade_date)
left join market.daily_basic as basic using (ts_code, trade_date)
left join market.stock_basic as stock using (ts_code)
