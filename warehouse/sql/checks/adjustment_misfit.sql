-- Bars whose adjustment does not fit: close[t-1] x factor[t-1] / factor[t] must be pre_close[t].
-- Tolerance: a fen, for the rounding of pre_close, and 2 in 10,000 for the rounding of published factors.
-- Rule easy to get wrong: t-1 is the security's previous bar, which may lie months back after a suspension; a bar that
-- was set aside in between leaves nothing to compare with, and is an alert of its own.
with recent as (
    select bar.ts_code, bar.trade_date, bar.close, bar.pre_close, factor.adj_factor
    from market.daily as bar
    join market.adj_factor as factor using (ts_code, trade_date)
    where bar.trade_date between $start_date - interval 400 day and $as_of
),
-- Back after more than 400 days: few, so that the years before are read for their sake alone.
returned as (
    select ts_code, min(trade_date) as first_date
    from recent
    where ts_code not in (select ts_code from market.stock_basic where list_date >= $start_date - interval 400 day)
    group by ts_code
    having min(trade_date) >= $start_date
),
last_before as (
    select bar.ts_code, max(bar.trade_date) as trade_date
    from market.daily as bar join returned using (ts_code)
    where bar.trade_date < returned.first_date
    group by bar.ts_code
),
bar as (
    from recent
    union all
    select ts_code, trade_date, bar.close, bar.pre_close, factor.adj_factor
    from market.daily as bar
    join last_before using (ts_code, trade_date)
    join market.adj_factor as factor using (ts_code, trade_date)
),
paired as (
    select
        *,
        lag(trade_date) over by_code as date_before,
        lag(close) over by_code as close_before,
        lag(adj_factor) over by_code as factor_before
    from bar
    window by_code as (partition by ts_code order by trade_date)
),
set_aside as (
    select
        json_extract_string(row_json, '$.ts_code') as ts_code,
        try_cast(json_extract_string(row_json, '$.trade_date') as date) as trade_date
    from ops.quarantine
    where dataset = 'market.daily' and severity = 'reject' and state <> 'released'
),
judged as (
    select *, close_before * factor_before / adj_factor as pre_close_implied from paired
)
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: factors imply a previous close of {:.2f}, the bar says {:.2f}{}', ts_code, trade_date,
        pre_close_implied, pre_close,
        case
            when round(log10(pre_close / pre_close_implied)) <> 0
                and abs(pre_close / pre_close_implied / power(10, round(log10(pre_close / pre_close_implied))) - 1) < 0.05
                then '; as if a decimal point slipped'
            when factor_before = adj_factor and abs(pre_close / pre_close_implied - 1) > 0.3
                then '; as if a split were missing from the factors'
            else ''
        end) as title,
    json_object('pre_close', pre_close, 'pre_close_implied', round(pre_close_implied, 4), 'close_before', close_before,
        'factor_before', factor_before, 'factor', adj_factor)::varchar as evidence,
    format('select * from analyst.price_adjusted where ts_code = ''{}'' and trade_date between date ''{}'' - 7 and date ''{}'' + 7',
        ts_code, trade_date, trade_date) as evidence_sql
from judged
where trade_date >= $start_date
    and not exists (
        from set_aside
        where set_aside.ts_code = judged.ts_code
            and set_aside.trade_date > judged.date_before and set_aside.trade_date < judged.trade_date
    )
    and abs(pre_close_implied - pre_close) > 0.01 + 0.0002 * pre_close
order by ts_code, trade_date
