-- Bars beyond the daily price limit of their board and day; which limit that is, and which sessions have none, says
-- the macro `price_limits_between`. Half a fen is allowed for prices that were rounded on their way.
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: {:.2f} to {:.2f} CNY breaks the {:.0f} % limit on a previous close of {:.2f}',
        ts_code, trade_date, low, high, limit_fraction * 100, pre_close) as title,
    json_object('low', low, 'high', high, 'pre_close', pre_close, 'limit_fraction', limit_fraction)::varchar as evidence,
    format('select * from market.daily where ts_code = ''{}'' and trade_date between date ''{}'' - 7 and date ''{}'' + 7',
        ts_code, trade_date, trade_date) as evidence_sql
from price_limits_between($start_date, $as_of)
where has_limit and (high > limit_up_cny + 0.005 or low < limit_down_cny - 0.005)
order by ts_code, trade_date
