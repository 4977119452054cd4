-- One row per panel series and period: its value as it stood on $as_of, and the day the period first became known.
-- Daily and weekly series become monthly means of complete months; monthly and quarterly ones keep their period.
-- Rule easy to get wrong: a value revised later is known from its first publication, but its value is the one of $as_of;
-- a month of daily values is known when its last value is, and not before the month has ended; a value that stayed at
-- the base before the newest rebasing is left out, because a change across two bases is no change.
with first_known as (
    select series_id, observation_date, min(realtime_start) as known_date
    from macro.observation
    where realtime_start <= $as_of
    group by series_id, observation_date
),
newest_base as (
    select series_id, max_by(first_observation_date, vintage_date) as first_observation_date
    from macro.rebase
    where kind = 'level' and vintage_date <= $as_of
    group by series_id
),
standing as (
    select
        published.series_id,
        published.observation_date,
        published.value,
        first_known.known_date,
        s.frequency,
        s.transform_code
    from macro_asof($as_of) as published
    join first_known using (series_id, observation_date)
    join macro.series as s using (series_id)
    left join newest_base on newest_base.series_id = published.series_id
    where s.is_in_macro_panel
        and published.observation_date >= coalesce(newest_base.first_observation_date, published.observation_date)
),
monthly as (
    select
        series_id,
        'M' as frequency,
        transform_code,
        date_trunc('month', observation_date)::date as observation_date,
        -- avg() alone adds in the order threads finish, and its last bit with it.
        list_avg(list(value order by observation_date)) as value,
        greatest(max(known_date), last_day(min(observation_date))) as known_date
    from standing
    where frequency in ('D', 'W')
    group by series_id, transform_code, date_trunc('month', observation_date)
    having last_day(min(observation_date)) <= $as_of
),
native as (
    select series_id, frequency, transform_code, observation_date, value, known_date
    from standing
    where frequency in ('M', 'Q')
)
select series_id, frequency, transform_code, observation_date, value, known_date
from (from native union all by name from monthly)
order by series_id, observation_date
