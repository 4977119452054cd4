"""Planted blobs, label order, the choice of the number of clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import datasets, metrics

from models import cluster, pca

Floats = npt.NDArray[np.float64]


def blobs(sizes: list[int], centres: list[list[float]], *, seed: int = 0) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Points of unit variance around each centre, shuffled, and which centre each belongs to."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centre = np.array(centres)
    return centre[owner] + rng.standard_normal((len(owner), centre.shape[1])), owner


def test_cluster_points_recovers_planted_blobs_when_it_chooses_their_number() -> None:
    points, owner = blobs([30, 80, 50], [[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])

    found = cluster.cluster_points(points, n_clusters=None, seed=1)

    # By size: the blob of 80 is 1, of 50 is 2, of 30 is 3.
    np.testing.assert_array_equal(found.labels, np.array([3, 1, 2])[owner])
    expected = np.array([points[owner == blob].mean(axis=0) for blob in (1, 2, 0)])
    np.testing.assert_allclose(found.centres, expected, atol=1e-9)
    assert found.silhouette > 0.8


def test_cluster_points_orders_by_centre_when_sizes_are_equal() -> None:
    points, owner = blobs([40, 40, 40], [[20.0, 0.0], [-20.0, 5.0], [0.0, -30.0]])

    found = cluster.cluster_points(points, n_clusters=3, seed=1)

    np.testing.assert_array_equal(found.labels, np.array([3, 1, 2])[owner])


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_cluster_points_gives_the_same_labels_when_the_seed_or_the_order_of_rows_changes(seed: int) -> None:
    points, _ = blobs([30, 80, 50], [[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    order = np.random.default_rng(seed).permutation(len(points))

    reference = cluster.cluster_points(points, seed=0)
    again = cluster.cluster_points(points[order], seed=seed)

    np.testing.assert_array_equal(again.labels, reference.labels[order])


def test_cluster_points_repeats_itself_when_structure_is_absent() -> None:
    points = np.random.default_rng(4).standard_normal((200, 3))

    first = cluster.cluster_points(points, seed=7)
    second = cluster.cluster_points(points, seed=7)

    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.centres, second.centres)
    assert first.silhouette == second.silhouette


def test_silhouette_equals_hand_arithmetic_when_there_are_four_points() -> None:
    """0 and 1 against 10 and 12: within 1 and 2, across 11, 10, 9.5 and 11.5."""
    points = np.array([[0.0], [1.0], [10.0], [12.0]])

    found = cluster.cluster_points(points, n_clusters=2, seed=0)

    expected = np.mean([1 - 1 / 11, 1 - 1 / 10, 1 - 2 / 9.5, 1 - 2 / 11.5])
    assert found.labels.tolist() == [1, 1, 2, 2]
    assert found.silhouette == pytest.approx(expected, abs=1e-12)


def test_cluster_points_has_no_silhouette_when_one_cluster_is_asked_for() -> None:
    found = cluster.cluster_points(np.array([[1.0, 2.0], [3.0, 6.0]]), n_clusters=1, seed=0)

    assert found.labels.tolist() == [1, 1]
    assert found.centres.tolist() == [[2.0, 4.0]]
    assert np.isnan(found.silhouette)


def test_groups_of_wine_agree_with_its_cultivars_as_the_textbook_prints_it() -> None:
    """Three components of the 13 standardised measurements, three groups; figures as printed for K-means there."""
    wine = datasets.load_wine()

    scores = pca.FactorPCA(n_factors=3).fit(wine.data).factor_scores_
    found = cluster.cluster_points(scores, n_clusters=3, seed=0)

    homogeneity, completeness, v_measure = metrics.homogeneity_completeness_v_measure(wine.target, found.labels)
    assert homogeneity == pytest.approx(0.879, abs=0.001)
    assert completeness == pytest.approx(0.873, abs=0.001)
    assert v_measure == pytest.approx(0.876, abs=0.001)
    assert metrics.adjusted_rand_score(wine.target, found.labels) == pytest.approx(0.897, abs=0.001)
    assert metrics.adjusted_mutual_info_score(wine.target, found.labels) == pytest.approx(0.875, abs=0.001)
    assert found.silhouette == pytest.approx(0.454, abs=0.001)


def test_assign_gives_the_nearest_centre_when_points_are_new() -> None:
    points, _ = blobs([60, 20], [[0.0, 0.0], [30.0, 30.0]])
    found = cluster.cluster_points(points, n_clusters=2, seed=0)

    labels = found.assign(np.array([[28.0, 33.0], [2.0, -4.0]]))

    assert labels.tolist() == [2, 1]
    np.testing.assert_array_equal(found.assign(points), found.labels)


def test_assign_refuses_points_when_their_dimension_differs() -> None:
    found = cluster.cluster_points(np.array([[0.0], [1.0], [9.0]]), n_clusters=2, seed=0)

    with pytest.raises(ValueError, match="points of 2 dimensions for centres of 1"):
        found.assign(np.zeros((3, 2)))


def test_cluster_points_refuses_points_when_a_coordinate_is_missing() -> None:
    points = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, 2.0], [5.0, np.inf]])

    with pytest.raises(ValueError, match=r"2 of 4 points .* rows \[1, 3\]\. Leave those points out"):
        cluster.cluster_points(points, seed=0)


@pytest.mark.parametrize("n_clusters", [0, 3, None])
def test_cluster_points_refuses_a_number_when_distinct_points_are_too_few(n_clusters: int | None) -> None:
    points = np.array([[0.0], [0.0], [1.0], [1.0], [2.0]]) if n_clusters else np.array([[0.0], [1.0], [1.0]])

    with pytest.raises(ValueError, match=r"distinct points"):
        cluster.cluster_points(points, n_clusters=n_clusters, seed=0)
