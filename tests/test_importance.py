"""Importance of features: the planted one first, noise near zero, and what scikit-learn says of one date."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import inspection, linear_model

from models import base, importance


def planted_rows(n_dates=40, n_each=50, seed=5):
    """Outcome = 3 x the first feature + the second + noise; the third is the date's own level, the fourth is noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_dates * n_each, 4))
    dates = np.repeat(np.datetime64("2024-01-01") + np.arange(n_dates), n_each)
    features[:, 2] = np.repeat(rng.normal(size=n_dates), n_each)
    target = 3 * features[:, 0] + features[:, 1] + 2 * features[:, 2] + rng.normal(size=len(dates))
    return base.TrainingRows(features, target, dates)


def predict(features):
    return features @ np.array([3.0, 1.0, 2.0, 0.0])


def test_planted_feature_comes_first_and_noise_counts_nothing():
    rows = planted_rows()

    found = importance.permutation_importance(predict, rows, np.random.default_rng(1))

    # Another draw of the feature adds twice its variance times the squared weight, give or take what 2,000 rows allow.
    level = (rows.target**2).mean()
    assert found.loss_increase[:2] == pytest.approx(2 * np.array([9.0, 1.0]) / level, rel=0.2)
    # What all rows of a date share is not lost by a shuffle within the date.
    assert found.loss_increase[2:].tolist() == [0.0, 0.0]
    assert found.loss_increase.argmax() == 0 and (found.spread[:2] > 0).all()


def test_importance_equals_scikit_learns_on_rows_of_one_date():
    rows = planted_rows(n_dates=1, n_each=300)
    model = linear_model.LinearRegression().fit(rows.features, rows.target)

    ours = importance.permutation_importance(model.predict, rows, np.random.default_rng(1), n_shuffles=200)
    theirs = inspection.permutation_importance(
        model, rows.features, rows.target, scoring="neg_mean_squared_error", n_repeats=200, random_state=2
    )

    level = (rows.target**2).mean()
    # Both draw their own lots: four standard errors of a mean of 200 apart at most.
    apart = np.abs(ours.loss_increase - theirs.importances_mean / level)
    assert (apart <= 4 * np.hypot(ours.spread, theirs.importances_std / level) / np.sqrt(200) + 1e-12).all()
    assert ours.spread == pytest.approx(theirs.importances_std / level, rel=0.35, abs=1e-12)


def test_importance_leaves_the_rows_alone_and_the_same_seed_gives_the_same_bytes():
    rows = planted_rows()
    before = rows.features.copy()

    first, second = (importance.permutation_importance(predict, rows, np.random.default_rng(9)) for _ in range(2))

    assert first.loss_increase.tobytes() == second.loss_increase.tobytes()
    assert rows.features.tobytes() == before.tobytes()


def test_rows_beyond_the_bound_are_whole_dates_from_first_to_last():
    rows = planted_rows(n_dates=40, n_each=50)
    asked = []

    def listening(features):
        asked.append(features)
        return predict(features)

    found = importance.permutation_importance(listening, rows, np.random.default_rng(1), most_rows=500)

    assert found.n_rows == 500
    taken = np.isin(rows.features[:, 2], asked[0][:, 2])
    assert taken.sum() == 500 and taken[0] and taken[-1]


def test_importance_does_not_depend_on_the_order_of_dates():
    rows = planted_rows()
    back = np.argsort(-rows.dates.astype(int), kind="stable")

    turned = base.TrainingRows(rows.features[back], rows.target[back], rows.dates[back])
    first, second = (
        importance.permutation_importance(predict, one, np.random.default_rng(9)) for one in (rows, turned)
    )

    assert first.loss_increase == pytest.approx(second.loss_increase, rel=1e-12)


@pytest.mark.parametrize("n_rows, n_shuffles", [(0, 5), (10, 1)])
def test_importance_of_nothing_is_refused(n_rows, n_shuffles):
    rows = base.TrainingRows(np.zeros((n_rows, 4)), np.zeros(n_rows), np.zeros(n_rows, "datetime64[D]"))

    with pytest.raises(base.ModelError, match="at least two shuffles"):
        importance.permutation_importance(predict, rows, np.random.default_rng(1), n_shuffles=n_shuffles)
