"""What the day's page says of forecasts and equity factors is what pandas, scipy and numpy find in the same rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from planting import insert
from scipy import stats

from reports import figures, pages, proof, site, tracing
from reports.blocks import Figure, Listing, Note, Table
from reports.pages import contest, equity, forecasts, skill
from warehouse import lake
from warehouse.tables import feature, market, model

N_SECURITIES, N_SESSIONS, N_FITTED = 123, 90, 80
SESSIONS = [day.date() for day in pd.bdate_range("2024-01-01", periods=N_SESSIONS)]
TODAY, FIT_DAY = SESSIONS[-1], SESSIONS[N_FITTED - 1]
TESTED = SESSIONS[:60]
CODES = [f"{600000 + n}.SH" for n in range(N_SECURITIES)]
INDUSTRIES = ("Bank", "Beer", "Steel", "Glass", None)
NOW = datetime(2024, 6, 1, tzinfo=UTC)
R2 = {"ridge": 0.004, "boosting": 0.001, "mlp": 0.3, "ols": -0.002, "zero": 0.0}
REASONS = {
    "zero": "beaten by ridge",
    "ridge": "beats the naive forecast and zero out of sample",
    "boosting": "takes every hurdle against the naive forecast",
    "mlp": "too good to be true",
    "ols": "without skill: its squared error is not below; p is 0.4",
}
ROLES = dict(ridge="champion", boosting="challenger", mlp="held", ols="challenger", zero="challenger")


def version(name):
    return f"{name}/{FIT_DAY}"


def of(name):
    return {"model_version": version(name), "model_name": name}


def walked_rows():
    """Forecasts of three models beside what came: ridge knows a little, mlp nearly all, boosting nothing.

    One security misses every seventh date, so that a decile's members are not those of a fixed panel.
    """
    draw = np.random.default_rng(3)
    came = draw.normal(0, 0.04, (len(TESTED), N_SECURITIES))
    persistent = np.repeat(draw.normal(0, 1, (len(TESTED) // 10, N_SECURITIES)), 10, axis=0)
    said = {
        "ridge": 0.002 * persistent + 0.05 * came,
        "boosting": draw.normal(0, 0.004, came.shape).round(3),
        "mlp": 0.9 * came,
    }
    frames = []
    for name, predicted in said.items():
        frame = pd.DataFrame(
            {
                "ts_code": np.tile(CODES, len(TESTED)),
                "forecast_date": np.repeat(TESTED, N_SECURITIES),
                "fold": np.int32(1),
                "predicted": predicted.ravel(),
                "realised": came.ravel(),
            }
        ).assign(**of(name))
        absent = (frame["ts_code"] == CODES[5]) & (np.repeat(np.arange(len(TESTED)), N_SECURITIES) % 7 == 0)
        frames.append(frame[~absent])
    return pd.concat(frames, ignore_index=True)


def outcome_rows():
    """Ridge has 70 days, boosting the fewest that are judged, ols one fewer; what is known later does not count."""
    draw = np.random.default_rng(4)
    days = {"ridge": 70, "boosting": contest.LEAST_SESSIONS, "ols": contest.LEAST_SESSIONS - 1}
    rows = []
    for name, n_days in days.items():
        for at in range(n_days):
            naive = 0.002 * (1 + draw.random())
            rows.append(
                of(name)
                | {
                    "forecast_date": SESSIONS[at],
                    "known_date": SESSIONS[at + 5],
                    "n_rows": int(draw.integers(80, 120)),
                    "squared_error": naive * (1 + draw.normal(-0.01 if name == "ridge" else 0.02, 0.005)),
                    "naive_squared_error": naive,
                    "rank_ic": draw.normal(0.03, 0.1),
                    "nominal_coverage": 0.9,
                    "realised_coverage": draw.uniform(0.8, 1.0),
                }
            )
    later = rows[-1] | {"forecast_date": TODAY, "known_date": TODAY + timedelta(7), "squared_error": 1.0}
    return pd.DataFrame([*rows, later])


def forecast_rows():
    draw = np.random.default_rng(5)
    frames = []
    for name in ("ridge", "boosting", "zero"):
        said = np.zeros(N_SECURITIES) if name == "zero" else draw.normal(0, 0.01, N_SECURITIES)
        frame = pd.DataFrame({"ts_code": CODES, "forecast_date": TODAY, "horizon": np.int32(5)}).assign(**of(name))
        frames.append(frame.assign(forward_return_5d=said, lower=said - 0.05, upper=said + 0.06))
    return pd.concat(frames, ignore_index=True)


def planted_returns():
    """(n_sessions, n_securities) log returns of a market, a second factor and noise."""
    draw = np.random.default_rng(6)
    market_factor, second = draw.normal(0, 0.012, (2, N_SESSIONS))
    exposures = draw.uniform(0.5, 1.5, N_SECURITIES), draw.normal(0, 1, N_SECURITIES)
    common = np.outer(market_factor, exposures[0]) + np.outer(second, exposures[1])
    return common + draw.normal(0, 0.01, (N_SESSIONS, N_SECURITIES))


def fitted_factors(returns):
    """Eigenvalues, loadings and scores of the standardised panel of the fit, by numpy."""
    panel = returns[:N_FITTED]
    standard = (returns - panel.mean(axis=0)) / panel.std(axis=0, ddof=1)
    values, vectors = np.linalg.eigh(np.corrcoef(panel.T))
    vectors = vectors[:, ::-1][:, :2] * np.sign(vectors[:, ::-1][:, :2].sum(axis=0))
    return values[::-1][:2], vectors, standard @ vectors


@pytest.fixture(scope="module")
def given(tmp_path_factory, lay_out):
    """The lake at `TODAY` with forecasts by five models and two equity factors, and the rows it was filled with."""
    location = lake.LakeLocation(tmp_path_factory.mktemp("skill") / "lake", memory_limit="1GB")
    lay_out(location)
    returns = planted_returns()
    eigenvalues, loadings, scores = fitted_factors(returns)
    rows = {"tested": walked_rows(), "outcomes": outcome_rows(), "forecasts": forecast_rows()}
    rows |= {"returns": returns, "eigenvalues": eigenvalues, "loadings": loadings, "scores": scores}
    with lake.open_writer(location, holder="test") as opened:
        fill_models(opened, rows)
        fill_factors(opened, rows)
    with lake.open_reader(location) as reader:
        yield reader, rows


def fill_models(opened, rows):
    stock = {"market": "Main", "list_status": "L", "list_date": SESSIONS[0], "retrieved_at": NOW, "load_id": "x"}
    industries = [INDUSTRIES[at % len(INDUSTRIES)] for at in range(N_SECURITIES)]
    named = zip(CODES, industries, strict=True)
    insert(
        opened,
        market.STOCK_BASIC,
        [stock | {"ts_code": code, "name": f"N{code[:6]}", "industry": word} for code, word in named],
    )
    card = dict.fromkeys(("n_rows", "n_rows_dropped", "snapshot"), 1) | dict.fromkeys(("files_sha256", "params"), "{}")
    card |= {"as_of_date": FIT_DAY, "train_start": SESSIONS[0], "train_end": FIT_DAY, "code_version": "0"}
    card |= {"is_converged": True, "is_champion": True, "fitted_at": NOW}
    insert(opened, model.MODEL_VERSION, [card | of(name) for name in (*R2, "equity_pca")])
    metric = {"test_start": TESTED[0], "test_end": TESTED[-1], "metric": "r2_oos", "n_rows": 9}
    insert(
        opened,
        model.EVALUATION,
        [
            metric | of(name) | {"fold": fold, "value": value * (1 if fold < 3 else -1)}
            for name, value in R2.items()
            for fold in range(4)
        ],
    )
    insert(opened, model.OUT_OF_SAMPLE, pa.Table.from_pandas(rows["tested"], preserve_index=False))
    insert(opened, model.FORECAST, pa.Table.from_pandas(rows["forecasts"], preserve_index=False))
    insert(opened, model.FORECAST_OUTCOME, pa.Table.from_pandas(rows["outcomes"], preserve_index=False))
    role = {"as_of_date": FIT_DAY, "evidence": "{}", "decided_by": "rule", "files_sha256": "", "decided_at": NOW}
    first = role | of("zero") | {"decision": 1, "role": "champion", "reason": "the naive forecast"}
    insert(
        opened,
        model.VERSION_ROLE,
        [first | {"as_of_date": SESSIONS[0]}]
        + [
            role | of(name) | {"decision": at, "role": part, "reason": REASONS[name]}
            for at, (name, part) in enumerate(ROLES.items(), start=2)
        ],
    )


def fill_factors(opened, rows):
    keys = {"ts_code": np.tile(CODES, N_SESSIONS), "trade_date": np.repeat(SESSIONS, N_SECURITIES)}
    changes = pd.DataFrame({**keys, "log_return_1d": rows["returns"].ravel()})
    insert(opened, feature.LOG_RETURN, pa.Table.from_pandas(changes, preserve_index=False))
    for factor in (1, 2):
        at, key = factor - 1, of("equity_pca") | {"factor": factor}
        size = {
            "eigenvalue": rows["eigenvalues"][at],
            "explained_variance_ratio": rows["eigenvalues"][at] / N_SECURITIES,
        }
        insert(opened, model.FACTOR, [key | size])
        weights = zip(CODES, rows["loadings"][:, at].tolist(), strict=True)
        insert(
            opened,
            model.FACTOR_LOADING,
            [key | {"entity": code, "loading": weight, "marginal_r2": 0.1} for code, weight in weights],
        )
        scored = zip(SESSIONS, rows["scores"][:, at].tolist(), strict=True)
        insert(opened, model.FACTOR_SCORE, [key | {"score_date": day, "score": score} for day, score in scored])


@pytest.fixture(scope="module")
def shown(given):
    """The day's two sections, built once."""
    reader, _ = given
    return {build.__module__.rsplit(".", 1)[-1]: build(reader, TODAY) for build in (forecasts.section, equity.section)}


