"""What will a macro series' next period be first published as, from its own past, and how sure is that?

An autoregression in the series' own terms: of its change where its transform code says change, of its log growth where
it says growth. It is the benchmark that forecasts with factors must beat (`models/diffusion.py`), needs no other
series, and so has a forecast for each. Partner: `models/transforms.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import base, transforms

Floats = npt.NDArray[np.float64]

# Stock and Watson (2002) let BIC choose up to six lags of the series itself.
MOST_LAGS = 6
# Twenty years of months: older ones had another inflation and another volatility.
MOST_ROWS = 240
ROWS_PER_COEFFICIENT = 3


@dataclass(frozen=True, slots=True)
class NextValue:
    """A forecast of the period after the last.

    Args:
        forecast: in the series' own unit.
        std_error: of the forecast in the same unit, from the residuals of the fit.
        n_lags: of the series' own past.
        n_rows: periods fitted on.
    """

    forecast: float
    std_error: float
    n_lags: int
    n_rows: int


def forecast_next(values: Floats, code: int) -> NextValue:
    """The forecast of the period after the last row.

    Args:
        values: (n_dates,) the series as published on a regular grid, oldest first, NaN where missing; known in the
            last row.
        code: FRED-MD transform code, 1 to 7.

    Returns:
        The forecast with as many lags as BIC chooses, at most six, and fewer where the series has a hole just before
        its end. The standard error holds for the next period alone; in growth rates it is carried over to the unit of
        the series by its slope.

    Raises:
        ModelError: an unknown code.
        TooFewRows: too short a history, or no change known at its end; wait for more periods.

    Source:
        Stock and Watson (2002), Macroeconomic Forecasting Using Diffusion Indexes, JBES 20(2), section 3.
    """
    series = transforms.apply_transform(values, code)
    is_hole = ~np.isfinite(series[::-1][:MOST_LAGS])
    most = int(is_hole.argmax()) if is_hole.any() else len(is_hole)
    if not most:
        raise base.TooFewRows(f"the last of {len(series)} periods has no value under code {code}. Wait for one more.")
    windows = np.lib.stride_tricks.sliding_window_view(series, most + 1)
    windows = windows[np.isfinite(windows).all(axis=1)][-MOST_ROWS:]
    n_rows = len(windows)
    if n_rows < ROWS_PER_COEFFICIENT * (most + 2):
        raise base.TooFewRows(f"{n_rows} periods in a row for {most} lags. Wait for a longer history.")
    # The newest period first, so that more lags are more columns.
    design = np.column_stack([np.ones(n_rows), windows[:, -2::-1]])
    outcome = windows[:, -1]
    fits = [_fit(design[:, : 2 + n], outcome) for n in range(most)]
    coefficients, squares = min(fits, key=lambda fit: _bic(fit[1], n_rows, len(fit[0])))
    n_lags = len(coefficients) - 1
    ahead = float(coefficients[0] + coefficients[1:] @ series[::-1][:n_lags])
    forecast, slope = _as_published(values, code, ahead)
    return NextValue(forecast, slope * float(np.sqrt(squares / (n_rows - n_lags - 1))), n_lags, n_rows)


def _fit(design: Floats, outcome: Floats) -> tuple[Floats, float]:
    coefficients = np.asarray(np.linalg.lstsq(design, outcome, rcond=None)[0], dtype=np.float64)
    return coefficients, float(((outcome - design @ coefficients) ** 2).sum())


def _bic(squares: float, n_rows: int, n_coefficients: int) -> float:
    # A series that stands still fits perfectly.
    least = np.finfo(np.float64).tiny
    return float(n_rows * np.log(max(squares, least) / n_rows) + n_coefficients * np.log(n_rows))


def _as_published(values: Floats, code: int, ahead: float) -> tuple[float, float]:
    """A transformed value one period ahead in the unit of the series, and how steeply the one follows the other."""
    last = float(values[-1])
    if code in (1, 2, 3):
        step = last - float(values[-2]) if code == 3 else 0.0
        return ahead + (last if code > 1 else 0.0) + step, 1.0
    if code == 7:
        return last * (last / float(values[-2]) + ahead), abs(last)
    growth = float(np.log(last / values[-2])) if code == 6 else 0.0
    forecast = float(np.exp(ahead + growth)) * (last if code > 4 else 1.0)
    return forecast, forecast
