-- The securities whose histories of factors are compared today: those with an open misfit once a week, because the vendor
-- may correct it any time, then those that were never compared, or longest ago.
-- Inputs: $today (Shanghai's day of the run), $n (how many a day), $asked (those compared in this run anyway).
-- Rule easy to get wrong: a day that was missed, or a security that was listed since, puts nobody off.
select stock.ts_code
from market.stock_basic as stock
left join ops.factor_history as held using (ts_code)
left join (
    select distinct subject as ts_code from ops.alert where rule = 'adjustment_misfit' and state = 'open'
) as misfit using (ts_code)
where stock.ts_code not in (select unnest($asked::varchar[])) and held.compared_date is distinct from $today
order by
    (misfit.ts_code is not null and coalesce(held.compared_date, date '1990-01-01') <= $today::date - 7) desc,
    held.compared_date nulls first,
    stock.ts_code
limit greatest(
    $n - (select count(*) from ops.factor_history
        where compared_date = $today and ts_code not in (select unnest($asked::varchar[]))),
    0
)
