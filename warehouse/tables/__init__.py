"""Every table of the lake, as a declaration.

One file per lake schema: `vendor`, `market`, `macro`, `feature`, `model` (and `outlook.py`), `ops`. Read `market.py` first. A declaration
says type, unit, key and meaning; `warehouse/contracts.py` turns it into DDL, Arrow schema, comments and audits.
`TABLES` is every table, in creation order; `SCHEMA_VERSION` rises when a stored table changes shape.
"""

from __future__ import annotations

from warehouse.contracts import Table
from warehouse.tables import feature, macro, market, model, ops, outlook, vendor

SCHEMA_VERSION = 10

TABLES: tuple[Table, ...] = (
    vendor.REPLY,
    market.STOCK_BASIC,
    market.TRADE_CAL,
    market.EXCHANGE_SESSION,
    market.CODE_CHANGE,
    market.DAILY,
    market.ADJ_FACTOR,
    market.DAILY_BASIC,
    market.SUSPEND_D,
    market.INDEX_DAILY,
    macro.SERIES,
    macro.OBSERVATION,
    macro.RELEASE,
    macro.ARCHIVED_OBSERVATION,
    macro.VINTAGE,
    macro.REBASE,
    macro.SERIES_FACT,
    feature.LOG_RETURN,
    feature.FEATURE,
    feature.MACRO_PANEL,
    model.MODEL_VERSION,
    model.FACTOR,
    model.FACTOR_LOADING,
    model.FACTOR_SCORE,
    model.COEFFICIENT,
    model.FORECAST,
    model.EVALUATION,
    model.OUT_OF_SAMPLE,
    model.CLUSTER,
    model.VERSION_ROLE,
    model.FORECAST_OUTCOME,
    model.LEARNING_CURVE,
    model.IMPORTANCE,
    model.MACRO_FORECAST,
    model.FACTOR_MOVE,
    model.FACTOR_CHANGE,
    outlook.MACRO_OUTLOOK,
    outlook.MACRO_COEFFICIENT,
    outlook.MACRO_OUTLOOK_OUTCOME,
    outlook.MACRO_NEWS,
    ops.PROPERTY,
    ops.RUN,
    ops.LEDGER,
    ops.QUARANTINE,
    ops.RULE,
    ops.REVISION,
    ops.ALERT,
    ops.ALERT_CHANGE,
    ops.OUTBOX,
    ops.CHECKED_SESSION,
    ops.FACTOR_HISTORY,
)
