-- What returns and features are computed from, as it was known on the evening of $as_of: one row per bar up to that day.
-- Inputs: bars_asof, adj_factor_asof; price is the close times the factor, NULL where the factor was not known.
-- Rule easy to get wrong: sorted by security, then session, as the windows over it want it.
select bar.ts_code, bar.trade_date, bar.close * factor.adj_factor as price, bar.amount
from bars_asof($as_of) as bar
left join adj_factor_asof($as_of) as factor using (ts_code, trade_date)
order by bar.ts_code, bar.trade_date
