"""One budget of calls over several machines: counted by the PostgreSQL that holds the lake's catalog."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from flows import clients, settings
from warehouse import errors, lake, rate_budget, storage
from warehouse.sources import http, limits

CALLING = """
from warehouse import rate_budget
from warehouse.sources import limits
limit = limits.Limits(3, 0.5, {}, rate_budget.Budget(location, "fred-4711"))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(4):
    limit.wait("fredgraph.csv")
print("done", flush=True)
"""

HOLDING = """
import time
from warehouse import rate_budget
with rate_budget.Budget(location, "fred-4711").turn() as (ask, now):
    ask("insert into started (scope, at) values (?, ?)", ("fred-4711/", now))
    print("holding", flush=True)
    time.sleep(300)
"""


def read(location: lake.LakeLocation, statement: str) -> list[tuple[Any, ...]]:
    with storage.connected(location) as session:
        return session.execute(statement).fetchall()  # type: ignore[arg-type]


def limited(location: lake.LakeLocation, calls: int, per_s: float, account: str = "fred-4711") -> limits.Limits:
    return limits.Limits(calls, per_s, {}, rate_budget.Budget(location, account))


def test_no_more_calls_start_in_any_window_over_two_machines(
    postgres_location: lake.LakeLocation, start_child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Two processes share nothing but the server; they make its tables at the same moment, too."""
    children = [start_child(postgres_location, CALLING) for _ in range(2)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2

    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.stdout.readline() for child in children] == ["done\n"] * 2

    started = [at for (at,) in read(postgres_location, "select at from daybook_limits.started order by at")]
    # Each of the two alone would have started six in a second.
    assert len(started) == 8
    assert min(late - early for early, late in zip(started, started[3:], strict=False)) >= 0.5


def test_holder_that_is_killed_frees_its_turn_and_its_call(
    postgres_location: lake.LakeLocation, start_child: Callable[..., subprocess.Popen[str]]
) -> None:
    limit = limited(postgres_location, 1, 3600.0)
    child = start_child(postgres_location, HOLDING)
    assert child.stdout.readline() == "holding\n"

    child.kill()
    begun = time.monotonic()
    limit.wait("fredgraph.csv", 0.0)

    # Long before the server would put out one that is only slow.
    assert time.monotonic() - begun < rate_budget.TURN_MS / 1000
    assert len(read(postgres_location, "select 1 from daybook_limits.started")) == 1


def test_holder_that_sleeps_is_put_out(postgres_location: lake.LakeLocation) -> None:
    sleeping, other = (limited(postgres_location, 1, 3600.0) for _ in range(2))

    with (
        pytest.raises(errors.ConfigError, match="calls to vendors cannot be counted in postgres:"),
        sleeping._store.turn() as (ask, now),
    ):
        ask("insert into started (scope, at) values (?, ?)", ("fred-4711/", now))
        # As the session's own setting does, but sooner.
        ask("set idle_in_transaction_session_timeout = '100ms'", ())
        other.wait("fredgraph.csv", 0.0)
        ask("select 1", ())

    # Its own call never was, and it comes again as one of many.
    with pytest.raises(errors.RateLimited):
        sleeping.wait("fredgraph.csv", 0.0)
    assert len(read(postgres_location, "select 1 from daybook_limits.started")) == 1


def test_what_the_vendor_told_one_machine_holds_for_the_other(postgres_location: lake.LakeLocation) -> None:
    one, other = (limited(postgres_location, 1000, 1.0, "tushare-4711") for _ in range(2))
    stranger = limited(postgres_location, 1000, 1.0, "tushare-4712")
    assert one.learn("stock_basic", 1, 3600.0)
    one.wait("stock_basic")
    one.pause("daily", 1000.0)
    one.pause("daily", 1.0)

    assert not other.learn("stock_basic", 1, 3600.0)
    with pytest.raises(errors.RateLimited, match="1 calls in 3600 s"):
        other.wait("stock_basic", 70.0)
    with pytest.raises(errors.RateLimited, match="the vendor asked for a pause"):
        other.wait("adj_factor", 70.0)
    # Another account is counted for itself.
    stranger.wait("stock_basic", 0.0)
    assert stranger.learn("stock_basic", 2, 3600.0)


def test_clock_that_is_set_back_a_little_forgets_no_call(postgres_location: lake.LakeLocation) -> None:
    limit = limited(postgres_location, 1, 3600.0)
    limit.wait("fredgraph.csv")
    read(postgres_location, "update daybook_limits.account set latest = latest + 30 returning 1")
    read(postgres_location, "update daybook_limits.started set at = at + 30 returning 1")

    with pytest.raises(errors.RateLimited):
        limit.wait("fredgraph.csv", 0.0)

    # Set back by a day it begins anew: else nobody could call for a day.
    read(postgres_location, "update daybook_limits.account set latest = latest + 86400 returning 1")
    read(postgres_location, "update daybook_limits.started set at = at + 86400 returning 1")
    limit.wait("fredgraph.csv", 0.0)


def test_settings_with_a_server_count_there_and_store_no_token(
    postgres: Any, postgres_location: lake.LakeLocation, tmp_path, free_port
) -> None:
    options = settings.read_settings(
        home=tmp_path,
        lake_catalog=postgres_location.catalog,
        lake_catalog_password=postgres.password,
        tushare_token="planted-token-4711",
        fred_url=f"http://127.0.0.1:{free_port()}",
        _env_file=None,
    )
    vendors = clients.Clients(options, lambda reply: None, http.Policy(attempts=1))
    transports = [vendors.build_fred()._transport, vendors.build_tushare()._api._daybook_transport]

    for transport in transports:
        transport._limits.wait("daily")

    scopes = {scope for (scope,) in read(postgres_location, "select scope from daybook_limits.started")}
    assert scopes == {f"{options.fred_limits_file.stem}/", f"{options.tushare_limits_file.stem}/"}
    assert "planted" not in str(scopes)
    assert not (tmp_path / "limits").exists()


def test_server_that_is_away_is_named_without_the_password(postgres: Any, postgres_location: lake.LakeLocation) -> None:
    gone = lake.LakeLocation(
        postgres_location.path, catalog="postgres:host=/nowhere dbname=lake", catalog_password=postgres.password
    )

    with pytest.raises(errors.ConfigError, match="postgres:host=/nowhere dbname=lake cannot be reached") as caught:
        limited(gone, 1, 1.0).wait("fredgraph.csv")

    assert postgres.password not in str(caught.value)
