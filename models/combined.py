"""How strange is a row in the eyes of several detectors together, and what drives it?

Detectors measure in units of their own; what compares is the rank. A verdict on a row is the share of usual rows at
least as strange, by each column on its own and by each detector of whole rows. The combined score is the mean of the
two gravest verdicts: a kind of anomaly is seen by few detectors, so that a mean over all would drown it, and the noise
of one should not decide alone. Invariants: a higher score is more abnormal; a row's score depends on the fitted rows
and on that row alone, so that a quiet day has no strange rows. Partners: `models/detectors.py`, `models/thresholds.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from models import detectors

Floats = npt.NDArray[np.float64]

# Each for its kind of anomaly. The autoencoder would cost more than all of these together, every night, and is left out
# unless it is asked for.
WHOLE_ROWS = ("pca", "hotelling_t2", "isolation_forest", "ecod")
N_GRAVEST = 2


class RankCombination:
    """Verdicts of single columns and of detectors of whole rows, combined by rank among the rows fitted on.

    Args:
        names: keys of `detectors.DETECTORS`.
        seed: of the detectors that draw random numbers.

    Attributes:
        detectors_: name to fitted detector.
    """

    def __init__(self, names: Sequence[str] = WHOLE_ROWS, *, seed: int = 0) -> None:
        self.names, self.seed = tuple(names), seed

    def fit(self, rows: Floats) -> Self:
        """This combination, fitted.

        Args:
            rows: (n_rows, n_columns) finite float64 of usual rows, no column constant; a few strange ones do no harm.

        Returns:
            self.

        Raises:
            ModelError: fewer than two rows or columns, a value that is not finite, or no such detector.
        """
        self.columns_ = detectors.RobustZ().fit(rows)
        self.detectors_ = {name: detectors.make(name, seed=self.seed).fit(rows) for name in self.names}
        self.usual_: list[Floats] = [np.sort(measured) for measured in self._measured(rows)]
        return self

    def score(self, rows: Floats) -> Floats:
        """How strange each row is to the two that find it strangest.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows,) mean of two negative natural logarithms of shares of usual rows.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        verdicts = np.stack(
            [surprise(measured, usual) for measured, usual in zip(self._measured(rows), self.usual_, strict=True)]
        )
        gravest: Floats = np.sort(verdicts, axis=0)[-N_GRAVEST:].mean(axis=0)
        return gravest

    def drivers(self, rows: Floats) -> Floats:
        """What drives the scores: how far out each value is.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows, n_columns) in robust standard deviations of the fitted rows, signed.

        Raises:
            ModelError: other columns than fitted, or a value that is not finite.
        """
        return self.columns_.by_column(rows)

    def _measured(self, rows: Floats) -> list[Floats]:
        """How strange the rows are to each column and to each detector, in their own units."""
        return [*np.abs(self.columns_.by_column(rows)).T, *(one.score(rows) for one in self.detectors_.values())]


def surprise(measured: Floats, usual: Floats) -> Floats:
    """How rarely a usual row is as strange.

    Args:
        measured: (n_rows,) higher is more abnormal.
        usual: (n_usual,) the same of usual rows, ascending.

    Returns:
        (n_rows,) minus the natural logarithm of the share of usual rows at least as strange. Beyond the strangest of
        them ranks end; there it grows on, by less than one rank more, with the distance.
    """
    n_beyond = len(usual) - np.searchsorted(usual, measured, side="left")
    return _grown(measured, n_beyond, len(usual), usual[-1])


def surprise_among_others(measured: Floats) -> Floats:
    """How rarely one of the others is as strange.

    Nothing is ranked against itself: the strangest would then never be beyond all that is usual.

    Args:
        measured: (n_rows,) higher is more abnormal, at least two.

    Returns:
        (n_rows,) `surprise` of each row, the usual ones being all but itself.
    """
    ascending = np.sort(measured)
    n_beyond = len(measured) - np.searchsorted(ascending, measured, side="left") - 1
    # Only the strangest can be beyond the second.
    return _grown(measured, n_beyond, len(measured) - 1, ascending[-2])


def _grown(measured: Floats, n_beyond: npt.NDArray[np.intp], n_usual: int, top: np.float64) -> Floats:
    beyond = np.where(measured > top, 1.0 - top / np.where(measured > top, measured, 1.0), 0.0)
    grown: Floats = np.log(2.0) * beyond - np.log((n_beyond + 1) / (n_usual + 1))
    return grown
