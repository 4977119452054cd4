"""Shards on the workers of a Dask cluster: the same bits as the plain way, and a lost worker costs time alone."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows import context, scale_out, settings, steps
from warehouse import data_files, errors, features, lake, maintenance, returns, shards, verify

distributed = pytest.importorskip("distributed", reason="Dask is not installed")

N_CODES, N_SESSIONS = 8, 280
# Of returns four shards of two securities, of features a shard for each of the two years.
N_SHARDS, N_YEARS = 4, 2
# Far longer than it takes to notice that a worker died and to begin anew.
SLOW_S = 300
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[shards.MapShards]:
    """Two processes, as `DAYBOOK__DASK_SCHEDULER=local` has them on two cores."""
    options = settings.read_settings(
        home=tmp_path_factory.mktemp("home"), dask_scheduler=scale_out.LOCAL, _env_file=None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dask.system.CPU_COUNT", 2)
        with scale_out.workers(options) as map_shards:
            assert map_shards is not None
            yield map_shards


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "WORTH_SHARDS", 1)
    monkeypatch.setattr(features, "MOST_CELLS", 1)
    monkeypatch.setattr(shards, "SHARD_CELLS", N_CODES // N_SHARDS * N_SESSIONS)


@pytest.fixture(scope="module")
def given(random_market: Callable[..., Any]) -> Any:
    """Bars, factors and turnover of two years."""
    return random_market(n_codes=N_CODES, n_sessions=N_SESSIONS, seed=5)


@pytest.fixture(scope="module")
def laid_out(
    tmp_path_factory: pytest.TempPathFactory,
    lay_out: Callable[[lake.LakeLocation], None],
    load_market: Callable[..., None],
    stamp: Callable[[int], Any],
    lake_threads: int | None,
    given: Any,
) -> tuple[lake.LakeLocation, lake.LakeLocation]:
    """A lake with bars, factors and turnover, and one whose returns and features were computed with nobody's help."""
    folder = tmp_path_factory.mktemp("lakes")
    bare = lake.LakeLocation(folder / "bare", memory_limit="1GB", threads=lake_threads)
    lay_out(bare)
    with lake.open_writer(bare, holder="test") as opened:
        load_market(opened, given)
    plain = dataclasses.replace(bare, path=folder / "plain")
    shutil.copytree(bare.path, plain.path)
    with lake.open_writer(plain, holder="test") as opened:
        update(opened, stamp(1), None)
    return bare, plain


@pytest.fixture
def filled(laid_out: tuple[lake.LakeLocation, lake.LakeLocation], tmp_path: Path) -> Iterator[lake.Lake]:
    """A lake with bars, factors and turnover, open for writing."""
    with lake.open_writer(copied(laid_out[0], tmp_path / "lake"), holder="test") as opened:
        yield opened


@pytest.fixture
def plain(laid_out: tuple[lake.LakeLocation, lake.LakeLocation], tmp_path: Path) -> Iterator[lake.Lake]:
    """The same with returns and features that nobody helped with."""
    with lake.open_writer(copied(laid_out[1], tmp_path / "plain"), holder="test") as opened:
        yield opened


def copied(of: lake.LakeLocation, to: Path) -> lake.LakeLocation:
    shutil.copytree(of.path, to)
    return dataclasses.replace(of, path=to)


def update(opened: lake.Lake, stamp: Any, map_shards: shards.MapShards | None) -> tuple[int, int]:
    return returns.update_returns(opened, stamp, map_shards), features.update_features(opened, stamp, map_shards)


def everything(of: lake.Lake) -> list[Any]:
    """Every row of what is derived, and of the ledger, to the bit and with its provenance."""
    return [
        of.read(f"select * from {table} order by all").to_pylist()
        for table in ("feature.log_return", "feature.feature", "ops.ledger")
    ]


def counting(map_shards: shards.MapShards) -> tuple[list[int], shards.MapShards]:
    """The same, and how many shards it was handed each time."""
    handed: list[int] = []

    def count(opened: lake.Lake, compute: shards.Compute, of: Sequence[shards.Shard]) -> Any:
        handed.append(len(of))
        return map_shards(opened, compute, of)

    return handed, count


def live_files(of: lake.Lake) -> list[dict[str, Any]]:
    rows = data_files.read_named(of).to_pylist()
    return [row for row in rows if row["end_snapshot"] is None and row["table_name"].startswith("feature.")]


def refuse_broken(of: lake.Lake) -> None:
    verify.refuse_broken([verify.check_files(of), verify.check_rows(of), verify.check_keys(of)])


