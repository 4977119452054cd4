-- Sessions of which a table has nothing at all: never loaded, or every try failed. One row per table and session.
-- Looks from the table's first session in the ledger, so that a hole in a long backfill is found too.
-- Rule easy to get wrong: $start_date is not used to narrow it; a silent gap must be found however old it is.
with held as (
    select dataset, cast(partition as date) as trade_date, state, reason
    from ops.ledger
    where dataset in ('market.daily', 'market.adj_factor', 'market.daily_basic', 'market.suspend_d')
),
span as (
    select min(trade_date) as first_date from held where trade_date <= $as_of
),
wanted as (
    select d.dataset, cal.cal_date as trade_date
    from market.trade_cal as cal
    cross join (select unnest(['market.daily', 'market.adj_factor', 'market.daily_basic', 'market.suspend_d']) as dataset) as d
    where cal.exchange = 'SSE' and cal.is_open
        and cal.cal_date between least((select first_date from span), $start_date) and $as_of
        and cal.cal_date >= (select first_date from span)
)
select
    wanted.dataset as subject,
    wanted.trade_date as subject_date,
    format('{} has nothing for the session of {}: {}', wanted.dataset, wanted.trade_date,
        coalesce(nullif(held.reason, ''), 'it was never loaded')) as title,
    json_object('state', coalesce(held.state, 'missing'), 'reason', held.reason)::varchar as evidence,
    format('select * from analyst.coverage where dataset = ''{}'' and session_date = date ''{}''',
        wanted.dataset, wanted.trade_date) as evidence_sql
from wanted
left join held using (dataset, trade_date)
where held.dataset is null or held.state in ('failed', 'missing')
order by wanted.dataset, wanted.trade_date
