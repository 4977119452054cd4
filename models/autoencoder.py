"""Which rows does a network that has seen the others fail to rebuild?

Invariants: same seed, same rows and same machine kind give the same scores; a row's score depends on the fitted weights
and on that row alone. Keras is imported by fitting only; a fitted network is plain arrays and scores with numpy.
Partners: `models/detectors.py`, which makes it by name, and `models/mlp.py`, the home of Keras.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from models import base, detectors, mlp

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

# The shape, dropout and rate of PyOD's AutoEncoder, so that the two can be compared; what differs is said below.
HIDDEN = (64, 32)
DROPOUT = 0.2
LEARNING_RATE = 1e-3
# Ten passes leave the strange rows strange; longer training learns them by heart. A small table is passed over more
# often, as tens of steps teach nothing, and a large one goes in larger batches, as more steps than these change little.
PASSES = 10
FEWEST_STEPS, MOST_STEPS = 500, 4000
SMALLEST_BATCH = 32


class Autoencoder(detectors.Detector):
    """Squared distance of a row from what a narrowing network rebuilds of it, in variances of a column.

    Dense layers of 64, 32 and 64 units with batch normalisation, relu and dropout, trained by Adam. The seed is that of
    the starting weights, of the order of rows and of the dropout.

    Source:
        Aggarwal (2017), Outlier Analysis, section 3.6; the shape is that of PyOD 3.6.7's AutoEncoder.
    """

    LEAST_ROWS = 2

    def _fit(self, table: Floats) -> None:
        self.mean_, self.scale_ = table.mean(axis=0), table.std(axis=0)
        inputs = ((table - self.mean_) / self.scale_).astype(np.float32)
        batch = max(SMALLEST_BATCH, len(table) * PASSES // MOST_STEPS)
        passes = max(PASSES, -(-FEWEST_STEPS * batch // len(table)))
        with mlp.keras_session(self.seed) as keras:
            network = self.network(keras, inputs.shape[1])
            network.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse", jit_compile=False)
            network.fit(inputs, inputs, batch_size=batch, epochs=passes, verbose=0)
            self.layers_ = folded(network)
        log.debug("fitted autoencoder rows=%s columns=%s batch=%s", *table.shape, batch)

    def _score(self, table: Floats) -> Floats:
        standard = (table - self.mean_) / self.scale_
        layer = standard
        for number, (kernel, bias) in enumerate(self.layers_):
            # Batch normalisation stands before relu, so that it is part of the weights; the last layer has neither.
            layer = base.rowwise_product(layer if not number else np.maximum(layer, 0.0), kernel) + bias
        squares: Floats = ((standard - layer) ** 2).sum(axis=1)
        return squares

    def network(self, keras: Any, n_columns: int) -> Any:
        """The network before any training.

        Args:
            keras: the library, from `mlp.keras_session`.
            n_columns: columns of the rows.

        Returns:
            A Keras model that is not compiled.
        """
        layers = [keras.Input((n_columns,), name="row")]
        for number, units in enumerate((*HIDDEN, *HIDDEN[-2::-1])):
            seed = self.seed + number
            layers += [
                keras.layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed)),
                keras.layers.BatchNormalization(),
                keras.layers.Activation("relu"),
                keras.layers.Dropout(DROPOUT, seed=seed),
            ]
        last = keras.initializers.GlorotUniform(self.seed + 2 * len(HIDDEN))
        return keras.Sequential([*layers, keras.layers.Dense(n_columns, kernel_initializer=last)], name="autoencoder")


def folded(network: Any) -> list[tuple[Floats, Floats]]:
    """Kernel and bias of each dense layer, the normalisation behind it taken in.

    Args:
        network: made by `Autoencoder.network`.

    Returns:
        (n_in, n_out) and (n_out,) float64 a layer.
    """
    folded: list[tuple[Floats, Floats]] = []
    for layer in network.layers:
        weights = [np.asarray(part, np.float64) for part in layer.get_weights()]
        if len(weights) == 2:
            folded.append((weights[0], weights[1]))
        elif len(weights) == 4:
            gain, shift, mean, variance = weights
            factor = gain / np.sqrt(variance + layer.epsilon)
            kernel, bias = folded[-1]
            folded[-1] = (kernel * factor, (bias - mean) * factor + shift)
    return folded
