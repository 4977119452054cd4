-- One row per fitted factor and date (month for macro, session for equity): standardised panel row times loadings.
create or replace view analyst.factor_score as
select
    f.model_version,
    f.model_name,
    v.as_of_date,
    f.factor,
    f.score_date,
    f.score
from model.factor_score as f
join model.model_version as v using (model_version)
