"""Macro and equity factors: a panel out of the lake, a fit, and its tables back.

Each refit is aligned to its predecessor in sign and order, so that a factor's line in the report does not flip because
the arithmetic did. Partners: `warehouse/panels.py` (the only door to data), `models/pca.py`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flows import receipts, settings
from flows.context import Context
from models import cluster, pca, registry, stability, transforms
from warehouse import panels, results
from warehouse.contracts import Table
from warehouse.lake import Lake
from warehouse.panels import Panel
from warehouse.roles import Decision
from warehouse.tables import feature, model

log = logging.getLogger(__name__)

MACRO_PCA, MACRO_REGIME = "macro_pca", "macro_regime"
EQUITY_PCA, EQUITY_CLUSTER = "equity_pca", "equity_cluster"
# Below this a factor means nothing: three factors of ten series need some years of months.
MIN_MONTHS, MIN_SESSIONS, MIN_SECURITIES = 36, 60, 10
# SP500 has ten years of sixty: such holes take EM some hundred rounds, more than the fifty of a small one.
MOST_ITERATIONS = 1000
# Metric of model.evaluation: how far the space of a refit's factors turned from that of the fit before.
SUBSPACE_ANGLE = "subspace_angle"


@dataclass(frozen=True)
class Fitted:
    """One fitted version: its name and the rows for the lake, or why there are none."""

    model_version: str
    rows: dict[Table, pa.Table]
    refused: Decision | None = None


def read_macro_panel(lake: Lake, as_of: date) -> tuple[Panel, pa.Table]:
    """The transformed macro panel as of a day, and the same as rows of feature.macro_panel.

    Each series is transformed on its own regular grid before it is aligned, so a quarter is compared with the quarter
    before it, and a month that was never published leaves a hole instead of shifting what follows.

    Raises:
        LakeError: the lake cannot be read.
    """
    values = panels.read_macro_values(lake, as_of)
    transformed = []
    series = values["series_id"].to_numpy(zero_copy_only=False)
    for series_id in dict.fromkeys(series.tolist()):
        transformed.append(_transform_series(values.filter(pa.array(series == series_id))))
    if not transformed:
        return Panel(np.zeros((0, 0)), np.zeros(0, "datetime64[D]"), ()), feature.MACRO_PANEL.empty()
    panel, rows = panels.align_by_knowledge(pa.concat_tables(transformed), as_of)
    data, n_removed = transforms.remove_outliers(panel.data)
    if n_removed:
        log.info("macro panel outliers set missing cells=%s as_of=%s", n_removed, as_of)
    return Panel(data, panel.dates, panel.names), rows


def _transform_series(values: pa.Table) -> pa.Table:
    frequency = values["frequency"][0].as_py()
    periods = values["observation_date"].to_numpy(zero_copy_only=False).astype("datetime64[M]")
    level = values["value"].to_numpy(zero_copy_only=False).astype(np.float64)
    grid, on_grid = transforms.regular_grid(periods, level, frequency)
    changed = transforms.apply_transform(on_grid, values["transform_code"][0].as_py())
    changed = changed[np.searchsorted(grid, periods)]
    column = values.column_names.index("value")
    return values.set_column(column, "value", pa.array(changed, pa.float64(), mask=~np.isfinite(changed)))


def fit_macro(context: Context, lake: Lake, as_of: date) -> list[Fitted]:
    """The macro factors and regimes as of a day; empty when the panel is too short.

    Raises:
        LakeError: the lake cannot be read.
    """
    panel, panel_rows = read_macro_panel(lake, as_of)
    if len(panel.dates) < MIN_MONTHS or len(panel.names) <= context.settings.macro_factors:
        log.warning("no macro factors months=%s series=%s as_of=%s", *panel.data.shape, as_of)
        return []
    fitted = pca.FactorPCA(n_factors=context.settings.macro_factors, max_iterations=MOST_ITERATIONS).fit(panel.data)
    factors = _fitted_factors(context, lake, MACRO_PCA, as_of, (panel, fitted))
    factors.rows[feature.MACRO_PANEL] = panel_rows
    factors.rows[model.FACTOR_MOVE] = _moves(factors, panel, fitted)
    scores = _pivot(factors.rows[model.FACTOR_SCORE])
    regimes = cluster.cluster_points(scores / scores.std(axis=0), n_clusters=None, seed=context.settings.seed)
    entities = [str(day) for day in panel.dates]
    return [factors, _fitted_clusters(context, MACRO_REGIME, as_of, (panel, regimes, entities))]


def fit_equity(context: Context, lake: Lake, as_of: date) -> list[Fitted]:
    """The equity factors and security groups as of a day; empty when there are too few sessions or securities.

    Raises:
        LakeError: the lake cannot be read.
    """
    panel = panels.read_return_panel(lake, as_of, n_sessions=context.settings.equity_sessions)
    if len(panel.dates) < MIN_SESSIONS or len(panel.names) < MIN_SECURITIES:
        log.warning("no equity factors sessions=%s securities=%s as_of=%s", *panel.data.shape, as_of)
        return []
    fitted = pca.FactorPCA(n_factors=context.settings.equity_factors, max_iterations=MOST_ITERATIONS).fit(panel.data)
    factors = _fitted_factors(context, lake, EQUITY_PCA, as_of, (panel, fitted))
    loadings = fitted.loadings_ / fitted.loadings_.std(axis=0)
    groups = cluster.cluster_points(loadings, n_clusters=None, seed=context.settings.seed)
    return [factors, _fitted_clusters(context, EQUITY_CLUSTER, as_of, (panel, groups, list(panel.names)))]


def score_equity(context: Context, lake: Lake, session: date) -> pa.Table:
    """Rows of model.factor_score for one session, by the newest version fitted by then; empty when it has them.

    Raises:
        LakeError: the lake cannot be read.
    """
    versions = results.read_versions(lake, EQUITY_PCA, session)
    if not versions or versions[0][1] >= session:
        return model.FACTOR_SCORE.empty()
    model_version = versions[0][0]
    fitted = registry.load(context.settings.models_path, model_version)
    names = receipts.read_names(lake, model_version)
    rows = lake.read(
        "select ts_code, log_return_1d from feature.log_return where trade_date = $session", session=session
    )
    values = dict(zip(rows["ts_code"].to_pylist(), rows["log_return_1d"].to_pylist(), strict=True))
    panel = np.array([[np.nan if values.get(name) is None else values[name] for name in names]])
    if not np.isfinite(panel).any():
        return model.FACTOR_SCORE.empty()
    scores = fitted.score(panel)
    return _score_rows((model_version, EQUITY_PCA), scores, np.array([session], "datetime64[D]"))


def _fitted_factors(context: Context, lake: Lake, name: str, as_of: date, fit: tuple[Panel, pca.FactorPCA]) -> Fitted:
    panel, fitted = fit
    fitted, correlations, angle = _aligned(lake, name, as_of, fit)
    version = (f"{name}/{as_of}", name)
    k = fitted.n_factors_
    factor_no = np.arange(1, k + 1, dtype=np.int32)
    n_names = len(panel.names)
    params = {"n_factors": k, "n_iterations": int(fitted.n_iterations_), "n_names": n_names}
    rows = {
        model.FACTOR: pa.table(
            {
                **_constant(version, k),
                "factor": factor_no,
                "eigenvalue": fitted.explained_variance_,
                "explained_variance_ratio": fitted.explained_variance_ratio_,
                "predecessor_correlation": pa.array(correlations, pa.float64(), mask=~np.isfinite(correlations)),
            }
        ),
        model.FACTOR_LOADING: pa.table(
            {
                **_constant(version, k * n_names),
                "factor": np.repeat(factor_no, n_names),
                "entity": list(panel.names) * k,
                "loading": fitted.loadings_.T.ravel(),
                "marginal_r2": fitted.marginal_r2_.T.ravel(),
            }
        ),
        model.FACTOR_SCORE: _score_rows(version, fitted.factor_scores_, panel.dates),
    }
    at_refit = receipts.at_macro_refit if name == MACRO_PCA else receipts.at_equity_refit
    rows[model.FACTOR_CHANGE] = at_refit(context, lake, as_of, (panel, fitted))
    if angle is not None:
        span = (panel.dates[0].item(), panel.dates[-1].item())
        rows[model.EVALUATION] = evaluation_rows(version, 0, span, {SUBSPACE_ANGLE: angle}, n_names)
    n_missing = int((~np.isfinite(panel.data)).sum())
    card = version_card(context, version, as_of, (panel.dates, params))
    card |= {"n_rows_dropped": n_missing, "is_converged": bool(fitted.is_converged_)}
    card["files_sha256"] = registry.save(context.settings.models_path, version[0], fitted, card_for_files(card))
    rows[model.MODEL_VERSION] = pa.Table.from_pylist([card])
    return Fitted(version[0], rows)


def _moves(factors: Fitted, panel: Panel, fitted: pca.FactorPCA) -> pa.Table:
    """Rows of model.factor_move: what each series added to each factor over the panel's last month.

    By the loadings as they were aligned, which are those of the rows; a score is the sum of its series' parts.
    """
    of_rows = factors.rows[model.FACTOR_LOADING]
    k, n_names = fitted.n_factors_, len(panel.names)
    loadings = of_rows["loading"].to_numpy(zero_copy_only=False).reshape(k, n_names)
    step = np.diff(fitted.filled_[-2:], axis=0)[0] / fitted.scale_
    is_completed = ~np.isfinite(panel.data[-2:]).all(axis=0)
    return pa.table(
        {
            **{name: of_rows[name] for name in ("model_version", "model_name", "factor", "entity")},
            "score_date": pa.array([panel.dates[-1].astype("datetime64[D]").item()] * (k * n_names), pa.date32()),
            "step": np.tile(step, k),
            "contribution": (loadings * step).ravel(),
            "is_completed": np.tile(is_completed, k),
        }
    )


def _aligned(
    lake: Lake, name: str, as_of: date, fit: tuple[Panel, pca.FactorPCA]
) -> tuple[pca.FactorPCA, npt.NDArray[np.float64], float | None]:
    """The fit turned towards its predecessor's, and how near they are.

    Returns:
        The fit, each factor's score correlation with its predecessor on common dates, and the largest angle between
        the spaces of their loadings on the common names, in radians; None without a predecessor to compare with.
    """
    panel, fitted = fit
    correlations = np.full(fitted.n_factors_, np.nan)
    versions = [one for one in results.read_versions(lake, name, as_of) if one[1] < as_of]
    if not versions:
        return fitted, correlations, None
    before = versions[0][0]
    names_before = receipts.read_names(lake, before)
    common = [one for one in panel.names if one in set(names_before)]
    if len(common) < MIN_SECURITIES and len(common) < len(panel.names) // 2:
        return fitted, correlations, None
    loadings_before = _pivot(
        lake.read(
            "select factor, entity as score_date, loading as score from model.factor_loading where model_version = $v"
            " and entity in (select unnest($common)) order by entity, factor",
            v=before,
            common=common,
        )
    )
    own_rows = np.searchsorted(np.array(panel.names), common)
    aligned, _ = fitted.aligned_to(loadings_before, own_rows)
    angle = float(stability.principal_angles(loadings_before, aligned.loadings_[own_rows])[0])
    scores_before = lake.read(
        "select factor, score_date, score from model.factor_score where model_version = $v and score_date in"
        " (select unnest($dates)) order by score_date, factor",
        v=before,
        dates=[day.item() for day in panel.dates.astype("datetime64[D]")],
    )
    dates_before = np.unique(scores_before["score_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]"))
    if len(dates_before) < 3:
        return aligned, correlations, angle
    old = _pivot(scores_before)
    own = aligned.factor_scores_[np.searchsorted(panel.dates, dates_before)]
    for factor in range(min(old.shape[1], own.shape[1])):
        correlations[factor] = np.corrcoef(old[:, factor], own[:, factor])[0, 1]
    return aligned, correlations, angle


def _fitted_clusters(
    context: Context, name: str, as_of: date, fit: tuple[Panel, cluster.Clustering, list[str]]
) -> Fitted:
    panel, clustering, entities = fit
    version = (f"{name}/{as_of}", name)
    params = {"n_clusters": int(clustering.labels.max()), "seed": context.settings.seed}
    card = version_card(context, version, as_of, (panel.dates, params))
    rows = {
        model.MODEL_VERSION: pa.Table.from_pylist([card]),
        model.CLUSTER: pa.table(
            {**_constant(version, len(entities)), "entity": entities, "cluster": clustering.labels.astype(np.int32)}
        ),
        model.EVALUATION: evaluation_rows(
            version,
            0,
            (panel.dates[0].item(), panel.dates[-1].item()),
            {"silhouette": clustering.silhouette},
            len(entities),
        ),
    }
    return Fitted(version[0], rows)


def version_card(
    context: Context, version: tuple[str, str], as_of: date, training: tuple[npt.NDArray[np.datetime64], dict[str, Any]]
) -> dict[str, Any]:
    """A row of model.model_version, still without what the caller knows better."""
    dates, params = training
    return {
        "model_version": version[0],
        "model_name": version[1],
        "as_of_date": as_of,
        "train_start": dates.min().item(),
        "train_end": dates.max().item(),
        "n_rows": len(dates),
        "n_rows_dropped": 0,
        "params": json.dumps(params, sort_keys=True),
        "is_converged": True,
        "is_champion": True,
        "files_sha256": "",
        "code_version": settings.code_version(),
        "snapshot": 0,
        "fitted_at": context.now,
    }


def card_for_files(card: dict[str, Any]) -> dict[str, Any]:
    """What of a version's row goes into its card on disk: no instant, so that the same fit gives the same bytes."""
    left_out = ("fitted_at", "snapshot", "files_sha256")
    return {
        name: str(value) if isinstance(value, date) else value for name, value in card.items() if name not in left_out
    }


