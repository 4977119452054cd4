"""Which rows can a small network not reproduce through a narrow waist?

Trained on rows without labels it learns what most of them have in common; what it gets wrong is strange. Invariants:
same rows and seed give the same bytes on the same machine kind; a score depends on its own row alone. TensorFlow is
imported by fitting only; a fitted network is plain arrays. Partners: `models/detectors.py`, `models/mlp.py`.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from models import base, detectors, mlp

Floats = npt.NDArray[np.float64]

WIDE, NARROW = 64, 32
EPOCHS = 30
SMALLEST_BATCH, LARGEST_BATCH = 32, 1024
# Some two hundred steps a pass are enough, as with `models/mlp.py`.
STEPS_PER_EPOCH = 200
# A value further out is clipped in training, so that a few wild rows do not teach the network to follow them.
MOST_DEVIATIONS = 10.0


class Autoencoder:
    """A network columns - 64 - waist - 64 - columns with relu; the score is its mean squared error on the row.

    The waist is half the columns wide, at least 1 and at most 32.

    Args:
        seed: of the starting weights and of the order of rows.
        epochs: passes over the rows.

    Attributes:
        weights_: kernel and bias of each layer.
    """

    def __init__(self, *, seed: int = 0, epochs: int = EPOCHS) -> None:
        self.seed, self.epochs = seed, epochs

    def fit(self, rows: Floats) -> Self:
        """This detector, fitted.

        Args:
            rows: (n_rows, n_columns) finite float64, no column constant.

        Returns:
            self.

        Raises:
            ModelError: fewer than two rows, a value that is not finite, or training that diverged.
        """
        table = detectors.checked(rows, least_rows=2)
        self.mean_, self.scale_ = table.mean(axis=0), table.std(axis=0)
        inputs = np.clip((table - self.mean_) / self.scale_, -MOST_DEVIATIONS, MOST_DEVIATIONS).astype(np.float32)
        n_columns = table.shape[1]
        waist = int(np.clip(n_columns // 2, 1, NARROW))
        batch = int(np.clip(len(inputs) // STEPS_PER_EPOCH, SMALLEST_BATCH, LARGEST_BATCH))
        with mlp.keras_session(self.seed) as keras:
            layers = [keras.Input((n_columns,))]
            layers += [keras.layers.Dense(units, activation="relu") for units in (WIDE, waist, WIDE)]
            network = keras.Sequential([*layers, keras.layers.Dense(n_columns)])
            network.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", jit_compile=False)
            network.fit(inputs, inputs, batch_size=batch, epochs=self.epochs, verbose=0)
            self.weights_ = [np.asarray(weight, dtype=np.float64) for weight in network.get_weights()]
        if not all(np.isfinite(weight).all() for weight in self.weights_):
            raise base.ModelError(
                "the autoencoder diverged: its weights are not finite. Look for wild values in the rows."
            )
        return self

    def score(self, rows: Floats) -> Floats:
        """The error each row is reproduced with.

        Args:
            rows: (n_rows, n_columns) finite float64, the fitted columns.

        Returns:
            (n_rows,) mean squared error, in variances of a column.

        Raises:
            ModelError: not fitted, other columns, or a value that is not finite.
        """
        if not hasattr(self, "weights_"):
            raise base.NotFitted("the autoencoder has no weights: it was not fitted. Call fit first.")
        standard = (detectors.checked(rows, n_columns=len(self.mean_)) - self.mean_) / self.scale_
        layer = standard
        for kernel, bias in zip(self.weights_[:-2:2], self.weights_[1:-2:2], strict=True):
            layer = np.maximum(base.rowwise_product(layer, kernel) + bias, 0.0)
        output = base.rowwise_product(layer, self.weights_[-2]) + self.weights_[-1]
        error: Floats = ((standard - output) ** 2).mean(axis=1)
        return error
