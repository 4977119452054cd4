"""What would somebody forecast who knows nothing?

Invariant: neither class reads a feature's value, so a model that does not beat them has learned nothing.
Partner: `models/evaluation.py`, which sets every model beside the naive forecast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models import base
from models.base import Floats


class Zero:
    """The forecast of no excess return: for log returns, the random walk."""

    def __init__(self) -> None:
        self.is_converged_ = False

    def fit(self, features: Floats, target: Floats, dates: npt.ArrayLike) -> Self:
        """This model; it remembers only how many columns it saw.

        Returns:
            self.

        Raises:
            ModelError: the rows are not fit to train on; the message names what to change.
        """
        self.n_features_ = base.checked_rows(features, target, dates).features.shape[1]
        self.is_converged_ = True
        return self

    def predict(self, features: Floats) -> Floats:
        """Zero for every row.

        Returns:
            (n_rows,) zeros.

        Raises:
            NotFitted: fit first.
            ModelError: the rows do not fit the model; the message names what to change.
        """
        return np.zeros(len(base.checked_features(features, _n_features(self))))

    def params(self) -> dict[str, Any]:
        """No settings.

        Returns:
            An empty dict.
        """
        return {}

    def save(self, folder: Path) -> None:
        """The fitted model as `arrays.parquet` in an existing folder.

        Raises:
            NotFitted: fit first.
        """
        base.write_arrays(folder / base.ARRAYS_FILE, {"n_features": np.array(_n_features(self), np.float64)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote.

        Returns:
            A fitted model.

        Raises:
            BrokenFiles: the file is absent or not readable; save the model again.
        """
        arrays = base.read_arrays(folder / base.ARRAYS_FILE, ("n_features",))
        model = cls()
        model.n_features_, model.is_converged_ = int(arrays["n_features"]), True
        return model


class HistoricalMean:
    """The forecast that the future is like the mean of the past.

    Attributes:
        mean_: mean of the training target, in its unit.
    """

    def __init__(self) -> None:
        self.is_converged_ = False

    def fit(self, features: Floats, target: Floats, dates: npt.ArrayLike) -> Self:
        """This model, with the mean of the target.

        Returns:
            self.

        Raises:
            ModelError: the rows are not fit to train on; the message names what to change.
        """
        rows = base.checked_rows(features, target, dates)
        self.n_features_, self.mean_ = rows.features.shape[1], float(rows.target.mean())
        self.is_converged_ = True
        return self

    def predict(self, features: Floats) -> Floats:
        """The training mean for every row.

        Returns:
            (n_rows,) in the unit of the target.

        Raises:
            NotFitted: fit first.
            ModelError: the rows do not fit the model; the message names what to change.
        """
        return np.full(len(base.checked_features(features, _n_features(self))), self.mean_)

    def params(self) -> dict[str, Any]:
        """No settings.

        Returns:
            An empty dict.
        """
        return {}

    def save(self, folder: Path) -> None:
        """The fitted model as `arrays.parquet` in an existing folder.

        Raises:
            NotFitted: fit first.
        """
        arrays = {"n_features": np.array(_n_features(self), np.float64), "mean": np.array(self.mean_)}
        base.write_arrays(folder / base.ARRAYS_FILE, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote.

        Returns:
            A fitted model.

        Raises:
            BrokenFiles: the file is absent or not readable; save the model again.
        """
        arrays = base.read_arrays(folder / base.ARRAYS_FILE, ("n_features", "mean"))
        model = cls()
        model.n_features_, model.mean_ = int(arrays["n_features"]), float(arrays["mean"])
        model.is_converged_ = True
        return model


def _n_features(model: Zero | HistoricalMean) -> int:
    if not hasattr(model, "n_features_"):
        raise base.NotFitted(f"{type(model).__name__} was not fitted. Call fit with training rows first.")
    n_features: int = model.n_features_
    return n_features
