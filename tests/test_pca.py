"""Factors against numpy's SVD, statsmodels, planted truth and the published FRED-MD factors."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from statsmodels.multivariate.pca import PCA

from models import selection, transforms
from models.pca import FactorPCA

Floats = npt.NDArray[np.float64]


def planted_panel(n_dates: int, n_names: int, *, n_factors: int = 2, noise: float = 0.5, seed: int = 0) -> Floats:
    """Factors of clearly different strength plus independent noise, in uneven units."""
    rng = np.random.default_rng(seed)
    strength = np.linspace(3.0, 1.5, n_factors) if n_factors > 1 else np.array([2.0])
    factors = rng.standard_normal((n_dates, n_factors)) * strength
    loadings = rng.standard_normal((n_factors, n_names))
    units = rng.uniform(0.1, 10.0, n_names)
    return (factors @ loadings + noise * rng.standard_normal((n_dates, n_names))) * units + 5.0 * units


def with_holes(panel: Floats, share: float, *, seed: int = 1) -> Floats:
    holed = panel.copy()
    holed[np.random.default_rng(seed).random(panel.shape) < share] = np.nan
    return holed


def up_to_sign(found: Floats, expected: Floats) -> Floats:
    return found * np.sign((found * expected).sum(axis=0))


@pytest.mark.parametrize("shape", [(120, 15), (40, 200), (30, 30)])
def test_fit_equals_numpy_svd_when_the_panel_has_no_hole(shape: tuple[int, int]) -> None:
    panel = planted_panel(*shape, n_factors=3)
    standardised = (panel - panel.mean(axis=0)) / panel.std(axis=0, ddof=1)
    left, singular, right = np.linalg.svd(standardised, full_matrices=False)

    model = FactorPCA(n_factors=3).fit(panel)

    np.testing.assert_allclose(up_to_sign(model.loadings_, right[:3].T), right[:3].T, atol=1e-10)
    expected_scores = left[:, :3] * singular[:3]
    np.testing.assert_allclose(up_to_sign(model.factor_scores_, expected_scores), expected_scores, atol=1e-10)
    variance = singular**2 / (shape[0] - 1)
    np.testing.assert_allclose(model.explained_variance_, variance[:3], rtol=1e-10)
    np.testing.assert_allclose(model.explained_variance_ratio_, variance[:3] / variance.sum(), rtol=1e-10)
    np.testing.assert_allclose(model.eigenvalues_, variance, atol=1e-10 * variance[0])
    assert model.is_converged_
    assert model.n_iterations_ == 0


def test_fit_equals_numpy_svd_of_the_centred_panel_when_it_does_not_standardise() -> None:
    panel = planted_panel(60, 8)
    _, singular, right = np.linalg.svd(panel - panel.mean(axis=0), full_matrices=False)

    model = FactorPCA(n_factors=2, standardise=False).fit(panel)

    np.testing.assert_allclose(up_to_sign(model.loadings_, right[:2].T), right[:2].T, atol=1e-10)
    np.testing.assert_allclose(model.explained_variance_, singular[:2] ** 2 / 59, rtol=1e-10)


def test_marginal_r2_equals_the_gain_of_a_regression_when_each_factor_is_added() -> None:
    panel = planted_panel(80, 6, n_factors=3)

    model = FactorPCA(n_factors=3).fit(panel)

    def r2(column: int, n_factors: int) -> float:
        design = np.column_stack([np.ones(80), model.factor_scores_[:, :n_factors]])
        fitted = design @ np.linalg.lstsq(design, panel[:, column], rcond=None)[0]
        return 1.0 - float(((panel[:, column] - fitted) ** 2).sum() / (80 - 1) / panel[:, column].var(ddof=1))

    expected = [[r2(column, k + 1) - r2(column, k) for k in range(3)] for column in range(6)]
    np.testing.assert_allclose(model.marginal_r2_, expected, atol=1e-12)


def test_fit_equals_statsmodels_completion_when_both_run_to_the_fixed_point() -> None:
    """Statsmodels standardises once, we do at every round; given our final mean and scale the fixed points coincide."""
    panel = with_holes(planted_panel(90, 12, noise=0.3), 0.08)

    model = FactorPCA(n_factors=2, tolerance=1e-24, max_iterations=2000).fit(panel)
    standardised = (panel - model.mean_) / model.scale_
    theirs = PCA(
        standardised, ncomp=2, standardize=False, demean=False, missing="fill-em", tol_em=1e-12, max_em_iter=5000
    )

    assert model.is_converged_
    np.testing.assert_allclose(up_to_sign(model.loadings_, theirs.loadings), theirs.loadings, atol=1e-8)
    np.testing.assert_allclose(model.explained_variance_ * 89, theirs.eigenvals, rtol=1e-8)
    ours = (model.filled_ - model.mean_) / model.scale_
    np.testing.assert_allclose(ours, theirs._adjusted_data, atol=1e-8)


def test_fit_equals_statsmodels_nipals_when_the_panel_has_no_hole() -> None:
    panel = planted_panel(50, 9)

    model = FactorPCA(n_factors=2).fit(panel)
    theirs = PCA(panel, ncomp=2, method="nipals", tol=1e-14, max_iter=5000)

    np.testing.assert_allclose(up_to_sign(model.loadings_, theirs.loadings), theirs.loadings, atol=1e-6)


def test_fit_recovers_the_removed_values_when_the_panel_is_nearly_of_low_rank() -> None:
    truth = planted_panel(200, 20, noise=0.01)
    panel = with_holes(truth, 0.1)

    model = FactorPCA(n_factors=2, tolerance=1e-12, max_iterations=500).fit(panel)

    is_hole = np.isnan(panel)
    error = ((model.filled_ - truth) / truth.std(axis=0))[is_hole]
    # The planted noise is 0.01 beside factors of deviation 2 to 3; a hole filled with the mean would err by about 1.
    assert np.sqrt((error**2).mean()) < 0.02
    np.testing.assert_array_equal(model.filled_[~is_hole], panel[~is_hole])


def test_fit_says_so_when_it_has_not_converged(caplog: pytest.LogCaptureFixture) -> None:
    panel = with_holes(planted_panel(60, 10), 0.3)

    model = FactorPCA(n_factors=2, max_iterations=1).fit(panel)

    assert not model.is_converged_
    assert model.n_iterations_ == 1
    assert "did not converge" in caplog.text


@pytest.mark.parametrize("criterion", ["pcp1", "pcp2", "pcp3", "er"])
@pytest.mark.parametrize(("shape", "planted"), [((200, 60), 1), ((200, 60), 4), ((100, 250), 3)])
def test_selection_finds_the_planted_number_when_the_panel_is_large(
    shape: tuple[int, int], planted: int, criterion: str
) -> None:
    panel = planted_panel(*shape, n_factors=planted, noise=1.0, seed=planted)

    model = FactorPCA(criterion=criterion).fit(panel)

    assert model.n_factors_ == planted


@pytest.mark.parametrize("penalty", [1, 2, 3])
def test_selection_equals_bai_and_ng_written_out_when_residuals_are_formed(penalty: int) -> None:
    panel = planted_panel(40, 25, n_factors=5, noise=3.0, seed=9)
    standardised = (panel - panel.mean(axis=0)) / panel.std(axis=0, ddof=1)
    left, singular, right = np.linalg.svd(standardised, full_matrices=False)
    n, t = 25, 40
    g = {
        1: (n + t) / (n * t) * np.log(n * t / (n + t)),
        2: (n + t) / (n * t) * np.log(min(n, t)),
        3: np.log(min(n, t)) / min(n, t),
    }[penalty]
    criterion = []
    for k in range(9):
        residual = standardised - (left[:, :k] * singular[:k]) @ right[:k]
        criterion.append(np.log((residual**2).mean()) + k * g)

    chosen = selection.select_n_factors(singular**2, standardised.shape, 8, criterion=f"pcp{penalty}")

    assert chosen == int(np.argmin(criterion))


@pytest.mark.parametrize(
    ("eigenvalues", "chosen"),
    [
        # Sum 12 over log(10) is 5.21: ratios 0.74, 7, 1.25, 1.6, ... so one factor.
        ([7.0, 1.0, 0.8, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.3], 1),
        # Ratios 10 / log(10) / 4 = 1.09, 1.33, 3, 1.25, ... so two.
        ([4.0, 3.0, 1.0, 0.8, 0.5, 0.3, 0.2, 0.1, 0.06, 0.04], 2),
        # Ratios 10 / log(10) = 4.34 before the first, then one throughout: none.
        ([1.0] * 10, 0),
    ],
)
def test_eigenvalue_ratio_selects_where_the_drop_is_largest(eigenvalues: list[float], chosen: int) -> None:
    assert selection.select_n_factors(np.array(eigenvalues), (50, 10), 4, criterion="er") == chosen


@pytest.mark.parametrize("criterion", ["pcp2", "er"])
def test_fit_has_no_factor_when_the_selection_finds_none(criterion: str) -> None:
    panel = np.random.default_rng(5).standard_normal((300, 60))

    model = FactorPCA(criterion=criterion).fit(panel)

    assert model.n_factors_ == 0
    assert model.score(with_holes(panel, 0.1)).shape == (300, 0)


def test_signs_make_loadings_sum_positive_when_the_panel_is_turned_over() -> None:
    panel = planted_panel(60, 9)

    model = FactorPCA(n_factors=2).fit(panel)
    turned = FactorPCA(n_factors=2).fit(-panel)

    assert (model.loadings_.sum(axis=0) > 0).all()
    np.testing.assert_allclose(turned.loadings_, model.loadings_, atol=1e-12)
    np.testing.assert_allclose(turned.factor_scores_, -model.factor_scores_, atol=1e-12)


def test_sign_follows_the_largest_loading_when_the_sum_vanishes() -> None:
    """Two mirrored columns load +-1/sqrt(2) on their factor, so the sum says nothing; the first name decides."""
    column = np.random.default_rng(2).standard_normal(40)

    model = FactorPCA(n_factors=1).fit(np.column_stack([column, -column]))

    np.testing.assert_allclose(model.loadings_[:, 0], [np.sqrt(0.5), -np.sqrt(0.5)], atol=1e-12)


def test_fit_repeats_itself_when_run_twice_and_leaves_its_input_alone() -> None:
    panel = with_holes(planted_panel(80, 30), 0.1)
    before = panel.copy()

    first, second = FactorPCA().fit(panel), FactorPCA().fit(panel)

    np.testing.assert_array_equal(panel, before)
    np.testing.assert_array_equal(first.loadings_, second.loadings_)
    np.testing.assert_array_equal(first.factor_scores_, second.factor_scores_)


def test_score_repeats_the_fitted_scores_when_given_the_fitted_rows() -> None:
    full = planted_panel(70, 12)
    holed = with_holes(full, 0.08)

    on_full = FactorPCA(n_factors=2).fit(full)
    on_holed = FactorPCA(n_factors=2, tolerance=1e-24, max_iterations=2000).fit(holed)

    np.testing.assert_allclose(on_full.score(full), on_full.factor_scores_, atol=1e-12)
    np.testing.assert_allclose(on_holed.score(holed), on_holed.factor_scores_, atol=1e-9)


def test_score_projects_on_the_present_columns_when_a_row_has_holes() -> None:
    model = FactorPCA(n_factors=2).fit(planted_panel(70, 12))
    truth = np.array([1.5, -0.7])
    row = (model.loadings_ @ truth) * model.scale_ + model.mean_
    row[[0, 4, 7]] = np.nan

    score = model.score(row[None, :])

    np.testing.assert_allclose(score, [truth], atol=1e-12)


def test_score_is_missing_when_a_row_does_not_determine_the_factors() -> None:
    panel = planted_panel(70, 12)
    model = FactorPCA(n_factors=2).fit(panel)
    rows = panel[:3].copy()
    rows[0] = np.nan
    rows[1, 1:] = np.nan

    score = model.score(rows)

    assert np.isnan(score).all(axis=1).tolist() == [True, True, False]


@pytest.mark.parametrize("shape", [(37, 11), (41, 333)])
def test_score_keeps_past_rows_when_later_rows_are_appended(shape: tuple[int, int]) -> None:
    """Bit for bit: a matrix product over more rows may round a row differently."""
    panel = planted_panel(*shape)
    panel[-5:, ::3] = np.nan
    model = FactorPCA(n_factors=2).fit(panel)

    together = model.score(panel)

    for last in range(1, len(panel)):
        np.testing.assert_array_equal(model.score(panel[:last]), together[:last])


def test_score_refuses_a_panel_when_its_columns_differ() -> None:
    model = FactorPCA(n_factors=1).fit(planted_panel(20, 5))

    with pytest.raises(ValueError, match=r"shape \(20, 4\), the factors were fitted on 5 columns.*Pass the fitted"):
        model.score(planted_panel(20, 4))


def test_score_refuses_when_nothing_was_fitted() -> None:
    with pytest.raises(ValueError, match=r"it was not fitted\. Call fit"):
        FactorPCA().score(np.ones((2, 2)))


def test_aligned_to_undoes_planted_flips_and_permutations_when_names_are_the_same() -> None:
    model = FactorPCA(n_factors=4).fit(planted_panel(150, 20, n_factors=4))
    order, sign = [2, 0, 3, 1], np.array([-1.0, 1.0, -1.0, -1.0])

    aligned, correlations = model.aligned_to(model.loadings_[:, order] * sign, np.arange(20))

    np.testing.assert_allclose(correlations, np.ones(4), atol=1e-12)
    np.testing.assert_array_equal(aligned.loadings_, model.loadings_[:, order] * sign)
    np.testing.assert_array_equal(aligned.factor_scores_, model.factor_scores_[:, order] * sign)
    np.testing.assert_array_equal(aligned.explained_variance_, model.explained_variance_[order])
    np.testing.assert_array_equal(aligned.explained_variance_ratio_, model.explained_variance_ratio_[order])
    np.testing.assert_array_equal(aligned.marginal_r2_, model.marginal_r2_[:, order])


def test_aligned_to_leaves_the_model_itself_alone_when_it_returns_a_copy() -> None:
    model = FactorPCA(n_factors=2).fit(planted_panel(50, 8))
    before = model.state()

    aligned, _ = model.aligned_to(-model.loadings_[:, ::-1], np.arange(8))

    assert not np.array_equal(aligned.loadings_, model.loadings_)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_aligned_to_keeps_names_apart_when_only_some_are_common() -> None:
    """The predecessor knew nine of the twelve names, in another order."""
    panel = planted_panel(300, 12, noise=0.1)
    own = np.array([11, 3, 5, 0, 7, 9, 1, 2, 8])
    model = FactorPCA(n_factors=2).fit(panel)
    predecessor = FactorPCA(n_factors=2).fit(-panel[:250][:, own])

    aligned, correlations = model.aligned_to(-predecessor.loadings_[:, ::-1], own)

    assert (correlations > 0.85).all()
    assert ((aligned.loadings_[own] * -predecessor.loadings_[:, ::-1]).sum(axis=0) > 0).all()


def test_aligned_to_pairs_together_when_greedy_choice_would_not() -> None:
    """Cosines [[.8, .6], [.6, 0]]-like: taking the best pair first would leave the other factor orthogonal."""
    model = FactorPCA(n_factors=2).fit(planted_panel(50, 8))
    first, second = model.loadings_.T
    predecessor = np.column_stack([0.75 * first + 0.66 * second, first])

    aligned, correlations = model.aligned_to(predecessor, np.arange(8))

    np.testing.assert_array_equal(aligned.loadings_[:, 0], second)
    np.testing.assert_allclose(correlations, [0.66 / np.hypot(0.75, 0.66), 1.0], atol=1e-12)


def test_aligned_to_puts_newcomers_last_when_the_predecessor_had_fewer_factors() -> None:
    model = FactorPCA(n_factors=3).fit(planted_panel(100, 15, n_factors=3))

    aligned, correlations = model.aligned_to(-model.loadings_[:, [2]], np.arange(15))

    np.testing.assert_array_equal(aligned.loadings_, model.loadings_[:, [2, 0, 1]] * [-1.0, 1.0, 1.0])
    np.testing.assert_allclose(correlations, [1.0, np.nan, np.nan], atol=1e-12)


def test_aligned_to_keeps_the_order_of_the_partners_when_the_predecessor_had_more_factors() -> None:
    larger = FactorPCA(n_factors=3).fit(planted_panel(100, 15, n_factors=3))
    model, _ = larger.aligned_to(larger.loadings_[:, [2, 0]], np.arange(15))
    model.loadings_, model.factor_scores_ = model.loadings_[:, :2], model.factor_scores_[:, :2]

    aligned, correlations = model.aligned_to(larger.loadings_, np.arange(15))

    np.testing.assert_allclose(aligned.loadings_, larger.loadings_[:, [0, 2]], atol=1e-12)
    np.testing.assert_allclose(correlations, [1.0, 1.0], atol=1e-12)


def test_aligned_to_refuses_loadings_when_positions_do_not_fit() -> None:
    model = FactorPCA(n_factors=1).fit(planted_panel(20, 5))

    with pytest.raises(ValueError, match=r"\(5, 1\) predecessor loadings for \(4,\) own rows"):
        model.aligned_to(model.loadings_, np.arange(4))


def test_state_round_trip_scores_identically_when_restored() -> None:
    panel = with_holes(planted_panel(60, 9), 0.1)
    model = FactorPCA(n_factors=2, criterion="pcp3", tolerance=1e-7).fit(panel)

    restored = FactorPCA.from_state(model.state())

    np.testing.assert_array_equal(restored.score(panel), model.score(panel))
    assert vars(restored).keys() == vars(model).keys()
    for name, value in vars(model).items():
        if name != "filled_":
            np.testing.assert_array_equal(getattr(restored, name), value)
    assert restored.filled_.shape == (0, 9)


@pytest.mark.parametrize("shape", [(60, 9), (45, 301)])
def test_scores_are_the_same_bytes_when_arrays_come_back_in_another_memory_layout(shape: tuple[int, int]) -> None:
    panel = planted_panel(*shape, n_factors=3)
    own = FactorPCA(n_factors=3).fit(panel)
    model, _ = own.aligned_to(-own.loadings_[:, [1, 2, 0]], np.arange(shape[1]))

    state = {name: np.asfortranarray(array) for name, array in model.state().items()}
    restored = FactorPCA.from_state(state)

    np.testing.assert_array_equal(restored.score(np.asfortranarray(panel)), model.score(panel))
    np.testing.assert_array_equal(
        FactorPCA(n_factors=3).fit(np.asfortranarray(panel)).factor_scores_, own.factor_scores_
    )


def test_from_state_refuses_when_an_array_is_absent() -> None:
    state = FactorPCA(n_factors=1).fit(planted_panel(20, 5)).state()
    del state["mean_"]

    with pytest.raises(ValueError, match=r"lacks \['mean_'\]"):
        FactorPCA.from_state(state)


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        (np.ones((1, 4)), r"shape \(1, 4\) has no factors"),
        (np.ones(5), r"shape \(5,\) has no factors"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), "1 infinite values"),
        (np.array([[1.0, 7.0], [2.0, 7.0], [3.0, np.nan]]), r"1 of 2 columns .* positions \[1\]"),
        (np.array([[1.0, np.nan], [2.0, np.nan], [3.0, np.nan]]), r"1 of 2 columns .* positions \[1\]"),
    ],
)
def test_fit_refuses_a_panel_when_it_has_no_variance_to_explain(panel: Floats, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FactorPCA(n_factors=1).fit(panel)


def test_fit_refuses_a_number_of_factors_when_the_panel_has_lower_rank() -> None:
    column = np.arange(5.0)

    with pytest.raises(ValueError, match=r"2 factors asked of a panel .* rank 1"):
        FactorPCA(n_factors=2).fit(np.column_stack([column, 2 * column, -column]))


@pytest.mark.parametrize(("argument", "value"), [("criterion", "pcp4"), ("n_factors", 0)])
def test_factor_pca_refuses_an_argument_when_it_has_no_meaning(argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=argument):
        FactorPCA(**{argument: value})


def published_factors(text: str) -> tuple[float, list[float], list[dict[str, float]]]:
    """Total share, share of each factor and the marginal R2 of its ten best series, from the replication's output."""
    monthly = text.split("FRED-QD quarterly")[0].split("FRED-MD monthly")[1].splitlines()
    total = float(next(line for line in monthly if line.startswith("factors")).split()[2])
    shares: list[float] = []
    best: list[dict[str, float]] = []
    for line in monthly:
        if line.startswith("Factor:"):
            shares.append(float(line.rpartition("=")[2]))
            best.append({})
        elif best and line[:1] == "0":
            value, name = line.split("  ", 1)
            best[-1][name.strip().split("  ")[0]] = float(value)
    return total, shares, best


