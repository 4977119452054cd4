"""What `verify` promises to find is planted, one kind of damage a test, and nothing else is found."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from warehouse import data_files, errors, features, lake, load, returns, verify, vintages
from warehouse.sources import archive, http
from warehouse.tables import macro, market, ops, vendor

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def sound(
    empty_lake: lake.Lake,
    bodies: Path,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> lake.Lake:
    """A lake with bars, returns, features, a macro series with a revision, and two archived answers."""
    load_market(empty_lake, random_market(n_codes=30, n_sessions=4))
    returns.update_returns(empty_lake, stamp(1))
    features.update_features(empty_lake, stamp(2))
    series = pa.table({name: [value] for name, value in SERIES.items()}).cast(macro.SERIES.arrow_schema)
    empty_lake.commit(
        lambda c: (c.register("s", series), c.execute("insert into macro.series from s")), message="series"
    )
    for number, value in enumerate((3.5, 3.6)):
        pull = date(2024, 2, 1 + number)
        rows = pa.table(
            {"series_id": ["UNRATE"], "observation_date": [date(2024, 1, 1)], "value": [value]},
            schema=pa.schema([("series_id", pa.string()), ("observation_date", pa.date32()), ("value", pa.float64())]),
        )
        kept = archive.Archive(bodies)
        kept.keep(http.Reply("fred", "UNRATE", {"n": str(number)}, 200, b"body %d" % number, {}, NOW))
        one = vintages.observation_load(
            rows, [load.Partition("UNRATE", pull)], pull_date=pull, replies=kept.drain("load-x")
        )
        load.load(empty_lake, [one], stamp(3 + number))
    return empty_lake


SERIES = {
    "series_id": "UNRATE",
    "title": "Unemployment",
    "unit": "percent",
    "frequency": "M",
    "transform_code": 2,
    "publication_lag_days": 5,
    "group_name": "labor",
    "is_in_macro_panel": True,
    "is_rolling_window": False,
    "licence": "public",
}


def broken(of: lake.Lake, bodies: Path) -> dict[str, list[str]]:
    checks = verify.verify(of, bodies, lambda check: None)
    return {check.name: check.culprits for check in checks if check.n_broken}


def execute(to: lake.Lake, statement: str) -> None:
    to.commit(lambda connection: connection.execute(statement), message="damage")


def a_file_of(of: lake.Lake, table: str) -> Path:
    return next(
        Path(row["path"])
        for row in data_files.read_named(of).to_pylist()
        if row["table_name"] == table and row["kind"] == "data"
    )


def test_a_sound_lake_passes_and_everything_was_counted(sound: lake.Lake, bodies: Path) -> None:
    told: list[verify.Check] = []

    checks = verify.verify(sound, bodies, told.append)

    assert told == checks and not [check for check in checks if check.n_broken]
    n_checked = {check.name: check.n_checked for check in checks}
    n_rows = sum(sound.read_value(f"select count(*) from {table.full_name}") for table in data_files.read_tables(sound))
    assert n_checked["archived bodies"] == 2
    assert n_checked["rows"] == n_rows
    assert n_checked["promises of the ledger"] == 4 * 3 + 1 + 4 * 2
    assert n_checked["macro intervals"] == 2
    assert n_checked["derived days"] == 8
    verify.refuse_broken(checks)


def test_body_that_is_missing_cut_or_another_is_named(sound: lake.Lake, bodies: Path) -> None:
    paths = sorted(bodies.rglob("*.gz"))
    paths[0].write_bytes(gzip.compress(b"body 9"))
    assert broken(sound, bodies) == {
        "archived bodies": [f"{paths[0].relative_to(bodies)} is not the body that was received"]
    }

    paths[0].write_bytes(paths[1].read_bytes()[:9])
    assert "cannot be read" in verify.check_archive(sound, bodies).culprits[0]

    paths[0].unlink()
    found = verify.check_archive(sound, bodies)

    assert (found.n_checked, found.n_broken) == (2, 1)
    assert found.culprits == [f"{paths[0].relative_to(bodies)} is missing"]


def test_file_that_is_missing_is_named_with_its_table(sound: lake.Lake, bodies: Path) -> None:
    path = a_file_of(sound, "market.daily")
    path.unlink()

    checks = verify.verify(sound, bodies, lambda check: None)

    found = {check.name: check.culprits for check in checks if check.n_broken}
    assert found["files"] == [f"{path} of market.daily is missing"]
    assert any(culprit.startswith("market.daily cannot be read") for culprit in found["rows"])
    with pytest.raises(errors.LakeError, match=r"1 of \d+ files; .*Restore the last good backup") as raised:
        verify.refuse_broken(checks)
    assert raised.value.exit_code == 15


def test_file_that_was_cut_is_named(sound: lake.Lake) -> None:
    path = a_file_of(sound, "market.daily")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])

    assert verify.check_files(sound).culprits == [
        f"{path} of market.daily has {len(whole) - 100} bytes, not {len(whole)}"
    ]


def test_footer_that_cannot_be_read_is_named_and_no_other(sound: lake.Lake) -> None:
    path = a_file_of(sound, "market.daily")
    whole = path.read_bytes()
    path.write_bytes(whole[:-60] + b"\x00" * 60)

    assert verify.check_files(sound).culprits == [f"{path} of market.daily has no readable footer"]


def test_value_changed_inside_a_file_breaks_the_promise_of_its_partition(sound: lake.Lake, bodies: Path) -> None:
    """The file is as long as it was and its footer is sound: only the digest of the rows can tell."""
    path = a_file_of(sound, "market.daily")
    other = path.with_suffix(".other")
    sound._connection.execute(
        f"copy (select * replace (close + 1 as close) from read_parquet('{path}')) to '{other}' (format parquet)"
    )
    size, footer_size = other.stat().st_size, int.from_bytes(other.read_bytes()[-8:-4], "little")
    other.replace(path)
    sound._connection.execute(
        f"update {data_files.CATALOG}.ducklake_data_file set file_size_bytes = {size}, footer_size = {footer_size}"
        f" where path like '%{path.name}'"
    )

    found = broken(sound, bodies)["promises of the ledger"]

    assert found and all("its rows are not those that were loaded" in culprit for culprit in found)
    assert all(culprit.startswith("market.daily 2023-01-") for culprit in found)


def test_file_nobody_knows_is_told_and_is_no_damage(sound: lake.Lake, bodies: Path) -> None:
    (a_file_of(sound, "market.daily").parent / "left-by-a-killed-writer.parquet").write_bytes(b"half")

    found = verify.check_files(sound)

    assert found.n_broken == 0 and found.note.startswith("1 files that the catalog does not know")


DAMAGES = (
    (
        "insert into market.trade_cal (exchange, cal_date, is_open, retrieved_at, load_id)"
        " select 'SSE', date '2024-01-02', true, now(), 'x' from range(2)",
        "tables' keys",
        "market.trade_cal has 2 rows for SSE, 2024-01-02",
    ),
    (
        "delete from market.daily where trade_date = date '2023-01-03'",
        "promises of the ledger",
        "market.daily 2023-01-03: no row is left",
    ),
    (
        "update market.adj_factor set adj_factor = 2 where ts_code = '600001.SH' and trade_date = '2023-01-03'",
        "promises of the ledger",
        "market.adj_factor 2023-01-03: its rows are not those that were loaded",
    ),
    (
        "insert into market.suspend_d values ('600000.SH', date '2023-02-01', null, 'S', now(), 'x')",
        "promises of the ledger",
        "market.suspend_d 2023-02-01: 1 rows that no load entered",
    ),
    (
        "update macro.observation set realtime_end = date '9999-12-31'",
        "macro intervals",
        "UNRATE 2024-01-01: the value of 2024-02-01 stands until 9999-12-31, the next from 2024-02-02",
    ),
    (
        "delete from feature.log_return where ts_code = '600001.SH' and trade_date = date '2023-01-03'",
        "derived days",
        "feature.log_return 2023-01-03: ",
    ),
)


def test_each_damage_is_found_and_named_among_others(sound: lake.Lake, bodies: Path) -> None:
    known = load.Load(
        market.SUSPEND_D,
        market.SUSPEND_D.empty().drop_columns(["retrieved_at", "load_id"]),
        [load.Partition("2023-01-02", date(2023, 1, 2), may_be_empty=True)],
        "trade_date",
    )
    load.load(sound, [known], load.Stamp("load-s", NOW))
    assert broken(sound, bodies) == {}
    for statement, _, _ in DAMAGES:
        execute(sound, statement)

    found = broken(sound, bodies)

    for _, check, culprit in DAMAGES:
        assert any(line.startswith(culprit) for line in found[check]), (culprit, found)


def test_derived_day_whose_inputs_changed_is_due_and_is_no_damage(
    sound: lake.Lake, load_market: Callable[..., None], random_market: Callable[..., Any]
) -> None:
    corrected = random_market(n_codes=30, n_sessions=4)
    corrected.adj_factor["adj_factor"] *= 2
    load_market(sound, corrected, 7)

    found = verify.check_derived(sound)

    assert found.n_broken == 0
    assert found.note == "4 days are due to be computed again"


def test_every_dataset_that_is_loaded_has_its_partition_known() -> None:
    """A table that is loaded and not named here would be passed over with a note."""
    loaded = {table.full_name for table in data_files.tables.TABLES if table.schema in ("market", "macro")}
    without_ledger = {
        one.full_name
        for one in (
            *(macro.SERIES, macro.RELEASE, macro.ARCHIVED_OBSERVATION, macro.VINTAGE, macro.REBASE, macro.SERIES_FACT),
            market.EXCHANGE_SESSION,
        )
    }

    assert set(verify.PARTITION_COLUMNS) == loaded - without_ledger | {ops.FACTOR_HISTORY.full_name}
    assert vendor.REPLY.full_name not in verify.PARTITION_COLUMNS
