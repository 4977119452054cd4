-- One row per dataset: newest day it is known through, partitions held, and partitions that are not whole.
create or replace view analyst.freshness as
select
    dataset,
    max(through_date) filter (where state in ('ok', 'empty_confirmed')) as newest_date,
    count(*) as n_partitions,
    count(*) filter (where state not in ('ok', 'empty_confirmed')) as n_not_ok
from ops.ledger
group by dataset
