"""Sections show what the views hold, say why where they hold nothing, and never look past their day."""

from __future__ import annotations

import dataclasses
import html
import re
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from planting import insert

from reports import pages, site, tracing
from reports.blocks import Figure, Listing, Note, Table, Tiles
from reports.pages import equity, forecasts, macro, market, overview, quality
from warehouse import checks, features, load, returns, runs
from warehouse.tables import macro as macro_tables
from warehouse.tables import market as market_tables
from warehouse.tables import model

MON, TUE, WED = (date(2024, 1, day) for day in (8, 9, 10))
CLOSES = {
    "600001.SH": (10.0, 11.0, 12.1),
    "600002.SH": (20.0, 19.0, 19.0),
    "600003.SH": (30.0, 30.0, 27.0),
}


@pytest.fixture
def traded_lake(empty_lake, bars, load_days, load_sessions, frame, stamp):
    """Three sessions of three securities; 600001.SH gains 10 % a day, 600003.SH loses 10 % on the last."""
    load_sessions(empty_lake, [MON, TUE, WED])
    stocks = frame(
        market_tables.STOCK_BASIC,
        """
        ts_code   name industry list_status list_date
        600001.SH One  Bank     L           2000-01-01
        600002.SH Two  Bank     L           2000-01-01
        600003.SH Tri  Beer     L           2000-01-01
        """,
    )
    load.load(empty_lake, [load.Load(market_tables.STOCK_BASIC, stocks, [load.Partition("all", WED)], None)], stamp(0))
    lines = [
        f"{code} {day} {close}"
        for code, closes in CLOSES.items()
        for day, close in zip((MON, TUE, WED), closes, strict=True)
    ]
    rows = bars("\n".join(lines))
    load_days(empty_lake, market_tables.DAILY, rows, n_expected=3)
    keys = rows.select(["ts_code", "trade_date"])
    load_days(empty_lake, market_tables.ADJ_FACTOR, keys.append_column("adj_factor", pa.array([1.0] * 9)))
    load_days(empty_lake, market_tables.DAILY_BASIC, keys.append_column("close", rows["close"]))
    returns.update_returns(empty_lake, stamp(1))
    features.update_features(empty_lake, stamp(1))
    return empty_lake


def texts(section):
    """Every word a section shows outside its pictures."""
    return str([dataclasses.replace(b, chart=None) if isinstance(b, Figure) else b for b in section.blocks])


def tables(section):
    return {block.caption: block for block in section.blocks if isinstance(block, Table)}


def tile_of(section, label):
    tiles = next(block for block in section.blocks if isinstance(block, Tiles))
    return next(tile for tile in tiles.tiles if tile.label.startswith(label))


@pytest.mark.parametrize("section", pages.SECTIONS, ids=lambda section: section.__module__.rsplit(".", 1)[-1])
def test_section_says_why_and_shows_no_empty_chart_when_the_lake_is_empty(empty_lake, section):
    found = section(empty_lake, WED)

    assert not [block for block in found.blocks if isinstance(block, Figure)]
    assert [block for block in found.blocks if isinstance(block, Note)]


def test_overview_shows_the_days_breadth_and_mean_return(traded_lake):
    section = overview.section(traded_lake, WED)

    # +10 %, 0 %, -10 %: the mean is 0, one rose, one fell.
    assert tile_of(section, "Mean return").value == "0.00 %"
    assert tile_of(section, "Up / down").value == "1 / 1"
    assert tile_of(section, "Bars received").value == "100.0 %"
    assert next(block for block in section.blocks if isinstance(block, Note)).tone == "good"
    assert next(block for block in section.blocks if isinstance(block, Listing)).title == f"Since {TUE}"


def test_overview_shows_the_earlier_day_when_asked_for_it(traded_lake):
    section = overview.section(traded_lake, TUE)

    # +10 %, -5 %, 0 %: the mean is 5/3 %.
    assert tile_of(section, "Mean return").value == "+1.67 %"


