-- One row per model version and walk-forward test date: Spearman correlation across securities between forecast and
-- realised excess return. Ranks are averaged over ties. NULL when all forecasts of the day are equal.
create or replace view analyst.information_coefficient as
with ranked as (
    select
        model_version,
        model_name,
        forecast_date,
        -- Of equal values rank() is the first place and count() the last, as its frame ends with the last equal value.
        (rank() over by_prediction + count(*) over by_prediction) / 2 as prediction_rank,
        (rank() over by_realised + count(*) over by_realised) / 2 as realised_rank
    from model.out_of_sample
    window
        by_prediction as (partition by model_version, forecast_date order by predicted),
        by_realised as (partition by model_version, forecast_date order by realised)
)
select
    model_version,
    model_name,
    forecast_date,
    case when isfinite(corr(prediction_rank, realised_rank)) then corr(prediction_rank, realised_rank) end as rank_ic,
    count(*) as n_rows
from ranked
group by model_version, model_name, forecast_date
