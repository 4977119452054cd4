"""Which non-linear combination of features forecasts the target?

Invariants: the last part of training in time says when to stop, never a random part; same seed, same rows and same
machine kind give the same bytes, whatever the number of cores; a forecast depends on its own row alone.
TensorFlow is imported by fitting, saving and loading only; a fitted model is plain arrays and forecasts with numpy.
Partner: `models/regression.py`, the linear model beside it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import logging
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models import base
from models.base import Floats, TrainingRows
from models.fitted import ArrayModel

log = logging.getLogger(__name__)

NETWORK_FILE = "mlp.keras"

# The earliest date a zip archive can hold: files that differ by the time of saving only must be equal.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

# Some fifty steps an epoch are enough for Adam, and larger batches are faster: 300,000 rows of 8 features took 12 s on
# one busy core, 96,000 rows 8 s (measured 2026-11-21, 46 and 48 epochs).
STEPS_PER_EPOCH = 50
SMALLEST_BATCH, LARGEST_BATCH = 64, 4096

# Improvements of the validation loss below this share of the target's variance are noise.
MIN_IMPROVEMENT = 1e-4

STDERR = 2
LOADER_NOISE = (b"before absl::InitializeLog() is called", b"cudart_stub.cc")


class MLP(ArrayModel):
    """A small network of dense layers with relu, trained by Adam on squared error with early stopping.

    Args:
        hidden: units of each hidden layer.
        epochs: most passes over the training rows.
        patience: passes without improvement after which training stops and goes back to the best one.
        seed: of the starting weights and of the order of rows.
        l2: penalty on the squared weights of the hidden layers.
        learning_rate: step of Adam.
        validation_share: last part of the dates, which decides when to stop and is not trained on.
        embargo: dates left out before that part; at least the target's horizon, or targets overlap.

    Attributes:
        weights_: kernel and bias of each layer, (n_in, n_out) and (n_out,), for standardised rows.
        n_epochs_: passes made.
        training_losses_, validation_losses_: (n_epochs_,) mean squared error of each pass, in variances of the training
            target; empty in a model that was saved before they were kept.
        validation_loss_: mean squared error of the best pass, in variances of the training target.
        is_converged_: True when training stopped by itself before `epochs` ran out and every weight is finite.
    """

    SETTINGS = ("hidden", "epochs", "patience", "seed", "l2", "learning_rate", "validation_share", "embargo")
    FITTED: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("mean_", "scale_", "target_mean_", "target_scale_", "validation_loss_"), np.float64),
        "n_epochs_": np.int64,
        "is_converged_": bool,
    }
    # Apart from what forecasts depend on, and absent from files of before they were kept.
    CURVE = ("training_losses_", "validation_losses_")

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (64, 64),
        epochs: int = 100,
        patience: int = 5,
        seed: int = 0,
        l2: float = 1e-4,
        learning_rate: float = 1e-3,
        validation_share: float = 0.2,
        embargo: int = 5,
    ) -> None:
        if not hidden or min(hidden) < 1 or epochs < 1 or patience < 1 or embargo < 0 or not 0 < validation_share < 1:
            raise base.ModelError(
                f"MLP got hidden={hidden}, epochs={epochs}, patience={patience}, embargo={embargo}, "
                f"validation_share={validation_share}. Pass positive counts, an embargo from 0, a share in (0, 1)."
            )
        self.hidden = tuple(int(units) for units in hidden)
        self.epochs, self.patience, self.seed = int(epochs), int(patience), int(seed)
        self.l2, self.learning_rate = float(l2), float(learning_rate)
        self.validation_share, self.embargo = float(validation_share), int(embargo)

    def fit(self, features: Floats, target: Floats, dates: npt.ArrayLike) -> Self:
        """This model, fitted.

        Args:
            features: (n_rows, n_features) float64, finite.
            target: (n_rows,) float64, finite.
            dates: (n_rows,) the date of each row, in any order; the last ones decide when to stop.

        Returns:
            self. `is_converged_` is False when training ran out of passes; such a fit should not be promoted.

        Raises:
            ModelError: the rows are not fit to train on; the message names what to change.
        """
        rows = base.checked_rows(features, target, dates)
        is_training, is_validation = self._split(rows)
        self._scale(rows.features[is_training], rows.target[is_training])
        inputs = ((rows.features - self.mean_) / self.scale_).astype(np.float32)
        outputs = ((rows.target - self.target_mean_) / self.target_scale_).astype(np.float32)
        with keras_session(self.seed) as keras:
            network = self._network(keras, inputs.shape[1])
            network.compile(
                optimizer=keras.optimizers.Adam(self.learning_rate), loss="mse", metrics=["mse"], jit_compile=False
            )
            # Not val_loss, which holds the penalty too: that shrinks on its own and would keep training alive.
            stop = keras.callbacks.EarlyStopping(
                "val_mse", mode="min", min_delta=MIN_IMPROVEMENT, patience=self.patience, restore_best_weights=True
            )
            history = network.fit(
                inputs[is_training],
                outputs[is_training],
                validation_data=(inputs[is_validation], outputs[is_validation]),
                batch_size=int(np.clip(is_training.sum() // STEPS_PER_EPOCH, SMALLEST_BATCH, LARGEST_BATCH)),
                validation_batch_size=LARGEST_BATCH,
                epochs=self.epochs,
                callbacks=[stop],
                verbose=0,
            )
            self.weights_ = [np.asarray(weight, dtype=np.float64) for weight in network.get_weights()]
        self.n_epochs_, self.validation_loss_ = len(history.epoch), float(min(history.history["val_mse"]))
        self.training_losses_, self.validation_losses_ = (
            np.array(history.history[name], np.float64) for name in ("mse", "val_mse")
        )
        is_finite = np.isfinite(self.validation_loss_) and all(np.isfinite(weight).all() for weight in self.weights_)
        self.is_converged_ = bool(is_finite and stop.stopped_epoch > 0)
        if not self.is_converged_:
            log.warning("network did not converge: n_epochs=%s val_mse=%s", self.n_epochs_, self.validation_loss_)
        return self

    def learning_curve(self) -> dict[str, npt.NDArray[Any]]:
        """How the loss fell from pass to pass.

        Returns:
            `epoch` from 1, `training_loss` and `validation_loss`, each (n_epochs_,).

        Raises:
            NotFitted: fit first.
        """
        self._require_fitted()
        return {
            "epoch": np.arange(1, len(self.training_losses_) + 1, dtype=np.int32),
            "training_loss": self.training_losses_,
            "validation_loss": self.validation_losses_,
        }

    @property
    def _n_features(self) -> int:
        return len(self.mean_)

    def _forecast(self, table: Floats) -> Floats:
        layer = (table - self.mean_) / self.scale_
        for kernel, bias in zip(self.weights_[:-2:2], self.weights_[1:-2:2], strict=True):
            layer = np.maximum(base.rowwise_product(layer, kernel) + bias, 0.0)
        output = base.rowwise_product(layer, self.weights_[-2])[:, 0] + self.weights_[-1][0]
        predicted: Floats = output * self.target_scale_ + self.target_mean_
        return predicted

    def params(self) -> dict[str, Any]:
        """Settings, seed included, as JSON can hold them.

        Returns:
            The keyword arguments.
        """
        return {**super().params(), "hidden": list(self.hidden)}

    def state(self) -> dict[str, Floats]:
        """Everything about the fit, as plain arrays.

        Returns:
            Name to array: settings, scaling, how the fit ended, and `weight_0`, `weight_1` and so on.

        Raises:
            NotFitted: fit first.
        """
        self._require_fitted()
        parts = {**self.params(), **{name: getattr(self, name) for name in (*self.FITTED, *self.CURVE)}}
        parts |= {f"weight_{number}": weight for number, weight in enumerate(self.weights_)}
        return {name: np.array(part, np.float64) for name, part in parts.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Floats]) -> Self:
        """The model that `state` was taken from.

        Returns:
            A fitted model that predicts the same.

        Raises:
            BrokenFiles: an array is absent; save the model again.
        """
        base.require(state, (*cls.SETTINGS, *cls.FITTED))
        hidden = tuple(int(units) for units in state["hidden"])
        weight_names = tuple(f"weight_{number}" for number in range(2 * len(hidden) + 2))
        base.require(state, weight_names)
        # The constructor makes whole numbers of those that are.
        settings: dict[str, Any] = {name: state[name] for name in cls.SETTINGS if name != "hidden"}
        model = cls(hidden=hidden, **settings)
        model._restore(state)
        model.weights_ = [np.array(state[name], np.float64) for name in weight_names]
        for name in cls.CURVE:
            setattr(model, name, np.array(state.get(name, ()), np.float64))
        return model

    def save(self, folder: Path) -> None:
        """The fitted model as `arrays.parquet` and `mlp.keras` in an existing folder; equal models give equal bytes.

        Raises:
            NotFitted: fit first.
        """
        state = {name: array for name, array in self.state().items() if not name.startswith("weight_")}
        base.write_arrays(folder / base.ARRAYS_FILE, state)
        with keras_session(self.seed) as keras:
            network = self._network(keras, len(self.mean_))
            network.set_weights(self.weights_)
            network.save(folder / NETWORK_FILE)
        _strip_circumstances(folder / NETWORK_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote. Keras reads it in safe mode, so no code inside the file runs.

        Returns:
            A fitted model.

        Raises:
            BrokenFiles: a file is absent, not readable or not such a network; save the model again.
        """
        state = base.read_arrays(folder / base.ARRAYS_FILE)
        path = folder / NETWORK_FILE
        try:
            with keras_session(0) as keras:
                weights = keras.saving.load_model(path, compile=False, safe_mode=True).get_weights()
        # Keras raises these for a file that is no archive, lacks a part, or holds code.
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as exc:
            raise base.BrokenFiles(f"the network cannot be read from {path}: {exc}. Fit and save it again.") from exc
        named = {f"weight_{number}": np.asarray(weight, np.float64) for number, weight in enumerate(weights)}
        return cls.from_state({**state, **named})

    def _split(self, rows: TrainingRows) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        sessions = np.unique(rows.dates)
        n_validation = max(1, round(self.validation_share * len(sessions)))
        n_training = len(sessions) - n_validation - self.embargo
        if n_training < n_validation:
            raise base.TooFewRows(
                f"MLP got {len(sessions)} dates: {n_validation} decide when to stop and {self.embargo} are left out "
                f"before them, so {max(n_training, 0)} remain to train on. Widen the training window."
            )
        return rows.dates < sessions[n_training], rows.dates >= sessions[len(sessions) - n_validation]

    def _scale(self, features: Floats, target: Floats) -> None:
        scale, target_scale = features.std(axis=0), float(target.std())
        self.mean_, self.scale_ = features.mean(axis=0), np.where(scale > 0, scale, 1.0)
        self.target_mean_, self.target_scale_ = float(target.mean()), target_scale if target_scale > 0 else 1.0

    def _network(self, keras: Any, n_features: int) -> Any:
        layers = [keras.Input((n_features,), name="features")]
        for number, units in enumerate(self.hidden):
            layers.append(
                keras.layers.Dense(
                    units,
                    activation="relu",
                    kernel_initializer=keras.initializers.GlorotUniform(self.seed + number),
                    kernel_regularizer=keras.regularizers.L2(self.l2),
                    name=f"hidden_{number + 1}",
                )
            )
        last = keras.initializers.GlorotUniform(self.seed + len(self.hidden))
        return keras.Sequential([*layers, keras.layers.Dense(1, kernel_initializer=last, name="forecast")], name="mlp")


