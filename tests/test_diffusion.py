"""Diffusion-index forecasts: against statsmodels, against planted truth, and blind to what comes later."""

from __future__ import annotations

import re
import sys
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm

from flows import cli, macro_study
from models import diffusion, nested
from models.macro_factors import Levels
from warehouse.whole_vintages import Vintage

Floats = npt.NDArray[np.float64]


def planted(n_dates: int, *, loading: float, seed: int) -> tuple[Floats, Floats]:
    """Levels whose growth follows its own last month and the factor of two months before, and that factor."""
    rng = np.random.default_rng(seed)
    factor = np.zeros(n_dates)
    growth = np.zeros(n_dates)
    for at in range(2, n_dates):
        factor[at] = 0.8 * factor[at - 1] + rng.standard_normal()
        growth[at] = 0.3 * growth[at - 1] + loading * factor[at - 2] + rng.standard_normal()
    return np.exp(0.001 * growth.cumsum()), factor


def inputs(levels: Floats, factor: Floats, horizon: int) -> tuple[Floats, Floats, Floats]:
    own = np.concatenate([[np.nan], np.diff(np.log(levels))])
    return diffusion.outcome_by_origin(levels, 5, horizon), own, factor[:, None]


def lagged(column: Floats, n_lags: int, most: int) -> Floats:
    return np.column_stack([column[most - 1 - lag : len(column) - lag] for lag in range(n_lags)])


@pytest.mark.parametrize("criterion", ["bic", "aic"])
@pytest.mark.parametrize("horizon", [1, 4])
def test_forecast_equals_statsmodels_when_every_pair_of_lags_is_tried(criterion: str, horizon: int) -> None:
    levels, factor = planted(180, loading=0.5, seed=4)
    outcome, own, factors = inputs(levels, factor, horizon)
    y = own[1:]
    most, n_rows = 3, len(y) - 2 - horizon
    target = outcome[1:][2:][:n_rows]

    def fitted(n_own: int, n_factor: int) -> tuple[float, float]:
        columns = [lagged(y, n_own, most)] + ([lagged(factor[1:], n_factor, most)] if n_factor else [])
        design = sm.add_constant(np.column_stack(columns), has_constant="add")
        result = sm.OLS(target, design[:n_rows]).fit()
        return float(getattr(result, criterion)), float(result.predict(design[-1:])[0])

    alone = min((fitted(own_lags, 0) for own_lags in (1, 2, 3)), key=lambda pair: pair[0])
    together = min((fitted(p, m) for p in (1, 2, 3) for m in (1, 2, 3)), key=lambda pair: pair[0])

    found = diffusion.forecast(
        outcome, own, factors, horizon=horizon, rule=diffusion.LagRule(most, most, criterion=criterion)
    )

    assert found.n_rows == n_rows
    assert found.autoregression == pytest.approx(alone[1], rel=1e-9)
    assert found.diffusion == pytest.approx(together[1], rel=1e-9)
    assert found.mean == pytest.approx(target.mean(), rel=1e-12)


def test_forecast_does_not_look_at_outcomes_that_are_not_known_yet() -> None:
    levels, factor = planted(150, loading=0.5, seed=5)
    outcome, own, factors = inputs(levels, factor, 6)
    cut = 120
    poisoned = outcome[:cut].copy()
    poisoned[cut - 6 :] = 1e6

    found = diffusion.forecast(poisoned, own[:cut], factors[:cut], horizon=6)

    assert found == diffusion.forecast(outcome[:cut], own[:cut], factors[:cut], horizon=6)
    poisoned[cut - 7] = 1e6
    assert found != diffusion.forecast(poisoned, own[:cut], factors[:cut], horizon=6)