def test_overview_begins_with_the_market_and_says_when_there_was_no_such_day(traded_lake):
    days = [WED - timedelta(days=n) for n in range(100, -1, -1)]
    moves = [0.01 if n % 2 else -0.01 for n in range(len(days))]
    moves[10], moves[-1] = -0.09, -0.07
    same = dict.fromkeys(market_tables.INDEX_DAILY.column_names, 100.0) | {"ts_code": "000300.SH", "load_id": "x"}
    rows = [
        same | {"trade_date": day, "close": 100 * (1 + move), "retrieved_at": datetime(2024, 1, 3, 18, tzinfo=UTC)}
        for day, move in zip(days, moves, strict=True)
    ]
    insert(traded_lake, market_tables.INDEX_DAILY, rows)

    listing = next(block for block in overview.section(traded_lake, WED).blocks if isinstance(block, Listing))

    assert listing.items[0] == f"CSI 300 \u22127.00 %, the largest fall since {days[10]}; 1 up, 1 down"


def test_day_on_which_all_fall_alike_is_not_called_calm(empty_lake, bars, load_days, load_sessions, stamp):
    """Nobody stands out from the others on it."""
    days = [MON + timedelta(days=n) for n in range(71)]
    load_sessions(empty_lake, days)
    price = np.cumprod([1.0, *(1.01 if n % 2 else 0.99 for n in range(69)), 0.9])
    lines = [
        f"60000{n}.SH {day} {10 * n * level:.4f}" for day, level in zip(days, price, strict=True) for n in (1, 2, 3)
    ]
    rows = bars("\n".join(lines))
    keys = rows.select(["ts_code", "trade_date"])
    load_days(empty_lake, market_tables.DAILY, rows)
    load_days(empty_lake, market_tables.ADJ_FACTOR, keys.append_column("adj_factor", pa.array([1.0] * len(lines))))
    returns.update_returns(empty_lake, stamp(1))

    listing = next(block for block in overview.section(empty_lake, days[-1]).blocks if isinstance(block, Listing))
    worst, calm = (market.section(empty_lake, day) for day in days[-1:-3:-1])

    assert listing.items[0].startswith("Securities on average \u221210.00 %, the largest fall of 70 sessions; 0 up")
    assert "the market as a whole moved, more than on 100 %" in texts(worst)
    assert "No security stands out from the others." in texts(calm)
    tones = {block.text[:20]: block.tone for part in (worst, calm) for block in part.blocks if isinstance(block, Note)}
    assert "the market as a whole" not in texts(calm) and tones["No security stands o"] == "good"


def test_overview_tells_who_is_in_charge_now(traded_lake):
    decide(traded_lake, f"ridge/{TUE}")

    today, day_after = (str(overview.section(traded_lake, day)) for day in (TUE, WED))

    assert f"ridge/{TUE} is in charge of forecasts now: -" in today
    assert "in charge of forecasts now" not in day_after


def finding_of(day):
    finding = {
        "rule": "missing_day",
        "severity": "high",
        "subject": "market.daily",
        "subject_date": day,
        "title": f"market.daily {day}: no bars",
        "action": "Run again.",
        "evidence": "{}",
        "evidence_sql": "from analyst.coverage",
    }
    return pa.Table.from_pylist([finding]).select(checks.FINDING_SCHEMA.names)


def test_overview_warns_in_its_first_line_when_something_expected_is_missing(traded_lake):
    checks.record(traded_lake, finding_of(WED), ["missing_day"], WED)

    section = overview.section(traded_lake, WED)

    assert section.blocks[0].tone == "warn" and "market.daily 2024-01-10: no bars" in section.blocks[0].text
    assert "1 alert is open, 1 is of high severity: market.daily 2024-01-10: no bars" in section.blocks[1].text
    assert any("New alert, high: market.daily" in item for item in section.blocks[2].items)


