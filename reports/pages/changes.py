"""What changed since the report before: the market, alerts, who is in charge, macro values, models, corrections."""

from __future__ import annotations

from datetime import date
from typing import Any

from reports import blocks, numbers, reading, texts
from reports.pages import anomalies
from reports.tracing import Reader
from warehouse.tables import ops

MARKET_INDEX = "000300.SH"
MOST_ITEMS = 8
N_BEST = 10
# A move is worth a date when there was none like it for a quarter.
LONG_AGO_SESSIONS = 60
LOOKED_BACK_SESSIONS = 1250
ROLES_TOLD = {"champion": "is in charge of forecasts now", "held": "is held back"}


def read(lake: Reader, as_of: date, before: date | None) -> list[str]:
    """Sentences, the market's move first.

    Args:
        lake: the snapshot.
        as_of: day of the report.
        before: day of the report before, None when there is none.

    Raises:
        LakeError: the lake cannot be read.
    """
    since = before or date.min
    items = [
        *_market_items(lake, since, as_of),
        *_alert_items(lake, since, as_of),
        *_role_items(lake, since, as_of),
        *_forecast_items(lake, as_of, before),
        *_macro_items(lake, since, as_of),
        *_model_items(lake, since, as_of),
        *_correction_items(lake, since, as_of),
    ]
    if len(items) > MOST_ITEMS:
        items = [*items[: MOST_ITEMS - 1], f"and {len(items) - MOST_ITEMS + 1} more, in the sections below"]
    return items or ["Nothing has changed."]


def _market_items(lake: Reader, since: date, as_of: date) -> list[str]:
    days = lake.read(
        "select trade_date, mean_return, n_up, n_down from analyst.market_day where trade_date > $since"
        " and trade_date <= $as_of order by trade_date desc limit 1",
        since=since,
        as_of=as_of,
    ).to_pylist()
    if not days:
        return []
    session = days[0]["trade_date"]
    moves = lake.read(
        "select trade_date, simple_return_1d as move from analyst.index_day where ts_code = $index"
        " and trade_date <= $session and simple_return_1d is not null order by trade_date desc"
        f" limit {LOOKED_BACK_SESSIONS}",
        index=MARKET_INDEX,
        session=session,
    ).to_pylist()
    who = "CSI 300"
    if not moves or moves[0]["trade_date"] != session:
        who = "Securities on average"
        moves = lake.read(
            "select trade_date, mean_return as move from analyst.market_day where trade_date <= $session"
            f" and mean_return is not null order by trade_date desc limit {LOOKED_BACK_SESSIONS}",
            session=session,
        ).to_pylist()
    if not moves:
        return []
    count = f"{numbers.count(days[0]['n_up'])} up, {numbers.count(days[0]['n_down'])} down"
    return [f"{who} {numbers.change(moves[0]['move'])}{_rarity(moves)}; {count}"]


def _rarity(moves: list[dict[str, Any]]) -> str:
    """Since when there was no such move, if that is long ago; the newest move first."""
    today = moves[0]["move"]
    kind = "fall" if today < 0 else "rise"
    for n_sessions, row in enumerate(moves[1:], start=1):
        if row["move"] * today > 0 and abs(row["move"]) >= abs(today):
            is_rare = n_sessions > LONG_AGO_SESSIONS
            return f", the largest {kind} since {row['trade_date']}" if is_rare else ""
    return f", the largest {kind} of {numbers.count(len(moves))} sessions" if len(moves) > LONG_AGO_SESSIONS else ""


def _role_items(lake: Reader, since: date, as_of: date) -> list[str]:
    rows = lake.read(
        "select model_version, role, reason from analyst.version_role where as_of_date > $since"
        " and as_of_date <= $as_of and role in (select unnest($told)) order by role, decision desc limit 3",
        since=since,
        as_of=as_of,
        told=sorted(ROLES_TOLD),
    ).to_pylist()
    return [f"{row['model_version']} {ROLES_TOLD[row['role']]}: {row['reason']}" for row in rows]


def _alert_items(lake: Reader, since: date, as_of: date) -> list[str]:
    rows = lake.read(
        "select severity, title, fingerprint from analyst.alert where state = 'open' and first_seen_date > $since"
        " and first_seen_date <= $as_of"
        f" order by {ops.GRAVEST_FIRST}, rule, subject limit 4",
        since=since,
        as_of=as_of,
    ).to_pylist()
    n_new = lake.read_value(
        "select count(*) from analyst.alert where state = 'open' and first_seen_date > $since"
        " and first_seen_date <= $as_of",
        since=since,
        as_of=as_of,
    )
    n_gone = lake.read_value(
        "select count(*) from analyst.alert where resolved_date > $since and resolved_date <= $as_of",
        since=since,
        as_of=as_of,
    )
    items: list[str] = [
        blocks.linked(
            f"New alert, {row['severity']}: {row['title']}",
            blocks.Lead(row["title"], blocks.Subject("alert", row["fingerprint"])),
        )
        for row in rows[:3]
    ]
    if n_new > len(items):
        words = f"{n_new - len(items)} more new {texts.plural(n_new - len(items), 'alert')}"
        items.append(blocks.linked(f"and {words}", blocks.Lead(words, anomalies.ANCHOR)))
    if n_gone:
        items.append(f"{n_gone} {texts.plural(n_gone, 'alert')} resolved")
    return items


