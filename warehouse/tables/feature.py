"""Numbers computed from vendor data, without a model."""

from __future__ import annotations

from warehouse.contracts import Column, Table
from warehouse.tables.market import BY_SECURITY, BY_YEAR, TRADE_DATE, TS_CODE

LOG_RETURN_WINDOWS = (1, 5, 20, 60, 252)

LOG_RETURN = Table(
    schema="feature",
    name="log_return",
    grain=("ts_code", "trade_date"),
    partition_by=BY_YEAR,
    sort_by=BY_SECURITY,
    meaning="One row per bar: log returns on back-adjusted closes over 1 to 252 sessions of that security.",
    source="market.daily and market.adj_factor; warehouse/returns.py.",
    columns=(
        TS_CODE,
        TRADE_DATE,
        *(
            Column(
                f"log_return_{window}d",
                "DOUBLE",
                f"ln of back-adjusted close over the one {window} session(s) before; NULL in the first {window}.",
                unit="1",
                nullable=True,
            )
            for window in LOG_RETURN_WINDOWS
        ),
        Column(
            "volatility_20d",
            "DOUBLE",
            "Sample standard deviation of the last 20 one-day log returns, per session, not annualised.",
            unit="1 per square root of a session",
            nullable=True,
        ),
        Column(
            "drawdown_252d",
            "DOUBLE",
            "Back-adjusted close over its highest in the last 252 sessions (fewer when younger), minus 1.",
            unit="1",
            nullable=True,
        ),
    ),
)

FEATURES: tuple[Column, ...] = (
    Column("momentum_252d_20d", "DOUBLE", "Log return from 252 to 20 sessions ago.", unit="1", nullable=True),
    Column("momentum_60d", "DOUBLE", "Log return over 60 sessions.", unit="1", nullable=True),
    Column("reversal_5d", "DOUBLE", "Minus the log return over 5 sessions.", unit="1", nullable=True),
    Column("volatility_20d", "DOUBLE", "Standard deviation of the last 20 log returns.", unit="1", nullable=True),
    Column("drawdown_252d", "DOUBLE", "Close over its 252-session high, minus 1.", unit="1", nullable=True),
    Column(
        "turnover_fraction_20d", "DOUBLE", "Mean share of float traded a session, last 20.", unit="1", nullable=True
    ),
    Column(
        "amihud_20d",
        "DOUBLE",
        "Mean of |log return| per 100 million CNY traded, last 20 (Amihud 2002).",
        unit="1 per 100 million CNY",
        nullable=True,
    ),
    Column("beta_60d", "DOUBLE", "Slope on the mean market return, last 60 sessions.", unit="1", nullable=True),
)
FEATURE_NAMES = tuple(column.name for column in FEATURES)

FEATURE = Table(
    schema="feature",
    name="feature",
    grain=("ts_code", "trade_date"),
    partition_by=BY_YEAR,
    sort_by=BY_SECURITY,
    meaning="One row per bar: the features the cross-section models read, unstandardised.",
    source="feature.log_return, market.daily, market.daily_basic; warehouse/features.py.",
    columns=(TS_CODE, TRADE_DATE, *FEATURES),
)

MACRO_PANEL = Table(
    schema="feature",
    name="macro_panel",
    grain=("as_of_date", "panel_month", "series_id"),
    meaning="One row per refit, month and series: the transformed value known at that month's end.",
    source="macro.observation as of each month's end; warehouse/panels.py.",
    columns=(
        Column("as_of_date", "DATE", "Knowledge date of the panel."),
        Column("panel_month", "DATE", "First day of the month."),
        Column("series_id", "VARCHAR", "FRED's identifier."),
        Column("observation_date", "DATE", "Period whose value stands in this cell.", nullable=True),
        Column(
            "value",
            "DOUBLE",
            "Value after the FRED-MD transform; NULL when unknown.",
            unit="see transform",
            nullable=True,
        ),
    ),
)
