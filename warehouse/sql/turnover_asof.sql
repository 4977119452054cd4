-- Turnover rates as they were known on the evening of $as_of: one row per security and session up to that day.
-- Inputs: market.daily_basic, and ops.revision to undo what was corrected or came later.
-- Rule easy to get wrong: of several later corrections of one value the first undone is the oldest, and what it undoes
-- may be NULL: a rate that was filled in later was missing on $as_of.
with later as (
    select
        row_key ->> 'ts_code' as ts_code,
        cast(row_key ->> 'trade_date' as date) as trade_date,
        column_name = '*' as came_late,
        arg_min(struct_pack(old_value := old_value), revision_no).old_value as old_value
    from ops.revision
    where dataset = 'market.daily_basic' and revised_date > $as_of and column_name in ('*', 'turnover_rate')
    group by all
),
undone as (
    select
        ts_code,
        trade_date,
        bool_or(came_late) as came_late,
        bool_or(not came_late) as was_corrected,
        max(cast(old_value as double)) filter (where not came_late) as old_value
    from later
    group by ts_code, trade_date
)
select
    basic.ts_code,
    basic.trade_date,
    case when coalesce(undone.was_corrected, false) then undone.old_value else basic.turnover_rate end as turnover_rate
from market.daily_basic as basic
left join undone using (ts_code, trade_date)
where basic.trade_date <= $as_of and not coalesce(undone.came_late, false)
