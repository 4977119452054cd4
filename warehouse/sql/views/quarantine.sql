-- One row per vendor row and the rule it broke; the row as it came is in row_json. severity `reject` was set aside,
-- `warn` was let in. state: pending, released (loaded all the same) or discarded (no longer a finding).
create or replace view analyst.quarantine as
select
    left(row_hash, 12) as row_id,
    dataset,
    partition,
    rule,
    severity,
    state,
    reason,
    row_json,
    decided_by,
    decision_reason
from ops.quarantine
