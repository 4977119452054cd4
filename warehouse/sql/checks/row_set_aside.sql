-- Rows that broke a rule and that nobody has decided on, one row per dataset, partition and rule. Bars set aside are
-- left to bar_order, which knows whether the vendor has corrected them since. $start_date opens the window.
-- Rule easy to get wrong: a row leaves this list when one for the same key has passed; a partition need not be a day, and
-- a row may claim a day that is still to come; then the day is that of the load.
with judged as (
    select
        dataset,
        partition,
        rule,
        severity,
        reason,
        row_hash,
        row_json,
        coalesce(json_extract_string(row_json, '$.ts_code'), '') as ts_code,
        coalesce(
            try_cast(json_extract_string(row_json, '$.trade_date') as date),
            try_cast(json_extract_string(row_json, '$.cal_date') as date),
            date '1900-01-01'
        ) as key_date,
        case when try_cast(partition as date) <= $as_of then try_cast(partition as date) else rejected_at::date end
            as judged_date
    from ops.quarantine
    where state = 'pending' and (severity = 'warn' or dataset <> 'market.daily')
),
standing as (
    select 'market.adj_factor' as dataset, ts_code, trade_date as key_date
    from market.adj_factor where trade_date between $start_date and $as_of
    union all
    select 'market.daily_basic', ts_code, trade_date
    from market.daily_basic where trade_date between $start_date and $as_of
    union all
    select 'market.suspend_d', ts_code, trade_date
    from market.suspend_d where trade_date between $start_date and $as_of
    union all
    select 'market.index_daily', ts_code, trade_date
    from market.index_daily where trade_date between $start_date and $as_of
    union all
    select 'market.stock_basic', ts_code, date '1900-01-01' from market.stock_basic
    union all
    select 'market.trade_cal', '', cal_date from market.trade_cal
),
undecided as (
    select * from judged where severity = 'warn'
    union all
    from (from judged where severity <> 'warn') anti join standing using (dataset, ts_code, key_date)
)
select
    format('{} {} {}', dataset, partition, rule) as subject,
    max(judged_date) as subject_date,
    format('{} {}: {} {} {}, such as {}: {}', dataset, partition, count(*),
        case when count(*) = 1 then 'row' else 'rows' end,
        case when severity = 'warn' then 'let in with a warning' else 'set aside' end, min(ts_code), min(reason)) as title,
    min(row_json) as evidence,
    format('select * from analyst.quarantine where dataset = ''{}'' and partition = ''{}'' and rule = ''{}''',
        dataset, replace(partition, '''', ''''''), rule) as evidence_sql
from undecided
where judged_date between $start_date and $as_of
group by dataset, partition, rule, severity
order by subject, subject_date
