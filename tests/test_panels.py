"""Panels: aligned by what was known, and blind to everything known later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from warehouse import features, lake, load, panels, returns, vintages
from warehouse.tables import feature, macro

HEADER = (
    "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
    " is_rolling_window licence"
)
SERIES = f"""{HEADER}
CPI      c Index   M 5 10 g true  false public
GDP      g Billion Q 5 30 g true  false public
RATE     r Percent D 1 1  g true  false public
OUTSIDE  o Percent M 1 10 g false false public
"""
NAN = float("nan")


def day(text: str) -> date:
    return date.fromisoformat(text)


def values_table(rows: list[tuple[str, str, str, float | None, str]]) -> pa.Table:
    """Rows (series_id, frequency, observation_date, value, known_date) as align_by_knowledge takes them."""
    return pa.table(
        {
            "series_id": pa.array([row[0] for row in rows], pa.string()),
            "frequency": pa.array([row[1] for row in rows], pa.string()),
            "transform_code": pa.array([1] * len(rows), pa.int32()),
            "observation_date": pa.array([day(row[2]) for row in rows], pa.date32()),
            "value": pa.array([row[3] for row in rows], pa.float64()),
            "known_date": pa.array([day(row[4]) for row in rows], pa.date32()),
        }
    )


@pytest.fixture
def macro_lake(empty_lake: lake.Lake, frame: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]) -> lake.Lake:
    rows = frame(macro.SERIES, SERIES)
    load.load(empty_lake, [load.Load(macro.SERIES, rows, [load.Partition("all", day("2024-01-01"))], None)], stamp(0))
    return empty_lake


@pytest.fixture
def pull(stamp: Callable[[int], load.Stamp]) -> Callable[..., None]:
    def run(to: lake.Lake, on: str, seen: dict[str, dict[str, float | None]]) -> None:
        flat = [(name, day(period), value) for name, values in seen.items() for period, value in values.items()]
        rows = pa.table(
            {
                "series_id": pa.array([row[0] for row in flat], pa.string()),
                "observation_date": pa.array([row[1] for row in flat], pa.date32()),
                "value": pa.array([row[2] for row in flat], pa.float64()),
            }
        )
        partitions = [load.Partition(name, day(on), asked_date=day(on)) for name in seen]
        load.load(to, [vintages.observation_load(rows, partitions, pull_date=day(on))], stamp(1))

    return run


def read(of: lake.Lake, as_of: str) -> list[tuple[Any, ...]]:
    rows = panels.read_macro_values(of, day(as_of)).to_pylist()
    return [tuple(str(v) if isinstance(v, date) else v for v in row.values()) for row in rows]


def test_values_are_those_of_as_of_dated_by_their_first_publication(
    macro_lake: lake.Lake, pull: Callable[..., None]
) -> None:
    pull(macro_lake, "2024-02-20", {"CPI": {"2024-01-01": 100.0}, "OUTSIDE": {"2024-01-01": 1.0}})
    pull(macro_lake, "2024-03-12", {"CPI": {"2024-01-01": 101.0, "2024-02-01": 102.0}})

    assert read(macro_lake, "2024-02-09") == []
    assert read(macro_lake, "2024-03-11") == [("CPI", "M", 5, "2024-01-01", 100.0, "2024-02-10")]
    assert read(macro_lake, "2024-03-12") == [
        ("CPI", "M", 5, "2024-01-01", 101.0, "2024-02-10"),
        ("CPI", "M", 5, "2024-02-01", 102.0, "2024-03-12"),
    ]


def test_daily_series_become_means_of_complete_months(macro_lake: lake.Lake, pull: Callable[..., None]) -> None:
    pull(
        macro_lake,
        "2024-03-05",
        {"RATE": {"2024-01-30": 1.0, "2024-01-31": 3.0, "2024-02-01": None, "2024-02-28": 5.0, "2024-03-01": 9.0}},
    )

    # A day's value is known a day later: 31 January's on 1 February. 28 February's on the 29th, the month's last day.
    assert read(macro_lake, "2024-03-05") == [
        ("RATE", "M", 1, "2024-01-01", 2.0, "2024-02-01"),
        ("RATE", "M", 1, "2024-02-01", 5.0, "2024-02-29"),
    ]


def test_what_is_known_later_changes_no_value_read_as_of_a_day(
    macro_lake: lake.Lake, pull: Callable[..., None]
) -> None:
    pull(macro_lake, "2024-02-20", {"CPI": {"2023-12-01": 99.0, "2024-01-01": 100.0}, "RATE": {"2024-01-31": 3.0}})
    before = read(macro_lake, "2024-03-10")

    later = {
        "CPI": {"2023-12-01": 98.0, "2024-01-01": 101.0, "2024-02-01": 102.0},
        "RATE": {"2024-01-30": 7.0, "2024-01-31": 4.0, "2024-02-29": 5.0},
    }
    pull(macro_lake, "2024-03-11", later)

    assert read(macro_lake, "2024-03-10") == before
    assert read(macro_lake, "2024-03-11") != before


def test_cell_holds_the_newest_value_known_at_the_month_end() -> None:
    """By hand: A's January comes on 15 February, its February on 1 April (late), its March on 15 April."""
    values = values_table(
        [
            ("A", "M", "2023-12-01", 1.0, "2024-01-15"),
            ("A", "M", "2024-01-01", 2.0, "2024-02-15"),
            ("A", "M", "2024-02-01", 3.0, "2024-04-01"),
            ("A", "M", "2024-03-01", 4.0, "2024-04-15"),
        ]
    )

    panel, rows = panels.align_by_knowledge(values, day("2024-04-30"))

    assert panel.names == ("A",)
    assert panel.dates.astype(str).tolist() == ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]
    np.testing.assert_array_equal(panel.data[:, 0], [1.0, 2.0, 2.0, 4.0])
    assert [str(d) for d in rows["observation_date"].to_pylist()] == [
        "2023-12-01",
        "2024-01-01",
        "2024-01-01",
        "2024-03-01",
    ]
    assert rows.schema.types == [c for c in feature.MACRO_PANEL.empty().schema.types]
    assert set(rows["as_of_date"].to_pylist()) == {day("2024-04-30")}


