-- Alerts that opened by themselves, by rule, severity and day, for the days after $after and up to $last: n_days_before is
-- 0 for $last. One row per rule, severity and day with any. An alert that opened again counts again, as somebody is told of it again; the budget's own alert does not count against the budget.
select a.rule, a.severity, date_diff('day', c.changed_date, $last) as n_days_before, count(*) as n_alerts
from ops.alert_change as c
join ops.alert as a using (fingerprint)
where c.event in ('opened', 'reopened')
    and c.changed_by = 'daybook'
    and c.changed_date > $after
    and c.changed_date <= $last
    and a.rule <> 'alarm_budget_exceeded'
group by all
order by all
