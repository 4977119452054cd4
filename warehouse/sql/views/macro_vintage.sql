-- One row per series, period and published value, with the closed interval of days during which it was the published
-- one. realtime_start is estimated (period end plus usual lag) for what was already published at the first pull.
create or replace view analyst.macro_vintage as
select
    o.series_id,
    s.title,
    s.unit,
    o.observation_date,
    o.value,
    o.realtime_start,
    o.realtime_end,
    o.is_realtime_estimated
from macro.observation as o
join macro.series as s using (series_id)
