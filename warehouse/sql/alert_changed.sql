-- What a run changed about alerts, one row per alert and change. Input: registered `before` (fingerprint, state).
insert into ops.alert_change by name
select
    a.fingerprint,
    1 + coalesce(c.n_changes, 0) as change_no,
    case
        when b.state is null then 'opened'
        when a.state = 'resolved' then 'resolved'
        else 'reopened'
    end as event,
    a.state,
    $as_of as changed_date,
    'daybook' as changed_by,
    case
        when b.state is null then 'found'
        when a.state = 'resolved' then 'looked for and not found'
        when b.state = 'resolved' then 'found again'
        else 'its day has come and the trouble is still there'
    end as reason,
    null::date as until_date,
    $at as changed_at
from ops.alert as a
left join before as b using (fingerprint)
left join (select fingerprint, count(*) as n_changes from ops.alert_change group by fingerprint) as c using (fingerprint)
where a.state is distinct from b.state
order by a.fingerprint
