"""Matrices from the lake: every value in its cell, whatever the order in which rows lie."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from warehouse import lake, matrices
from warehouse.tables import market


def test_values_lie_at_their_security_and_session(
    empty_lake: lake.Lake, bars: Callable[[str], pa.Table], load_days: Callable[..., pa.Table]
) -> None:
    """Y trades on the 3rd alone; the days are loaded the newest first."""
    load_days(empty_lake, market.DAILY, bars("X 2024-01-04 6"), 0)
    load_days(empty_lake, market.DAILY, bars("Y 2024-01-03 7\nX 2024-01-03 5"), 1)

    axes = matrices.read_axes(empty_lake, market.DAILY)
    values, has_row = matrices.read(empty_lake, market.DAILY, ["close", "pct_chg"], axes)

    assert axes.codes == ("X", "Y")
    assert axes.sessions.tolist() == [date(2024, 1, 3), date(2024, 1, 4)]
    np.testing.assert_array_equal(values["close"], [[5.0, 6.0], [7.0, np.nan]])
    np.testing.assert_array_equal(has_row, [[True, True], [True, False]])


def test_a_null_is_a_row_without_a_value(
    empty_lake: lake.Lake, bars: Callable[[str], pa.Table], load_days: Callable[..., pa.Table]
) -> None:
    rows = bars("X 2024-01-03 5")
    load_days(empty_lake, market.DAILY, rows.set_column(rows.column_names.index("amount"), "amount", pa.nulls(1)))

    axes = matrices.read_axes(empty_lake, market.DAILY)
    values, has_row = matrices.read(empty_lake, market.DAILY, ["amount"], axes)

    assert np.isnan(values["amount"]).all()
    assert has_row.all()


def test_rows_beyond_the_axes_are_left_out(
    empty_lake: lake.Lake, frame: Callable[..., pa.Table], load_days: Callable[..., pa.Table]
) -> None:
    text = "ts_code trade_date adj_factor\nX 2024-01-02 1\nX 2024-01-03 2\nX 2024-01-04 3\nY 2024-01-03 4"
    load_days(empty_lake, market.ADJ_FACTOR, frame(market.ADJ_FACTOR, text))
    axes = matrices.Axes(("X",), np.array(["2024-01-02", "2024-01-04"], "datetime64[D]"))

    values, has_row = matrices.read(empty_lake, market.ADJ_FACTOR, ["adj_factor"], axes)

    np.testing.assert_array_equal(values["adj_factor"], [[1.0, 3.0]])
    assert has_row.all()


def test_an_empty_table_has_empty_matrices(empty_lake: lake.Lake) -> None:
    axes = matrices.read_axes(empty_lake, market.DAILY)

    values, has_row = matrices.read(empty_lake, market.DAILY, ["close"], axes)

    assert axes.shape == values["close"].shape == has_row.shape == (0, 0)


def test_parts_of_axes_hold_every_security_once() -> None:
    axes = matrices.Axes(tuple("abcdefg"), np.arange(4).astype("datetime64[D]"))

    parts = list(axes.split(most_cells=12))

    assert [part.codes for part in parts] == [("a", "b", "c"), ("d", "e", "f"), ("g",)]
    assert [part.codes for part in axes.split(most_cells=1)] == [(code,) for code in "abcdefg"]


def test_cells_become_sorted_rows_with_null_for_what_is_not_finite() -> None:
    axes = matrices.Axes(("X", "Y"), np.array(["2024-01-02", "2024-01-03"], "datetime64[D]"))
    values: dict[str, Any] = {"a": np.array([1.0, np.nan, np.inf])}

    rows = matrices.table_of(axes, np.array([[True, True], [False, True]]), values)

    assert rows["ts_code"].to_pylist() == ["X", "X", "Y"]
    assert rows["trade_date"].to_pylist() == [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 3)]
    assert rows["a"].to_pylist() == [1.0, None, None]
