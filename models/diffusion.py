"""What do a few factors of many series add to a forecast that a series makes of itself?

The outcome over the next h months is regressed on the series' own last months (the AR benchmark), and on these and the
last months of the factors (the diffusion index). Invariants: an outcome enters only once its last month is known at the
origin; all rivals of an origin are fitted on the same rows; lags are chosen at every origin anew. Partners:
`models/macro_factors.py`, which gives the factors, `models/evaluation.py` and `models/nested.py`, which compare losses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models import base, transforms

Floats = npt.NDArray[np.float64]

CRITERIA = ("bic", "aic")


@dataclass(frozen=True, slots=True)
class LagRule:
    """How lags are chosen: the pair of the smallest criterion among 1 to the most of each.

    Args:
        most_own: most lags of the series itself. Stock and Watson (2002) let BIC choose up to six.
        most_factor: most lags of the factors; each lag holds all factors of its month.
        criterion: `bic` or `aic`.
    """

    most_own: int = 6
    most_factor: int = 6
    criterion: str = "bic"


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """A fitted diffusion index.

    Args:
        intercept: in the unit of the outcome.
        own: (n_own,) coefficients of the series' own lags, the newest month first.
        factor: (n_factor_lags, n_factors) those of the factors.
    """

    intercept: float
    own: Floats
    factor: Floats

    def value(self, own: Floats, scores: Floats) -> float:
        """The forecast from (n_own,) lags and (n_factor_lags, n_factors) scores, the newest month first."""
        return self.intercept + float(self.own @ own) + float((self.factor * scores).sum())


@dataclass(frozen=True, slots=True)
class Forecasts:
    """The rivals' forecasts of one origin, in the unit of the outcome.

    Args:
        mean: the mean of the outcomes known, which needs no lag.
        autoregression, diffusion: with the lags chosen.
        n_own_autoregression, n_own, n_factor: lags chosen for the benchmark and for the diffusion index.
        n_rows: rows all three were fitted on.
        equation: of the diffusion index.
    """

    mean: float
    autoregression: float
    diffusion: float
    n_own_autoregression: int
    n_own: int
    n_factor: int
    n_rows: int
    equation: Equation = field(compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A regression on lags with standard errors that allow for overlapping outcomes.

    Args:
        equation: the coefficients.
        covariance: (k, k) of the intercept, the own lags and the factors' lags, by Newey and West.
        n_rows: rows it was fitted on.
    """

    equation: Equation
    covariance: Floats
    n_rows: int

    @property
    def std_errors(self) -> Floats:
        """(k,) of the coefficients."""
        return np.sqrt(np.diag(self.covariance))

    def std_error(self, own: Floats, scores: Floats) -> float:
        """The standard error of the forecast's mean at (n_own,) lags and (n_factor_lags, n_factors) scores."""
        at = np.concatenate([[1.0], own, scores.ravel()])
        return float(np.sqrt(at @ self.covariance @ at))


def outcome_by_origin(levels: Floats, code: int, horizon: int) -> Floats:
    """What came of each origin: the series' mean change a month over the next `horizon` months, in its code's terms.

    Codes 1 and 4 give the level (its log) `horizon` months on; 2 and 5 its mean change; 6, whose growth itself wanders,
    the mean growth less the growth of the origin's month; 3 the same of changes.

    Args:
        levels: (n_dates,) the untransformed series by month, NaN where missing.
        code: FRED-MD transform code; 7 is taken as 5, to which it is close.
        horizon: months ahead, from 1.

    Returns:
        (n_dates,); NaN in the last `horizon` rows and where a term is missing.

    Raises:
        ModelError: a horizon below 1, or what `transforms.apply_transform` refuses.

    Source:
        Stock and Watson (2002), JBES 20(2), equations 2.5 and 2.6.
    """
    if horizon < 1:
        raise base.ModelError(f"horizon is {horizon}. Pass the months to look ahead, from 1.")
    is_log = code in (*transforms.LOG_CODES, 7)
    series = transforms.apply_transform(levels, 4 if is_log else 1)
    outcome = np.full(len(series), np.nan)
    ahead = series[horizon:]
    if code in (1, 4):
        outcome[:-horizon] = ahead
        return outcome
    outcome[:-horizon] = (ahead - series[:-horizon]) / horizon
    return outcome - transforms.apply_transform(series, 2) if code in (3, 6) else outcome


