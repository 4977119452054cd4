-- Series that moved to another base or unit in a vintage of the last sessions. One row per series and day.
-- Rule easy to get wrong: FRED-MD's archive is history and is not looked at; only followed series are.
select
    r.series_id as subject,
    r.vintage_date as subject_date,
    r.series_id || ' ' || string_agg(
        case r.kind
            when 'level' then format('moved to another base (all values times {:.4f})', r.ratio)
            else format('has other {} ({} instead of {})', replace(r.kind, '_', ' '), r.new_text, r.old_text)
        end,
        ' and ' order by r.kind
    ) as title,
    json_object(
        'ratio', max(r.ratio), 'n_common', max(r.n_common), 'old', max(r.old_text), 'new', max(r.new_text)
    )::varchar as evidence,
    format('select * from analyst.macro_rebase where series_id = ''{}'' order by vintage_date', r.series_id)
        as evidence_sql
from macro.rebase as r
join macro.series as s using (series_id)
where r.vintage_date between $start_date and $as_of
group by r.series_id, r.vintage_date
order by r.series_id, r.vintage_date
