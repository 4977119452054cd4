"""The command that runs a detector on a file, without a lake: detect.

Partner: `flows/detector_files.py`.
"""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


class Detector(enum.StrEnum):
    """What makes a row strange, see `models/detectors.py`, or a period, see `models/series_detectors.py`."""

    robust_z = "robust_z"
    pca = "pca"
    hotelling_t2 = "hotelling_t2"
    isolation_forest = "isolation_forest"
    ecod = "ecod"
    autoencoder = "autoencoder"
    forecast_error = "forecast_error"
    spectral_residual = "spectral_residual"
    sub_pca = "sub_pca"
    window_autoencoder = "window_autoencoder"


def detect(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file to score, columns of numbers or text.")],
    detector: Annotated[Detector, typer.Option("--detector", help="Which detector scores the rows.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet or CSV to write: the rows with their scores.")],
    label: Annotated[str, typer.Option("--label", help="Column with 1 for anomalies and 0 for the others.")] = "",
    train: Annotated[Path | None, typer.Option("--train", help="File to learn from; default the same file.")] = None,
    *,
    series: Annotated[
        list[str] | None,
        typer.Option("--series", help="Column whose rows are periods, oldest first; the detectors of series need it."),
    ] = None,
    share: Annotated[
        float, typer.Option("--share", min=0.0, max=1.0, help="Share of the rows learned from that is flagged.")
    ] = 0.1,
    budget: Annotated[int, typer.Option("--budget", min=1, help="Alerts that somebody can look at.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the detector.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Score the rows of a file by how unlike the others they are."""
    import json

    from flows import detector_files

    wanted = detector_files.Wanted(detector.value, label, share, budget, seed, tuple(series or ()))
    found = detector_files.detect_file(file, train, out, wanted)
    if found["constant_columns"]:
        print(
            f"daybook: left out {', '.join(found['constant_columns'])}: every value learned from is the same.",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps(found | {"out": str(out)}, indent=2))
        return
    print(f"{found['n_rows']} rows, {found['n_columns']} columns, {found['n_filled']} missing values filled")
    print(f"{found['n_flagged']} rows lie above the threshold of {found['threshold']:.6g}")
    if "labelled" in found:
        _print_judgement(found["labelled"])
    print(out)


def _print_judgement(judged: dict[str, Any]) -> None:
    print(f"\n{judged['n_anomalies']} of {judged['n_rows']} rows are labelled anomalous ({judged['prevalence']:.2%})\n")
    print(f"{'':14}{'flagged':>10}{'not flagged':>14}")
    print(f"{'anomalous':14}{judged['true_positives']:>10}{judged['false_negatives']:>14}")
    print(f"{'normal':14}{judged['false_positives']:>10}{judged['true_negatives']:>14}\n")
    print(f"{'':20}{'detector':>10}{'always normal':>16}")
    for name in ("precision", "recall", "f1", "accuracy", "roc_auc", "average_precision"):
        print(f"{name.replace('_', ' '):20}{_shown(judged[name]):>10}{_shown(judged['always_normal'][name]):>16}")
    print(
        f"\nof the first {judged['budget']} alerts {_shown(judged['precision_at_budget'])} are right; "
        f"they find {_shown(judged['recall_at_budget'])} of the anomalies\n"
    )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
