-- Rows that broke a rule and that nobody has decided on, one row per dataset, partition and rule. Bars set aside are
-- left to bar_order, which knows whether the vendor has corrected them since. $start_date opens the window.
-- Rule easy to get wrong: a partition need not be a day, and a row may claim a day that is still to come; then the day
-- is that of the load.
with judged as (
    select
        dataset,
        partition,
        rule,
        severity,
        reason,
        row_hash,
        row_json,
        case when try_cast(partition as date) <= $as_of then try_cast(partition as date) else rejected_at::date end
            as judged_date
    from ops.quarantine
    where state = 'pending' and (severity = 'warn' or dataset <> 'market.daily')
)
select
    format('{} {} {}', dataset, partition, rule) as subject,
    max(judged_date) as subject_date,
    format('{} {}: {} {} {}: {}', dataset, partition, count(*), case when count(*) = 1 then 'row' else 'rows' end,
        case when severity = 'warn' then 'let in with a warning' else 'set aside' end, min(reason)) as title,
    min(row_json) as evidence,
    format('select * from analyst.quarantine where dataset = ''{}'' and partition = ''{}'' and rule = ''{}''',
        dataset, replace(partition, '''', ''''''), rule) as evidence_sql
from judged
where judged_date between $start_date and $as_of
group by dataset, partition, rule, severity
order by subject, subject_date
