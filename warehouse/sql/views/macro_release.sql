-- One row per weekly, monthly or quarterly series and period: what it was first published as, what the period before
-- stood at that day, and the newest forecast made before that day (NULL when there is none). Surprise: value - forecast.
-- A forecast made before the series moved to another base or unit is no forecast of a value after it.
create or replace view analyst.macro_release as
with printed as (
    select
        series_id,
        observation_date,
        min(realtime_start) as release_date,
        min_by(is_realtime_estimated, realtime_start) as is_release_date_estimated,
        min_by(value, realtime_start) as first_value
    from macro.observation
    where value is not null
    group by series_id, observation_date
),
placed as (
    select
        *,
        lag(observation_date) over (partition by series_id order by observation_date) as previous_date,
        lag(first_value) over (partition by series_id order by observation_date) as previous_first_value
    from printed
),
foretold as (
    select
        p.series_id,
        p.observation_date,
        max_by(f.model_version, f.forecast_date) as model_version,
        max_by(f.forecast, f.forecast_date) as forecast,
        max_by(f.std_error, f.forecast_date) as std_error
    from printed as p
    join model.macro_forecast as f
        on f.series_id = p.series_id and f.observation_date = p.observation_date and f.forecast_date < p.release_date
    where not exists (
        from macro.rebase as r
        where r.series_id = p.series_id and r.vintage_date > f.forecast_date and r.vintage_date <= p.release_date
    )
    group by p.series_id, p.observation_date
)
select
    p.series_id,
    s.title,
    s.unit,
    s.frequency,
    p.observation_date,
    p.release_date,
    p.is_release_date_estimated,
    p.first_value,
    before.observation_date as previous_date,
    before.value as previous_value,
    p.previous_first_value,
    f.model_version,
    f.forecast,
    f.std_error,
    p.first_value - f.forecast as surprise,
    (p.first_value - f.forecast) / nullif(f.std_error, 0) as surprise_std_errors
from placed as p
join macro.series as s using (series_id)
-- A period that was published late was not there to be looked back at.
left join macro.observation as before
    on before.series_id = p.series_id
    and before.observation_date = p.previous_date
    and p.release_date between before.realtime_start and before.realtime_end
left join foretold as f on f.series_id = p.series_id and f.observation_date = p.observation_date
where s.frequency in ('W', 'M', 'Q')
