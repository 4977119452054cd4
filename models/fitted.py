"""What do all forecasting models do alike, once their fit is a handful of arrays?

Invariant: whoever predicts was fitted or loaded, on rows that were looked at; what a class names in `FITTED` is all
that its forecasts depend on. Partner: `models/base.py`, which says what a forecasting model promises.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models import base
from models.base import Floats


class ArrayModel(abc.ABC):
    """A forecasting model whose settings are numbers and whose fit is arrays; a subclass adds the mathematics.

    `SETTINGS` names the keyword arguments, kept under the same names; `FITTED` names the attributes that `fit` sets,
    with the type of their elements.
    """

    SETTINGS: ClassVar[tuple[str, ...]]
    FITTED: ClassVar[dict[str, type]]

    is_converged_: bool = False

    @abc.abstractmethod
    def fit(self, features: Floats, target: Floats, dates: npt.ArrayLike) -> Self:
        """This model, with everything that `FITTED` names."""

    @property
    @abc.abstractmethod
    def _n_features(self) -> int:
        """Columns the model was fitted on."""

    @abc.abstractmethod
    def _forecast(self, table: Floats) -> Floats:
        """What `predict` returns for rows that were looked at."""

    def predict(self, features: Floats) -> Floats:
        """Forecasts for new rows.

        Args:
            features: (n_rows, n_features) float64, finite, the fitted columns in the fitted order.

        Returns:
            (n_rows,) in the unit of the target; each depends on its own row alone.

        Raises:
            NotFitted: fit first.
            ModelError: the rows do not fit the model; the message names what to change.
        """
        self._require_fitted()
        return self._forecast(base.checked_features(features, self._n_features))

    def params(self) -> dict[str, Any]:
        """Settings, as JSON can hold them.

        Returns:
            The keyword arguments.
        """
        return {name: getattr(self, name) for name in self.SETTINGS}

    def state(self) -> dict[str, Floats]:
        """Everything about the fit, as plain arrays.

        Returns:
            Name to array.

        Raises:
            NotFitted: fit first.
        """
        self._require_fitted()
        fitted = {name: np.array(getattr(self, name), np.float64) for name in self.FITTED}
        return {"settings": np.array([float(value) for value in self.params().values()]), **fitted}

    @classmethod
    def from_state(cls, state: Mapping[str, Floats]) -> Self:
        """The model that `state` was taken from.

        Returns:
            A fitted model that predicts the same.

        Raises:
            BrokenFiles: an array is absent; save the model again.
        """
        base.require(state, ("settings", *cls.FITTED))
        # The constructor makes whole numbers of those that are.
        model = cls(**dict(zip(cls.SETTINGS, state["settings"].tolist(), strict=True)))
        model.is_converged_ = True
        model._restore(state)
        return model

    def _restore(self, state: Mapping[str, Floats]) -> None:
        for name, kind in self.FITTED.items():
            array: npt.NDArray[Any] = np.array(state[name]).astype(kind)
            setattr(self, name, array if array.ndim else array.item())

    def save(self, folder: Path) -> None:
        """The fitted model as `arrays.parquet` in an existing folder; equal models give equal bytes.

        Raises:
            NotFitted: fit first.
        """
        base.write_arrays(folder / base.ARRAYS_FILE, self.state())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote.

        Returns:
            A fitted model.

        Raises:
            BrokenFiles: a file is absent or not readable; save the model again.
        """
        return cls.from_state(base.read_arrays(folder / base.ARRAYS_FILE))

    def _require_fitted(self) -> None:
        if not all(hasattr(self, name) for name in self.FITTED):
            raise base.NotFitted(f"{type(self).__name__} was not fitted. Call fit with training rows first.")


class LinearModel(ArrayModel):
    """A model that forecasts a linear combination of standardised features.

    Attributes:
        mean_, scale_: (n_features,) of the training rows.
        estimates_: (1 + n_features,) intercept first, per standard deviation of each feature.
    """

    mean_: Floats
    scale_: Floats
    estimates_: Floats

    @property
    def _n_features(self) -> int:
        return len(self.mean_)

    def _forecast(self, table: Floats) -> Floats:
        standardised = (table - self.mean_) / self.scale_
        predicted: Floats = self.estimates_[0] + base.rowwise_product(standardised, self.estimates_[1:, None])[:, 0]
        return predicted
