-- One row per daily run, refit or backfill and how it ended.
create or replace view analyst.run as
select
    run_id,
    flow,
    as_of_date,
    state,
    message,
    snapshot,
    started_at,
    finished_at
from ops.run
