-- Histories of adjustment factors that should have been compared with the vendor's and could not be: an old factor that
-- was corrected alone would stay as it is, and nothing else would tell. Ends a week after the last try.
select
    dataset as subject,
    through_date as subject_date,
    format('Histories of factors were not compared: {}', reason) as title,
    json_object('cause', cause, 'reason', reason, 'asked_date', asked_date)::varchar as evidence,
    'select * from ops.factor_history order by compared_date' as evidence_sql
from ops.ledger
where dataset = 'ops.factor_history' and state in ('failed', 'partial')
    and asked_date between greatest($as_of::date - 7, least($start_date, date '1990-01-01')) and $as_of::date + 1
order by dataset
