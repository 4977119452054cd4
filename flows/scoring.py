"""Refit what is due, and apply the newest versions to the day.

A refit is due when no version is younger than `refit_days`; it then enters the lake one version at a time, each whole.
Partners: `flows/factors.py`, `flows/forecasts.py`, `warehouse/results.py`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import pyarrow as pa

from flows import factors, forecasts, macro_forecasts, macro_outlook, receipts
from flows.context import Context
from models import base, macro_horizons
from warehouse import errors, ledger, results, roles
from warehouse.lake import Lake
from warehouse.tables import model

log = logging.getLogger(__name__)

Fit = Callable[[Context, Lake, date], list[factors.Fitted]]
# The model whose age decides, and what is fitted with it.
FITS: tuple[tuple[str, Fit], ...] = (
    (factors.MACRO_PCA, factors.fit_macro),
    (macro_forecasts.MACRO_NEXT, macro_forecasts.fit_next_values),
    (macro_horizons.AR, macro_outlook.fit_outlooks),
    (factors.EQUITY_PCA, factors.fit_equity),
    (forecasts.BASELINE, forecasts.fit_forecasts),
)


def refit(context: Context, as_of: date, *, only_due: bool = False) -> list[str]:
    """The model versions that were fitted; a model that refuses its rows is a decision, and the others are fitted.

    Args:
        context: the run.
        as_of: nothing known later enters a fit.
        only_due: leave alone what was fitted less than `refit_days` before.

    Raises:
        LakeError: the lake cannot be read or written.
    """
    fitted_versions = []
    for name, fit in FITS:
        with context.reader() as lake:
            if only_due and not _is_due(lake, name, as_of, context.settings.refit_days):
                continue
            snapshot = lake.snapshot
            try:
                fitted = fit(context, lake, as_of)
            except base.ModelError as exc:
                log.error("model not fitted model_name=%s as_of=%s reason=%s", name, as_of, exc)
                refused = roles.Decision(
                    as_of, f"{name}/{as_of}", name, roles.REFUSED, f"{name} could not be fitted: {exc}"
                )
                fitted = [factors.Fitted(refused.model_version, {}, refused)]
        # The model whose age decides is written last: a run cut in between fits the others again.
        fitted.sort(key=lambda one: one.model_version.startswith(f"{name}/"))
        for one in fitted:
            if one.refused is not None:
                with context.writer() as lake:
                    roles.write_decisions(lake, _not_yet(lake, one.refused), context.now)
                continue
            card = one.rows[model.MODEL_VERSION]
            one.rows[model.MODEL_VERSION] = card.set_column(
                card.column_names.index("snapshot"), "snapshot", pa.array([snapshot], pa.int64())
            )
            with context.writer() as lake:
                results.write_version(lake, one.model_version, one.rows)
            log.info("fitted model_version=%s as_of=%s snapshot=%s", one.model_version, as_of, snapshot)
            fitted_versions.append(one.model_version)
    return fitted_versions


def _not_yet(lake: Lake, refused: roles.Decision) -> list[roles.Decision]:
    """The decision, unless it stands already."""
    stands = roles.standing(roles.read_decisions(lake, refused.as_of_date)).get(refused.model_version)
    return [] if stands is not None and stands.reason == refused.reason else [refused]


@contextlib.contextmanager
def _model_errors(doing: str) -> Iterator[None]:
    """Models know nothing of our errors; what they refuse is said in their words and ours."""
    try:
        yield
    except base.ModelError as exc:
        raise errors.ModelRefused(f"{doing} failed: {exc}") from exc


def _is_due(lake: Lake, name: str, as_of: date, refit_days: int) -> bool:
    versions = results.read_versions(lake, name, as_of)
    return not versions or versions[0][1] <= as_of - timedelta(days=refit_days)


def score(context: Context, session: date) -> int:
    """How many forecasts stand for a session after the newest versions were applied to it.

    Raises:
        LakeError: the lake cannot be read or written.
    """
    with context.reader() as lake, _model_errors(f"scoring {session}"):
        forecast = forecasts.score_session(context, lake, session)
        try:
            factor_score = factors.score_equity(context, lake, session)
        except base.BrokenFiles as exc:
            log.error("model cannot score model_name=%s session=%s reason=%s", factors.EQUITY_PCA, session, exc)
            factor_score = model.FACTOR_SCORE.empty()
        change = receipts.of_session(context, lake, session, factor_score)
    with context.writer() as lake:
        rows = {model.FORECAST: forecast, model.FACTOR_SCORE: factor_score, model.FACTOR_CHANGE: change}
        results.add_rows(lake, rows, f"scored {session}")
    log.info("scored session=%s forecasts=%s", session, forecast.num_rows)
    return int(forecast.num_rows)


def read_scoring_session(context: Context, as_of: date) -> date | None:
    """The newest session with features on or before a day, None when the lake has no market data.

    Raises:
        LakeError: the lake cannot be read.
    """
    with context.reader() as lake:
        if not lake.read_value("select count(*) from market.trade_cal"):
            return None
        session = ledger.read_latest_session(lake, as_of)
        found: date | None = lake.read_value(
            "select max(trade_date) from feature.feature where trade_date <= $session", session=session
        )
        return found
