-- Bars that broke a price rule and were set aside. One row per security and session; $start_date opens the window.
-- A row leaves this list when the vendor has sent one for the same key that passed.
with rejected as (
    select
        dataset,
        json_extract_string(row_json, '$.ts_code') as ts_code,
        try_cast(json_extract_string(row_json, '$.trade_date') as date) as trade_date,
        string_agg(distinct reason, '; ' order by reason) as reason,
        max(row_json) as row_json
    from ops.quarantine
    where dataset = 'market.daily' and severity = 'reject' and state = 'pending'
    group by all
)
select
    coalesce(r.ts_code, '?') as subject,
    r.trade_date as subject_date,
    format('{} {}: {}', coalesce(r.ts_code, '?'), r.trade_date, r.reason) as title,
    r.row_json as evidence,
    format('select * from analyst.quarantine where row_json like ''%{}%'' and partition = ''{}''', r.ts_code, r.trade_date)
        as evidence_sql
from rejected as r
anti join market.daily as bar using (ts_code, trade_date)
where r.trade_date between $start_date and $as_of
order by subject, subject_date
