-- One row per rule with alerts: how many people labelled, and the share of these that was true. precision_fraction is
-- NULL while nobody has labelled one; recent_fraction is that of the 20 alerts labelled last.
-- Rule easy to get wrong: few labels say little, so a rule is called mostly wrong from five labels on.
create or replace view analyst.rule_precision as
with labelled as (
    select fingerprint, max(change_no) as change_no, max_by(changed_date, change_no) as labelled_date
    from ops.alert_change
    where starts_with(event, 'labelled')
    group by fingerprint
),
judged as (
    select
        a.rule,
        a.is_true,
        l.labelled_date,
        row_number() over (
            partition by a.rule order by l.labelled_date desc nulls last, l.change_no desc, a.fingerprint
        ) as newest_no
    from ops.alert as a
    left join labelled as l using (fingerprint)
)
select
    rule,
    count(*) as n_alerts,
    count(is_true) as n_labelled,
    count(*) filter (where is_true) as n_true,
    count(*) filter (where is_true) / nullif(count(is_true), 0) as precision_fraction,
    count(*) filter (where is_true and newest_no <= 20)
        / nullif(count(is_true) filter (where newest_no <= 20), 0) as recent_fraction,
    max(labelled_date) as labelled_date,
    count(is_true) >= 5 and 2 * count(*) filter (where is_true) < count(is_true) as is_mostly_wrong
from judged
group by rule
