-- Rules in force that the last load of their table could not run; one row per rule. It was left out: nothing was lost,
-- and nothing was checked by it. The parameters only say when; $start_date is the window every check has.
select
    format('{} {}', dataset, name) as subject,
    $as_of::date as subject_date,
    format('rule {} of {} could not be run: {}', name, dataset, problem) as title,
    predicate as evidence,
    'select * from analyst.rule where problem <> ''''' as evidence_sql
from ops.rule
where is_enabled and problem <> '' and $start_date::date <= $as_of::date
order by subject
