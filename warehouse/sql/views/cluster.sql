-- One row per clustered thing: a month's macro regime (entity is the month) or a security's group (entity is ts_code).
create or replace view analyst.cluster as
select
    c.model_version,
    c.model_name,
    v.as_of_date,
    c.entity,
    coalesce(stock.name, c.entity) as entity_name,
    c.cluster
from model.cluster as c
join model.model_version as v using (model_version)
left join market.stock_basic as stock on stock.ts_code = c.entity
