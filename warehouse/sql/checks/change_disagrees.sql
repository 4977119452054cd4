-- Bars whose change is not close - pre_close. One row per security and session; $start_date opens the window.
-- Tolerance half a fen and the binary representation; 368,626 real bars agree. Where pct_chg does not fit the prices either,
-- pct_chg_disagrees has said so.
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: change says {:.2f} CNY, the prices say {:.2f}', ts_code, trade_date, change, close - pre_close) as title,
    json_object('change', change, 'close', close, 'pre_close', pre_close)::varchar as evidence,
    format('select * from market.daily where ts_code = ''{}'' and trade_date = date ''{}''', ts_code, trade_date)
        as evidence_sql
from market.daily
where trade_date between $start_date and $as_of
    and abs(change - (close - pre_close)) > 0.0051
    and coalesce(abs(pct_chg - (close / pre_close - 1) * 100) <= 0.006, true)
order by ts_code, trade_date
