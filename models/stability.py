"""Is today's factor the one it was yesterday, and if it moved, did the world move or the fit?

A refit may turn factors over, swap them or mix them. `match` and `procrustes` undo the first two and all three;
`principal_angles` says how far the space itself turned, which no such turn can hide. `receipt` splits a factor's change
from one day to the next into what new data did and what the refit did. Invariant: the parts add up to the change; they
differ from it by rounding alone. Partners: `models/pca.py`, which fits, `models/news.py`, which does the same for a
forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

from models import base, pca

Floats = npt.NDArray[np.float64]

# A jump is out of proportion to the turns before it, and too far to be the noise of a fit: five degrees.
JUMP_MULTIPLE = 5.0
LEAST_JUMP = np.deg2rad(5.0)
FEWEST_TURNS = 5


@dataclass(frozen=True, slots=True)
class Match:
    """Which factor of a refit continues which of the fit before.

    Args:
        rotation: (n_own, n_own) orthogonal; the refit's scores or loadings times this are the aligned ones.
        correlation: (n_own,) of the aligned factors with their partners, in [0, 1] after `match`; NaN without partner.
    """

    rotation: Floats
    correlation: Floats


def match(previous: Floats, own: Floats) -> Match:
    """The order and the signs that put a refit's factors in their predecessors' places.

    Partners are chosen together, so that the sum of absolute correlations is largest; a factor's sign is that of its
    correlation. Factors without a partner come last, in their own order and with their own sign.

    Args:
        previous: (n_common, n_previous) scores of the fit before on the common dates.
        own: (n_common, n_own) scores of the refit on the same dates.

    Returns:
        A rotation that permutes and turns over, and the correlations.

    Raises:
        ModelError: the dates differ in number, or a value is missing; pass the common dates alone.
    """
    previous, own = _checked_pair(previous, own)
    correlation = _unit(previous - previous.mean(axis=0)).T @ _unit(own - own.mean(axis=0))
    partner, chosen = optimize.linear_sum_assignment(np.abs(correlation), maximize=True)
    alone = np.setdiff1d(np.arange(own.shape[1]), chosen)
    found = correlation[partner, chosen]
    rotation = np.zeros((own.shape[1], own.shape[1]))
    rotation[chosen, np.arange(len(chosen))] = np.where(found < 0, -1.0, 1.0)
    rotation[alone, np.arange(len(chosen), own.shape[1])] = 1.0
    return Match(rotation, np.concatenate([np.abs(found), np.full(len(alone), np.nan)]))


def procrustes(previous: Floats, own: Floats) -> Match:
    """The rotation that brings a refit's factors as near to their predecessors as any can.

    Factors lose what made them principal components; ask for it where continuity matters more than variance.

    Args:
        previous: (n_common, n_factors) scores or loadings of the fit before.
        own: (n_common, n_factors) the same of the refit.

    Returns:
        The orthogonal matrix that minimises the squared distance, and the correlations that result.

    Raises:
        ModelError: as `match`, or another number of factors; `match` takes those.

    Source:
        Schoenemann (1966), Psychometrika 31(1).
    """
    previous, own = _checked_pair(previous, own)
    if previous.shape != own.shape:
        raise base.ModelError(
            f"{own.shape[1]} factors are to be turned towards {previous.shape[1]}. Use match, or fit as many."
        )
    rotation = np.asarray(linalg.orthogonal_procrustes(own, previous)[0], dtype=np.float64)
    turned = own @ rotation
    correlation = (_unit(turned - turned.mean(axis=0)) * _unit(previous - previous.mean(axis=0))).sum(axis=0)
    return Match(rotation, correlation)


def principal_angles(previous_loadings: Floats, own_loadings: Floats) -> Floats:
    """How far the space of the factors turned: the principal angles between the two, the largest first.

    Args:
        previous_loadings: (n_common, n_previous) of the names in both panels.
        own_loadings: (n_common, n_own) of the same names in the same order.

    Returns:
        (min(n_previous, n_own),) in radians from 0 to pi / 2; order, signs and rotations within a space change none.

    Raises:
        ModelError: the names differ in number, or a value is missing; pass the common names alone.

    Source:
        Bjorck and Golub (1973), Mathematics of Computation 27(123); Knyazev and Argentati (2002), SIAM J. Scientific
        Computing 23(6), for small angles.
    """
    previous, own = _checked_pair(previous_loadings, own_loadings)
    wide, narrow = sorted((linalg.orth(previous), linalg.orth(own)), key=lambda basis: -basis.shape[1])
    shared = wide.T @ narrow
    # A cosine near one and a sine near one each lose half the digits; their quotient keeps them at both ends, where
    # scipy's subspace_angles keeps them at one.
    sines = linalg.svdvals(narrow - wide @ shared)
    cosines = linalg.svdvals(shared)[::-1]
    return np.asarray(np.arctan2(sines, cosines), dtype=np.float64)


def has_jumped(angle: float, history: Sequence[float]) -> bool:
    """Whether a refit turned the space further than the refits before it make one expect.

    Args:
        angle: the largest principal angle of this refit, in radians.
        history: those of the refits before.

    Returns:
        True beyond five degrees and five times the median of the history; with fewer than five refits, False.
    """
    if len(history) < FEWEST_TURNS:
        return False
    return bool(angle > max(LEAST_JUMP, JUMP_MULTIPLE * float(np.median(history))))


@dataclass(frozen=True, slots=True)
class Ruler:
    """What turns a row of a panel into factor scores.

    Args:
        names: (n_names,) of the columns.
        mean, scale: (n_names,).
        loadings: (n_names, n_factors) with orthonormal columns.
    """

    names: tuple[str, ...]
    mean: Floats
    scale: Floats
    loadings: Floats

    @classmethod
    def of(cls, model: pca.FactorPCA, names: Sequence[str], match: Match | None = None) -> Ruler:
        """The ruler of a fit, turned as a match says."""
        loadings = model.loadings_ if match is None else model.loadings_ @ match.rotation
        return cls(tuple(names), model.mean_, model.scale_, loadings)

    def standardised(self, row: Floats) -> Floats:
        """(n_names,) the row in standard deviations, NaN kept."""
        standardised: Floats = (row - self.mean) / self.scale
        return standardised

    def weights(self, is_present: npt.NDArray[np.bool_]) -> Floats:
        """(n_names, n_factors) by which standardised values are multiplied and summed to scores, 0 where missing.

        Raises:
            ModelError: the columns present do not determine the factors; wait for more of them.
        """
        if is_present.all():
            return self.loadings
        present = self.loadings[is_present]
        gram = present.T @ present
        if not len(present) or np.linalg.eigvalsh(gram)[0] < pca.MIN_VISIBLE_SHARE:
            raise base.ModelError(
                f"{int(is_present.sum())} of {len(self.names)} series are present, too few to tell "
                f"{self.loadings.shape[1]} factors apart. Wait for more of them, or score an earlier row."
            )
        weights = np.zeros_like(self.loadings)
        weights[is_present] = np.linalg.solve(gram, present.T).T
        return weights

    def contributions(self, row: Floats) -> Floats:
        """(n_names, n_factors) what each value adds to the scores of its row; a missing one adds nothing."""
        is_present = ~np.isnan(row)
        return np.where(is_present, self.standardised(row), 0.0)[:, None] * self.weights(is_present)

    def score(self, row: Floats) -> Floats:
        """(n_factors,) the scores of a row, as `FactorPCA.score` gives them."""
        scores: Floats = self.contributions(row).sum(axis=0)
        return scores


@dataclass(frozen=True, slots=True)
class Receipt:
    """Why the factors stand where they stand today and not where they stood at the last fit.

    Args:
        names: (n_names,) every name of either fit.
        before, after: (n_factors,) scores published at the last fit and today.
        revision: (n_names, n_factors) what changed in the last fit's own row.
        new_row: (n_names, n_factors) today's row in place of that one.
        restandardised: (n_names, n_factors) the refit's means and scales in place of the last ones.
        reloaded: (n_names, n_factors) the refit's loadings in place of the last ones.
        completion: (n_factors,) the difference that EM's last round makes between published scores and those computed
            from what is present.
    """

    names: tuple[str, ...]
    before: Floats
    after: Floats
    revision: Floats
    new_row: Floats
    restandardised: Floats
    reloaded: Floats
    completion: Floats

    @property
    def new_data(self) -> Floats:
        """(n_factors,) the part of the change that new figures made."""
        total: Floats = self.revision.sum(axis=0) + self.new_row.sum(axis=0)
        return total

    @property
    def refit(self) -> Floats:
        """(n_factors,) the part of the change that the refit made."""
        total: Floats = self.restandardised.sum(axis=0) + self.reloaded.sum(axis=0) + self.completion
        return total


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows a receipt is about, each with NaN where missing.

    Args:
        then: (n_before,) the last fit's newest row as it knew it, by the names of that fit.
        then_revised: (n_before,) the same row as it is known today.
        now: (n_before,) today's row by the names of the last fit.
        now_own: (n_after,) today's row by the names of the refit.
    """

    then: Floats
    then_revised: Floats
    now: Floats
    now_own: Floats


