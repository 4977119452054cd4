"""Which outcomes follow a sequence of months, when their order may matter in ways no regression on lags can say?

One recurrent layer of Hochreiter and Schmidhuber's cells reads the window, a dense layer makes all outcomes of it at
once. Invariants: the last part of training in time says when to stop; same seed, same rows and same machine kind give
the same weights; a forecast depends on its own window alone. TensorFlow is imported by fitting only: a fitted network
is plain arrays. Partners: `models/mlp.py`, the home of Keras, `models/macro_network.py`, which makes the windows.
"""

from __future__ import annotations

import logging
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models import base, mlp
from models.base import Floats

log = logging.getLogger(__name__)

BATCH = 32
# Improvements of the validation loss below this share of the outcomes' variance are noise.
MIN_IMPROVEMENT = 1e-4


class LSTM:
    """A layer of long short-term memory and a dense one, trained by Adam on squared error with early stopping.

    Args:
        units: of the recurrent layer.
        epochs: most passes over the training windows.
        patience: passes without improvement after which training stops and goes back to the best one.
        seed: of the starting weights and of the order of windows.
        l2: penalty on the squared weights of the recurrent layer.
        learning_rate: step of Adam.
        validation_share: last part of the windows, which decides when to stop and is not trained on.
        embargo: windows left out before that part; at least the longest horizon less one, or outcomes overlap.

    Attributes:
        weights_: kernel, recurrent kernel and bias of the cells, gates in the order input, forget, cell, output; kernel
            and bias of the dense layer; for standardised windows and outcomes.
        n_epochs_: passes made.
        validation_loss_: mean squared error of the best pass, in variances of the training outcomes.
        is_converged_: whether training stopped by itself and every weight is finite.

    Source:
        Hochreiter and Schmidhuber (1997), Long Short-Term Memory, Neural Computation 9(8), with the forget gate of
        Gers, Schmidhuber and Cummins (2000), Neural Computation 12(10).
    """

    SETTINGS = ("units", "epochs", "patience", "seed", "l2", "learning_rate", "validation_share", "embargo")

    def __init__(
        self,
        *,
        units: int = 16,
        epochs: int = 200,
        patience: int = 15,
        seed: int = 0,
        l2: float = 1e-3,
        learning_rate: float = 2e-3,
        validation_share: float = 0.2,
        embargo: int = 11,
    ) -> None:
        if min(units, epochs, patience) < 1 or embargo < 0 or not 0 < validation_share < 1:
            raise base.ModelError(
                f"LSTM got units={units}, epochs={epochs}, patience={patience}, embargo={embargo}, "
                f"validation_share={validation_share}. Pass positive counts, an embargo from 0, a share in (0, 1)."
            )
        self.units, self.epochs, self.patience, self.seed = int(units), int(epochs), int(patience), int(seed)
        self.l2, self.learning_rate = float(l2), float(learning_rate)
        self.validation_share, self.embargo = float(validation_share), int(embargo)

    def params(self) -> dict[str, Any]:
        """Settings, as JSON can hold them."""
        return {name: getattr(self, name) for name in self.SETTINGS}

    def fit(self, windows: Floats, outcomes: Floats) -> Self:
        """This network, fitted.

        Args:
            windows: (n, n_steps, n_inputs) float64, finite, in time; the newest step last.
            outcomes: (n, n_outcomes) float64, finite.

        Returns:
            self. `is_converged_` is False when training ran out of passes.

        Raises:
            ModelError: the windows are not fit to train on; the message names what to change.
        """
        windows, outcomes = _checked(windows, outcomes)
        n_training = self._n_training(len(windows))
        n_validation = len(windows) - n_training - self.embargo
        self._scale(windows[:n_training], outcomes[:n_training])
        inputs = ((windows - self.mean_) / self.scale_).astype(np.float32)
        wanted = ((outcomes - self.outcome_mean_) / self.outcome_scale_).astype(np.float32)
        with mlp.keras_session(self.seed) as keras:
            network = self._network(keras, inputs.shape[1:], wanted.shape[1])
            network.compile(
                optimizer=keras.optimizers.Adam(self.learning_rate), loss="mse", metrics=["mse"], jit_compile=False
            )
            # Not val_loss, which holds the penalty too: that shrinks on its own and would keep training alive.
            stop = keras.callbacks.EarlyStopping(
                "val_mse", mode="min", min_delta=MIN_IMPROVEMENT, patience=self.patience, restore_best_weights=True
            )
            history = network.fit(
                inputs[:n_training],
                wanted[:n_training],
                validation_data=(inputs[-n_validation:], wanted[-n_validation:]),
                batch_size=BATCH,
                validation_batch_size=len(inputs),
                epochs=self.epochs,
                callbacks=[stop],
                verbose=0,
            )
            self.weights_ = [np.asarray(weight, dtype=np.float64) for weight in network.get_weights()]
        self.n_epochs_, self.validation_loss_ = len(history.epoch), float(min(history.history["val_mse"]))
        is_finite = np.isfinite(self.validation_loss_) and all(np.isfinite(weight).all() for weight in self.weights_)
        self.is_converged_ = bool(is_finite and stop.stopped_epoch > 0)
        if not self.is_converged_:
            log.warning("network did not converge: n_epochs=%s val_mse=%s", self.n_epochs_, self.validation_loss_)
        return self

    def predict(self, windows: Floats) -> Floats:
        """Forecasts of all outcomes.

        Args:
            windows: (n, n_steps, n_inputs) as fitted; a window with a missing value has no forecast.

        Returns:
            (n, n_outcomes) in the outcomes' units, NaN for such a window; each depends on its own window alone.

        Raises:
            NotFitted: fit first.
            ModelError: other inputs than fitted.
        """
        if not hasattr(self, "weights_"):
            raise base.NotFitted("LSTM is not fitted. Call `fit` first.")
        if windows.ndim != 3 or windows.shape[2] != len(self.mean_):
            raise base.ModelError(
                f"LSTM was fitted on {len(self.mean_)} inputs a month and got an array of shape {windows.shape}. "
                "Pass (windows, months, inputs)."
            )
        kernel, recurrent, bias, head, head_bias = self.weights_
        standard = (windows - self.mean_) / self.scale_
        state = memory = np.zeros((len(windows), self.units))
        for step in range(windows.shape[1]):
            gates = base.rowwise_product(standard[:, step], kernel) + base.rowwise_product(state, recurrent) + bias
            enter, keep, cell, leave = np.split(gates, 4, axis=1)
            memory = _sigmoid(keep) * memory + _sigmoid(enter) * np.tanh(cell)
            state = _sigmoid(leave) * np.tanh(memory)
        told: Floats = (base.rowwise_product(state, head) + head_bias) * self.outcome_scale_ + self.outcome_mean_
        return told

    def _n_training(self, n: int) -> int:
        n_validation = max(1, round(self.validation_share * n))
        n_training = n - n_validation - self.embargo
        if n_training < n_validation:
            raise base.TooFewRows(
                f"LSTM got {n} windows: {n_validation} decide when to stop and {self.embargo} are left out before them,"
                f" so {max(n_training, 0)} remain to train on. Pass a longer history."
            )
        return n_training

    def _scale(self, windows: Floats, outcomes: Floats) -> None:
        flat = windows.reshape(-1, windows.shape[2])
        scale, outcome_scale = flat.std(axis=0), outcomes.std(axis=0)
        self.mean_, self.scale_ = flat.mean(axis=0), np.where(scale > 0, scale, 1.0)
        self.outcome_mean_ = outcomes.mean(axis=0)
        self.outcome_scale_ = np.where(outcome_scale > 0, outcome_scale, 1.0)

    def _network(self, keras: Any, shape: tuple[int, ...], n_outcomes: int) -> Any:
        def starting(number: int) -> Any:
            return keras.initializers.GlorotUniform(self.seed + number)

        cells = keras.layers.LSTM(
            self.units,
            kernel_initializer=starting(0),
            recurrent_initializer=keras.initializers.Orthogonal(seed=self.seed + 1),
            kernel_regularizer=keras.regularizers.L2(self.l2),
            recurrent_regularizer=keras.regularizers.L2(self.l2),
            name="cells",
        )
        head = keras.layers.Dense(n_outcomes, kernel_initializer=starting(2), name="forecasts")
        return keras.Sequential([keras.Input(shape, name="months"), cells, head], name="lstm")


