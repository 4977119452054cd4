-- One row per model version, walk-forward test date and decile of that date's forecasts (1 lowest, ties by ts_code; the
-- lower ones hold one more where the number does not divide): means of what was forecast and of what came, log returns
-- over 5 sessions in excess of the market's mean. Neighbouring dates share sessions: only every fifth test date, which
-- is what test_date_number is for, has returns of its own. n_new is NULL on the first five dates.
create or replace view analyst.out_of_sample_decile as
with test_date as (
    select
        model_version,
        forecast_date,
        row_number() over (partition by model_version order by forecast_date) as test_date_number
    from (select distinct model_version, forecast_date from model.out_of_sample)
),
ranked as (
    select
        model_version,
        model_name,
        ts_code,
        forecast_date,
        predicted,
        realised,
        ntile(10) over (partition by model_version, forecast_date order by predicted, ts_code) as decile
    from model.out_of_sample
),
numbered as (
    select * from ranked join test_date using (model_version, forecast_date)
)
select
    now.model_version,
    now.model_name,
    now.forecast_date,
    now.test_date_number,
    now.decile,
    count(*) as n_rows,
    case
        when now.test_date_number > 5 then count(*) filter (where before.decile is distinct from now.decile)
    end as n_new,
    avg(now.predicted) as mean_predicted,
    avg(now.realised) as mean_realised
from numbered as now
left join numbered as before
    on before.model_version = now.model_version
    and before.ts_code = now.ts_code
    and before.test_date_number = now.test_date_number - 5
group by now.model_version, now.model_name, now.forecast_date, now.test_date_number, now.decile
