-- One row per index and session: closing level in points and simple return (fraction) on the vendor's previous close.
create or replace view analyst.index_day as
select
    ts_code,
    trade_date,
    close as close_points,
    close / pre_close - 1 as simple_return_1d
from market.index_daily
