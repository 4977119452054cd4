"""Who is in charge of the forecasts: the rule that promotes, demotes and holds back versions.

    fitted -> held (too good, or a person holds the model) -> released -> challenger -> champion -> retired

Invariants: the naive forecast is champion until something beats it; a decision of a day uses outcomes known that day;
deciding again changes nothing; what a person decided stands until a person decides otherwise.
Partners: `models/promotion.py` (the hurdles), `warehouse/roles.py` (where decisions stay).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from flows import forecasts, macro_outlook, outcomes
from flows.context import Context
from flows.settings import Settings
from models import evaluation, promotion
from models.base import Floats
from warehouse import results, roles
from warehouse.lake import Lake
from warehouse.roles import CHALLENGER, CHAMPION, HELD, RETIRED, Decision
from warehouse.tables import model, outlook

log = logging.getLogger(__name__)

TOLD = ("r2_oos", "rank_ic_mean", "rank_ic_t", "cw_p_value", "dm_p_value", "r2_oos_seed_min")


@dataclass(frozen=True, slots=True)
class Version:
    """A fitted forecasting version and what its walk-forward evaluation found.

    Args:
        name, model_name, fitted: the version, its model, and its day.
        is_converged: whether the fit may be used.
        files_sha256: its digest.
        suspected_cause: why it may be too good to be true; empty when it is not.
        found: metrics of all folds together.
        fold_r2: `r2_oos` of each fold.
    """

    name: str
    model_name: str
    fitted: date
    is_converged: bool
    files_sha256: str
    suspected_cause: str
    found: Mapping[str, float]
    fold_r2: Sequence[float]


def decide(settings: Settings, lake: Lake, as_of: date) -> list[Decision]:
    """The decisions that are due on a day, in order; empty when everything stands as it should.

    Args:
        settings: the hurdles.
        lake: the lake.
        as_of: nothing known later enters.

    Raises:
        LakeError: the lake cannot be read.
    """
    before = roles.read_decisions(lake, as_of)
    newest = read_newest(lake, list(forecasts.places(settings)), as_of)
    return _Deciding(settings, lake, as_of, before).run(newest)


def promote(context: Context, as_of: date) -> list[Decision]:
    """Record the outcomes that became known, then decide and store who is in charge.

    Raises:
        LakeError: the lake cannot be read or written.
    """
    with context.reader() as lake:
        known = outcomes.find_outcomes(lake, as_of, horizon=forecasts.HORIZON, level=forecasts.INTERVAL_LEVEL)
        known_macro = macro_outlook.find_outcomes(lake, as_of)
    with context.writer() as lake:
        if known.num_rows or known_macro.num_rows:
            rows = {model.FORECAST_OUTCOME: known, outlook.MACRO_OUTLOOK_OUTCOME: known_macro}
            results.add_rows(lake, rows, f"outcomes known on {as_of}")
        decisions = decide(context.settings, lake, as_of)
        roles.write_decisions(lake, decisions, context.now)
    for one in decisions:
        log.info("decided model_version=%s role=%s reason=%s", one.model_version, one.role, one.reason)
    return decisions


def read_newest(lake: Lake, names: Sequence[str], as_of: date) -> dict[str, Version]:
    """The newest version of each model fitted by a day, with its evaluation.

    Raises:
        LakeError: the lake cannot be read.
    """
    cards = lake.read(
        f"select * from {model.MODEL_VERSION.full_name} where as_of_date <= $as_of"
        " and list_contains($names, model_name) order by as_of_date, model_version",
        as_of=as_of,
        names=list(names),
    ).to_pylist()
    newest = {card["model_name"]: card for card in cards}
    if not newest:
        return {}
    metrics = lake.read(
        f"select model_version, fold, metric, value from {model.EVALUATION.full_name}"
        " where list_contains($versions, model_version) order by model_version, fold, metric",
        versions=[card["model_version"] for card in newest.values()],
    ).to_pylist()
    found: dict[str, Version] = {}
    for name in (one for one in names if one in newest):
        card = newest[name]
        own = [row for row in metrics if row["model_version"] == card["model_version"]]
        found[name] = Version(
            card["model_version"],
            name,
            card["as_of_date"],
            card["is_converged"],
            card["files_sha256"],
            json.loads(card["params"]).get("suspected_cause", ""),
            {row["metric"]: _number(row["value"]) for row in own if row["fold"] == 0},
            [_number(row["value"]) for row in own if row["fold"] and row["metric"] == "r2_oos"],
        )
    return found


def compare_losses(lake: Lake, first: str, second: str) -> tuple[Floats, Floats]:
    """Mean squared error of two versions on each day both were tested on, over the securities both forecast.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select a.forecast_date, a.predicted as first, b.predicted as second, a.realised"
        f" from {model.OUT_OF_SAMPLE.full_name} as a join {model.OUT_OF_SAMPLE.full_name} as b"
        " using (ts_code, forecast_date) where a.model_version = $first and b.model_version = $second"
        " order by a.forecast_date, a.ts_code",
        first=first,
        second=second,
    )
    if not rows.num_rows:
        return np.empty(0), np.empty(0)
    day = np.unique(rows["forecast_date"].to_numpy(), return_inverse=True)[1]
    came = rows["realised"].to_numpy()
    losses = [np.bincount(day, (rows[name].to_numpy() - came) ** 2) for name in ("first", "second")]
    counts = np.bincount(day)
    return losses[0] / counts, losses[1] / counts


