-- One row per fitted factor and series or security: weight in the unit-length eigenvector, and the share of the
-- entity's variance (0 to 1) this factor adds to those before it.
create or replace view analyst.factor_loading as
select
    l.model_version,
    l.model_name,
    v.as_of_date,
    l.factor,
    l.entity,
    coalesce(s.title, stock.name, l.entity) as entity_name,
    l.loading,
    l.marginal_r2
from model.factor_loading as l
join model.model_version as v using (model_version)
left join macro.series as s on s.series_id = l.entity
left join market.stock_basic as stock on stock.ts_code = l.entity
