"""Model results enter whole, twice the same changes nothing, and a past day sees only versions of its past."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from warehouse import results
from warehouse.tables import model

FITTED = date(2026, 11, 13)


@pytest.fixture
def version():
    """Rows of one fitted version: a card and two coefficients, or as many as named."""

    def make(as_of=FITTED, terms=("intercept", "beta_60d"), estimate=1.0, is_champion=True, hour=10):
        name = f"ridge/{as_of}"
        card = {
            "model_version": name,
            "model_name": "ridge",
            "as_of_date": as_of,
            "train_start": date(2024, 1, 2),
            "train_end": as_of,
            "n_rows": 10,
            "n_rows_dropped": 0,
            "params": "{}",
            "is_converged": True,
            "is_champion": is_champion,
            "files_sha256": "",
            "code_version": "0",
            "snapshot": hour,
            "fitted_at": datetime(2026, 11, 13, hour, tzinfo=UTC),
        }
        coefficients = [
            {
                "model_version": name,
                "model_name": "ridge",
                "term": term,
                "estimate": estimate,
                "std_error": 0.5,
                "t_statistic": estimate / 0.5,
            }
            for term in terms
        ]
        return name, {
            model.MODEL_VERSION: pa.Table.from_pylist([card]),
            model.COEFFICIENT: pa.Table.from_pylist(coefficients),
        }

    return make


def test_version_written_twice_makes_no_snapshot_when_only_instants_differ(empty_lake, version):
    results.write_version(empty_lake, *version(hour=10))
    snapshot = empty_lake.snapshot

    results.write_version(empty_lake, *version(hour=11))

    assert empty_lake.snapshot == snapshot


def test_version_fitted_again_replaces_what_the_first_fit_left(empty_lake, version):
    results.write_version(empty_lake, *version(terms=("intercept", "beta_60d", "reversal_5d")))

    results.write_version(empty_lake, *version(terms=("intercept", "beta_60d"), estimate=2.0))

    rows = empty_lake.read("select term, estimate from model.coefficient order by term").to_pylist()
    assert rows == [{"term": "beta_60d", "estimate": 2.0}, {"term": "intercept", "estimate": 2.0}]


def test_versions_are_those_promoted_by_the_day_when_later_ones_exist(empty_lake, version):
    for as_of, is_champion in ((FITTED, True), (date(2026, 11, 20), False), (date(2026, 11, 27), True)):
        results.write_version(empty_lake, *version(as_of=as_of, is_champion=is_champion))

    on_the_22nd = results.read_versions(empty_lake, "ridge", date(2026, 11, 22))
    on_the_27th = results.read_versions(empty_lake, "ridge", date(2026, 11, 27))

    assert on_the_22nd == [("ridge/2026-11-13", FITTED)]
    assert [name for name, _ in on_the_27th] == ["ridge/2026-11-27", "ridge/2026-11-13"]


def test_scores_given_after_the_fit_survive_when_the_version_is_fitted_again(empty_lake, version):
    name, rows = version()
    score = {"model_version": name, "model_name": "ridge", "factor": 1, "score": 0.1}
    fitted = rows | {model.FACTOR_SCORE: pa.Table.from_pylist([score | {"score_date": FITTED}])}
    results.write_version(empty_lake, name, fitted)
    later = pa.Table.from_pylist([score | {"score_date": date(2026, 11, 16)}])
    results.add_rows(empty_lake, {model.FACTOR_SCORE: later}, "scored")

    results.write_version(empty_lake, name, fitted)

    assert empty_lake.read_value("select count(*) from model.factor_score") == 2
