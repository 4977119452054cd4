"""A refit that turned the factors' space is one alert until the next refit; what refits usually do is none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from flows import detecting, factors
from warehouse import checks, results
from warehouse.tables import model

FIRST = date(2024, 1, 5)
INSTANT = datetime(2024, 1, 5, 10, tzinfo=UTC)


@pytest.fixture
def fitted_lake(empty_lake):
    """A lake in which a model was refitted weekly, each refit turning its space by some degrees."""

    def fill(name, degrees):
        for week, angle in enumerate(degrees):
            day = FIRST + timedelta(weeks=week)
            card = {
                column.name: {"VARCHAR": "", "DATE": day, "BOOLEAN": True, "TIMESTAMPTZ": INSTANT}.get(column.type, 0)
                for column in model.MODEL_VERSION.columns
                if not column.nullable
            }
            version = {"model_version": f"{name}/{day}", "model_name": name}
            told = {"fold": 0, "test_start": FIRST, "test_end": day, "metric": factors.SUBSPACE_ANGLE, "n_rows": 10}
            results.write_version(
                empty_lake,
                f"{name}/{day}",
                {
                    model.MODEL_VERSION: pa.Table.from_pylist([card | version | {"as_of_date": day}]),
                    model.EVALUATION: pa.Table.from_pylist([version | told | {"value": float(np.deg2rad(angle))}]),
                },
            )
        return empty_lake, FIRST + timedelta(weeks=len(degrees) - 1)

    return fill


def test_turn_out_of_proportion_is_found_with_its_size(fitted_lake):
    lake, newest = fitted_lake("equity_pca", [2.0, 3.0, 2.5, 2.0, 3.0, 40.0])

    (found,) = detecting.find_factor_jumps(lake, newest).to_pylist()

    assert (found["rule"], found["subject"], found["subject_date"]) == ("factor_space_jump", "equity_pca", newest)
    assert found["title"] == f"equity_pca/{newest} turned its factors by 40.0 degrees; 2.5 is usual"
    assert lake.read(found["evidence_sql"])["degrees"].to_pylist()[-1] == pytest.approx(40.0)


@pytest.mark.parametrize("degrees", [[2.0, 3.0, 2.5, 2.0, 3.0, 9.0], [40.0], [0.1] * 5 + [4.0], [2, 3, 2, 3, 2, 40, 3]])
def test_usual_turn_is_no_finding(fitted_lake, degrees):
    """Within five times the usual; with no refits before it; of few degrees; after a jump that is over."""
    lake, newest = fitted_lake("equity_pca", degrees)

    assert detecting.find_factor_jumps(lake, newest).num_rows == 0


def test_jump_is_not_known_before_its_refit(fitted_lake):
    lake, newest = fitted_lake("equity_pca", [2.0, 3.0, 2.5, 2.0, 3.0, 40.0])

    assert detecting.find_factor_jumps(lake, newest - timedelta(days=1)).num_rows == 0


def test_alert_ends_with_the_next_refit(fitted_lake):
    degrees = [2.0, 3.0, 2.5, 2.0, 3.0, 40.0]
    lake, newest = fitted_lake("equity_pca", degrees)
    rules = [detecting.FACTOR_JUMP]
    during = checks.record(lake, detecting.find_factor_jumps(lake, newest), rules, newest)

    lake, later = fitted_lake("equity_pca", [*degrees, 3.0])
    after = checks.record(lake, detecting.find_factor_jumps(lake, later), rules, later)

    assert (during.num_rows, after.num_rows) == (1, 0)
