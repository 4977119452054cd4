-- One row per series: its newest published value, the value before it, and since when it is known.
create or replace view analyst.macro_latest as
with standing as (
    select * from macro.observation where realtime_end = date '9999-12-31' and value is not null
),
ranked as (
    select
        *,
        lag(value) over (partition by series_id order by observation_date) as previous_value,
        row_number() over (partition by series_id order by observation_date desc) as age
    from standing
)
select
    ranked.series_id,
    s.title,
    s.group_name,
    s.unit,
    s.frequency,
    ranked.observation_date,
    ranked.value,
    ranked.previous_value,
    ranked.realtime_start,
    ranked.is_realtime_estimated
from ranked
join macro.series as s using (series_id)
where ranked.age = 1
