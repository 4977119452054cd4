"""What a model reads of the features: what is set, what its card says, and which features have any value."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import planting
import pytest

from flows import feature_scaling, settings
from models import base, cross_section
from warehouse import panels
from warehouse.tables import feature, feature_list, market, ops

LOADED = {"load_id": "load-0", "retrieved_at": datetime(2026, 1, 8, tzinfo=UTC)}
SIZE = feature.FEATURE_NAMES.index(feature_list.SIZE)


@pytest.fixture
def rows() -> panels.FeatureRows:
    """Three dates of forty securities; the last feature is missing everywhere."""
    rng = np.random.default_rng(2)
    dates = np.repeat(np.array(["2026-01-05", "2026-01-06", "2026-01-07"], "datetime64[D]"), 40)
    codes = np.array([f"{600000 + n}.SH" for n in range(40)] * 3, dtype=object)
    features = rng.normal(size=(120, len(feature.FEATURE_NAMES)))
    features[:, -1] = np.nan
    return panels.FeatureRows(codes, dates, features, np.zeros(120))


def options(**known: object) -> settings.Settings:
    return settings.read_settings(_env_file=None, **known)


def test_features_without_any_value_are_left_out_and_the_card_names_the_others(rows: panels.FeatureRows) -> None:
    scaling = feature_scaling.of_settings(options(), rows)

    assert scaling.names == feature.FEATURE_NAMES[:-1]
    assert feature_scaling.of_card(scaling.card) == scaling
    np.testing.assert_array_equal(
        feature_scaling.scaled(scaling, rows, {}),
        cross_section.standardise_by_date(rows.features[:, :-1], rows.dates),
    )


def test_version_of_before_reads_the_eight_features_it_was_fitted_on(rows: panels.FeatureRows) -> None:
    names = ["momentum_252d_20d", "momentum_60d", "reversal_5d", "volatility_20d", "drawdown_252d"]
    names += ["turnover_fraction_20d", "amihud_20d", "beta_60d"]

    scaling = feature_scaling.of_card({"model_version": "ridge/2026-01-02"})

    assert list(scaling.names) == names
    of_eight = rows.features[:, [feature.FEATURE_NAMES.index(name) for name in names]]
    np.testing.assert_array_equal(
        feature_scaling.scaled(scaling, rows, {}), cross_section.standardise_by_date(of_eight, rows.dates)
    )


def test_version_that_wants_a_feature_of_before_is_refused() -> None:
    with pytest.raises(base.BrokenFiles, match=r"features \['phase_of_the_moon'\], which are not computed"):
        feature_scaling.of_card({"features": ["beta_60d", "phase_of_the_moon"]})


@pytest.mark.parametrize("scale", ["rank", "zscore"])
def test_neutral_features_are_told_neither_industry_nor_size(rows: panels.FeatureRows, scale: str) -> None:
    industries = {code: ("bank", "steel")[at % 2] for at, code in enumerate(sorted(set(rows.ts_code)))}
    is_bank = np.array([industries[code] == "bank" for code in rows.ts_code])
    # A feature that is nothing but its industry and its size, and a little chance.
    chance = rows.features[:, 0].copy()
    rows.features[:, 0] = 0.1 * chance + 5.0 * is_bank + 2.0 * rows.features[:, SIZE]
    scaling = feature_scaling.of_settings(options(feature_scale=scale, feature_neutralise=True), rows)

    found = feature_scaling.scaled(scaling, rows, industries)

    at_size = scaling.names.index(feature_list.SIZE)
    for day in np.unique(rows.dates):
        here = rows.dates == day
        assert abs(found[here & is_bank, 0].mean() - found[here & ~is_bank, 0].mean()) < 0.35
        assert abs(np.corrcoef(found[here, 0], rows.features[here, SIZE])[0, 1]) < 0.2
        assert np.corrcoef(found[here, 0], chance[here])[0, 1] > 0.8
        # Size itself is not regressed on itself.
        assert found[here, at_size].std() > 0.8


def test_industry_is_what_the_vendor_said_on_the_day(empty_lake) -> None:
    planting.insert(
        empty_lake,
        market.STOCK_BASIC,
        [
            LOADED | {"ts_code": "600000.SH", "name": "A", "list_status": "L", "industry": "银行"},
            LOADED | {"ts_code": "600001.SH", "name": "B", "list_status": "L", "industry": None},
        ],
    )
    planting.insert(
        empty_lake,
        ops.REVISION,
        [
            {
                "dataset": "market.stock_basic",
                "partition": "all",
                "row_key": '{"ts_code":"600000.SH"}',
                "column_name": "industry",
                "revision_no": number,
                "old_value": old,
                "new_value": new,
                "revised_date": day,
                "load_id": "load-0",
                "revised_at": LOADED["retrieved_at"],
            }
            for number, old, new, day in (
                (1, "钢铁", "证券", date(2026, 1, 5)),
                (2, "证券", "银行", date(2026, 1, 7)),
            )
        ],
    )

    found = {day: panels.read_industries(empty_lake, date(2026, 1, day))["600000.SH"] for day in (4, 5, 6, 7)}

    assert found == {4: "钢铁", 5: "证券", 6: "证券", 7: "银行"}
    assert panels.read_industries(empty_lake, date(2026, 1, 7))["600001.SH"] == ""
