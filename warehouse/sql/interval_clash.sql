-- A period of a series just loaded for which two values would be the published one on the same day; none is good.
-- Input: temp table `asked` (the series). Closed intervals: the next one must start after the last one's end.
-- Rule easy to get wrong: what stood before the load counts too, so the whole series is read.
with following as (
    select
        series_id,
        observation_date,
        realtime_end,
        lead(realtime_start) over (
            partition by series_id, observation_date order by realtime_start, realtime_end
        ) as next_start
    from macro.observation
    where series_id in (select partition from asked)
)
select series_id, observation_date
from following
where next_start <= realtime_end
order by series_id, observation_date
limit 1
