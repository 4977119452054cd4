"""What is known about each forecasting version, and what a person decides about it: behind `daybook models`.

Partners: `flows/promoting.py`, which decides when no person does; `warehouse/roles.py`, which keeps both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from flows import forecasts, promoting
from flows.settings import Settings
from models import base, evaluation, registry
from warehouse import errors, roles
from warehouse.lake import Lake
from warehouse.roles import CHALLENGER, CHAMPION, HELD, RETIRED, Decision
from warehouse.tables import model

SHOWN = ("r2_oos", "rank_ic_mean", "rank_ic_t", "cw_p_value", "interval_coverage_adaptive")

Facts = dict[str, Any]


def read_list(lake: Lake, as_of: date) -> list[Facts]:
    """One line per version that plays a part on a day, the champion first, retired ones last.

    Raises:
        LakeError: the lake cannot be read.
    """
    found = roles.standing(roles.read_decisions(lake, as_of))
    metrics = _read_metrics(lake, list(found))
    order = {role: at for at, role in enumerate(model.ROLES)}
    shown = sorted(found.values(), key=lambda one: one.model_version)
    shown.sort(key=lambda one: one.as_of_date, reverse=True)
    shown.sort(key=lambda one: order[one.role])
    return [
        {
            "model_version": one.model_version,
            "role": one.role,
            "since": one.as_of_date,
            **{name: metrics.get(one.model_version, {}).get(name) for name in SHOWN},
            "decided_by": one.decided_by,
            "reason": one.reason,
        }
        for one in shown
    ]


def read_card(settings: Settings, lake: Lake, model_version: str, as_of: date) -> Facts:
    """Everything about one version: what it was fitted on, how it did, who decided what, and the state of its files.

    Raises:
        ConfigError: there is no such version.
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select * from {model.MODEL_VERSION.full_name} where model_version = $v and as_of_date <= $as_of",
        v=model_version,
        as_of=as_of,
    ).to_pylist()
    decisions = [one for one in roles.read_decisions(lake, as_of) if one.model_version == model_version]
    if not rows and not decisions:
        raise errors.ConfigError(_unknown(lake, model_version))
    card = dict(rows[0]) if rows else {"model_version": model_version}
    params = json.loads(card.pop("params", "{}"))
    return {
        **card,
        "role": decisions[-1].role if decisions else "none: it is no forecasting version",
        "params": params,
        "metrics": _read_metrics(lake, [model_version]).get(model_version, {}),
        "live": _read_live(lake, model_version, as_of),
        "files": _files_state(settings, model_version, card.get("files_sha256", "")),
        "decisions": [
            {
                "as_of_date": one.as_of_date,
                "role": one.role,
                "decided_by": one.decided_by,
                "reason": one.reason,
                "evidence": dict(one.evidence),
            }
            for one in decisions
        ],
    }


def compare(lake: Lake, first: str, second: str) -> Facts:
    """Two versions side by side: metrics, parameters that differ, and whether one's errors are smaller beyond chance.

    Raises:
        ConfigError: there is no such version.
        LakeError: the lake cannot be read.
    """
    params = {}
    for name in (first, second):
        text = lake.read_value(f"select params from {model.MODEL_VERSION.full_name} where model_version = $v", v=name)
        if text is None:
            raise errors.ConfigError(_unknown(lake, name))
        params[name] = json.loads(text)
    metrics = _read_metrics(lake, [first, second])
    names = sorted(set(metrics.get(first, {})) | set(metrics.get(second, {})))
    losses = promoting.compare_losses(lake, first, second)
    compared = evaluation.diebold_mariano(*losses, forecasts.HORIZON)
    differing = sorted(params[first].keys() | params[second].keys())
    return {
        "first": first,
        "second": second,
        "metrics": {name: [metrics.get(one, {}).get(name) for one in (first, second)] for name in names},
        "params": {
            name: [params[first].get(name), params[second].get(name)]
            for name in differing
            if params[first].get(name) != params[second].get(name)
        },
        "n_common_dates": len(losses[0]),
        "mean_squared_error_difference": _finite(compared.mean_difference),
        "diebold_mariano_p_value": _finite(compared.p_value),
    }


def release(lake: Lake, model_version: str, by: Decision, decided_at: datetime) -> list[Decision]:
    """Let a version that was held back compete again; the next evening's rule judges it.

    Args:
        lake: open for writing.
        model_version: the version.
        by: day, reason and person; the rest is filled in.
        decided_at: instant of the decision.

    Raises:
        ConfigError: there is no such version, it is not held, or no reason is given.
        LakeError: the lake cannot be written.
    """
    _require_reason(by, "release")
    found = roles.standing(roles.read_decisions(lake, by.as_of_date))
    held = found.get(model_version)
    if held is None or held.role != HELD:
        waiting = [one.model_version for one in found.values() if one.role == HELD]
        state = f"is {held.role}" if held else "has no role"
        raise errors.ConfigError(f"{model_version} {state}, so there is nothing to release. Held back: {waiting}.")
    decided = [_by_person(held, CHALLENGER, by)]
    for other in found.values():
        if other.model_name == held.model_name and other.role == CHALLENGER:
            decided.append(_by_person(other, RETIRED, by, f"succeeded by {model_version}"))
    roles.write_decisions(lake, decided, decided_at)
    return decided