def forecast(outcome: Floats, own: Floats, factors: Floats, *, horizon: int, rule: LagRule | None = None) -> Forecasts:
    """The rivals' forecasts for the last row.

    Args:
        outcome: (n_dates,) by origin, as `outcome_by_origin` gives it. Its last `horizon` rows are not looked at.
        own: (n_dates,) the transformed series, known in the last rows.
        factors: (n_dates, n_factors) known in the last rows.
        horizon: months the outcome looks ahead.
        rule: how lags are chosen.

    Returns:
        The three forecasts; rows with a missing value are left out for all of them.

    Raises:
        ModelError: the last row lacks a value, there are too few rows, or no such criterion; cut the arrays where the
            series ends, or pass a longer history.

    Source:
        Stock and Watson (2002), Macroeconomic Forecasting Using Diffusion Indexes, JBES 20(2), equation 2.4.
    """
    rule = rule or LagRule()
    if rule.criterion not in CRITERIA:
        raise base.ModelError(f"unknown criterion {rule.criterion!r} for lags. Choose one of {', '.join(CRITERIA)}.")
    design = np.column_stack([np.ones(len(own)), _lags(own[:, None], rule.most_own), _lags(factors, rule.most_factor)])
    if not np.isfinite(design[-1]).all():
        raise base.ModelError(
            f"{int((~np.isfinite(design[-1])).sum())} of the {design.shape[1]} lags of the last row are missing. "
            "Cut the arrays at the last month that the series and the factors have."
        )
    is_known = np.isfinite(design).all(axis=1) & np.isfinite(outcome)
    is_known[len(outcome) - horizon :] = False
    n_rows = int(is_known.sum())
    if n_rows <= 2 * design.shape[1]:
        raise base.TooFewRows(
            f"{n_rows} rows with a known outcome for up to {design.shape[1]} coefficients at horizon {horizon}. "
            "Pass a longer history, or fewer lags."
        )
    # One decomposition of all columns; those of every subset follow from its small triangle.
    triangle = _triangle(np.column_stack([design[is_known], outcome[is_known]]))
    found = _choose(triangle, (factors.shape[1], n_rows), rule)
    (_, alone), (_, together) = found
    n_own = int((together[1:] <= rule.most_own).sum())
    coefficients = _coefficients(triangle, together)
    equation = Equation(
        float(coefficients[0]),
        coefficients[1 : 1 + n_own],
        coefficients[1 + n_own :].reshape(-1, factors.shape[1]),
    )
    return Forecasts(
        mean=float(outcome[is_known].mean()),
        autoregression=float(design[-1, alone] @ _coefficients(triangle, alone)),
        diffusion=float(design[-1, together] @ coefficients),
        n_own_autoregression=len(alone) - 1,
        n_own=n_own,
        n_factor=len(equation.factor),
        n_rows=n_rows,
        equation=equation,
    )


