-- One row per dataset and partition: what was expected, what came. coverage_fraction is received / expected, at most 1:
-- adjustment factors also come for suspended securities, which are not expected.
-- Open sessions between a dataset's first and the newest session without any load appear as `missing`.
create or replace view analyst.coverage as
with loaded as (
    select
        dataset,
        partition,
        try_cast(partition as date) as session_date,
        state,
        n_expected,
        n_received,
        n_quarantined,
        case when n_expected > 0 then least(n_received / n_expected, 1.0) end as coverage_fraction,
        reason,
        through_date
    from ops.ledger
),
sessions as (
    select dataset, session_date from loaded where session_date is not null and dataset like 'market.%'
),
newest as (
    select max(session_date) as last_date from sessions
),
span as (
    select sessions.dataset, min(sessions.session_date) as first_date, newest.last_date
    from sessions
    cross join newest
    group by sessions.dataset, newest.last_date
),
missing as (
    select
        span.dataset,
        strftime(cal.cal_date, '%Y-%m-%d') as partition,
        cal.cal_date as session_date
    from span
    join market.trade_cal as cal
        on cal.exchange = 'SSE' and cal.is_open and cal.cal_date between span.first_date and span.last_date
    anti join loaded on loaded.dataset = span.dataset and loaded.session_date = cal.cal_date
)
select * from loaded
union all
select dataset, partition, session_date, 'missing', null, 0, 0, 0.0, 'never loaded', null from missing