def test_quarter_is_carried_until_its_successor_and_not_for_ever() -> None:
    """October's quarter comes on 25 January and stands until April, six months after October, and no longer."""
    values = values_table(
        [
            ("M", "M", "2024-01-01", 1.0, "2024-01-31"),
            *[("M", "M", f"2024-0{month}-01", 1.0, f"2024-0{month}-28") for month in range(2, 7)],
            ("Q", "Q", "2023-10-01", 7.0, "2024-01-25"),
        ]
    )

    panel, _ = panels.align_by_knowledge(values, day("2024-06-30"))

    by_month = dict(zip(panel.dates.astype("datetime64[M]").astype(str), panel.data[:, 1], strict=True))
    np.testing.assert_equal(
        by_month,
        {"2024-01": 7.0, "2024-02": 7.0, "2024-03": 7.0, "2024-04": 7.0, "2024-05": NAN, "2024-06": NAN},
    )


def test_next_quarter_takes_over_when_it_is_published() -> None:
    values = values_table([("Q", "Q", "2023-10-01", 7.0, "2024-01-25"), ("Q", "Q", "2024-01-01", 8.0, "2024-04-25")])

    panel, _ = panels.align_by_knowledge(values, day("2024-05-31"))

    np.testing.assert_array_equal(panel.data[:, 0], [7.0, 7.0, 7.0, 8.0, 8.0])