def table_of(section, beginning):
    return next(b for b in section.blocks if isinstance(b, Table) and b.caption.startswith(beginning))


def figure_of(section, title):
    return next(b for b in section.blocks if isinstance(b, Figure) and b.title == title)


def exact(cell):
    return float(cell.text.exact)


def by_decile(rows, name):
    """Test dates by decile of means, and the decile of each security: equal parts by rank, the lower ones larger."""
    own = rows["tested"].query("model_name == @name").sort_values(["forecast_date", "predicted", "ts_code"])
    parts = own.groupby("forecast_date")["ts_code"].transform(
        lambda codes: np.concatenate([np.full(len(p), n + 1) for n, p in enumerate(np.array_split(codes, 10))])
    )
    return own.assign(decile=parts.astype(int))


def test_champion_comes_first_with_its_tests_beside_what_its_published_forecasts_came_to(given, shown):
    _, rows = given
    table = table_of(shown["forecasts"], "Champion and challengers")

    names = [(row[0].text, row[1].text) for row in table.rows]
    assert names == [
        ("ridge", "champion"),
        ("mlp", "held"),
        ("boosting", "challenger"),
        ("ols", "challenger"),
        ("naive (zero)", "challenger"),
    ]
    ridge = table.rows[0]
    assert [exact(ridge[2]), exact(ridge[3]), ridge[4].text] == [len(TESTED), R2["ridge"], "2 of 3"]
    newest = rows["outcomes"].query("model_name == 'ridge'").sort_values("forecast_date").tail(contest.LIVE_SESSIONS)
    errors = newest[["squared_error", "naive_squared_error"]].sum()
    assert exact(ridge[7]) == contest.LIVE_SESSIONS
    assert exact(ridge[8]) == pytest.approx(1 - errors["squared_error"] / errors["naive_squared_error"], rel=1e-9)
    assert exact(ridge[9]) == pytest.approx(newest["rank_ic"].mean(), rel=1e-9)
    assert exact(ridge[10]) == pytest.approx(np.average(newest["realised_coverage"], weights=newest["n_rows"]))


