-- One row per security whose adjustment factors do not fit what is stored: its history may have been corrected.
-- Inputs: for `misfit` the check `adjustment_misfit` with its $start_date and $as_of; $sessions (days to look at), $today
-- (Shanghai's day of the run).
-- Rule easy to get wrong: a misfit found long ago is looked at as long as its alert is open, because the vendor may
-- correct it any time; one that somebody has acknowledged is known to be as it is.
select ts_code
from (select subject as ts_code, subject_date from ({misfit}))
where subject_date in (select unnest($sessions::date[]))
union
select subject from ops.alert where rule = 'adjustment_misfit' and state = 'open'
union
select row_key ->> 'ts_code'
from ops.revision
where dataset = 'market.adj_factor' and revised_date = $today and column_name = 'adj_factor'
order by ts_code