def test_month_that_has_not_ended_has_no_row() -> None:
    values = values_table([("A", "M", "2024-01-01", 1.0, "2024-01-20"), ("A", "M", "2024-02-01", 2.0, "2024-02-20")])

    early, _ = panels.align_by_knowledge(values, day("2024-02-28"))
    ended, _ = panels.align_by_knowledge(values, day("2024-02-29"))

    assert early.dates.astype(str).tolist() == ["2024-01-01"]
    assert ended.dates.astype(str).tolist() == ["2024-01-01", "2024-02-01"]


def test_hole_of_october_2025_stays_a_hole() -> None:
    """CPI of October 2025 was never published: a blank row that came with November's. Nothing is carried into it."""
    other = [("B", "M", f"2025-{month:02d}-01", 5.0, f"2025-{month:02d}-28") for month in (9, 10, 11, 12)]
    values = values_table(
        [
            *other,
            ("CPI", "M", "2025-08-01", 1.0, "2025-09-11"),
            ("CPI", "M", "2025-09-01", 2.0, "2025-10-24"),
            ("CPI", "M", "2025-10-01", None, "2025-12-18"),
            ("CPI", "M", "2025-11-01", None, "2025-12-18"),  # the change from October is missing too
        ]
    )

    panel, rows = panels.align_by_knowledge(values, day("2025-12-31"))

    assert panel.dates.astype("datetime64[M]").astype(str).tolist() == ["2025-09", "2025-10", "2025-11", "2025-12"]
    np.testing.assert_array_equal(panel.data[:, 1], [1.0, 2.0, 2.0, NAN])
    cell = rows.to_pylist()[-1]
    assert (cell["series_id"], cell["observation_date"], cell["value"]) == ("CPI", day("2025-11-01"), None)


def test_hole_filled_late_delays_what_is_computed_from_it_and_nothing_else() -> None:
    """February is filled in May. March and April need it (differences reach two periods back), May does not."""
    values = values_table(
        [
            ("A", "M", "2024-01-01", 1.0, "2024-01-31"),
            ("A", "M", "2024-02-01", 2.0, "2024-06-10"),
            ("A", "M", "2024-03-01", 3.0, "2024-03-31"),
            ("A", "M", "2024-04-01", 4.0, "2024-04-30"),
            ("A", "M", "2024-05-01", 5.0, "2024-05-31"),
        ]
    )

    panel, _ = panels.align_by_knowledge(values, day("2024-06-30"))

    np.testing.assert_array_equal(panel.data[:, 0], [1.0, 1.0, 1.0, 5.0, 5.0])
    assert panel.dates.astype("datetime64[M]").astype(str).tolist() == [
        "2024-01",
        "2024-02",
        "2024-03",
        "2024-05",
        "2024-06",
    ]


def test_months_with_too_few_series_are_left_out() -> None:
    values = values_table(
        [
            ("A", "M", "2024-01-01", 1.0, "2024-01-31"),
            ("A", "M", "2024-02-01", 2.0, "2024-02-29"),
            ("B", "M", "2024-02-01", 5.0, "2024-02-29"),
            ("C", "M", "2024-02-01", 6.0, "2024-02-29"),
        ]
    )

    panel, rows = panels.align_by_knowledge(values, day("2024-02-29"))

    assert panel.dates.astype(str).tolist() == ["2024-02-01"]
    np.testing.assert_array_equal(panel.data, [[2.0, 5.0, 6.0]])
    assert rows.num_rows == 3


