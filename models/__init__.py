"""What do the numbers say? Models: arrays in, arrays out.

Nothing here knows of the lake, a clock or a vendor.

Open first: `base.py`, what every forecasting model promises, then `regression.py`, the shortest real one.

Forecasts: `baseline.py` (the naive forecast every model must beat), `regression.py`, `mlp.py` (the only home of Keras).
Before a fit: `cross_section.py` puts the securities of a day on one scale, `transforms.py` makes a series stationary.
After it: `evaluation.py` (walk-forward, metrics, intervals), `nested.py` (Clark and West's test),
`registry.py` (a fitted model as files, and back).
Without a target: `pca.py` (factors; `selection.py` says how many), `macro_factors.py` (from macro levels to factors),
`cluster.py` (groups), `anomaly.py` (outlier scores), `detectors.py` (which rows of any table are strange, with
`autoencoder.py`, `encoding.py` and `labelled.py`). With factors: `diffusion.py` (a series ahead, against its own AR),
`stability.py` (is it the same factor, and why did it move?), `news.py` (why did a forecast move?).

To add a forecasting model: write `models/<name>.py` with a class that keeps the promise of `base.Forecaster`, and add
one line to `MODELS`. The tests in `tests/test_models_contract.py`, the refit and the report then pick it up by name.
Nothing is imported until a model is asked for: importing TensorFlow takes seconds.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.base import Forecaster

# Name of a forecasting model: where its class is.
MODELS: dict[str, str] = {
    "zero": "models.baseline:Zero",
    "ridge": "models.regression:Ridge",
    "mlp": "models.mlp:MLP",
}

# What else may be kept in the registry.
OTHER_CLASSES = ("models.baseline:HistoricalMean", "models.pca:FactorPCA")


def make(name: str, *, seed: int = 0, horizon: int = 1, **settings: Any) -> Forecaster:
    """An unfitted forecasting model.

    Args:
        name: a key of `MODELS`.
        seed: for the models that draw random numbers; the others do without.
        horizon: sessions the target looks ahead, for the models to whose errors it matters.
        settings: keyword arguments of the model's class.

    Returns:
        A new model; nothing is shared with models made before.

    Raises:
        ValueError: no such model; choose one of those named.
    """
    if name not in MODELS:
        raise ValueError(f"there is no model {name!r} in models/__init__.py. Choose one of {sorted(MODELS)}.")
    model_class = find_class(MODELS[name])
    offered = {"seed": seed, "horizon": horizon}
    settings |= {name: offered[name] for name in offered if name in inspect.signature(model_class).parameters}
    made: Forecaster = model_class(**settings)
    return made


def find_class(place: str) -> Any:
    """The class at a place such as `models.regression:Ridge`, imported now.

    Returns:
        The class.

    Raises:
        ValueError: the place is not listed above, so it may not be imported; add it to `MODELS` if it is a model.
    """
    listed = (*MODELS.values(), *OTHER_CLASSES)
    if place not in listed:
        raise ValueError(f"{place!r} is not among the models listed in models/__init__.py: {listed}. Add it there.")
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
