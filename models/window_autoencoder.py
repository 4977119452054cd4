"""In which months does a panel of series move as no two years of it did?

A convolutional network learns to rebuild two years of all series at once; the months that it rebuilds worst are the
strange ones, and the series with the largest errors drive them. Invariants: same seed, same values and same machine
kind give the same scores; a score as newest depends on the fitted state and on that period and those before it alone.
Partners: `models/series_detectors.py`, which makes it by name, and `models/mlp.py`, the home of Keras.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models import anomaly, mlp, series_detectors

Floats = npt.NDArray[np.float64]

# Two years, halved twice by the network.
WINDOW = 24
FILTERS, KERNEL = (32, 8), 3
LEARNING_RATE = 2e-3
BATCH, PASSES = 32, 60
# One month of one crisis must not be all that the network learns.
MOST_DEVIATIONS = 5.0


class WindowAutoencoder(series_detectors.SeriesDetector):
    """Mean squared distance of a period's values from what a convolutional network rebuilds, in usual errors.

    Two convolutions that halve the time each and two that double it, 32 and 8 filters of three periods, trained by Adam
    on every two years of the standardised panel. Known whole, a period counts in each of the two years that hold it;
    as newest, the two years that it ends count.

    Args:
        seed: of the starting weights and of the order of windows.
        passes: over the windows.

    Source:
        Masci, Meier, Ciresan and Schmidhuber (2011), Stacked Convolutional Auto-Encoders, ICANN.
    """

    MOST_SERIES = None

    def __init__(self, *, seed: int = 0, passes: int = PASSES) -> None:
        super().__init__(seed=seed)
        self.passes = passes

    def _fit(self, table: Floats) -> None:
        self.mean_, self.scale_ = table.mean(axis=0), table.std(axis=0)
        windows = self._windows(table)
        with mlp.keras_session(self.seed) as keras:
            network = self._network(keras)
            network.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse", jit_compile=False)
            network.fit(windows, windows, batch_size=BATCH, epochs=self.passes, verbose=0)
            self.weights_ = network.get_weights()
            size = np.abs(windows - network.predict(windows, batch_size=BATCH, verbose=0))
        self.usual_ = anomaly.robust_scale(np.median(size, axis=(0, 1)), size.mean(axis=(0, 1)))

    def drivers(self, values: Floats) -> Floats:
        """How badly each value is rebuilt, which says what drives a period's score.

        Args:
            values: (n_periods, n_series) as for `score`.

        Returns:
            (n_periods, n_series) mean squared error over the windows that hold the value, in usual errors.

        Raises:
            ModelError: other series than fitted, too few periods, or a value that is not finite.
        """
        errors = self._errors(self._checked(values, least=self.LEAST_PERIODS))
        total = np.zeros((len(errors) + WINDOW - 1, errors.shape[2]))
        count = np.zeros(len(total))
        for lag in range(WINDOW):
            total[lag : lag + len(errors)] += errors[:, lag]
            count[lag : lag + len(errors)] += 1
        mean: Floats = total / count[:, None]
        return mean

    def _score(self, table: Floats) -> Floats:
        mean: Floats = self.drivers(table).mean(axis=1)
        return mean

    def _score_as_newest(self, table: Floats) -> Floats:
        return np.concatenate([np.full(WINDOW - 1, np.nan), self._errors(table).mean(axis=(1, 2))])

    def _windows(self, table: Floats) -> npt.NDArray[np.float32]:
        standard = np.clip((table - self.mean_) / self.scale_, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        flat = series_detectors.windows_of(standard, WINDOW)
        return flat.reshape(len(flat), WINDOW, -1).astype(np.float32)

    def _errors(self, table: Floats) -> Floats:
        """(n_windows, WINDOW, n_series) squared errors in usual ones."""
        windows = self._windows(table)
        with mlp.keras_session(self.seed) as keras:
            network = self._network(keras)
            network.set_weights(self.weights_)
            rebuilt = network.predict(windows, batch_size=BATCH, verbose=0)
        squares: Floats = ((windows.astype(np.float64) - rebuilt) / self.usual_) ** 2
        return squares

    def _network(self, keras: Any) -> Any:
        n_series = len(self.mean_)
        layers = [keras.Input((WINDOW, n_series), name="window")]
        kinds = [(keras.layers.Conv1D, units) for units in FILTERS]
        kinds += [(keras.layers.Conv1DTranspose, units) for units in (FILTERS[0], n_series)]
        for number, (kind, units) in enumerate(kinds):
            layers.append(
                kind(
                    units,
                    KERNEL,
                    strides=2,
                    padding="same",
                    activation="relu" if number < len(kinds) - 1 else None,
                    kernel_initializer=keras.initializers.GlorotUniform(self.seed + number),
                )
            )
        return keras.Sequential(layers, name="window_autoencoder")
