-- One row per security and session: simple returns (fractions) over 1, 5, 20, 60 and 252 of its own sessions on
-- back-adjusted closes, 20-session volatility per session and per year of 252, and drawdown from the 252-session high.
-- exp(log return) - 1; NULL where the history is too short.
create or replace view analyst.daily_return as
select
    r.ts_code,
    stock.name,
    stock.industry,
    r.trade_date,
    exp(r.log_return_1d) - 1 as simple_return_1d,
    exp(r.log_return_5d) - 1 as simple_return_5d,
    exp(r.log_return_20d) - 1 as simple_return_20d,
    exp(r.log_return_60d) - 1 as simple_return_60d,
    exp(r.log_return_252d) - 1 as simple_return_252d,
    r.volatility_20d,
    r.volatility_20d * sqrt(252) as volatility_20d_annual,
    r.drawdown_252d
from feature.log_return as r
left join market.stock_basic as stock using (ts_code)
