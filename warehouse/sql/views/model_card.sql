-- One row per fitted model version: what it was fitted on, with which parameters, and whether it scores the market.
create or replace view analyst.model_card as
select
    model_version,
    model_name,
    as_of_date,
    train_start,
    train_end,
    n_rows,
    n_rows_dropped,
    params,
    is_converged,
    is_champion,
    files_sha256,
    code_version,
    snapshot
from model.model_version
