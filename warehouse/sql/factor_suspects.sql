-- One row per security whose adjustment factors do not fit what is stored: its history may have been corrected.
-- Inputs: $sessions (days just loaded), $today (Shanghai's day of the run).
-- Rule easy to get wrong: t-1 is the security's previous bar, which may lie months back; the tolerance is that of the
-- check `adjustment_misfit`, a fen and 2 in 10,000, for the rounding of prices and factors.
with bar as (
    select daily.ts_code, daily.trade_date, daily.close, daily.pre_close, factor.adj_factor
    from market.daily as daily
    join market.adj_factor as factor using (ts_code, trade_date)
    where daily.trade_date >= (select min(day) from (select unnest($sessions::date[]) as day)) - interval 400 day
),
paired as (
    select
        *,
        lag(close) over by_code as close_before,
        lag(adj_factor) over by_code as factor_before
    from bar
    window by_code as (partition by ts_code order by trade_date)
),
misfit as (
    select ts_code
    from paired
    where trade_date in (select unnest($sessions::date[]))
        and abs(close_before * factor_before / adj_factor - pre_close) > 0.01 + 0.0002 * pre_close
),
revised as (
    select row_key ->> 'ts_code' as ts_code
    from ops.revision
    where dataset = 'market.adj_factor' and revised_date = $today and column_name = 'adj_factor'
)
select ts_code from misfit union select ts_code from revised order by ts_code
