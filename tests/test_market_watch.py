"""Securities that are unlike the others are named with what drives it, and a day that moves everything names nobody."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from flows import market_watch, settings
from models import base, combined, market_moves, thresholds
from warehouse import features, returns

N_CODES, N_SESSIONS = 60, 120


@pytest.fixture(scope="module")
def usual():
    """Returns with two common factors, turnover and ranges of log-normal spread; nothing is planted."""
    rng = np.random.default_rng(4)
    common = rng.normal(0, 0.01, (N_SESSIONS, 2)) @ rng.normal(1, 0.5, (2, N_CODES))
    shape = N_CODES, N_SESSIONS
    return market_moves.Moves(
        common.T + rng.normal(0, 0.01, shape),
        rng.normal(10, 0.3, shape),
        rng.normal(-4, 0.2, shape),
        np.repeat(np.arange(6), 10),
    )


def codes():
    return np.array([f"{600000 + n}.SH" for n in range(N_CODES)], object)


def wanted(**overrides):
    return settings.read_settings(_env_file=None, **overrides)


def planted(moves, name, row, values):
    part = getattr(moves, name).copy()
    part[row, -len(values) :] = values
    return replace(moves, **{name: part})


def strangest(moves):
    """The security with the highest score, and the feature that drives it most."""
    watched = market_watch.watch(moves, codes(), wanted())
    at = watched.scores.argmax()
    return watched.ts_codes[at], market_moves.FEATURES[np.abs(watched.drivers[at]).argmax()]


def test_jump_is_the_strangest_and_its_return_drives_it(usual):
    code, driver = strangest(planted(usual, "log_return", 7, [0.15]))

    assert code == "600007.SH"
    assert driver in ("return_z", "residual_z")


def test_volume_burst_is_the_strangest_and_turnover_drives_it(usual):
    assert strangest(planted(usual, "log_amount", 8, [13.0])) == ("600008.SH", "amount_z")


def test_security_that_stops_moving_with_the_others_is_among_the_strangest(usual):
    """The opposite returns for a month, as large as ever, but for the last day, on which nothing is to be seen."""
    month = usual.log_return[9, -market_moves.RECENT :]

    watched = market_watch.watch(planted(usual, "log_return", 9, [*-month[:-1], month[-1]]), codes(), wanted())

    assert 9 in np.argsort(watched.scores)[-3:]
    assert watched.scores[9] > watched.threshold
    assert market_moves.FEATURES[np.abs(watched.drivers[9]).argmax()] in ("decoupling_z", "residual_growth_z")


def test_features_are_in_the_securitys_own_deviations():
    """Turnover of +1 and -1 by turns has the median 0 and the deviation 1.4826; 14.826 on the last day is ten of it."""
    turns = np.tile([1.0, -1.0], N_SESSIONS // 2)
    amount = np.where(np.arange(N_CODES)[:, None] % 2 == 0, turns, -turns)
    amount[3, -1] = 14.826
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, (N_CODES, N_SESSIONS))

    measured = market_moves.measure(
        market_moves.Moves(noise, amount, noise + 1.0, np.zeros(N_CODES, np.int64)), n_last=2
    )

    column = market_moves.FEATURES.index("amount_z")
    assert measured.shape == (N_CODES, 2, len(market_moves.FEATURES))
    assert measured[3, 1, column] == pytest.approx(10.0)
    assert measured[4, 0, column] == pytest.approx(1.0 / 1.4826)


def test_day_that_moves_the_whole_market_makes_nobody_strange(usual):
    """A crash of 8 % with ten times the turnover, alike for all: as many alerts as on a usual day, give or take.

    Not quite as many, as securities differ in how far they go with the market; measured without the spread of the day
    46 of the 60 would be strange.
    """
    crash = replace(usual, log_return=usual.log_return.copy(), log_amount=usual.log_amount.copy())
    crash.log_return[:, -1] -= 0.08
    crash.log_amount[:, -1] += np.log(10.0)
    before, after = (market_watch.watch(moves, codes(), wanted()) for moves in (usual, crash))

    assert (after.scores > after.threshold).sum() <= (before.scores > before.threshold).sum() + 5


def test_security_without_a_bar_or_a_past_is_not_judged(usual):
    returns_ = usual.log_return.copy()
    returns_[5, -1] = np.nan
    returns_[6, :70] = np.nan

    watched = market_watch.watch(replace(usual, log_return=returns_), codes(), wanted())

    assert set(codes()) - set(watched.ts_codes) == {"600005.SH", "600006.SH"}


def test_too_short_a_past_is_refused(usual):
    short = replace(usual, **{n: getattr(usual, n)[:, -59:] for n in ("log_return", "log_amount", "log_range")})

    with pytest.raises(base.TooFewRows, match="59 sessions, and at least 60 are needed"):
        market_moves.measure(short, n_last=1)


def test_combined_score_is_the_mean_of_the_two_gravest_ranks():
    """Without detectors of whole rows there are the two columns: ranks worked by hand."""
    usual_rows = np.column_stack([np.arange(-4.0, 5.0), np.arange(-40.0, 50.0, 10.0)])
    fitted = combined.RankCombination(()).fit(usual_rows)

    scores = fitted.score(np.array([[4.0, 0.0], [0.0, 0.0]]))

    # Of nine rows two are at least 4 out, and all nine at least 0 out; each row counts itself in, (n + 1) / 10.
    np.testing.assert_allclose(scores, [-(np.log(3 / 10) + np.log(10 / 10)) / 2, 0.0], atol=1e-12)


def test_beyond_all_usual_rows_the_farther_is_the_stranger():
    fitted = combined.RankCombination(()).fit(np.random.default_rng(0).normal(size=(50, 2)))

    near, far = fitted.score(np.array([[9.0, 9.0], [90.0, 90.0]]))

    assert near < far


def test_threshold_gives_the_wanted_number_on_a_usual_day_whatever_a_storm_does():
    calm = [np.arange(100.0)] * 4
    storm = [np.arange(100.0) + 1000.0]

    # Above 94 lie 95 to 99.
    assert thresholds.for_alerts_a_day([*calm, *storm], 5) == 94.0
    assert thresholds.for_alerts_a_day(calm, 0) == 99.0


def test_false_discovery_rate_is_the_step_up_of_benjamini_and_hochberg():
    """Past scores 1 to 99; today's tails are 1/100, 3/100, 50/100, to be held against 0.1 x k / 3."""
    past = np.arange(1.0, 100.0)

    threshold = thresholds.for_false_discovery_rate(past, np.array([50.5, 97.5, 100.0]), 0.1)

    assert 50.5 < threshold < 97.5
    assert thresholds.for_false_discovery_rate(past, np.array([50.5, 60.0]), 0.1) == float("inf")


