-- One row per accepted macro value, beside the value that stands now and the facts needed to date it.
-- Inputs: temp tables `accepted` (observation rows whose realtime_start is the day of the pull), `held` (the ledger rows
-- of these series) and `asked_of_vendor` (series whose rows are the vendor's answer of that day); $is_history says that
-- the rows are a file's.
-- Rule easy to get wrong: a day is estimated as long as the vendor has not answered, because nobody was watching, and for
-- what a file tells of the time before all that is known. After the first answer, seen means seen that day, also of a
-- history that the vendor lengthened. A row set aside at the first answer and released later belongs to the first answer.
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
answered as (
    select partition as series_id, first_answered_date
    from held
    where dataset = 'macro.observation' and first_answered_date is not null
)
select
    period.* exclude (period_end, publication_lag_days),
    (period.period_end + to_days(period.publication_lag_days))::date as expected_date,
    known.series_id is not null as is_known,
    o.series_id is null
        and case
            when answered.first_answered_date is null then true
            when $is_history then period.observation_date < known.first_date
            when asked.series_id is null then period.pull_date <= answered.first_answered_date
            else false
        end as is_of_before,
    o.series_id is not null as has_standing,
    o.value as standing_value,
    o.realtime_start as standing_start
from period
left join known using (series_id)
left join answered using (series_id)
left join asked_of_vendor as asked using (series_id)
left join macro.observation as o
    on o.series_id = period.series_id
    and o.observation_date = period.observation_date
    and o.realtime_end = date '9999-12-31'
