-- One row per model version, security and day: forecast log return over the next 5 sessions in excess of the market's
-- mean, its 90 % interval, and what came, NULL until five sessions have passed.
create or replace view analyst.forecast as
with five_ahead as (
    select
        ts_code,
        trade_date,
        lead(log_return_5d, 5) over (partition by ts_code order by trade_date) as forward_return_5d
    from feature.log_return
),
realised as (
    select
        ts_code,
        trade_date,
        forward_return_5d - avg(forward_return_5d) over (partition by trade_date) as realised_return_5d
    from five_ahead
    where forward_return_5d is not null
)
select
    f.model_version,
    f.model_name,
    v.is_champion,
    f.ts_code,
    stock.name,
    stock.industry,
    f.forecast_date,
    f.horizon,
    f.forward_return_5d,
    f.lower,
    f.upper,
    realised.realised_return_5d
from model.forecast as f
join model.model_version as v using (model_version)
left join market.stock_basic as stock using (ts_code)
left join realised on realised.ts_code = f.ts_code and realised.trade_date = f.forecast_date
