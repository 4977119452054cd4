"""A lake of an older version gets what it lacks, loses nothing, and what was up to date stays so."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from flows import publishing, settings
from warehouse import derive, errors, features, lake, load, maintenance, outbox, returns, tables, upgrades, verify
from warehouse.partitions import PARTITION_COLUMNS
from warehouse.tables import feature, feature_list, market, ops

# What version 1 did not have: columns of tables that it had.
NEW_COLUMNS = {
    "ops.ledger": ("cause", "asked_date"),
    "ops.revision": ("revised_date",),
    "ops.quarantine": ("severity",),
    "ops.alert": ("message_id", "decided_by", "decision_reason", "until_date", "is_true"),
}
INPUTS = (market.DAILY, market.ADJ_FACTOR)


def make_version_1(opened):
    """Take away what came later, and compute digests as version 1 did: without the outer hash."""

    def work(connection):
        for table, columns in NEW_COLUMNS.items():
            for column in columns:
                connection.execute(f"alter table {table} drop column {column}")
        for table in (market.DAILY, market.ADJ_FACTOR, market.DAILY_BASIC):
            names = ", ".join(f'"{name}"' for name in table.fact_names)
            connection.execute(
                "update ops.ledger as l set content_hash = s.digest from (select cast(trade_date as varchar) as"
                f" partition, bit_xor(hash({names})) as digest from {table.full_name} group by all) as s"
                f" where l.dataset = '{table.full_name}' and l.partition = s.partition"
            )
        connection.execute(
            "update ops.ledger as l set content_hash = w.digest from (select partition, bit_xor(hash(dataset,"
            " content_hash)) as digest from ops.ledger where dataset in ('market.daily', 'market.adj_factor')"
            " group by all) as w where l.dataset = 'feature.log_return' and l.partition = w.partition"
        )
        connection.execute("update ops.property set value = '1' where name = 'schema_version'")

    opened.commit(work, message="as version 1 left it")


@pytest.fixture
def old_lake(location, load_market, random_market, stamp):
    """A lake of version 1 with bars and returns that are up to date, but for the newest day."""
    with lake.open_writer(location, holder="old") as opened:
        load_market(opened, random_market(n_sessions=20))
        returns.update_returns(opened, stamp(1))
        make_version_1(opened)
        opened.commit(
            lambda c: c.execute(
                "update ops.ledger set content_hash = 1 where dataset = 'feature.log_return'"
                " and partition = (select max(partition) from ops.ledger where dataset = 'feature.log_return')"
            ),
            message="the newest day is due",
        )
        before = {
            table.full_name: opened.read(f"select * from {table.full_name} order by all")
            for table in (market.DAILY, feature.LOG_RETURN)
        }
    return location, before


def test_older_lake_keeps_its_rows_and_promises(old_lake):
    location, before = old_lake

    with lake.open_writer(location, holder="new") as opened:
        for name, rows in before.items():
            assert opened.read(f"select * from {name} order by all").equals(rows)
        assert opened.read_value("select value from ops.property where name = 'schema_version'") == str(
            tables.SCHEMA_VERSION
        )
        assert set(ops.LEDGER.column_names) == set(opened.read("from ops.ledger limit 0").column_names)
        assert verify.check_ledger(opened).culprits == []


def test_derived_days_that_were_up_to_date_are_not_computed_again(old_lake):
    location, _ = old_lake

    with lake.open_writer(location, holder="new") as opened:
        due = derive.read_due(opened, feature.LOG_RETURN, INPUTS)
        newest = opened.read_value("select max(partition) from ops.ledger where dataset = 'feature.log_return'")

    assert due["partition"].to_pylist() == [newest]


def test_upgraded_lake_can_be_maintained_while_a_report_holds_an_older_snapshot(old_lake):
    location, _ = old_lake
    with lake.open_reader(location) as reader:
        pinned = reader.snapshot
    with lake.open_writer(location, holder="new") as opened:
        now = datetime.now(UTC)
        opened.commit(
            lambda c: c.execute(
                "insert into ops.run by name select 'daily/2023-01-27' as run_id, 'daily' as flow,"
                " date '2023-01-27' as as_of_date, 'ok' as state, '' as message, $pinned as snapshot,"
                " now() as started_at, now() as finished_at, 'older' as code_version",
                {"pinned": pinned},
            ),
            message="a report of before",
        )
        maintenance.maintain(opened, now + timedelta(days=1), maintenance.Policy())
        assert verify.check_files(opened).culprits == []


def test_report_of_a_snapshot_of_before_is_not_built_again_and_says_why(old_lake, tmp_path):
    location, _ = old_lake
    with lake.open_reader(location) as reader:
        pinned = reader.snapshot
    with lake.open_writer(location, holder="new"):
        pass

    with (
        lake.open_reader(location, snapshot=pinned) as older,
        pytest.raises(errors.ConfigError, match=r"2023-01-27 reads snapshot \d+, which a Daybook of schema version 1"),
    ):
        publishing.refuse_older(older, date(2023, 1, 27))


def test_report_of_a_snapshot_with_other_views_is_left_as_it_is_and_says_why(location, lay_out, tmp_path):
    """A Daybook that added a view, and no table: its pages ask for what the snapshot does not have."""
    options = settings.read_settings(home=tmp_path, _env_file=None)
    lay_out(location)
    with lake.open_writer(location, holder="new") as opened:

        def as_another_would(connection):
            connection.execute("drop view analyst.market_day")
            connection.execute("update ops.property set value = 'another' where name = 'views_digest'")

        opened.commit(as_another_would, message="another's views")
        before = opened.snapshot
    with lake.open_writer(location, holder="new") as opened:
        after = opened.snapshot

    def ask(snapshot, question="from analyst.market_day"):
        with publishing.pinned_lake(options, snapshot, date(2023, 1, 27)) as pinned:
            return pinned.read(question).num_rows

    with pytest.raises(errors.ConfigError, match=r"2023-01-27 reads snapshot \d+, whose views another Daybook wrote"):
        ask(before)
    assert ask(after) == 0
    with pytest.raises(errors.LakeError, match="no_such_view"):
        ask(after, "from analyst.no_such_view")


def test_alert_of_an_older_lake_is_not_told_again_and_its_life_begins_when_it_opened(location):
    with lake.open_writer(location, holder="old") as opened:
        make_version_1(opened)
        opened.commit(
            lambda c: c.execute(
                "insert into ops.alert by name select fingerprint, 'r' as rule, 'low' as severity, 's' as subject,"
                " date '2023-01-27' as subject_date, 't' as title, 'a' as action, '{}' as evidence,"
                " 'select 1' as evidence_sql, 'open' as state, date '2023-01-27' as first_seen_date,"
                " date '2023-01-27' as last_seen_date, 1 as n_seen, delivered_at"
                " from (values ('told', now()), ('new', null)) as a (fingerprint, delivered_at)"
            ),
            message="two alerts",
        )

    with lake.open_writer(location, holder="new") as opened:
        assert outbox.read_untold(opened)["fingerprint"].to_pylist() == ["new"]
        lives = opened.read("select fingerprint, event, changed_date from ops.alert_change order by all").to_pylist()
        assert [(one["fingerprint"], one["event"]) for one in lives] == [("new", "opened"), ("told", "opened")]
        assert {one["changed_date"] for one in lives} == {date(2023, 1, 27)}


def test_older_lake_is_not_called_broken_and_is_sound_once_it_was_written_to(location, frame, stamp, tmp_path):
    stocks = frame(market.STOCK_BASIC, "ts_code name list_status list_date\n920234.BJ A L 2020-01-02")
    changed = frame(
        market.CODE_CHANGE, "old_code new_code change_date source\n831234.BJ 920234.BJ 2023-10-09 bse_mapping"
    )
    with lake.open_writer(location, holder="old") as opened:
        partition = load.Partition("all", date(2024, 1, 2))
        load.load(opened, [load.Load(market.STOCK_BASIC, stocks, [partition], None)], stamp(0))
        # Version 7 wrote these beside the ledger.
        opened.commit(lambda c: derive.write_rows(c, market.CODE_CHANGE, changed), message="changed codes")
        opened.commit(
            lambda c: c.execute("update ops.property set value = '7' where name = 'schema_version'"), message="old"
        )

    with lake.open_reader(location) as old, pytest.raises(errors.ConfigError, match=r"of schema version 7.*maintain"):
        verify.verify(old, tmp_path, lambda check: None)
    with lake.open_writer(location, holder="new"):
        pass

    with lake.open_reader(location) as new:
        assert [check.name for check in verify.verify(new, tmp_path, lambda check: None) if check.n_broken] == []
        said = new.read("select partition, state, n_received from ops.ledger where dataset = 'market.code_change'")
    assert said.to_pylist() == [{"partition": "bse_mapping", "state": "ok", "n_received": 1}]


def test_features_that_an_older_lake_lacks_are_computed_for_every_day(location, load_market, random_market, stamp):
    given = random_market(n_sessions=25, ranging=True)
    read = "from feature.feature order by ts_code, trade_date"
    with lake.open_writer(location, holder="old") as opened:
        load_market(opened, given)
        returns.update_returns(opened, stamp(1))
        features.update_features(opened, stamp(1))
        expected = opened.read(read)

        def as_version_8_left_it(connection):
            for one in feature_list.FEATURES[len(feature_list.FIRST_FEATURES) :]:
                connection.execute(f"alter table feature.feature drop column {one.name}")
            connection.execute("update feature.feature set beta_60d = 1.0")
            connection.execute("update ops.property set value = '8' where name = 'schema_version'")

        opened.commit(as_version_8_left_it, message="old")

    with lake.open_writer(location, holder="new") as opened:
        comments = dict(
            opened.read(
                "select column_name, comment from duckdb_columns() where database_name = 'lake'"
                " and schema_name = 'feature' and table_name = 'feature'"
            )
            .to_pandas()
            .itertuples(index=False)
        )
        n_written = features.update_features(opened, stamp(2))
        found = opened.read(f"select {', '.join(expected.column_names)} {read}")

    assert n_written == len(given.daily)
    assert found.equals(expected)
    for one in feature_list.FEATURES:
        assert comments[one.name] == f"{one.comment} [{one.unit}]"


def test_step_is_for_older_lakes_only(empty_lake, monkeypatch):
    taken = []
    monkeypatch.setattr(upgrades, "STEPS", {2: lambda c: taken.append(2), 3: lambda c: taken.append(3)})
    upgrades.upgrade(empty_lake.connection, 2)

    assert taken == [3]


def test_every_partitioned_dataset_is_a_table():
    assert set(PARTITION_COLUMNS) <= {table.full_name for table in tables.TABLES}
