-- Datasets that are pulled as one piece or series by series and whose last pull failed. One row per dataset: an outage
-- of a vendor is one trouble, not fifty. subject_date is the oldest day a failed piece is known through, which stays
-- the same while the outage lasts. A failed pull that left older rows standing is `partial` and counts as well.
select
    dataset as subject,
    min(through_date) as subject_date,
    format('{}: the last pull of {} failed: {}', dataset,
        case when count(*) = 1 then min(partition)
            else format('{} and {} more', min(partition), count(*) - 1) end,
        min_by(reason, partition)) as title,
    json_object('partitions', list(partition order by partition), 'reason', min_by(reason, partition))::varchar
        as evidence,
    format('select * from analyst.coverage where dataset = ''{}'' and state not in (''ok'', ''empty_confirmed'')', dataset)
        as evidence_sql
from ops.ledger
where dataset in (
        'market.trade_cal', 'market.stock_basic', 'market.code_change', 'market.index_daily', 'macro.observation'
    )
    and (state = 'failed' or state = 'partial' and (n_expected is null or n_received = 0))
    and through_date between least($start_date, date '1990-01-01') and $as_of + interval 1 day
group by dataset
order by dataset