def test_fit_reproduces_the_published_factors_when_given_fred_md_of_may_2015(vendor_data: Path) -> None:
    """Sample 1960-03 to 2014-12, outliers judged over the whole file, eight factors by PCp2."""
    with (vendor_data / "fredmd" / "fred_md_2015-05_original.csv").open() as file:
        header, code_row, *rows = csv.reader(file)
    codes = [int(code) for code in code_row[1:]]
    raw = np.array([[float(cell) if cell else np.nan for cell in row[1:]] for row in rows if row[0]])
    dates = [row[0] for row in rows if row[0]]
    sample = slice(dates.index("3/1/1960"), dates.index("12/1/2014") + 1)
    text = (vendor_data / "reference" / "terence_lim_fredmd_2015-05_fredqd_2020-04_factors.txt").read_text()
    total, shares, best = published_factors(text)

    transformed = transforms.apply_transform(raw, codes)
    cleaned, _ = transforms.remove_outliers(transformed)
    model = FactorPCA().fit(cleaned[sample])

    assert cleaned[sample].shape == (658, 134)
    assert model.is_converged_
    assert model.n_factors_ == len(shares) == 8
    assert model.explained_variance_ratio_.sum() == pytest.approx(total, abs=0.0005)
    np.testing.assert_allclose(model.explained_variance_ratio_, shares, atol=0.0005)
    np.testing.assert_allclose(model.marginal_r2_.mean(axis=0), model.explained_variance_ratio_, atol=1e-12)
    names = [name.removesuffix("x") for name in header[1:]]
    for name, marginal_r2 in best[0].items():
        assert model.marginal_r2_[names.index(name), 0] == pytest.approx(marginal_r2, abs=0.002)
