-- Columns that lost their values in a session while the sessions before had them. One row per column and session.
-- Lost = none though the session before had some, or fewer than half of the usual share (median of up to 20 sessions
-- before; of ten rows or more, because fewer prove nothing). The second day of an outage counts by the latter.
-- Rule easy to get wrong: some columns are NULL by nature (pe_ttm of loss-makers, amount in the early 1990s), so only a
-- change counts. Rows whose column may not be NULL are set aside by the load instead.
with bar as (
    select trade_date, count(*) as n_rows, count(change) as change, count(pct_chg) as pct_chg, count(amount) as amount
    from market.daily
    where trade_date between $start_date - interval 60 day and $as_of
    group by trade_date
),
basic as (
    select
        trade_date, count(*) as n_rows, count(close) as close, count(turnover_rate) as turnover_rate,
        count(volume_ratio) as volume_ratio, count(pe_ttm) as pe_ttm, count(pb) as pb, count(ps_ttm) as ps_ttm,
        count(total_mv) as total_mv, count(circ_mv) as circ_mv
    from market.daily_basic
    where trade_date between $start_date - interval 60 day and $as_of
    group by trade_date
),
counted as (
    select 'market.daily' as dataset, trade_date, n_rows, column_name, n_values
    from bar unpivot (n_values for column_name in (change, pct_chg, amount))
    union all
    select 'market.daily_basic' as dataset, trade_date, n_rows, column_name, n_values
    from basic unpivot (
        n_values for column_name in (close, turnover_rate, volume_ratio, pe_ttm, pb, ps_ttm, total_mv, circ_mv)
    )
),
judged as (
    select
        *,
        median(n_values / n_rows) over before as usual_share,
        last_value(n_values) over before as n_values_before
    from counted
    window before as (
        partition by dataset, column_name order by trade_date rows between 20 preceding and 1 preceding
    )
)
select
    dataset || '.' || column_name as subject,
    trade_date as subject_date,
    format('{}.{} has {} values in {} rows of {}; {:.0f} % is usual', dataset, column_name, n_values, n_rows,
        trade_date, usual_share * 100) as title,
    json_object('n_values', n_values, 'n_rows', n_rows, 'usual_share', round(usual_share, 4))::varchar as evidence,
    format('select trade_date, count(*), count({}) from {} where trade_date between date ''{}'' - 30 and date ''{}'' + 7'
        ' group by trade_date order by trade_date', column_name, dataset, trade_date, trade_date) as evidence_sql
from judged
where trade_date >= $start_date
    and (n_values = 0 and n_values_before > 0 or n_rows >= 10 and n_values < 0.5 * usual_share * n_rows)
order by dataset, column_name, trade_date
