"""What Prefect's UI shows of a run beside its states: tables, progress, the link to the report, and the lineage.

Nothing here may fail a run: the work is done and committed when it is shown, so a server that is away for a minute
costs a table, not an evening. Partners: `flows/deployments.py`, which calls this; `flows/events.py`.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import httpx
from prefect import artifacts
from prefect.assets import Asset, AssetProperties
from prefect.context import AssetContext

from flows import ingest, settings, steps
from flows.context import Context
from warehouse import errors

log = logging.getLogger(__name__)

SESSIONS_SHOWN = 5

COVERAGE = """
select
    dataset,
    strftime(max(through_date) filter (where state in ('ok', 'empty_confirmed')), '%Y-%m-%d') as whole_through,
    count(*) as partitions,
    count(*) filter (where state not in ('ok', 'empty_confirmed')) as not_whole,
    sum(n_received)::bigint as rows,
    sum(n_quarantined)::bigint as set_aside,
    coalesce(max_by(reason, partition) filter (where state not in ('ok', 'empty_confirmed')), '') as newest_reason
from analyst.coverage
where coalesce(session_date, $as_of) <= $as_of
group by dataset
order by not_whole desc, dataset
"""
RETURNS = f"""
select
    strftime(trade_date, '%Y-%m-%d') as session,
    n_bars as securities,
    n_up as up,
    n_down as down,
    printf('%+.2f %%', 100 * mean_return) as mean_return,
    printf('%+.2f %%', 100 * median_return) as median_return,
    printf('%.2f %%', 100 * return_dispersion) as dispersion,
    printf('%.1f bn', amount_cny / 1e9) as traded_cny
from analyst.market_day
where trade_date <= $as_of
order by trade_date desc
limit {SESSIONS_SHOWN}
"""
FACTORS = """
with newest as (
    select max_by(model_version, as_of_date) as model_version
    from analyst.factor
    where as_of_date <= $as_of
    group by model_name
),
scored as (
    select model_version, factor, max(score_date) as score_date, max_by(score, score_date) as score
    from analyst.factor_score
    where model_version in (select model_version from newest) and score_date <= $as_of
    group by model_version, factor
)
select
    f.model_version as version,
    f.factor,
    printf('%.1f %%', 100 * f.explained_variance_ratio) as share_of_variance,
    coalesce(printf('%.3f', f.predecessor_correlation), 'first fit') as like_its_predecessor,
    strftime(s.score_date, '%Y-%m-%d') as score_of,
    printf('%+.2f', s.score) as score
from analyst.factor as f
join newest using (model_version)
left join scored as s using (model_version, factor)
order by f.model_name, f.factor
"""
# Of a step: key of its table, what the table is, and its rows.
TABLES: dict[str, tuple[str, str, str]] = {
    "ingest": ("daybook-coverage", "What each dataset holds", COVERAGE),
    "ingest-macro": ("daybook-coverage", "What each dataset holds", COVERAGE),
    "backfill": ("daybook-coverage", "What each dataset holds", COVERAGE),
    "returns": ("daybook-returns-summary", "Returns of the newest sessions", RETURNS),
    "score": ("daybook-factors", "Factors in use and their newest scores", FACTORS),
    "refit": ("daybook-factors", "Factors in use and their newest scores", FACTORS),
}

TUSHARE, FRED = "tushare://market", "fred://series"
MARKET, MACRO, FEATURE, MODEL, ALERT = (
    f"ducklake://daybook/{schema}" for schema in ("market", "macro", "feature", "model", "alert")
)
REPORT = "report://daybook/daily"
MEANINGS = {
    TUSHARE: ("Tushare", "A-share bars, factors, turnover, calendar and suspensions, as the vendor sends them."),
    FRED: ("FRED", "Macro series and their vintages, as the vendor sends them."),
    MARKET: ("market tables", "Bars, adjustment factors, turnover, suspensions, indices."),
    MACRO: ("macro tables", "Observations by the date they became known, releases, facts about series."),
    FEATURE: ("returns and features", "Computed from the market tables."),
    MODEL: ("models and forecasts", "Fitted versions, factors, forecasts."),
    ALERT: ("alerts", "What checks and detectors found."),
    REPORT: ("daily report", "The page of the day, and the pages beside it."),
}
# Of a step: what it makes, and of what.
LINEAGE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ingest": ((MARKET, MACRO), (TUSHARE, FRED)),
    "ingest-macro": ((MACRO,), (FRED,)),
    "backfill": ((MARKET, MACRO, FEATURE), (TUSHARE, FRED)),
    "returns": ((FEATURE,), (MARKET,)),
    "score": ((MODEL,), (FEATURE, MACRO)),
    "refit": ((MODEL,), (FEATURE, MACRO)),
    "detect": ((ALERT,), (MARKET, MACRO, FEATURE, MODEL)),
    "publish": ((REPORT,), (MARKET, MACRO, FEATURE, MODEL, ALERT)),
}
# What there is none of where only the macro half runs.
OF_MARKET = (TUSHARE, MARKET, FEATURE)


def quietly(show: Callable[[], Any]) -> Any:
    """What showing something gives, None where Prefect's server does not take it."""
    try:
        return show()
    # What Prefect's client raises once it has tried for a while is one of httpx.
    except httpx.HTTPError as exc:
        log.warning("not shown in Prefect reason=%s", type(exc).__name__)
        return None


