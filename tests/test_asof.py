"""What was known on a day: bars, factors, returns and the universe as of it, with later corrections undone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from warehouse import calendars, derive, load, returns
from warehouse.tables import market

TUE, WED, THU = (date(2024, 1, day) for day in (2, 3, 4))
FEBRUARY = date(2024, 2, 1)


def on(day, number=0):
    """Provenance of a load in the evening of a day, Shanghai time."""
    return load.Stamp(f"load-{day}-{number}", datetime(day.year, day.month, day.day, 10, number, tzinfo=UTC))


@pytest.fixture
def pull(empty_lake, bars):
    """Load bars in the evening of a day, as an evening run that asks for these sessions does."""

    def run(day, text, sessions, number=0):
        partitions = [load.Partition(session.isoformat(), session, asked_date=day) for session in sessions]
        load.load(empty_lake, [load.Load(market.DAILY, bars(text), partitions, "trade_date")], on(day, number))

    return run


def closes(opened, as_of):
    rows = opened.read("select ts_code, trade_date, close from bars_asof($as_of) order by all", as_of=as_of)
    return {(row["ts_code"], row["trade_date"]): row["close"] for row in rows.to_pylist()}


def test_bars_as_of_a_day_have_the_values_of_that_day_when_corrected_twice_later(empty_lake, pull):
    pull(TUE, "600000.SH 2024-01-02 10", [TUE])
    pull(WED, "600000.SH 2024-01-02 11", [TUE])
    pull(FEBRUARY, "600000.SH 2024-01-02 12", [TUE])

    assert [closes(empty_lake, day) for day in (TUE, WED, THU, FEBRUARY)] == [
        {("600000.SH", TUE): 10.0},
        {("600000.SH", TUE): 11.0},
        {("600000.SH", TUE): 11.0},
        {("600000.SH", TUE): 12.0},
    ]


def test_bar_that_came_a_day_late_is_unknown_on_its_evening(empty_lake, pull):
    pull(TUE, "600000.SH 2024-01-02 10", [TUE])
    pull(WED, "600000.SH 2024-01-02 10\n600001.SH 2024-01-02 20", [TUE])

    assert closes(empty_lake, TUE) == {("600000.SH", TUE): 10.0}
    assert closes(empty_lake, WED) == {("600000.SH", TUE): 10.0, ("600001.SH", TUE): 20.0}


def test_bar_that_came_after_weeks_of_asking_is_unknown_until_it_came(empty_lake, pull):
    """A day that is not whole is asked for every evening; that it was watched is told by the first one."""
    came = TUE + timedelta(days=40)
    for day in (TUE, WED, TUE + timedelta(days=35)):
        pull(day, "600000.SH 2024-01-02 10", [TUE])

    pull(came, "600000.SH 2024-01-02 10\n600001.SH 2024-01-02 20", [TUE])

    assert closes(empty_lake, came - timedelta(days=1)) == {("600000.SH", TUE): 10.0}
    assert closes(empty_lake, came) == {("600000.SH", TUE): 10.0, ("600001.SH", TUE): 20.0}


def test_whole_day_that_came_late_is_unknown_until_it_came(empty_lake, pull):
    pull(TUE, "", [TUE])
    pull(THU, "600000.SH 2024-01-02 10", [TUE])

    assert closes(empty_lake, WED) == {}
    assert closes(empty_lake, THU) == {("600000.SH", TUE): 10.0}


def test_history_filled_in_later_counts_as_known_on_its_day(empty_lake, pull):
    """Nobody watched in January; a first failing try in June does not make the day unknown."""
    pull(date(2024, 6, 1), "", [TUE])
    pull(date(2024, 6, 2), "600000.SH 2024-01-02 10", [TUE])

    assert closes(empty_lake, TUE) == {("600000.SH", TUE): 10.0}


def test_value_once_missing_is_missing_as_of_then(empty_lake, frame):
    header = "ts_code trade_date open high low close pre_close change pct_chg vol amount"
    for day, amount in ((TUE, "-"), (WED, "1000")):
        rows = frame(market.DAILY, f"{header}\n600000.SH 2024-01-02 10 10 10 10 10 0 0 100 {amount}")
        partition = load.Partition(TUE.isoformat(), TUE, asked_date=day)
        load.load(empty_lake, [load.Load(market.DAILY, rows, [partition], "trade_date")], on(day))

    known = [empty_lake.read_value("select amount from bars_asof($as_of)", as_of=day) for day in (TUE, WED)]

    assert known == [None, 1000.0]


def test_adjusted_price_as_of_a_day_ends_at_the_traded_price(empty_lake, pull, frame):
    """Ten for ten on Wednesday: Tuesday's 20 becomes 10 as of Wednesday, and is 20 as of Tuesday."""
    pull(WED, "600000.SH 2024-01-02 20\n600000.SH 2024-01-03 10.5", [TUE, WED])
    factors = frame(market.ADJ_FACTOR, "ts_code trade_date adj_factor\n600000.SH 2024-01-02 1\n600000.SH 2024-01-03 2")
    partitions = [load.Partition(day.isoformat(), day, asked_date=day) for day in (TUE, WED)]
    load.load(empty_lake, [load.Load(market.ADJ_FACTOR, factors, partitions, "trade_date")], on(WED, 1))

    statement = "select trade_date, close_adjusted_cny from price_adjusted_asof($as_of) order by 1"
    as_of = {
        day: [tuple(row.values()) for row in empty_lake.read(statement, as_of=day).to_pylist()] for day in (TUE, WED)
    }

    assert as_of == {TUE: [(TUE, 20.0)], WED: [(TUE, 10.0), (WED, 10.5)]}


