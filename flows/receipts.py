"""What changed a published factor since it was published before: new data, revisions of old data, or the refit?

A row is written whenever a factor's newest score is published: by a refit, and for each later session that the equity
factors are scored on. Invariant: the parts of a row add up to its change; they differ from it by rounding alone.
Partners: `models/stability.py`, which has the arithmetic, `flows/factors.py`, which fits.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from flows.context import Context
from models import base, pca, registry, stability, transforms
from models.stability import Floats, Rows, Ruler
from warehouse import panels, results
from warehouse.lake import Lake
from warehouse.panels import Panel
from warehouse.tables import feature, model

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A factor model's newest published scores.

    Args:
        model_version, score_date: the version, and the month or session it scored.
        ruler: by which it scores.
        scores: (n_factors,) as published.
    """

    model_version: str
    score_date: date
    ruler: Ruler
    scores: Floats


def read_names(lake: Lake, model_version: str) -> list[str]:
    """The series or securities of a fitted factor model, in the order of its loadings.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select entity from model.factor_loading where model_version = $v and factor = 1 order by entity",
        v=model_version,
    )
    return list(rows["entity"].to_pylist())


def at_macro_refit(context: Context, lake: Lake, as_of: date, fit: tuple[Panel, pca.FactorPCA]) -> pa.Table:
    """Rows of model.factor_change for a refit of the macro factors; empty without a fit before that can be read.

    Args:
        context: the run.
        lake: the lake.
        as_of: the day of the refit.
        fit: the panel, and the fit with its factors in their predecessors' places.

    Raises:
        LakeError: the lake cannot be read.
    """
    before = _read_standing(context, lake, "macro_pca", as_of)
    if before is None:
        return model.FACTOR_CHANGE.empty()
    panel = fit[0]
    known = _read_macro_panel(lake, before.model_version)
    month = np.datetime64(before.score_date)
    if month not in known.dates:
        return _untold(before.model_version, "its panel is not in the lake")
    then = _by_names(known, before.ruler.names)[int(np.searchsorted(known.dates, month))]
    own = _by_names(panel, before.ruler.names)
    is_there = panel.dates == month
    # A month that too few series have today stays as it was: nothing was revised in it.
    then_revised = own[is_there][0] if is_there.any() else then
    rows = Rows(then, then_revised, own[-1], panel.data[-1])
    return _rows((before, _standing_of(f"macro_pca/{as_of}", fit)), rows, as_of, is_then_known=True)


def at_equity_refit(context: Context, lake: Lake, as_of: date, fit: tuple[Panel, pca.FactorPCA]) -> pa.Table:
    """Rows of model.factor_change for a refit of the equity factors, as `at_macro_refit`.

    Raises:
        LakeError: the lake cannot be read.
    """
    before = _read_standing(context, lake, "equity_pca", as_of)
    if before is None:
        return model.FACTOR_CHANGE.empty()
    return _equity_rows(lake, (before, _standing_of(f"equity_pca/{as_of}", fit)), as_of, fit[0].data[-1])


def of_session(context: Context, lake: Lake, session: date, scored: pa.Table) -> pa.Table:
    """Rows of model.factor_change for a session that a version fitted before was applied to.

    Args:
        context: the run.
        lake: the lake.
        session: what was scored.
        scored: rows of model.factor_score for it, of one version; empty gives no rows.

    Raises:
        LakeError: the lake cannot be read.
    """
    if not scored.num_rows:
        return model.FACTOR_CHANGE.empty()
    version = scored["model_version"][0].as_py()
    before = _read_version(context, lake, version, session)
    if before is None:
        return model.FACTOR_CHANGE.empty()
    scores = scored.sort_by("factor")["score"].to_numpy(zero_copy_only=False)
    after = Standing(version, session, before.ruler, scores)
    return _equity_rows(lake, (before, after), session, None)


def _read_standing(context: Context, lake: Lake, name: str, as_of: date) -> Standing | None:
    """What was published last by a version fitted before a day."""
    versions = [version for version, fitted in results.read_versions(lake, name, as_of) if fitted < as_of]
    return _read_version(context, lake, versions[0], as_of + timedelta(days=1)) if versions else None


def _read_version(context: Context, lake: Lake, version: str, until: date) -> Standing | None:
    """A version's newest scores, of a date before `until`; None when its files are gone, or there is no such score."""
    rows = lake.read(
        "select score_date, score from model.factor_score where model_version = $v"
        " and score_date < $until"
        " qualify score_date = max(score_date) over (partition by model_version) order by factor",
        v=version,
        until=until,
    )
    if not rows.num_rows:
        return None
    try:
        fitted = registry.load(context.settings.models_path, version)
    except (base.ModelError, registry.UnknownVersion) as exc:
        log.warning("no receipt: the fit before cannot be read model_version=%s reason=%s", version, exc)
        return None
    scores = rows["score"].to_numpy(zero_copy_only=False)
    return Standing(version, rows["score_date"][0].as_py(), Ruler.of(fitted, read_names(lake, version)), scores)


