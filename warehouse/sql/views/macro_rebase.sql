-- One row per vintage in which a whole series moved to another base or unit: do not compare levels across its date.
-- kind `level` is seen in the values (ratio is new over old), the others in FRED's own words.
create or replace view analyst.macro_rebase as
select series_id, vintage_date, kind, ratio, spread, n_common, first_observation_date, old_text, new_text
from macro.rebase
