-- One row per index and session: closing level in points, simple return (fraction) on the vendor's previous close, and
-- volatility of the last 20 log returns per year of 252 sessions, NULL in an index's first 19.
create or replace view analyst.index_day as
select
    ts_code,
    trade_date,
    close as close_points,
    close / pre_close - 1 as simple_return_1d,
    if(count(*) over last_20 = 20, stddev_samp(ln(close / pre_close)) over last_20, null) * sqrt(252)
        as volatility_20d_annual
from market.index_daily
window last_20 as (partition by ts_code order by trade_date rows between 19 preceding and current row)
