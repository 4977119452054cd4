-- One row per walk-forward test forecast and what came: log returns over 5 sessions in excess of the market's mean.
create or replace view analyst.out_of_sample as
select
    o.model_version,
    o.model_name,
    v.as_of_date,
    o.ts_code,
    o.forecast_date,
    o.fold,
    o.predicted,
    o.realised
from model.out_of_sample as o
join model.model_version as v using (model_version)
