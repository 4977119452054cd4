-- Bars whose factor or basics never came though the session's tables count as whole: no return, no turnover for them.
-- One row per security and session; a session that lacks many is a gap, see row_missing.
-- Rule easy to get wrong: factors also come for suspended securities, so their number says nothing about the bars.
with whole as (
    select cast(partition as date) as trade_date
    from ops.ledger
    where dataset in ('market.adj_factor', 'market.daily_basic') and state = 'ok'
        and cast(partition as date) between $start_date and $as_of
    group by partition
    having count(*) = 2
),
judged as (
    select
        bar.ts_code,
        bar.trade_date,
        concat_ws(' and ', if(factor.ts_code is null, 'factor', null), if(basic.ts_code is null, 'basics', null)) as lacks
    from market.daily as bar
    semi join whole using (trade_date)
    left join market.adj_factor as factor on factor.ts_code = bar.ts_code and factor.trade_date = bar.trade_date
    left join market.daily_basic as basic on basic.ts_code = bar.ts_code and basic.trade_date = bar.trade_date
    where bar.trade_date between $start_date and $as_of
)
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: the bar has no {}', ts_code, trade_date, lacks) as title,
    json_object('lacks', lacks)::varchar as evidence,
    format('select * from analyst.price_adjusted where ts_code = ''{}'' and trade_date = date ''{}''', ts_code, trade_date)
        as evidence_sql
from judged
where lacks <> ''
order by ts_code, trade_date
