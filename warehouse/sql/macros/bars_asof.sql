-- Bars as they were known on the evening of `as_of`: one row per security and session up to that day, unadjusted.
-- Inputs: market.daily, and ops.revision to undo what was corrected or came later.
-- Rule easy to get wrong: of several later corrections of one value the first undone is the oldest, for it replaced what
-- stood on `as_of`; a row that came late is left out; what was loaded long after its day counts as known on its day.
create or replace macro main.bars_asof(as_of) as table
with later as (
    select
        row_key ->> 'ts_code' as ts_code,
        cast(row_key ->> 'trade_date' as date) as trade_date,
        column_name,
        arg_min(struct_pack(old_value := old_value), revision_no).old_value as old_value
    from ops.revision
    where dataset = 'market.daily' and revised_date > as_of::date
    group by row_key ->> 'ts_code', cast(row_key ->> 'trade_date' as date), column_name
),
undone as (
    select
        ts_code,
        trade_date,
        bool_or(column_name = '*') as came_late,
        map_from_entries(list(struct_pack(k := column_name, v := old_value))) as old_values
    from later
    group by ts_code, trade_date
)
select
    bar.ts_code,
    bar.trade_date,
    case when 'open' in map_keys(old_values) then cast(old_values['open'] as double) else bar.open end as open,
    case when 'high' in map_keys(old_values) then cast(old_values['high'] as double) else bar.high end as high,
    case when 'low' in map_keys(old_values) then cast(old_values['low'] as double) else bar.low end as low,
    case when 'close' in map_keys(old_values) then cast(old_values['close'] as double) else bar.close end as close,
    case when 'pre_close' in map_keys(old_values) then cast(old_values['pre_close'] as double) else bar.pre_close end
        as pre_close,
    case when 'change' in map_keys(old_values) then cast(old_values['change'] as double) else bar.change end as change,
    case when 'pct_chg' in map_keys(old_values) then cast(old_values['pct_chg'] as double) else bar.pct_chg end
        as pct_chg,
    case when 'vol' in map_keys(old_values) then cast(old_values['vol'] as double) else bar.vol end as vol,
    case when 'amount' in map_keys(old_values) then cast(old_values['amount'] as double) else bar.amount end as amount
from market.daily as bar
left join undone using (ts_code, trade_date)
where bar.trade_date <= as_of::date and not coalesce(undone.came_late, false)