@pytest.mark.parametrize(
    "severities, tone, words",
    [
        ([], "good", "no alert is open"),
        (["low", "medium"], "", "2 alerts are open, none of high severity, such as: medium 1. See Anomalies."),
        (["high", "low", "high"], "warn", "3 alerts are open, 2 are of high severity, such as: high 0. See Anomalies."),
    ],
)
def test_overview_says_what_needs_a_look_where_the_data_is_whole(traded_lake, severities, tone, words):
    findings = [
        finding_of(WED).to_pylist()[0]
        | {"rule": "price_limit_broken", "severity": severity, "subject": str(at), "title": f"{severity} {at}"}
        for at, severity in enumerate(severities)
    ]
    found = pa.Table.from_pylist(findings, schema=finding_of(WED).schema)
    checks.record(traded_lake, found, ["price_limit_broken"], WED)

    whole, look = overview.section(traded_lake, WED).blocks[:2]

    assert (whole.text, whole.tone) == ("All data expected by today is here.", "good")
    assert words in look.text and look.tone == tone


def test_market_lists_the_best_and_the_worst_with_their_returns(traded_lake):
    section = market.section(traded_lake, WED)

    best = tables(section)["Best of the day"].rows
    assert [cell.text for cell in best[0][:3]] == ["600001.SH", "One", "+10.00 %"]
    assert best[0][2].tone == "up"
    worst = tables(section)["Worst of the day"].rows
    assert [cell.text for cell in worst[0][:3]] == ["600003.SH", "Tri", "\N{MINUS SIGN}10.00 %"]


@pytest.fixture
def published_lake(traded_lake, model_card):
    """The traded lake with one macro series and fitted factors, all known on the last of its sessions."""
    series = {
        "series_id": "UNRATE",
        "title": "Unemployment rate",
        "unit": "percent",
        "frequency": "M",
        "transform_code": 2,
        "publication_lag_days": 6,
        "group_name": "labour",
        "is_in_macro_panel": True,
        "is_rolling_window": False,
        "licence": "public",
    }
    insert(traded_lake, macro_tables.SERIES, [series])
    insert(traded_lake, macro_tables.OBSERVATION, [observation(date(2023, 12, 1), 3.7, MON, date(9999, 12, 31))])
    insert(traded_lake, model.MODEL_VERSION, [model_card("macro_pca", WED), model_card("equity_pca", WED)])
    for name, entity in (("macro_pca", "UNRATE"), ("equity_pca", "600001.SH")):
        factor = {"model_version": f"{name}/{WED}", "model_name": name, "factor": 1}
        insert(traded_lake, model.FACTOR, [factor | {"eigenvalue": 2.0, "explained_variance_ratio": 0.5}])
        insert(traded_lake, model.FACTOR_SCORE, [factor | {"score_date": day, "score": 1.0} for day in (MON, TUE)])
        insert(traded_lake, model.FACTOR_LOADING, [factor | {"entity": entity, "loading": 1.0, "marginal_r2": 0.5}])
    return traded_lake


def observation(month, value, start, end):
    return {
        "series_id": "UNRATE",
        "observation_date": month,
        "value": value,
        "realtime_start": start,
        "realtime_end": end,
        "is_realtime_estimated": False,
        "retrieved_at": datetime(2024, 1, 12, tzinfo=UTC),
        "load_id": "test",
    }


