"""Factors that stay themselves: planted turns undone, angles in closed form, and parts that add up to the change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from models import pca, stability
from models.stability import Rows, Ruler

Floats = npt.NDArray[np.float64]


def panel(n_dates: int = 120, n_names: int = 20, *, n_factors: int = 3, seed: int = 0, holes: float = 0.0) -> Floats:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n_dates, n_factors)) * np.linspace(3.0, 1.5, n_factors)
    values = factors @ rng.standard_normal((n_factors, n_names)) + rng.standard_normal((n_dates, n_names))
    values[rng.random(values.shape) < holes] = np.nan
    return values * rng.uniform(0.1, 10.0, n_names) + 3.0


def names_of(count: int) -> tuple[str, ...]:
    return tuple(f"S{number:02d}" for number in range(count))


def test_match_undoes_planted_flips_and_swaps() -> None:
    scores = np.random.default_rng(0).standard_normal((80, 3))
    turned = scores[:, [2, 0, 1]] * np.array([-1.0, 1.0, -1.0])

    found = stability.match(scores, turned)

    np.testing.assert_allclose(turned @ found.rotation, scores, atol=1e-14)
    np.testing.assert_allclose(found.correlation, 1.0, atol=1e-14)


@pytest.mark.parametrize(("n_previous", "n_own"), [(2, 4), (4, 2)])
def test_match_puts_newcomers_last_when_the_number_of_factors_changes(n_previous: int, n_own: int) -> None:
    scores = np.random.default_rng(1).standard_normal((80, 4))
    previous, own = scores[:, :n_previous], -scores[:, :n_own][:, ::-1]

    found = stability.match(previous, own)

    aligned = own @ found.rotation
    np.testing.assert_allclose(aligned[:, :2], scores[:, :2], atol=1e-14)
    assert np.isnan(found.correlation).tolist() == [False] * 2 + [True] * (n_own - 2)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(n_own), atol=1e-15)


def test_match_leaves_no_flip_on_twenty_sliding_windows() -> None:
    """Each window drops five dates and takes in five; the common dates decide."""
    values = panel(300, 40)
    before = pca.FactorPCA(n_factors=3).fit(values[:200]).factor_scores_

    for start in range(5, 105, 5):
        own = pca.FactorPCA(n_factors=3).fit(values[start : start + 200]).factor_scores_
        # Sign and order of an eigenvector are an accident of the arithmetic; here they are made one.
        own = own[:, [1, 2, 0]] * np.array([1.0, -1.0, -1.0])
        found = stability.match(before[5:], own[:-5])
        aligned = own @ found.rotation
        correlation = [np.corrcoef(before[5:, k], aligned[:-5, k])[0, 1] for k in range(3)]
        np.testing.assert_allclose(correlation, found.correlation, atol=1e-12)
        assert min(correlation) > 0.95
        before = aligned


def test_procrustes_finds_the_planted_rotation() -> None:
    rng = np.random.default_rng(2)
    scores = rng.standard_normal((60, 4))
    rotation = stats.ortho_group.rvs(4, random_state=3)

    found = stability.procrustes(scores, scores @ rotation.T)

    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(found.correlation, 1.0, atol=1e-12)


@pytest.mark.parametrize("theta", [0.0, 1e-9, 0.1, 1.0, np.pi / 2])
def test_principal_angles_are_the_planted_ones_whatever_the_basis(theta: float) -> None:
    """A plane in five dimensions, one axis of which is turned by theta out of it."""
    plane = np.eye(5)[:, :2]
    turned = np.column_stack([np.cos(theta) * np.eye(5)[:, 0] + np.sin(theta) * np.eye(5)[:, 3], np.eye(5)[:, 1]])
    mixed = turned @ np.array([[2.0, 1.0], [-1.0, 3.0]])

    np.testing.assert_allclose(stability.principal_angles(plane, turned), [theta, 0.0], atol=1e-14)
    np.testing.assert_allclose(stability.principal_angles(plane, mixed), [theta, 0.0], atol=1e-14)
    assert stability.principal_angles(plane[:, :1], mixed).shape == (1,)


@pytest.mark.parametrize(
    ("degrees", "history", "expected"),
    [
        (30, [2, 2, 2, 2, 2], True),
        (4.9, [0.1] * 9, False),
        (9, [2] * 5, False),
        (11, [2] * 5, True),
        (80, [1] * 4, False),
    ],
)
def test_jump_is_beyond_five_degrees_and_five_times_the_median(
    degrees: float, history: list[float], expected: bool
) -> None:
    assert stability.has_jumped(np.deg2rad(degrees), np.deg2rad(history).tolist()) is expected


@pytest.mark.parametrize("hidden", [0, 6])
def test_ruler_scores_as_the_fit_does_when_values_are_missing(hidden: int) -> None:
    values = panel()
    model = pca.FactorPCA(n_factors=3).fit(values)
    row = values[-1].copy()
    row[:hidden] = np.nan

    found = Ruler.of(model, names_of(20)).score(row)

    np.testing.assert_allclose(found, model.score(row[None, :])[0], atol=1e-12)


def rows_of(values: Floats, revised: Floats, own: slice, before: slice) -> Rows:
    """Then is the last row but one; the refit sees the columns of `own`, the last fit those of `before`."""
    return Rows(values[-2, before], revised[-2, before], revised[-1, before], revised[-1, own])


@pytest.mark.parametrize("holes", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(5))
def test_receipt_adds_up_when_data_are_revised_and_names_come_and_go(holes: float, seed: int) -> None:
    values = panel(150, 24, seed=seed, holes=holes)
    revised = values * (1 + 0.05 * np.random.default_rng(seed).standard_normal(values.shape))
    before = pca.FactorPCA(n_factors=3).fit(values[:-1, :20])
    after = pca.FactorPCA(n_factors=3).fit(revised[:, 4:])
    match = stability.match(before.factor_scores_, after.factor_scores_[:-1])
    rulers = (
        Ruler.of(before, names_of(24)[:20]),
        Ruler.of(after, names_of(24)[4:], match),
    )
    published = (before.factor_scores_[-1], (after.factor_scores_ @ match.rotation)[-1])

    found = stability.receipt(*rulers, rows_of(values, revised, slice(4, 24), slice(0, 20)), published=published)

    np.testing.assert_allclose(found.new_data + found.refit, published[1] - published[0], atol=1e-10)
    assert found.names == names_of(24)
    # Only the refit knows the last four names, only the last fit the first four.
    assert not found.new_row[20:].any() and not found.restandardised[[0, 1, 2, 3, 20, 21, 22, 23]].any()
    assert found.reloaded[20:].any()


def test_receipt_gives_everything_to_data_when_the_fit_stays_and_to_the_refit_when_data_stay() -> None:
    values = panel(100, 10)
    ruler = Ruler.of(pca.FactorPCA(n_factors=2).fit(values[:-1]), names_of(10))
    other = Ruler.of(pca.FactorPCA(n_factors=2).fit(values * 1.1 + 0.2), names_of(10))
    then, now = values[-2], values[-1]

    data_alone = stability.receipt(ruler, ruler, Rows(then, then, now, now))
    refit_alone = stability.receipt(ruler, other, Rows(then, then, then, then))

    assert not data_alone.refit.any()
    np.testing.assert_allclose(data_alone.new_data, ruler.score(now) - ruler.score(then), atol=1e-12)
    assert not refit_alone.new_data.any()
    np.testing.assert_allclose(refit_alone.refit, other.score(then) - ruler.score(then), atol=1e-12)


def test_receipt_is_this_arithmetic_when_there_are_two_series_and_one_factor() -> None:
    """Loadings .6 and .8; the mean of the first moves from 0 to 1, its value from 2 to 5, after a revision to 3."""
    before = Ruler(("A", "B"), np.array([0.0, 0.0]), np.array([1.0, 2.0]), np.array([[0.6], [0.8]]))
    after = Ruler(("A", "B"), np.array([1.0, 0.0]), np.array([1.0, 2.0]), np.array([[0.8], [0.6]]))
    then, revised, now = np.array([2.0, 4.0]), np.array([3.0, 4.0]), np.array([5.0, 8.0])

    found = stability.receipt(before, after, Rows(then, revised, now, now))

    np.testing.assert_allclose(found.revision, [[0.6 * 1], [0.0]], atol=1e-15)
    np.testing.assert_allclose(found.new_row, [[0.6 * 2], [0.8 * 2]], atol=1e-15)
    np.testing.assert_allclose(found.restandardised, [[-0.6 * 1], [0.0]], atol=1e-15)
    np.testing.assert_allclose(found.reloaded, [[0.2 * 4], [-0.2 * 4]], atol=1e-15)
    assert found.before == pytest.approx(0.6 * 2 + 0.8 * 2)
    assert found.after == pytest.approx(0.8 * 4 + 0.6 * 4)


def test_refusals_name_shapes_and_what_to_do() -> None:
    ruler = Ruler.of(pca.FactorPCA(n_factors=3).fit(panel()), names_of(20))

    with pytest.raises(ValueError, match=r"2 of 20 series are present, too few to tell 3 factors apart\. Wait"):
        ruler.score(np.array([1.0, 2.0] + [np.nan] * 18))
    with pytest.raises(ValueError, match=r"\(5, 2\) and \(6, 2\) are compared"):
        stability.match(np.zeros((5, 2)), np.zeros((6, 2)))
    with pytest.raises(ValueError, match="1 values are missing or infinite"):
        stability.principal_angles(np.eye(5)[:, :2], np.where(np.eye(5)[:, :1] == 1, np.nan, 1.0))
    with pytest.raises(ValueError, match="3 factors are to be turned towards 2"):
        stability.procrustes(np.ones((5, 2)), np.ones((5, 3)))
