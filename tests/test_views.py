"""Analysts' views: every one runs, and units are what their names say, on a day made by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from warehouse import derive, features, lake, load, returns, sql, vintages
from warehouse.contracts import Table
from warehouse.tables import macro, market, model, ops

MON, TUE, WED = (date(2024, 1, day) for day in (8, 9, 10))


@pytest.fixture
def filled_lake(
    empty_lake: lake.Lake,
    frame: Callable[..., pa.Table],
    load_days: Callable[..., pa.Table],
    load_sessions: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> lake.Lake:
    """Two sessions of two banks and a brewer, one index, one macro series; Wednesday was never loaded."""
    load_sessions(empty_lake, [MON, TUE, WED])
    stocks = frame(
        market.STOCK_BASIC,
        """
        ts_code name industry list_status list_date
        A       Ah   Bank     L           2000-01-01
        B       Be   Bank     L           2000-01-01
        C       Ce   -        L           2000-01-01
        """,
    )
    load.load(empty_lake, [load.Load(market.STOCK_BASIC, stocks, [load.Partition("all", WED)], None)], stamp(0))
    bars = frame(
        market.DAILY,
        """
        ts_code trade_date open high low close pre_close change pct_chg vol amount
        A 2024-01-08 10 10 10 10  10 0   0   100 1000
        B 2024-01-08 20 20 20 20  20 0   0   100 1000
        C 2024-01-08 30 30 30 30  30 0   0   100 1000
        A 2024-01-09 10 12 9  11  10 1   10  250 275
        B 2024-01-09 10 10 9  9   10 -1  -10 100 90
        C 2024-01-09 30 30 30 30  30 0   0   1   3
        """,
    )
    load_days(empty_lake, market.DAILY, bars, n_expected=3)
    factors = frame(
        market.ADJ_FACTOR,
        """
        ts_code trade_date adj_factor
        A 2024-01-08 1
        B 2024-01-08 1
        C 2024-01-08 1
        A 2024-01-09 1
        B 2024-01-09 2
        C 2024-01-09 1
        """,
    )
    load_days(empty_lake, market.ADJ_FACTOR, factors)
    basic = frame(market.DAILY_BASIC, "ts_code trade_date close turnover_rate\nA 2024-01-09 11 2.5")
    load_days(empty_lake, market.DAILY_BASIC, basic, n_expected=3)
    index = frame(
        market.INDEX_DAILY,
        "ts_code trade_date open high low close pre_close vol\n000300.SH 2024-01-09 3000 3060 3000 3060 3000 1",
    )
    one = load.Load(market.INDEX_DAILY, index, [load.Partition("000300.SH", TUE)], "ts_code")
    load.load(empty_lake, [one], stamp(0))
    returns.update_returns(empty_lake, stamp(1))
    features.update_features(empty_lake, stamp(1))
    return empty_lake


def rows_of(of: lake.Lake, statement: str) -> list[dict[str, Any]]:
    return of.read(statement).to_pylist()


def write(to: lake.Lake, table: Table, rows: list[dict[str, Any]]) -> None:
    conformed = table.conform(pa.Table.from_pylist(rows))
    to.commit(lambda connection: derive.write_rows(connection, table, conformed), message="by hand")


def test_every_view_runs_on_an_empty_lake(empty_lake: lake.Lake) -> None:
    counts = {name: empty_lake.read(f"select * from analyst.{name}").num_rows for name in sql.names("views")}

    # The contracts' own rules are there from the start.
    assert counts.pop("rule") > 0
    assert counts == dict.fromkeys(counts, 0)
    assert len(counts) >= 20


def test_prices_volumes_and_amounts_are_in_plain_units(filled_lake: lake.Lake) -> None:
    rows = rows_of(filled_lake, "select * from analyst.price_adjusted where trade_date = '2024-01-09' order by ts_code")

    a, b, _ = rows
    assert (a["name"], a["industry"]) == ("Ah", "Bank")
    assert (a["open_cny"], a["high_cny"], a["low_cny"], a["close_cny"]) == (10.0, 12.0, 9.0, 11.0)
    assert (a["volume_shares"], a["amount_cny"], a["turnover_fraction"]) == (25_000.0, 275_000.0, 0.025)
    assert (b["close_cny"], b["close_adjusted_cny"], b["low_adjusted_cny"]) == (9.0, 18.0, 18.0)
    assert b["turnover_fraction"] is None


def test_daily_returns_are_fractions(filled_lake: lake.Lake) -> None:
    rows = rows_of(
        filled_lake,
        "select ts_code, simple_return_1d, drawdown_252d from analyst.daily_return"
        " where trade_date = '2024-01-09' order by ts_code",
    )

    # B halves its price on a factor that doubles: 9 x 2 against 20.
    assert [row["simple_return_1d"] for row in rows] == pytest.approx([0.1, -0.1, 0.0])
    assert [row["drawdown_252d"] for row in rows] == pytest.approx([0.0, -0.1, 0.0])


def test_market_day_counts_and_averages(filled_lake: lake.Lake) -> None:
    row = rows_of(filled_lake, "select * from analyst.market_day where trade_date = '2024-01-09'")[0]

    assert (row["n_bars"], row["n_up"], row["n_down"], row["n_unchanged"]) == (3, 1, 1, 1)
    assert row["mean_return"] == pytest.approx(0.0, abs=1e-15)
    assert row["median_return"] == pytest.approx(0.0, abs=1e-15)
    assert row["return_dispersion"] == pytest.approx(0.1)  # sqrt((0.01 + 0.01 + 0) / 2)
    assert row["amount_cny"] == 368_000.0


def test_industry_day_averages_within_industries(filled_lake: lake.Lake) -> None:
    rows = rows_of(filled_lake, "select * from analyst.industry_day where trade_date = '2024-01-09' order by industry")

    assert [(row["industry"], row["n_bars"], row["amount_cny"]) for row in rows] == [
        ("-", 1, 3_000.0),
        ("Bank", 2, 365_000.0),
    ]
    assert rows[1]["mean_return"] == pytest.approx(0.0, abs=1e-15)


def test_index_day_is_points_and_a_fraction(filled_lake: lake.Lake) -> None:
    row = rows_of(filled_lake, "select * from analyst.index_day")[0]

    assert (row["ts_code"], row["close_points"]) == ("000300.SH", 3060.0)
    assert row["simple_return_1d"] == pytest.approx(0.02)


def test_coverage_shows_shares_and_sessions_never_loaded(filled_lake: lake.Lake) -> None:
    forget = "delete from ops.ledger where dataset = 'market.adj_factor' and partition = '2024-01-09'"
    filled_lake.commit(lambda connection: connection.execute(forget), message="as if it had never been loaded")

    rows = rows_of(
        filled_lake,
        "select dataset, partition, state, coverage_fraction from analyst.coverage"
        " where dataset in ('market.daily', 'market.daily_basic', 'market.adj_factor') order by all",
    )

    assert [tuple(row.values()) for row in rows] == [
        ("market.adj_factor", "2024-01-08", "ok", None),
        ("market.adj_factor", "2024-01-09", "missing", 0.0),
        ("market.daily", "2024-01-08", "ok", 1.0),
        ("market.daily", "2024-01-09", "ok", 1.0),
        ("market.daily_basic", "2024-01-09", "partial", pytest.approx(1 / 3)),
    ]


def test_freshness_is_the_newest_whole_day(filled_lake: lake.Lake) -> None:
    rows = {row["dataset"]: row for row in rows_of(filled_lake, "select * from analyst.freshness")}

    assert (rows["market.daily"]["newest_date"], rows["market.daily"]["n_partitions"]) == (TUE, 2)
    assert (rows["market.daily_basic"]["newest_date"], rows["market.daily_basic"]["n_not_ok"]) == (None, 1)


def test_quarantine_and_revision_are_shown(
    filled_lake: lake.Lake, bars: Callable[[str], pa.Table], load_days: Callable[..., pa.Table]
) -> None:
    load_days(filled_lake, market.DAILY, bars("A 2024-01-09 -5\nC 2024-01-09 31"), n=3)

    bad = rows_of(filled_lake, "select rule, row_json from analyst.quarantine")
    changed = rows_of(filled_lake, "select column_name, old_value, new_value from analyst.revision order by 1")

    assert [row["rule"] for row in bad] == ["price_positive"]
    assert '"close":-5.0' in bad[0]["row_json"]
    assert ("close", "30.0", "31.0") in [tuple(row.values()) for row in changed]


def test_macro_views_show_the_newest_value_and_all_vintages(
    filled_lake: lake.Lake, frame: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]
) -> None:
    series = frame(
        macro.SERIES,
        "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
        " is_rolling_window licence\nUNRATE Rate Percent M 2 7 labour true false public",
    )
    load.load(filled_lake, [load.Load(macro.SERIES, series, [load.Partition("all", TUE)], None)], stamp(2))
    for day, values in ((date(2024, 3, 1), [3.7, 3.9, None]), (date(2024, 3, 9), [3.7, 3.8, None])):
        pulled = pa.table(
            {
                "series_id": ["UNRATE"] * 3,
                "observation_date": [date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1)],
                "value": values,
            }
        )
        one = vintages.observation_load(pulled, [load.Partition("UNRATE", day)], pull_date=day)
        load.load(filled_lake, [one], stamp(3))

    latest = rows_of(filled_lake, "select * from analyst.macro_latest")
    vintage = rows_of(
        filled_lake, "select * from analyst.macro_vintage where observation_date = '2024-01-01' order by realtime_start"
    )

    assert len(latest) == 1
    assert (latest[0]["observation_date"], latest[0]["value"], latest[0]["previous_value"]) == (
        date(2024, 1, 1),
        3.8,
        3.7,
    )
    assert (latest[0]["unit"], latest[0]["realtime_start"]) == ("Percent", date(2024, 3, 9))
    assert [(row["value"], row["realtime_end"]) for row in vintage] == [
        (3.9, date(2024, 3, 8)),
        (3.8, date(9999, 12, 31)),
    ]


VERSION = {
    "model_version": "ridge/2024-01-08",
    "model_name": "ridge",
    "as_of_date": MON,
    "train_start": MON,
    "train_end": MON,
    "n_rows": 3,
    "n_rows_dropped": 0,
    "params": "{}",
    "is_converged": True,
    "is_champion": True,
    "files_sha256": "",
    "code_version": "1",
    "snapshot": 1,
    "fitted_at": datetime(2024, 1, 8, tzinfo=UTC),
}
OF_VERSION = {"model_version": "ridge/2024-01-08", "model_name": "ridge"}


def test_model_views_name_their_version_and_entities(filled_lake: lake.Lake) -> None:
    write(filled_lake, model.MODEL_VERSION, [VERSION])
    write(
        filled_lake,
        model.FACTOR,
        [{**OF_VERSION, "factor": 1, "eigenvalue": 2.0, "explained_variance_ratio": 0.5}],
    )
    write(
        filled_lake,
        model.FACTOR_LOADING,
        [{**OF_VERSION, "factor": 1, "entity": e, "loading": 0.1, "marginal_r2": 0.2} for e in ("A", "XX")],
    )
    write(filled_lake, model.FACTOR_SCORE, [{**OF_VERSION, "factor": 1, "score_date": MON, "score": 1.5}])
    write(
        filled_lake,
        model.COEFFICIENT,
        [{**OF_VERSION, "term": "beta_60d", "estimate": 0.1, "std_error": 0.05, "t_statistic": 2.0}],
    )
    write(
        filled_lake,
        model.EVALUATION,
        [{**OF_VERSION, "fold": 0, "test_start": MON, "test_end": TUE, "metric": "rmse", "value": 0.1, "n_rows": 3}],
    )
    write(filled_lake, model.CLUSTER, [{**OF_VERSION, "entity": "B", "cluster": 1}])

    loadings = rows_of(filled_lake, "select entity, entity_name, as_of_date from analyst.factor_loading order by 1")
    assert [tuple(row.values()) for row in loadings] == [("A", "Ah", MON), ("XX", "XX", MON)]
    assert rows_of(filled_lake, "select entity_name, cluster from analyst.cluster") == [
        {"entity_name": "Be", "cluster": 1}
    ]
    for name in ("factor", "factor_score", "coefficient", "evaluation", "model_card"):
        found = rows_of(filled_lake, f"select * from analyst.{name}")
        assert len(found) == 1, name
        assert (found[0]["model_version"], found[0]["as_of_date"]) == ("ridge/2024-01-08", MON)


def test_forecast_shows_what_came_in_excess_of_the_market(
    empty_lake: lake.Lake,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> None:
    given = random_market(n_codes=3, n_sessions=12, seed=4, suspended=0.0)
    load_market(empty_lake, given)
    returns.update_returns(empty_lake, stamp(1))
    write(empty_lake, model.MODEL_VERSION, [VERSION])
    days = [given.sessions[5], given.sessions[7]]
    facts = {**OF_VERSION, "horizon": 5, "forward_return_5d": 0.0, "lower": -1.0, "upper": 1.0}
    write(empty_lake, model.FORECAST, [{**facts, "ts_code": "600001.SH", "forecast_date": day} for day in days])

    rows = rows_of(empty_lake, "select * from analyst.forecast order by forecast_date")

    frame = given.daily.merge(given.adj_factor)
    price = frame.assign(p=frame["close"] * frame["adj_factor"]).pivot(
        index="trade_date", columns="ts_code", values="p"
    )
    ratio = price.iloc[10] / price.iloc[5]
    excess = np.log(ratio["600001.SH"]) - np.log(ratio).mean()
    assert rows[0]["realised_return_5d"] == pytest.approx(excess, rel=1e-9)
    assert rows[1]["realised_return_5d"] is None
    assert rows[0]["is_champion"] is True


def test_information_coefficient_is_spearman_with_ties(filled_lake: lake.Lake) -> None:
    write(filled_lake, model.MODEL_VERSION, [VERSION])
    predicted, realised = [0.1, 0.2, 0.2, 0.4, -0.3], [0.0, 0.3, 0.1, 0.1, -0.1]
    rows = [
        {**OF_VERSION, "ts_code": f"S{n}", "forecast_date": MON, "fold": 1, "predicted": p, "realised": r}
        for n, (p, r) in enumerate(zip(predicted, realised, strict=True))
    ]
    same = [{**row, "forecast_date": TUE, "predicted": 0.0} for row in rows]
    write(filled_lake, model.OUT_OF_SAMPLE, [*rows, *same])

    found = rows_of(filled_lake, "select * from analyst.information_coefficient order by forecast_date")

    assert found[0]["rank_ic"] == pytest.approx(stats.spearmanr(predicted, realised).statistic, rel=1e-12)
    assert (found[0]["n_rows"], found[1]["rank_ic"], found[1]["n_rows"]) == (5, None, 5)
    assert len(rows_of(filled_lake, "select * from analyst.out_of_sample")) == 10


def test_alert_and_run_show_what_happened(filled_lake: lake.Lake) -> None:
    write(
        filled_lake,
        ops.RUN,
        [
            {
                "run_id": "daily/2024-01-09",
                "flow": "daily",
                "as_of_date": TUE,
                "state": "ok",
                "message": "",
                "snapshot": 3,
                "started_at": datetime(2024, 1, 9, tzinfo=UTC),
                "finished_at": None,
                "code_version": "1",
            }
        ],
    )
    words = ("fingerprint", "rule", "severity", "subject", "title", "action", "evidence", "evidence_sql", "state")
    words = (*words, "decided_by", "decision_reason", "message_id")
    days = {"subject_date": TUE, "first_seen_date": TUE, "last_seen_date": TUE}
    write(filled_lake, ops.ALERT, [{**dict.fromkeys(words, "x"), **days, "n_seen": 2}])

    assert rows_of(filled_lake, "select run_id, state from analyst.run") == [
        {"run_id": "daily/2024-01-09", "state": "ok"}
    ]
    assert rows_of(filled_lake, "select n_seen, resolved_date from analyst.alert") == [
        {"n_seen": 2, "resolved_date": None}
    ]


def test_release_stands_beside_the_newest_forecast_made_before_it(empty_lake: lake.Lake) -> None:
    """The forecast of the day of the release itself comes too late; a revision later changes nothing."""
    series = {
        "series_id": "S",
        "title": "S",
        "unit": "percent",
        "frequency": "M",
        "transform_code": 1,
        "publication_lag_days": 6,
        "group_name": "g",
        "is_in_macro_panel": True,
        "is_rolling_window": False,
        "licence": "public",
    }
    day = {name: date(2024, 1, number) for name, number in {"first": 2, "before": 5, "came": 10, "later": 20}.items()}
    still = date(9999, 12, 31)
    spans = [
        # December was 4.0 at first, and was revised to 4.5 on the day January came.
        (date(2023, 12, 1), 4.0, day["first"], date(2024, 1, 9)),
        (date(2023, 12, 1), 4.5, day["came"], still),
        (date(2024, 1, 1), 5.0, day["came"], date(2024, 1, 19)),
        (date(2024, 1, 1), 9.0, day["later"], still),
        (date(2024, 2, 1), 6.0, day["later"], still),
    ]
    observations = [
        {
            "series_id": "S",
            "observation_date": period,
            "value": value,
            "realtime_start": start,
            "realtime_end": end,
            "is_realtime_estimated": False,
            "retrieved_at": datetime(2024, 1, 1, tzinfo=UTC),
            "load_id": "test",
        }
        for period, value, start, end in spans
    ]
    forecasts = [
        {
            "model_version": f"macro_next/{made}",
            "model_name": "macro_next",
            "series_id": "S",
            "observation_date": period,
            "forecast_date": made,
            "forecast": forecast,
            "std_error": 0.5,
            "n_lags": 1,
            "n_rows": 60,
        }
        for made, period, forecast in (
            (day["first"], date(2024, 1, 1), 3.0),
            (day["before"], date(2024, 1, 1), 4.0),
            (day["came"], date(2024, 1, 1), 4.9),
            # February's was made before the series moved to another base.
            (date(2024, 1, 15), date(2024, 2, 1), 6.0),
        )
    ]
    rebase = {"series_id": "S", "vintage_date": date(2024, 1, 18), "kind": "level", "ratio": 2.0, "spread": 0.0}
    rebase |= {"n_common": 2, "first_observation_date": None, "old_text": None, "new_text": None}
    for table, rows in (
        (macro.SERIES, [series]),
        (macro.OBSERVATION, observations),
        (model.MACRO_FORECAST, forecasts),
        (macro.REBASE, [rebase]),
    ):
        conformed = table.conform(pa.Table.from_pylist(rows))
        empty_lake.commit(lambda c, t=table, r=conformed: derive.write_rows(c, t, r), message="test")

    columns = "release_date, first_value, previous_value, previous_first_value, forecast, surprise, surprise_std_errors"
    found = rows_of(empty_lake, f"select {columns} from analyst.macro_release order by observation_date")

    assert [tuple(row.values()) for row in found] == [
        (day["first"], 4.0, None, None, None, None, None),
        (day["came"], 5.0, 4.5, 4.0, 4.0, 1.0, 2.0),
        (day["later"], 6.0, 9.0, 5.0, None, None, None),
    ]
