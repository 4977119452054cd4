-- One row per series and period known on `as_of`, with the value that was the published one that day (NULL when it was
-- published as missing).
-- Inputs: macro.observation, macro.archived_observation; nothing with realtime_start after `as_of` is looked at.
-- Rule easy to get wrong: realtime_end is not shown, because the day a value was to be revised was not known either.
create or replace macro main.macro_asof(as_of) as table
with published as (
    select series_id, observation_date, value, realtime_start, realtime_end, is_realtime_estimated
    from macro.observation
    union all
    select series_id, observation_date, value, realtime_start, realtime_end, false as is_realtime_estimated
    from macro.archived_observation
)
select series_id, observation_date, value, realtime_start, is_realtime_estimated
from published
where realtime_start <= as_of::date
    and realtime_end >= as_of::date
