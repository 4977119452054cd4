-- Columns that are NULL in every row of a session though they had values the session before; one row per table, column
-- and session. $start_date opens the window. The rows are kept: a vendor may really have nothing to say.
-- Rule easy to get wrong: the session before is the table's own, and may lie outside the window.
with counted as (
    select 'market.daily' as dataset, trade_date,
        {'amount': count(amount), 'change': count(change), 'pct_chg': count(pct_chg)}::map(varchar, bigint) as n_values
    from market.daily
    where trade_date between $start_date - interval 30 day and $as_of
    group by trade_date
    union all
    select 'market.daily_basic', trade_date,
        {'close': count(close), 'turnover_rate': count(turnover_rate), 'volume_ratio': count(volume_ratio),
        'pe_ttm': count(pe_ttm), 'pb': count(pb), 'ps_ttm': count(ps_ttm), 'total_mv': count(total_mv),
        'circ_mv': count(circ_mv)}::map(varchar, bigint)
    from market.daily_basic
    where trade_date between $start_date - interval 30 day and $as_of
    group by trade_date
),
each_column as (
    select dataset, trade_date, entry.key as column_name, entry.value as n_values
    from (select dataset, trade_date, unnest(map_entries(n_values)) as entry from counted)
),
compared as (
    select *, lag(n_values) over (partition by dataset, column_name order by trade_date) as n_before from each_column
)
select
    format('{}.{}', dataset, column_name) as subject,
    trade_date as subject_date,
    format('{}.{} is missing from every row of {}, after {} values the session before', dataset, column_name,
        trade_date, n_before) as title,
    json_object('n_values', n_values, 'n_values_before', n_before)::varchar as evidence,
    format('select trade_date, count(*), count({}) from {} group by 1 order by 1 desc limit 10', column_name, dataset)
        as evidence_sql
from compared
where trade_date >= $start_date and n_values = 0 and n_before > 0
order by subject, subject_date
