"""What does a network that reads a year of months in order say of a macro series 1, 3, 6 and 12 months ahead?

It reads the series' own changes and the panel's factors, the same that the linear rivals know, and forecasts all
horizons at once. Invariant: a fit knows the rows before its fold and only outcomes that were over by then. Partners:
`models/lstm.py`, `models/macro_skill.py`, which compares it with the rivals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models import base, diffusion, lstm
from models.macro_horizons import HORIZONS, Factors, MonthlyPanel
from models.macro_skill import Fold
from models.stability import Floats

NETWORK = "macro_lstm"
WINDOW = 12
# Fewer windows than this teach a network nothing that lasts.
FEWEST_WINDOWS = 120


@dataclass(frozen=True, slots=True)
class NetworkForecast:
    """The network's forecast of one target at one horizon, in the outcome's terms (`diffusion.outcome_by_origin`).

    Args:
        value: the forecast.
        n_rows: windows it was fitted on, those that decide when to stop among them.
    """

    value: float
    n_rows: int
    std_error: float = float("nan")
    n_own: int = WINDOW
    n_factor: int = WINDOW


def make(seed: int) -> lstm.LSTM:
    """The network with the settings that all targets share."""
    return lstm.LSTM(seed=seed, embargo=max(HORIZONS) - 1)


def fit(panel: MonthlyPanel, factors: Factors, target: str, seed: int) -> tuple[lstm.LSTM, int]:
    """The network fitted on a panel's rows, and the windows it was fitted on.

    Args:
        panel: cut where the fit's knowledge ends.
        factors: fitted on the same rows.
        target: name of the series.
        seed: of the network.

    Raises:
        ModelError: too short a history; wait for more months.
    """
    n_months = len(panel.months)
    windows = _windows(panel, target, factors.scores[:n_months])
    outcomes = np.column_stack(
        [diffusion.outcome_by_origin(panel.levels[target], panel.codes[target], horizon) for horizon in HORIZONS]
    )
    is_whole = np.isfinite(windows).all(axis=(1, 2)) & np.isfinite(outcomes).all(axis=1)
    if is_whole.sum() < FEWEST_WINDOWS:
        raise base.TooFewRows(
            f"{int(is_whole.sum())} years of months of {target} with all outcomes known, {FEWEST_WINDOWS} are needed "
            "for a network. Load a longer history."
        )
    return make(seed).fit(windows[is_whole], outcomes[is_whole]), int(is_whole.sum())


def forecast(panel: MonthlyPanel, factors: Factors, target: str, seed: int) -> dict[int, NetworkForecast]:
    """The forecast of each horizon from the panel's last row, which is the target's newest month.

    Raises:
        ModelError: too short a history, or a hole in the newest year; wait for more months.
    """
    network, n_rows = fit(panel, factors, target, seed)
    newest = _windows(panel, target, factors.scores[: len(panel.months)])[-1:]
    if not np.isfinite(newest).all():
        raise base.ModelError(f"{target} or a factor lacks a month of the newest {WINDOW}. Wait for more months.")
    told = network.predict(newest)[0]
    return {h: NetworkForecast(float(value), n_rows) for h, value in zip(HORIZONS, told, strict=True)}


def walk_forward(panel: MonthlyPanel, folds: Sequence[Fold], target: str, seed: int) -> dict[int, Floats]:
    """By horizon, (n_months,) the forecasts from every origin of the test, each by the fit of its fold; else NaN.

    Args:
        panel: cut at the target's newest month.
        folds: in time.
        target: what is forecast.
        seed: of the networks.
    """
    told = np.full((len(panel.months), len(HORIZONS)), np.nan)
    for fold in folds:
        try:
            network, _ = fit(panel.upto(fold.start), fold.factors, target, seed)
        except base.TooFewRows:
            continue
        first = fold.start - WINDOW + 1
        scores = fold.factors.score(panel.values[first : fold.end])
        windows = lstm.windows_of(np.column_stack([panel.own(target)[first : fold.end], scores]), WINDOW)
        told[fold.start : fold.end] = network.predict(windows)[WINDOW - 1 :]
    return {horizon: told[:, at] for at, horizon in enumerate(HORIZONS)}


def _windows(panel: MonthlyPanel, target: str, scores: Floats) -> Floats:
    return lstm.windows_of(np.column_stack([panel.own(target), scores]), WINDOW)
