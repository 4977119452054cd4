-- One row per model version, security and day: forecast log return over the next 5 sessions in excess of the market's
-- mean, its 90 % interval, and what came, NULL until five sessions have passed. Whose forecast counts says role.
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
),
made as (
    select distinct model_version, forecast_date from model.forecast
),
part as (
    select
        made.model_version,
        made.forecast_date,
        max_by(decided.role, (decided.as_of_date, decided.decision)) as role
    from made
    join model.version_role as decided
        on decided.model_version = made.model_version and decided.as_of_date <= made.forecast_date
    group by made.model_version, made.forecast_date
)
select
    f.model_version,
    f.model_name,
    v.is_champion,
    part.role,
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
left join part using (model_version, forecast_date)
left join market.stock_basic as stock using (ts_code)
left join realised on realised.ts_code = f.ts_code and realised.trade_date = f.forecast_date