def test_published_forecasts_of_few_days_are_counted_and_not_judged(shown):
    rows = {row[0].text: row for row in table_of(shown["forecasts"], "Champion and challengers").rows}

    assert [cell.text for cell in rows["ols"][7:]] == [str(contest.LEAST_SESSIONS - 1), *["too few days"] * 3]
    assert [cell.text for cell in rows["mlp"][7:]] == ["0", *["too few days"] * 3]
    assert exact(rows["boosting"][7]) == contest.LEAST_SESSIONS and exact(rows["boosting"][8]) < 0


def test_next_in_line_is_the_best_challenger_and_the_page_says_why_it_waits(shown):
    notes = [block.text for block in shown["forecasts"].blocks if isinstance(block, Note)]
    (listing,) = [block for block in shown["forecasts"].blocks if isinstance(block, Listing)]

    assert notes[1] == f"Champion is {version('ridge')}: {REASONS['ridge']}."
    assert notes[2].startswith(f"Next in line is {version('boosting')}")
    assert notes[2].endswith("Its published forecasts of 20 sessions are behind the naive forecast's.")
    assert any(note.startswith(f"{version('mlp')} is held back") for note in notes)
    assert listing.items == [
        f"{version('ols')}: challenger, {REASONS['ols']}.",
    ]


