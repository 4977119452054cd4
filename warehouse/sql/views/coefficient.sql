-- One row per regression term: coefficient on the standardised feature, its standard error (Driscoll-Kraay) and t.
create or replace view analyst.coefficient as
select
    c.model_version,
    c.model_name,
    v.as_of_date,
    c.term,
    c.estimate,
    c.std_error,
    c.t_statistic
from model.coefficient as c
join model.model_version as v using (model_version)
