-- Series whose next period should have been published and was not. One row per series.
-- Due = end of the next period + usual lag + grace: 7 days for daily and weekly, 15 for monthly, 30 for quarterly.
-- Rule easy to get wrong: a period published as missing counts as published (October 2025 of CPIAUCSL never came).
with newest as (
    select series_id, max(observation_date) as newest_date
    from macro.observation
    where realtime_start <= $as_of
    group by series_id
),
due as (
    select
        newest.series_id,
        newest.newest_date,
        (case s.frequency
            when 'D' then newest.newest_date + interval 1 day
            when 'W' then newest.newest_date + interval 13 day
            when 'M' then last_day(newest.newest_date + interval 1 month)
            else last_day(newest.newest_date + interval 5 month)
        end + to_days(s.publication_lag_days + case s.frequency when 'M' then 15 when 'Q' then 30 else 7 end))::date
            as due_date
    from newest
    join macro.series as s using (series_id)
    where newest.newest_date >= date '1900-01-01' and $start_date <= $as_of
)
select
    series_id as subject,
    newest_date as subject_date,
    format('{} has no value after {}; the next was due by {}', series_id, newest_date, due_date) as title,
    json_object('newest_date', newest_date, 'due_date', due_date)::varchar as evidence,
    format('select * from analyst.macro_vintage where series_id = ''{}'' order by observation_date desc limit 12', series_id)
        as evidence_sql
from due
where due_date < $as_of
order by series_id
