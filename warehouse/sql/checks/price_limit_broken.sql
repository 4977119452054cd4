-- Bars beyond the daily price limit: 20 % on ChiNext (300, 301) and STAR (688, 689), 30 % in Beijing, 10 % elsewhere.
-- The limit price is pre_close x (1 +- limit), rounded to a fen. A security's first five sessions have no limit.
-- Rule easy to get wrong: ST's 5 % cannot be judged, because the vendor gives today's names only; 10 % holds for them.
with bar as (
    select
        ts_code,
        trade_date,
        high,
        low,
        pre_close,
        case
            when ts_code like '300%' or ts_code like '301%' or ts_code like '688%' or ts_code like '689%' then 0.2
            when ts_code like '%.BJ' then 0.3
            else 0.1
        end as limit_fraction
    from market.daily
    where trade_date between $start_date and $as_of
),
broken as (
    select
        bar.*,
        stock.list_date >= bar.trade_date - interval 30 day and (
            select count(*) from market.trade_cal as cal
            where cal.exchange = 'SSE' and cal.is_open and cal.cal_date between stock.list_date and bar.trade_date
        ) <= 5 as is_new
    from bar
    left join market.stock_basic as stock using (ts_code)
    where high > round(pre_close * (1 + limit_fraction), 2) + 0.005
        or low < round(pre_close * (1 - limit_fraction), 2) - 0.005
)
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: {:.2f} to {:.2f} CNY breaks the {:.0f} % limit on a previous close of {:.2f}',
        ts_code, trade_date, low, high, limit_fraction * 100, pre_close) as title,
    json_object('low', low, 'high', high, 'pre_close', pre_close, 'limit_fraction', limit_fraction)::varchar as evidence,
    format('select * from market.daily where ts_code = ''{}'' and trade_date between date ''{}'' - 7 and date ''{}'' + 7',
        ts_code, trade_date, trade_date) as evidence_sql
from broken
where not coalesce(is_new, false)
order by ts_code, trade_date