def evaluation_rows(
    version: tuple[str, str], fold: int, span: tuple[date, date], metrics: dict[str, float], n_rows: int
) -> pa.Table:
    """Rows of model.evaluation for one fold."""
    values = np.array(list(metrics.values()), dtype=np.float64)
    return pa.table(
        {
            **_constant(version, len(metrics)),
            "fold": np.full(len(metrics), fold, np.int32),
            "test_start": pa.array([span[0]] * len(metrics), pa.date32()),
            "test_end": pa.array([span[1]] * len(metrics), pa.date32()),
            "metric": list(metrics),
            "value": pa.array(values, mask=~np.isfinite(values)),
            "n_rows": np.full(len(metrics), n_rows),
        }
    )


def _score_rows(
    version: tuple[str, str], scores: npt.NDArray[np.float64], dates: npt.NDArray[np.datetime64]
) -> pa.Table:
    n_dates, k = scores.shape
    return pa.table(
        {
            **_constant(version, n_dates * k),
            "factor": np.tile(np.arange(1, k + 1, dtype=np.int32), n_dates),
            "score_date": pa.array(np.repeat(dates.astype("datetime64[D]"), k)),
            "score": scores.ravel(),
        }
    )


def _pivot(rows: pa.Table) -> npt.NDArray[np.float64]:
    """(n_rows, n_factors) out of long rows sorted by date or entity, then factor."""
    k = int(rows["factor"].to_numpy(zero_copy_only=False).max())
    return rows["score"].to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, k)


def _constant(version: tuple[str, str], n_rows: int) -> dict[str, list[str]]:
    return {"model_version": [version[0]] * n_rows, "model_name": [version[1]] * n_rows}
