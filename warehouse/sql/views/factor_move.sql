-- One row per macro factor and series: its part in the factor's step over the panel's last month, in standard deviations.
-- The parts of a factor add up to the difference of its last two scores.
create or replace view analyst.factor_move as
select
    m.model_version,
    m.model_name,
    v.as_of_date,
    m.factor,
    m.entity,
    coalesce(s.title, m.entity) as entity_name,
    m.score_date,
    m.step,
    l.loading,
    m.contribution,
    m.is_completed
from model.factor_move as m
join model.model_version as v using (model_version)
join model.factor_loading as l using (model_version, factor, entity)
left join macro.series as s on s.series_id = m.entity
