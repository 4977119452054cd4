-- One row per corrected value: what stood there before, what stands there now, and since when that is known.
-- Column `*` is a whole row that came after its day had been loaded.
create or replace view analyst.revision as
select
    dataset,
    partition,
    row_key,
    column_name,
    revision_no,
    old_value,
    new_value,
    revised_date
from ops.revision
