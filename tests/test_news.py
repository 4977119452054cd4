"""The news table: parts that add up, surprises in closed form, and no part that depends on an accident of order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models import diffusion, macro_factors, news, pca, transforms
from models.diffusion import Equation
from models.news import HeldRule
from models.stability import Ruler
from warehouse import fredmd

Floats = npt.NDArray[np.float64]


MONTHS = np.datetime64("2015-01", "M") + np.arange(60)


def planted(seed: int) -> tuple[HeldRule, Floats]:
    """A held rule with two factors of ten series, and 60 months of them."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 10)) + 0.3 * rng.standard_normal((60, 10))
    model = pca.FactorPCA(n_factors=2).fit(values * 3 + 1)
    equation = Equation(0.3, rng.standard_normal(3), rng.standard_normal((2, 2)))
    names = tuple(f"S{number}" for number in range(10))
    return HeldRule(Ruler.of(model, names), "S4", equation), values * 3 + 1


def ragged(values: Floats, seed: int, *, share: float = 0.25) -> Floats:
    """The last three rows with holes, but for the target."""
    holed = values.copy()
    is_hole = np.random.default_rng(seed).random((3, 10)) < share
    is_hole[:, 4] = False
    holed[-3:][is_hole] = np.nan
    return holed


@pytest.mark.parametrize("n_new", [0, 1, 2])
@pytest.mark.parametrize("seed", range(8))
def test_parts_add_up_when_figures_come_change_and_go(seed: int, n_new: int) -> None:
    rule, values = planted(seed)
    rng = np.random.default_rng(seed + 100)
    then = ragged(values[: 60 - n_new], seed)
    now = ragged(values * (1 + 0.02 * rng.standard_normal(values.shape) * (rng.random(values.shape) < 0.3)), seed + 50)

    found = news.news(rule, (then, now), 1.25, MONTHS, expected=0.5 * rng.standard_normal((n_new, 2)))

    assert found.before == rule.predict(then)
    assert found.before + found.explained == pytest.approx(1.25, abs=1e-10)
    assert found.refit == pytest.approx(1.25 - rule.predict(now), abs=1e-12)
    kinds = {item.kind for item in found.items}
    # The two rows that the factors' lags read are both new with two new months, and hold no revision.
    assert kinds >= [{"revision"}, {"release", "revision"}, {"release"}][n_new]
    if n_new == 0:
        assert found.passing == pytest.approx(0.0, abs=1e-12)
        assert any(item.kind == "withdrawal" for item in found.items) == bool(
            (np.isnan(now[-2:]) & ~np.isnan(then[-2:])).any()
        )


def test_revision_moves_a_full_panel_by_its_weight_times_its_size() -> None:
    rule, values = planted(1)
    now = values.copy()
    now[-1, 7] += 2.0
    now[-3, 4] -= 1.0

    found = news.news(rule, (values, now), rule.predict(now), MONTHS)

    ruler, equation = rule.ruler, rule.equation
    of_factor = 2.0 / ruler.scale[7] * float(ruler.loadings[7] @ equation.factor[0])
    effects = {(item.series, str(item.month)): item.effect for item in found.items}
    # The third month back is beyond the two lags of the factors, but the third of the target's own.
    assert effects == {
        ("S7", "2019-12"): pytest.approx(of_factor, rel=1e-12),
        ("S4", "2019-10"): pytest.approx(-1.0 * equation.own[2], rel=1e-12),
    }
    assert (found.passing, found.refit) == (pytest.approx(0, abs=1e-14), 0.0)


def test_release_that_was_expected_moves_nothing() -> None:
    rule, values = planted(2)
    then = values.copy()
    then[-1, [2, 8]] = np.nan
    scores = rule.ruler.score(then[-1])
    now = then.copy()
    fitted = rule.ruler.mean + rule.ruler.scale * (rule.ruler.loadings @ scores)
    now[-1, 2] = fitted[2]
    surprise = now.copy()
    surprise[-1, 2] += 1.0

    as_expected = news.news(rule, (then, now), rule.predict(now), MONTHS)
    surprised = news.news(rule, (then, surprise), rule.predict(surprise), MONTHS)

    assert max((abs(item.effect) for item in as_expected.items), default=0.0) < 1e-12
    assert [(item.series, item.kind) for item in surprised.items] == [("S2", "release")]
    assert surprised.items[0].expected == pytest.approx(fitted[2], rel=1e-12)
    assert surprised.items[0].effect == pytest.approx(rule.predict(surprise) - rule.predict(then), abs=1e-12)


