"""The recurrent network does what Keras does, finds an order that no regression on lags can, and knows no future."""

from __future__ import annotations

import numpy as np
import pytest

from models import base, lstm, mlp

N, STEPS = 700, 6


def planted(seed=3):
    """Inputs of unit variance by month; the outcomes follow the product of the last two, which no lag tells alone."""
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(N, 2))
    product = np.r_[0.0, table[1:, 0] * table[:-1, 0]]
    outcomes = np.column_stack([product + 0.3 * draw.normal(size=N), -product + 0.3 * draw.normal(size=N)])
    return lstm.windows_of(table, STEPS)[STEPS:], outcomes[STEPS:]


@pytest.fixture(scope="module")
def fitted():
    windows, outcomes = planted()
    return lstm.LSTM(seed=1, embargo=0, learning_rate=1e-2, l2=1e-5).fit(windows[:500], outcomes[:500])


def test_forecasts_are_those_of_keras(fitted):
    windows, _ = planted()
    standard = ((windows[500:] - fitted.mean_) / fitted.scale_).astype(np.float32)

    with mlp.keras_session(1) as keras:
        network = fitted._network(keras, standard.shape[1:], 2)
        network.set_weights(fitted.weights_)
        expected = network.predict(standard, verbose=0) * fitted.outcome_scale_ + fitted.outcome_mean_

    np.testing.assert_allclose(fitted.predict(windows[500:]), expected, atol=2e-5)


def test_order_that_no_lag_tells_alone_is_found(fitted):
    windows, outcomes = planted()
    flat = windows.reshape(len(windows), -1)
    design = np.column_stack([np.ones(len(flat)), flat])
    linear = design[500:] @ np.linalg.lstsq(design[:500], outcomes[:500], rcond=None)[0]

    errors = ((fitted.predict(windows[500:]) - outcomes[500:]) ** 2).mean(axis=0)

    assert fitted.is_converged_
    assert (errors < 0.5 * ((linear - outcomes[500:]) ** 2).mean(axis=0)).all()


def test_same_seed_gives_the_same_weights_and_another_seed_others():
    windows, outcomes = planted()
    some = [
        lstm.LSTM(seed=seed, epochs=2).fit(windows[:200], outcomes[:200]).predict(windows[200:]) for seed in (4, 4, 5)
    ]

    assert some[0].tobytes() == some[1].tobytes() != some[2].tobytes()


def test_forecast_depends_on_its_own_window_alone(fitted):
    windows, _ = planted()

    alone = np.vstack([fitted.predict(windows[at : at + 1]) for at in range(50)])

    assert alone.tobytes() == fitted.predict(windows)[:50].tobytes()


def test_window_with_a_missing_month_has_no_forecast(fitted):
    windows, _ = planted()
    windows[3, 2, 1] = np.nan

    assert np.isnan(fitted.predict(windows)).any(axis=1).nonzero()[0].tolist() == [3]


def test_window_ends_in_its_row_and_sees_no_later_one():
    table = np.arange(10.0)[:, None] * [1.0, 10.0]

    windows = lstm.windows_of(table, 3)

    assert np.isnan(windows[:2]).all()
    assert windows[4].tolist() == [[2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]
    assert np.isnan(lstm.windows_of(table[:2], 3)).all()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda windows, outcomes: (np.full_like(windows, np.inf), outcomes), "values of the windows are missing"),
        (lambda windows, outcomes: (windows, outcomes * np.nan), "values of the outcomes are missing"),
        (lambda windows, outcomes: (windows[:8], outcomes[:8]), "remain to train on"),
        (lambda windows, outcomes: (windows, outcomes[:-1]), "of shape"),
    ],
)
def test_rows_that_cannot_be_learnt_from_are_refused_by_name(spoil, words):
    with pytest.raises(base.ModelError, match=words):
        lstm.LSTM().fit(*spoil(*planted()))


def test_bad_settings_and_other_inputs_are_refused(fitted):
    windows, _ = planted()

    with pytest.raises(base.ModelError, match="units=0"):
        lstm.LSTM(units=0)
    with pytest.raises(base.ModelError, match="fitted on 2 inputs"):
        fitted.predict(windows[:, :, :1])
    with pytest.raises(base.NotFitted):
        lstm.LSTM().predict(windows)
