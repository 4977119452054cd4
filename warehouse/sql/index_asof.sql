-- An index as it was known on the evening of $as_of: one row per session up to that day. $code is the index.
-- Inputs: market.index_daily, and ops.revision to undo what was corrected or came later.
-- Rule easy to get wrong: of several later corrections of one value the first undone is the oldest, and the partition of
-- an index is the index, so that its sessions are in the key.
with later as (
    select
        cast(row_key ->> 'trade_date' as date) as trade_date,
        column_name,
        arg_min(struct_pack(old_value := old_value), revision_no).old_value as old_value
    from ops.revision
    where dataset = 'market.index_daily' and (row_key ->> 'ts_code') = $code and revised_date > $as_of
    group by all
),
undone as (
    select
        trade_date,
        bool_or(column_name = '*') as came_late,
        max(cast(old_value as double)) filter (where column_name = 'close') as close,
        max(cast(old_value as double)) filter (where column_name = 'pre_close') as pre_close
    from later
    group by trade_date
)
select
    bar.trade_date,
    coalesce(undone.close, bar.close) as close,
    coalesce(undone.pre_close, bar.pre_close) as pre_close
from market.index_daily as bar
left join undone using (trade_date)
where bar.ts_code = $code and bar.trade_date <= $as_of and not coalesce(undone.came_late, false)
