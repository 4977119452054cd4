"""The network: planted truth, determinism in this process and in another, files that hold no code."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models import base, mlp
from models.mlp import MLP

Floats = npt.NDArray[np.float64]
Rows = tuple[Floats, Floats, npt.NDArray[np.datetime64]]

# Fits the rows of `planted_rows` in a new interpreter and prints the digest of what it forecasts.
OTHER_PROCESS = """
import hashlib, sys
import numpy as np
from models.mlp import MLP
rows = np.load(sys.argv[1])
fitted = MLP(seed=3, epochs=2).fit(rows["features"], rows["target"], rows["dates"])
print(hashlib.sha256(fitted.predict(rows["features"]).tobytes()).hexdigest())
"""


def planted_rows(n_dates: int = 100, n_names: int = 30, seed: int = 0) -> Rows:
    """A product of two features, which no linear model sees, plus noise of the same size."""
    rng = np.random.default_rng(seed)
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(n_dates), n_names)
    features = rng.standard_normal((len(dates), 3))
    target = 0.02 * (features[:, 0] * features[:, 1] + rng.standard_normal(len(dates)))
    return features, target, dates


@pytest.fixture(scope="module")
def fitted() -> MLP:
    """One network, trained once for the tests that only look at it."""
    return MLP(seed=3).fit(*planted_rows())


def test_fit_finds_an_interaction_that_is_planted(fitted: MLP) -> None:
    """Half of the variance can be forecast; a linear model finds none of it."""
    features, target, _ = planted_rows(seed=1)

    found = np.corrcoef(fitted.predict(features), target)[0, 1] ** 2

    assert fitted.is_converged_
    assert found > 0.35


def test_learning_curve_ends_a_patience_after_the_pass_whose_weights_were_kept(fitted: MLP) -> None:
    """The loss that was noted for that pass is the one that the kept weights have on the last fifth of the dates."""
    features, target, dates = planted_rows()

    curve = fitted.learning_curve()

    is_last = dates >= np.unique(dates)[80]
    error = fitted.predict(features[is_last]) - target[is_last]
    kept = fitted.n_epochs_ - 1 - fitted.patience
    assert curve["epoch"].tolist() == list(range(1, fitted.n_epochs_ + 1))
    assert curve["validation_loss"][kept] == pytest.approx((error**2).mean() / fitted.target_scale_**2, rel=1e-4)
    # Half of the target's variance is noise that only learning by heart takes away.
    assert curve["training_loss"][0] > 0.75 and 0.3 < curve["training_loss"][-1] < 0.7


def test_network_of_before_curves_were_kept_is_loaded_without_one(fitted: MLP) -> None:
    state = {name: array for name, array in fitted.state().items() if name not in MLP.CURVE}

    restored = MLP.from_state(state)

    assert len(restored.learning_curve()["epoch"]) == 0


def test_fit_stops_early_and_finds_nothing_when_the_target_is_noise() -> None:
    features, target, dates = planted_rows()
    noise = np.random.default_rng(9).permutation(target)

    found = MLP().fit(features, noise, dates)

    assert found.is_converged_
    assert found.n_epochs_ < 30
    assert found.predict(planted_rows(seed=1)[0]).var() < 0.05 * noise.var()


def test_fit_is_not_converged_when_passes_run_out() -> None:
    found = MLP(epochs=2).fit(*planted_rows())

    assert not found.is_converged_
    assert found.n_epochs_ == 2


@pytest.mark.slow
def test_fit_gives_the_same_bytes_in_another_process_with_other_cores(tmp_path: Path) -> None:
    features, target, dates = planted_rows()
    np.savez(tmp_path / "rows.npz", features=features, target=target, dates=dates)
    root = Path(mlp.__file__).parents[1]
    command = [sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "rows.npz")]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "77", "TF_NUM_INTRAOP_THREADS": "2"}

    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    found = MLP(seed=3, epochs=2).fit(features, target, dates).predict(features)
    assert answer.stdout.strip() == hashlib.sha256(found.tobytes()).hexdigest()


def test_fit_leaves_the_global_generators_alone() -> None:
    state = np.random.get_state()[1].copy()

    MLP(epochs=1).fit(*planted_rows(n_dates=30))

    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_fit_differs_when_the_seed_differs() -> None:
    features, target, dates = planted_rows(n_dates=30)

    one, other = (MLP(seed=seed, epochs=1).fit(features, target, dates).predict(features) for seed in (3, 4))

    assert not np.array_equal(one, other)


def test_fit_leaves_no_network_behind_when_it_is_done() -> None:
    import keras

    for _ in range(2):
        MLP(epochs=1).fit(*planted_rows(n_dates=30))

    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, keras.Model)]


def test_fit_trains_on_no_row_of_the_embargo() -> None:
    """100 dates: the last 20 decide when to stop, 5 before them are left out; poison there changes nothing."""
    features, target, dates = planted_rows()
    is_embargo = (dates >= dates[0] + 75) & (dates < dates[0] + 80)

    found = MLP(epochs=1).fit(features, np.where(is_embargo, 1e3, target), dates)

    expected = MLP(epochs=1).fit(features, target, dates)
    assert is_embargo.sum() == 150
    assert found.predict(features).tobytes() == expected.predict(features).tobytes()


def test_fit_does_not_depend_on_units_of_features_and_target() -> None:
    features, target, dates = planted_rows(n_dates=40)

    found = MLP(epochs=1).fit(features * 1024.0, target * 4096.0, dates).predict(features * 1024.0)

    np.testing.assert_allclose(found / 4096.0, MLP(epochs=1).fit(features, target, dates).predict(features), rtol=1e-9)


def test_predict_equals_keras_own_forward_pass(fitted: MLP, tmp_path: Path) -> None:
    features = planted_rows(seed=2)[0]
    fitted.save(tmp_path)
    with mlp.keras_session(0) as keras:
        network = keras.saving.load_model(tmp_path / "mlp.keras", compile=False)
        inputs = ((features - fitted.mean_) / fitted.scale_).astype(np.float32)
        expected = network.predict(inputs, verbose=0)[:, 0] * fitted.target_scale_ + fitted.target_mean_

    np.testing.assert_allclose(fitted.predict(features), expected, rtol=1e-4, atol=1e-7)


def test_save_writes_the_same_bytes_when_a_reloaded_model_is_saved(fitted: MLP, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    fitted.save(first)

    MLP.load(first).save(second)

    for name in ("arrays.parquet", "mlp.keras"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert len(MLP.load(second).training_losses_) == fitted.n_epochs_


def test_load_runs_no_code_when_the_file_holds_some(fitted: MLP, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    with mlp.keras_session(0) as keras:
        layers = [keras.Input((3,)), keras.layers.Lambda(lambda rows: rows), keras.layers.Dense(1)]
        keras.Sequential(layers).save(tmp_path / "mlp.keras")

    with pytest.raises(base.BrokenFiles, match=r"(?s)cannot be read from .*mlp.keras.*Fit and save it again"):
        MLP.load(tmp_path)


@pytest.mark.parametrize("damage", ["absent", "cut", "not a zip"])
def test_load_names_the_file_when_it_is_damaged(fitted: MLP, tmp_path: Path, damage: str) -> None:
    fitted.save(tmp_path)
    path = tmp_path / "mlp.keras"
    whole = path.read_bytes()
    path.unlink()
    if damage != "absent":
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no archive")

    with pytest.raises(base.BrokenFiles, match=r"(?s)mlp\.keras.*Fit and save it again"):
        MLP.load(tmp_path)


def test_saved_network_holds_no_instant_and_no_address(fitted: MLP, tmp_path: Path) -> None:
    fitted.save(tmp_path)

    with zipfile.ZipFile(tmp_path / "mlp.keras") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b'"date_saved": ""' in archive.read("metadata.json")
        assert b'"shared_object_id": 1' in archive.read("config.json")


def test_fit_refuses_when_dates_are_too_few_to_stop_by() -> None:
    with pytest.raises(base.TooFewRows, match=r"MLP got 7 dates: 1 decide .* and 5 .* so 1 remain|Widen"):
        MLP(validation_share=0.4).fit(*planted_rows(n_dates=7))


def test_mlp_refuses_settings_that_are_none() -> None:
    with pytest.raises(base.ModelError, match=r"hidden=\(\).*Pass positive counts"):
        MLP(hidden=())


def test_tensorflow_is_not_imported_until_a_network_is_fitted() -> None:
    code = "import sys, models, models.mlp; models.make('mlp'); sys.exit('tensorflow' in sys.modules)"
    root = Path(mlp.__file__).parents[1]

    answer = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root)}, check=False)

    assert answer.returncode == 0


def test_fit_says_nothing_about_graphics_cards_and_passes_other_words_on() -> None:
    code = (
        "import numpy as np, os, sys, models, models.mlp;"
        "rows = np.random.default_rng(0).normal(size=(200, 2));"
        "dates = np.repeat(np.datetime64('2026-01-01') + np.arange(20), 10);"
        "models.make('mlp', epochs=1).fit(rows, rows[:, 0], dates);"
        "os.write(2, b'after')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert b"cudart" not in done.stderr and b"InitializeLog" not in done.stderr
    assert b"did not converge" in done.stderr and done.stderr.endswith(b"after")