@contextlib.contextmanager
def keras_session(seed: int) -> Iterator[Any]:
    """Keras with a fresh state, which is cleared afterwards: graphs of earlier fits would pile up."""
    keras, tensorflow = _import_keras()
    with warnings.catch_warnings():
        # Keras 3.15 copies TensorFlow 2.21 arrays in a way that numpy 2 deprecates; the values are right.
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")
        keras.utils.clear_session(free_memory=False)
        # The order of rows comes from here; numpy's and Python's global generators stay untouched.
        tensorflow.random.set_seed(seed)
        try:
            yield keras
        finally:
            keras.utils.clear_session()


@contextlib.contextmanager
def _without_loader_noise() -> Iterator[None]:
    """TensorFlow reports on graphics cards on descriptor 2 before any setting can stop it; the rest is passed on."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    with tempfile.TemporaryFile() as spool:
        os.dup2(spool.fileno(), STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, STDERR)
            os.close(kept)
            spool.seek(0)
            others = [line for line in spool if not any(words in line for words in LOADER_NOISE)]
            os.write(STDERR, b"".join(others))


@functools.cache
def _import_keras() -> tuple[Any, Any]:
    # Read while the libraries load: quiet below errors; no kernels that round differently from machine to machine.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _without_loader_noise():
        tensorflow, keras = importlib.import_module("tensorflow"), importlib.import_module("keras")
        tensorflow.config.set_visible_devices([], "GPU")
    # One thread: sums split over cores round differently with each number of cores.
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.experimental.enable_op_determinism()
    return keras, tensorflow


def _strip_circumstances(path: Path) -> None:
    """Rewrite a `.keras` archive without the instant of saving and without memory addresses."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    metadata["date_saved"] = ""
    members["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    members["config.json"] = json.dumps(_numbered(json.loads(members["config.json"]), {})).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    path.write_bytes(buffer.getvalue())


def _numbered(node: Any, seen: dict[int, int]) -> Any:
    """The same configuration with shared objects numbered in order of appearance instead of by address."""
    if isinstance(node, dict):
        return {
            key: seen.setdefault(value, len(seen) + 1) if key == "shared_object_id" else _numbered(value, seen)
            for key, value in node.items()
        }
    return [_numbered(one, seen) for one in node] if isinstance(node, list) else node
