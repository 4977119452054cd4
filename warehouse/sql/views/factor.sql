-- One row per fitted factor: eigenvalue, share of the panel's variance (0 to 1), and the correlation of its scores
-- with its predecessor's: near 1 when the refit kept the factor, NULL for a first fit.
create or replace view analyst.factor as
select
    f.model_version,
    f.model_name,
    v.as_of_date,
    f.factor,
    f.eigenvalue,
    f.explained_variance_ratio,
    f.predecessor_correlation
from model.factor as f
join model.model_version as v using (model_version)
