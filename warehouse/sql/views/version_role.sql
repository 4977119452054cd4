-- One row per decision about a forecasting version: which part it plays since when, why, and who decided. The newest
-- decision about a version counts.
create or replace view analyst.version_role as
select
    decision,
    as_of_date,
    model_version,
    model_name,
    role,
    reason,
    evidence,
    decided_by
from model.version_role
