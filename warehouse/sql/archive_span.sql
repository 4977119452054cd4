-- One row per span of an archived value that has to be written (`is_gone` false) or taken away (`is_gone` true).
-- Inputs: registered `run`, the spans of a chain of vintages; $prefix; the chain's $first_date and $last_date, and
-- whether these two are known neighbours ($has_before, $has_after) rather than vintages being loaded.
-- Rule easy to get wrong: a span that reaches a known neighbour goes on beyond it, as far as the standing one did.
create temp table archive_span as
with held as (
    select series_id, observation_date, value, realtime_start, realtime_end
    from macro.archived_observation
    where starts_with(series_id, $prefix) and realtime_start <= $last_date and realtime_end >= $first_date
),
wanted as (
    select
        run.series_id,
        run.observation_date,
        run.value,
        case when $has_before and run.realtime_start = $first_date then b.realtime_start else run.realtime_start end
            as realtime_start,
        case when $has_after and run.realtime_end = date '9999-12-31' then a.realtime_end else run.realtime_end end
            as realtime_end
    from run
    left join held as b
        on $has_before
        and run.realtime_start = $first_date
        and b.series_id = run.series_id
        and b.observation_date = run.observation_date
        and b.realtime_start <= $first_date
        and b.realtime_end >= $first_date
    left join held as a
        on $has_after
        and run.realtime_end = date '9999-12-31'
        and a.series_id = run.series_id
        and a.observation_date = run.observation_date
        and a.realtime_start <= $last_date
        and a.realtime_end >= $last_date
),
fresh as (
    select wanted.*
    from wanted
    anti join held
        on held.series_id = wanted.series_id
        and held.observation_date = wanted.observation_date
        and held.realtime_start = wanted.realtime_start
        and held.realtime_end = wanted.realtime_end
        and held.value is not distinct from wanted.value
),
gone as (
    select held.*
    from held
    anti join wanted
        on held.series_id = wanted.series_id
        and held.observation_date = wanted.observation_date
        and held.realtime_start = wanted.realtime_start
        and held.realtime_end = wanted.realtime_end
        and held.value is not distinct from wanted.value
)
select *, true as is_gone from gone
union all
select *, false as is_gone from fresh