@pytest.mark.parametrize(("loading", "low", "high"), [(1.0, 0.25, 0.55), (0.0, 0.98, 1.1)])
def test_ratio_of_errors_is_the_planted_one(loading: float, low: float, high: float) -> None:
    """With loading 1 the growth of the next month is known up to noise of variance 1; its own past knows less."""
    levels, factor = planted(700, loading=loading, seed=6)
    outcome, own, factors = inputs(levels, factor, 1)

    made = [diffusion.forecast(outcome[:n], own[:n], factors[:n], horizon=1) for n in range(300, 700)]

    came = outcome[299:699]
    error = {name: came - [getattr(one, name) for one in made] for name in ("autoregression", "diffusion")}
    ratio = (error["diffusion"][:-1] ** 2).mean() / (error["autoregression"][:-1] ** 2).mean()
    assert low < ratio < high
    if loading:
        # Noise of variance one, in units of a thousandth of growth.
        assert (error["diffusion"][:-1] ** 2).mean() == pytest.approx(1e-6, rel=0.15)
        assert {one.n_factor for one in made} == {2}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1, [3.0, 5.0, 8.0, np.nan, np.nan]),
        (2, [(3 - 1) / 2, (5 - 2) / 2, (8 - 3) / 2, np.nan, np.nan]),
        (5, [np.log(3) / 2, np.log(5 / 2) / 2, np.log(8 / 3) / 2, np.nan, np.nan]),
        (6, [np.nan, np.log(5 / 2) / 2 - np.log(2), np.log(8 / 3) / 2 - np.log(3 / 2), np.nan, np.nan]),
    ],
)
def test_outcome_is_what_its_code_says(code: int, expected: list[float]) -> None:
    outcome = diffusion.outcome_by_origin(np.array([1.0, 2.0, 3.0, 5.0, 8.0]), code, 2)

    np.testing.assert_allclose(outcome, expected, rtol=1e-12)


def test_forecast_refuses_what_it_cannot_use() -> None:
    levels, factor = planted(150, loading=0.5, seed=5)
    outcome, own, factors = inputs(levels, factor, 6)

    with pytest.raises(ValueError, match="1 of the 13 lags of the last row are missing"):
        diffusion.forecast(outcome, np.append(own[:-1], np.nan), factors, horizon=6)
    with pytest.raises(ValueError, match="19 rows with a known outcome for up to 13 coefficients"):
        diffusion.forecast(outcome[:31], own[:31], factors[:31], horizon=6)
    with pytest.raises(ValueError, match="unknown criterion 'hq'"):
        diffusion.forecast(outcome, own, factors, horizon=6, rule=diffusion.LagRule(criterion="hq"))
    with pytest.raises(ValueError, match="horizon is 0"):
        diffusion.outcome_by_origin(levels, 5, 0)


def test_clark_west_is_the_t_statistic_of_outcome_times_forecast_when_the_smaller_model_says_zero() -> None:
    """Clark and West (2006): for a martingale difference, the adjusted difference is 2 y f; the horizon is one."""
    rng = np.random.default_rng(1)
    came, larger = rng.standard_normal(200), rng.standard_normal(200)
    product = 2 * came * larger
    expected = product.mean() / (product.std() / np.sqrt(200))

    found = nested.clark_west(came, np.zeros(200), larger, 1)

    assert found.mean_gain == pytest.approx(product.mean(), rel=1e-12)
    assert found.statistic == pytest.approx(expected, rel=1e-12)


def test_clark_west_equals_the_regression_on_a_constant_with_hac_errors_when_targets_overlap() -> None:
    rng = np.random.default_rng(2)
    came = np.convolve(rng.standard_normal(203), np.ones(4), "valid")
    smaller, larger = 0.1 * rng.standard_normal(200), 0.4 * came + rng.standard_normal(200)
    gain = (came - smaller) ** 2 - (came - larger) ** 2 + (smaller - larger) ** 2
    result = sm.OLS(gain, np.ones(200)).fit(cov_type="HAC", cov_kwds={"maxlags": 3})

    found = nested.clark_west(came, smaller, larger, 4)

    assert found.statistic == pytest.approx(float(result.tvalues[0]), rel=1e-10)
    assert found.p_value == pytest.approx(float(result.pvalues[0]) / 2, rel=1e-8)


def test_clark_west_keeps_its_size_where_diebold_mariano_would_not() -> None:
    """The larger model estimates a slope that is zero; one-sided at 5 %, about that share of samples rejects."""
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(400):
        x, y = rng.standard_normal((2, 180))
        slope = np.array([x[:n] @ y[:n] / (x[:n] @ x[:n]) for n in range(60, 180)])
        rejected += nested.clark_west(y[60:], np.zeros(120), slope * x[60:], 1).p_value < 0.05
    # Clark and West report sizes somewhat below the nominal one.
    assert 0.01 < rejected / 400 < 0.08


def test_clark_west_refuses_columns_of_other_lengths_or_with_holes() -> None:
    with pytest.raises(ValueError, match=r"are compared\. Pass one of each per date"):
        nested.clark_west(np.zeros(3), np.zeros(3), np.zeros(4), 1)
    with pytest.raises(ValueError, match="1 of 3 dates to compare lack a value"):
        nested.clark_west(np.array([1.0, np.nan, 2.0]), np.zeros(3), np.zeros(3), 1)


def quiet(what: str, done: int, total: int) -> None:
    """Nobody watches."""


