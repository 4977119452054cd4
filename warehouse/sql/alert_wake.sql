-- Alerts that were acknowledged or snoozed until a day that has come, and whose trouble is still there: open again.
-- Rule easy to get wrong: it runs after alert_resolve, so that a trouble that ended meanwhile wakes nobody.
update ops.alert as a
set state = 'open', until_date = null, decided_by = '', decision_reason = '', message_id = ''
where a.state in ('acknowledged', 'snoozed')
    and a.until_date <= $as_of
    and a.last_seen_date <= $as_of
