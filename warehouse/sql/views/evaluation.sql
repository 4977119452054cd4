-- One row per model version, walk-forward fold (0 = all together) and metric. The baseline has its own rows.
create or replace view analyst.evaluation as
select
    e.model_version,
    e.model_name,
    v.as_of_date,
    e.fold,
    e.test_start,
    e.test_end,
    e.metric,
    e.value,
    e.n_rows
from model.evaluation as e
join model.model_version as v using (model_version)
