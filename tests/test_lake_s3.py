"""A lake whose Parquet files are in S3-compatible storage, spoken to over HTTP as in production."""

from __future__ import annotations

import dataclasses
import logging
import os
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows import doctor, settings, steps, vendors
from warehouse import errors, lake, maintenance, returns, shards, storage, verify
from warehouse.sources import market as synthetic

KEY_ID, SECRET = "planted-key-4711", "planted-secret-4711"
BUCKET = "desk"
MANY = "insert into macro.release select $name || i, '2024-01-01', '2024-02-01', '2024-02-01' from range(100) as t(i)"


@dataclasses.dataclass(frozen=True)
class Storage:
    """S3's protocol on loopback."""

    endpoint: str
    client: Any

    def keys(self, prefix: str) -> list[str]:
        """Names of the objects under a prefix."""
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [one["Key"] for one in found]


@pytest.fixture(scope="module")
def s3() -> Iterator[Storage]:
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    moto = pytest.importorskip("moto.server", reason="moto with its server is not installed")
    # Every request is a line otherwise.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=BUCKET)
    yield Storage(f"{host}:{port}", client)
    client.close()
    server.stop()


@pytest.fixture
def variables(s3: Storage, tmp_path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What an operator sets; set."""
    chosen = {
        "DAYBOOK__HOME": str(tmp_path),
        "DAYBOOK__LAKE_DATA_PATH": f"s3://{BUCKET}/{tmp_path.name}",
        "DAYBOOK__LAKE_S3_ENDPOINT": s3.endpoint,
        "DAYBOOK__LAKE_S3_REGION": "us-east-1",
        "DAYBOOK__LAKE_S3_URL_STYLE": "path",
        "DAYBOOK__LAKE_S3_KEY_ID": KEY_ID,
        "DAYBOOK__LAKE_S3_SECRET": SECRET,
        "DAYBOOK__LAKE_S3_USE_SSL": "false",
        "DAYBOOK__LAKE_MEMORY_LIMIT": "1GB",
    }
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    return chosen


@pytest.fixture(params=["sqlite", "postgres"])
def s3_location(
    variables: dict[str, str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> lake.LakeLocation:
    """By settings alone: data on S3, the catalog in a file or on a server."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_location")
        monkeypatch.setenv("DAYBOOK__LAKE_CATALOG", server.catalog)
        monkeypatch.setenv("DAYBOOK__LAKE_CATALOG_PASSWORD", server.catalog_password)
    return settings.read_settings().lake


def put(into: lake.Lake, name: str) -> None:
    into.commit(lambda connection: connection.execute(MANY, {"name": name}), message=name)


def count(of: lake.Lake) -> int:
    return int(of.read_value("select count(*) from macro.release"))


def everything_told(exc: BaseException) -> str:
    return "".join(traceback.format_exception(exc))


def test_lake_lives_on_s3_when_the_settings_say_so(s3_location: lake.LakeLocation, s3: Storage, tmp_path) -> None:
    with lake.open_writer(s3_location, holder="test") as opened:
        put(opened, "first")
        past = opened.snapshot
        put(opened, "second")
        opened.commit(
            lambda c: c.execute("delete from macro.release where series_id like 'first%' and series_id <> 'first0'"),
            message="delete",
        )

    with lake.open_reader(s3_location) as newest, lake.open_reader(s3_location, snapshot=past) as pinned:
        assert (count(newest), count(pinned)) == (101, 100)
        assert "newest_date" in newest.read("select * from analyst.freshness").column_names
    assert len([key for key in s3.keys(tmp_path.name) if key.endswith(".parquet")]) >= 2
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("s3_location", ["sqlite"], indirect=True)
def test_commit_leaves_nothing_when_the_storage_is_gone_midway(s3_location: lake.LakeLocation) -> None:
    with lake.open_writer(s3_location, holder="test") as opened:
        put(opened, "before")
    gone = dataclasses.replace(s3_location, s3=dataclasses.replace(s3_location.s3, endpoint="127.0.0.1:1"))

    with lake.open_writer(gone, holder="test") as opened:
        before = opened.snapshot
        with pytest.raises(errors.LakeError, match=r"'lost' failed, nothing was written: .*Check DAYBOOK__LAKE_S3_"):
            put(opened, "lost")
        assert opened.snapshot == before

    with lake.open_writer(s3_location, holder="test") as opened:
        put(opened, "after")
        assert count(opened) == 200


def breakages(location: lake.LakeLocation) -> dict[str, lake.LakeLocation]:
    other = dataclasses.replace
    return {
        "no such server": other(location, s3=other(location.s3, endpoint="127.0.0.1:1")),
        "no such bucket": other(location, data_path="s3://nowhere/at/all"),
    }


