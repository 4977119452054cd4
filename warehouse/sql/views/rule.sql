-- One row per rule that rows must keep on their way in: those of the contracts and those a desk added.
-- problem says why the last load could not run a rule; empty when it could.
create or replace view analyst.rule as
select dataset, name, severity, predicate, reason, action, is_enabled, origin, problem
from ops.rule
