-- Sessions that count as whole though some securities have no bar: listed, not suspended all day, and not there.
-- One row per session, when at most $missing_fraction is missing; more are the check row_missing.
-- Rule easy to get wrong: a security whose code changed has its bar under either code; delist_date is the first day
-- without trading; a day that is partial or failed, and a bar that was set aside, are alerts of their own. The count of
-- rows proves nothing: the bar of a security that nobody expected makes up for one that never came.
with session as (
    select cast(partition as date) as trade_date, n_expected, n_received
    from ops.ledger
    where dataset = 'market.daily' and state = 'ok'
        and cast(partition as date) between $start_date and $as_of
),
listed as (
    select distinct session.trade_date, stock.ts_code, coalesce(change.new_code, stock.ts_code) as security
    from session
    join market.stock_basic as stock
        on stock.list_date <= session.trade_date
        and (stock.delist_date is null or stock.delist_date > session.trade_date)
    left join market.code_change as change on change.old_code = stock.ts_code
),
halted as (
    select trade_date, ts_code from market.suspend_d where suspend_type = 'S' and suspend_timing is null
),
traded as (
    select bar.trade_date, coalesce(change.new_code, bar.ts_code) as security
    from market.daily as bar
    left join market.code_change as change on change.old_code = bar.ts_code
    where bar.trade_date in (select trade_date from session)
),
set_aside as (
    select
        try_cast(json_extract_string(row_json, '$.trade_date') as date) as trade_date,
        json_extract_string(row_json, '$.ts_code') as ts_code
    from ops.quarantine
    where dataset = 'market.daily'
),
missing as (
    select listed.trade_date, listed.ts_code
    from listed
    anti join halted using (trade_date, ts_code)
    anti join set_aside using (trade_date, ts_code)
    anti join traded on traded.trade_date = listed.trade_date and traded.security = listed.security
)
select
    'market.daily' as subject,
    missing.trade_date as subject_date,
    format('{} of {} bars of {} are missing: {}', count(*), any_value(session.n_expected), missing.trade_date,
        array_to_string(list(missing.ts_code order by missing.ts_code)[:10], ', ')) as title,
    json_object('missing', list(missing.ts_code order by missing.ts_code), 'n_expected', any_value(session.n_expected),
        'n_received', any_value(session.n_received))::varchar as evidence,
    format('select * from analyst.coverage where dataset = ''market.daily'' and session_date = date ''{}''',
        missing.trade_date) as evidence_sql
from missing
join session using (trade_date)
group by missing.trade_date
having count(*) <= $missing_fraction * any_value(session.n_expected)
order by missing.trade_date