def roll_back(lake: Lake, to: str, by: Decision, decided_at: datetime, settings: Settings) -> list[Decision]:
    """Put the champion before the present one in charge again, and hold the present one's model back.

    Args:
        lake: open for writing.
        to: the version to go back to; empty for the champion before.
        by: day, reason and person; the rest is filled in.
        decided_at: instant of the decision.
        settings: where the files are.

    Raises:
        ConfigError: there is no champion before, no such version, or no reason is given.
        ModelRefused: the files of the version to go back to are broken.
        LakeError: the lake cannot be written.
    """
    _require_reason(by, "roll back")
    decisions = roles.read_decisions(lake, by.as_of_date)
    found = roles.standing(decisions)
    champion = roles.champion_of(found)
    before = list(dict.fromkeys(one.model_version for one in reversed(decisions) if one.role == CHAMPION))
    others = [one for one in before if champion is None or one != champion.model_version]
    wanted = to or next(iter(others), "")
    if champion is None or wanted not in found or wanted == champion.model_version:
        why = f"{wanted} is none of them: {', '.join(others)}" if wanted else "none stood before it"
        raise errors.ConfigError(
            f"there is no champion to go back to from {champion.model_version if champion else 'the naive forecast'}; "
            f"{why}. `daybook models list` shows every version."
        )
    target = found[wanted]
    try:
        registry.check(settings.models_path, wanted, files_sha256=target.files_sha256 or None)
    except base.ModelError as exc:
        raise errors.ModelRefused(f"{wanted} cannot take over: {exc}") from exc
    # A naive forecast that is replaced stays beside: without it there is nothing to beat.
    is_naive = champion.model_name == forecasts.BASELINE
    decided = [
        _by_person(champion, CHALLENGER if is_naive else HELD, by, f"rolled back to {wanted}: {by.reason}"),
        _by_person(target, CHAMPION, by, f"rolled back from {champion.model_version}: {by.reason}"),
    ]
    roles.write_decisions(lake, decided, decided_at)
    return decided


def stamp_of(as_of: date, reason: str, person: str) -> Decision:
    """A person's decision, still without its version.

    Raises:
        ConfigError: a person may not sign as the rule.
    """
    if person == roles.RULE:
        raise errors.ConfigError(
            f"nobody may decide as {roles.RULE!r}: so the automatic decisions are signed. Use --by."
        )
    return Decision(as_of, "", "", HELD, reason, decided_by=person)


def _by_person(of: Decision, role: str, by: Decision, reason: str = "") -> Decision:
    evidence, digest = of.evidence, of.files_sha256
    name = of.model_version, of.model_name
    return Decision(by.as_of_date, *name, role, reason or by.reason, evidence, by.decided_by, digest)


def _require_reason(by: Decision, doing: str) -> None:
    if not by.reason.strip():
        raise errors.ConfigError(f"why {doing}? Give --reason, for whoever asks later.")


def _unknown(lake: Lake, model_version: str) -> str:
    name = model_version.split("/")[0]
    rows = lake.read(
        f"select model_version from {model.MODEL_VERSION.full_name} where model_name = $name or $name not in"
        f" (select model_name from {model.MODEL_VERSION.full_name}) order by as_of_date desc, model_version limit 6",
        name=name,
    )
    return f"there is no model version {model_version!r}. Fitted: {rows['model_version'].to_pylist()}."


def _read_metrics(lake: Lake, versions: Sequence[str]) -> dict[str, dict[str, float]]:
    if not versions:
        return {}
    rows = lake.read(
        f"select model_version, metric, value from {model.EVALUATION.full_name}"
        " where fold = 0 and list_contains($versions, model_version) order by model_version, metric",
        versions=list(versions),
    ).to_pylist()
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["model_version"], {})[row["metric"]] = row["value"]
    return found


def _read_live(lake: Lake, model_version: str, as_of: date) -> Facts:
    return lake.read(
        "select count(*) as n_sessions, avg(squared_error) as squared_error,"
        " avg(naive_squared_error) as naive_squared_error, avg(rank_ic) as rank_ic,"
        " avg(nominal_coverage) as nominal_coverage, avg(realised_coverage) as realised_coverage"
        f" from {model.FORECAST_OUTCOME.full_name} where model_version = $v and known_date <= $as_of",
        v=model_version,
        as_of=as_of,
    ).to_pylist()[0]


def _files_state(settings: Settings, model_version: str, files_sha256: str) -> Facts:
    try:
        card = registry.check(settings.models_path, model_version, files_sha256=files_sha256 or None)
    except base.ModelError as exc:
        return {"state": "broken", "why": str(exc)}
    return {"state": "whole", "sha256": card[registry.FILES]}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
