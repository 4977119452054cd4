"""What would returns and features have been on a past day, before the vendor corrected what they were computed from?

The stored ones follow every correction, so as of a day before it they know too much. Where something was corrected or
came late after that day they are computed again, by the same functions, from what was known then. Invariant: the
numbers are those the lake held on that evening, bit for bit. Partner: `warehouse/panels.py`, which asks.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from warehouse import features, returns, sql
from warehouse.lake import Lake
from warehouse.tables import feature_list, market

INPUTS = (market.DAILY, market.ADJ_FACTOR, market.DAILY_BASIC)
# Of the index that features are compared with; its partition is no session, so its rows are asked by their key.
OF_INDEX = f"dataset = 'market.index_daily' and (row_key ->> 'ts_code') = '{feature_list.MARKET_INDEX}'"


def is_corrected_since(lake: Lake, as_of: date) -> bool:
    """Whether bars, factors, valuation or the index of a session up to `as_of` changed or came after it.

    Raises:
        LakeError: the lake cannot be read.
    """
    n_later = lake.read_value(
        "select count(*) from ops.revision where revised_date > $as_of and ("
        "dataset in (select unnest($inputs::varchar[])) and try_cast(partition as date) <= $as_of"
        f" or {OF_INDEX} and try_cast(row_key ->> 'trade_date' as date) <= $as_of)",
        inputs=[table.full_name for table in INPUTS],
        as_of=as_of,
    )
    return bool(n_later)


def recompute_returns(lake: Lake, as_of: date) -> pa.Table:
    """Rows of feature.log_return up to `as_of`, computed from what was known on that evening.

    Returns:
        Sorted by ts_code and trade_date.

    Raises:
        LakeError: the lake cannot be read.
    """
    return returns.compute_returns(_read_prices(lake, as_of))


def recompute_features(lake: Lake, as_of: date) -> tuple[pa.Table, pa.Table]:
    """Rows of feature.feature up to `as_of`, and of feature.log_return beside them, from what was known that evening.

    Returns:
        Two tables of the same bars, each sorted by ts_code and trade_date.

    Raises:
        LakeError: the lake cannot be read.
    """
    inputs = lake.read(sql.load("feature_inputs_asof"), as_of=as_of)
    computed = returns.compute_returns(inputs)
    index = lake.read(sql.load("index_asof"), as_of=as_of, code=feature_list.MARKET_INDEX)
    first = min(computed["trade_date"].to_pylist(), default=as_of)
    for name in feature_list.RETURN_COLUMNS:
        inputs = inputs.append_column(name, computed[name])
    found = features.compute_features(inputs, first, features.index_returns(index))
    # Arrow cannot sort by the dictionary that the codes come as.
    return found.set_column(0, "ts_code", found["ts_code"].cast(pa.string())), computed


def _read_prices(lake: Lake, as_of: date) -> pa.Table:
    return lake.read(sql.load("prices_asof"), as_of=as_of)