def receipt(before: Ruler, after: Ruler, rows: Rows, *, published: tuple[Floats, Floats] | None = None) -> Receipt:
    """The change of the factors, split into what new data and what the refit did.

    Args:
        before: of the last fit.
        after: of the refit, aligned to it; the factors both have are compared.
        rows: the newest rows of both.
        published: (n_factors,) scores published then and now, where they differ from those of `Ruler.score`.

    Returns:
        Parts that add up to `after - before`.

    Raises:
        ModelError: a row does not determine the factors; wait for more of its series.
    """
    n_factors = min(before.loadings.shape[1], after.loadings.shape[1])
    names = tuple(dict.fromkeys((*before.names, *after.names)))
    place_before, place_after = _places(names, before.names), _places(names, after.names)

    def placed(contributions: Floats, place: npt.NDArray[np.int64]) -> Floats:
        table = np.zeros((len(names), n_factors))
        table[place] = contributions[:, :n_factors]
        return table

    hybrid = _restandardised(before, after)
    steps = [
        placed(before.contributions(rows.then), place_before),
        placed(before.contributions(rows.then_revised), place_before),
        placed(before.contributions(rows.now), place_before),
        placed(hybrid.contributions(rows.now), place_before),
        placed(after.contributions(rows.now_own), place_after),
    ]
    first, last = steps[0].sum(axis=0), steps[-1].sum(axis=0)
    told = (first, last) if published is None else (published[0][:n_factors], published[1][:n_factors])
    return Receipt(
        names,
        told[0],
        told[1],
        revision=steps[1] - steps[0],
        new_row=steps[2] - steps[1],
        restandardised=steps[3] - steps[2],
        reloaded=steps[4] - steps[3],
        completion=(told[1] - last) - (told[0] - first),
    )


