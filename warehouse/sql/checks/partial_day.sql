-- Sessions of which a table has fewer rows than listed, not suspended securities. One row per table and session.
-- $start_date does not narrow it: a day stays partial until the rest has come.
select
    dataset as subject,
    cast(partition as date) as subject_date,
    case when n_expected is null or n_received >= n_expected
        then format('{} {} is not whole: {}', dataset, partition, reason)
        else format('{} {} has {} of {} rows', dataset, partition, n_received, n_expected)
    end as title,
    json_object('n_expected', n_expected, 'n_received', n_received, 'reason', reason)::varchar as evidence,
    format('select * from analyst.coverage where dataset = ''{}'' and partition = ''{}''', dataset, partition)
        as evidence_sql
from ops.ledger
where state = 'partial'
    and dataset in ('market.daily', 'market.adj_factor', 'market.daily_basic', 'market.suspend_d')
    and cast(partition as date) between least($start_date, date '1990-01-01') and $as_of
order by dataset, partition
