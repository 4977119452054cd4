-- Bars whose pct_chg is not (close - pre_close) / pre_close. One row per security and session.
-- Tolerance 0.006 percentage points: older rows are rounded to two decimals, newer ones to four. The title names the swap
-- or the sign that would explain it.
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: pct_chg says {:.2f} %, the prices say {:.2f} %{}', ts_code, trade_date, pct_chg,
        (close / pre_close - 1) * 100,
        case
            when abs(pct_chg + (close / pre_close - 1) * 100) <= 0.006 then '; as if its sign were wrong'
            when abs(pct_chg - (open / pre_close - 1) * 100) <= 0.006 then '; as if open and close were swapped'
            when abs(pct_chg - (pre_close / close - 1) * 100) <= 0.006 then '; as if close and pre_close were swapped'
            else ''
        end) as title,
    json_object('pct_chg', pct_chg, 'close', close, 'pre_close', pre_close)::varchar as evidence,
    format('select * from market.daily where ts_code = ''{}'' and trade_date = date ''{}''', ts_code, trade_date)
        as evidence_sql
from market.daily
where trade_date between $start_date and $as_of
    and abs(pct_chg - (close / pre_close - 1) * 100) > 0.006
order by ts_code, trade_date
