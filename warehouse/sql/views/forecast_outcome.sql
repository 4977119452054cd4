-- One row per model version and day it forecast, once what came is known: errors beside the naive forecast's, rank IC,
-- and nominal beside realised coverage of the intervals.
create or replace view analyst.forecast_outcome as
select
    model_version,
    model_name,
    forecast_date,
    known_date,
    n_rows,
    squared_error,
    naive_squared_error,
    1 - squared_error / nullif(naive_squared_error, 0) as r2_against_naive,
    rank_ic,
    nominal_coverage,
    realised_coverage
from model.forecast_outcome
