-- Rows whose turnover_rate is far from volume x close / market value of the float: a unit changed in one of the tables
-- (fraction for percent, CNY for ten thousand). vol lots x 100 x close / (circ_mv x 10,000) x 100 % = vol x close / circ_mv.
-- Tolerance a factor of two: it looks for units, not for the vendor's rounding (0.1 % on the whole market of 2025-04-03).
select
    bar.ts_code as subject,
    bar.trade_date as subject_date,
    format('{} {}: turnover_rate says {:.4f} %, volume and float say {:.4f} %', bar.ts_code, bar.trade_date,
        basic.turnover_rate, bar.vol * bar.close / basic.circ_mv) as title,
    json_object('turnover_rate', basic.turnover_rate, 'vol', bar.vol, 'close', bar.close, 'circ_mv', basic.circ_mv)::varchar
        as evidence,
    format('select * from market.daily_basic where ts_code = ''{}'' and trade_date = date ''{}''', bar.ts_code,
        bar.trade_date) as evidence_sql
from market.daily as bar
join market.daily_basic as basic using (ts_code, trade_date)
where bar.trade_date between $start_date and $as_of
    and basic.trade_date between $start_date and $as_of
    and bar.vol > 0 and basic.circ_mv > 0
    and basic.turnover_rate not between
        bar.vol * bar.close / basic.circ_mv / 2 - 0.001 and bar.vol * bar.close / basic.circ_mv * 2 + 0.001
order by bar.ts_code, bar.trade_date
