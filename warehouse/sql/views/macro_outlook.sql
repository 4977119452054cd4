-- One row per refit, rival, macro target and horizon: the forecast with its 90 % interval and Newey and West's standard
-- error, what the walk-forward test found, whether it counts (is_published), and what came (NULL until it is known).
-- Compare rivals by rows of the same forecast_date; the autoregression's row is model_name `macro_ar`.
create or replace view analyst.macro_outlook as
select
    f.model_version,
    f.model_name,
    f.series_id,
    s.title,
    s.unit,
    s.transform_code,
    f.horizon_months,
    f.forecast_date,
    f.origin_date,
    f.observation_date,
    f.mean_change,
    f.mean_change_lower,
    f.mean_change_upper,
    f.mean_change_std_error,
    f.forecast,
    f.lower,
    f.upper,
    f.n_lags,
    f.n_factor_lags,
    f.n_rows,
    f.n_tested,
    f.test_start,
    f.test_end,
    f.rmse,
    f.ratio_to_ar,
    f.ratio_to_mean,
    f.dm_p_value,
    f.cw_p_value,
    f.nominal_coverage,
    f.tested_coverage,
    f.is_published,
    f.reason,
    o.known_date,
    o.realised_value,
    o.realised_mean_change,
    o.squared_error,
    o.is_inside
from model.macro_outlook as f
left join macro.series as s using (series_id)
left join model.macro_outlook_outcome as o using (model_version, series_id, horizon_months)