def _forecast_items(lake: Reader, as_of: date, before: date | None) -> list[str]:
    if before is None:
        return []
    roles = reading.read_roles(lake, as_of)
    if any(row["role"] == "champion" and row["model_version"].startswith(f"{reading.NAIVE}/") for row in roles):
        # Nobody is in charge who tells securities apart.
        return []
    name = next(iter(reading.read_forecasters(lake, as_of)), reading.NAIVE)
    today = reading.read_newest_forecasts(lake, as_of).get(name)
    earlier = reading.read_newest_forecasts(lake, before).get(name)
    if not today or not earlier or (today[1], earlier[1]) != (as_of, before):
        return []
    place_before = {row["ts_code"]: place for place, row in enumerate(_ranking(lake, *earlier), start=1)}
    risen = [
        (row, place, place_before[row["ts_code"]])
        for place, row in enumerate(_ranking(lake, *today)[:N_BEST], start=1)
        if place_before.get(row["ts_code"], 0) > N_BEST
    ]
    risen.sort(key=lambda rise: rise[1] - rise[2])
    return [
        f"{row['name'] or row['ts_code']} ({row['ts_code']}) entered the ten best forecasts: now number {place},"
        f" {earlier_place} the session before"
        for row, place, earlier_place in risen[:2]
    ]


def _ranking(lake: Reader, version: str, day: date) -> list[dict[str, Any]]:
    """Securities by forecast, best first."""
    return lake.read(
        "select f.ts_code, s.name from model.forecast as f left join market.stock_basic as s using (ts_code)"
        " where f.model_version = $version and f.forecast_date = $day order by f.forward_return_5d desc, f.ts_code",
        version=version,
        day=day,
    ).to_pylist()


def _macro_items(lake: Reader, since: date, as_of: date) -> list[str]:
    rows = lake.read(
        "select v.series_id, v.title, v.observation_date, v.value, v.unit, m.frequency,"
        " min(earlier.value) as old_value, count(earlier.value) as n_earlier"
        " from analyst.macro_vintage as v left join analyst.macro_vintage as earlier"
        " on earlier.series_id = v.series_id and earlier.observation_date = v.observation_date"
        " and earlier.realtime_end + 1 = v.realtime_start"
        " join analyst.macro_latest as m on m.series_id = v.series_id"
        " where not v.is_realtime_estimated and v.realtime_start > $since and v.realtime_start <= $as_of"
        " and v.value is not null and m.frequency in ('W', 'M', 'Q')"
        " group by all order by n_earlier, v.series_id, v.observation_date desc",
        since=since,
        as_of=as_of,
    ).to_pylist()
    items = [
        f"{row['title']} for {_period(row)}: {numbers.level(row['value'])}"
        + (f", revised from {numbers.level(row['old_value'])}" if row["n_earlier"] else ", first published")
        for row in rows[:3]
    ]
    if len(rows) > 3:
        items.append(f"and {len(rows) - 3} more macro values published or revised")
    return items


def _period(row: dict[str, Any]) -> str:
    return str(row["observation_date"]) if row["frequency"] == "W" else f"{row['observation_date']:%Y-%m}"


def _model_items(lake: Reader, since: date, as_of: date) -> list[str]:
    rows = lake.read(
        "select model_name from analyst.model_card where as_of_date > $since and as_of_date <= $as_of"
        " order by model_name",
        since=since,
        as_of=as_of,
    )["model_name"].to_pylist()
    return [f"Refitted: {', '.join(rows)}"] if rows else []


def _correction_items(lake: Reader, since: date, as_of: date) -> list[str]:
    rows = lake.read(
        "select count(*) filter (where column_name <> '*') as n_corrected,"
        " count(*) filter (where column_name = '*') as n_late,"
        " min(partition) filter (where try_cast(partition as date) is not null) as oldest"
        " from analyst.revision where dataset like 'market.%' and revised_date > $since and revised_date <= $as_of",
        since=since,
        as_of=as_of,
    ).to_pylist()[0]
    said = [
        f"{numbers.count(n)} {what}"
        for n, what in ((rows["n_corrected"], "values corrected"), (rows["n_late"], "rows completed"))
        if n
    ]
    if not said:
        return []
    reach = f", back to {rows['oldest']}" if rows["oldest"] else ""
    return [f"{' and '.join(said)} by the vendor{reach}; what follows from them is computed anew"]
