-- One row per monthly, quarterly or weekly series and period: its value as it stood on $as_of, NULL where published as
-- missing. Inputs: macro_asof, macro.series, macro.rebase.
-- Rule easy to get wrong: a value that stayed at the base before the newest rebasing is left out, because a change
-- across two bases is no change.
with newest_base as (
    select series_id, max_by(first_observation_date, vintage_date) as first_observation_date
    from macro.rebase
    where kind = 'level' and vintage_date <= $as_of
    group by series_id
)
select s.series_id, s.frequency, s.transform_code, published.observation_date, published.value
from macro_asof($as_of) as published
join macro.series as s using (series_id)
left join newest_base using (series_id)
where s.frequency in ('W', 'M', 'Q')
    and published.observation_date >= coalesce(newest_base.first_observation_date, published.observation_date)
order by s.series_id, published.observation_date
