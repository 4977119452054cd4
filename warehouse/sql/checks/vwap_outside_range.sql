-- Bars whose turnover / volume is a price the session never saw: a unit changed (shares for lots, CNY for thousands), or
-- one of the two counts trades that the other leaves out. amount / vol x 10 is thousand CNY per lot as CNY per share.
-- Tolerance: a fen, and half of the last digit of amount, which matters where few lots changed hands.
-- The title names the unit that would fit: a quotient 100 times too small is volume in shares, 1,000 times too large is
-- amount in CNY, and where the inverse is a price of the session the two columns are swapped.
-- Rule easy to get wrong: amount is NULL in the early 1990s, and after-hours trades since 2026-07-06 are in neither.
select
    ts_code as subject,
    trade_date as subject_date,
    format('{} {}: amount / vol is {:.2f} CNY a share, the bar lies in {:.2f} to {:.2f}{}', ts_code, trade_date,
        amount / nullif(vol, 0) * 10, low, high,
        case
            when vol / nullif(amount, 0) * 10 between low and high then '; as if vol and amount were swapped'
            when amount / nullif(vol, 0) * 1e3 between low and high then '; as if vol were in shares'
            when amount / nullif(vol, 0) / 1e2 between low and high then '; as if amount were in CNY'
            when amount / nullif(vol, 0) between low and high then '; as if vol were in shares and amount in CNY'
            when amount / nullif(vol, 0) * 1e2 between low and high then '; as if amount were in ten thousand CNY'
            else ''
        end) as title,
    json_object('vol', vol, 'amount', amount, 'low', low, 'high', high)::varchar as evidence,
    format('select * from market.daily where ts_code = ''{}'' and trade_date = date ''{}''', ts_code, trade_date)
        as evidence_sql
from market.daily
where trade_date between $start_date and $as_of
    and case
        when vol > 0 then amount / vol * 10 not between low - 0.01 - 0.005 / vol and high + 0.01 + 0.005 / vol
        else amount > 0
    end
order by ts_code, trade_date
