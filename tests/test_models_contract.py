"""What `models/base.py` promises, held against every model of `MODELS`; a new model is tested by its line there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import models
from models import base, registry
from models.baseline import HistoricalMean
from models.cross_section import standardise_by_date

Floats = npt.NDArray[np.float64]
Rows = tuple[Floats, Floats, npt.NDArray[np.datetime64]]

N_DATES, N_NAMES, N_FEATURES = 40, 12, 3

# What is promised holds however little a model is trained; the full network would take a minute here.
SETTINGS: dict[str, dict[str, object]] = {"mlp": {"hidden": (16, 8), "epochs": 3}}

MAKERS: dict[str, Callable[[], base.Forecaster]] = {
    **{name: (lambda name=name: models.make(name, seed=7, **SETTINGS.get(name, {}))) for name in models.MODELS},
    "historical_mean": HistoricalMean,
}


def market_rows(n_dates: int = N_DATES, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    dates = np.repeat(np.datetime64("2026-01-01") + np.arange(n_dates), N_NAMES)
    features = rng.standard_normal((len(dates), N_FEATURES))
    target = 0.01 * (features @ [0.5, -0.3, 0.0] + rng.standard_normal(len(dates)))
    return features, target, dates


@pytest.fixture(scope="module", params=MAKERS)
def make(request: pytest.FixtureRequest) -> Callable[[], base.Forecaster]:
    """A function that makes the unfitted model."""
    return MAKERS[request.param]


@pytest.fixture(scope="module")
def fitted(make: Callable[[], base.Forecaster]) -> base.Forecaster:
    """The model fitted on `market_rows`, once for the tests that only look at it."""
    return make().fit(*market_rows())


def test_fit_returns_the_model_itself(make: Callable[[], base.Forecaster]) -> None:
    model = make()

    assert model.fit(*market_rows()) is model
    assert isinstance(model.is_converged_, bool)


def test_predict_gives_one_finite_number_per_row(fitted: base.Forecaster) -> None:
    found = fitted.predict(market_rows(n_dates=7, seed=1)[0])

    assert found.shape == (7 * N_NAMES,)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()


def test_predict_gives_nothing_for_no_rows(fitted: base.Forecaster) -> None:
    assert fitted.predict(np.empty((0, N_FEATURES))).shape == (0,)


def test_fit_gives_the_same_bytes_when_repeated(
    make: Callable[[], base.Forecaster], fitted: base.Forecaster, tmp_path: Path
) -> None:
    again = make().fit(*market_rows())

    for name, model in (("first", fitted), ("second", again)):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
    assert fitted.predict(market_rows()[0]).tobytes() == again.predict(market_rows()[0]).tobytes()
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "second").iterdir())
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_fit_forgets_what_it_was_fitted_on_before(make: Callable[[], base.Forecaster], fitted: base.Forecaster) -> None:
    features, target, dates = market_rows(n_dates=30, seed=5)

    again = make().fit(np.column_stack([features, features**2]), target, dates).fit(*market_rows())

    assert again.predict(market_rows()[0]).tobytes() == fitted.predict(market_rows()[0]).tobytes()


def test_inputs_are_not_changed(make: Callable[[], base.Forecaster]) -> None:
    rows = market_rows()
    copies = [array.copy() for array in rows]

    make().fit(*rows).predict(rows[0])

    for array, copied in zip(rows, copies, strict=True):
        np.testing.assert_array_equal(array, copied)


def test_predict_keeps_past_rows_when_future_rows_are_appended(fitted: base.Forecaster) -> None:
    features = market_rows(n_dates=300, seed=2)[0]

    whole = fitted.predict(features)

    for n_rows in (1, 7, N_NAMES, 1023, 1025, 3000):
        assert fitted.predict(features[:n_rows]).tobytes() == whole[:n_rows].tobytes()


def test_predict_gives_a_row_the_same_bytes_wherever_it_stands(fitted: base.Forecaster) -> None:
    features = market_rows(n_dates=100, seed=2)[0]
    order = np.random.default_rng(0).permutation(len(features))

    found = fitted.predict(np.asfortranarray(features)[order])

    assert found.tobytes() == fitted.predict(features)[order].tobytes()


def test_scores_of_a_day_stay_when_the_market_lives_on(fitted: base.Forecaster) -> None:
    """From raw features to forecast: standardising a later day touches no earlier one."""
    raw, _, dates = market_rows(n_dates=50, seed=3)
    past = dates < dates[0] + 30

    whole = fitted.predict(standardise_by_date(raw, dates))

    before = fitted.predict(standardise_by_date(raw[past], dates[past]))
    assert whole[past].tobytes() == before.tobytes()


def test_registry_gives_back_a_model_that_predicts_the_same(fitted: base.Forecaster, tmp_path: Path) -> None:
    digest = registry.save(tmp_path, "any/2026-11-20", fitted, {"params": fitted.params()})

    found = registry.load(tmp_path, "any/2026-11-20", files_sha256=digest)

    assert type(found) is type(fitted)
    assert found.params() == fitted.params()
    assert found.is_converged_ is fitted.is_converged_
    assert found.predict(market_rows()[0]).tobytes() == fitted.predict(market_rows()[0]).tobytes()
    assert registry.save(tmp_path / "again", "any/2026-11-20", found, {"params": found.params()}) == digest


def test_params_can_be_written_as_json(make: Callable[[], base.Forecaster]) -> None:
    assert json.loads(json.dumps(make().params())) == make().params()


def test_predict_refuses_when_not_fitted(make: Callable[[], base.Forecaster]) -> None:
    with pytest.raises(base.NotFitted, match=r"not fitted\. Call fit"):
        make().predict(market_rows()[0])


def test_save_refuses_when_not_fitted(make: Callable[[], base.Forecaster], tmp_path: Path) -> None:
    with pytest.raises(base.NotFitted, match=r"not fitted\. Call fit"):
        make().save(tmp_path)


@pytest.mark.parametrize("n_columns", [1, N_FEATURES - 1, N_FEATURES + 1])
def test_predict_refuses_another_number_of_columns(fitted: base.Forecaster, n_columns: int) -> None:
    with pytest.raises(base.ColumnMismatch, match=rf"{n_columns} feature columns.* fitted on {N_FEATURES}\. Pass the"):
        fitted.predict(np.zeros((5, n_columns)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predict_refuses_a_missing_value(fitted: base.Forecaster, bad: float) -> None:
    features = market_rows()[0]
    features[4, 1] = bad

    with pytest.raises(base.MissingValues, match=r"predict got 1 missing .* columns \[1\] of 480 rows\. Fill or drop"):
        fitted.predict(features)


def test_fit_refuses_a_missing_feature(make: Callable[[], base.Forecaster]) -> None:
    features, target, dates = market_rows()
    features[4, 2] = np.nan

    with pytest.raises(base.MissingValues, match=r"fit got 1 missing .* columns \[2\] of 480 rows\. Fill or drop"):
        make().fit(features, target, dates)


def test_fit_refuses_a_missing_target(make: Callable[[], base.Forecaster]) -> None:
    features, target, dates = market_rows()
    target[4:6] = np.nan

    with pytest.raises(base.MissingValues, match=r"target has 2 missing .* in 480 rows\. Drop the rows"):
        make().fit(features, target, dates)


def test_fit_refuses_when_lengths_differ(make: Callable[[], base.Forecaster]) -> None:
    features, target, dates = market_rows()

    with pytest.raises(base.ColumnMismatch, match=r"target \(479,\).*Pass one target and one date per row"):
        make().fit(features, target[1:], dates)


def test_fit_refuses_when_there_is_one_date(make: Callable[[], base.Forecaster]) -> None:
    with pytest.raises(base.TooFewRows, match=r"12 rows of fewer than 2 dates\. Widen"):
        make().fit(*market_rows(n_dates=1))


def test_make_names_the_models_when_there_is_no_such() -> None:
    with pytest.raises(
        ValueError, match=r"no model 'magic' .* \['boosting', 'elastic_net', 'mlp', 'ols', 'ridge', 'zero'\]"
    ):
        models.make("magic")


def test_read_arrays_gives_back_every_shape(tmp_path: Path) -> None:
    arrays = {"number": np.array(3.5), "empty": np.empty((0, 4)), "cube": np.arange(24.0).reshape(2, 3, 4)}
    arrays["odd"] = np.array([np.nan, np.inf, -0.0, 5e-324])

    base.write_arrays(tmp_path / "arrays.parquet", arrays)

    found = base.read_arrays(tmp_path / "arrays.parquet", tuple(arrays))
    assert {name: (array.shape, array.tobytes()) for name, array in found.items()} == {
        name: (array.shape, array.tobytes()) for name, array in arrays.items()
    }


def test_read_arrays_names_the_file_when_it_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "arrays.parquet").write_bytes(b"nothing of the kind")

    with pytest.raises(base.BrokenFiles, match=r"cannot be read from .*arrays\.parquet.* Fit and save it again"):
        base.read_arrays(tmp_path / "arrays.parquet")
