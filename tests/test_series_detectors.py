"""Planted points and patterns are found, no score looks ahead, and the command reads a series from a file."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from flows import cli
from models import base, series_detectors, window_autoencoder
from warehouse import errors

N = 240
# The network has a test of its own, as a fit takes seconds.
QUICK = sorted(set(series_detectors.SERIES_DETECTORS) - {"window_autoencoder"})
POINT, PATTERN = 200, slice(150, 162)


def usual(seed=1):
    """Twenty years of months: an autoregression of 0.5 with a season of three of its deviations."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=N)
    for at in range(1, N):
        values[at] += 0.5 * values[at - 1]
    return values + 3.0 * np.sin(2 * np.pi * np.arange(N) / 12)


@pytest.fixture
def with_point():
    """A value five deviations too high in the season's low: inside the series' own range."""
    values = usual()
    values[POINT] += 5.0
    assert values[POINT] < np.delete(values, POINT).max()
    return values[:, None]


@pytest.fixture
def with_pattern():
    """A year whose season comes half a year late; every value stays, in another month."""
    values = usual()
    values[PATTERN] = np.roll(values[PATTERN], 6)
    return values[:, None]


def fit(name, values):
    return series_detectors.make(name).fit(values)


@pytest.mark.parametrize("name", ["forecast_error", "spectral_residual"])
def test_planted_point_has_the_highest_score_with_and_without_what_came_after(name, with_point):
    detector = fit(name, with_point)

    assert detector.score(with_point).argmax() == POINT
    assert np.nanargmax(detector.score_as_newest(with_point)[: POINT + 1]) == POINT


def test_planted_year_has_the_highest_scores(with_pattern):
    detector = fit("sub_pca", with_pattern)

    assert PATTERN.start <= detector.score(with_pattern).argmax() < PATTERN.stop
    # As newest, the years that end in it or just after.
    assert PATTERN.start < np.nanargmax(detector.score_as_newest(with_pattern)) < PATTERN.stop + 11


def test_forecast_error_is_the_error_of_the_regression_in_its_robust_deviations():
    """The regression written anew, with the lags in the other order; then the definition of the scale."""
    values = usual(2)
    design = np.column_stack([np.ones(N - 13)] + [values[13 - lag : N - lag] for lag in range(1, 14)])
    error = values[13:] - design @ np.linalg.pinv(design) @ values[13:]

    scores = fit("forecast_error", values[:, None]).score_as_newest(values[:, None])

    assert np.isnan(scores[:13]).all()
    np.testing.assert_allclose(scores[13:], np.abs(error) / (1.4826 * np.median(np.abs(error))), rtol=1e-6)


def test_spectral_residual_is_the_papers_transform_written_as_sums():
    """The Fourier transform as a matrix, and the mean of the logarithms over three neighbours on the circle."""
    values = usual(3)[:72]
    at = np.arange(72)
    transform = np.exp(-2j * np.pi * np.outer(at, at) / 72)
    spectrum = transform @ (values - values.mean())
    logarithm = np.log(np.abs(np.where(at == 0, spectrum[1], spectrum)))
    residual = [logarithm[k] - np.mean([logarithm[k - 1], logarithm[k], logarithm[(k + 1) % 72]]) for k in at]
    evened = np.where(at == 0, 0.0, np.exp(residual) * np.exp(1j * np.angle(spectrum)))
    expected = np.abs(transform.conj() @ evened) / 72

    np.testing.assert_allclose(fit("spectral_residual", values[:, None]).score(values[:, None]), expected, rtol=1e-8)


def test_sub_pca_is_the_mahalanobis_distance_of_a_years_values():
    """Every component weighted by its variance is the inverse of the covariance."""
    values = usual(4)
    years = np.array([values[at : at + 12] for at in range(N - 11)])
    centred = years - years.mean(axis=0)
    expected = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(centred.T @ centred / len(years)), centred)

    detector = fit("sub_pca", values[:, None])

    np.testing.assert_allclose(detector.score_as_newest(values[:, None])[11:], expected, rtol=1e-6)
    # Day 1 lies in the first two years only.
    assert detector.score(values[:, None])[1] == pytest.approx(expected[:2].mean())


@pytest.mark.parametrize("name", QUICK)
def test_score_as_newest_does_not_change_when_later_periods_come(name, with_point):
    detector = fit(name, with_point)

    whole, part = (detector.score_as_newest(values) for values in (with_point, with_point[:190]))

    np.testing.assert_array_equal(whole[:190], part)
    assert np.isfinite(detector.score(with_point)).all()


@pytest.mark.parametrize("name", QUICK)
def test_bad_series_are_refused(name, with_point):
    detector = fit(name, with_point)
    holed = with_point.copy()
    holed[7] = np.nan

    with pytest.raises(base.MissingValues, match="1 of 240 values are missing"):
        detector.score(holed)
    with pytest.raises(base.TooFewRows, match="71 periods, and at least 72"):
        fit(name, with_point[:71])
    with pytest.raises(base.ModelError, match="never changes"):
        fit(name, np.ones((100, 1)))
    with pytest.raises(base.ColumnMismatch, match=r"shape \(240,\)"):
        detector.score(with_point[:, 0])


