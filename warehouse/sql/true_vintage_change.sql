-- One row per row of macro.observation to take away (`is_gone`) or to write, so that the true vintages stand.
-- Inputs: temp table `accepted` (observation rows with true intervals); registered `asked_window` (series_id,
-- window_start, is_whole). `row_json` is what ops.revision keeps of a row: NULL where time merely closed or continued it.
-- Rule easy to get wrong: intervals are cut at the start of the window, so a value that stood before it goes on; and a
-- period that the first vintage of all already has was published earlier, nobody knows when.
create temp table true_vintage_change as
with asked as (
    select a.series_id, a.observation_date, a.value, a.realtime_start, a.realtime_end, w.window_start, w.is_whole,
        s.is_rolling_window, s.frequency, s.publication_lag_days
    from accepted as a
    join asked_window as w using (series_id)
    join macro.series as s using (series_id)
),
held as (
    select o.series_id, o.observation_date, o.value, o.realtime_start, o.realtime_end, o.is_realtime_estimated,
        w.window_start, w.is_whole
    from macro.observation as o
    join asked_window as w using (series_id)
    where (o.series_id, o.observation_date) in (select (series_id, observation_date) from asked)
),
-- What stood before the window, which only a whole answer restates.
before_window as (
    select series_id, observation_date, value, realtime_start,
        least(realtime_end, window_start - 1) as realtime_end, is_realtime_estimated, window_start
    from held
    where not is_whole and realtime_start < window_start
),
-- That of these which the window goes on with.
continued as (
    select b.series_id, b.observation_date, b.realtime_start, b.is_realtime_estimated, a.realtime_start as next_start
    from before_window as b
    join asked as a
        on a.series_id = b.series_id
        and a.observation_date = b.observation_date
        and a.realtime_start = b.window_start
        and a.value is not distinct from b.value
    where b.realtime_end = b.window_start - 1
),
last_start as (
    select series_id, observation_date, max(realtime_start) as realtime_start
    from asked
    group by series_id, observation_date
),
true_span as (
    select
        a.series_id,
        a.observation_date,
        a.value,
        coalesce(c.realtime_start, a.realtime_start) as realtime_start,
        -- A rolling window that drops a period does not take it back.
        case when a.is_rolling_window and l.realtime_start is not null then date '9999-12-31' else a.realtime_end end
            as realtime_end,
        coalesce(c.is_realtime_estimated, false) as is_realtime_estimated
    from asked as a
    left join continued as c
        on c.series_id = a.series_id and c.observation_date = a.observation_date and c.next_start = a.realtime_start
    left join last_start as l
        on l.series_id = a.series_id and l.observation_date = a.observation_date and l.realtime_start = a.realtime_start
),
stand_in as (
    select
        series_id,
        observation_date,
        value,
        (
            case frequency
                when 'W' then observation_date + interval 6 day
                when 'M' then observation_date + interval 1 month - interval 1 day
                when 'Q' then observation_date + interval 3 month - interval 1 day
                else observation_date
            end + to_days(publication_lag_days)
        )::date as realtime_start,
        window_start - 1 as realtime_end,
        true as is_realtime_estimated
    from asked
    where is_whole and realtime_start = window_start
),
wanted as (
    from true_span
    union all by name
    from stand_in where realtime_start <= realtime_end
    union all by name
    select b.series_id, b.observation_date, b.value, b.realtime_start, b.realtime_end, b.is_realtime_estimated
    from before_window as b
    anti join continued as c
        on c.series_id = b.series_id and c.observation_date = b.observation_date and c.realtime_start = b.realtime_start
),
fresh as (
    select w.*
    from wanted as w
    anti join held as h
        on (h.series_id, h.observation_date, h.realtime_start, h.realtime_end, h.is_realtime_estimated)
            = (w.series_id, w.observation_date, w.realtime_start, w.realtime_end, w.is_realtime_estimated)
        and h.value is not distinct from w.value
),
gone as (
    select h.*
    from held as h
    anti join wanted as w
        on (h.series_id, h.observation_date, h.realtime_start, h.realtime_end, h.is_realtime_estimated)
            = (w.series_id, w.observation_date, w.realtime_start, w.realtime_end, w.is_realtime_estimated)
        and h.value is not distinct from w.value
)
select
    g.series_id,
    g.observation_date,
    g.value,
    g.realtime_start,
    g.realtime_end,
    g.is_realtime_estimated,
    true as is_gone,
    cast(to_json({
        'series_id': g.series_id, 'observation_date': g.observation_date, 'realtime_start': g.realtime_start
    }) as varchar) as row_key,
    case
        -- It stood open, and the window only tells how long: no word of it was wrong.
        when not g.is_whole and g.realtime_end = date '9999-12-31' and w.value is not distinct from g.value
            and w.is_realtime_estimated = g.is_realtime_estimated then null
        else cast(to_json({
            'value': g.value, 'realtime_start': g.realtime_start, 'realtime_end': g.realtime_end,
            'is_realtime_estimated': g.is_realtime_estimated
        }) as varchar)
    end as row_json,
    'restated by true vintages' as restated_as
from gone as g
left join wanted as w
    on w.series_id = g.series_id and w.observation_date = g.observation_date and w.realtime_start = g.realtime_start
union all
select series_id, observation_date, value, realtime_start, realtime_end, is_realtime_estimated, false, null, null, null
from fresh