def test_false_discoveries_keep_to_the_rate_on_the_average():
    """Two hundred days of 500 usual rows and 25 strange ones."""
    rng = np.random.default_rng(6)
    past, shares = rng.normal(size=20_000), []
    for _ in range(200):
        scores = np.concatenate([rng.normal(size=500), rng.normal(4.0, 1.0, 25)])
        flagged = np.flatnonzero(scores > thresholds.for_false_discovery_rate(past, scores, 0.2))
        shares.append((flagged < 500).mean() if len(flagged) else 0.0)

    assert 0.1 < np.mean(shares) < 0.22


def test_strange_security_of_the_lake_is_a_finding_with_its_drivers(empty_lake, random_market, load_market, stamp):
    """The last bar of one security has a hundred times its turnover; that of another is told of already."""
    bars = random_market(n_codes=30, n_sessions=90, suspended=0.0)
    session = bars.sessions[-1]
    is_burst = (bars.daily["trade_date"] == session) & bars.daily["ts_code"].isin(
        sorted(set(bars.daily["ts_code"]))[:2]
    )
    bars.daily.loc[is_burst, "amount"] *= 100
    bars.daily["high"] = bars.daily["close"] * np.random.default_rng(2).uniform(1.005, 1.05, len(bars.daily))
    told, strange = bars.daily.loc[is_burst, "ts_code"]
    load_market(empty_lake, bars)
    returns.update_returns(empty_lake, stamp(1))
    features.update_features(empty_lake, stamp(1))

    found = market_watch.find(empty_lake, session, wanted(market_alerts_per_day=2), {told}).to_pylist()
    too_early = market_watch.find(empty_lake, bars.sessions[50], wanted())

    assert found[0]["subject"] == strange
    assert told not in {row["subject"] for row in found}
    evidence = json.loads(found[0]["evidence"])
    assert next(iter(evidence["drivers"])) == "amount_z"
    assert evidence["anomaly_score"] > evidence["threshold"]
    assert empty_lake.read(found[0]["evidence_sql"]).num_rows > 10
    assert too_early.num_rows == 0
