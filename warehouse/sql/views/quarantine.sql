-- One row per rejected vendor row and the rule it broke; the row as it came is in row_json.
create or replace view analyst.quarantine as
select
    dataset,
    partition,
    rule,
    reason,
    row_json
from ops.quarantine