@pytest.mark.parametrize("section", pages.SECTIONS, ids=lambda section: section.__module__.rsplit(".", 1)[-1])
def test_section_of_a_past_day_does_not_change_when_later_days_arrive(
    published_lake, bars, load_days, stamp, model_card, section
):
    before = section(published_lake, WED)

    later = date(2024, 1, 11)
    rows = bars("\n".join(f"{code} {later} {closes[-1] * 1.05:.2f}" for code, closes in CLOSES.items()))
    load_days(published_lake, market_tables.DAILY, rows, n=2, n_expected=3)
    keys = rows.select(["ts_code", "trade_date"])
    load_days(published_lake, market_tables.ADJ_FACTOR, keys.append_column("adj_factor", pa.array([1.0] * 3)), n=2)
    returns.update_returns(published_lake, stamp(3))
    # The old value is replaced and a new month published, a factor refitted and scored, and trouble found.
    published_lake.commit(
        lambda connection: connection.execute(
            "update macro.observation set realtime_end = date '2024-01-10' where series_id = 'UNRATE'"
        ),
        message="test",
    )
    newer = [observation(date(2023, 12, 1), 9.9, later, date(9999, 12, 31))]
    newer.append(observation(date(2024, 1, 1), 9.9, later, date(9999, 12, 31)))
    insert(published_lake, macro_tables.OBSERVATION, newer)
    insert(published_lake, model.MODEL_VERSION, [model_card("equity_pca", later), model_card("ridge", later)])
    score = {"model_version": f"equity_pca/{WED}", "model_name": "equity_pca", "factor": 1, "score_date": later}
    insert(published_lake, model.FACTOR_SCORE, [score | {"score": 99.0}])
    checks.record(published_lake, finding_of(later), ["missing_day"], later)

    assert section(published_lake, WED) == before


def test_macro_shows_the_value_that_stood_on_the_day(published_lake):
    published_lake.commit(
        lambda connection: connection.execute("update macro.observation set realtime_end = date '2024-01-10'"),
        message="test",
    )
    insert(
        published_lake,
        macro_tables.OBSERVATION,
        [observation(date(2023, 12, 1), 3.9, date(2024, 1, 11), date(9999, 12, 31))],
    )

    shown = [
        next(iter(tables(macro.section(published_lake, day)).values())).rows[0][2].text
        for day in (WED, date(2024, 1, 11))
    ]

    assert shown == ["3.7", "3.9"]


def test_macro_tells_releases_since_the_day_before_and_how_far_each_is_from_its_forecast(published_lake):
    """December's value came on Monday: 3.7 where 3.5 had been forecast, give or take 0.1."""
    published_lake.commit(
        lambda c: c.execute("update macro.observation set realtime_start = date '2024-01-10'"), message="test"
    )
    forecast = {"model_version": f"macro_next/{TUE}", "model_name": "macro_next", "series_id": "UNRATE"}
    forecast |= {"observation_date": date(2023, 12, 1), "forecast_date": TUE, "forecast": 3.5, "std_error": 0.1}
    insert(published_lake, model.MACRO_FORECAST, [forecast | {"n_lags": 1, "n_rows": 60}])

    told, silent = (macro.section(published_lake, day) for day in (WED, TUE))

    (row,) = tables(told)[next(iter(tables(told)))].rows
    assert [cell.text for cell in row[3:7]] == ["3.7", "3.50", "+0.20", "+2.0"]
    assert told.blocks[0].text.startswith(f"1 release since {TUE}.") and "no forecast" not in told.blocks[0].text
    assert silent.blocks[0].text.startswith(f"No weekly, monthly or quarterly series had a release since {MON}")


def test_macro_says_what_moved_a_factor_and_what_all_others_added(published_lake):
    move = {"model_version": f"macro_pca/{WED}", "model_name": "macro_pca", "factor": 1, "score_date": MON}
    move |= {"is_completed": False}
    steps = {"A": 0.1, "B": -2.0, "C": 0.5, "D": 0.25, "E": 1.0, "F": 0.05, "UNRATE": 3.0}
    rows = [move | {"entity": name, "step": step, "contribution": step} for name, step in steps.items()]
    insert(published_lake, model.FACTOR_MOVE, rows)
    loading = {"model_version": f"macro_pca/{WED}", "model_name": "macro_pca", "factor": 1, "marginal_r2": 0.5}
    others = [loading | {"entity": name, "loading": 1.0} for name in steps if name != "UNRATE"]
    insert(published_lake, model.FACTOR_LOADING, others)

    shown = tables(macro.section(published_lake, WED))

    (table,) = (block for caption, block in shown.items() if caption.startswith("What moved the factors in 2024-01"))
    assert [(row[1].text, row[5].text) for row in table.rows] == [
        ("UNRATE", "+3.00"),
        ("B", "\N{MINUS SIGN}2.00"),
        ("E", "+1.00"),
        ("C", "+0.50"),
        ("D", "+0.25"),
        ("2 others", "+0.15"),
        ("the whole step", "+2.90"),
    ]


