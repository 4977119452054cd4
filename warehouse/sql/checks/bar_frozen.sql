-- Bars that do not move though shares change hands: a feed that went on sending what it had. One row per security and session.
-- Two forms: all four prices are the previous close; or all four are those of the security's bar before. $start_date opens
-- the window.
-- Rule easy to get wrong: a security that often stands still is not frozen, so that of up to 20 bars before, at least three,
-- no more than a quarter may have been so; a stock locked at its limit is flat as well, but not at its previous close; narrow bars of cheap
-- stocks repeat by chance (156 of 368,626 bars of the CSI 300, 2020 to 2025, the widest of 0.10 CNY), so only wider ones count.
with bar as (
    select ts_code, trade_date, open, high, low, close, pre_close, vol
    from market.daily
    where trade_date between $start_date - interval 400 day and $as_of
),
paired as (
    select
        *,
        lag((open, high, low, close)) over (partition by ts_code order by trade_date) as prices_before
    from bar
),
still as (
    select
        *,
        high = low and open = close and close = high and close = pre_close as is_at_previous_close,
        (open, high, low, close) = prices_before and high - low > 0.105 as is_repeated
    from paired
),
judged as (
    select
        *,
        count(*) over before >= 3
            and count(*) filter (is_at_previous_close or is_repeated) over before <= 0.25 * count(*) over before as is_unusual
    from still
    window before as (partition by ts_code order by trade_date rows between 20 preceding and 1 preceding)
)
select
    ts_code as subject,
    trade_date as subject_date,
    case when is_at_previous_close
        then format('{} {}: every price is the previous close of {:.2f}, with {:.0f} lots traded', ts_code, trade_date,
            pre_close, vol)
        else format('{} {}: all four prices are those of the bar before, {:.2f} to {:.2f}', ts_code, trade_date, low, high)
    end as title,
    json_object('open', open, 'high', high, 'low', low, 'close', close, 'pre_close', pre_close, 'vol', vol)::varchar
        as evidence,
    format('select * from market.daily where ts_code = ''{}'' and trade_date between date ''{}'' - 7 and date ''{}'' order by trade_date',
        ts_code, trade_date, trade_date) as evidence_sql
from judged
where trade_date >= $start_date and is_unusual and (is_at_previous_close or is_repeated)
order by ts_code, trade_date
