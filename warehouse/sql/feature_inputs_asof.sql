-- What returns and features are computed from, as it was known on the evening of $as_of: one row per bar up to that day.
-- Inputs: bars_asof, adj_factor_asof; market.daily_basic, and ops.revision to undo what was corrected or came later.
-- Rule easy to get wrong: of several later corrections of one value the first undone is the oldest, and what it undoes
-- may be NULL: a rate that was filled in later was missing on $as_of. Sorted by security, then session.
with later as (
    select
        row_key ->> 'ts_code' as ts_code,
        cast(row_key ->> 'trade_date' as date) as trade_date,
        column_name,
        arg_min(struct_pack(old_value := old_value), revision_no).old_value as old_value
    from ops.revision
    where dataset = 'market.daily_basic' and revised_date > $as_of
    group by all
),
undone as (
    select
        ts_code,
        trade_date,
        bool_or(column_name = '*') as came_late,
        map_from_entries(list(struct_pack(k := column_name, v := old_value))) as old
    from later
    group by ts_code, trade_date
),
basic as (
    select
        held.ts_code,
        held.trade_date,
        if('turnover_rate' in map_keys(old), cast(old['turnover_rate'] as double), held.turnover_rate) as turnover_rate,
        if('pe_ttm' in map_keys(old), cast(old['pe_ttm'] as double), held.pe_ttm) as pe_ttm,
        if('pb' in map_keys(old), cast(old['pb'] as double), held.pb) as pb,
        if('ps_ttm' in map_keys(old), cast(old['ps_ttm'] as double), held.ps_ttm) as ps_ttm
    from market.daily_basic as held
    left join undone using (ts_code, trade_date)
    where held.trade_date <= $as_of and not coalesce(undone.came_late, false)
)
select
    bar.ts_code,
    bar.trade_date,
    bar.close * factor.adj_factor as price,
    bar.open,
    bar.high,
    bar.low,
    bar.pre_close,
    bar.amount,
    basic.turnover_rate,
    basic.pe_ttm,
    basic.pb,
    basic.ps_ttm
from bars_asof($as_of) as bar
left join adj_factor_asof($as_of) as factor using (ts_code, trade_date)
left join basic using (ts_code, trade_date)
order by bar.ts_code, bar.trade_date