def test_macro_says_of_a_release_that_nothing_was_forecast(published_lake):
    published_lake.commit(
        lambda c: c.execute("update macro.observation set realtime_start = date '2024-01-10'"), message="test"
    )

    section = macro.section(published_lake, WED)

    assert "1 had no forecast: none of that period was stored before the day of the release" in section.blocks[0].text
    assert [cell.text for cell in tables(section)[next(iter(tables(section)))].rows[0][4:7]] == ["\N{EN DASH}"] * 3


def test_macro_factors_stand_on_the_recessions_that_the_day_knew(published_lake):
    """January 2024 is called a recession on Wednesday; Tuesday's report does not know of it."""
    month = observation(date(2024, 1, 1), 1.0, WED, date(9999, 12, 31)) | {"series_id": "USREC"}
    insert(published_lake, macro_tables.OBSERVATION, [month])
    published_lake.commit(
        lambda connection: connection.execute(
            "insert into macro.series select * replace ('USREC' as series_id) from macro.series"
        ),
        message="test",
    )
    version = f"macro_pca/{WED}"

    known, before = (macro._score_figure(published_lake, version, day) for day in (WED, TUE))

    assert "Shaded: recessions" in known.caption and 'class="shade"' in known.chart.svg
    assert "Shaded" not in before.caption and "shade" not in before.chart.svg


def test_overview_says_when_an_earlier_day_is_not_whole(traded_lake, bars, load_days):
    friday = date(2024, 1, 5)
    load_days(traded_lake, market_tables.DAILY, bars(f"600001.SH {friday} 11"), n=4, n_expected=3)

    today, on_the_day = (overview.section(traded_lake, day).blocks[0] for day in (WED, friday))

    assert today.text == ("All data expected today is here; of earlier days 1 partition is not whole, see Data.")
    assert today.tone == "good" and "earlier days" not in on_the_day.text


def test_data_lists_partitions_that_are_not_whole(traded_lake, load_days, bars):
    rows = bars("600001.SH 2024-01-11 12")
    load_days(traded_lake, market_tables.DAILY, rows, n=4, n_expected=3)

    section = quality.section(traded_lake, date(2024, 1, 11))

    (fresh,) = (block for caption, block in tables(section).items() if caption.startswith("Freshness"))
    daily = next(row for row in fresh.rows if row[0].text == "market.daily")
    assert [daily[at].text for at in (1, 5, 6, 7)] == ["2024-01-10", "4", "1", "came from files"]
    assert section.blocks[0].text.startswith("17 of 18 partitions are whole; nothing waits in quarantine.")
    (gap,) = [row for row in tables(section)["Not whole"].rows if row[0].text == "market.daily"]
    assert [cell.text for cell in gap[1:5]] == ["2024-01-11", "partial", "1", "3"]
    coverage = next(block for block in section.blocks if isinstance(block, Figure))
    assert "<title>market.daily, 2024-01-11: partial</title>" in coverage.chart.svg


@pytest.fixture
def model_card():
    def make(name, as_of):
        return {
            "model_version": f"{name}/{as_of}",
            "model_name": name,
            "as_of_date": as_of,
            "train_start": MON,
            "train_end": TUE,
            "n_rows": 9,
            "n_rows_dropped": 1,
            "params": "{}",
            "is_converged": True,
            "is_champion": True,
            "files_sha256": "",
            "code_version": "0",
            "snapshot": 1,
            "fitted_at": datetime(2024, 1, 10, tzinfo=UTC),
        }

    return make


