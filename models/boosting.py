"""What do boosted trees forecast: the strong baseline that a network has to beat?

Invariants: the number of trees is fixed, so no random part of a time series decides when to stop; one thread, so that
sums are added in one order on every machine; a fitted model is plain arrays that numpy walks.
Partner: `models/mlp.py`, the other model that is not linear.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import threadpoolctl
from sklearn import ensemble

from models import base
from models.base import Floats
from models.fitted import ArrayModel


class Boosting(ArrayModel):
    """Gradient-boosted regression trees on squared error, by scikit-learn's histogram method.

    Args:
        trees: how many, each fitted to what those before left over.
        leaves: most leaves of a tree: 8 lets three features act together.
        min_rows: fewest training rows in a leaf; returns are so noisy that a smaller mean tells nothing.
        learning_rate: share of each tree that is believed.
        l2: penalty on the leaves' values.
        seed: of the rows on which the histograms' edges are placed.

    Attributes:
        start_: mean of the training target, before the first tree.
        roots_: (trees,) where each tree begins among the nodes.
        feature_, threshold_, left_, right_, value_: (n_nodes,) the nodes of all trees, one after another.
        is_converged_: True once fitted: the number of trees is given.

    Source:
        Friedman (2001), Annals of Statistics 29(5); scikit-learn's HistGradientBoostingRegressor.
    """

    SETTINGS = ("trees", "leaves", "min_rows", "learning_rate", "l2", "seed")
    FITTED: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("start_", "threshold_", "value_"), np.float64),
        **dict.fromkeys(("n_features_", "roots_", "feature_", "left_", "right_"), np.int64),
    }

    def __init__(
        self,
        *,
        trees: int = 60,
        leaves: int = 8,
        min_rows: int = 100,
        learning_rate: float = 0.05,
        l2: float = 1.0,
        seed: int = 0,
    ) -> None:
        if min(trees, min_rows) < 1 or leaves < 2 or not 0 < learning_rate <= 1 or l2 < 0:
            raise base.ModelError(
                f"Boosting got trees={trees}, leaves={leaves}, min_rows={min_rows}, learning_rate={learning_rate}, "
                f"l2={l2}. Pass positive counts, at least 2 leaves, a rate in (0, 1], a penalty from 0."
            )
        self.trees, self.leaves, self.min_rows, self.seed = int(trees), int(leaves), int(min_rows), int(seed)
        self.learning_rate, self.l2 = float(learning_rate), float(l2)

    def fit(self, features: Floats, target: Floats, dates: npt.ArrayLike) -> Self:
        """This model, fitted.

        Args:
            features: (n_rows, n_features) float64, finite.
            target: (n_rows,) float64, finite.
            dates: (n_rows,) the date of each row.

        Returns:
            self.

        Raises:
            ModelError: the rows are not fit to train on; the message names what to change.
        """
        rows = base.checked_rows(features, target, dates)
        trainer = ensemble.HistGradientBoostingRegressor(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.min_rows,
            learning_rate=self.learning_rate,
            l2_regularization=self.l2,
            early_stopping=False,
            random_state=self.seed,
        )
        with threadpoolctl.threadpool_limits(1):
            trainer.fit(rows.features, rows.target)
        self.n_features_ = rows.features.shape[1]
        self.start_ = float(np.ravel(trainer._baseline_prediction)[0])
        trees = [predictor.nodes for (predictor,) in trainer._predictors]
        self.roots_ = np.concatenate([[0], np.cumsum([len(nodes) for nodes in trees])])[:-1].astype(np.int64)
        at = [root + np.arange(len(nodes)) for root, nodes in zip(self.roots_, trees, strict=True)]
        is_leaf = np.concatenate([nodes["is_leaf"].astype(bool) for nodes in trees])
        own, root_of = np.concatenate(at), np.repeat(self.roots_, [len(nodes) for nodes in trees])

        def column(name: str) -> npt.NDArray[Any]:
            return np.concatenate([nodes[name] for nodes in trees])

        self.feature_ = np.where(is_leaf, 0, column("feature_idx")).astype(np.int64)
        self.threshold_ = np.where(is_leaf, 0.0, column("num_threshold"))
        self.left_ = np.where(is_leaf, own, root_of + column("left")).astype(np.int64)
        self.right_ = np.where(is_leaf, own, root_of + column("right")).astype(np.int64)
        self.value_ = column("value").astype(np.float64)
        self.is_converged_ = True
        return self

    @property
    def _n_features(self) -> int:
        return self.n_features_

    def _forecast(self, table: Floats) -> Floats:
        predicted = np.full(len(table), self.start_)
        # A block's rows and places stay in the processor's cache while every tree is walked.
        for begin in range(0, len(table), base.BLOCK_ROWS):
            block = table[begin : begin + base.BLOCK_ROWS]
            row = np.arange(len(block))
            for root in self.roots_:
                place = np.full(len(block), root)
                while True:
                    goes_left = block[row, self.feature_[place]] <= self.threshold_[place]
                    following = np.where(goes_left, self.left_[place], self.right_[place])
                    if np.array_equal(following, place):
                        break
                    place = following
                predicted[begin : begin + base.BLOCK_ROWS] += self.value_[place]
        return predicted
