"""Which few factors move a panel, and where does each date stand on them?

Invariants: on a panel without holes the result is the singular value decomposition of the standardised panel; the score
of a date depends on the fitted state and on that date's row alone; the same panel gives the same signs.

Conventions: standardised is centred and divided by the sample standard deviation (n_dates - 1); `loadings_` are
unit-length eigenvectors of the correlation matrix; `factor_scores_` are the standardised panel times loadings, so their
variance is the eigenvalue. Sign: the loadings of a factor sum to a positive number; where the sum vanishes, the largest
in absolute value is positive. `FactorPCA.aligned_to` puts the predecessor's signs and order in place of these.

Partners: `models/transforms.py` prepares the panel, `models/anomaly.py` scores what the factors leave over.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import optimize

from models import base, selection

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

# McCracken and Ng's factors_em.m stops at a relative squared change of the common component of 1e-6, or 50 rounds.
EM_TOLERANCE = 1e-6
EM_MAX_ITERATIONS = 50

# Below this share of the first eigenvalue an eigenvalue is rounding error: Gram matrices square the condition number.
RANK_TOLERANCE = 1e-12

# The present columns of a row must carry this share of every direction in factor space: the variance of the noise in a
# projected score grows as 1 / share, and past a tenfold standard deviation no score is better than that one.
MIN_VISIBLE_SHARE = 0.01

PER_FACTOR = ("loadings_", "factor_scores_", "explained_variance_", "explained_variance_ratio_", "marginal_r2_")
STATE_NAMES = (*PER_FACTOR, "eigenvalues_", "mean_", "scale_")


class FactorPCA:
    """Principal-component factors of a panel with holes.

    Args:
        n_factors: number of factors; None selects it by the criterion at every round.
        max_factors: most factors the selection may choose; cut to what the panel's shape allows.
        criterion: rule of `models/selection.py`: `pcp1`, `pcp2` or `pcp3` of Bai and Ng, `er` of Ahn and Horenstein.
        standardise: divide by the standard deviation; False only centres.
        tolerance: relative squared change of the common component at which the completion of holes stops.
        max_iterations: rounds after which it stops without having converged.

    Attributes:
        loadings_: (n_names, n_factors), unit-length columns.
        factor_scores_: (n_dates, n_factors), one row per row of the fitted panel.
        explained_variance_: (n_factors,) eigenvalues; for a standardised panel all of them sum to n_names.
        explained_variance_ratio_: (n_factors,) share in [0, 1].
        eigenvalues_: (min(n_dates, n_names),) all eigenvalues, largest first, for a scree plot.
        marginal_r2_: (n_names, n_factors) share of the name's variance that the factor adds.
        mean_, scale_: (n_names,) of the completed panel.
        filled_: (n_dates, n_names) the completed panel in its own units; no rows after `from_state`.
        n_factors_, n_iterations_, is_converged_: how the fit ended. Without holes no iteration is needed.

    Source:
        McCracken and Ng (2016), JBES 34(4), and their factors_em.m; Stock and Watson (2002), JBES 20(2), appendix A.
    """

    def __init__(
        self,
        *,
        n_factors: int | None = None,
        max_factors: int = 8,
        criterion: str = "pcp2",
        standardise: bool = True,
        tolerance: float = EM_TOLERANCE,
        max_iterations: int = EM_MAX_ITERATIONS,
    ) -> None:
        selection.check_criterion(criterion)
        if n_factors is not None and n_factors < 1:
            raise base.ModelError(f"n_factors is {n_factors} for FactorPCA. Pass at least 1, or None to select it.")
        self.n_factors = n_factors
        self.max_factors = max_factors
        self.criterion = criterion
        self.standardise = standardise
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    @property
    def n_factors_(self) -> int:
        """How many factors the fit has; 0 when the selection finds none."""
        return int(self._fitted_loadings().shape[1])

    def fit(self, panel: Floats) -> Self:
        """This model, fitted.

        Holes start at their column's mean; each round standardises the completed panel anew, takes its factors, and
        puts the common component, back in the column's units, into the holes.

        Args:
            panel: (n_dates, n_names) float64, NaN where missing.

        Returns:
            self. `is_converged_` is False when the rounds ran out; such a fit should not be promoted.

        Raises:
            ModelError: fewer than two dates, an infinite value, a column without two different values, or more factors
                than the panel's rank; leave out the columns named, or ask for fewer factors.
        """
        # One memory layout throughout: sums over the other one round differently, and equal panels get equal bytes.
        panel = np.asarray(panel, dtype=np.float64, order="C")
        _check_fittable(panel)
        is_missing = np.isnan(panel)
        filled = np.where(is_missing, np.nanmean(panel, axis=0), panel)
        factors = self._decompose(filled)
        n_iterations, is_converged = 0, not is_missing.any()
        while not is_converged and n_iterations < self.max_iterations:
            previous = factors.common
            filled[is_missing] = (previous * factors.scale + factors.mean)[is_missing]
            factors = self._decompose(filled)
            n_iterations += 1
            change = float(((factors.common - previous) ** 2).sum())
            is_converged = change <= self.tolerance * float((previous**2).sum())
        if not is_converged:
            log.warning("factors did not converge: n_iterations=%s shape=%s", n_iterations, panel.shape)
        self._keep(factors)
        self.filled_, self.n_iterations_, self.is_converged_ = filled, n_iterations, is_converged
        return self

    def score(self, panel: Floats) -> Floats:
        """Factor scores of new rows, standardised by the fitted mean and scale.

        A full row is multiplied by the loadings. A row with holes is projected on the loadings of its present columns
        by least squares, which is where the completion of `fit` converges to.

        Args:
            panel: (n_dates, n_names) float64 with the fitted columns in the fitted order, NaN where missing.

        Returns:
            (n_dates, n_factors); NaN for a row whose present columns do not determine all factors.

        Raises:
            ModelError: not fitted, or another number of columns; fit first, or pass the fitted columns.
        """
        rows = self.standardised(panel)
        loadings = self._fitted_loadings()
        scores = np.empty((len(rows), loadings.shape[1]))
        # Row by row: a matrix product may round a row differently when more rows stand below it, and a past score must
        # not change when a day is appended (test_score_keeps_past_rows_when_later_rows_are_appended).
        for number, row in enumerate(rows):
            is_present = ~np.isnan(row)
            scores[number] = row @ loadings if is_present.all() else _projected(row[is_present], loadings[is_present])
        return scores

    def standardised(self, panel: Floats) -> Floats:
        """The panel in the units of the fit: (panel - mean_) / scale_, NaN kept.

        Args:
            panel: (n_dates, n_names) float64 with the fitted columns in the fitted order.

        Returns:
            (n_dates, n_names), in standard deviations.

        Raises:
            ModelError: as `score`, or an infinite value.
        """
        n_names = len(self._fitted_loadings())
        panel = np.asarray(panel, dtype=np.float64, order="C")
        if panel.ndim != 2 or panel.shape[1] != n_names:
            raise base.ModelError(
                f"panel of shape {panel.shape}, the factors were fitted on {n_names} columns. "
                "Pass the fitted columns in the fitted order, with NaN for those that are absent."
            )
        _check_finite(panel)
        rows: Floats = (panel - self.mean_) / self.scale_
        return rows

    def aligned_to(self, previous_loadings: Floats, own_rows: npt.ArrayLike) -> tuple[FactorPCA, Floats]:
        """A copy whose factors have the signs and the order of a predecessor's.

        Pairs are chosen together, so that the sum of absolute cosines between loadings on the common names is largest.
        Factors with a partner come first, in the partners' order; the others follow by variance, with their own sign.

        Args:
            previous_loadings: (n_common, n_previous) the predecessor's loadings of the names in both panels.
            own_rows: (n_common,) positions of the same names in this model's `loadings_`, in the same order.

        Returns:
            The copy, and (n_factors,) cosines in [0, 1] of its factors with their partners; NaN without a partner.

        Raises:
            ModelError: not fitted, or the two arguments differ in length; pass one position per predecessor row.
        """
        rows = np.asarray(own_rows, dtype=np.int64)
        previous = np.asarray(previous_loadings, dtype=np.float64)
        if previous.ndim != 2 or rows.shape != previous.shape[:1]:
            raise base.ModelError(
                f"{previous.shape} predecessor loadings for {rows.shape} own rows. "
                "Pass the loadings of the common names and one own position for each."
            )
        cosines = _unit_columns(self._fitted_loadings()[rows]).T @ _unit_columns(previous)
        own, partner = optimize.linear_sum_assignment(np.abs(cosines), maximize=True)
        own = own[np.argsort(partner)]
        cosine = cosines[own, np.sort(partner)]
        alone = np.setdiff1d(np.arange(self.n_factors_), own)
        order = np.concatenate([own, alone]).astype(np.int64)
        sign = np.concatenate([np.where(cosine < 0, -1.0, 1.0), np.ones(len(alone))])
        aligned = copy.copy(self)
        for name in PER_FACTOR:
            setattr(aligned, name, getattr(self, name)[..., order])
        aligned.loadings_ = np.ascontiguousarray(aligned.loadings_ * sign)
        aligned.factor_scores_ = np.ascontiguousarray(aligned.factor_scores_ * sign)
        return aligned, np.concatenate([np.abs(cosine), np.full(len(alone), np.nan)])

    def state(self) -> dict[str, Floats]:
        """Everything `score` and the tables need, as plain arrays; the completed panel is left out.

        Returns:
            Name to array: the fitted attributes, and `settings` with the arguments and how the fit ended.

        Raises:
            ModelError: not fitted; fit first.
        """
        self._fitted_loadings()
        criterion = selection.CRITERIA.index(self.criterion)
        settings = [self.n_factors or 0, self.max_factors, criterion, self.standardise, self.tolerance]
        settings += [self.max_iterations, self.n_iterations_, self.is_converged_]
        fitted: dict[str, Floats] = {name: getattr(self, name).copy() for name in STATE_NAMES}
        return {"settings": np.array(settings, np.float64), **fitted}

    @classmethod
    def from_state(cls, state: dict[str, Floats]) -> Self:
        """The model that `state` was taken from, without its completed panel.

        Args:
            state: what `state` returned.

        Returns:
            A fitted model that scores identically; `filled_` has no rows.

        Raises:
            ModelError: an array is absent; save the model again with this version.
        """
        absent = sorted({*STATE_NAMES, "settings"} - set(state))
        if absent:
            raise base.ModelError(f"FactorPCA state lacks {absent}, it has {sorted(state)}. Save the model again.")
        n_factors, max_factors, criterion, standardise, tolerance, *ended = (float(one) for one in state["settings"])
        model = cls(
            n_factors=int(n_factors) or None,
            max_factors=int(max_factors),
            criterion=selection.CRITERIA[int(criterion)],
            standardise=bool(standardise),
            tolerance=tolerance,
            max_iterations=int(ended[0]),
        )
        for name in STATE_NAMES:
            setattr(model, name, np.array(state[name], dtype=np.float64, order="C"))
        model.filled_ = np.empty((0, len(model.mean_)))
        model.n_iterations_, model.is_converged_ = int(ended[1]), bool(ended[2])
        return model

    def _fitted_loadings(self) -> Floats:
        if not hasattr(self, "loadings_"):
            raise base.ModelError("FactorPCA has no loadings: it was not fitted. Call fit with a panel first.")
        loadings: Floats = self.loadings_
        return loadings

    def _decompose(self, filled: Floats) -> _Factors:
        mean = filled.mean(axis=0)
        scale = filled.std(axis=0, ddof=1) if self.standardise else np.ones(filled.shape[1])
        standardised = (filled - mean) / scale
        eigenvalues, vectors = _eigen(standardised)
        n_factors = self.n_factors
        if n_factors is None:
            n_factors = selection.select_n_factors(
                eigenvalues, standardised.shape, self.max_factors, criterion=self.criterion
            )
        elif n_factors > (rank := int((eigenvalues > RANK_TOLERANCE * eigenvalues[0]).sum())):
            raise base.ModelError(
                f"{n_factors} factors asked of a panel of shape {filled.shape} and rank {rank}. "
                f"Ask for at most {rank}, or add names or dates."
            )
        return _Factors(mean, scale, standardised, eigenvalues, _signed(_loadings(standardised, vectors, n_factors)))

    def _keep(self, factors: _Factors) -> None:
        loadings, total = factors.loadings, factors.eigenvalues.sum()
        self.loadings_, self.mean_, self.scale_ = loadings, factors.mean, factors.scale
        self.factor_scores_ = factors.standardised @ loadings
        self.eigenvalues_ = factors.eigenvalues
        self.explained_variance_ = factors.eigenvalues[: loadings.shape[1]].copy()
        self.explained_variance_ratio_ = self.explained_variance_ / total
        # Scores of different factors are uncorrelated, so what a factor adds is its own regression's R2.
        variance = factors.standardised.var(axis=0, ddof=1)
        self.marginal_r2_ = loadings**2 * self.explained_variance_ / variance[:, None]


@dataclass(frozen=True, slots=True)
class _Factors:
    mean: Floats
    scale: Floats
    standardised: Floats
    eigenvalues: Floats
    loadings: Floats

    @property
    def common(self) -> Floats:
        """The part of the panel that the factors explain, standardised."""
        common: Floats = (self.standardised @ self.loadings) @ self.loadings.T
        return common


def _eigen(standardised: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues of the covariance, largest first, and eigenvectors of the smaller Gram matrix."""
    n_dates, n_names = standardised.shape
    gram = standardised @ standardised.T if n_dates < n_names else standardised.T @ standardised
    eigenvalues, vectors = np.linalg.eigh(gram)
    return np.maximum(eigenvalues[::-1], 0.0) / (n_dates - 1), vectors[:, ::-1]


