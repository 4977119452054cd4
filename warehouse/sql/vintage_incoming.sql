-- One row per accepted macro value, beside the value that stands now and the facts needed to date it.
-- Input: temp table `accepted` (observation rows whose realtime_start is the day of the pull).
-- Rule easy to get wrong: an estimated realtime_start is only for a series' first pull; later, seen means seen today.
create temp table vintage_incoming as
with period as (
    select
        a.series_id,
        a.observation_date,
        a.value,
        a.realtime_start as pull_date,
        a.retrieved_at,
        a.load_id,
        case s.frequency
            when 'W' then a.observation_date + interval 6 day
            when 'M' then a.observation_date + interval 1 month - interval 1 day
            when 'Q' then a.observation_date + interval 3 month - interval 1 day
            else a.observation_date
        end::date as period_end,
        s.publication_lag_days
    from accepted as a
    join macro.series as s using (series_id)
),
known as (
    select distinct series_id from macro.observation
)
select
    period.* exclude (period_end, publication_lag_days),
    (period.period_end + to_days(period.publication_lag_days))::date as expected_date,
    known.series_id is null as is_first_pull,
    o.series_id is not null as has_standing,
    o.value as standing_value,
    o.realtime_start as standing_start
from period
left join known using (series_id)
left join macro.observation as o
    on o.series_id = period.series_id
    and o.observation_date = period.observation_date
    and o.realtime_end = date '9999-12-31'
