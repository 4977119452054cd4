-- One row per series and day after $since, up to $as_of, on which values published before became others: the value
-- revised most, how many were, and the revision in usual steps (the median move from one period to the next over the
-- last 60 periods, as known on $as_of). The largest by that standard come first.
-- Rule easy to get wrong: what moved to another base or unit was not revised, whatever its numbers did; it has no
-- steps and comes last. A value that stood in for an unknown one and was estimated was never published.
with revised as (
    select
        after.series_id,
        after.observation_date,
        after.realtime_start as revised_date,
        before.value as value_before,
        after.value as value_after
    from macro.observation as after
    join macro.observation as before
        on before.series_id = after.series_id
        and before.observation_date = after.observation_date
        and before.realtime_end = after.realtime_start - 1
    where after.realtime_start > $since and after.realtime_start <= $as_of
        and before.realtime_end >= $since and before.realtime_end < $as_of
        and not after.is_realtime_estimated
        and before.value is not null and after.value is not null and after.value <> before.value
),
standing as (
    select
        series_id,
        value - lag(value) over (partition by series_id order by observation_date) as step,
        row_number() over (partition by series_id order by observation_date desc) as newest_no
    from macro.observation
    where realtime_start <= $as_of and realtime_end >= $as_of and value is not null
        and series_id in (select series_id from revised)
),
usual as (
    select series_id, median(abs(step)) as usual_step
    from standing
    where newest_no <= 60
    group by series_id
),
measured as (
    select
        r.*,
        b.series_id is not null as is_rebased,
        case when b.series_id is null then abs(r.value_after - r.value_before) / nullif(u.usual_step, 0) end as n_steps
    from revised as r
    left join usual as u using (series_id)
    left join (select distinct series_id, vintage_date from macro.rebase) as b
        on b.series_id = r.series_id and b.vintage_date = r.revised_date
),
gathered as (
    select
        series_id,
        revised_date,
        count(*) as n_revised,
        bool_or(is_rebased) as is_rebased,
        max_by(
            {'observation_date': observation_date, 'value_before': value_before, 'value_after': value_after},
            (coalesce(n_steps, 0), abs(value_after - value_before), observation_date)
        ) as most,
        max(n_steps) as n_steps
    from measured
    group by series_id, revised_date
)
select
    g.series_id,
    s.title,
    s.unit,
    s.frequency,
    g.revised_date,
    g.n_revised,
    g.is_rebased,
    g.most.observation_date as observation_date,
    g.most.value_before as value_before,
    g.most.value_after as value_after,
    g.n_steps
from gathered as g
join macro.series as s using (series_id)
order by g.n_steps desc nulls last, g.revised_date desc, g.series_id
