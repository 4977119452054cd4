"""Numbers computed from vendor data, without a model."""

from __future__ import annotations

from warehouse.contracts import Column, Table
from warehouse.tables import feature_list
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

FEATURES: tuple[Column, ...] = tuple(
    Column(one.name, "DOUBLE", one.comment, unit=one.unit, nullable=True) for one in feature_list.FEATURES
)
FEATURE_NAMES = tuple(column.name for column in FEATURES)

FEATURE = Table(
    schema="feature",
    name="feature",
    grain=("ts_code", "trade_date"),
    partition_by=BY_YEAR,
    sort_by=BY_SECURITY,
    meaning="One row per bar: the features the cross-section models read, unstandardised.",
    source="feature.log_return, market.daily, market.daily_basic, market.index_daily; warehouse/tables/feature_list.py.",
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
