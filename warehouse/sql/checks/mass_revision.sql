-- Sessions of which the vendor changed many rows at once in the last week: more than 1 in 20, and more than three.
-- One row per table and session. A correction concerns a few securities; what changes a whole session is a vendor that
-- repairs a spoiled day, or spoils a good one when it is asked for again, and only a person can tell which.
-- Rule easy to get wrong: rows that came late are no corrections; after a week the alert resolves itself.
with revised as (
    select dataset, partition, revised_date, count(distinct row_key) as n_rows,
        list(distinct column_name order by column_name) as column_names
    from ops.revision
    where dataset in ('market.daily', 'market.adj_factor', 'market.daily_basic') and column_name <> '*'
        and revised_date between greatest($start_date, $as_of - interval 6 day) and $as_of + interval 1 day
    group by dataset, partition, revised_date
)
select
    dataset as subject,
    cast(partition as date) as subject_date,
    format('{} {}: {} of {} rows were changed by the vendor on {}: {}', dataset, partition, max(n_rows),
        any_value(ledger.n_received), max(revised_date), array_to_string(max_by(column_names, n_rows), ', ')) as title,
    json_object('n_rows', max(n_rows), 'columns', max_by(column_names, n_rows))::varchar as evidence,
    format('select * from analyst.revision where dataset = ''{}'' and partition = ''{}''', dataset, partition)
        as evidence_sql
from revised
join ops.ledger as ledger using (dataset, partition)
where revised.n_rows > greatest(3, 0.05 * ledger.n_received)
group by dataset, partition
order by dataset, partition
