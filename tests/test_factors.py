"""The macro panel and its factors, on the real series: every month kept, nothing shifted, numpy's SVD to 1e-10."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flows import factors, settings
from flows.context import Context
from models import pca
from warehouse import derive, lake, load, seeds, vintages
from warehouse.tables import feature, macro, model

TEN = ("GDPC1", "UNRATE", "CPIAUCSL", "FEDFUNDS", "M2SL", "T10Y2Y", "HOUST", "INDPRO", "DCOILWTICO", "SP500")
PULLED = date(2026, 11, 20)


def read_series(folder, series_id):
    return pd.read_csv(folder / "fred" / f"{series_id}.csv", parse_dates=["observation_date"])


@pytest.fixture(scope="module")
def real_lake(tmp_path_factory, vendor_data):
    location = lake.LakeLocation(tmp_path_factory.mktemp("real") / "lake", memory_limit="1GB", threads=1)
    with lake.open_writer(location, holder="test") as opened:
        series = seeds.fred_series()
        opened.commit(lambda connection: derive.write_rows(connection, macro.SERIES, series), message="series")
        parts = []
        for series_id in TEN:
            frame = read_series(vendor_data, series_id)
            parts.append(
                pa.table(
                    {
                        "series_id": pa.array([series_id] * len(frame), pa.string()),
                        "observation_date": pa.array(frame["observation_date"].dt.date, pa.date32()),
                        "value": pa.array(frame[series_id], pa.float64(), from_pandas=True),
                    }
                )
            )
        partitions = [load.Partition(series_id, PULLED) for series_id in TEN]
        one = vintages.observation_load(pa.concat_tables(parts), partitions, pull_date=PULLED)
        load.load(opened, [one], load.Stamp("load", datetime(2026, 11, 20, tzinfo=UTC)))
        yield opened


def test_macro_panel_keeps_every_month_of_its_span(real_lake):
    panel, _ = factors.read_macro_panel(real_lake, PULLED)

    months = panel.dates.astype("datetime64[M]")
    assert panel.names == tuple(sorted(TEN))
    assert np.array_equal(months, np.arange(months[0], months[-1] + 1))
    assert months[0] <= np.datetime64("1976-09") and months[-1] >= np.datetime64("2025-09")


def test_macro_panel_puts_a_value_where_it_was_known_and_leaves_october_2025_open(real_lake, vendor_data):
    panel, _ = factors.read_macro_panel(real_lake, PULLED)
    unrate = read_series(vendor_data, "UNRATE").set_index("observation_date")["UNRATE"]
    column = dict(
        zip(panel.dates.astype("datetime64[M]").tolist(), panel.data[:, panel.names.index("UNRATE")], strict=True)
    )

    # June 2024 is published in early July: at the end of July the newest difference known is June less May.
    expected = unrate["2024-06-01"] - unrate["2024-05-01"]
    assert column[date(2024, 7, 1)] == pytest.approx(expected, abs=1e-12)
    # October 2025 was never published, so neither October less September nor November less October exists.
    assert np.isnan(column[date(2025, 11, 1)]) and np.isnan(column[date(2025, 12, 1)])
    december = unrate["2025-12-01"] - unrate["2025-11-01"]
    assert column[date(2026, 1, 1)] == pytest.approx(december, abs=1e-12)


def test_macro_factors_equal_numpys_singular_vectors(real_lake):
    panel, _ = factors.read_macro_panel(real_lake, PULLED)

    fitted = pca.FactorPCA(n_factors=3, max_iterations=factors.MOST_ITERATIONS).fit(panel.data)

    assert fitted.is_converged_
    filled = fitted.filled_
    standardised = (filled - filled.mean(axis=0)) / filled.std(axis=0)
    _, singular, rows = np.linalg.svd(standardised, full_matrices=False)
    share = singular**2 / (singular**2).sum()
    for factor in range(3):
        loading, expected = fitted.loadings_[:, factor], rows[factor]
        sign = np.sign(loading @ expected)
        np.testing.assert_allclose(loading, sign * expected, atol=1e-10)
    np.testing.assert_allclose(fitted.explained_variance_ratio_, share[:3], atol=1e-10)


def test_macro_panel_of_a_past_day_ignores_what_came_later(real_lake):
    as_of = date(2024, 7, 31)

    panel, _ = factors.read_macro_panel(real_lake, as_of)

    assert panel.dates[-1] == np.datetime64("2024-07-01")
    later = real_lake.read_value(
        "select count(*) from feature.macro_panel where as_of_date = $as_of and observation_date > $as_of", as_of=as_of
    )
    assert later == 0


def test_refit_keeps_signs_and_stores_how_far_its_space_turned(real_lake, tmp_path):
    """A year of months later; the angle is the one between the column spaces, by numpy's QR and SVD."""
    options = settings.read_settings(home=tmp_path / "home", _env_file=None)
    now = datetime(2026, 11, 20, tzinfo=UTC)
    context = Context(options, now, "refit/test", None, None, None)

    def fit(as_of):
        fitted = next(
            one for one in factors.fit_macro(context, real_lake, as_of) if one.model_version.startswith("macro_pca")
        )
        wanted = (model.MODEL_VERSION, model.FACTOR, model.FACTOR_LOADING, model.FACTOR_SCORE, feature.MACRO_PANEL)

        def write(connection):
            for table in wanted:
                derive.write_rows(connection, table, fitted.rows[table])

        real_lake.commit(write, message=fitted.model_version)
        return fitted.rows

    first, second = fit(date(2023, 12, 29)), fit(date(2024, 12, 31))

    assert model.EVALUATION not in first and first[model.FACTOR_CHANGE].num_rows == 0
    # A year of months and a refit: what was published before and now, and parts that add up to the difference.
    change = second[model.FACTOR_CHANGE].to_pandas()
    ends = [
        rows[model.FACTOR_SCORE].to_pandas().pivot(index="score_date", columns="factor", values="score").iloc[-1]
        for rows in (first, second)
    ]
    parts = change[["new_data", "revised", "rescaled", "reloaded", "completed"]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx((ends[1] - ends[0]).to_numpy(), abs=1e-10)
    assert change["new_data"].abs().min() > 0 and change["reloaded"].abs().min() > 0
    for rows in (first, second):
        # Signs of a refit follow the fit before; what moved a factor must follow its scores.
        scores = rows[model.FACTOR_SCORE].to_pandas().pivot(index="score_date", columns="factor", values="score")
        parts = rows[model.FACTOR_MOVE].to_pandas().groupby("factor")["contribution"].sum()
        assert parts.to_numpy() == pytest.approx(scores.diff().iloc[-1].to_numpy(), abs=1e-9)
    loadings = [
        rows[model.FACTOR_LOADING].to_pandas().pivot(index="entity", columns="factor", values="loading").to_numpy()
        for rows in (first, second)
    ]
    cosines = np.linalg.svd(np.linalg.qr(loadings[0])[0].T @ np.linalg.qr(loadings[1])[0])[1]
    evaluated = second[model.EVALUATION].to_pylist()
    assert [row["metric"] for row in evaluated] == ["subspace_angle"]
    assert evaluated[0]["value"] == pytest.approx(np.arccos(cosines.min()), abs=1e-7)
    assert 0 < evaluated[0]["value"] < np.deg2rad(30)
    assert min(second[model.FACTOR]["predecessor_correlation"].to_pylist()) > 0.9
