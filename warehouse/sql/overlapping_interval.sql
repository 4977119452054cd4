-- One row per macro value whose interval reaches into the next value's for the same series and period.
-- Inputs: macro.observation. Intervals are closed: one ends the day before the next begins.
-- Rule easy to get wrong: an interval that ends before it starts overlaps nothing, and is wrong all the same.
with ordered as (
    select
        series_id, observation_date, realtime_start, realtime_end,
        lead(realtime_start) over (
            partition by series_id, observation_date order by realtime_start, realtime_end
        ) as next_start
    from macro.observation
)
select series_id, observation_date, realtime_start, realtime_end, next_start
from ordered
where realtime_end >= next_start or realtime_end < realtime_start
order by series_id, observation_date, realtime_start