def test_two_workers_leave_the_lake_that_one_program_leaves(two_workers, filled, plain, stamp) -> None:
    handed, map_shards = counting(two_workers)
    before = filled.snapshot

    n_written = update(filled, stamp(1), map_shards)

    expected = everything(plain)
    assert everything(filled) == expected
    assert n_written == (len(expected[0]), len(expected[1]))
    assert handed == [N_SHARDS, N_YEARS]
    # For each of the two tables one commit publishes the rows of all shards, with their ledger.
    assert filled.snapshot == before + 2
    # Two years of every shard, in a file each.
    assert {row["table_name"] for row in live_files(filled)} == {"feature.log_return", "feature.feature"}
    assert len(live_files(filled)) == N_YEARS * N_SHARDS + N_YEARS
    refuse_broken(filled)


@pytest.mark.parametrize(
    "most_handed_back",
    [
        pytest.param(0, id="in files"),
        pytest.param(shards.MOST_HANDED_BACK, id="as rows", marks=pytest.mark.exhaustive),
    ],
)
def test_correction_of_the_past_replaces_only_what_differs(
    two_workers, filled, plain, stamp, load_market, given, monkeypatch, most_handed_back
) -> None:
    day = given.sessions[100]
    of_day = given.of_sessions([day])
    factors = of_day.adj_factor
    is_wrong = factors["ts_code"] == factors["ts_code"].iloc[4]
    corrected = dataclasses.replace(
        of_day, adj_factor=factors.assign(adj_factor=factors["adj_factor"].where(~is_wrong, 7.0))
    )
    # What is handed back is decided where shards are computed: here, as the workers have the usual number.
    monkeypatch.setattr(shards, "MOST_HANDED_BACK", most_handed_back)
    map_shards = two_workers if most_handed_back else shards.compute_here
    update(filled, stamp(1), map_shards)
    for each in (plain, filled):
        load_market(each, corrected, 2)

    n_plain = update(plain, stamp(3), None)
    n_written = update(filled, stamp(3), map_shards)

    assert everything(filled) == everything(plain)
    assert n_written == n_plain
    # One security's windows of 252 sessions at most.
    assert 0 < n_written[0] < 300
    refuse_broken(filled)


def test_worker_that_is_killed_costs_time_alone(two_workers, filled, plain, stamp, tmp_path: Path) -> None:
    died = tmp_path / "died"

    def planted(opened: lake.Lake, compute: shards.Compute, of: Sequence[shards.Shard]) -> Any:
        at = of[-1].axes.codes, of[-1].first

        def slow(reader: lake.Lake, shard: shards.Shard) -> shards.Computed:
            done = compute(reader, shard)
            if (shard.axes.codes, shard.first) == at and not died.exists():
                told = died.with_suffix(".part")
                told.write_text(str(os.getpid()))
                told.rename(died)
                time.sleep(SLOW_S)
            return done

        return two_workers(opened, slow, of)

    def kill() -> None:
        for _ in range(3000):
            if died.exists():
                os.kill(int(died.read_text()), signal.SIGKILL)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    begun = time.monotonic()
    update(filled, stamp(1), planted)
    killer.join()

    assert died.exists() and time.monotonic() - begun < SLOW_S
    assert everything(filled) == everything(plain)
    refuse_broken(filled)
    # The dead worker had written two years of its shard, and maybe those of another whose result it kept. Nobody names
    # these files, and upkeep removes them.
    assert len(maintenance.read_orphans(filled, LATER)) in (2, 4)
    maintenance.maintain(filled, datetime.now(UTC) + timedelta(days=400), maintenance.Policy())
    assert maintenance.read_orphans(filled, LATER) == []
    assert everything(filled) == everything(plain)


def test_shard_that_fails_leaves_nothing_in_the_lake(two_workers, filled, stamp) -> None:
    def failing(opened: lake.Lake, compute: shards.Compute, of: Sequence[shards.Shard]) -> Any:
        def fail(reader: lake.Lake, shard: shards.Shard) -> shards.Computed:
            raise errors.LakeError("the storage is gone")

        return two_workers(opened, fail, of)

    before = filled.snapshot
    with pytest.raises(errors.LakeError, match="the storage is gone"):
        update(filled, stamp(1), failing)
    assert filled.snapshot == before


def test_few_rows_ask_nobody(filled, stamp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "WORTH_SHARDS", N_CODES * N_SESSIONS + 1)
    handed, map_shards = counting(shards.compute_here)

    update(filled, stamp(1), map_shards)

    assert handed == []