@pytest.mark.parametrize(
    ("reason", "record", "champion", "words"),
    [
        ("without skill: a is low; b is high", None, "zero/1", "It misses 2 hurdles: a is low; b is high."),
        ("takes every hurdle against the naive forecast", None, "ridge/1", "not ahead of ridge/1 by more than chance"),
        ("takes every hurdle against the naive forecast", {"n_sessions": 19, "r2": -1.0}, "ridge/1", "not ahead of"),
        ("takes every hurdle against the naive forecast", {"n_sessions": 20, "r2": 0.0}, "ridge/1", "are behind"),
        ("beaten by x/1", {"n_sessions": 60, "r2": 0.1}, "zero/1", "What was decided of it: beaten by x/1."),
    ],
)
def test_why_the_next_in_line_waits(reason, record, champion, words):
    note = contest._next_note({"model_version": "x/1", "reason": reason}, record, champion)

    assert words in note.text


def test_information_coefficient_of_every_playing_model_is_that_of_scipy(given, shown):
    _, rows = given
    expected = (
        rows["tested"]
        .groupby(["model_name", "forecast_date"])[["predicted", "realised"]]
        .apply(lambda day: stats.spearmanr(day["predicted"], day["realised"]).statistic)
        .unstack("model_name")
    )

    total = figure_of(shown["forecasts"], "Cumulated information coefficient").chart
    strips = figure_of(shown["forecasts"], "Information coefficient").chart

    # What is held back may be too good to be true, and is not drawn beside the others.
    assert total.heads == strips.heads == ("date", "ridge (champion)", "boosting")
    found = np.array([row[1:] for row in total.rows], dtype=float)
    np.testing.assert_allclose(found, expected[["ridge", "boosting"]].cumsum().to_numpy(), atol=1e-9)
    rolling = expected[["ridge", "boosting"]].rolling(skill.IC_WINDOW).mean().to_numpy()
    np.testing.assert_allclose(np.array([row[1:] for row in strips.rows], dtype=float), rolling, atol=1e-9)
    assert strips.svg.count('class="line c1"') == 2 and "c2" in total.svg


