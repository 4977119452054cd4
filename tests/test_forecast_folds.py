"""How many sessions the forecasts test on: enough to fit, or none at all, and never a refusal in between."""

from __future__ import annotations

import numpy as np
import pytest

from flows import forecasts
from models import base, evaluation


@pytest.mark.parametrize("n_folds", [1, 2, 3, 5])
def test_there_are_forecasts_exactly_where_the_first_fold_has_enough_to_train_on(n_folds):
    def can_be_split(n_sessions, test_sessions):
        try:
            evaluation.walk_forward_folds(
                np.arange("2020-01-01", n_sessions, dtype="datetime64[D]"),
                n_folds=n_folds,
                test_sessions=test_sessions,
                min_train_sessions=60,
                embargo=5,
            )
        except base.TooFewRows:
            return False
        return True

    for n_sessions in range(1, 400):
        half = n_sessions // 2 // n_folds
        expected = half if half >= 20 and can_be_split(n_sessions, half) else 0
        assert forecasts.sessions_to_test(n_sessions, n_folds) == expected


def test_what_is_left_over_of_a_half_goes_to_training():
    # 125 = 3 x 20 to test, 5 of embargo, 60 to train; 126 gives each fold one more, and 58 are left.
    assert [forecasts.sessions_to_test(n, 3) for n in (124, 125, 126, 128)] == [0, 20, 0, 21]
