"""What do the numbers say? Models: arrays in, arrays out.

Nothing here knows of the lake, a clock or a vendor.

Open first: `base.py`, what every forecasting model promises, then `regression.py`, the shortest real one; `fitted.py`
holds what they do alike.

Forecasts: `baseline.py` (the naive forecast every model must beat), `regression.py`, `sparse.py`, `boosting.py`,
`mlp.py` (the home of Keras). Which of them is in charge: `promotion.py`.
Before a fit: `cross_section.py` puts the securities of a day on one scale, `transforms.py` makes a series stationary.
After it: `evaluation.py` (walk-forward, metrics), `importance.py` (of features), `intervals.py`, `nested.py` (Clark and
West's test), `registry.py` (a fitted model as files, and back).
Without a target: `pca.py` (factors; `selection.py` says how many), `macro_factors.py` (from macro levels to factors),
`cluster.py` (groups), `anomaly.py` (outlier scores), `detectors.py` (which rows of any table are strange, with
`autoencoder.py`, `encoding.py` and `labelled.py`), `series_detectors.py` (which periods of a series are, with
`window_autoencoder.py`), `market_moves.py` (how far a security's day is from its past, with
`combined.py`, several detectors as one, and `thresholds.py`, what is an alert). A macro series ahead: `next_value.py`
(from its own past), `diffusion.py` (with factors, against that), `macro_horizons.py` (some
months ahead; `macro_skill.py` tests it), `news.py` (why did a forecast move?). `stability.py`:
is it the same factor, why did it move?

To add a forecasting model: write `models/<name>.py` with a class that keeps the promise of `base.Forecaster`, and add
one line to `MODELS`. The tests in `tests/test_models_contract.py` and the refit then pick it up by name. A class of
another project is named in the setting `forecast_plugins`; only what is listed here or named there is ever imported.
Nothing is imported until a model is asked for: importing TensorFlow takes seconds.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.base import Forecaster

# Name of a forecasting model: where its class is.
MODELS: dict[str, str] = {
    "zero": "models.baseline:Zero",
    "ols": "models.regression:Ridge",
    "elastic_net": "models.sparse:ElasticNet",
    "ridge": "models.regression:Ridge",
    "boosting": "models.boosting:Boosting",
    "mlp": "models.mlp:MLP",
}

# Settings of models that are another one with these.
PRESETS: dict[str, dict[str, Any]] = {"ols": {"penalty": 0.0}}

# What else may be kept in the registry.
OTHER_CLASSES = ("models.baseline:HistoricalMean", "models.pca:FactorPCA")


def make(
    name: str, *, plugins: Mapping[str, str] | None = None, seed: int = 0, horizon: int = 1, **settings: Any
) -> Forecaster:
    """An unfitted forecasting model.

    Args:
        name: a key of `MODELS` or of `plugins`.
        plugins: name to class of models from elsewhere.
        seed: for the models that draw random numbers; the others do without.
        horizon: sessions the target looks ahead, for the models to whose errors it matters.
        settings: keyword arguments of the model's class.

    Returns:
        A new model; nothing is shared with models made before.

    Raises:
        ValueError: no such model; choose one of those named.
    """
    places = {**(plugins or {}), **MODELS}
    if name not in places:
        raise ValueError(f"there is no model {name!r} in models/__init__.py. Choose one of {sorted(places)}.")
    model_class = find_class(places[name], plugins=(plugins or {}).values())
    settings = PRESETS.get(name, {}) | settings
    offered = {"seed": seed, "horizon": horizon}
    settings |= {name: offered[name] for name in offered if name in inspect.signature(model_class).parameters}
    made: Forecaster = model_class(**settings)
    return made


def find_class(place: str, *, plugins: Collection[str] = ()) -> Any:
    """The class at a place such as `models.regression:Ridge`, imported now.

    Args:
        place: module and class.
        plugins: places outside this project that may be imported too.

    Returns:
        The class.

    Raises:
        ValueError: the place is not listed above nor a plug-in, so it may not be imported; or there is no such class.
            Add it to `MODELS` if it is a model, or mend the setting that names it.
    """
    listed = (*MODELS.values(), *OTHER_CLASSES)
    if place not in (*listed, *plugins):
        raise ValueError(f"{place!r} is not among the models listed in models/__init__.py: {listed}. Add it there.")
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise ValueError(
            f"there is no class {place!r}: {exc}. Write a plug-in as `package.module:Class` of an installed package."
        ) from exc


def draws_random_numbers(name: str, plugins: Mapping[str, str] | None = None) -> bool:
    """Whether a model takes a seed.

    Returns:
        True when another seed may give another fit.

    Raises:
        ValueError: no such model.
    """
    places = {**(plugins or {}), **MODELS}
    return "seed" in inspect.signature(find_class(places[name], plugins=(plugins or {}).values())).parameters
