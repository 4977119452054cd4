-- Runs of sessions that an index has no row for, between its first row and its last. One row per index and run.
-- $start_date does not narrow it: the vendor's holes are years old and stay true.
with span as (
    select ts_code, min(trade_date) as first_date, max(trade_date) as last_date
    from market.index_daily
    where trade_date between least($start_date, date '1990-01-01') and $as_of
    group by ts_code
),
wanted as (
    select span.ts_code, cal.cal_date as trade_date,
        row_number() over (partition by span.ts_code order by cal.cal_date) as session_no
    from span
    join market.trade_cal as cal
        on cal.exchange = 'SSE' and cal.is_open and cal.cal_date between span.first_date and span.last_date
),
hole as (
    select ts_code, trade_date,
        session_no - row_number() over (partition by ts_code order by trade_date) as run_no
    from wanted anti join market.index_daily using (ts_code, trade_date)
)
select
    ts_code as subject,
    min(trade_date) as subject_date,
    format('index {} has no row for {} session(s) from {} to {}', ts_code, count(*), min(trade_date), max(trade_date))
        as title,
    json_object('n_sessions', count(*), 'last_date', max(trade_date))::varchar as evidence,
    format('select * from analyst.index_day where ts_code = ''{}'' and trade_date between date ''{}'' - 5 and date ''{}'' + 5',
        ts_code, min(trade_date), max(trade_date)) as evidence_sql
from hole
group by ts_code, run_no
order by ts_code, min(trade_date)