def test_returns_as_of_now_are_the_stored_ones(empty_lake, random_market, load_market, stamp):
    rows = random_market(n_codes=3, n_sessions=300, suspended=0.03)
    load_market(empty_lake, rows)
    returns.update_returns(empty_lake, stamp(1))
    names = [column.name for column in returns.feature.LOG_RETURN.columns]

    stored = empty_lake.read(f"select {', '.join(names)} from feature.log_return order by ts_code, trade_date")
    known = empty_lake.read(
        f"select {', '.join(names)} from returns_asof($as_of) order by ts_code, trade_date", as_of=rows.sessions[-1]
    )

    assert known.num_rows == stored.num_rows > 800
    assert known["trade_date"].equals(stored["trade_date"])
    for name in names[2:]:
        np.testing.assert_allclose(
            known[name].to_numpy(zero_copy_only=False).astype(float),
            stored[name].to_numpy(zero_copy_only=False).astype(float),
            rtol=0,
            atol=1e-12,
        )


def test_returns_as_of_a_day_use_the_factor_known_that_day(empty_lake, pull, frame):
    pull(WED, "600000.SH 2024-01-02 20\n600000.SH 2024-01-03 10", [TUE, WED])
    for day, factor in ((WED, 1), (THU, 2)):
        text = f"ts_code trade_date adj_factor\n600000.SH 2024-01-02 1\n600000.SH 2024-01-03 {factor}"
        partitions = [load.Partition(session.isoformat(), session, asked_date=day) for session in (TUE, WED)]
        rows = frame(market.ADJ_FACTOR, text)
        load.load(empty_lake, [load.Load(market.ADJ_FACTOR, rows, partitions, "trade_date")], on(day, 1))

    statement = "select log_return_1d from returns_asof($as_of) where trade_date = $session"
    known = [empty_lake.read_value(statement, as_of=day, session=WED) for day in (WED, THU)]

    assert known == [pytest.approx(np.log(0.5)), pytest.approx(0.0)]


def test_universe_of_a_day_has_the_delisted_and_the_code_of_that_day(empty_lake, frame):
    listed = frame(
        market.STOCK_BASIC,
        """ts_code name list_status list_date delist_date
        600000.SH Old D 2000-01-01 2024-01-03
        920001.BJ Changed L 2020-01-01 -
        600001.SH New L 2024-01-04 -""",
    )
    load.load(empty_lake, [load.Load(market.STOCK_BASIC, listed, [load.Partition("all", THU)], None)], on(THU))
    mapping = pa.table({"o_code": ["830001.BJ"], "n_code": ["920001.BJ"]})
    empty_lake.commit(
        lambda connection: derive.write_rows(connection, market.CODE_CHANGE, calendars.code_changes(mapping)),
        message="codes",
    )

    def universe(day):
        return empty_lake.read("select ts_code from universe_asof($day) order by 1", day=day)["ts_code"].to_pylist()

    assert universe(TUE) == ["600000.SH", "830001.BJ"]
    assert universe(WED) == ["830001.BJ"]
    assert universe(THU) == ["600001.SH", "830001.BJ"]
    assert universe(date(2025, 10, 8)) == ["600001.SH", "830001.BJ"]
    assert universe(date(2025, 10, 9)) == ["600001.SH", "920001.BJ"]


def test_amended_factor_changes_its_partitions_digest_and_nothing_else_of_the_ledger(empty_lake, pull, frame):
    factors = frame(market.ADJ_FACTOR, "ts_code trade_date adj_factor\n600000.SH 2024-01-02 1\n600001.SH 2024-01-02 1")
    partition = load.Partition(TUE.isoformat(), TUE, 2, asked_date=TUE)
    load.load(empty_lake, [load.Load(market.ADJ_FACTOR, factors, [partition], "trade_date")], on(TUE))
    ledger = (
        "select state, n_expected, n_received, reason, content_hash from ops.ledger where dataset = 'market.adj_factor'"
    )
    before = empty_lake.read(ledger).to_pylist()[0]

    one = frame(market.ADJ_FACTOR, "ts_code trade_date adj_factor\n600001.SH 2024-01-02 3")
    amending = load.Load(market.ADJ_FACTOR, one, [load.Partition(TUE.isoformat(), TUE)], "trade_date", amends=True)
    load.load(empty_lake, [amending], on(TUE + timedelta(days=9)))

    after = empty_lake.read(ledger).to_pylist()[0]
    assert after.pop("content_hash") != before.pop("content_hash")
    assert after == before
    assert empty_lake.read_value("select old_value from ops.revision") == "1.0"
