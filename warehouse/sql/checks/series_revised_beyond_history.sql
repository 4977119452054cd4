-- Series of which a vintage of the last sessions revised more than half of what stood, with no new base to explain it.
-- One row per series and day. At least 24 values must have stood: a short series is revised whole as a matter of course.
-- Rule easy to get wrong: values restated by true vintages, or first seen, are no revision; only a value that follows
-- another the day after that ended is.
with revised as (
    select after.series_id, after.realtime_start as vintage_date, count(*) as n_revised,
        min(after.observation_date) as first_date, median(abs(after.value / before.value - 1)) as typical_change
    from macro.observation as after
    join macro.observation as before
        on before.series_id = after.series_id
        and before.observation_date = after.observation_date
        and before.realtime_end = after.realtime_start - 1
        and before.value <> 0
    where after.realtime_start between $start_date and $as_of
    group by after.series_id, after.realtime_start
),
stood as (
    select r.series_id, r.vintage_date, count(*) as n_stood
    from revised as r
    join macro.observation as o
        on o.series_id = r.series_id and o.realtime_start < r.vintage_date and o.realtime_end >= r.vintage_date - 1
    where o.value is not null
    group by r.series_id, r.vintage_date
)
select
    r.series_id as subject,
    r.vintage_date as subject_date,
    format('{}: {} of {} values were revised on {}, back to {}', r.series_id, r.n_revised, stood.n_stood,
        r.vintage_date, r.first_date) as title,
    json_object(
        'n_revised', r.n_revised, 'n_stood', stood.n_stood, 'first_date', r.first_date,
        'typical_change', r.typical_change
    )::varchar as evidence,
    format('select * from analyst.macro_vintage where series_id = ''{}'' order by observation_date, realtime_start',
        r.series_id) as evidence_sql
from revised as r
join stood using (series_id, vintage_date)
anti join (select series_id, vintage_date from macro.rebase where kind = 'level') as rebased
    using (series_id, vintage_date)
where stood.n_stood >= 24 and 2 * r.n_revised > stood.n_stood
order by r.series_id, r.vintage_date
