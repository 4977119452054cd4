"""The detectors of series on planted truth: single values, patterns, and series that leave their panel."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn import metrics

from models import anomaly, detectors, series_detectors, window_autoencoder

pytestmark = pytest.mark.benchmark

N = 360
# What came before the first ones is read only.
FIRST_JUDGED = 120
SEEDS = range(101, 121)
# Both were chosen while looking at seeds 11 to 40.
PERSISTENCE = (0.3, 0.8)


def autoregression(rng, persistence, n_series=1):
    values = rng.normal(size=(N + 50, n_series))
    for at in range(1, len(values)):
        values[at] += persistence * values[at - 1]
    return values[50:]


def season(rng):
    at = 2 * np.pi * np.arange(N) / 12
    return 1.5 * np.sin(at + rng.uniform(0, 6)) + 0.7 * np.sin(3 * at + rng.uniform(0, 6))


def with_points(rng, values, spread):
    """Six values, each three to five deviations off."""
    labels = np.zeros(N, np.int64)
    at = rng.choice(np.arange(60, N - 10), 6, replace=False)
    labels[at] = 1
    planted = values.copy()
    planted[at] += rng.choice([-1, 1], 6) * rng.uniform(3, 5, 6) * spread
    return planted, labels


def with_patterns(rng, values):
    """Three years: turned around, without nearly all of their movement, or with their months shuffled."""
    labels, planted = np.zeros(N, np.int64), values.copy()
    for start in rng.choice(np.arange(80, N - 40, 40), 3, replace=False) + rng.integers(0, 20):
        year = planted[start : start + 12]
        kinds = (year[::-1].copy(), np.median(values) + 0.2 * (year - year.mean()), rng.permutation(year))
        planted[start : start + 12] = kinds[rng.integers(3)]
        labels[start : start + 12] = 1
    return planted, labels


def naive(values):
    """Robust z of first differences."""
    step = np.diff(values, prepend=values[0])
    return np.abs(anomaly.robust_z(step, np.zeros(len(step))))


def of_one_series(values, labels):
    """Average precision of each detector, the whole series known and as newest."""
    column = values[:, None]
    known, newest = {"naive": naive(values)}, {"naive": naive(values)}
    for name in ("forecast_error", "spectral_residual", "sub_pca"):
        detector = series_detectors.make(name).fit(column)
        known[name], newest[name] = detector.score(column), detector.score_as_newest(column)
    late = slice(FIRST_JUDGED, None)
    found = {("known", name): metrics.average_precision_score(labels, scores) for name, scores in known.items()}
    for name, scores in newest.items():
        found["newest", name] = metrics.average_precision_score(labels[late], scores[late])
    return found


@pytest.mark.parametrize("persistence", PERSISTENCE)
@pytest.mark.parametrize("kind", ["points", "patterns"])
def test_detectors_on_planted_series(kind, persistence, report):
    """Mean average precision over twenty seeds."""
    found = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        noise = autoregression(rng, persistence)[:, 0]
        values = noise + season(rng)
        planted = with_points(rng, values, noise.std()) if kind == "points" else with_patterns(rng, values)
        if planted[1][FIRST_JUDGED:].any():
            found.append(of_one_series(*planted))
    for view in ("known", "newest"):
        means = {
            name: round(float(np.mean([one[view, name] for one in found])), 3) for _, name in found[0] if _ == view
        }
        report(kind=kind, persistence=persistence, view=view, seeds=len(found), mean_average_precision=means)
        best = {"points": "spectral_residual", "patterns": "sub_pca"}[kind]
        assert means[best] > means["naive"]


def planted_panel(rng):
    """Twenty series of three factors; for three years five of them each go their own way, as large as ever."""
    factors = autoregression(rng, 0.7, 3)
    values = factors @ rng.normal(size=(3, 20)) + autoregression(rng, 0.3, 20)
    labels = np.zeros(N, np.int64)
    for start in rng.choice(np.arange(60, N - 40, 40), 3, replace=False) + rng.integers(0, 20):
        leaving = rng.choice(20, 5, replace=False)
        others = autoregression(rng, 0.7, 5)[start : start + 12]
        values[start : start + 12, leaving] = others / others.std(axis=0) * values[:, leaving].std(axis=0)
        labels[start : start + 12] = 1
    return values, labels


def of_windows_by_pca(values, n_components):
    """Squared error of each period, rebuilt by the components of the same windows: the mean over those that hold it."""
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    windows = series_detectors.windows_of(standard, window_autoencoder.WINDOW)
    centred = windows - windows.mean(axis=0)
    kept = np.linalg.svd(centred, full_matrices=False)[2][:n_components]
    size = np.abs(centred - centred @ kept.T @ kept).reshape(len(windows), window_autoencoder.WINDOW, -1)
    # In usual errors of each series, as the network's.
    squares = ((size / np.median(size, axis=(0, 1))) ** 2).mean(axis=2)
    total, count = np.zeros(len(values)), np.zeros(len(values))
    for lag in range(window_autoencoder.WINDOW):
        total[lag : lag + len(squares)] += squares[:, lag]
        count[lag : lag + len(squares)] += 1
    return total / count


def test_window_autoencoder_beside_pca_on_planted_panels(report):
    """Average precision of the months in which series left the panel, by seed."""
    found, seconds = [], 0.0
    for seed in range(101, 106):
        values, labels = planted_panel(np.random.default_rng(seed))
        started = time.perf_counter()
        network = series_detectors.make("window_autoencoder", seed=seed).fit(values)
        scores = {"window_autoencoder": network.score(values)}
        seconds += time.perf_counter() - started
        scores["pca_of_windows"] = of_windows_by_pca(values, 48)
        scores["pca_of_months"] = detectors.make("pca").fit(values).score(values)
        by_series = [series_detectors.make("sub_pca").fit(one[:, None]).score(one[:, None]) for one in values.T]
        scores["sub_pca_of_series"] = np.mean(by_series, axis=0)
        found.append({name: round(float(metrics.average_precision_score(labels, s)), 3) for name, s in scores.items()})
        report(seed=seed, average_precision=found[-1])
    means = {name: round(float(np.mean([one[name] for one in found])), 3) for name in found[0]}
    report(mean_average_precision=means, seconds_a_network=round(seconds / len(found), 1))
    assert means["window_autoencoder"] > labels.mean()
