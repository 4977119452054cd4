-- Open alerts whose trouble was looked for and not found: resolved on $as_of.
-- Input: registered `finding`. $rules are those that were run; an alert first seen after $as_of is not touched.
update ops.alert
set state = 'resolved', resolved_date = $as_of
where state <> 'resolved'
    and rule in (select unnest($rules))
    and last_seen_date <= $as_of
    and fingerprint not in (select fingerprint from finding)
