"""Transform codes by hand arithmetic, holes, the regular grid and the outlier rule."""

from __future__ import annotations

import numpy as np
import pytest

from models import transforms

NAN = float("nan")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1, [1.0, 2.0, 8.0, 4.0]),
        (2, [NAN, 1.0, 6.0, -4.0]),
        (3, [NAN, NAN, 5.0, -10.0]),
        (4, [0.0, np.log(2), 3 * np.log(2), 2 * np.log(2)]),
        (5, [NAN, np.log(2), 2 * np.log(2), -np.log(2)]),
        (6, [NAN, NAN, np.log(2), -3 * np.log(2)]),
        # Growth rates 1, 3 and -0.5.
        (7, [NAN, NAN, 2.0, -3.5]),
    ],
)
def test_apply_transform_equals_hand_arithmetic_when_nothing_is_missing(code: int, expected: list[float]) -> None:
    values = [1.0, 2.0, 8.0, 4.0]

    transformed = transforms.apply_transform(values, code)

    np.testing.assert_allclose(transformed, expected, atol=1e-14)


def test_apply_transform_never_reaches_across_a_hole_when_october_2025_was_not_published() -> None:
    """CPIAUCSL has no value for 2025-10: neither October nor November has a one-month change."""
    months = np.array(["2025-07", "2025-08", "2025-09", "2025-11", "2025-12", "2026-01"], dtype="datetime64[M]")
    cpi = np.array([322.132, 323.364, 324.368, 325.063, 326.031, 326.588])

    periods, values = transforms.regular_grid(months, cpi, "M")
    change = transforms.apply_transform(values, 5)
    acceleration = transforms.apply_transform(values, 6)

    assert periods.tolist() == np.arange("2025-07", "2026-02", dtype="datetime64[M]").tolist()
    assert np.isnan(values).tolist() == [False, False, False, True, False, False, False]
    assert np.isnan(change).tolist() == [True, False, False, True, True, False, False]
    assert change[5] == pytest.approx(np.log(326.031 / 325.063), abs=1e-15)
    assert np.isnan(acceleration).tolist() == [True, True, False, True, True, True, False]


def test_apply_transform_uses_each_column_its_own_code_when_given_a_matrix() -> None:
    table = np.array([[1.0, 1.0, 5.0], [2.0, 4.0, NAN], [4.0, 9.0, 7.0]])

    transformed = transforms.apply_transform(table, [1, 2, 5])

    np.testing.assert_array_equal(transformed[:, 0], [1.0, 2.0, 4.0])
    np.testing.assert_array_equal(transformed[:, 1], [NAN, 3.0, 5.0])
    np.testing.assert_array_equal(transformed[:, 2], [NAN, NAN, NAN])


@pytest.mark.parametrize("code", transforms.TRANSFORM_CODES)
def test_apply_transform_keeps_past_values_when_rows_are_appended(code: int) -> None:
    values = np.random.default_rng(3).uniform(1, 2, size=40)
    values[[5, 17]] = NAN

    shorter = transforms.apply_transform(values[:30], code)
    longer = transforms.apply_transform(values, code)

    np.testing.assert_array_equal(longer[:30], shorter)


def test_apply_transform_counts_and_drops_values_when_they_have_no_logarithm(caplog: pytest.LogCaptureFixture) -> None:
    """Oil closed at -36.98 on 2020-04-20."""
    oil = np.array([18.31, -36.98, 8.91, 13.64])

    change = transforms.apply_transform(oil, 5)

    np.testing.assert_allclose(change, [NAN, NAN, NAN, np.log(13.64 / 8.91)])
    assert transforms.count_without_log(oil, 5) == 1
    assert transforms.count_without_log(oil, 2) == 0
    assert "n_values=1" in caplog.text


