-- One row per cause of a published macro forecast's change since the refit before; the effects of one forecast add up to
-- mean_change - previous_mean_change but for rounding.
create or replace view analyst.macro_news as
select
    n.model_version,
    n.model_name,
    n.series_id,
    n.horizon_months,
    f.forecast_date,
    n.previous_version,
    p.mean_change as previous_mean_change,
    f.mean_change,
    n.kind,
    n.entity,
    coalesce(s.title, n.entity) as entity_name,
    n.observation_date,
    n.expected,
    n.actual,
    n.effect
from model.macro_news as n
join model.macro_outlook as f using (model_version, series_id, horizon_months)
join model.macro_outlook as p
    on p.model_version = n.previous_version
    and p.series_id = n.series_id
    and p.horizon_months = n.horizon_months
left join macro.series as s on s.series_id = n.entity
