"""How many factors does a panel have?

Every rule reads the eigenvalues of the standardised panel alone, so that it may be asked again at every round of a fit.
Partner: `models/pca.py`, which asks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models import base

Floats = npt.NDArray[np.float64]

# The order is kept: fitted models store a rule's place in it.
CRITERIA = ("er", "pcp1", "pcp2", "pcp3")

# Below this share of all variance what is left over is rounding error, whose logarithm would reward ever more factors.
LEAST_SHARE = 1e-12


def check_criterion(criterion: str) -> None:
    """Nothing, when there is such a rule.

    Raises:
        ModelError: there is none; choose one of those named.
    """
    if criterion not in CRITERIA:
        raise base.ModelError(
            f"unknown criterion {criterion!r} for the number of factors. Choose one of {', '.join(CRITERIA)}."
        )


def select_n_factors(eigenvalues: Floats, shape: tuple[int, ...], max_factors: int, *, criterion: str = "pcp2") -> int:
    """How many factors a rule finds, 0 included.

    `pcp1` to `pcp3` minimise log V(k) + k g, V(k) the mean squared residual after k factors. FRED-MD's documentation
    calls them so; in the paper the form with the logarithm is IC_p1 to IC_p3. `er` takes the largest ratio of an
    eigenvalue to the next; before the first one stands a mock eigenvalue, the sum of all over
    log(min(n_dates, n_names)), so that a panel without a factor gets none.

    Args:
        eigenvalues: all eigenvalues of the standardised panel, largest first, in any scale.
        shape: (n_dates, n_names) of the panel.
        max_factors: most factors considered; at least one eigenvalue is always left over.
        criterion: one of `CRITERIA`.

    Returns:
        A number from 0 to `max_factors`.

    Raises:
        ModelError: no such criterion; choose one of those named.

    Source:
        Bai and Ng (2002), Econometrica 70(1), equation 9 and section 5; McCracken and Ng's baing.m. Ahn and Horenstein
        (2013), Econometrica 81(3), section 2.
    """
    check_criterion(criterion)
    most = min(max_factors, len(eigenvalues) - 1)
    shares = eigenvalues / eigenvalues.sum()
    if criterion == "er":
        return _by_eigenvalue_ratio(shares, min(shape), most)
    n_dates, n_names = shape
    smaller, harmonic = min(n_dates, n_names), n_dates * n_names / (n_dates + n_names)
    growth = {
        "pcp1": np.log(harmonic) / harmonic,
        "pcp2": np.log(smaller) / harmonic,
        "pcp3": np.log(smaller) / smaller,
    }[criterion]
    left_over = 1.0 - np.concatenate([[0.0], np.cumsum(shares[:most])])
    return int(np.argmin(np.log(np.maximum(left_over, LEAST_SHARE)) + growth * np.arange(most + 1)))


def _by_eigenvalue_ratio(shares: Floats, smaller: int, most: int) -> int:
    # The logarithm of one is zero, that of two makes the mock exceed all variance.
    mock = 1.0 / np.log(max(smaller, 3))
    ladder = np.maximum(np.concatenate([[mock], shares[: most + 1]]), LEAST_SHARE)
    return int(np.argmax(ladder[:-1] / ladder[1:]))
