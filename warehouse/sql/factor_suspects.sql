-- One row per security whose adjustment factors do not fit what is stored, those first that were revised today, then
-- those compared longest ago: its history may have been corrected.
-- Inputs: for `misfit` the check `adjustment_misfit` with its $start_date and $as_of; $sessions (days to look at), $today
-- (Shanghai's day of the run).
with found as (
    select subject as ts_code, false as is_revised
    from ({misfit})
    where subject_date in (select unnest($sessions::date[]))
    union all
    select row_key ->> 'ts_code', true
    from ops.revision
    where dataset = 'market.adj_factor' and revised_date = $today and column_name = 'adj_factor'
)
select found.ts_code
from found
left join ops.factor_history as held using (ts_code)
group by found.ts_code
order by bool_or(found.is_revised) desc, any_value(held.compared_date) nulls first, found.ts_code
