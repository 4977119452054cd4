-- One row per group of followed series and each of the $n_months months up to that of $as_of: whether the group's
-- periods of the month were known then. `ok` all that were due, `empty_confirmed` all published as missing, `partial`
-- some are not there though due, `missing` none is, `not_due` nothing was due yet. A quarter counts for each of its months.
-- Rule easy to get wrong: a period is due at its end plus the lag declared for the series and the grace of
-- checks/stale_series.sql; before a series began nothing of it is due.
with months as (
    select (date_trunc('month', $as_of::date) - to_months(n))::date as month_date
    from range($n_months) as t(n)
),
known as (
    select
        series_id,
        observation_date,
        bool_or(value is not null) as has_value
    from macro.observation
    where realtime_start <= $as_of
    group by series_id, observation_date
),
followed as (
    select
        s.series_id,
        s.group_name,
        s.frequency,
        s.publication_lag_days + case s.frequency when 'M' then 15 when 'Q' then 30 else 7 end as most_lag_days,
        min(k.observation_date) as first_date
    from macro.series as s
    join known as k using (series_id)
    group by all
),
expected as (
    select
        f.series_id,
        f.group_name,
        m.month_date,
        case when f.frequency = 'Q' then date_trunc('quarter', m.month_date) else m.month_date end::date as period_date,
        case when f.frequency = 'Q' then last_day(date_trunc('quarter', m.month_date) + interval 2 month)
            else last_day(m.month_date) end + f.most_lag_days < $as_of as is_due
    from followed as f
    cross join months as m
    where last_day(m.month_date) >= f.first_date
),
seen as (
    select
        f.series_id,
        case when f.frequency = 'Q' then date_trunc('quarter', k.observation_date)
            else date_trunc('month', k.observation_date) end::date as period_date,
        bool_or(k.has_value) as has_value
    from known as k
    join followed as f using (series_id)
    where k.observation_date >= date_trunc('month', $as_of::date) - to_months($n_months + 2)
    group by all
),
judged as (
    select
        e.group_name,
        e.month_date,
        count(*) as n_series,
        count(s.period_date) as n_known,
        count(*) filter (where s.period_date is null and e.is_due) as n_missing,
        coalesce(bool_or(s.has_value), false) as has_value
    from expected as e
    left join seen as s using (series_id, period_date)
    group by e.group_name, e.month_date
)
select
    group_name,
    month_date,
    n_series,
    n_known,
    n_missing,
    case
        when n_missing > 0 and n_known > 0 then 'partial'
        when n_missing > 0 then 'missing'
        when n_known = 0 then 'not_due'
        when has_value then 'ok'
        else 'empty_confirmed'
    end as state
from judged
order by group_name, month_date