def test_calibration_sets_what_came_beside_what_was_said_with_errors_of_dates_that_share_no_session(given, shown):
    _, rows = given
    own = by_decile(rows, "ridge").groupby(["forecast_date", "decile"])[["predicted", "realised"]].mean()
    means = own.groupby("decile").mean()
    apart = own["realised"].unstack("decile").iloc[::5]

    chart = figure_of(shown["forecasts"], "Calibration, ridge").chart

    assert chart.heads == ("decile", "realised", "standard error", "forecast")
    found = np.array([row[1:] for row in chart.rows], dtype=float)
    np.testing.assert_allclose(found[:, 0], means["realised"], rtol=1e-9)
    np.testing.assert_allclose(found[:, 1], apart.std(ddof=1) / np.sqrt(len(apart)), rtol=1e-9)
    np.testing.assert_allclose(found[:, 2], means["predicted"], rtol=1e-9)


def test_decile_view_counts_who_is_new_since_five_test_dates(given):
    reader, rows = given
    own = by_decile(rows, "ridge")
    members = own.groupby(["forecast_date", "decile"])["ts_code"].agg(set)

    found = reader.read(
        "select * from analyst.out_of_sample_decile where model_version = $v order by test_date_number, decile",
        v=version("ridge"),
    ).to_pandas()

    expected = [
        len(members[day, decile] - members[TESTED[at - 5], decile]) if at >= 5 else np.nan
        for at, day in enumerate(TESTED)
        for decile in range(1, 11)
    ]
    np.testing.assert_array_equal(found["n_new"].to_numpy(dtype=float), expected)
    np.testing.assert_array_equal(found["n_rows"], [len(one) for one in members])
    assert found["test_date_number"].tolist() == np.repeat(np.arange(1, len(TESTED) + 1), 10).tolist()
    assert 0 < found["n_new"].min() < found["n_new"].max()


def test_decile_spread_has_its_t_and_the_cost_that_would_take_it_all(given, shown):
    _, rows = given
    own = by_decile(rows, "ridge")
    realised = own.groupby(["forecast_date", "decile"])["realised"].mean().unstack("decile").iloc[::5]
    spread = realised[10] - realised[1]
    members = own.groupby(["decile", "forecast_date"])["ts_code"].agg(set)
    new = {
        decile: np.mean(
            [
                len(members[decile, now] - members[decile, before]) / len(members[decile, now])
                for before, now in zip(TESTED[:-5:5], TESTED[5::5], strict=True)
            ]
        )
        for decile in (1, 10)
    }

    chart = figure_of(shown["forecasts"], "Decile spread").chart
    row = next(row for row in table_of(shown["forecasts"], "Top decile less").rows if row[0].text.startswith("ridge"))

    assert chart.heads == ("date", "ridge (champion)", "boosting")
    np.testing.assert_allclose([one[1] for one in chart.rows], spread.cumsum(), rtol=1e-9)
    found = [exact(cell) for cell in row[1:]]
    t = stats.ttest_1samp(spread, 0.0).statistic
    cost = spread.mean() / (2 * (new[1] + new[10]))
    assert found == pytest.approx([12, spread.mean(), t, (spread > 0).mean(), new[10], new[1], cost], rel=1e-9)


def test_points_have_the_slope_of_what_came_on_what_was_said(given, shown):
    _, rows = given
    own = rows["tested"].query("model_name == 'ridge'")
    slope = stats.linregress(own["predicted"], own["realised"]).slope

    figure = figure_of(shown["forecasts"], "Actual against predicted, ridge")

    assert f"over all of them {slope:.2f}: 1 where" in figure.caption
    assert len(figure.chart.rows) <= skill.MOST_POINTS
    # The champion and the best challenger, and nobody who is held back.
    titles = [block.title for block in shown["forecasts"].blocks if isinstance(block, Figure)]
    assert [title for title in titles if title.startswith("Calibration")] == [
        "Calibration, ridge",
        "Calibration, boosting",
    ]


