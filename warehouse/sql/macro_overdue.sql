-- One row per followed series whose next period is overdue at the end of $as_of, by what was known then: the longest
-- overdue first. usual_lag_days is the median of the last 20 periods seen to appear, from the end of the period to its
-- first publication; the longest of these lags may be used up before a period counts as overdue.
-- Rule easy to get wrong: dates of first publication that were estimated measure nothing; with fewer than five others
-- the lag is the one declared for the series, and 7, 15 or 30 days of grace come on top, as in checks/stale_series.sql.
with printed as (
    select
        v.series_id,
        v.observation_date,
        min(v.realtime_start) as release_date,
        min_by(v.is_realtime_estimated, v.realtime_start) as is_estimated,
        any_value(s.frequency) as frequency,
        any_value(s.publication_lag_days) as declared_lag_days,
        any_value(s.title) as title
    from macro.observation as v
    join macro.series as s using (series_id)
    where v.realtime_start <= $as_of and v.observation_date > $as_of - interval 10 year
    group by v.series_id, v.observation_date
),
ended as (
    select
        *,
        case frequency
            when 'D' then observation_date
            when 'W' then observation_date + 6
            when 'M' then last_day(observation_date)
            else last_day(observation_date + interval 2 month)
        end as end_date,
        row_number() over (
            partition by series_id, is_estimated order by observation_date desc
        ) as newest_no
    from printed
),
lags as (
    select
        series_id,
        any_value(title) as title,
        any_value(frequency) as frequency,
        max(observation_date) as newest_date,
        count(*) filter (where not is_estimated and newest_no <= 20) as n_measured,
        median(release_date - end_date) filter (where not is_estimated and newest_no <= 20) as median_lag_days,
        max(release_date - end_date) filter (where not is_estimated and newest_no <= 20) as longest_lag_days,
        any_value(declared_lag_days) as declared_lag_days
    from ended
    group by series_id
),
due as (
    select
        *,
        case frequency
            when 'D' then newest_date + case isodow(newest_date) when 5 then 3 when 6 then 2 else 1 end
            when 'W' then newest_date + 7
            when 'M' then (newest_date + interval 1 month)::date
            else (newest_date + interval 3 month)::date
        end as next_date,
        case when n_measured >= 5 then ceil(median_lag_days)::integer else declared_lag_days end as usual_lag_days,
        case when n_measured >= 5 then longest_lag_days::integer
            else declared_lag_days + case frequency when 'M' then 15 when 'Q' then 30 else 7 end end as most_lag_days
    from lags
),
placed as (
    select
        *,
        case frequency
            when 'D' then next_date
            when 'W' then next_date + 6
            when 'M' then last_day(next_date)
            else last_day(next_date + interval 2 month)
        end as next_end_date
    from due
)
select
    series_id,
    title,
    newest_date,
    next_date,
    (next_end_date + usual_lag_days)::date as due_date,
    date_diff('day', next_end_date + usual_lag_days, $as_of::date) as days_overdue,
    usual_lag_days,
    if(n_measured >= 5, n_measured, 0) as n_measured
from placed
where next_end_date + most_lag_days < $as_of
order by days_overdue desc, series_id
