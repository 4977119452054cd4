"""The index that betas are on: when it comes late, is corrected, or is not followed at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from warehouse import derive, features, lake, load, panels, returns
from warehouse.partitions import DERIVED
from warehouse.tables import feature, feature_list, market

READ = "from feature.feature order by ts_code, trade_date"


@pytest.fixture(scope="module")
def given(random_market: Callable[..., Any]) -> Any:
    return random_market(n_codes=4, n_sessions=45, seed=6, ranging=True)


def evening(day: date) -> load.Stamp:
    """Provenance of what is loaded on the evening of a day."""
    return load.Stamp(f"load-{day}", datetime.combine(day, time(10), UTC))


@pytest.fixture(scope="module")
def load_index(given: Any) -> Callable[..., None]:
    """Load the index's first sessions on an evening, some of them missing, or the newest times a factor."""
    close = 3000.0 * np.exp(np.cumsum(np.random.default_rng(7).normal(0.0, 0.01, len(given.sessions))))

    def run(to: lake.Lake, upto: int, asked: date, without: tuple[int, ...] = (), wrong: float = 1.0) -> None:
        rows = pd.DataFrame({"trade_date": given.sessions, "close": close}).assign(ts_code=feature_list.MARKET_INDEX)
        rows["pre_close"] = rows["close"].shift(1).fillna(3000.0)
        rows.loc[upto - 1, "close"] *= wrong
        prices = rows[["close", "pre_close"]]
        rows = rows.assign(open=rows["close"], high=prices.max(axis=1), low=prices.min(axis=1), vol=1.0)
        table = pa.Table.from_pandas(rows.iloc[[at for at in range(upto) if at not in without]], preserve_index=False)
        partition = load.Partition(feature_list.MARKET_INDEX, asked, asked_date=asked)
        load.load(to, [load.Load(market.INDEX_DAILY, table, [partition], "ts_code")], evening(asked))

    return run


def compute(opened: lake.Lake, stamp: load.Stamp) -> pa.Table:
    returns.update_returns(opened, stamp)
    features.update_features(opened, stamp)
    return opened.read(READ)


def test_index_that_comes_late_or_is_corrected_gives_what_a_rebuild_gives(
    new_lake: Callable[[], lake.LakeLocation],
    given: Any,
    load_market: Callable[..., None],
    load_index: Callable[..., None],
) -> None:
    last = given.sessions[-1]
    evenings = [last + timedelta(days=n) for n in range(3)]
    with lake.open_writer(new_lake(), holder="test") as opened:
        load_market(opened, given)
        found = [compute(opened, evening(last))]
        load_index(opened, 45, evenings[1], without=(40, 41), wrong=1.5)
        found.append(compute(opened, evening(evenings[1])))
        load_index(opened, 45, evenings[2])
        found.append(compute(opened, evening(evenings[2])))
        due = derive.read_due(opened, feature.FEATURE, DERIVED["feature.feature"])
    with lake.open_writer(new_lake(), holder="test") as opened:
        load_market(opened, given)
        load_index(opened, 45, last)
        at_once = compute(opened, evening(last))

    assert due.num_rows == 0
    assert found[2].equals(at_once)
    changed = {name for name in feature.FEATURE_NAMES if not found[0][name].equals(found[2][name])}
    assert changed == {one.name for one in feature_list.FEATURES if "market_return" in one.of}
    assert not found[1]["beta_60d"].equals(found[2]["beta_60d"])


def test_as_of_a_day_the_index_is_what_was_known_then(
    empty_lake: lake.Lake, given: Any, load_market: Callable[..., None], load_index: Callable[..., None]
) -> None:
    """Of one session the value comes an evening late, of the next it is wrong until the evening after."""
    known = {}
    load_market(empty_lake, given.of_sessions(given.sessions[:41]))
    for upto, without, wrong in ((42, (), 1.0), (43, (42,), 1.0), (44, (), 1.02), (45, (), 1.0)):
        day = given.sessions[upto - 1]
        load_market(empty_lake, given.of_sessions([day]), upto)
        load_index(empty_lake, upto, day, without, wrong)
        compute(empty_lake, evening(day))
        known[day] = panels.read_feature_rows(empty_lake, day)

    undone = empty_lake.read("select column_name from ops.revision where dataset = 'market.index_daily'")
    assert {"*", "close"} <= set(undone["column_name"].to_pylist())
    for day, then in known.items():
        since = panels.read_feature_rows(empty_lake, day)
        np.testing.assert_array_equal(then.features, since.features, err_msg=str(day))
