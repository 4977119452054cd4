-- One row per corrected value: what stood there before, and what stands there now.
create or replace view analyst.revision as
select
    dataset,
    partition,
    row_key,
    column_name,
    revision_no,
    old_value,
    new_value
from ops.revision