def regress(
    outcome: Floats, own: Floats, factors: Floats, lags: tuple[int, int], *, horizon: int, rule: LagRule | None = None
) -> Regression:
    """The regression of the outcome on given numbers of lags, on the rows that `forecast` uses.

    Args:
        outcome, own, factors, horizon, rule: as for `forecast`.
        lags: own lags and lags of the factors, at most those of the rule; without lags of the factors, the benchmark.

    Returns:
        Coefficients as `forecast` finds them for these lags; errors by Newey and West with `horizon` - 1 lags, for
        which outcomes of neighbouring rows overlap.

    Raises:
        TooFewRows: not more rows than coefficients; pass a longer history.

    Source:
        Newey and West (1987), Econometrica 55(3).
    """
    rule = rule or LagRule()
    full = np.column_stack([np.ones(len(own)), _lags(own[:, None], rule.most_own), _lags(factors, rule.most_factor)])
    is_known = np.isfinite(full).all(axis=1) & np.isfinite(outcome)
    is_known[len(outcome) - horizon :] = False
    n_own, n_factor = lags
    begin = 1 + rule.most_own
    columns = [*range(1 + n_own), *range(begin, begin + n_factor * factors.shape[1])]
    design, came = full[is_known][:, columns], outcome[is_known]
    if len(came) <= len(columns):
        raise base.TooFewRows(f"{len(came)} rows for {len(columns)} coefficients. Pass a longer history.")
    coefficients = np.asarray(np.linalg.lstsq(design, came, rcond=None)[0], dtype=np.float64)
    moments = design * (came - design @ coefficients)[:, None]
    middle = moments.T @ moments
    for lag in range(1, horizon):
        shared = moments[lag:].T @ moments[:-lag]
        middle += (1.0 - lag / horizon) * (shared + shared.T)
    inverse = np.linalg.pinv(design.T @ design)
    equation = Equation(
        float(coefficients[0]),
        coefficients[1 : 1 + n_own],
        coefficients[1 + n_own :].reshape(n_factor, factors.shape[1]),
    )
    return Regression(equation, inverse @ middle @ inverse, len(came))


Choice = tuple[float, npt.NDArray[np.int64]]


def _choose(triangle: Floats, sizes: tuple[int, int], rule: LagRule) -> tuple[Choice, Choice]:
    """Criterion and columns of the best benchmark and of the best diffusion index."""
    n_factors, n_rows = sizes
    weight = (np.log(n_rows) if rule.criterion == "bic" else 2.0) / n_rows
    factor_columns = np.arange(1 + rule.most_own, triangle.shape[1] - 1)
    alone: list[Choice] = []
    together: list[Choice] = []
    for n_own in range(1, rule.most_own + 1):
        columns = np.concatenate([np.arange(1 + n_own), factor_columns])
        ladder = np.log(_left_over(triangle, columns) / n_rows) + weight * np.arange(len(columns) + 1)
        alone.append((float(ladder[1 + n_own]), columns[: 1 + n_own]))
        for n_lags in range(1, rule.most_factor + 1):
            size = 1 + n_own + n_lags * n_factors
            together.append((float(ladder[size]), columns[:size]))
    return min(alone, key=lambda one: one[0]), min(together, key=lambda one: one[0])


def _left_over(triangle: Floats, columns: npt.NDArray[np.int64]) -> Floats:
    """Sums of squared residuals after none, one, ... all of the columns; a perfect fit keeps the smallest number."""
    last = _triangle(triangle[:, [*columns, -1]])[:, -1]
    sums: Floats = np.cumsum((last**2)[::-1])[::-1]
    return np.maximum(sums, np.finfo(np.float64).tiny)


def _triangle(columns: Floats) -> Floats:
    # numpy's stubs know the complete decomposition only.
    return np.asarray(np.linalg.qr(columns, mode="r"), dtype=np.float64)


def _coefficients(triangle: Floats, columns: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(np.linalg.lstsq(triangle[:, columns], triangle[:, -1], rcond=None)[0], dtype=np.float64)


def _lags(table: Floats, n_lags: int) -> Floats:
    """(n_dates, n_lags * n_columns): every column of the row itself, then of the row before, and so on."""
    lagged = np.full((len(table), n_lags, table.shape[1]), np.nan)
    for lag in range(min(n_lags, len(table))):
        lagged[lag:, lag] = table[: len(table) - lag]
    return lagged.reshape(len(table), -1)