def macro_levels(n_rows: int, *, seed: int = 8) -> Floats:
    """Twelve growing series with one common factor, by month from 1985 on."""
    rng = np.random.default_rng(seed)
    growth = rng.standard_normal((n_rows, 1)) + 0.5 * rng.standard_normal((n_rows, 12))
    return 100 * np.exp(0.01 * growth.cumsum(axis=0))


NAMES = ("INDPRO", "PAYEMS", "UNRATE", "CPIAUCSL", *"ABCDEFGH")


def test_forecasts_from_one_panel_do_not_know_the_rows_after_their_origin() -> None:
    values = macro_levels(170)
    months = np.datetime64("1985-01", "M") + np.arange(170)
    poisoned = values.copy()
    poisoned[150:] *= np.random.default_rng(0).uniform(0.1, 10.0, (20, 12))
    codes = np.full(12, 5)

    made, other = (
        macro_study.forecast_rows(Levels(NAMES, months, each, codes, "M"), (months[140], months[169]), quiet)
        for each in (values, poisoned)
    )

    for key, one in made.items():
        n_before = int((np.array(one.months) < months[150]).sum())
        assert 0 < n_before < len(one.forecasts) == 30
        assert one.forecasts[:n_before] == other[key].forecasts[:n_before]
        assert one.forecasts[n_before:] != other[key].forecasts[n_before:]


def test_forecasts_in_real_time_know_their_own_vintage_alone_and_are_judged_by_the_first_and_the_last() -> None:
    series = tuple(f"FREDMD:{name}" for name in NAMES)
    values = macro_levels(135)
    days = (np.datetime64("1985-01", "M") + np.arange(135)).astype("datetime64[D]")

    def vintages(poisoned_from: int) -> list[Vintage]:
        made = []
        for n_rows in range(120, 136):
            factor = 3.0 ** np.arange(n_rows)[:, None] if n_rows >= poisoned_from else 1.0
            codes = dict.fromkeys(series, 5) if n_rows == 120 else {}
            made.append(Vintage(str(n_rows), date(2026, 1, 1), series, days[:n_rows], values[:n_rows] * factor, codes))
        return made

    made = macro_study.forecast_vintages(vintages(999), quiet)
    other = macro_study.forecast_vintages(vintages(130), quiet)

    one, poisoned = made["INDPRO", 3], other["INDPRO", 3]
    assert one.forecasts[:10] == poisoned.forecasts[:10]
    assert one.forecasts[10:] != poisoned.forecasts[10:]
    growth = np.log(values[122, 0] / values[119, 0]) / 3
    assert one.outcomes["first published"][0] == one.outcomes["last vintage"][0] == pytest.approx(growth, rel=1e-12)
    # The poison adds log(3) a month to all growth, from the vintage of 130 months on.
    assert poisoned.outcomes["first published"][0] == pytest.approx(growth, rel=1e-12)
    assert poisoned.outcomes["last vintage"][0] == pytest.approx(growth + np.log(3), rel=1e-12)
    assert np.isnan(one.outcomes["last vintage"][-3:]).all()


@pytest.mark.exhaustive
def test_study_gives_the_published_ratios_and_the_page_in_docs(
    vendor_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """McCracken and Ng (2016), Table 4. Employment over 12 months is not theirs against AR; against the mean it is."""
    folder, made = vendor_data / "fredmd", tmp_path / "page.md"
    file, vintages = folder / "fred_md_2015-05_original.csv", folder / "fred_md_all_vintages.parquet"
    words = ["forecast-study", str(vintages), "--file", str(file), "--out", str(made)]
    monkeypatch.setattr(sys, "argv", ["daybook", *words])

    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main()

    page = made.read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    on_file = {(row[0], row[1]): row for row in rows[2:18]}
    assert {row[3] for row in on_file.values()} == {"300"}
    ratio, ratio_to_mean = 5, 9
    assert float(on_file["INDPRO", "6"][ratio]) == pytest.approx(0.92, abs=0.05)
    assert float(on_file["INDPRO", "12"][ratio]) == pytest.approx(0.90, abs=0.05)
    assert float(on_file["PAYEMS", "6"][ratio]) == pytest.approx(0.97, abs=0.05)
    assert float(on_file["PAYEMS", "12"][ratio_to_mean]) == pytest.approx(0.53, abs=0.05)
    kept = (Path(__file__).resolve().parents[1] / "docs" / "macro_forecasts.md").read_text(encoding="utf-8")
    number = re.compile(r"\d+\.\d+")
    assert number.sub("#", page) == number.sub("#", kept)
    # Other processors round other digits; the last one shown may differ.
    now, then = ([float(one) for one in number.findall(text)] for text in (page, kept))
    np.testing.assert_allclose(now, then, atol=0.011)
