-- Bars that are another security's: the same volume and amount, or the same five prices. One row per security and session,
-- for the one that does not fit its own past: its pre_close is not its last close, or amount / vol is no price it had. Where
-- both fit, so that volumes alone were copied between prices that are near, both are named. $start_date opens the window.
-- Rule easy to get wrong: cheap stocks share all five prices by chance (7 pairs in 368,626 bars of the CSI 300, 2020 to
-- 2025), and then both fit; volume and amount together were never the same in 374,019 real bars. A volume that stands
-- still from bar to bar is bar_repeated.
with bar as (
    select ts_code, trade_date, open, high, low, close, pre_close, vol, amount
    from market.daily
    where trade_date between $start_date - interval 400 day and $as_of
),
paired as (
    select
        *,
        lag(close) over by_code as close_before,
        lag(vol) over by_code as vol_before
    from bar
    window by_code as (partition by ts_code order by trade_date)
),
recent as (
    select
        *,
        abs(pre_close - close_before) > 0.011 as is_pre_close_strange,
        amount / nullif(vol, 0) * 10 not between low - 0.01 and high + 0.01 as is_volume_strange
    from paired
    where trade_date >= $start_date
),
same_volume as (
    select
        trade_date,
        list(ts_code order by ts_code) as ts_codes,
        coalesce(
            list(ts_code order by ts_code) filter (is_pre_close_strange or is_volume_strange),
            list(ts_code order by ts_code) filter (vol <> vol_before)
        ) as strange_codes
    from recent
    where vol > 0 and amount > 0
    group by trade_date, vol, amount
    having count(*) > 1
),
same_prices as (
    select
        trade_date,
        list(ts_code order by ts_code) as ts_codes,
        list(ts_code order by ts_code) filter (is_pre_close_strange) as strange_codes
    from recent
    group by trade_date, open, high, low, close, pre_close
    having count(*) > 1
),
copied as (
    select trade_date, unnest(strange_codes) as ts_code, ts_codes, 'volume and amount' as what
    from same_volume
    union all
    select trade_date, unnest(strange_codes) as ts_code, ts_codes, 'prices' as what from same_prices
)
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: the {} are those of {}', ts_code, trade_date, string_agg(what, ' and the ' order by what desc),
        array_to_string(list_filter(any_value(ts_codes), lambda code: code <> ts_code), ', ')) as title,
    json_object('same', any_value(ts_codes))::varchar as evidence,
    format('select * from market.daily where trade_date = date ''{}'' and ts_code in (''{}'')', trade_date,
        array_to_string(any_value(ts_codes), ''', ''')) as evidence_sql
from copied
group by trade_date, ts_code
order by ts_code, trade_date