class _Deciding:
    """One day's decisions in the making: what stands, and what is added to it."""

    def __init__(self, settings: Settings, lake: Lake, as_of: date, before: list[Decision]) -> None:
        self.settings, self.lake, self.as_of = settings, lake, as_of
        self.before, self.added = before, list[Decision]()
        self.hurdles = promotion.Hurdles(
            settings.promotion_ic_t, settings.promotion_p_value, settings.promotion_fold_share
        )

    @property
    def standing(self) -> dict[str, Decision]:
        """What counts for each version, the decisions made so far among it."""
        return roles.standing([*self.before, *self.added])

    def add(self, of: Version | Decision, role: str, reason: str, evidence: Mapping[str, Any] | None = None) -> None:
        """Decide that a version plays a part."""
        name = of.name if isinstance(of, Version) else of.model_version
        self.added.append(
            Decision(self.as_of, name, of.model_name, role, reason, evidence or {}, files_sha256=of.files_sha256)
        )

    def run(self, newest: dict[str, Version]) -> list[Decision]:
        """Receive new versions, settle who is in charge, and let the others try; all decisions made."""
        stood = self.standing
        fresh = [
            one for one in newest.values() if one.name not in stood or stood[one.name].files_sha256 != one.files_sha256
        ]
        naive = newest.get(forecasts.BASELINE)
        for one in fresh:
            self._receive(one)
        if naive is not None:
            self._settle_champion(naive, {one.model_name: one for one in fresh})
        released = [
            one
            for one in newest.values()
            if one not in fresh and stood[one.name].role == CHALLENGER and stood[one.name].decided_by != roles.RULE
        ]
        candidates = [one for one in (*fresh, *released) if self.standing[one.name].role == CHALLENGER]
        for one in sorted(candidates, key=lambda one: (-_number(one.found.get("r2_oos")), one.name)):
            if one.model_name != forecasts.BASELINE:
                self._contest(one)
        return self.added

    def _receive(self, one: Version) -> None:
        """The part a new version starts with."""
        evidence = _told(one)
        too_good = evaluation.implausible(dict(one.found))
        holder = self._person_holding(one.model_name)
        if not one.is_converged:
            self.add(one, RETIRED, "its fit did not converge; the version before stays", evidence)
            return
        if too_good:
            cause = one.suspected_cause or "no cause was looked for"
            self.add(one, HELD, f"too good to be true: {' '.join(too_good)} Suspected cause: {cause}.", evidence)
            self._retire_older(one, (HELD,))
            return
        if holder is not None:
            self.add(one, HELD, f"{holder.decided_by} holds {one.model_name} since {holder.as_of_date}", evidence)
            self._retire_older(one, (HELD,))
            return
        self.add(one, CHALLENGER, self._first_words(one), evidence)
        self._retire_older(one, (CHALLENGER, HELD))

    def _first_words(self, one: Version) -> str:
        if one.model_name == forecasts.BASELINE:
            return "the naive forecast"
        missed = promotion.shortfalls(one.found, one.fold_r2, self.hurdles)
        return f"without skill: {'; '.join(missed)}" if missed else "takes every hurdle against the naive forecast"

    def _retire_older(self, one: Version, playing: tuple[str, ...]) -> None:
        for other in list(self.standing.values()):
            is_older = other.model_name == one.model_name and other.model_version != one.name
            if is_older and other.role in playing:
                self.add(other, RETIRED, f"succeeded by {one.name}")

    def _settle_champion(self, naive: Version, fresh: Mapping[str, Version]) -> None:
        champion = roles.champion_of(self.standing)
        if champion is None:
            self.add(naive, CHAMPION, "the naive forecast is champion until something beats it", _told(naive))
            return
        live = self._live(champion.model_name)
        heir = fresh.get(champion.model_name)
        is_heir = heir is not None and self.standing[heir.name].role == CHALLENGER
        if champion.model_name == forecasts.BASELINE:
            if heir is not None and is_heir:
                self._succeed(champion, heir, "the naive forecast, fitted again")
        elif live.is_behind(self.settings.live_min_sessions):
            role = RETIRED if is_heir else CHALLENGER
            self.add(champion, role, f"demoted: {_live_words(live)}", _live_evidence(live))
            self.add(naive, CHAMPION, f"{champion.model_version} no longer beats it", _live_evidence(live))
        elif heir is not None and is_heir and not _number(heir.found.get("r2_oos")) > 0:
            self.add(champion, RETIRED, f"demoted: its refit {heir.name} does not beat the naive forecast", _told(heir))
            self.add(naive, CHAMPION, f"{heir.name} no longer beats it", _told(heir))
        elif heir is not None and is_heir:
            self._succeed(champion, heir, "the champion, fitted again and still ahead of the naive forecast")

    def _succeed(self, champion: Decision, heir: Version, reason: str) -> None:
        if champion.model_version != heir.name:
            self.add(champion, RETIRED, f"succeeded by {heir.name}")
        self.add(heir, CHAMPION, reason, _told(heir))

    def _contest(self, one: Version) -> None:
        champion = roles.champion_of(self.standing)
        live = self._live(one.model_name)
        if champion is None or promotion.shortfalls(one.found, one.fold_r2, self.hurdles):
            return
        if live.is_behind(self.settings.live_min_sessions):
            return
        evidence = _told(one) | _live_evidence(live)
        if champion.model_name != forecasts.BASELINE:
            losses = compare_losses(self.lake, one.name, champion.model_version)
            wins, p_value = promotion.is_better(*losses, forecasts.HORIZON, self.hurdles)
            evidence |= {"p_value_against_champion": p_value, "champion": champion.model_version}
            if not wins:
                return
        self.add(champion, CHALLENGER, f"beaten by {one.name}", evidence)
        self.add(one, CHAMPION, f"beats the naive forecast and {champion.model_version} out of sample", evidence)

    def _live(self, model_name: str) -> promotion.LiveRecord:
        return outcomes.read_live_record(self.lake, model_name, self.as_of, self.settings.live_sessions)

    def _person_holding(self, model_name: str) -> Decision | None:
        """The decision of a person that holds a model back, None when the newest of theirs does not."""
        own = [one for one in self.before if one.model_name == model_name and one.decided_by != roles.RULE]
        return own[-1] if own and own[-1].role == HELD else None


def _told(one: Version) -> dict[str, Any]:
    return {name: one.found[name] for name in TOLD if name in one.found}


def _live_evidence(live: promotion.LiveRecord) -> dict[str, Any]:
    return {
        "live_sessions": live.n_sessions,
        "live_squared_error": live.squared_error,
        "live_naive_squared_error": live.naive_squared_error,
    }


def _live_words(live: promotion.LiveRecord) -> str:
    return (
        f"over the last {live.n_sessions} sessions its published forecasts had a mean squared error of "
        f"{live.squared_error:.3g}, the naive forecast {live.naive_squared_error:.3g}"
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
