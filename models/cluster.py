"""Which points belong together: months of one macro regime, or securities of one kind?

Invariant: the same points and seed give the same labels, and a label means the same thing whatever order K-means found
the clusters in: 1 is the largest. Partner: `models/pca.py`, whose factor scores or loadings are the points.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import threadpoolctl
from sklearn import cluster, metrics

from models import base

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

FEWEST_CLUSTERS = 2
MOST_CLUSTERS = 8

# K-means ends in a local optimum; the best of ten starts is scikit-learn's own default for random starts.
N_STARTS = 10


@dataclass(frozen=True, slots=True)
class Clustering:
    """Points in groups.

    Args:
        labels: (n_points,) from 1, by size; equal sizes by the coordinates of the centre.
        silhouette: mean silhouette in [-1, 1], higher is better separated; NaN for a single cluster.
        centres: (n_clusters, n_dimensions), row k - 1 is the mean of the points labelled k.
    """

    labels: Labels
    silhouette: float
    centres: Floats

    def assign(self, points: Floats) -> Labels:
        """Labels of new points: the nearest centre's; of two equally near, the larger cluster's.

        Args:
            points: (n_points, n_dimensions) float64 in the space of the clustered ones.

        Returns:
            (n_points,) labels from 1.

        Raises:
            ModelError: a missing value, or another number of dimensions; pass complete points of the same space.
        """
        points = _checked(points)
        if points.shape[1] != self.centres.shape[1]:
            raise base.ModelError(
                f"points of {points.shape[1]} dimensions for centres of {self.centres.shape[1]}. "
                "Pass the coordinates that were clustered, in the same order."
            )
        squared = ((points[:, None, :] - self.centres[None, :, :]) ** 2).sum(axis=2)
        return np.asarray(squared.argmin(axis=1) + 1, dtype=np.int64)


def cluster_points(points: Floats, *, n_clusters: int | None = None, seed: int) -> Clustering:
    """The points in groups by K-means.

    Distances are Euclidean in the units given, so a coordinate of larger spread counts for more; standardise before
    where that is not meant.

    Args:
        points: (n_points, n_dimensions) float64 without missing values.
        n_clusters: number of groups; None tries 2 to 8 and takes the one of highest mean silhouette, the smaller of two
            equals.
        seed: of the random starts.

    Returns:
        Labels from 1 by size, their mean silhouette and centres.

    Raises:
        ModelError: a missing value, or more clusters than distinct points less one; leave out incomplete points, or ask
            for fewer clusters.

    Source:
        Rousseeuw (1987), Journal of Computational and Applied Mathematics 20, for the silhouette.
    """
    points = _checked(points)
    # A silhouette needs two points in some cluster, so there must be more distinct points than clusters.
    most = len(np.unique(points, axis=0)) - 1
    if n_clusters is not None:
        if not 1 <= n_clusters <= max(most, 1):
            raise base.ModelError(
                f"{n_clusters} clusters asked of {most + 1} distinct points. "
                f"Ask for 1 to {max(most, 1)}, or add points."
            )
        return _clustered(points, n_clusters, seed)
    if most < FEWEST_CLUSTERS:
        raise base.ModelError(
            f"{most + 1} distinct points are too few to choose a number of clusters. "
            f"Pass at least {FEWEST_CLUSTERS + 1}, or n_clusters=1."
        )
    tried = [_clustered(points, count, seed) for count in range(FEWEST_CLUSTERS, min(MOST_CLUSTERS, most) + 1)]
    best = max(tried, key=lambda one: one.silhouette)
    log.info("chose n_clusters=%s silhouette=%.3f n_points=%s", len(best.centres), best.silhouette, len(points))
    return best


def _clustered(points: Floats, n_clusters: int, seed: int) -> Clustering:
    # Over so few points threads only wait for each other: on a machine with other work a fit took seconds.
    with threadpoolctl.threadpool_limits(1):
        fitted = cluster.KMeans(n_clusters=n_clusters, n_init=N_STARTS, random_state=seed).fit(points)
    found, centres = np.asarray(fitted.labels_), np.asarray(fitted.cluster_centers_, dtype=np.float64)
    sizes = np.bincount(found, minlength=n_clusters)
    # The last key of lexsort is the first to sort by.
    order = np.lexsort((*centres.T[::-1], -sizes))
    rank = np.empty(n_clusters, dtype=np.int64)
    rank[order] = np.arange(1, n_clusters + 1)
    silhouette = float(metrics.silhouette_score(points, found)) if n_clusters > 1 else float("nan")
    return Clustering(rank[found], silhouette, centres[order])


def _checked(points: Floats) -> Floats:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or not points.size:
        raise base.ModelError(f"points of shape {points.shape} cannot be clustered. Pass (n_points, n_dimensions).")
    incomplete = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(incomplete):
        raise base.ModelError(
            f"{len(incomplete)} of {len(points)} points have a missing or infinite coordinate, "
            f"the first in rows {incomplete[:10].tolist()}. Leave those points out."
        )
    return points
