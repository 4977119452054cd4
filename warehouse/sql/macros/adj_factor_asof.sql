-- Adjustment factors as they were known on the evening of `as_of`: one row per security and session up to that day.
-- Inputs: market.adj_factor, and ops.revision to undo what was corrected or came later.
-- Rule easy to get wrong: of several later corrections of one factor the first undone is the oldest.
create or replace macro main.adj_factor_asof(as_of) as table
with later as (
    select
        row_key ->> 'ts_code' as ts_code,
        cast(row_key ->> 'trade_date' as date) as trade_date,
        column_name,
        arg_min(struct_pack(old_value := old_value), revision_no).old_value as old_value
    from ops.revision
    where dataset = 'market.adj_factor' and revised_date > as_of::date
    group by row_key ->> 'ts_code', cast(row_key ->> 'trade_date' as date), column_name
),
undone as (
    select
        ts_code,
        trade_date,
        bool_or(column_name = '*') as came_late,
        max(cast(old_value as double)) filter (where column_name = 'adj_factor') as adj_factor
    from later
    group by ts_code, trade_date
)
select factor.ts_code, factor.trade_date, coalesce(undone.adj_factor, factor.adj_factor) as adj_factor
from market.adj_factor as factor
left join undone using (ts_code, trade_date)
where factor.trade_date <= as_of::date and not coalesce(undone.came_late, false)