def test_where_the_naive_forecast_leads_it_comes_first_and_the_best_challenger_alone_is_drawn(given, monkeypatch):
    """On the first day the naive forecast was in charge; nobody had decided about the others."""
    reader, _ = given

    class Before:
        """The same lake, asked as on a day before the decisions about the others."""

        def read(self, statement, **params):
            if "analyst.version_role" in statement:
                params["as_of"] = SESSIONS[0]
            return reader.read(statement, **params)

        def read_value(self, statement, **params):
            return reader.read_value(statement, **params)

    section = forecasts.section(Before(), TODAY)

    names = [(row[0].text, row[1].text) for row in table_of(section, "Champion and challengers").rows]
    assert names[0] == ("naive (zero)", "champion")
    titles = [block.title for block in section.blocks if isinstance(block, Figure)]
    assert sum(title.startswith("Calibration") for title in titles) == 1
    assert any("The naive forecast is in charge" in b.text for b in section.blocks if isinstance(b, Note))


def test_deciles_of_the_day_say_their_size_means_and_industries_and_give_all_members(given, shown):
    _, rows = given
    own = rows["forecasts"].query("model_name == 'ridge'").sort_values("forward_return_5d")
    # Of 123 the first three tenths have 13 and the others 12.
    parts = {"top": own.iloc[-12:][::-1], "bottom": own.iloc[:13]}
    industry = dict(zip(CODES, [INDUSTRIES[at % 5] or "no industry" for at in range(N_SECURITIES)], strict=True))

    table = table_of(shown["forecasts"], "Deciles of forecasts by ridge")

    for row, (name, held) in zip(table.rows, parts.items(), strict=True):
        assert (row[0].text, exact(row[1])) == (name, len(held))
        assert exact(row[2]) == pytest.approx(held["forward_return_5d"].mean(), rel=1e-9)
        counts = held["ts_code"].map(industry).value_counts()
        first = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        others = sum(count for _, count in first[3:])
        words = [f"{word} {count}" for word, count in first[:3]] + ([f"others {others}"] if others else [])
        assert row[4].text == ", ".join(words)
    best = table_of(shown["forecasts"], "Best forecasts by ridge")
    assert best.caption == f"Best forecasts by ridge, made after {TODAY}: 10 of the 12 in the decile"
    assert [row[0].text for row in best.rows] == parts["top"]["ts_code"].tolist()[:10]
    assert [row[0] for row in best.data.rows] == parts["top"]["ts_code"].tolist()
    worst = table_of(shown["forecasts"], "Worst forecasts by ridge")
    assert [row[0] for row in worst.data.rows] == parts["bottom"]["ts_code"].tolist()
    np.testing.assert_allclose([row[3] for row in worst.data.rows], parts["bottom"]["forward_return_5d"], rtol=1e-12)


def test_rows_behind_a_table_lie_on_the_page_as_csv_and_are_checked_with_it(shown):
    def page(section):
        trace = {"run_id": "r", "snapshot": 1, "code_version": "1"}
        return site.render_day([section], trace=trace, as_of=TODAY, up_colour="red")

    text = page(shown["forecasts"])
    held = proof.read_page(text)
    best = table_of(shown["forecasts"], "Best forecasts")

    (link,) = [piece for piece in held.pieces["forecasts/best-forecasts-by-ridge/data"] if piece.startswith("<a")]
    rows = figures.csv_rows(link.split(" href=")[1].split(" download=")[0])
    assert rows[0] == ["ts_code", "name", "industry", "forecast", "lower", "upper"]
    assert [row[0] for row in rows[1:]] == [row[0] for row in best.data.rows]
    changed = text.replace(f"{best.data.rows[-1][0]},", "600999.SH,")
    (difference,) = proof.compare(proof.read_page(changed), held)
    assert difference.name.startswith("forecasts/best-forecasts-by-ridge/data/") and difference.found == "600999.SH"