EVALUATED = "Walk-forward evaluation: every forecast was made by a fit that ended before, with an embargo"


def evaluation(name, metric, value):
    return {
        "model_version": f"{name}/{WED}",
        "model_name": name,
        "fold": 0,
        "test_start": MON,
        "test_end": WED,
        "metric": metric,
        "value": value,
        "n_rows": 9,
    }


@pytest.mark.parametrize(
    ("skill", "p_value", "words"),
    [
        (0.01, 0.01, "ridge clearly beats the naive forecast"),
        (0.01, 0.5, "ridge is ahead of the naive forecast of no excess return, but not by more than chance"),
        (-0.01, 0.5, "ridge does not beat the naive forecast"),
        (-0.01, 0.01, "ridge is clearly worse than the naive forecast"),
    ],
)
def test_forecasts_are_judged_by_skill_and_by_chance(traded_lake, model_card, skill, p_value, words):
    insert(traded_lake, model.MODEL_VERSION, [model_card("ridge", WED), model_card("zero", WED)])
    metrics = [evaluation("ridge", "r2_oos", skill), evaluation("ridge", "dm_p_value", p_value)]
    insert(traded_lake, model.EVALUATION, [*metrics, evaluation("zero", "r2_oos", 0.0)])

    section = forecasts.section(traded_lake, WED)

    assert words in section.blocks[0].text
    assert section.blocks[0].tone == ("good" if skill > 0 else "warn")
    names = [row[0].text for row in tables(section)[EVALUATED].rows]
    assert names == [
        "ridge",
        "ridge, without the worst crisis",
        "naive (zero)",
        "naive (zero), without the worst crisis",
    ]


def test_forecasts_list_the_best_and_worst_with_their_intervals(traded_lake, model_card):
    insert(traded_lake, model.MODEL_VERSION, [model_card("ridge", WED)])
    rows = [
        {
            "model_version": f"ridge/{WED}",
            "model_name": "ridge",
            "ts_code": code,
            "forecast_date": WED,
            "horizon": 5,
            "forward_return_5d": value,
            "lower": value - 0.05,
            "upper": value + 0.05,
        }
        for code, value in (("600001.SH", 0.02), ("600002.SH", -0.01), ("600003.SH", 0.0))
    ]
    insert(traded_lake, model.FORECAST, rows)

    section = forecasts.section(traded_lake, WED)

    best = tables(section)[f"Best forecasts by ridge, made after {WED}"].rows
    assert [cell.text for cell in best[0]] == [
        "600001.SH",
        "One",
        "Bank",
        "+2.00 %",
        "\N{MINUS SIGN}3.0 % to +7.0 %",
    ]
    worst = tables(section)[f"Worst forecasts by ridge, made after {WED}"].rows
    assert worst[0][0].text == "600002.SH"


def decide(lake, version):
    """Put a version in charge."""
    role = dict.fromkeys(model.VERSION_ROLE.column_names, "-") | {
        "decision": 1,
        "model_version": version,
        "model_name": version.split("/")[0],
        "role": "champion",
        "as_of_date": TUE,
        "decided_at": datetime(2024, 1, 3, 18, tzinfo=UTC),
    }
    insert(lake, model.VERSION_ROLE, [role])


