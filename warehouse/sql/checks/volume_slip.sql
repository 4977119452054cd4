-- Bars whose volume is ten, a hundred or a thousand times what the turnover rate says, or such a part of it, while amount
-- is wrong alike: both in another unit, or the decimal point of both slipped, which the price per share does not show.
-- vol / turnover_rate is the float; it is compared with its median over up to 20 bars before. $start_date opens the window.
-- Rule easy to get wrong: the float does jump when locked shares are set free, even eightfold (50 of 366,000 bars), but
-- not to within 1 % of a power of ten; where the rate itself slipped, the bar is named all the same.
with judged as (
    select
        bar.ts_code,
        bar.trade_date,
        bar.vol,
        bar.amount,
        basic.turnover_rate,
        bar.vol / basic.turnover_rate as float_implied,
        median(bar.vol / basic.turnover_rate) over (
            partition by bar.ts_code order by bar.trade_date rows between 20 preceding and 1 preceding
        ) as float_usual
    from market.daily as bar
    join market.daily_basic as basic using (ts_code, trade_date)
    where bar.trade_date between $start_date - interval 60 day and $as_of
        and basic.trade_date between $start_date - interval 60 day and $as_of
        -- Four decimals of a percent: below, their rounding exceeds 1 %.
        and basic.turnover_rate > 0.01 and bar.vol > 0
)
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: volume and amount are {:g} times what turnover_rate says', ts_code, trade_date,
        power(10, round(log10(float_implied / float_usual)))) as title,
    json_object('vol', vol, 'amount', amount, 'turnover_rate', turnover_rate, 'float_ratio',
        round(float_implied / float_usual, 4))::varchar as evidence,
    format('select bar.trade_date, bar.vol, bar.amount, basic.turnover_rate from market.daily as bar'
        || ' join market.daily_basic as basic using (ts_code, trade_date) where ts_code = ''{}'''
        || ' and trade_date between date ''{}'' - 30 and date ''{}'' order by trade_date', ts_code, trade_date, trade_date)
        as evidence_sql
from judged
where trade_date >= $start_date
    and round(log10(float_implied / float_usual)) <> 0
    and abs(float_implied / float_usual / power(10, round(log10(float_implied / float_usual))) - 1) < 0.01
order by ts_code, trade_date
