-- Alerts that opened by themselves, by rule, severity and week: week 0 is the seven days up to $last, 1 those before it.
-- One row per rule, severity and week with any, for the weeks whose first day is after $after. An alert that opened again
-- counts again, as somebody is told of it again; the budget's own alert does not count against the budget.
select a.rule, a.severity, date_diff('day', c.changed_date, $last) // 7 as week, count(*) as n_alerts
from ops.alert_change as c
join ops.alert as a using (fingerprint)
where c.event in ('opened', 'reopened')
    and c.changed_by = 'daybook'
    and c.changed_date > $after
    and c.changed_date <= $last
    and a.rule <> 'alarm_budget_exceeded'
group by all
order by all
