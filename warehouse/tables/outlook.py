"""Where macro series will be in some months, as models say, and why they say it."""

from __future__ import annotations

from warehouse.contracts import Column, Table
from warehouse.tables.model import MODEL_NAME, MODEL_VERSION_ID

SERIES_ID = Column("series_id", "VARCHAR", "FRED's identifier.")
HORIZON_MONTHS = Column(
    "horizon_months", "INTEGER", "Months from the newest known month to the one forecast.", "months"
)
MONTHLY = "log points a month (codes 5 and 6) or unit of the series a month"
OF_SERIES = "see macro.series"

MACRO_OUTLOOK = Table(
    schema="model",
    name="macro_outlook",
    grain=("model_version", "series_id", "horizon_months"),
    meaning="One row per refit, rival, macro target and horizon: the forecast, and what the walk-forward test found.",
    source="models/macro_horizons.py and models/macro_skill.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        SERIES_ID,
        HORIZON_MONTHS,
        Column("forecast_date", "DATE", "Day of the refit; nothing known later entered."),
        Column("origin_date", "DATE", "First day of the newest month of the series that was known."),
        Column("observation_date", "DATE", "First day of the month forecast."),
        Column(
            "mean_change",
            "DOUBLE",
            "Forecast mean change a month over the horizon, code 6: less the growth of the origin's month.",
            unit=MONTHLY,
        ),
        Column(
            "mean_change_lower",
            "DOUBLE",
            "Lower end of its 90 % interval; NULL: too few tests.",
            MONTHLY,
            nullable=True,
        ),
        Column(
            "mean_change_upper",
            "DOUBLE",
            "Upper end of its 90 % interval; NULL: too few tests.",
            MONTHLY,
            nullable=True,
        ),
        Column(
            "mean_change_std_error",
            "DOUBLE",
            "Newey and West's standard error of the regression's mean there.",
            unit=MONTHLY,
            nullable=True,
        ),
        Column("forecast", "DOUBLE", "The value that the forecast change means.", unit=OF_SERIES),
        Column("lower", "DOUBLE", "Lower end of its 90 % interval; NULL: too few tests.", OF_SERIES, nullable=True),
        Column("upper", "DOUBLE", "Upper end of its 90 % interval; NULL: too few tests.", OF_SERIES, nullable=True),
        Column("n_lags", "INTEGER", "Own past months the forecast is made from."),
        Column("n_factor_lags", "INTEGER", "Past months of the factor it is made from."),
        Column("n_rows", "BIGINT", "Months it was fitted on."),
        Column("n_tested", "BIGINT", "Forecasts of the walk-forward test."),
        Column("test_start", "DATE", "Month of the first one's origin; NULL without a test.", nullable=True),
        Column("test_end", "DATE", "Month of the last one's origin; NULL without a test.", nullable=True),
        Column("rmse", "DOUBLE", "Root of the mean squared error of the test.", unit=MONTHLY, nullable=True),
        Column(
            "ratio_to_ar",
            "DOUBLE",
            "Mean squared error over the autoregression's; below 1 it was better.",
            unit="1",
            nullable=True,
        ),
        Column("ratio_to_mean", "DOUBLE", "The same over that of the historical mean.", unit="1", nullable=True),
        Column(
            "dm_p_value",
            "DOUBLE",
            "Diebold and Mariano against the autoregression, two-sided; NULL for itself.",
            unit="1",
            nullable=True,
        ),
        Column(
            "cw_p_value",
            "DOUBLE",
            "Clark and West against the autoregression, one-sided; NULL for itself.",
            unit="1",
            nullable=True,
        ),
        Column("nominal_coverage", "DOUBLE", "Share of outcomes the intervals promised to hold.", unit="1"),
        Column(
            "tested_coverage",
            "DOUBLE",
            "Share of the test's outcomes they held; NULL without a test.",
            unit="1",
            nullable=True,
        ),
        Column("is_published", "BOOLEAN", "Whether this rival's forecast counts for the series and horizon."),
        Column("reason", "VARCHAR", "Why it counts, or why not."),
    ),
)

MACRO_COEFFICIENT = Table(
    schema="model",
    name="macro_coefficient",
    grain=("model_version", "series_id", "horizon_months", "term"),
    meaning="One row per term of a regression that forecasts a macro series some months ahead.",
    source="models/diffusion.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        SERIES_ID,
        HORIZON_MONTHS,
        Column("term", "VARCHAR", "`intercept`, `own_0` (newest month), `own_1`, ..., `factor_0`, `factor_1`, ..."),
        Column(
            "estimate", "DOUBLE", "Coefficient on the transformed series, or on the factor's score.", unit="see term"
        ),
        Column("std_error", "DOUBLE", "Standard error by Newey and West, horizon - 1 lags.", unit="as the coefficient"),
    ),
)

MACRO_OUTLOOK_OUTCOME = Table(
    schema="model",
    name="macro_outlook_outcome",
    grain=("model_version", "series_id", "horizon_months"),
    meaning="One row per forecast of a macro series some months ahead, once its month was first published.",
    source="flows/macro_outlook.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        SERIES_ID,
        HORIZON_MONTHS,
        Column("known_date", "DATE", "Day of the run that first knew what came."),
        Column("realised_value", "DOUBLE", "What the month was published as by then.", unit=OF_SERIES),
        Column(
            "realised_mean_change", "DOUBLE", "What came, in the forecast's terms, as published by then.", unit=MONTHLY
        ),
        Column("squared_error", "DOUBLE", "Square of what came less the forecast.", unit="square of the change's unit"),
        Column("is_inside", "BOOLEAN", "Whether it came within the interval; NULL without one.", nullable=True),
    ),
)

NEWS_KINDS = ("release", "revision", "withdrawal", "time", "refit", "restated")

MACRO_NEWS = Table(
    schema="model",
    name="macro_news",
    grain=("model_version", "series_id", "horizon_months", "kind", "entity", "observation_date"),
    meaning="One row per cause of a published macro forecast's change since the refit before.",
    source="models/news.py; the effects add up to the change but for rounding.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        SERIES_ID,
        HORIZON_MONTHS,
        Column(
            "kind",
            "VARCHAR",
            "`release`, `revision` or `withdrawal` of a figure; `time`: a month went by as expected; `refit`: fitted"
            " again, or another rival published; `restated`: what was known then is told otherwise now.",
        ),
        Column("entity", "VARCHAR", "series_id of the figure; empty for the other kinds."),
        Column("observation_date", "DATE", "Month of the figure; the new origin for the other kinds."),
        Column("previous_version", "VARCHAR", "Version that published the forecast before."),
        Column(
            "expected",
            "DOUBLE",
            "Transformed figure before, or what the fit before expected; NULL for other kinds.",
            unit="see macro.series.transform_code",
            nullable=True,
        ),
        Column(
            "actual",
            "DOUBLE",
            "Transformed figure now; NULL when it went, and for other kinds.",
            unit="see macro.series.transform_code",
            nullable=True,
        ),
        Column("effect", "DOUBLE", "What it did to the forecast mean change.", unit=MONTHLY),
    ),
)