@pytest.mark.parametrize(("champion", "n_told"), [("ridge", 1), ("zero", 0)])
def test_newcomers_to_the_best_forecasts_are_told_only_when_somebody_is_in_charge(
    traded_lake, model_card, champion, n_told
):
    insert(traded_lake, model.MODEL_VERSION, [model_card(name, TUE) for name in ("ridge", "zero")])
    decide(traded_lake, f"{champion}/{TUE}")
    forecast = {"model_version": f"ridge/{TUE}", "model_name": "ridge", "horizon": 5, "lower": -1.0, "upper": 1.0}
    rows = [
        forecast | {"forecast_date": day, "ts_code": f"6000{n:02}.SH", "forward_return_5d": value(n)}
        for day, value in ((TUE, lambda n: -n / 100), (WED, lambda n: 0.5 if n == 12 else -n / 100))
        for n in range(1, 13)
    ]
    insert(traded_lake, model.FORECAST, rows)

    text = str(overview.section(traded_lake, WED))

    assert text.count("entered the ten best forecasts") == n_told
    assert ("600012.SH) entered the ten best forecasts: now number 1, 12 the session before" in text) == bool(n_told)


def test_forecasts_come_by_skill_after_the_champion_and_say_when_the_naive_one_is_in_charge(traded_lake, model_card):
    names = ("ridge", "boosting", "zero")
    insert(traded_lake, model.MODEL_VERSION, [model_card(name, WED) for name in names])
    skill = dict(zip(names, (0.001, 0.01, 0.0), strict=True))
    insert(traded_lake, model.EVALUATION, [evaluation(name, "r2_oos", skill[name]) for name in names])
    rows = [
        {
            "model_version": f"{name}/{WED}",
            "model_name": name,
            "ts_code": "600001.SH",
            "forecast_date": WED,
            "horizon": 5,
            "forward_return_5d": 0.01,
            "lower": -0.04,
            "upper": 0.06,
        }
        for name in names
    ]
    insert(traded_lake, model.FORECAST, rows)

    def told():
        section = forecasts.section(traded_lake, WED)
        order = [row[0].text for row in tables(section)[EVALUATED].rows][::2]
        captions = [name for name in tables(section) if name.startswith("Best forecasts")]
        return order, captions, [block.text for block in section.blocks if isinstance(block, Note)]

    decide(traded_lake, f"zero/{WED}")
    order, captions, notes = told()
    assert order == ["boosting", "ridge", "naive (zero)"]
    assert captions == [f"Best forecasts by boosting, made after {WED}"]
    assert any("naive forecast is in charge" in note and "boosting, the challenger" in note for note in notes)
    traded_lake.commit(lambda c: c.execute("delete from model.version_role"), message="test")
    decide(traded_lake, f"ridge/{WED}")
    order, captions, notes = told()
    assert order == ["ridge", "boosting", "naive (zero)"]
    assert captions == [f"Best forecasts by ridge, made after {WED}"]
    assert not any("in charge" in note for note in notes)


@pytest.mark.parametrize(("section", "name"), [(macro.section, "macro_pca"), (equity.section, "equity_pca")])
def test_factors_fitted_after_the_day_are_not_shown(traded_lake, model_card, section, name):
    insert(traded_lake, model.MODEL_VERSION, [model_card(name, WED)])
    factor = {"model_version": f"{name}/{WED}", "model_name": name, "factor": 1}
    insert(traded_lake, model.FACTOR, [factor | {"eigenvalue": 2.0, "explained_variance_ratio": 0.5}])
    insert(traded_lake, model.FACTOR_SCORE, [factor | {"score_date": day, "score": 1.0} for day in (MON, TUE)])
    insert(traded_lake, model.FACTOR_LOADING, [factor | {"entity": "600001.SH", "loading": 1.0, "marginal_r2": 0.5}])

    on_the_day, before = section(traded_lake, WED), section(traded_lake, TUE)

    assert "together 50.0 %" in texts(on_the_day)
    assert "not fitted yet" in texts(before)


def test_overview_and_data_tell_what_the_vendor_corrected_since_the_day_before(traded_lake, bars, load_days):
    """One close is corrected on Wednesday: Tuesday's report does not know of it, Wednesday's says so."""
    hours_to_wednesday = 9 * 24
    load_days(traded_lake, market_tables.DAILY, bars("600001.SH 2024-01-09 11.5"), hours_to_wednesday)

    today, before = (texts(overview.section(traded_lake, day)) for day in (WED, TUE))

    # Four prices and pre_close of the flat bar, and its amount.
    assert "6 values corrected by the vendor, back to 2024-01-09" in today
    assert "corrected by the vendor" not in before
    assert "Corrected or completed by a vendor" in texts(quality.section(traded_lake, WED))
    assert "No stored value has been corrected" in texts(quality.section(traded_lake, TUE))


