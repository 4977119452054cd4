-- Prices forward-adjusted to `as_of`: raw x factor / the security's newest factor known that day, so that its last price
-- is the traded one. One row per security and session up to that day.
-- Inputs: bars_asof, adj_factor_asof.
-- Rule easy to get wrong: the same session has other adjusted prices as of another day; compare within one `as_of`.
create or replace macro main.price_adjusted_asof(as_of) as table
with factor as (
    from adj_factor_asof(as_of)
),
newest as (
    select ts_code, arg_max(adj_factor, trade_date) as adj_factor from factor group by ts_code
)
select
    bar.ts_code,
    bar.trade_date,
    bar.open * factor.adj_factor / newest.adj_factor as open_adjusted_cny,
    bar.high * factor.adj_factor / newest.adj_factor as high_adjusted_cny,
    bar.low * factor.adj_factor / newest.adj_factor as low_adjusted_cny,
    bar.close * factor.adj_factor / newest.adj_factor as close_adjusted_cny,
    bar.close as close_cny,
    bar.vol * 100 as volume_shares,
    bar.amount * 1000 as amount_cny
from bars_asof(as_of) as bar
left join factor using (ts_code, trade_date)
left join newest using (ts_code)