def test_effects_do_not_depend_on_the_order_of_series() -> None:
    rule, values = planted(3)
    then, now = values[:59].copy(), values * 1.01
    then[-1, :3] = np.nan
    order = np.array([4, 2, 9, 0, 7, 1, 3, 8, 5, 6])
    ruler = rule.ruler
    shuffled = Ruler(
        tuple(ruler.names[at] for at in order), ruler.mean[order], ruler.scale[order], ruler.loadings[order]
    )

    one = news.news(rule, (then, now), 0.0, MONTHS)
    other = news.news(replace(rule, ruler=shuffled), (then[:, order], now[:, order]), 0.0, MONTHS)

    first, second = ({(item.series, item.month): item.effect for item in each.items} for each in (one, other))
    assert first.keys() == second.keys()
    for key, effect in first.items():
        assert second[key] == pytest.approx(effect, abs=1e-12)


def test_refusals_say_what_to_cut() -> None:
    rule, values = planted(4)
    holed = values.copy()
    holed[-2, 4] = np.nan

    with pytest.raises(ValueError, match=r"S4 is missing in the last 3 rows of 60\. Cut the panel"):
        rule.predict(holed)
    with pytest.raises(ValueError, match=r"\(60, 10\) and \(59, 10\) with 60 months"):
        news.news(rule, (values, values[:59]), 0.0, MONTHS)


def test_news_of_two_real_vintages_adds_up(vendor_data: Path) -> None:
    """Employment over six months, from the vintages of 2014-12 and 2015-01: one month of releases, and revisions."""
    kept = {
        one.name: one
        for one in fredmd.read_vintages(vendor_data / "fredmd" / "fred_md_all_vintages.parquet")
        if one.name in ("2014-12", "2015-01")
    }
    names = [name for name in kept["2014-12"].series if name in kept["2015-01"].series]

    def panel_of(name: str) -> tuple[npt.NDArray[np.datetime64], Floats, Floats]:
        vintage = kept[name]
        columns = [vintage.series.index(each) for each in names]
        months, values = transforms.regular_grid(vintage.dates, vintage.values[:, columns], "M")
        codes = [vintage.transform_codes[each] for each in names]
        begin = int(np.searchsorted(months, macro_factors.PAPERS_START))
        transformed = transforms.apply_transform(values, codes)[begin:]
        at = names.index("FREDMD:PAYEMS")
        assert np.isfinite(transformed[-1, at])
        return months[begin:], transformed, diffusion.outcome_by_origin(values[:, at], 5, 6)[begin:]

    def rule_of(panel: Floats, outcome: Floats) -> HeldRule:
        model = pca.FactorPCA(n_factors=8, max_iterations=200).fit(panel)
        own = panel[:, names.index("FREDMD:PAYEMS")]
        fitted = diffusion.forecast(outcome, own, model.factor_scores_[:, :1], horizon=6)
        return HeldRule(Ruler.of(model, names), "FREDMD:PAYEMS", fitted.equation)

    _, then, outcome_then = panel_of("2014-12")
    months, now, outcome_now = panel_of("2015-01")
    rule = rule_of(then, outcome_then)
    after = rule_of(now, outcome_now).predict(now)

    found = news.news(rule, (then, now), after, months)

    assert len(now) == len(then) + 1
    assert found.before + found.explained == pytest.approx(after, abs=1e-10)
    released = {item.series for item in found.items if item.kind == "release" and item.month == months[-1]}
    assert "FREDMD:PAYEMS" in released and len(released) > 80
    assert any(item.kind == "revision" for item in found.items)
