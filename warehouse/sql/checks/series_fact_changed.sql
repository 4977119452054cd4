-- Series of which FRED now says something else: title, unit, frequency or seasonal adjustment. One row per series, day.
-- Rule easy to get wrong: the first wording is no change, and `last_updated` changes with every release.
select
    f.series_id as subject,
    f.realtime_start as subject_date,
    f.series_id || ': FRED''s ' || string_agg(
        format('{} is now {}, was {}', replace(f.fact_name, '_', ' '), f.value, before.value), '; ' order by f.fact_name
    ) as title,
    json_object('facts', list(f.fact_name order by f.fact_name))::varchar as evidence,
    format('select * from macro.series_fact where series_id = ''{}'' order by fact_name, realtime_start', f.series_id)
        as evidence_sql
from macro.series_fact as f
join macro.series_fact as before
    on before.series_id = f.series_id
    and before.fact_name = f.fact_name
    and before.realtime_end = f.realtime_start - 1
where f.fact_name <> 'last_updated' and f.realtime_start between $start_date and $as_of
group by f.series_id, f.realtime_start
order by f.series_id, f.realtime_start
