-- Bars of a day on which the exchange was closed: a date off by one, or another time zone's. One row per security and day.
-- Inputs: market.daily, market.trade_cal; $start_date opens the window.
-- Rule easy to get wrong: a day the calendar does not know proves nothing; the vendor's own answers cannot hold such
-- rows, because only sessions are asked for, but files of a desk can.
select
    bar.ts_code as subject,
    bar.trade_date as subject_date,
    format('{} {}: has a bar, but the exchange was closed', bar.ts_code, bar.trade_date) as title,
    json_object('close', bar.close, 'vol', bar.vol)::varchar as evidence,
    format('select * from market.daily where ts_code = ''{}'' and trade_date between date ''{}'' - 7 and date ''{}'' + 7 order by trade_date',
        bar.ts_code, bar.trade_date, bar.trade_date) as evidence_sql
from market.daily as bar
join market.trade_cal as cal on cal.cal_date = bar.trade_date and cal.exchange = 'SSE' and not cal.is_open
where bar.trade_date between $start_date and $as_of
order by bar.ts_code, bar.trade_date