def _restandardised(before: Ruler, after: Ruler) -> Ruler:
    """The loadings of the one with the means and scales of the other; a name that left keeps its own."""
    position = {name: at for at, name in enumerate(after.names)}
    mean, scale = before.mean.copy(), before.scale.copy()
    for at, name in enumerate(before.names):
        if name in position:
            mean[at], scale[at] = after.mean[position[name]], after.scale[position[name]]
    return replace(before, mean=mean, scale=scale)


def _places(names: Sequence[str], own: Sequence[str]) -> npt.NDArray[np.int64]:
    position = {name: at for at, name in enumerate(names)}
    return np.array([position[name] for name in own], dtype=np.int64)


def _unit(columns: Floats) -> Floats:
    length = np.sqrt((columns**2).sum(axis=0))
    unit: Floats = columns / np.where(length == 0, 1.0, length)
    return unit


def _checked_pair(previous: Floats, own: Floats) -> tuple[Floats, Floats]:
    first, second = np.asarray(previous, dtype=np.float64), np.asarray(own, dtype=np.float64)
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second) or len(first) < 2:
        raise base.ModelError(
            f"factors of shapes {first.shape} and {second.shape} are compared. Pass the rows both have, two or more."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise base.ModelError(
            f"{int((~np.isfinite(first)).sum() + (~np.isfinite(second)).sum())} values are missing or infinite among "
            f"the factors compared, of shapes {first.shape} and {second.shape}. Leave out the rows they stand in."
        )
    return first, second
