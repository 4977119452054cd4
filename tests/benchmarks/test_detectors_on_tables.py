"""The detectors on the labelled tables: what each is worth where it is known which rows are anomalous."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models import detectors, encoding, labelled

pytestmark = pytest.mark.benchmark


@pytest.mark.parametrize("name", detectors.DETECTORS)
def test_detector_on_every_labelled_table(vendor_data, name, report):
    """ROC-AUC and average precision per table, seed 0, and their means."""
    areas, precisions = {}, {}
    for path in sorted((vendor_data / "anomaly" / "tabular").glob("*.parquet")):
        rows = pd.read_parquet(path)
        labels = rows.pop("label").to_numpy()
        columns = {column: rows[column].to_numpy(np.float64) for column in rows}
        encoder = encoding.TableEncoder().fit(columns)
        table = encoder.transform(columns)
        scores = detectors.make(name, seed=0).fit(table).score(table)
        judged = labelled.judge(scores, labels, threshold=float(np.quantile(scores, 0.9)), budget=20)
        areas[path.stem] = round(judged["roc_auc"], 4)
        precisions[path.stem] = round(judged["average_precision"], 4)

    report(
        detector=name,
        mean_roc_auc=round(float(np.mean(list(areas.values()))), 4),
        mean_average_precision=round(float(np.mean(list(precisions.values()))), 4),
        roc_auc=areas,
        average_precision=precisions,
    )
    assert len(areas) == 11