def _sigmoid(values: Floats) -> Floats:
    # Never overflows, unlike 1 / (1 + exp(-x)).
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), dtype=np.float64)


def _checked(windows: Floats, outcomes: Floats) -> tuple[Floats, Floats]:
    windows, outcomes = np.asarray(windows, np.float64), np.asarray(outcomes, np.float64)
    if windows.ndim != 3 or outcomes.ndim != 2 or len(windows) != len(outcomes):
        raise base.ModelError(
            f"LSTM got windows of shape {windows.shape} and outcomes of shape {outcomes.shape}. Pass (n, months,"
            " inputs) and (n, outcomes)."
        )
    for name, array in (("windows", windows), ("outcomes", outcomes)):
        n_bad = int((~np.isfinite(array)).sum())
        if n_bad:
            raise base.ModelError(f"{n_bad} values of the {name} are missing or infinite. Leave those windows out.")
    return windows, outcomes


def windows_of(table: Floats, n_steps: int) -> Floats:
    """(n_rows, n_steps, n_columns) the window that ends in each row, NaN before the first whole one.

    Args:
        table: (n_rows, n_columns) by month.
        n_steps: months of a window.
    """
    found = np.full((len(table), n_steps, table.shape[1]), np.nan)
    if len(table) >= n_steps:
        views: npt.NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(table, n_steps, axis=0)
        found[n_steps - 1 :] = views.transpose(0, 2, 1)
    return found
