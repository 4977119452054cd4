"""Which rows do networks that have seen the others fail to rebuild?

Invariants: same seed, same rows and same machine kind give the same scores; a row's score depends on the fitted weights
and on that row alone. Keras is imported by fitting only; a fitted network is plain arrays and scores with numpy.
Partners: `models/detectors.py`, which makes it by name, and `models/mlp.py`, the home of Keras.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from models import anomaly, base, detectors, mlp

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
# One network's errors are half chance: on the labelled tables three seeds apart made a mean ROC-AUC of 0.839 of 0.824,
# and the worst of six seeds' 0.795 became 0.823. Layers take the seeds that follow the network's.
NETWORKS, SEEDS_APART = 3, 1000


class Autoencoder(detectors.Detector):
    """Squared distance of a row from what narrowing networks rebuild of it, in variances of each column's usual error.

    Networks that differ by their seeds, and the mean of their distances. Dense layers of 64, 32 and 64 units
    with batch normalisation, relu and dropout, trained by Adam. A seed is that of the starting weights, of the order of
    rows and of the dropout. An error counts by how small it usually is in its column: what is always rebuilt well says
    more by a miss than what never is.

    Args:
        seed: of the first network.
        n_networks: how many.
        fewest_steps: of the training of one; fewer leave it unfit for use.

    Source:
        Aggarwal (2017), Outlier Analysis, section 3.6; the shape is that of PyOD 3.6.7's AutoEncoder. Chen, Sathe,
        Aggarwal and Turaga (2017), Outlier Detection with Autoencoder Ensembles, SDM, for several networks.
    """

    LEAST_ROWS = 2

    def __init__(self, *, seed: int = 0, n_networks: int = NETWORKS, fewest_steps: int = FEWEST_STEPS) -> None:
        super().__init__(seed=seed)
        self.n_networks, self.fewest_steps = n_networks, fewest_steps

    def _fit(self, table: Floats) -> None:
        self.mean_, self.scale_ = table.mean(axis=0), table.std(axis=0)
        standard = (table - self.mean_) / self.scale_
        self.networks_: list[list[tuple[Floats, Floats]]] = []
        self.usual_errors_: list[Floats] = []
        for number in range(self.n_networks):
            layers = self._fit_network(standard.astype(np.float32), self.seed + SEEDS_APART * number)
            size = np.abs(_errors(standard, layers))
            self.networks_.append(layers)
            self.usual_errors_.append(anomaly.robust_scale(np.median(size, axis=0), size.mean(axis=0)))
        log.debug("fitted autoencoder rows=%s columns=%s networks=%s", *table.shape, self.n_networks)

    def _fit_network(self, inputs: npt.NDArray[np.float32], seed: int) -> list[tuple[Floats, Floats]]:
        batch = max(SMALLEST_BATCH, len(inputs) * PASSES // MOST_STEPS)
        passes = max(PASSES, -(-self.fewest_steps * batch // len(inputs)))
        with mlp.keras_session(seed) as keras:
            network = build(keras, inputs.shape[1], seed)
            network.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse", jit_compile=False)
            network.fit(inputs, inputs, batch_size=batch, epochs=passes, verbose=0)
            return folded(network)

    def _score(self, table: Floats) -> Floats:
        standard = (table - self.mean_) / self.scale_
        total = np.zeros(len(table))
        for layers, usual in zip(self.networks_, self.usual_errors_, strict=True):
            total += ((_errors(standard, layers) / usual) ** 2).sum(axis=1)
        return total / len(self.networks_)


def _errors(standard: Floats, layers: list[tuple[Floats, Floats]]) -> Floats:
    """(n_rows, n_columns) standardised rows less what a network rebuilds of them."""
    layer = standard
    for number, (kernel, bias) in enumerate(layers):
        # Batch normalisation stands before relu, so that it is part of the weights; the last layer has neither.
        layer = base.rowwise_product(layer if not number else np.maximum(layer, 0.0), kernel) + bias
    return standard - layer


def build(keras: Any, n_columns: int, seed: int) -> Any:
    """A network before any training.

    Args:
        keras: the library, from `mlp.keras_session`.
        n_columns: columns of the rows.
        seed: of the starting weights and of the dropout.

    Returns:
        A Keras model that is not compiled.
    """
    layers = [keras.Input((n_columns,), name="row")]
    for number, units in enumerate((*HIDDEN, *HIDDEN[-2::-1])):
        layers += [
            keras.layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed + number)),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.Dropout(DROPOUT, seed=seed + number),
        ]
    last = keras.initializers.GlorotUniform(seed + 2 * len(HIDDEN))
    return keras.Sequential([*layers, keras.layers.Dense(n_columns, kernel_initializer=last)], name="autoencoder")


def folded(network: Any) -> list[tuple[Floats, Floats]]:
    """Kernel and bias of each dense layer, the normalisation behind it taken in.

    Args:
        network: made by `build`.

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