@pytest.mark.parametrize("s3_location", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ["no such server", "no such bucket"])
def test_secrets_are_in_no_error_and_no_log(
    s3_location: lake.LakeLocation, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = breakages(s3_location)[what]

    with lake.open_writer(broken, holder="test") as opened, pytest.raises(errors.LakeError) as refused:
        put(opened, "lost")

    shown = everything_told(refused.value) + caplog.text + repr(broken)
    assert SECRET not in shown
    assert KEY_ID not in shown


@pytest.mark.parametrize("s3_location", ["sqlite"], indirect=True)
def test_secrets_are_in_nothing_an_analyst_or_the_doctor_can_ask(s3_location: lake.LakeLocation) -> None:
    with lake.open_writer(s3_location, holder="test") as opened:
        put(opened, "one")

    with lake.open_reader(s3_location) as reader:
        answers = [reader.read(f"from {name}()").to_pylist() for name in ("duckdb_secrets", "duckdb_settings")]
        location = reader.read("select path from duckdb_databases()").to_pylist()

    options = settings.read_settings()
    shown = str(answers) + str(location) + str(options) + str(doctor.effective_settings(options))
    assert SECRET not in shown


def test_a_quote_in_a_secret_does_no_harm() -> None:
    statement = storage.S3Access(key_id="it's", secret="a', b 'c").statement

    assert "key_id 'it''s'" in statement
    assert "secret 'a'', b ''c'" in statement


def test_settings_reach_the_secret(variables: dict[str, str], s3: Storage) -> None:
    statement = settings.read_settings().lake.s3.statement

    assert statement == (
        f"create or replace temporary secret daybook_data (type s3, endpoint '{s3.endpoint}', region 'us-east-1', "
        f"url_style 'path', key_id '{KEY_ID}', secret '{SECRET}', use_ssl false)"
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("s3_location", ["sqlite"], indirect=True)
def test_shards_write_their_files_to_s3_and_correct_them_there(
    s3_location: lake.LakeLocation, new_lake, load_market, random_market, stamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As workers do, whose shards the step takes in: the rows are those of a lake on files."""
    monkeypatch.setattr(shards, "WORTH_SHARDS", 1)
    monkeypatch.setattr(shards, "SHARD_CELLS", 100)
    monkeypatch.setattr(shards, "MOST_HANDED_BACK", 0)
    given = random_market(n_codes=4, n_sessions=50)
    day = given.of_sessions([given.sessions[20]])
    corrected = dataclasses.replace(day, adj_factor=day.adj_factor.assign(adj_factor=7.0))
    found = []

    for at, map_shards in ((s3_location, shards.compute_here), (new_lake(), None)):
        with lake.open_writer(at, holder="test") as opened:
            for number, part in enumerate((given, corrected)):
                load_market(opened, part, number)
                returns.update_returns(opened, stamp(number), map_shards)
            found.append(opened.read("select * from feature.log_return order by all"))
            verify.refuse_broken([verify.check_files(opened), verify.check_rows(opened), verify.check_keys(opened)])

    assert found[0].num_rows and found[0].equals(found[1])


@pytest.mark.exhaustive
@pytest.mark.parametrize("s3_location", ["postgres"], indirect=True)
def test_desk_on_a_server_and_s3_ends_as_a_desk_on_files(s3_location, desk_at, facts_of, tmp_path) -> None:
    """The whole job: a backfill, two evenings with scores, checks and report, upkeep, and a look by the verifier."""
    truth = synthetic.synthetic_market(seed=3, n_symbols=30, n_sessions=300)
    *_, before_last, last = truth.session_dates
    ends = []
    with vendors.running(truth, vendors.evening_of(last)) as vendor:
        elsewhere = {
            "lake_catalog": os.environ["DAYBOOK__LAKE_CATALOG"],
            "lake_catalog_password": os.environ["DAYBOOK__LAKE_CATALOG_PASSWORD"],
        }
        on_files = {"lake_catalog": "", "lake_catalog_password": "", "lake_data_path": ""}
        for name, overrides in (("elsewhere", elsewhere), ("files", on_files)):
            desk = desk_at(tmp_path / name, vendor, **overrides)
            assert desk.options.lake.is_on_s3 == (name == "elsewhere")
            desk.backfill(truth.session_dates[0], before_last)
            for day in (before_last, last):
                vendor.clock.set(vendors.evening_of(day))
                context = steps.open_context(desk.options, "daily", day)
                steps.run_daily(context, day, steps.call_directly(steps.no_progress))
            with lake.open_writer(desk.options.lake, holder="upkeep") as opened:
                maintenance.maintain(opened, datetime.now(UTC) + timedelta(days=2), maintenance.Policy())
                found = verify.verify(opened, desk.options.archive_path, lambda check: None)
                verify.refuse_broken(found)
                ends.append(facts_of(opened, ("market", "macro", "feature", "model")))

    assert all((tmp_path / name / "reports" / f"{last}.html").exists() for name in ("elsewhere", "files"))
    assert ends[0] == ends[1]
    assert not list((tmp_path / "elsewhere" / "lake").rglob("*.parquet"))
