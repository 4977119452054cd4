-- Securities listed on `as_of`, under the code that was theirs that day, with the one they have now. One row a security.
-- Inputs: market.stock_basic (delisted ones included), market.code_change.
-- Rule easy to get wrong: delist_date is the first day without trading; a security that changed its code may stand in
-- the vendor's list twice and is one; `name` and `industry` are today's, the vendor keeps no history of them.
create or replace macro main.universe_asof(as_of) as table
with listed as (
    select
        coalesce(change.new_code, stock.ts_code) as current_code,
        change.old_code,
        change.change_date,
        stock.name,
        stock.industry,
        stock.market,
        stock.list_date,
        stock.delist_date
    from market.stock_basic as stock
    left join market.code_change as change on stock.ts_code in (change.old_code, change.new_code)
    where stock.list_date <= as_of::date and (stock.delist_date is null or stock.delist_date > as_of::date)
),
one_each as (
    select
        current_code,
        any_value(old_code) as old_code,
        any_value(change_date) as change_date,
        any_value(name) as name,
        any_value(industry) as industry,
        any_value(market) as market,
        min(list_date) as list_date
    from listed
    group by current_code
)
select
    case when as_of::date < change_date then old_code else current_code end as ts_code,
    current_code,
    name,
    industry,
    market,
    list_date
from one_each