def test_every_block_names_the_views_and_versions_it_was_read_from(published_lake):
    """The source is what was truly asked, here of a lake that has macro and equity factors and no forecasts."""
    sections = {
        build.__module__.rsplit(".", 1)[-1]: tracing.read_section(published_lake, build, WED)
        for build in pages.SECTIONS
    }

    assert all(block.source and block.source.views for section in sections.values() for block in section.blocks)
    movers = tables(sections["market"])["Best of the day"].source
    assert movers.views == ("analyst.daily_return",) and movers.versions == ()
    scree = next(block for block in sections["equity"].blocks if isinstance(block, Figure) and block.title == "Scree")
    assert (scree.source.views, scree.source.versions) == (("analyst.factor",), (f"equity_pca/{WED}",))
    assert "analyst.model_card" in sections["forecasts"].blocks[0].source.views


def test_page_of_one_session_with_half_the_market_says_what_is_missing_and_why(
    empty_lake, bars, load_days, load_sessions
):
    """A first evening: no macro series, no index, no model, one session of which half has not come."""
    load_sessions(empty_lake, [WED])
    load_days(empty_lake, market_tables.DAILY, bars("600001.SH 2024-01-10 12"), n_expected=2)
    checks.record(empty_lake, finding_of(WED), ["missing_day"], WED)

    sections = [tracing.read_section(empty_lake, build, WED) for build in pages.SECTIONS]
    page = site.render_day(
        sections, trace={"run_id": "r", "snapshot": 1, "code_version": "1"}, as_of=WED, up_colour="red"
    )

    for words in (
        "Not whole: market.daily 2024-01-10: no bars",
        "1 of 1 are not whole.",
        "No macro series is loaded yet",
        "The equity factors are not fitted yet: they need 60 sessions",
        "Forecasts are not fitted yet: they need about a year",
    ):
        assert words in html.unescape(page), words
    assert "nan" not in re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL).lower().replace("financ", "")


def test_page_without_a_market_says_so_and_tells_releases_since_the_report_before(empty_lake):
    """No token was ever set: the macro half alone, published on Monday and Wednesday."""
    series = {"series_id": "UNRATE", "title": "Unemployment rate", "unit": "percent", "frequency": "M"}
    series |= {"transform_code": 2, "publication_lag_days": 6, "group_name": "labour", "licence": "public"}
    insert(empty_lake, macro_tables.SERIES, [series | {"is_in_macro_panel": True, "is_rolling_window": False}])
    still = date(9999, 12, 31)
    known = [observation(date(2023, 11, 1), 3.6, MON, still), observation(date(2023, 12, 1), 3.7, TUE, still)]
    insert(empty_lake, macro_tables.OBSERVATION, known)
    for day in (MON, WED):
        runs.start(empty_lake, f"daily/{day}", day, datetime(2024, 1, 10, tzinfo=UTC), "2026.1")
        runs.pin_snapshot(empty_lake, f"daily/{day}", 1)

    first, overview_of_today, today = (
        macro.section(empty_lake, MON),
        overview.section(empty_lake, WED),
        macro.section(empty_lake, WED),
    )

    assert first.blocks[0].text.startswith("This is the first day there is")
    assert "this report has the macro half only. Set TUSHARE_TOKEN" in overview_of_today.blocks[0].text
    assert f"title='Since {MON}'" in texts(overview_of_today)
    assert today.blocks[0].text.startswith(f"1 release since {MON}.")
    assert [row[0].text for row in tables(today)[next(iter(tables(today)))].rows] == ["UNRATE"]
