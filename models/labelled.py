"""How good are anomaly scores where it is known which rows are anomalous?

Accuracy says little where anomalies are rare: calling every row normal is nearly always right. So what that would score
stands beside every figure, and average precision and the yield of a fixed number of alerts beside accuracy. Partner:
`models/detectors.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models import base

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def judge(scores: Floats, labels: Labels, *, threshold: float, budget: int) -> dict[str, Any]:
    """Every figure about scores and labels.

    Args:
        scores: (n_rows,) higher is more abnormal, finite.
        labels: (n_rows,) 1 for an anomaly, else 0.
        threshold: score above which a row counts as flagged.
        budget: alerts that somebody can look at: the rows of highest score, the earlier row first among equals.

    Returns:
        Counts (`true_positives` and so on), `precision`, `recall`, `f1`, `accuracy`, `roc_auc`, `average_precision`,
        `precision_at_budget`, `recall_at_budget`, and the same for always saying normal under `always_normal`. A figure
        that is not defined, such as recall without any anomaly, is None.

    Raises:
        ModelError: other lengths, or a label that is neither 0 nor 1.
    """
    from sklearn import metrics

    if scores.shape != labels.shape or scores.ndim != 1:
        raise base.ColumnMismatch(f"{scores.shape} scores for {labels.shape} labels. Pass one label per row.")
    if not np.isin(labels, (0, 1)).all():
        raise base.ModelError("a label is neither 0 nor 1. Pass 1 for an anomaly and 0 for the others.")
    is_flagged, is_anomaly = scores > threshold, labels == 1
    n_rows, n_anomalies = len(labels), int(is_anomaly.sum())
    first = np.argsort(-scores, kind="stable")[:budget]
    n_caught = int(is_anomaly[first].sum())
    has_both = 0 < n_anomalies < n_rows
    return {
        "n_rows": n_rows,
        "n_anomalies": n_anomalies,
        "prevalence": n_anomalies / n_rows if n_rows else None,
        "threshold": float(threshold),
        **_at_threshold(is_flagged, is_anomaly),
        "roc_auc": float(metrics.roc_auc_score(labels, scores)) if has_both else None,
        "average_precision": float(metrics.average_precision_score(labels, scores)) if has_both else None,
        "budget": len(first),
        "precision_at_budget": _share(n_caught, len(first)),
        "recall_at_budget": _share(n_caught, n_anomalies),
        "always_normal": {
            **_at_threshold(np.zeros(n_rows, bool), is_anomaly),
            "roc_auc": 0.5 if has_both else None,
            "average_precision": n_anomalies / n_rows if has_both else None,
        },
    }


def _at_threshold(is_flagged: npt.NDArray[np.bool_], is_anomaly: npt.NDArray[np.bool_]) -> dict[str, Any]:
    true_positives = int((is_flagged & is_anomaly).sum())
    false_positives = int((is_flagged & ~is_anomaly).sum())
    false_negatives = int((~is_flagged & is_anomaly).sum())
    true_negatives = int((~is_flagged & ~is_anomaly).sum())
    return {
        "true_positives": true_positives,
        "false_positives": false_positives,
        "false_negatives": false_negatives,
        "true_negatives": true_negatives,
        "precision": _share(true_positives, true_positives + false_positives),
        "recall": _share(true_positives, true_positives + false_negatives),
        "f1": _share(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
        "accuracy": _share(true_positives + true_negatives, len(is_flagged)),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