def test_apply_transform_gives_missing_when_growth_starts_from_zero() -> None:
    values = [0.0, 2.0, 3.0, 6.0]

    transformed = transforms.apply_transform(values, 7)

    np.testing.assert_allclose(transformed, [NAN, NAN, NAN, 0.5])


def test_apply_transform_leaves_its_input_alone_when_it_transforms() -> None:
    values = np.array([1.0, -2.0, NAN, 4.0])
    before = values.copy()

    transforms.apply_transform(values, 6)

    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("code", [0, 8, 1.5])
def test_apply_transform_refuses_a_code_when_it_is_unknown(code: float) -> None:
    with pytest.raises(ValueError, match=r"unknown transform code .* Allowed: \(1, 2, 3, 4, 5, 6, 7\)"):
        transforms.apply_transform([1.0, 2.0], code)


def test_apply_transform_refuses_codes_when_their_number_differs_from_the_series() -> None:
    with pytest.raises(ValueError, match="for 3 series"):
        transforms.apply_transform(np.ones((4, 3)), [1, 2])


def test_apply_transform_refuses_values_when_one_is_infinite() -> None:
    with pytest.raises(ValueError, match="1 infinite values in 2"):
        transforms.apply_transform([1.0, np.inf], 1)


def test_regular_grid_inserts_a_quarter_when_it_is_absent() -> None:
    quarters = np.array(["2024-10", "2025-01", "2025-07"], dtype="datetime64[M]")

    periods, values = transforms.regular_grid(quarters, [1.0, 2.0, 4.0], "Q")

    assert periods.astype(str).tolist() == ["2024-10", "2025-01", "2025-04", "2025-07"]
    np.testing.assert_array_equal(values, [1.0, 2.0, NAN, 4.0])


def test_regular_grid_keeps_rows_together_when_values_are_a_matrix() -> None:
    months = np.array(["2025-01-01", "2025-03-01"], dtype="datetime64[D]")

    periods, values = transforms.regular_grid(months, [[1.0, 2.0], [3.0, 4.0]], "M")

    assert periods.dtype == "datetime64[M]"
    np.testing.assert_array_equal(values, [[1.0, 2.0], [NAN, NAN], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("months", "frequency"),
    [
        (["2025-02", "2025-01"], "M"),
        (["2025-01", "2025-01"], "M"),
        (["2025-01", "2025-03"], "Q"),
    ],
)
def test_regular_grid_refuses_periods_when_they_are_not_on_an_ascending_grid(months: list[str], frequency: str) -> None:
    with pytest.raises(ValueError, match="out of order, repeated or off the"):
        transforms.regular_grid(np.array(months, dtype="datetime64[M]"), [1.0, 2.0], frequency)


def test_regular_grid_refuses_a_frequency_when_it_is_unknown() -> None:
    with pytest.raises(ValueError, match=r"unknown frequency 'W'.*Allowed: M, Q"):
        transforms.regular_grid(np.array(["2025-01"], dtype="datetime64[M]"), [1.0], "W")


def test_remove_outliers_uses_hazen_quartiles_when_it_measures_distance() -> None:
    """The Hazen position of a share p among n values is n p + 0.5; numpy's default would put the limit at 22."""
    inner = [0.0, 1.0, 2.0, 3.0] * 5
    # n = 21, positions 5.75, 11, 16.25: quartiles 0.75, 2, 3; ten ranges of 2.25 around 2 end at 24.5.
    panel = np.column_stack([[*inner, 24.5], [*inner, 24.6]])

    cleaned, n_removed = transforms.remove_outliers(panel)

    assert n_removed == 1
    assert np.isnan(cleaned).sum() == 1
    assert np.isnan(cleaned[20, 1])


def test_remove_outliers_keeps_all_values_when_the_quartiles_coincide() -> None:
    panel = np.column_stack([[5.0] * 9 + [6.0], [NAN] * 10])

    cleaned, n_removed = transforms.remove_outliers(panel)

    assert n_removed == 0
    np.testing.assert_array_equal(cleaned, panel)
