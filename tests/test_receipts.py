"""Why a published factor changed: parts that add up, each as numpy has it, on a planted market with a correction."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from planting import insert

from flows import factors, receipts, settings
from flows.context import Context
from reports.pages import continuity
from warehouse import lake, results
from warehouse.tables import feature, model, ops

N_SECURITIES, N_FITTED = 12, 70
SESSIONS = [day.date() for day in pd.bdate_range("2024-01-01", periods=N_FITTED + 2)]
CODES = [f"60000{n:02d}.SH" for n in range(N_SECURITIES)]
FITTED, NEXT, REFITTED = SESSIONS[N_FITTED - 1 :]
# The correction: one return of the session before the refit, and what it was.
CORRECTED, MOVE = 4, 0.05


def planted_returns():
    draw = np.random.default_rng(5)
    shape = draw.normal(1.0, 0.3, (2, N_SECURITIES)) * np.array([[1.0], [-0.5]])
    return 0.01 * draw.normal(size=(len(SESSIONS), 2)) @ shape + 0.004 * draw.normal(size=(len(SESSIONS), N_SECURITIES))


@pytest.fixture(scope="module")
def factor_run(tmp_path_factory, lay_out):
    """Two equity factors fitted, scored on the next session, a return of it corrected, and the factors fitted again."""
    folder = tmp_path_factory.mktemp("receipts")
    location = lake.LakeLocation(folder / "lake", memory_limit="1GB", threads=1)
    lay_out(location)
    options = settings.read_settings(home=folder / "home", equity_factors=2, equity_sessions=N_FITTED, _env_file=None)
    context = Context(options, datetime(2024, 6, 1, tzinfo=UTC), "test", None, None, None)
    with lake.open_writer(location, holder="test") as opened:
        returns = planted_returns()
        insert(
            opened,
            feature.LOG_RETURN,
            [
                {"ts_code": code, "trade_date": day, "log_return_1d": returns[at, n]}
                for at, day in enumerate(SESSIONS)
                for n, code in enumerate(CODES)
            ],
        )
        fit(context, opened, FITTED)
        scored = factors.score_equity(context, opened, NEXT)
        change = receipts.of_session(context, opened, NEXT, scored)
        results.add_rows(opened, {model.FACTOR_SCORE: scored, model.FACTOR_CHANGE: change}, "scored")
        correct(opened)
        fit(context, opened, REFITTED)
        yield opened, returns


def fit(context, opened, day):
    fitted = factors.fit_equity(context, opened, day)[0]
    results.write_version(opened, fitted.model_version, fitted.rows)


def correct(opened):
    correction = {"dataset": "market.daily", "partition": str(NEXT), "row_key": CODES[CORRECTED], "revision_no": 1}
    correction |= {"column_name": "close", "revised_date": REFITTED, "load_id": "test"}
    insert(opened, ops.REVISION, [correction | {"revised_at": datetime(2024, 6, 1, tzinfo=UTC)}])
    opened.commit(
        lambda c: c.execute(
            "update feature.log_return set log_return_1d = log_return_1d + $move"
            " where ts_code = $code and trade_date = $day",
            {"move": MOVE, "code": CODES[CORRECTED], "day": NEXT},
        ),
        message="corrected",
    )


def change_rows(opened, day):
    return opened.read("from analyst.factor_change where published_date = $day order by factor", day=day).to_pandas()


def loadings_of(opened, day):
    return (
        opened.read("from model.factor_loading where model_version = $v", v=f"equity_pca/{day}")
        .to_pandas()
        .pivot(index="entity", columns="factor", values="loading")
        .to_numpy()
    )


def published(opened, version_day, session):
    rows = opened.read(
        "select score from model.factor_score where model_version = $v and score_date = $day order by factor",
        v=f"equity_pca/{version_day}",
        day=session,
    )
    return rows["score"].to_numpy()


def test_parts_add_up_to_the_change_of_what_was_published(factor_run):
    opened, _ = factor_run

    days = {NEXT: (FITTED, FITTED, FITTED), REFITTED: (FITTED, NEXT, REFITTED)}
    for day, (version_before, session_before, version) in days.items():
        rows = change_rows(opened, day)
        before, after = published(opened, version_before, session_before), published(opened, version, day)
        np.testing.assert_allclose(rows[["data_part", "refit_part"]].sum(axis=1), after - before, atol=1e-10, rtol=0)
        assert rows["previous_score"].tolist() == before.tolist() and rows["score"].tolist() == after.tolist()
        assert rows["unexplained"].abs().max() < 1e-10


def test_session_scored_by_the_same_fit_is_new_data_alone(factor_run):
    opened, _ = factor_run

    rows = change_rows(opened, NEXT)

    assert (rows[["rescaled", "reloaded"]] == 0).all(axis=None)
    np.testing.assert_allclose(rows[["revised", "completed"]], 0.0, atol=1e-12)
    np.testing.assert_allclose(rows["new_data"], rows["change"], atol=1e-12)


def test_refit_is_split_into_new_data_correction_scales_and_loadings(factor_run):
    """Without holes each part is a product: a difference of rows, scales or loadings times the other two."""
    opened, returns = factor_run
    known = returns.copy()
    known[N_FITTED, CORRECTED] += MOVE
    first, second = known[:N_FITTED], known[2:]
    old, new = (loadings_of(opened, day) for day in (FITTED, REFITTED))
    now = known[-1]
    in_old, in_new = ((now - rows.mean(axis=0)) / rows.std(axis=0, ddof=1) for rows in (returns[:N_FITTED], second))

    rows = change_rows(opened, REFITTED)

    spread = first.std(axis=0, ddof=1)
    np.testing.assert_allclose(rows["new_data"], ((now - known[N_FITTED]) / spread) @ old, atol=1e-10)
    np.testing.assert_allclose(rows["revised"], MOVE / spread[CORRECTED] * old[CORRECTED], atol=1e-10)
    np.testing.assert_allclose(rows["rescaled"], (in_new - in_old) @ old, atol=1e-10)
    np.testing.assert_allclose(rows["reloaded"], in_new @ (new - old), atol=1e-10)
    np.testing.assert_allclose(rows["completed"], 0.0, atol=1e-10)


def test_page_shows_the_split_of_its_day_and_says_that_it_adds_up(factor_run):
    opened, _ = factor_run

    shown = {day: str(continuity.change_table(opened, f"equity_pca/{FITTED}", day)) for day in (FITTED, NEXT)}
    table = continuity.change_table(opened, f"equity_pca/{REFITTED}", REFITTED)

    assert "nothing was published before" in shown[FITTED]
    assert f"from {FITTED} to {NEXT}" in shown[NEXT] and "no refit" in shown[NEXT]
    assert f"refit after equity_pca/{FITTED}" in table.caption and "the parts add up" in table.caption
    told = change_rows(opened, REFITTED).iloc[0]
    exact = [float(cell.text.replace("\N{MINUS SIGN}", "-")) for cell in table.rows[0][1:]]
    names = ["previous_score", "score", "change", "new_data", "revised", "rescaled", "reloaded", "completed"]
    assert exact == pytest.approx(told[names].tolist(), abs=5e-4)


def test_fit_before_whose_files_are_gone_leaves_the_change_untold(factor_run, tmp_path):
    opened, _ = factor_run
    options = settings.read_settings(home=tmp_path / "elsewhere", _env_file=None)
    context = Context(options, datetime(2024, 6, 1, tzinfo=UTC), "test", None, None, None)
    scored = opened.read("from model.factor_score where score_date = $day", day=NEXT)

    assert receipts.of_session(context, opened, NEXT, scored.slice(0, 2)).num_rows == 0
