"""A desk's own files take the way of a vendor's answers, whatever wrote them and however large they are."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse import errors, files, load
from warehouse.tables import macro, market

KNOWN = date(2024, 3, 1)
HEADER = "ts_code,trade_date,open,high,low,close,pre_close,change,pct_chg,vol,amount"
TWO_DAYS = f"""{HEADER}
600000.SH,20240102,10,10,10,10,10,0,0,100,1000
600001.SH,20240102,20,20,20,20,20,0,0,100,1000
600000.SH,20240103,11,11,11,11,10,1,10,100,1000
"""


@pytest.fixture
def load_text(empty_lake, tmp_path, stamp):
    """Write text to a file and load it."""

    def run(text, n=0, name="bars.csv", dataset="daily"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return files.load_files(empty_lake, dataset, [path], known_date=KNOWN, stamp=stamp(n))

    return run


def closes(lake):
    rows = lake.read("select ts_code, trade_date, close from market.daily order by all").to_pylist()
    return [(row["ts_code"], str(row["trade_date"]), row["close"]) for row in rows]


def set_aside(lake):
    rows = lake.read("select partition, rule, reason, row_json from ops.quarantine order by all").to_pylist()
    return [tuple(row.values()) for row in rows]


THREE = [("600000.SH", "2024-01-02", 10.0), ("600000.SH", "2024-01-03", 11.0), ("600001.SH", "2024-01-02", 20.0)]


def test_csv_is_loaded_with_its_ledger_rows_and_provenance(empty_lake, load_text):
    loaded = load_text(TWO_DAYS)

    assert closes(empty_lake) == THREE
    assert (loaded.n_rows, loaded.n_set_aside, loaded.n_partitions, loaded.n_not_whole) == (3, 0, 2, 0)
    ledger = empty_lake.read("select partition, state, n_received, n_expected from ops.ledger order by 1").to_pylist()
    assert [tuple(row.values()) for row in ledger] == [
        ("2024-01-02", "ok", 2, None),
        ("2024-01-03", "ok", 1, None),
    ]
    reply = empty_lake.read("select * from vendor.reply").to_pylist()[0]
    assert (reply["vendor"], reply["endpoint"], reply["n_bytes"]) == ("file", "daily", len(TWO_DAYS))
    assert reply["load_id"] == empty_lake.read_value("select any_value(load_id) from market.daily") == "load-0"
    assert len(reply["sha256"]) == 64 and '"bars.csv"' in reply["params"]


def test_loading_a_file_twice_writes_nothing(empty_lake, load_text):
    text = TWO_DAYS + "600002.SH,20240103,-1,10,10,10,10,0,0,1,1\n600003.SH,20240103,n/a,1,1,1,1,0,0,1,1\n"
    load_text(text)
    before = empty_lake.snapshot

    again = load_text(text, n=1)

    assert empty_lake.snapshot == before
    assert again.n_set_aside == 0


WRITERS = {
    "ISO dates": (
        lambda f: f.assign(trade_date=f["trade_date"].str.replace(r"(....)(..)(..)", r"\1-\2-\3", regex=True))
    ),
    "whole numbers": (lambda f: f.assign(trade_date=f["trade_date"].astype("int64"))),
    "dates": (lambda f: f.assign(trade_date=pd.to_datetime(f["trade_date"]).dt.date)),
    "instants": (lambda f: f.assign(trade_date=pd.to_datetime(f["trade_date"]))),
    "numbers as text": (lambda f: f.assign(close=f["close"].astype(str))),
    "extra columns": (lambda f: f.assign(colour="red", pe=1.5)),
    "nullable ones absent": (lambda f: f.drop(columns=["amount", "change", "pct_chg"])),
    "another order": (lambda f: f[f.columns[::-1]].sample(frac=1, random_state=1)),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_file_is_read_whatever_wrote_it(empty_lake, tmp_path, stamp, write, ending):
    lines = [line.split(",") for line in TWO_DAYS.split()]
    frame = pd.DataFrame(lines[1:], columns=lines[0])
    frame = write(frame.astype(dict.fromkeys(lines[0][2:], float)))
    path = tmp_path / f"bars.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)

    files.load_files(empty_lake, "daily", [path], known_date=KNOWN, stamp=stamp(0))

    assert closes(empty_lake) == THREE
    assert set_aside(empty_lake) == []


def test_restated_history_replaces_values_and_keeps_the_old_ones(empty_lake, load_text):
    load_text(TWO_DAYS)

    loaded = load_text(TWO_DAYS.replace("20240103,11,11,11,11", "20240103,12,12,12,12"), n=1)

    assert closes(empty_lake)[1] == ("600000.SH", "2024-01-03", 12.0)
    revised = empty_lake.read("select column_name, old_value, new_value from ops.revision order by all").to_pylist()
    assert {tuple(row.values()) for row in revised} == {(c, "11.0", "12.0") for c in ("open", "high", "low", "close")}
    assert loaded.n_revised == 4


def test_files_that_share_no_row_are_one_load_and_others_follow_each_other(empty_lake, tmp_path, stamp):
    lines = TWO_DAYS.split()
    for name, chosen in (
        ("a", lines[1:2]),
        ("b", lines[2:]),
        ("c", [lines[1].replace(",10,10,10,10,10,", ",9,9,9,9,9,")]),
    ):
        (tmp_path / f"{name}.csv").write_text("\n".join([HEADER, *chosen, ""]))
    paths = [tmp_path / f"{name}.csv" for name in "abc"]

    apart = files.load_files(empty_lake, "daily", paths[:2], known_date=KNOWN, stamp=stamp(0))
    after = files.load_files(empty_lake, "daily", paths, known_date=KNOWN, stamp=stamp(1))

    assert (apart.n_partitions, apart.n_revised) == (2, 0)
    assert closes(empty_lake)[0] == ("600000.SH", "2024-01-02", 9.0)
    assert after.n_revised == 5


BAD_ROWS = {
    "negative price": ("600009.SH,20240103,10,10,-1,10,10,0,0,1,1", "2024-01-03", "price_positive"),
    "word for a number": ("600009.SH,20240103,n/a,1,1,1,1,0,0,1,1", "2024-01-03", "readable"),
    "day that is none": ("600009.SH,20241399,1,1,1,1,1,0,0,1,1", "", "readable"),
    "code without exchange": ("600009,20240103,1,1,1,1,1,0,0,1,1", "2024-01-03", "readable"),
    "missing close": ("600009.SH,20240103,1,1,1,,1,0,0,1,1", "2024-01-03", "not_null"),
    "day to come": ("600009.SH,20310103,1,1,1,1,1,0,0,1,1", "2031-01-03", "not_in_future"),
    "short line": ("600009.SH,20240103,1,1", "", "readable"),
    "long line": ("600009.SH,20240103,1,1,1,1,1,0,0,1,1,7,8", "", "readable"),
}


@pytest.mark.parametrize(("line", "partition", "rule"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_row_is_in_quarantine_as_it_came_and_the_good_rest_is_loaded(empty_lake, load_text, line, partition, rule):
    loaded = load_text(TWO_DAYS + line + "\n")

    assert closes(empty_lake) == THREE
    assert loaded.n_set_aside == 1
    found = [row for row in set_aside(empty_lake) if row[1] == rule]
    assert [row[0] for row in found] == [partition]
    assert "600009" in found[0][3]


REFUSED = {
    "no such column": (TWO_DAYS.replace("close", "last", 1), "bars.csv", r"lacks the columns close of market\.daily"),
    "no header": ("\n".join([*TWO_DAYS.split()[1:], ""]), "bars.csv", "lacks the columns"),
    "empty": ("", "bars.csv", "is empty"),
    "words for numbers": (
        TWO_DAYS.replace(",10,10,10,10,", ",a,b,c,d,").replace(",20,20", ",x,y"),
        "bars.csv",
        "2 of 3 rows",
    ),
    "no Parquet": (TWO_DAYS, "bars.parquet", "cannot be read"),
    "unknown ending": (TWO_DAYS, "bars.xlsx", "files end in"),
}


@pytest.mark.parametrize(("text", "name", "words"), REFUSED.values(), ids=REFUSED)
def test_file_that_is_not_the_table_is_refused_in_one_line_and_nothing_is_stored(
    empty_lake, load_text, text, name, words
):
    before = empty_lake.snapshot

    with pytest.raises(errors.ConfigError, match=words) as caught:
        load_text(text, name=name)
    assert empty_lake.snapshot == before
    assert "\n" not in str(caught.value) and "Nothing was stored" in str(caught.value)


def test_parquet_with_truths_for_prices_is_refused(empty_lake, tmp_path, stamp):
    path = tmp_path / "bars.parquet"
    duckdb.sql("select 'A.SH' as ts_code, date '2024-01-02' as trade_date, true as adj_factor").write_parquet(str(path))

    with pytest.raises(errors.ConfigError, match="column adj_factor holds BOOLEAN, which cannot become DOUBLE"):
        files.load_files(empty_lake, "adj_factor", [path], known_date=KNOWN, stamp=stamp(0))


def test_cut_parquet_stores_nothing(empty_lake, tmp_path, stamp):
    path = tmp_path / "bars.parquet"
    duckdb.sql(f"from read_csv('{_written(tmp_path)}', all_varchar = true)").write_parquet(str(path))
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(errors.ConfigError, match="cannot be read"):
        files.load_files(empty_lake, "daily", [path], known_date=KNOWN, stamp=stamp(0))
    assert closes(empty_lake) == []


def _written(folder):
    path = folder / "text.csv"
    path.write_text(TWO_DAYS)
    return path


@pytest.mark.parametrize(
    ("name", "words"), [("none.csv", "there is no file"), ("empty.csv", "is empty"), (".", r"folder.*\*\.csv")]
)
def test_file_that_is_none_is_refused(empty_lake, tmp_path, stamp, name, words):
    (tmp_path / "empty.csv").touch()

    with pytest.raises(errors.ConfigError, match=words):
        files.load_files(empty_lake, "daily", [tmp_path / name], known_date=KNOWN, stamp=stamp(0))


def test_expected_rows_come_from_the_universe_where_the_lake_knows_it(empty_lake, load_text, frame, load_days, stamp):
    from warehouse import load

    stocks = frame(
        market.STOCK_BASIC,
        "ts_code name list_status list_date\n"
        "600000.SH A L 2000-01-04\n600001.SH B L 2000-01-04\n600002.SH C L 2000-01-04",
    )
    load.load(empty_lake, [load.Load(market.STOCK_BASIC, stocks, [load.Partition("all", KNOWN)], None)], stamp(0))
    halted = frame(market.SUSPEND_D, "ts_code trade_date suspend_type\n600002.SH 2024-01-02 S")
    load_days(empty_lake, market.SUSPEND_D, halted, may_be_empty=True)

    loaded = load_text(TWO_DAYS, n=1)

    # The second day's suspensions are not known, so what it should hold is not known either.
    ledger = empty_lake.read(
        "select state, n_received, n_expected from ops.ledger where dataset = 'market.daily' order by partition"
    ).to_pylist()
    assert [tuple(row.values()) for row in ledger] == [("ok", 2, 2), ("ok", 1, None)]
    assert loaded.n_not_whole == 0


def test_security_under_both_of_its_codes_is_expected_once_and_a_few_rows_may_be_missing(
    empty_lake, load_text, frame, load_days, stamp
):
    """Both as in the evening: a vendor may list both codes, and two bars in a thousand may be missing."""
    codes = [f"60{n:04d}.SH" for n in range(499)]
    stocks = "ts_code name list_status list_date\n" + "".join(f"{code} A L 2000-01-04\n" for code in codes)
    stocks += "831234.BJ B L 2021-01-04\n920234.BJ B L 2021-01-04"
    listed = frame(market.STOCK_BASIC, stocks)
    changed = frame(
        market.CODE_CHANGE, "old_code new_code change_date source\n831234.BJ 920234.BJ 2023-10-09 bse_mapping"
    )
    for table, rows in ((market.STOCK_BASIC, listed), (market.CODE_CHANGE, changed)):
        load.load(empty_lake, [load.Load(table, rows, [load.Partition("all", date(2024, 1, 2))], None)], stamp(0))
    nothing = frame(market.SUSPEND_D, "ts_code trade_date suspend_type\n")
    day = date(2024, 1, 2)
    load_days(empty_lake, market.SUSPEND_D, nothing, days=[day], may_be_empty=True)

    load_text("\n".join([HEADER, *(f"{code},20240102,10,10,10,10,10,0,0,100,1000" for code in codes)]) + "\n")

    row = empty_lake.read("select state, n_received, n_expected from ops.ledger where dataset = 'market.daily'")
    assert row.to_pylist() == [{"state": "ok", "n_received": 499, "n_expected": 500}]


def test_partial_day_is_not_called_whole_by_a_file_of_a_few_securities(empty_lake, load_text, bars, load_days):
    load_days(empty_lake, market.DAILY, bars("600000.SH 2024-01-02 10\n600001.SH 2024-01-02 20"), n_expected=3)

    load_text(TWO_DAYS, n=1)

    row = empty_lake.read("select state, n_expected from ops.ledger where partition = '2024-01-02'").to_pylist()[0]
    assert row == {"state": "partial", "n_expected": 3}


def test_larger_file_is_loaded_a_group_at_a_time_to_the_same_end(
    empty_lake, new_lake, tmp_path, stamp, facts_of, monkeypatch
):
    from warehouse import lake

    path = tmp_path / "bars.parquet"
    duckdb.sql(
        "select (600000 + code)::varchar || '.SH' as ts_code, strftime(date '2023-01-02' + day::integer, '%Y%m%d')"
        " as trade_date, 10.0 + day as open, 10.0 + day as high, 10.0 + day as low, 10.0 + day as close,"
        " 10.0 as pre_close, 0.0 as change, 0.0 as pct_chg, 1.0 as vol, 1.0 as amount"
        " from range(20) as a(code), range(60) as b(day) order by ts_code, trade_date"
    ).write_parquet(str(path))
    files.load_files(empty_lake, "daily", [path], known_date=KNOWN, stamp=stamp(0))
    monkeypatch.setattr(files, "ROWS_PER_COMMIT", 250)

    with lake.open_writer(new_lake(), holder="test") as other:
        before = other.snapshot
        files.load_files(other, "daily", [path], known_date=KNOWN, stamp=stamp(0))

        # 1,200 rows in groups of at least 250, of 20 a day: 13 days each.
        assert other.snapshot - before == 5
        assert facts_of(other) == facts_of(empty_lake)


OBSERVATIONS = "series_id,observation_date,value\nUNRATE,2023-12-01,3.7\nUNRATE,2024-01-01,.\n"


def test_observations_are_seen_on_the_day_of_the_load(empty_lake, load_text):
    loaded = load_text(OBSERVATIONS, dataset="observations", name="fred.csv")
    load_text(OBSERVATIONS.replace("3.7", "3.8"), n=1, dataset="observations", name="fred.csv")

    rows = empty_lake.read(
        "select observation_date, value, is_realtime_estimated from macro.observation order by 1, realtime_start"
    ).to_pylist()
    assert loaded.n_partitions == 1
    assert {row["value"] for row in rows} == {3.7, 3.8, None}
    # FRED is still asked that evening: a file says what was known when it was written.
    assert empty_lake.read_value("select max(through_date) from ops.ledger where dataset = 'macro.observation'") < KNOWN


def test_observations_with_their_intervals_are_stored_as_they_are(empty_lake, load_text):
    text = (
        "series_id,observation_date,value,realtime_start,realtime_end\n"
        "UNRATE,2023-12-01,3.7,2024-01-05,2024-01-31\nUNRATE,2023-12-01,3.8,2024-02-01,\n"
    )
    load_text(text, dataset="observations", name="fred.csv")

    rows = empty_lake.read(
        "select value, realtime_start, realtime_end, is_realtime_estimated from macro.observation order by 2"
    ).to_pylist()
    assert [tuple(map(str, row.values())) for row in rows] == [
        ("3.7", "2024-01-05", "2024-01-31", "False"),
        ("3.8", "2024-02-01", "9999-12-31", "False"),
    ]
    with pytest.raises(errors.ContractViolation, match="UNRATE for 2023-12-01 would be the published one"):
        load_text(text.replace("2024-02-01", "2024-01-20"), n=1, dataset="observations", name="fred.csv")


def test_series_nobody_follows_is_refused_before_anything_is_stored(empty_lake, load_text):
    with pytest.raises(errors.ContractViolation, match=r"does not follow: NOSUCH.*fred_series"):
        load_text(OBSERVATIONS + "NOSUCH,2024-01-01,1\n", dataset="observations", name="fred.csv")
    assert empty_lake.read_value(f"select count(*) from {macro.OBSERVATION.full_name}") == 0


@pytest.mark.parametrize(
    ("dataset", "name", "n_rows"),
    [
        ("daily", "daily_full_market_20250403.csv", 5393),
        ("daily_basic", "daily_basic_full_market_20250403.csv", 5393),
        ("daily", "daily_601398.SH_2024.csv", 242),
    ],
)
def test_genuine_vendor_file_is_loaded_whole(empty_lake, stamp, dataset, name, n_rows, vendor_data):
    path = vendor_data / "ashare" / name

    loaded = files.load_files(empty_lake, dataset, [path], known_date=date(2025, 4, 7), stamp=stamp(0))

    assert (loaded.n_rows, loaded.n_set_aside) == (n_rows, 0)
    assert empty_lake.read_value(f"select count(*) from market.{dataset}") == n_rows
    expected = duckdb.sql(f"select sum(close) from read_csv('{path}')").fetchall()[0][0]
    assert empty_lake.read_value(f"select sum(close) from market.{dataset}") == pytest.approx(expected)


ROWS = "ts_code,trade_date,open,high,low,close,pre_close,vol,amount\n{},2024-01-02,10,10.1,9.9,10,10,100,100\n"


@pytest.mark.parametrize("code", ["600000.XSHG", "sh.600000", "600000.sh", "600000SH.", "600000.SHX"])
def test_code_in_another_spelling_is_refused_and_is_no_second_security(empty_lake, tmp_path, stamp, code):
    (tmp_path / "bars.csv").write_text(ROWS.format(code))

    with pytest.raises(errors.ConfigError, match=r"ts_code is .*write it with its exchange"):
        files.load_files(empty_lake, "daily", [tmp_path / "bars.csv"], known_date=date(2024, 1, 2), stamp=stamp(0))
    assert empty_lake.read_value("select count(*) from market.daily") == 0


def test_file_cut_inside_its_last_number_is_refused(empty_lake, tmp_path, stamp):
    path = tmp_path / "bars.csv"
    path.write_text(ROWS.format("600000.SH")[:-2])

    with pytest.raises(errors.ConfigError, match="cut inside a number"):
        files.load_files(empty_lake, "daily", [path], known_date=date(2024, 1, 2), stamp=stamp(0))


def _as_parquet(path, **columns):
    row = {"ts_code": ["600000.SH"], "trade_date": [date(2024, 1, 2)], "vol": [100.0], "amount": [100.0]}
    row |= {name: [19.14] for name in ("open", "high", "low", "close", "pre_close")}
    pq.write_table(pa.table(row | columns), path)
    return path


def test_instant_with_a_zone_is_refused_as_a_day(empty_lake, tmp_path, stamp):
    instants = pa.array([datetime(2024, 1, 2, tzinfo=ZoneInfo("Asia/Shanghai"))], pa.timestamp("us", "Asia/Shanghai"))
    path = _as_parquet(tmp_path / "bars.parquet", trade_date=instants)

    with pytest.raises(errors.ConfigError, match="trade_date holds TIMESTAMP WITH TIME ZONE"):
        files.load_files(empty_lake, "daily", [path], known_date=date(2024, 1, 2), stamp=stamp(0))


def test_prices_of_32_bits_are_no_revision_of_the_same_prices(empty_lake, tmp_path, stamp):
    narrow = {name: pa.array([19.14], pa.float32()) for name in ("open", "high", "low", "close", "pre_close")}
    paths = _as_parquet(tmp_path / "wide.parquet"), _as_parquet(tmp_path / "narrow.parquet", **narrow)

    revised = [
        files.load_files(empty_lake, "daily", [path], known_date=date(2024, 1, 2), stamp=stamp(n)).n_revised
        for n, path in enumerate(paths)
    ]

    assert revised == [0, 0]


def test_file_with_a_part_of_a_market_is_partial_though_nobody_knows_who_was_suspended(empty_lake, tmp_path, stamp):
    codes = [f"60000{n}.SH" for n in range(10)]
    listed = pa.table(
        {"ts_code": codes, "name": codes, "list_date": [date(2000, 1, 4)] * 10, "list_status": ["L"] * 10}
    )
    partition = load.Partition("all", date(2024, 1, 2))
    load.load(empty_lake, [load.Load(market.STOCK_BASIC, listed, [partition], None)], stamp(0))

    def load_bars(n_codes, day):
        columns = {"ts_code": codes[:n_codes], "trade_date": [day] * n_codes, "vol": [1.0] * n_codes}
        columns |= {name: [10.0] * n_codes for name in ("open", "high", "low", "close", "pre_close", "amount")}
        pq.write_table(pa.table(columns), tmp_path / "bars.parquet")
        return files.load_files(empty_lake, "daily", [tmp_path / "bars.parquet"], known_date=day, stamp=stamp(0))

    assert load_bars(1, date(2024, 1, 2)).n_not_whole == 1
    assert load_bars(9, date(2024, 1, 3)).n_not_whole == 0
