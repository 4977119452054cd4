-- One row per series and vintage in which the whole level moved by one ratio: another base year, or another unit.
-- Inputs: registered `touched` (series_id); $first_date, the oldest vintage looked at; the thresholds $least_common,
-- $least_log_ratio, $most_relative_spread and $least_share, whose reasons stand in `rebases.py`.
-- Rule easy to get wrong: what a rolling window has dropped upstream stands here unmoved, and is not counted as such.
create temp table rebase_found as
with span as (
    select series_id, observation_date, value, realtime_start, realtime_end
    from macro.observation
    semi join touched using (series_id)
    where realtime_end >= $first_date::date - 1 and value <> 0
    union all
    select series_id, observation_date, value, realtime_start, realtime_end
    from macro.archived_observation
    semi join touched using (series_id)
    where realtime_end >= $first_date::date - 1 and value <> 0
),
moved as (
    select
        before.series_id,
        after.realtime_start as vintage_date,
        after.observation_date,
        ln(after.value / before.value) as log_ratio
    from span as before
    join span as after
        on after.series_id = before.series_id
        and after.observation_date = before.observation_date
        and after.realtime_start = before.realtime_end + 1
    where after.realtime_start >= $first_date and after.value / before.value > 0
),
candidate as (
    select
        series_id,
        vintage_date,
        count(*) as n_moved,
        median(log_ratio) as log_ratio,
        quantile_cont(log_ratio, 0.9) - quantile_cont(log_ratio, 0.1) as spread,
        min(observation_date) as first_observation_date
    from moved
    group by series_id, vintage_date
    having n_moved >= $least_common
        and abs(median(log_ratio)) >= $least_log_ratio
        and spread <= $most_relative_spread * abs(median(log_ratio))
),
unmoved as (
    select candidate.series_id, candidate.vintage_date, count(*) as n_unmoved
    from candidate
    join span
        on span.series_id = candidate.series_id
        and span.realtime_start < candidate.vintage_date
        and span.realtime_end >= candidate.vintage_date
    left join macro.series as s on s.series_id = candidate.series_id
    where span.observation_date >= candidate.first_observation_date or s.is_rolling_window is not true
    group by candidate.series_id, candidate.vintage_date
)
select
    series_id,
    vintage_date,
    'level' as kind,
    exp(log_ratio) as ratio,
    spread,
    n_moved as n_common,
    first_observation_date,
    null::varchar as old_text,
    null::varchar as new_text
from candidate
left join unmoved using (series_id, vintage_date)
where n_moved >= $least_share * (n_moved + coalesce(n_unmoved, 0))