def test_no_value_gives_an_empty_panel() -> None:
    panel, rows = panels.align_by_knowledge(values_table([]), day("2024-02-29"))

    assert panel.data.shape == (0, 0)
    assert rows.num_rows == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_panel_rows_do_not_change_when_later_knowledge_is_added(seed: int) -> None:
    """Every cell against a slow reading of the rule, and every earlier month against a panel of fewer rows."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in ("A", "B", "C"):
        for period in np.arange("2020-01", "2023-01", dtype="datetime64[M]"):
            known = (period + 1).astype("datetime64[D]") + int(rng.integers(0, 90))
            rows.append((name, "M", f"{period}-01", float(rng.normal()), str(known)))
    cut = day("2022-03-31")

    full, _ = panels.align_by_knowledge(values_table(rows), day("2022-12-31"), min_share=0.0)
    past, _ = panels.align_by_knowledge(values_table([row for row in rows if day(row[4]) <= cut]), cut, min_share=0.0)

    n_past = len(past.dates)
    assert n_past == 27
    assert (full.dates[:n_past] == past.dates).all()
    known = {(row[0], row[2][:7]): np.datetime64(row[4]) for row in rows}
    value = {(row[0], row[2][:7]): row[3] for row in rows}
    for column, name in enumerate(full.names):
        for month, cell in zip(full.dates.astype("datetime64[M]"), full.data[:, column], strict=True):
            end = (month + 1).astype("datetime64[D]") - 1
            usable = [
                period
                for period in (month - lag for lag in range(3))
                if (name, str(period)) in known
                and all(known.get((name, str(period - back)), end) <= end for back in range(3))
            ]
            expected = value[(name, str(usable[0]))] if usable else NAN
            np.testing.assert_equal(cell, expected)


@pytest.fixture
def market_lake(
    empty_lake: lake.Lake,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> tuple[lake.Lake, Any]:
    given = random_market(n_codes=4, n_sessions=40, seed=11)
    load_market(empty_lake, given)
    returns.update_returns(empty_lake, stamp(1))
    features.update_features(empty_lake, stamp(1))
    return empty_lake, given


def log_returns_of(given: Any) -> dict[tuple[str, date], float]:
    frame = given.daily.merge(given.adj_factor)
    log_price = np.log(frame["close"] * frame["adj_factor"])
    frame["r"] = log_price.groupby(frame["ts_code"]).diff()
    return {(row.ts_code, row.trade_date): row.r for row in frame.itertuples()}


def test_return_panel_holds_the_last_sessions_with_holes_where_suspended(market_lake: tuple[lake.Lake, Any]) -> None:
    opened, given = market_lake
    expected = log_returns_of(given)
    as_of = given.sessions[30]

    panel = panels.read_return_panel(opened, as_of, n_sessions=10, min_share=0.5)

    assert panel.dates.tolist() == given.sessions[21:31]
    assert panel.names == ("600000.SH", "600001.SH", "600002.SH", "600003.SH")
    for row, session in enumerate(panel.dates.tolist()):
        for column, name in enumerate(panel.names):
            np.testing.assert_allclose(panel.data[row, column], expected.get((name, session), NAN), rtol=1e-9)
    assert np.isnan(panel.data).any()


def test_return_panel_leaves_out_securities_with_too_many_holes(market_lake: tuple[lake.Lake, Any]) -> None:
    opened, given = market_lake

    wide = panels.read_return_panel(opened, given.sessions[-1], n_sessions=30, min_share=0.0)
    strict = panels.read_return_panel(opened, given.sessions[-1], n_sessions=30, min_share=1.0)

    complete = [n for n, c in zip(wide.names, np.isfinite(wide.data).all(axis=0), strict=True) if c]
    assert list(strict.names) == complete
    assert len(complete) < 4


def test_return_panel_is_empty_when_nothing_is_known(empty_lake: lake.Lake) -> None:
    panel = panels.read_return_panel(empty_lake, day("2024-01-01"), n_sessions=10)

    assert panel.data.shape == (0, 0)
    assert panel.names == ()


def test_forward_return_is_missing_until_five_sessions_have_passed(market_lake: tuple[lake.Lake, Any]) -> None:
    opened, given = market_lake
    expected = log_returns_of(given)
    as_of = given.sessions[30]

    rows = panels.read_feature_rows(opened, as_of)

    assert rows.features.shape == (len(rows.ts_code), len(feature.FEATURE_NAMES))
    assert max(rows.dates.tolist()) == as_of
    for name in set(rows.ts_code):
        own = sorted(session for code, session in expected if code == name and session <= as_of)
        mine = rows.ts_code == name
        assert rows.dates[mine].tolist() == own
        forward = [
            sum(expected[(name, s)] for s in own[n + 1 : n + 6]) if n + 5 < len(own) else NAN for n in range(len(own))
        ]
        np.testing.assert_allclose(rows.forward_return_5d[mine], forward, rtol=1e-8, atol=1e-12)
        assert np.isnan(rows.forward_return_5d[mine][-5:]).all()


def test_feature_rows_start_where_asked_without_losing_their_forward_returns(
    market_lake: tuple[lake.Lake, Any],
) -> None:
    opened, given = market_lake
    start = given.sessions[15]

    everything = panels.read_feature_rows(opened, given.sessions[-1])
    some = panels.read_feature_rows(opened, given.sessions[-1], start=start)

    wanted = everything.dates >= np.datetime64(start)
    np.testing.assert_array_equal(some.features, everything.features[wanted])
    np.testing.assert_array_equal(some.forward_return_5d, everything.forward_return_5d[wanted])
    assert some.ts_code.tolist() == everything.ts_code[wanted].tolist()


def test_later_sessions_change_nothing_read_as_of_a_day(
    new_lake: Callable[[], lake.LakeLocation],
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    given = random_market(n_codes=4, n_sessions=36, seed=2)
    as_of = given.sessions[29]

    def known_by(sessions: list[date]) -> tuple[Any, Any]:
        with lake.open_writer(new_lake(), holder="test") as opened:
            load_market(opened, given.of_sessions(sessions))
            returns.update_returns(opened, stamp(1))
            features.update_features(opened, stamp(1))
            return panels.read_return_panel(opened, as_of, n_sessions=20), panels.read_feature_rows(opened, as_of)

    then, since = known_by(given.sessions[:30]), known_by(given.sessions)

    np.testing.assert_array_equal(then[0].data, since[0].data)
    assert then[0].names == since[0].names
    np.testing.assert_array_equal(then[1].features, since[1].features)
    np.testing.assert_array_equal(then[1].forward_return_5d, since[1].forward_return_5d)


def test_later_correction_changes_nothing_read_as_of_a_day(
    empty_lake: lake.Lake,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    given = random_market(n_codes=4, n_sessions=36, seed=2)
    as_of = given.sessions[29]

    def known() -> tuple[Any, Any]:
        returns.update_returns(empty_lake, stamp(1))
        features.update_features(empty_lake, stamp(1))
        panel = panels.read_return_panel(empty_lake, as_of, n_sessions=20)
        return panel, panels.read_feature_rows(empty_lake, as_of)

    load_market(empty_lake, given)
    then, newest = known(), panels.read_feature_rows(empty_lake, day("2025-01-01"))
    bars = given.daily.copy()
    bars.loc[bars["trade_date"] == given.sessions[20], ["open", "high", "low", "close"]] *= 0.97
    corrected = type(given)(bars, given.adj_factor, given.daily_basic)
    load_market(empty_lake, corrected.of_sessions(given.sessions[20:21]), 24 * 90)
    since = known()

    np.testing.assert_array_equal(then[0].data, since[0].data)
    for name in ("ts_code", "dates", "features", "forward_return_5d"):
        np.testing.assert_array_equal(getattr(then[1], name), getattr(since[1], name))
    assert not np.array_equal(
        newest.features, panels.read_feature_rows(empty_lake, day("2025-01-01")).features, equal_nan=True
    )


def test_feature_rows_are_empty_when_nothing_is_known(empty_lake: lake.Lake) -> None:
    rows = panels.read_feature_rows(empty_lake, day("2024-01-01"))

    assert rows.features.shape == (0, len(feature.FEATURE_NAMES))
