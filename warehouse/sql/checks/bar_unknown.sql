-- Bars of a security that no list knows: neither listed, delisted nor paused, under its code or one that changed.
-- One row per security, on the day of its first bar; more than 20 such securities are one row, because then it is the
-- list that lacks them. $start_date does not narrow it: a bar stays unknown until the list is completed.
-- Rule easy to get wrong: while no security is known at all, nothing is said of any; that load failed, which is an alert.
with known as (
    select coalesce(change.new_code, stock.ts_code) as security
    from market.stock_basic as stock
    left join market.code_change as change on change.old_code = stock.ts_code
),
traded as (
    select bar.ts_code, min(bar.trade_date) as first_date, max(bar.trade_date) as last_date, count(*) as n_bars
    from market.daily as bar
    where bar.trade_date between least($start_date, date '1990-01-01') and $as_of
    group by bar.ts_code
),
unknown as (
    select traded.ts_code, traded.first_date, traded.last_date, traded.n_bars
    from traded
    left join market.code_change as change on change.old_code = traded.ts_code
    anti join known on known.security = coalesce(change.new_code, traded.ts_code)
    where exists (from market.stock_basic)
),
counted as (
    select count(*) as n_codes, min(first_date) as first_date, sum(n_bars)::bigint as n_bars,
        list(ts_code order by ts_code)[:20] as first_codes
    from unknown
)
select
    ts_code as subject,
    first_date as subject_date,
    format('{} has {} bars from {} to {}, and no list of securities knows it', ts_code, n_bars, first_date, last_date)
        as title,
    json_object('n_bars', n_bars, 'first_date', first_date, 'last_date', last_date)::varchar as evidence,
    format('select * from market.daily where ts_code = ''{}'' order by trade_date', ts_code) as evidence_sql
from unknown
where (select n_codes from counted) <= 20
union all
select
    'market.daily' as subject,
    first_date as subject_date,
    format('{} securities have {} bars, the first on {}, and no list of securities knows them, such as {}', n_codes,
        n_bars, first_date, first_codes[1]) as title,
    json_object('n_codes', n_codes, 'n_bars', n_bars, 'first', first_codes)::varchar as evidence,
    'select ts_code, count(*) from market.daily anti join market.stock_basic using (ts_code) group by ts_code'
        as evidence_sql
from counted
where n_codes > 20
order by subject
