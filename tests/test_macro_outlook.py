"""Macro forecasts in the lake: what moved them adds up, outcomes are joined once known, the page shows who counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from planting import insert

from flows import macro_outlook, settings
from flows.context import Context
from models.macro_horizons import AR
from reports.pages import outlook as page
from warehouse import lake, results
from warehouse.tables import macro, model, outlook

N_MONTHS = 210
STARTS = [np.datetime64("2004-01") + k for k in range(N_MONTHS)]
NAMES = ("A", "B", "C", "D", "T")
# Each month is known ten days after its end. The first refit sees all but the last two, the one after it a revision
# of its newest month, the last one more month.
FIRST, SECOND = ((month + 1).astype("datetime64[D]").item().replace(day=20) for month in STARTS[-3:-1])
BETWEEN = FIRST.replace(day=28)
THIRD = (STARTS[-1] + 1).astype("datetime64[D]").item().replace(day=20)
REVISED, REVISION = STARTS[-3], 0.7


def series_row(name):
    return {
        "series_id": name,
        "title": f"Series {name}",
        "unit": "percent",
        "frequency": "M",
        "transform_code": 2,
        "publication_lag_days": 10,
        "group_name": "labour",
        "is_in_macro_panel": name != "T",
        "is_rolling_window": False,
        "licence": "public",
    }


def observation_rows(levels):
    end, rows = date(9999, 12, 31), []
    for at, month in enumerate(STARTS):
        known = (month + 1).astype("datetime64[D]").item().replace(day=10)
        for name, value in zip(NAMES, levels[at], strict=True):
            spans = [(value, known, end)]
            if name == "A" and month == REVISED:
                spans = [(value, known, FIRST.replace(day=24)), (value + REVISION, FIRST.replace(day=25), end)]
            rows += [
                {
                    "series_id": name,
                    "observation_date": month.astype("datetime64[D]").item(),
                    "value": float(told),
                    "realtime_start": start,
                    "realtime_end": until,
                    "is_realtime_estimated": False,
                    "retrieved_at": datetime(2024, 1, 1, tzinfo=UTC),
                    "load_id": "test",
                }
                for told, start, until in spans
            ]
    return rows


def planted_levels():
    draw = np.random.default_rng(8)
    factor = np.zeros(N_MONTHS)
    for at in range(1, N_MONTHS):
        factor[at] = 0.6 * factor[at - 1] + draw.normal()
    changes = factor[:, None] + 0.6 * draw.normal(size=(N_MONTHS, len(NAMES)))
    changes[:, -1] = 0.8 * np.r_[0.0, factor[:-1]] + draw.normal(size=N_MONTHS)
    return 100 + np.cumsum(changes, axis=0)


@pytest.fixture(scope="module")
def forecast_run(tmp_path_factory, lay_out):
    """A target that follows a factor, forecast in two months, and the day the first month ahead is known."""
    folder = tmp_path_factory.mktemp("outlook")
    location = lake.LakeLocation(folder / "lake", memory_limit="1GB", threads=1)
    lay_out(location)
    options = settings.read_settings(home=folder / "home", macro_targets=("T",), macro_factors=1, _env_file=None)
    context = Context(options, datetime(2024, 6, 1, tzinfo=UTC), "test", None, None, None)
    levels = planted_levels()
    with lake.open_writer(location, holder="test") as opened:
        insert(opened, macro.SERIES, [series_row(name) for name in NAMES])
        insert(opened, macro.OBSERVATION, observation_rows(levels))
        for day in (FIRST, BETWEEN, SECOND):
            for fitted in macro_outlook.fit_outlooks(context, opened, day):
                results.write_version(opened, fitted.model_version, fitted.rows)
            known = macro_outlook.find_outcomes(opened, day)
            results.add_rows(opened, {outlook.MACRO_OUTLOOK_OUTCOME: known}, "outcomes")
        yield opened, levels, context


def outlook_of(opened, day):
    return opened.read("from analyst.macro_outlook where forecast_date = $day", day=day).to_pandas()


def test_each_horizon_has_every_rival_and_one_that_counts(forecast_run):
    opened, levels, _ = forecast_run

    rows = outlook_of(opened, SECOND)

    assert len(rows) == 3 * 4 and rows.groupby("horizon_months")["is_published"].sum().tolist() == [1] * 4
    one = rows[rows["horizon_months"] == 1].set_index("model_name")
    assert one.loc["macro_diffusion", "is_published"] and one.loc["macro_diffusion", "ratio_to_ar"] < 0.9
    assert set(one["observation_date"]) == {STARTS[-1].astype("datetime64[D]").item()}
    # Of a level: the last known one and the change forecast.
    np.testing.assert_allclose(one["forecast"], levels[-2, -1] + one["mean_change"], rtol=1e-12)


@pytest.mark.parametrize(("before", "after"), [(FIRST, BETWEEN), (BETWEEN, SECOND)])
def test_causes_add_up_to_the_change_of_each_forecast(forecast_run, before, after):
    opened, _, _ = forecast_run

    news = opened.read("from analyst.macro_news where forecast_date = $day", day=after).to_pandas()

    was, now = (
        outlook_of(opened, day).query("is_published").set_index("horizon_months")["mean_change"].sort_index()
        for day in (before, after)
    )
    effects = news.groupby("horizon_months")["effect"].sum()
    np.testing.assert_allclose(effects, now - was, atol=1e-10, rtol=0)
    assert (news["previous_version"].str[-10:] == str(before)).all()


def test_revision_moves_the_forecast_by_its_weight_and_a_month_brings_every_series(forecast_run):
    """One factor without holes: coefficient times loading over deviation times the revision."""
    opened, levels, _ = forecast_run
    of_one = "select * from analyst.macro_news where horizon_months = 1 and forecast_date = $day and entity <> ''"

    (revised,) = opened.read(of_one, day=BETWEEN).to_pylist()
    released = opened.read(of_one, day=SECOND).to_pandas().query("kind == 'release'")

    changes = np.diff(levels[:-2], axis=0)
    values, vectors = np.linalg.eigh(np.corrcoef(changes.T))
    weight = vectors[NAMES.index("A"), values.argmax()] * np.sign(vectors[:, values.argmax()].sum())
    coefficient = opened.read_value(
        "select estimate from analyst.macro_coefficient where model_version = $v and term = 'factor_0'"
        " and horizon_months = 1",
        v=f"macro_diffusion/{FIRST}",
    )
    assert (revised["kind"], revised["entity"]) == ("revision", "A")
    assert revised["actual"] - revised["expected"] == pytest.approx(REVISION)
    spread = changes[:, NAMES.index("A")].std(ddof=1)
    assert revised["effect"] == pytest.approx(coefficient * weight / spread * REVISION, rel=1e-9)
    assert set(released["entity"]) == set(NAMES)


def test_release_of_the_target_moves_an_autoregression_by_its_coefficient_times_the_surprise(forecast_run):
    """As the autoregression would have been published: its first coefficient times what was not expected."""
    from flows import macro_news, macro_rivals

    opened, levels, context = forecast_run
    then, now = (macro_rivals.make(context, opened, day) for day in (FIRST, SECOND))
    old, new = (
        outlook_of(opened, day).query("model_name == @AR and horizon_months == 1").iloc[0].to_dict()
        for day in (FIRST, SECOND)
    )

    causes = macro_news._causes((then, now), (old, new), old["mean_change"])

    coefficient = opened.read_value(
        "select estimate from analyst.macro_coefficient where model_version = $v and term = 'own_0'"
        " and horizon_months = 1",
        v=f"{AR}/{FIRST}",
    )
    (release,) = [one for one in causes if one["kind"] == "release"]
    surprise = levels[-2, -1] - levels[-3, -1] - old["mean_change"]
    assert release["entity"] == "T" and release["effect"] == pytest.approx(coefficient * surprise, abs=1e-10)
    assert sum(one["effect"] for one in causes) == pytest.approx(new["mean_change"] - old["mean_change"], abs=1e-10)
    assert AR == "macro_ar"


def test_outcome_is_joined_when_its_month_is_published(forecast_run):
    opened, levels, _ = forecast_run

    rows = outlook_of(opened, FIRST)

    known = rows[rows["known_date"].notna()]
    assert known["horizon_months"].unique().tolist() == [1] and len(known) == 3
    came = levels[-2, -1] - levels[-3, -1]
    np.testing.assert_allclose(known["realised_mean_change"], came, atol=1e-10)
    np.testing.assert_allclose(known["squared_error"], (came - known["mean_change"]) ** 2, atol=1e-10)
    inside = (known["mean_change_lower"] <= came) & (came <= known["mean_change_upper"])
    assert known["is_inside"].tolist() == inside.tolist()
    assert outlook_of(opened, SECOND)["known_date"].isna().all()


def test_page_shows_the_rivals_and_what_moved_the_one_that_counts_as_its_day_knew_them(forecast_run):
    opened, _, _ = forecast_run

    (first,), (second,) = (page.outlook_blocks(opened, day) for day in (FIRST, SECOND))
    (early,), (news,) = (page.news_blocks(opened, day) for day in (FIRST, SECOND))

    assert [row[2].text for row in second.rows] == ["1 m", "3 m", "6 m", "12 m"]
    assert second.rows[0][6].text == "index" and str(FIRST) in first.caption
    assert first.rows[0][14].text == "\N{EN DASH}" and second.rows[0][14].text.endswith(" % of 2")
    assert "from the second refit on" in early.text
    assert "the effects add up to the change" in news.caption and "release" in news.rows[0][4].text


def test_refit_of_the_first_day_gives_the_same_bytes_when_later_months_are_there(forecast_run):
    opened, _, context = forecast_run
    before = opened.read("from model.macro_outlook where forecast_date = $day order by all", day=FIRST)

    again = macro_outlook.fit_outlooks(context, opened, FIRST)

    rows = [row for fitted in again for row in fitted.rows[outlook.MACRO_OUTLOOK].to_pylist()]
    key = lambda row: (row["model_version"], row["series_id"], row["horizon_months"])  # noqa: E731
    assert sorted(rows, key=key) == sorted(before.to_pylist(), key=key)


@pytest.mark.exhaustive
def test_network_stands_beside_the_others_where_it_is_asked_for(forecast_run):
    opened, _, context = forecast_run
    asked = context.settings.model_copy(update={"macro_network": True})

    made = macro_outlook.fit_outlooks(replace(context, settings=asked), opened, SECOND)

    rows = {one.model_version: one.rows[outlook.MACRO_OUTLOOK].to_pylist() for one in made}
    network = rows.pop(f"macro_lstm/{SECOND}")
    assert [row["horizon_months"] for row in network] == [1, 3, 6, 12]
    assert all(row["n_lags"] == 12 and row["n_tested"] > 0 and row["rmse"] > 0 for row in network)
    for others in zip(*rows.values(), network, strict=True):
        assert sum(row["is_published"] for row in others) == 1
    (card,) = (
        next(one for one in made if one.model_version.startswith("macro_lstm")).rows[model.MODEL_VERSION].to_pylist()
    )
    assert '"units": 16' in card["params"]


@pytest.mark.exhaustive
def test_page_has_the_network_in_a_column_of_its_own(forecast_run):
    opened, _, context = forecast_run
    asked = context.settings.model_copy(update={"macro_network": True})
    for fitted in macro_outlook.fit_outlooks(replace(context, settings=asked), opened, THIRD):
        results.write_version(opened, fitted.model_version, fitted.rows)

    (table,) = page.outlook_blocks(opened, THIRD)

    assert "LSTM" in table.columns and all(len(row) == len(table.columns) for row in table.rows)