def _loadings(standardised: Floats, vectors: Floats, n_factors: int) -> Floats:
    chosen = vectors[:, :n_factors]
    return chosen if len(chosen) == standardised.shape[1] else _unit_columns(standardised.T @ chosen)


def _signed(loadings: Floats) -> Floats:
    total = loadings.sum(axis=0)
    largest = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None, :], axis=0)[0]
    # Of the scale of rounding in a sum of unit-length entries; below it the sign of the sum is an accident.
    decides = np.abs(total) > 1e-9 * np.abs(loadings).sum(axis=0)
    return np.ascontiguousarray(loadings * np.where(np.where(decides, total, largest) < 0, -1.0, 1.0))


def _unit_columns(columns: Floats) -> Floats:
    length = np.sqrt((columns**2).sum(axis=0))
    unit: Floats = columns / np.where(length == 0, 1.0, length)
    return unit


def _projected(present: Floats, loadings: Floats) -> Floats:
    gram = loadings.T @ loadings
    if not len(present) or np.linalg.eigvalsh(gram)[:1].sum() < MIN_VISIBLE_SHARE:
        return np.full(loadings.shape[1], np.nan)
    return np.asarray(np.linalg.solve(gram, loadings.T @ present), dtype=np.float64)


def _check_fittable(panel: Floats) -> None:
    if panel.ndim != 2 or len(panel) < 2 or not panel.shape[1]:
        raise base.ModelError(
            f"panel of shape {panel.shape} has no factors. Pass (n_dates, n_names), two dates or more."
        )
    _check_finite(panel)
    is_present = ~np.isnan(panel)
    lowest = np.where(is_present, panel, np.inf).min(axis=0)
    highest = np.where(is_present, panel, -np.inf).max(axis=0)
    still = np.flatnonzero(~(highest > lowest))
    if len(still):
        raise base.ModelError(
            f"{len(still)} of {panel.shape[1]} columns have no two different values, "
            f"the first at positions {still[:10].tolist()}. Leave them out of the panel."
        )


def _check_finite(panel: Floats) -> None:
    n_infinite = int(np.isinf(panel).sum())
    if n_infinite:
        raise base.ModelError(f"{n_infinite} infinite values in a panel of shape {panel.shape}. Set them to NaN.")
