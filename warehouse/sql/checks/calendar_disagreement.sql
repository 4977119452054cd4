-- Days on which the vendor's calendar and a second source disagree. One row per day.
-- Inputs: market.trade_cal (decides), market.exchange_session (contradicts); $start_date does not narrow it, because a
-- wrong day stays wrong until somebody has looked at it.
-- Rule easy to get wrong: days to come are looked at as well, as far as the second source knows them; a holiday that is
-- not announced yet differs until the notice, so only days up to a week ahead count.
select
    'SSE' as subject,
    vendor.cal_date as subject_date,
    format('{}: the vendor says the exchange is {}, the second source says {}', vendor.cal_date,
        case when vendor.is_open then 'open' else 'closed' end,
        case when other.is_open then 'open' else 'closed' end) as title,
    json_object('vendor_is_open', vendor.is_open, 'other_is_open', other.is_open)::varchar as evidence,
    format('select vendor.*, other.is_open as other_is_open from market.trade_cal as vendor'
        || ' join market.exchange_session as other using (exchange, cal_date)'
        || ' where cal_date between date ''{}'' - 3 and date ''{}'' + 3', vendor.cal_date, vendor.cal_date) as evidence_sql
from market.trade_cal as vendor
join market.exchange_session as other using (exchange, cal_date)
where vendor.exchange = 'SSE'
    and vendor.is_open <> other.is_open
    and vendor.cal_date between least($start_date, date '1990-12-19') and $as_of + interval 7 day
order by vendor.cal_date
