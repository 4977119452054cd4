-- One row per factor and publication of its newest score, by a refit or for a session scored: the change since the
-- publication before, in standard deviations, split into what data and what a refit did.
-- data_part = new_data + revised, refit_part = rescaled + reloaded + completed; unexplained is rounding.
create or replace view analyst.factor_change as
select
    model_version,
    model_name,
    factor,
    score_date,
    published_date,
    previous_version,
    previous_score_date,
    previous_score,
    score,
    score - previous_score as change,
    new_data + revised as data_part,
    rescaled + reloaded + completed as refit_part,
    new_data,
    revised,
    rescaled,
    reloaded,
    completed,
    (score - previous_score) - (new_data + revised + rescaled + reloaded + completed) as unexplained
from model.factor_change
