-- One row per accepted macro value, beside the value that stands now and the facts needed to date it.
-- Inputs: temp tables `accepted` (observation rows whose realtime_start is the day of the pull), `held` (the ledger rows
-- of these series) and `asked_of_vendor` (series whose rows are the vendor's answer, not a file's).
-- Rule easy to get wrong: an estimated realtime_start is for a series' first pull, and for the time before all that is
-- known as long as that came from files, or comes from one: it was published long ago, and files are parts of a history.
-- Between two answers of the vendor, seen means seen today, also of a history that it lengthened.
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
    select series_id, min(observation_date) as first_date
    from macro.observation
    where series_id in (select series_id from period)
    group by series_id
),
watched as (
    select partition as series_id
    from held semi join asked_of_vendor on asked_of_vendor.series_id = held.partition
    where dataset = 'macro.observation' and coalesce(first_asked_date, asked_date) is not null
)
select
    period.* exclude (period_end, publication_lag_days),
    (period.period_end + to_days(period.publication_lag_days))::date as expected_date,
    known.series_id is null or (period.observation_date < known.first_date and watched.series_id is null)
        as is_of_before,
    o.series_id is not null as has_standing,
    o.value as standing_value,
    o.realtime_start as standing_start
from period
left join known using (series_id)
left join watched using (series_id)
left join macro.observation as o
    on o.series_id = period.series_id
    and o.observation_date = period.observation_date
    and o.realtime_end = date '9999-12-31'
