-- One row per change of an alert's state or label: when, by whom (`daybook` for itself), why and until when.
create or replace view analyst.alert_change as
select
    c.fingerprint,
    c.change_no,
    c.event,
    c.state,
    c.changed_date,
    c.changed_by,
    c.reason,
    c.until_date,
    a.rule,
    a.subject,
    a.title
from ops.alert_change as c
join ops.alert as a using (fingerprint)
