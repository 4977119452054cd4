"""ROC-AUC of PyOD's detectors on labelled tables: python pyod_detectors.py FOLDER SEED.

Runs in an environment of its own. Every detector has the settings it comes with; constant columns are left out, as they
are for ours.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.pca import PCA
from sklearn import metrics

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
DETECTORS = {
    "autoencoder": lambda: AutoEncoder(random_state=seed, verbose=0),
    "ecod": lambda: ECOD(),
    "isolation_forest": lambda: IForest(random_state=seed),
    "pca": lambda: PCA(random_state=seed),
}

areas, seconds = {name: {} for name in DETECTORS}, dict.fromkeys(DETECTORS, 0.0)
for path in sorted(folder.glob("*.parquet")):
    rows = pd.read_parquet(path)
    labels = rows.pop("label").to_numpy()
    values = rows.to_numpy(np.float64)
    values = values[:, values.std(axis=0) > 0]
    for name, make in DETECTORS.items():
        started = time.perf_counter()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            scores = make().fit(values).decision_scores_
        seconds[name] += time.perf_counter() - started
        # PyOD's ECOD can say infinity, which scikit-learn's metric refuses.
        areas[name][path.stem] = float(metrics.roc_auc_score(labels, np.nan_to_num(scores, posinf=1e300)))
    print(path.stem, {name: round(area[path.stem], 4) for name, area in areas.items()}, file=sys.stderr, flush=True)
print(json.dumps({"roc_auc": areas, "seconds": seconds}))
