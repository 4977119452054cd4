"""Macro factors of one file, as tables in a folder: how a stranger checks the estimator against a published result.

Nothing here reads or writes the lake. Partners: `warehouse/macro_file.py`, `models/macro_factors.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models import base, macro_factors
from models.macro_factors import MacroFactors
from warehouse import errors, macro_file

FACTORS_FILE, LOADINGS_FILE, MR2_FILE, PANEL_FILE = "factors.csv", "loadings.csv", "mr2.csv", "panel.csv"
N_TOP_SERIES = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    Args:
        n_factors: number of factors, None to select it.
        criterion: rule that selects it.
        start, end: first and last month of the sample, None for the papers'.
    """

    n_factors: int | None = None
    criterion: str = "pcp2"
    start: date | None = None
    end: date | None = None


def estimate_file(path: Path, wanted: Wanted) -> MacroFactors:
    """The factors of a file of FRED-MD or FRED-QD form.

    Raises:
        ConfigError: there is no such file.
        ContractViolation: it is not of that form.
        ModelRefused: it has no such factors; the message names the file and the series.
    """
    read = macro_file.read_macro_file(path)
    levels = macro_factors.Levels(read.names, read.months, read.values, read.codes, read.frequency)
    try:
        return macro_factors.estimate(
            levels,
            n_factors=wanted.n_factors,
            criterion=wanted.criterion,
            start=None if wanted.start is None else np.datetime64(wanted.start, "M"),
            end=None if wanted.end is None else np.datetime64(wanted.end, "M"),
        )
    except base.ModelError as exc:
        raise errors.ModelRefused(f"{path}: {exc}") from exc


def write_files(found: MacroFactors, folder: Path) -> list[Path]:
    """Write factors, loadings, marginal R2 and the panel; files of these names are replaced.

    `panel.csv` is the sample after transforms and outliers; blank is what EM completed. `factors.csv` is that panel,
    completed and standardised, times the unit-length columns of `loadings.csv`.

    Returns:
        The files written.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    model = found.model
    columns = [f"F{k}" for k in range(1, model.n_factors_ + 1)]
    dates = pd.Index(found.months.astype("datetime64[D]").astype(str), name="date")
    series = pd.Index(found.names, name="series")
    frames = {
        FACTORS_FILE: pd.DataFrame(model.factor_scores_, dates, columns),
        LOADINGS_FILE: pd.DataFrame(model.loadings_, series, columns),
        MR2_FILE: pd.DataFrame(model.marginal_r2_, series, columns),
        PANEL_FILE: pd.DataFrame(found.panel, dates, list(found.names)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            frame.to_csv(folder / name, lineterminator="\n")
    except OSError as exc:
        raise errors.ConfigError(f"{folder} cannot be written to: {exc.strerror}. Name another folder.") from exc
    return [folder / name for name in frames]


def facts(found: MacroFactors, wanted: Wanted) -> dict[str, Any]:
    """What the estimate is, as JSON can hold it.

    Returns:
        Sample, counts, EM steps, whether EM converged, total share, and per factor its name, share and ten series of
        highest marginal R2.
    """
    model = found.model
    return {
        "first": str(found.months[0]),
        "last": str(found.months[-1]),
        "n_periods": len(found.months),
        "n_series": len(found.names),
        "n_missing": int(np.isnan(found.panel).sum()),
        "n_outliers": found.n_outliers,
        "criterion": wanted.criterion if wanted.n_factors is None else None,
        "n_factors": model.n_factors_,
        "n_em_steps": model.n_iterations_,
        "is_converged": bool(model.is_converged_),
        "explained_variance_ratio": float(model.explained_variance_ratio_.sum()),
        "factors": [
            {
                "factor": f"F{k + 1}",
                "name": found.factor_names[k],
                "explained_variance_ratio": float(model.explained_variance_ratio_[k]),
                "top_series": _top_series(found, k),
            }
            for k in range(model.n_factors_)
        ],
    }


def _top_series(found: MacroFactors, factor: int) -> Sequence[dict[str, Any]]:
    marginal_r2 = found.model.marginal_r2_[:, factor]
    order = np.argsort(-marginal_r2, kind="stable")[:N_TOP_SERIES]
    return [{"series": found.names[at], "marginal_r2": float(marginal_r2[at])} for at in order]
