"""Which rows a row of the ledger speaks of, table by table.

Partners: `warehouse/verify.py`, which checks the ledger's promises, and `warehouse/upgrades.py`, which renews them.
"""

from __future__ import annotations

from warehouse.contracts import Table
from warehouse.tables import feature, macro, market, ops

# By which column a dataset's rows belong to a partition of the ledger; None where the table is one partition.
PARTITION_COLUMNS: dict[str, str | None] = {
    market.STOCK_BASIC.full_name: None,
    market.TRADE_CAL.full_name: None,
    market.CODE_CHANGE.full_name: None,
    market.DAILY.full_name: "trade_date",
    market.ADJ_FACTOR.full_name: "trade_date",
    market.DAILY_BASIC.full_name: "trade_date",
    market.SUSPEND_D.full_name: "trade_date",
    market.INDEX_DAILY.full_name: "ts_code",
    macro.OBSERVATION.full_name: "series_id",
    ops.FACTOR_HISTORY.full_name: None,
}
# What each derived table is computed from; its ledger row carries a digest of these.
DERIVED: dict[str, tuple[Table, ...]] = {
    feature.LOG_RETURN.full_name: (market.DAILY, market.ADJ_FACTOR),
    feature.FEATURE.full_name: (feature.LOG_RETURN, market.DAILY_BASIC, market.INDEX_DAILY),
}
