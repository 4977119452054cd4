-- One row per series and period with a first value published after $since and by $as_of: when that was.
-- Rule easy to get wrong: a period counts only if the series had no period as new on an earlier day. What a vendor adds
-- to the beginning of a history is published today and months old.
with first_release as (
    select series_id, observation_date, min(realtime_start) as release_date
    from macro.observation
    where realtime_start <= $as_of and value is not null
    group by series_id, observation_date
),
newest_by_day as (
    select
        series_id,
        release_date,
        max(max(observation_date)) over (
            partition by series_id order by release_date rows between unbounded preceding and 1 preceding
        ) as newest_before
    from first_release
    group by series_id, release_date
)
select r.series_id, r.observation_date, r.release_date
from first_release as r
join newest_by_day as n using (series_id, release_date)
where r.release_date > $since and r.observation_date > n.newest_before
order by r.series_id, r.observation_date
