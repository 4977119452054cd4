-- Bars whose close is another in daily_basic: one of the two tables was corrected, or is of another moment.
-- One row per security and session. Both tables round to a fen; half a fen forgives the binary representation.
select
    bar.ts_code as subject,
    bar.trade_date as subject_date,
    format('{} {}: daily closes at {:.2f}, daily_basic at {:.2f}', bar.ts_code, bar.trade_date, bar.close, basic.close)
        as title,
    json_object('daily', bar.close, 'daily_basic', basic.close)::varchar as evidence,
    format('select * from market.daily_basic where ts_code = ''{}'' and trade_date = date ''{}''', bar.ts_code,
        bar.trade_date) as evidence_sql
from market.daily as bar
join market.daily_basic as basic using (ts_code, trade_date)
where bar.trade_date between $start_date and $as_of
    and basic.trade_date between $start_date and $as_of
    and abs(bar.close - basic.close) > 0.005
order by bar.ts_code, bar.trade_date
