-- Bars whose volume and amount are those of the security's bar before: a day that came twice, or under the wrong date.
-- One row per security and session; $start_date opens the window. Never once in 368,626 real bars.
-- Rule easy to get wrong: the bar before may lie months back after a suspension; a bar without trades repeats nothing; of
-- up to 20 bars before, at least three, no more than a quarter may have repeated theirs, or it is the security's way.
with bar as (
    select ts_code, trade_date, vol, amount
    from market.daily
    where trade_date between $start_date - interval 400 day and $as_of
),
paired as (
    select
        *,
        lag(trade_date) over by_code as date_before,
        lag(vol) over by_code as vol_before,
        lag(amount) over by_code as amount_before
    from bar
    window by_code as (partition by ts_code order by trade_date)
),
repeated as (
    select *, coalesce(vol = vol_before and amount = amount_before and vol > 0, false) as is_repeated from paired
),
judged as (
    select
        *,
        count(*) over before >= 3
            and count(*) filter (is_repeated) over before <= 0.25 * count(*) over before as is_unusual
    from repeated
    window before as (partition by ts_code order by trade_date rows between 20 preceding and 1 preceding)
)
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: volume and amount are those of {} again', ts_code, trade_date, date_before) as title,
    json_object('date_before', date_before, 'vol', vol, 'amount', amount)::varchar as evidence,
    format('select * from market.daily where ts_code = ''{}'' and trade_date between date ''{}'' and date ''{}'' order by trade_date',
        ts_code, date_before, trade_date) as evidence_sql
from judged
where trade_date >= $start_date and is_repeated and is_unusual
order by ts_code, trade_date