def lineage(step: str, *, has_market: bool) -> tuple[list[Asset], list[Asset | str]]:
    """What a step makes and what from, as assets; nothing for a step that makes none."""
    both = LINEAGE.get(step, ((), ()))
    made, used = ([key for key in keys if has_market or key not in OF_MARKET] for keys in both)
    return [_asset(key) for key in made], [*map(_asset, used)]


def _asset(key: str) -> Asset:
    name, description = MEANINGS[key]
    return Asset(key=key, properties=AssetProperties(name=name, description=description))


def tell_of_assets(made: Sequence[Asset], facts: Mapping[str, Any]) -> None:
    """What a step did, on the events of the assets it made."""
    if here := AssetContext.get():
        for asset in made:
            here.add_asset_metadata(asset.key, {key: str(value) for key, value in facts.items()})


def show_facts(step: str, facts: Mapping[str, Any]) -> None:
    """What a step did, as a table on its run's page."""
    table(f"daybook-{step}", f"What the step `{step}` did.", [{"what": k, "value": v} for k, v in _said(facts)])


def _said(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), str(value)) for key, value in facts.items()]


def show_table(context: Context, step: str, as_of: date) -> None:
    """The lake's answer to what a person asks after a step: coverage, returns, factors."""
    if step not in TABLES:
        return
    key, meaning, statement = TABLES[step]
    try:
        with context.reader() as lake:
            rows = lake.read(statement, as_of=as_of).to_pylist()
    except errors.DaybookError as exc:
        log.warning("table is not shown in Prefect step=%s: %s", step, exc)
        return
    table(key, f"{meaning}, {as_of}." if rows else f"{meaning}, {as_of}: none yet.", rows)


def show_decisions(decided: Sequence[Any]) -> None:
    """Which versions are in charge from now on, and why."""
    rows = [{"version": one.model_version, "role": one.role, "reason": one.reason} for one in decided]
    table("daybook-decisions", "Who is in charge, and why." if rows else "Nobody's role has changed.", rows)


def show_alerts(context: Context, as_of: date) -> None:
    """The alerts that stand after a run.

    Raises:
        LakeError: the lake cannot be read.
    """
    standing = steps.read_open_alerts(context, as_of).to_pylist()
    names = ("severity", "title", "action", "first_seen_date")
    meaning = f"Alerts open after the run for {as_of}." if standing else f"No alert is open after the run for {as_of}."
    table("daybook-alerts", meaning, [{name: row[name] for name in names} for row in standing])


def table(key: str, description: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table on the page of the run, missing values as a dash."""
    told = [{name.replace("_", " "): _cell(value) for name, value in row.items()} for row in rows]
    quietly(lambda: artifacts.create_table_artifact(table=told, key=key, description=description))


def _cell(value: Any) -> Any:
    if value is None:
        return "-"
    return f"{value}" if isinstance(value, datetime.date) else value


def show_report(options: settings.Settings, as_of: date, is_whole: bool) -> None:
    """The link to the report, for a run over missing data as well: its page says at the top what is missing."""
    link = report_link(options, as_of)
    how = "" if is_whole else " It is over missing data, and says at its top what is missing."
    quietly(
        lambda: artifacts.create_link_artifact(
            link=link,
            link_text=f"Report of {as_of}",
            key="daybook-report",
            description=f"[Report of {as_of}]({link}).{how}",
        )
    )


def report_link(options: settings.Settings, as_of: date) -> str:
    """Where the report of a day is read: where others reach it, else where `daybook serve` shows it."""
    return options.report_address(as_of) or f"http://127.0.0.1:{options.reports_port}/{as_of}.html"


def progress() -> ingest.Progress:
    """Progress of a step as a progress artifact on its task run."""
    shown: dict[str, UUID | None] = {}

    def told(what: str, done: int, total: int) -> None:
        share = 100.0 * done / max(total, 1)
        if what not in shown:
            made = quietly(lambda: artifacts.create_progress_artifact(progress=share, description=what))
            shown[what] = made if made is None or isinstance(made, UUID) else UUID(str(made))
        elif (artifact := shown[what]) is not None:
            quietly(lambda: artifacts.update_progress_artifact(artifact_id=artifact, progress=share))

    return told