def test_factor_returns_are_those_of_portfolios_weighted_by_loading_over_volatility(given, shown):
    _, rows = given
    volatility = rows["returns"][:N_FITTED].std(axis=0, ddof=1)
    weights = rows["loadings"] / volatility[:, None]
    of_day = np.expm1(rows["returns"]) @ (weights / np.abs(weights).sum(axis=0))
    newest = of_day[-equity.RETURN_SESSIONS :]

    table = table_of(shown["equity"], "Factors:")

    assert table.columns[1:3] == [f"Return {TODAY}", f"Return, {equity.RETURN_SESSIONS} sessions"]
    for at, row in enumerate(table.rows):
        found = [exact(cell) for cell in row[1:5]]
        score = rows["scores"][-1, at] / rows["scores"][:N_FITTED, at].std(ddof=1)
        ratio = rows["eigenvalues"][at] / N_SECURITIES
        assert found == pytest.approx([newest[-1, at], np.prod(1 + newest[:, at]) - 1, score, ratio], rel=1e-9)
        assert row[6].text == "first fit"


def test_exposure_is_the_correlation_of_returns_with_the_scores_of_the_fit(given, shown):
    _, rows = given
    table = table_of(shown["equity"], "Largest exposures")

    assert len(table.rows) == 2 * equity.N_EXPOSED
    for factor in (1, 2):
        scores = rows["scores"][:N_FITTED, factor - 1]
        found = pd.Series(
            {c: np.corrcoef(r, scores)[0, 1] for c, r in zip(CODES, rows["returns"][:N_FITTED].T, strict=True)}
        )
        own = [row for row in table.rows if row[0].text == str(factor)]
        assert [row[1].text for row in own] == found.nlargest(equity.N_EXPOSED).index.tolist()
        assert [row[4].text for row in own] == found.nsmallest(equity.N_EXPOSED).index.tolist()
        assert [exact(row[3]) for row in own] == pytest.approx(found.nlargest(equity.N_EXPOSED).tolist(), rel=1e-9)


def test_points_of_the_loadings_have_codes_and_names_and_are_not_too_many(given, shown, monkeypatch):
    reader, _ = given
    chart = figure_of(shown["equity"], "Loadings by group").chart

    monkeypatch.setattr(equity, "MOST_POINTS", 50)
    few = figure_of(equity.section(reader, TODAY), "Loadings by group")

    assert chart.heads == ("ts_code", "name", "factor 1", "factor 2", "group")
    assert [row[:2] for row in chart.rows] == [(code, f"N{code[:6]}") for code in CODES]
    assert [row[0] for row in few.chart.rows] == CODES[::3] and "1 of 3 of 123" in few.caption


def test_refits_say_what_they_explained(given, shown):
    _, rows = given
    (row,) = table_of(shown["equity"], "Explained share over the last refits").rows

    shares = rows["eigenvalues"] / N_SECURITIES
    assert [exact(cell) for cell in row[1:4]] == pytest.approx([2, shares[0], shares.sum()], rel=1e-9)
    assert [cell.text for cell in row[4:]] == ["\N{EN DASH}"] * 2


def test_nothing_is_asked_twice_in_a_section_and_each_block_still_says_where_it_is_from(given):
    reader, _ = given
    asked = []

    class Counted:
        def read(self, statement, **params):
            asked.append((statement, str(params)))
            return reader.read(statement, **params)

        def read_value(self, statement, **params):
            return reader.read_value(statement, **params)

    section = tracing.read_section(Counted(), forecasts.section, TODAY)

    assert len(asked) == len(set(asked))
    assert "analyst.out_of_sample_decile" in figure_of(section, "Calibration, boosting").source.views
    assert figure_of(section, "Calibration, boosting").source.versions == (version("boosting"),)


def test_page_of_the_day_before_the_decisions_and_outcomes_does_not_know_them(given):
    reader, _ = given
    early = date(2023, 12, 31)

    shown = [build(reader, early) for build in pages.SECTIONS if build in (forecasts.section, equity.section)]

    assert all(isinstance(block, Note) and "not fitted yet" in block.text for s in shown for block in s.blocks)