@pytest.fixture
def scheduler() -> Iterator[Callable[[int], str]]:
    """A function that starts a scheduler with workers in this process, and tells its address."""
    clusters: list[Any] = []

    def start(n_workers: int) -> str:
        cluster = distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )
        clusters.append(cluster)
        return str(cluster.scheduler_address)

    yield start
    for one in clusters:
        one.close()


def test_step_takes_the_scheduler_from_the_settings(laid_out, plain, scheduler, tmp_path: Path) -> None:
    at = copied(laid_out[0], tmp_path / "home" / "lake")
    options = settings.read_settings(home=tmp_path / "home", dask_scheduler=scheduler(1), _env_file=None)
    read = "select * from feature.feature order by all"

    # A step that computes asks no vendor.
    run = context.Context(options, LATER, "daily/2024-01-01", None, None, None)  # type: ignore[arg-type]
    facts = steps.run_returns(run, LATER.date(), steps.no_progress)

    with lake.open_reader(at) as opened:
        assert opened.read(read).equals(plain.read(read))
        assert facts["features_written"] == opened.read_value("select count(*) from feature.feature") > 0
        # A file a shard, which the plain way does not leave.
        assert len(live_files(opened)) == N_YEARS * N_SHARDS + N_YEARS


def test_scheduler_that_does_not_answer_is_named(
    filled, stamp, free_port, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scale_out, "ANSWER_S", 0.3)
    address = f"tcp://127.0.0.1:{free_port()}"
    options = settings.read_settings(home=tmp_path, dask_scheduler=address, _env_file=None)

    with (
        scale_out.workers(options) as map_shards,
        pytest.raises(
            errors.ConfigError, match=rf"no Dask scheduler answers at {address}, which DAYBOOK__DASK_SCHEDULER names"
        ),
    ):
        update(filled, stamp(1), map_shards)


def test_scheduler_without_workers_is_not_waited_for_ever(
    filled, stamp, scheduler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scale_out, "WITHOUT_WORKERS_S", 0.1)
    monkeypatch.setattr(scale_out, "POLL_S", 0.1)
    options = settings.read_settings(home=tmp_path, dask_scheduler=scheduler(0), _env_file=None)

    with (
        scale_out.workers(options) as map_shards,
        pytest.raises(errors.LakeError, match=r"has had no worker for 0\.1 s\. Nothing was written\. Start workers"),
    ):
        update(filled, stamp(1), map_shards)


@pytest.mark.parametrize("address", ["dask.example:8786", "http://dask.example:8786", "tcp://dask.example", "yes"])
def test_address_that_is_none_is_refused_with_the_settings(address: str, tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="DAYBOOK__DASK_SCHEDULER"):
        settings.read_settings(home=tmp_path, dask_scheduler=address, _env_file=None)


def test_worker_of_another_version_computes_nothing(location: lake.LakeLocation) -> None:
    theirs = tuple((name, "0.1" if name == "numba" else version) for name, version in scale_out._versions())
    place = scale_out.Place(location, 1, None, theirs)

    with pytest.raises(errors.ConfigError, match=r"has other versions: numba \S+ \(asked by 0\.1\)\."):
        scale_out._compute(returns.compute_shard, place, None)  # type: ignore[arg-type]


def test_workers_are_sent_no_secret_and_use_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = {
        "DAYBOOK__LAKE_CATALOG_PASSWORD": "planted-catalog-4711",
        "DAYBOOK__LAKE_S3_KEY_ID": "planted-key-4711",
        "DAYBOOK__LAKE_S3_SECRET": "planted-secret-4711",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    options = settings.read_settings(
        home=tmp_path / "here",
        lake_catalog="postgres:dbname=lake",
        lake_data_path="s3://desk/daybook",
        lake_s3_endpoint="minio.example:9000",
        _env_file=None,
    )
    place = scale_out.Place(scale_out._without_secrets(options.lake), 7, None, ())
    monkeypatch.setenv("DAYBOOK__HOME", str(tmp_path / "there"))

    sent = pickle.dumps(place)
    found = scale_out._here(pickle.loads(sent))

    assert b"planted" not in sent
    assert (found.catalog_password, found.s3.key_id, found.s3.secret) == tuple(secrets.values())
    assert (found.catalog, found.data_path, found.s3.endpoint) == (
        "postgres:dbname=lake",
        "s3://desk/daybook",
        "minio.example:9000",
    )
    # Catalog and files are elsewhere: what DuckDB spills goes into the worker's own home.
    assert found.path == tmp_path / "there" / "lake"
