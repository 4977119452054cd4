-- One row per term of a regression that forecasts a macro series some months ahead, with Newey and West's standard error.
create or replace view analyst.macro_coefficient as
select
    model_version,
    model_name,
    series_id,
    horizon_months,
    term,
    estimate,
    std_error,
    estimate / nullif(std_error, 0) as t_statistic
from model.macro_coefficient
