"""Who is in charge of the forecasts, how do the others compare with it, and what keeps each from taking over?

Two records stand side by side: the walk-forward test, and what published forecasts were worth since. The rule that
decides is not asked again: why a version is where it is was written down with the decision (`analyst.version_role`).
Partner: `pages/forecasts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from reports import blocks, numbers, reading
from reports.blocks import Block, Cell, Listing, Note, Table
from reports.pages import skill
from reports.tracing import Reader

CHAMPION, CHALLENGER, HELD, REFUSED = "champion", "challenger", "held", "refused"
# As many as the rule judges a champion by, unless a desk sets LIVE_SESSIONS and LIVE_MIN_SESSIONS otherwise.
LIVE_SESSIONS, LEAST_SESSIONS = 60, 20
# How the rule's reasons begin; what follows names the hurdles, with semicolons between.
WITHOUT_SKILL = "without skill: "
EVERY_HURDLE = "takes every hurdle against the naive forecast"
TOO_FEW = "too few days"

Metrics = dict[str, dict[str, float]]


def blocks_of(lake: Reader, as_of: date, fitted: Mapping[str, str]) -> list[Block]:
    """The champion beside its challengers, and why none of these is in charge.

    Args:
        lake: where to ask.
        as_of: the day.
        fitted: model to the version that stands for it, the champion's first, the naive one's last.

    Raises:
        LakeError: the lake cannot be read.
    """
    decided = {row["model_version"]: row for row in reading.read_roles(lake, as_of)}
    live = _read_live(lake, as_of)
    # The naive forecast, the last of all, comes first where it is in charge.
    fitted = dict(sorted(fitted.items(), key=lambda one: decided.get(one[1], {}).get("role") != CHAMPION))
    champion = next((row for row in decided.values() if row["role"] == CHAMPION), None)
    shown: list[Block] = []
    heir = _heir(fitted, decided)
    if champion is not None:
        shown.append(Note(f"Champion is {champion['model_version']}: {champion['reason']}."))
        if heir:
            shown.append(_next_note(decided[fitted[heir]], live.get(heir), champion["model_version"]))
    shown += [
        Note(f"{row['model_version']} is held back. {row['reason']}", "warn")
        for row in decided.values()
        if row["role"] == HELD
    ]
    shown.append(_table(lake, fitted, {name: row["role"] for name, row in decided.items()}, live))
    reasons = _reasons({name: version for name, version in fitted.items() if name != heir}, decided)
    return [*shown, Listing("Why the others are not in charge", reasons)] if reasons else shown


def playing(lake: Reader, as_of: date, fitted: Mapping[str, str]) -> dict[str, str]:
    """Model to version of those that forecast, the naive one left out: in order the champion, then by skill.

    Of a version held back, retired or refused there is no newest forecast, and its skill is not to be trusted. One that
    nobody has decided about yet counts.

    Raises:
        LakeError: the lake cannot be read.
    """
    roles = {row["model_version"]: row["role"] for row in reading.read_roles(lake, as_of)}
    return {
        name: version
        for name, version in fitted.items()
        if name != reading.NAIVE and roles.get(version, CHALLENGER) in (CHAMPION, CHALLENGER)
    }


def is_led_by_model(lake: Reader, as_of: date) -> bool:
    """Whether another than the naive forecast is in charge.

    Raises:
        LakeError: the lake cannot be read.
    """
    roles = reading.read_roles(lake, as_of)
    return any(row["role"] == CHAMPION and row["model_version"].split("/")[0] != reading.NAIVE for row in roles)


def labels(lake: Reader, as_of: date, fitted: Mapping[str, str]) -> dict[str, str]:
    """Version to how a chart calls it: the model's name, with the part it plays unless it is a challenger.

    Raises:
        LakeError: the lake cannot be read.
    """
    roles = {row["model_version"]: row["role"] for row in reading.read_roles(lake, as_of)}
    return {
        version: name if roles.get(version, CHALLENGER) == CHALLENGER else f"{name} ({roles[version]})"
        for name, version in fitted.items()
        if name != reading.NAIVE
    }


def _read_live(lake: Reader, as_of: date) -> dict[str, dict[str, Any]]:
    """What each model's published forecasts were worth over the newest sessions whose outcome was known by the day.

    Of two versions that forecast the same session the newer one counts.
    """
    rows = lake.read(
        "with known as (select * from analyst.forecast_outcome where known_date <= $as_of"
        " qualify row_number() over (partition by model_name, forecast_date order by model_version desc) = 1),"
        " newest as (select * from known qualify"
        f" row_number() over (partition by model_name order by forecast_date desc) <= {LIVE_SESSIONS})"
        " select model_name, count(*) as n_sessions,"
        " 1 - sum(squared_error) / nullif(sum(naive_squared_error), 0) as r2, avg(rank_ic) as rank_ic,"
        " sum(realised_coverage * n_rows) / sum(n_rows) as coverage"
        " from newest group by model_name order by model_name",
        as_of=as_of,
    ).to_pylist()
    return {row["model_name"]: row for row in rows}


def _heir(fitted: Mapping[str, str], decided: Mapping[str, dict[str, Any]]) -> str | None:
    """The challenger with the most skill: the rule lets challengers try in this order."""
    return next(
        (
            name
            for name, version in fitted.items()
            if name != reading.NAIVE and decided.get(version, {}).get("role") == CHALLENGER
        ),
        None,
    )


def _next_note(decision: Mapping[str, Any], record: Mapping[str, Any] | None, champion: str) -> Note:
    """Who would be in charge next, and why it is not."""
    version, reason = decision["model_version"], str(decision["reason"])
    if reason.startswith(WITHOUT_SKILL):
        missed = reason.removeprefix(WITHOUT_SKILL).split("; ")
        why = f"It misses {len(missed)} hurdle{'s' * (len(missed) > 1)}: {'; '.join(missed)}"
    elif record is not None and record["n_sessions"] >= LEAST_SESSIONS and not (record["r2"] or 0) > 0:
        why = f"Its published forecasts of {record['n_sessions']} sessions are behind the naive forecast's"
    elif reason == EVERY_HURDLE and champion.split("/")[0] != reading.NAIVE:
        why = f"It takes every hurdle against the naive forecast, but is not ahead of {champion} by more than chance"
    else:
        why = f"What was decided of it: {reason}"
    return Note(f"Next in line is {version}, of the challengers the one with the highest R² when tested. {why}.")


def _reasons(fitted: Mapping[str, str], decided: Mapping[str, dict[str, Any]]) -> list[str]:
    said = []
    for name, version in fitted.items():
        row = decided.get(version)
        if row is not None and name != reading.NAIVE and row["role"] not in (CHAMPION, HELD):
            said.append(f"{version}: {row['role']}, {row['reason']}.")
    for version, row in decided.items():
        name, _, day = version.partition("/")
        if row["role"] == REFUSED and day > fitted.get(name, "").partition("/")[2]:
            said.append(f"{version}: {row['reason']}.")
    return said


def _table(
    lake: Reader, fitted: Mapping[str, str], roles: Mapping[str, str], live: Mapping[str, dict[str, Any]]
) -> Table:
    found, folds = read_metrics(lake, fitted), read_folds(lake, fitted)
    tested = skill.read_coefficients(lake, [version for name, version in fitted.items() if name != reading.NAIVE])
    n_dates = tested.group_by("model_version").aggregate([("forecast_date", "count")]).to_pylist()
    dates = {row["model_version"]: row["forecast_date_count"] for row in n_dates}
    cells = []
    for name, version in fitted.items():
        metrics = found[name]
        won = folds.get(name)
        cells.append(
            [
                blocks.link("naive (zero)" if name == reading.NAIVE else name, "model", version),
                blocks.text(roles.get(version, numbers.MISSING)),
                blocks.number(numbers.count(dates.get(version))),
                blocks.number(numbers.change(metrics.get("r2_oos")), blocks.tone_of(metrics.get("r2_oos"))),
                blocks.number(f"{won[0]} of {won[1]}" if won and name != reading.NAIVE else numbers.MISSING),
                blocks.number(numbers.decimal(metrics.get("rank_ic_mean"), 3)),
                blocks.number(numbers.decimal(metrics.get("rank_ic_t"), 1)),
                *_live_cells(live.get(name)),
            ]
        )
    heads = ["Model", "Part", "Dates tested", "R² tested", "Folds ahead", "IC tested", "t of IC"]
    heads += ["Days published", "R² published", "IC published", "Inside 90 % interval"]
    caption = (
        "Champion and challengers: walk-forward test beside what published forecasts came to, over the newest"
        f" {LIVE_SESSIONS} days whose outcome is known; R² against the naive forecast"
    )
    return Table(caption, heads, cells, is_wide=True)


def _live_cells(record: dict[str, Any] | None) -> list[Cell]:
    n_sessions = 0 if record is None else record["n_sessions"]
    days = blocks.number(numbers.count(n_sessions))
    if record is None or n_sessions < LEAST_SESSIONS:
        return [days, *[blocks.number(TOO_FEW)] * 3]
    return [
        days,
        blocks.number(numbers.change(record["r2"]), blocks.tone_of(record["r2"])),
        blocks.number(numbers.decimal(record["rank_ic"], 3)),
        blocks.number(numbers.share(record["coverage"])),
    ]


def read_metrics(lake: Reader, fitted: Mapping[str, str]) -> Metrics:
    """Every metric of all folds together, by model; NaN where it is not defined.

    Raises:
        LakeError: the lake cannot be read.
    """
    found: Metrics = {name: {} for name in fitted}
    for row in _read_evaluation(lake, fitted):
        if row["fold"] == 0:
            found[row["model_name"]][row["metric"]] = float("nan") if row["value"] is None else row["value"]
    return found


def read_folds(lake: Reader, fitted: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """By model, in how many folds its squared error was below the naive forecast's, and how many folds there are.

    Raises:
        LakeError: the lake cannot be read.
    """
    found: dict[str, tuple[int, int]] = {}
    for row in _read_evaluation(lake, fitted):
        if row["fold"] and row["metric"] == "r2_oos":
            won, total = found.get(row["model_name"], (0, 0))
            found[row["model_name"]] = won + ((row["value"] or 0.0) > 0), total + 1
    return found


def _read_evaluation(lake: Reader, fitted: Mapping[str, str]) -> list[dict[str, Any]]:
    return lake.read(
        "select model_name, fold, metric, value from analyst.evaluation where list_contains($versions, model_version)"
        " order by model_name, fold, metric",
        versions=list(fitted.values()),
    ).to_pylist()