def _standing_of(version: str, fit: tuple[Panel, pca.FactorPCA]) -> Standing:
    panel, fitted = fit
    newest = panel.dates[-1].astype("datetime64[D]").item()
    return Standing(version, newest, Ruler.of(fitted, panel.names), fitted.factor_scores_[-1])


def _read_macro_panel(lake: Lake, version: str) -> Panel:
    """The panel of a version as it knew it, wild values missing as in its fit."""
    rows = lake.read(
        f"select panel_month, series_id, value from {feature.MACRO_PANEL.full_name}"
        " where as_of_date = (select as_of_date from model.model_version where model_version = $v)"
        " order by panel_month, series_id",
        v=version,
    )
    months, row = np.unique(rows["panel_month"].to_numpy(zero_copy_only=False), return_inverse=True)
    names, column = np.unique(rows["series_id"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    data = np.full((len(months), len(names)), np.nan)
    data[row, column] = rows["value"].to_numpy(zero_copy_only=False)
    cleaned, _ = transforms.remove_outliers(data)
    return Panel(cleaned, months.astype("datetime64[D]"), tuple(names.tolist()))


def _by_names(panel: Panel, names: tuple[str, ...]) -> Floats:
    """(n_dates, n_names) columns of a panel by other names; NaN for one it does not have."""
    place = {name: at for at, name in enumerate(panel.names)}
    found = np.full((len(panel.dates), len(names)), np.nan)
    for at, name in enumerate(names):
        if name in place:
            found[:, at] = panel.data[:, place[name]]
    return found


def _equity_rows(lake: Lake, standings: tuple[Standing, Standing], as_of: date, own: Floats | None) -> pa.Table:
    """The rows, with returns of both sessions as they are known now.

    Args:
        lake: the lake.
        standings: before and after.
        as_of: day of publication.
        own: (n_after,) the row the refit ends with; None where nothing was fitted.
    """
    before = standings[0]
    n_sessions = lake.read_value(
        "select count(distinct trade_date) from feature.log_return where trade_date between $start and $as_of",
        start=before.score_date,
        as_of=as_of,
    )
    panel = panels.read_return_panel(lake, as_of, n_sessions=max(n_sessions, 1), min_share=0.0)
    by_before = _by_names(panel, before.ruler.names)
    then, now = (by_before[panel.dates == np.datetime64(one.score_date)] for one in standings)
    if not len(then) or not len(now):
        return _untold(before.model_version, "a session's returns are not in the lake")
    # A return is made of its own session's bar and of the one before it.
    n_corrected = lake.read_value(
        "select count(*) from ops.revision where dataset in ('market.daily', 'market.adj_factor')"
        " and revised_date > $session and revised_date <= $as_of and partition in (select distinct"
        " trade_date::varchar from feature.log_return where trade_date <= $session order by 1 desc limit 2)",
        session=before.score_date,
        as_of=as_of,
    )
    rows = Rows(then[0], then[0], now[0], now[0] if own is None else own)
    return _rows(standings, rows, as_of, is_then_known=not n_corrected)


def _rows(standings: tuple[Standing, Standing], rows: Rows, as_of: date, *, is_then_known: bool) -> pa.Table:
    """The receipt as rows of model.factor_change.

    Args:
        standings: before and after.
        rows: what they scored.
        as_of: day of publication.
        is_then_known: whether `rows.then` is what was known then; otherwise what the score published then differs from
            that row's is what was revised.
    """
    before, after = standings
    try:
        found = stability.receipt(before.ruler, after.ruler, rows, published=(before.scores, after.scores))
        first = before.ruler.score(rows.then)
    except base.ModelError as exc:
        return _untold(after.model_version, str(exc))
    k = len(found.before)
    revised, completed = found.revision.sum(axis=0), found.completion
    if not is_then_known:
        gap = found.before - first[:k]
        revised, completed = revised - gap, completed + gap
    if not np.isfinite(found.after - found.before).all():
        return _untold(after.model_version, "a score is missing")
    return model.FACTOR_CHANGE.conform(
        pa.table(
            {
                "model_version": [after.model_version] * k,
                "model_name": [after.model_version.rpartition("/")[0]] * k,
                "factor": np.arange(1, k + 1, dtype=np.int32),
                "score_date": pa.array([after.score_date] * k, pa.date32()),
                "published_date": pa.array([as_of] * k, pa.date32()),
                "previous_version": [before.model_version] * k,
                "previous_score_date": pa.array([before.score_date] * k, pa.date32()),
                "previous_score": found.before,
                "score": found.after,
                "new_data": found.new_row.sum(axis=0),
                "revised": revised,
                "rescaled": found.restandardised.sum(axis=0),
                "reloaded": found.reloaded.sum(axis=0),
                "completed": completed,
            }
        )
    )


def _untold(version: str, reason: str) -> pa.Table:
    log.warning("no receipt model_version=%s reason=%s", version, reason)
    return model.FACTOR_CHANGE.empty()
