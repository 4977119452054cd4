-- Rows other than bars that broke a rule and have had no good successor. One row per table and partition; bars have
-- their own check, bar_order. A row leaves this list when one for the same key has passed.
-- Rule easy to get wrong: a row that has no session counts for the day it was first set aside, which stays the same.
with rejected as (
    select
        dataset,
        partition,
        reason,
        coalesce(json_extract_string(row_json, '$.ts_code'), '') as ts_code,
        coalesce(
            try_cast(json_extract_string(row_json, '$.trade_date') as date),
            try_cast(json_extract_string(row_json, '$.cal_date') as date),
            date '1900-01-01'
        ) as key_date,
        cast(rejected_at as date) as rejected_date
    from ops.quarantine
    where dataset in ('market.adj_factor', 'market.daily_basic', 'market.suspend_d', 'market.index_daily',
        'market.stock_basic', 'market.trade_cal')
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
lost as (
    select rejected.*, case when key_date = date '1900-01-01' then rejected_date else key_date end as lost_date
    from rejected
    anti join standing using (dataset, ts_code, key_date)
)
select
    dataset as subject,
    min(lost_date) as subject_date,
    format('{} {}: {} row(s) set aside, such as {}: {}', dataset, partition, count(*), min(ts_code), min(reason)) as title,
    json_object('n_rows', count(*), 'reasons', list(distinct reason order by reason))::varchar as evidence,
    format('select * from analyst.quarantine where dataset = ''{}'' and partition = ''{}''', dataset, partition)
        as evidence_sql
from lost
where lost_date between $start_date and $as_of or dataset = 'market.trade_cal'
group by dataset, partition
order by dataset, partition
