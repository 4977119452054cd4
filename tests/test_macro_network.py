"""The network beside the linear rivals: it knows what they know and no more, and counts only where it beats the AR."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from test_macro_horizons import panel_of

from flows import macro_outlook
from models import base, macro_horizons, macro_network, macro_skill
from models.macro_horizons import HORIZONS
from models.macro_network import NETWORK

SEED = 5


@pytest.fixture(scope="module")
def walked():
    """A panel whose target follows a factor, a fold of two years, and what the network said in it."""
    panel = panel_of(weight=0.8, seed=3)
    folds = macro_skill.fit_folds(panel, 1, n_test=24, n_folds=1)
    return panel, folds, macro_network.walk_forward(panel, folds, "T", SEED)


def test_every_origin_of_the_test_has_a_forecast_of_each_horizon(walked):
    panel, folds, told = walked

    assert set(told) == set(HORIZONS)
    for one in told.values():
        assert np.isfinite(one).nonzero()[0].tolist() == list(range(folds[0].start, len(panel.months)))


def test_forecasts_of_a_fold_know_nothing_of_what_came_after_their_origin(walked):
    panel, folds, told = walked
    origin = folds[0].start + 3
    spoilt = replace(
        panel,
        values=np.vstack([panel.values[: origin + 1], 1e6 * panel.values[origin + 1 :]]),
        levels={"T": np.r_[panel.levels["T"][: origin + 1], -1e6 * panel.levels["T"][origin + 1 :]]},
    )

    again = macro_network.walk_forward(spoilt, macro_skill.fit_folds(spoilt, 1, n_test=24, n_folds=1), "T", SEED)

    for horizon in HORIZONS:
        assert again[horizon][: origin + 1].tobytes() == told[horizon][: origin + 1].tobytes()


def test_skill_of_the_network_is_judged_by_diebold_and_mariano(walked):
    """Clark and West's test is for a rival of which the autoregression is a case."""
    panel, folds, told = walked
    tested = macro_skill.walk_forward(panel, folds, "T", 1, others={NETWORK: told[1]})

    skill = macro_skill.judge(tested, NETWORK, 1)

    assert np.isnan(skill.cw_p_value) and np.isfinite(skill.dm_p_value) and not skill.is_nested
    better = dataclasses.replace(skill, ratio_to_ar=0.9, dm_p_value=0.04)
    assert better.shortfall(0.05) == "" and "above 0.01" in better.shortfall(0.01)
    assert "times the autoregression's" in dataclasses.replace(better, ratio_to_ar=1.1).shortfall(0.05)
    assert dataclasses.replace(better, dm_p_value=float("nan")).shortfall(0.05)


def test_rival_with_the_smallest_errors_of_those_that_may_counts():
    skills = {
        name: macro_skill.Skill(100, "", "", 1.0, ratio, 0.5, 0.001, 0.001, 0.9, 1.0, is_nested=name != NETWORK)
        for name, ratio in ((macro_horizons.MEAN, 1.2), ("macro_ar", 1.0), ("macro_diffusion", 0.9), (NETWORK, 0.8))
    }

    ahead = macro_outlook.decide(skills, {}, 0.05)
    behind = macro_outlook.decide(skills, {NETWORK: macro_outlook.Live(12, 2.0, 1.0)}, 0.05)

    assert [name for name, (is_published, _) in ahead.items() if is_published] == [NETWORK]
    assert ahead["macro_diffusion"][1] == f"{NETWORK} had smaller errors"
    assert [name for name, (is_published, _) in behind.items() if is_published] == ["macro_diffusion"]
    assert behind[NETWORK][1].startswith("over the last 12 months")


def test_short_history_is_refused_with_its_length():
    panel = panel_of(weight=0.0, seed=2).upto(140)
    factors = macro_horizons.fit_factors(panel, 1)

    with pytest.raises(base.TooFewRows, match="years of months of T"):
        macro_network.forecast(panel, factors, "T", SEED)