@pytest.mark.parametrize("name", sorted(series_detectors.SERIES_DETECTORS))
def test_series_whose_variance_is_no_number_is_refused(name, with_point):
    """A double ends at 1.8e308, so that a square of 1e160 is infinite, and starts at 4.9e-324."""
    for size in (1e160, 1e300):
        with pytest.raises(base.ModelError, match=r"values reach \d+e\+\d+, too large to square"):
            fit(name, with_point * size)
    with pytest.raises(base.ModelError, match="changes too little to square"):
        fit(name, with_point * 1e-200)


@pytest.mark.parametrize("size", [1e-100, 1e16, 1e150])
@pytest.mark.parametrize("name", QUICK)
def test_scores_do_not_depend_on_the_unit_of_the_series(name, size, with_point):
    values = with_point + 7.0

    expected, scores = (fit(name, each).score(each) for each in (values, values * size))

    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-8)


def test_network_finds_the_series_that_leaves_its_panel_and_repeats_itself():
    """Four series are one and some noise; for a year the third is another. Same seed, same scores; none looks ahead."""
    rng = np.random.default_rng(6)
    common = usual(7)[:120]
    panel = common[:, None] + 0.3 * rng.normal(size=(120, 4))
    panel[60:72, 2] = -panel[60:72, 2]

    first, again = (window_autoencoder.WindowAutoencoder(seed=3, passes=30).fit(panel) for _ in range(2))

    scores, newest = first.score(panel), first.score_as_newest(panel)
    np.testing.assert_array_equal(scores, again.score(panel))
    np.testing.assert_array_equal(newest[:90], first.score_as_newest(panel[:90]))
    assert 60 <= scores.argmax() < 72
    assert first.drivers(panel)[60:72].mean(axis=0).argmax() == 2
    np.testing.assert_allclose(first.drivers(panel).mean(axis=1), scores)


def run(*arguments):
    return cli.app([str(each) for each in arguments], standalone_mode=False)


def test_command_scores_the_periods_of_a_column(with_point, tmp_path, capsys):
    file, out = tmp_path / "series.csv", tmp_path / "scored.csv"
    label = np.arange(N) == POINT
    table = pd.DataFrame({"month": pd.period_range("2004-01", periods=N, freq="M"), "x": with_point[:, 0]})
    table.assign(label=label.astype(int), x=table["x"].mask(table.index == 5)).to_csv(file, index=False)

    run("detect", file, "--detector", "spectral_residual", "--series", "x", "--label", "label", "--out", out, "--json")

    facts = json.loads(capsys.readouterr().out)
    assert (facts["n_filled"], facts["n_columns"]) == (1, 1)
    assert facts["labelled"]["average_precision"] == 1.0
    assert pd.read_csv(out)["anomaly_score"].idxmax() == POINT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--detector", "sub_pca"], "sub_pca looks at a series. Name its column with --series"),
        (["--detector", "ecod", "--series", "x"], "ecod looks at rows"),
        (["--detector", "sub_pca", "--series", "y"], "has no column y; it has x, note"),
        (["--detector", "sub_pca", "--series", "note"], "column note holds text"),
        (["--detector", "sub_pca", "--series", "x"], "3 periods, and at least 72 are needed"),
    ],
)
def test_command_says_what_is_wrong(tmp_path, arguments, words):
    file = tmp_path / "short.csv"
    file.write_text("x,note\n1,a\n2,b\n4,c\n")

    with pytest.raises(Exception, match=words):
        run("detect", file, *arguments, "--out", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(("ending", "others"), [("csv", ""), ("csv.gz", ""), ("csv", ",y")])
def test_empty_lines_are_holes_save_at_the_end(with_point, tmp_path, capsys, ending, others):
    """Periods 5 and 6 are missing; the blank lines at the end are no periods. The point stays where it is."""
    file, out = tmp_path / f"series.{ending}", tmp_path / "scored.parquet"
    lines = ["x" + others, *(f"{value}{others}" for value in with_point[:, 0])]
    lines[6] = lines[7] = ""
    content = ("\r\n".join(lines) + "\r\n\r\n\r\n").encode()
    file.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)

    run("detect", file, "--detector", "spectral_residual", "--series", "x", "--out", out, "--json")

    facts = json.loads(capsys.readouterr().out)
    assert (facts["n_rows"], facts["n_filled"]) == (N, 2)
    scored = pd.read_parquet(out)
    assert np.flatnonzero(scored["x"].isna()).tolist() == [5, 6]
    assert scored["anomaly_score"].idxmax() == POINT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,x\n" + "1,2\n3,5\n" * 50, "has more than one column x. Give each a name of its own"),
        ("x,y\n" + "1e160,2\n3e160,5\n" * 50, "values reach 3e.160, too large to square"),
        ("\n\n", "cannot be read: Empty CSV file"),
    ],
)
def test_file_that_is_no_series_is_one_clear_line(tmp_path, text, words):
    file = tmp_path / "bad.csv"
    file.write_text(text)

    with pytest.raises(errors.DaybookError, match=words) as caught:
        run("detect", file, "--detector", "sub_pca", "--series", "x", "--out", tmp_path / "out.csv")
    assert "\n" not in str(caught.value)
