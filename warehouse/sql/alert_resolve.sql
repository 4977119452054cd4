-- Open alerts whose trouble was looked for and not found: resolved on $as_of.
-- Inputs: registered `finding`, and `looked_at`: which days (first_date to last_date) each rule looked at.
-- Rule easy to get wrong: a day that was not looked at proves nothing, and an alert seen after $as_of is not touched.
update ops.alert as a
set state = 'resolved', resolved_date = $as_of
where state <> 'resolved'
    and exists (
        from looked_at as l
        where l.rule = a.rule and a.subject_date between l.first_date and l.last_date
    )
    and last_seen_date <= $as_of
    and fingerprint not in (select fingerprint from finding)
