-- One row per forecasting version and feature: how much the forecasts of the last walk-forward fold lose when the
-- feature is shuffled within each day, as a share of the naive forecast's squared error, and how far shuffles differ.
create or replace view analyst.importance as
select
    i.model_version,
    i.model_name,
    v.as_of_date,
    i.term,
    i.loss_increase,
    i.spread,
    i.n_shuffles,
    i.n_rows
from model.importance as i
join model.model_version as v using (model_version)
